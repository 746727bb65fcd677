//! What links of real containers suffer beyond being cut, each proven and healed: late, narrow, spoilt, refused.

mod containers;
mod runner;

use std::process::Command;

use containers::{Nodes, docker, engine};
use firedrill::target::docker::restore::{Restore, What};

/// One after the other, so that each is measured alone.
const FAULTS: &[(&str, &str)] = &[
    ("latency: {between: [n1, n2], latency: 40ms}", "n1 -> n2: 3 of 3 datagrams arrived"),
    ("latency: {nodes: n3, latency: 30ms, jitter: 5ms}", "answered after"),
    ("bandwidth: {nodes: n1, rate: 1mbit}", "of a burst came over"),
    ("loss: {between: [n1, n2], loss: 30%}", "of 200 datagrams arrived"),
    ("duplicate: {between: [n2, n3], duplicate: 50%}", "n2 -> n3: 2"),
    ("corrupt: {between: [n1, n3], corrupt: 30%}", "n1 -> n3: 1"),
    ("reorder: {between: [n2, n3], reorder: 30%, latency: 20ms}", "overtook"),
    ("reset: {nodes: n1}", "n1 -> n2: connect refused after"),
    ("reject: {nodes: n3}", "n1 -> n3: connect refused after"),
];

#[test]
fn what_links_suffer_is_proven_and_healed() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = ["n1", "n2", "n3"].map(|n| nodes.look(n));
    let step = |(i, (fault, _)): (usize, &(&str, &str))| {
        format!("  - {{at: {}s, for: 1s, inject: {{{fault}}}}}\n", 1 + 5 * i)
    };
    nodes.scenario(&FAULTS.iter().enumerate().map(step).collect::<String>());
    let plan = nodes.home.run("plan s.yaml");
    // Whichever it is, and why it is not netem.
    let netem = plan.out.contains("links are shaped by the kernel's netem\n");
    let because = ["behind a TAP device: this kernel has no sch_netem"];
    plan.expect(0, if netem { &[] } else { &because });
    let ran = nodes.home.run("run s.yaml -v");
    let measured: Vec<&str> = FAULTS.iter().map(|(_, measured)| *measured).collect();
    ran.expect(0, &measured);
    nodes.assert_no_helpers();
    assert_eq!(before, ["n1", "n2", "n3"].map(|n| nodes.look(n)), "every fault is healed");
}

/// What an agent that was killed leaves can be removed by whoever has the journal's note, or a person.
#[test]
fn devices_that_a_killed_agent_left_are_swept() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let container = nodes.container("n1");
    let pid = docker(&format!("inspect --format {{{{.State.Pid}}}} {container}"));
    let inside = |program: &str, line: &str| {
        let line = format!("--target {pid} --net {program} {line}");
        let out = Command::new("nsenter").args(line.split_whitespace()).output().unwrap();
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let leave = || inside("ip", "link add firedrill0i type veth peer name firedrill0o");
    let left = || inside("ip", "-o link show").matches("firedrill").count();
    let what = What::Devices {
        name: docker(&format!("inspect --format {{{{.Name}}}} {container}")).replace('/', ""),
        run: "killed".into(),
        image: containers::IMAGE.into(),
        container,
    };
    let note = Restore { engine: None, what };
    leave();
    assert!(left() > 0);
    let said = note.restore().unwrap().unwrap();
    assert!(said.ends_with("removed 2 network devices"), "{said}");
    assert_eq!((left(), note.restore()), (0, Ok(None)));
    leave();
    let by_hand = Command::new("sh").arg("-c").arg(note.by_hand()).output().unwrap();
    assert!(by_hand.status.success(), "{}", String::from_utf8_lossy(&by_hand.stderr));
    assert_eq!(left(), 0);
    assert_eq!(docker("ps --all --quiet --filter label=firedrill.run=killed"), "");
    let What::Devices { container, name, run, image } = note.what else { unreachable!() };
    docker(&format!("stop --time 0 {container}"));
    let what = What::Devices { container, name, run, image };
    assert_eq!(Restore { engine: None, what }.restore(), Ok(None), "it has no namespace");
}
