//! What is taken from a node: processors, memory, disk throughput, room on a disk, the right time, look-ups of names;
//! and cuts of single ports and of hosts that are no nodes. At a real engine, each proven, and each gone afterwards.

mod containers;
mod runner;

use containers::{Nodes, docker, engine};
use runner::eventually;
use rustix::process::Signal;

/// A file system of the node's own, of a limited size.
const OWN_DISK: &str = "    tmpfs: ['/full:size=16m']\n";

/// Each on n3 alone: what is injected, and what the proof says.
const TAKEN: [(&str, &str); 9] = [
    ("cpu-limit: {nodes: n3, cpus: 0.5}", "50000"),
    ("memory-limit: {nodes: n3, limit: 512MiB}", "536870912"),
    ("io-throttle: {nodes: n3, read: 1MiB/s, write: 2MiB/s}", "1048576"),
    ("cpu-stress: {nodes: n3, workers: 2, load: 50%}", "the stress computes on"),
    ("memory-stress: {nodes: n3, size: 32MiB}", "asked 32MiB"),
    ("disk-full: {nodes: n3, path: /full}", "/full is full"),
    ("clock-skew: {nodes: n3, offset: -10m}", "the clock that a process reads is off by -"),
    (
        "dns: {nodes: n3, answer: silence, names: [db.example.com]}",
        "nobody says what `db.example.com` is",
    ),
    ("dns: {nodes: n3, answer: wrong}", "is 192.0.2.1 after"),
];

fn one_after_the_other(faults: &[&str]) -> String {
    let line = |(i, inject): (usize, &&str)| {
        format!("  - {{at: {}ms, for: 1s, inject: {{{inject}}}}}\n", 1000 + 2000 * i)
    };
    faults.iter().enumerate().map(line).collect()
}

#[test]
fn what_is_taken_from_a_node_is_proven_and_given_back() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running(OWN_DISK);
    let before = nodes.look("n3");
    nodes.scenario(&one_after_the_other(&TAKEN.map(|(inject, _)| inject)));
    let mut said: Vec<&str> = TAKEN.iter().map(|(_, proof)| *proof).collect();
    said.extend([
        "are read past the cache in",
        "its limits are its own",
        "/full has room",
        "clock of n3 (dc3) wrong by -10m: healed",
    ]);
    nodes.home.run("run s.yaml -v").expect(0, &said);
    assert_eq!(before, nodes.look("n3"));
    nodes.assert_no_helpers();
    nodes.home.run("heal").expect(0, &["nothing to heal"]);
}

/// The kernel says so too, while it holds: and what holds together, holds in each part.
#[test]
fn limits_that_overlap_are_the_tighter_one_and_the_one_that_is_left_holds() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = nodes.look("n3");
    nodes.scenario(
        "  - {at: 1s, for: 2s, inject: {cpu-limit: {nodes: n3, cpus: 0.3}}}\n  - {at: 2s, for: 4s, inject: \
         {cpu-limit: {nodes: n3, cpus: 0.6}}}\n",
    );
    let mut drill = nodes.home.start("run s.yaml -v");
    drill.wait_for("fault 2: injected");
    assert!(nodes.look("n3").contains("30000"), "{}", nodes.look("n3"));
    drill.wait_for("fault 1: healed");
    eventually("the wider one holds", || match nodes.look("n3") {
        now if now.contains("60000") => Ok(()),
        now => Err(now),
    });
    drill.end().expect(0, &[]);
    assert_eq!(before, nodes.look("n3"));
}

/// What holds a limit is killed: the limit stays; what computes is made anew, and the gap is told.
#[test]
fn an_agent_within_that_is_killed_is_made_anew_and_the_gap_is_told() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = nodes.look("n3");
    nodes.scenario(
        "  - {at: 1s, for: 4s, inject: {cpu-limit: {nodes: n3, cpus: 0.5}}}\n  - {at: 1s, for: 4s, inject: \
         {cpu-stress: {nodes: n3, workers: 1}}}\n",
    );
    let mut drill = nodes.home.start("run s.yaml");
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    let within = |name: &&String| {
        let command = docker(&format!("inspect --format {{{{.Args}}}} {name}"));
        name.contains("-n3-") && command.contains("agent-within")
    };
    let helpers = nodes.helpers();
    docker(&format!("kill --signal KILL {}", helpers.iter().find(within).unwrap()));
    drill.end().expect(3, &["what it held was not held until a new one held it"]);
    assert_eq!(before, nodes.look("n3"));
    nodes.assert_no_helpers();
}

/// A node that starts anew has new control groups, and is limited all the same.
#[test]
fn a_node_that_is_restarted_under_a_limit_is_still_limited() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running(OWN_DISK);
    nodes.scenario(
        "  - {at: 1s, for: 6s, inject: {cpu-limit: {nodes: n3, cpus: 0.5}}}\n  - {at: 1s, for: 6s, inject: \
         {disk-full: {nodes: n3, path: /full}}}\n",
    );
    let mut drill = nodes.home.start("run s.yaml -v");
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    docker(&format!("restart --time 0 {}", nodes.container("n3")));
    eventually("the new groups have the old limit", || match nodes.look("n3") {
        now if now.contains("50000") => Ok(()),
        now => Err(now),
    });
    drill.end().expect(3, &["n3 died"]);
    eventually("and their own after it", || match nodes.look("n3") {
        now if !now.contains("50000") => Ok(()),
        now => Err(now),
    });
    nodes.assert_no_helpers();
}

/// The file system of a container without one of its own is the machine's.
#[test]
fn a_disk_that_others_live_on_is_not_filled() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    nodes.scenario(&one_after_the_other(&["disk-full: {nodes: n3, path: /data, at_most: 1MiB}"]));
    nodes
        .home
        .run("run s.yaml")
        .expect(3, &["/data cannot be filled", "at most 1MiB may be filled"]);
    nodes.assert_no_helpers();
}

#[test]
fn ports_are_cut_and_the_rest_of_the_link_is_not() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = nodes.look("n3");
    // Peers speak on 7001: n3 is alone. Clients speak on 7000, and go on.
    nodes.scenario(&one_after_the_other(&[
        "partition: {isolate: n3, ports: [7001]}",
        "partition: {isolate: n3, ports: [client], clients: true}",
    ]));
    nodes.home.run("run s.yaml -v").expect(
        0,
        &[
            "n1 -> n3:7001: no answer",
            "n1 -> n3: 3 of 3 datagrams",
            "n1 -> n3:7001: accepted",
            "clients -> n3:7000: no answer",
            "clients -> n3:7000: accepted",
        ],
    );
    assert_eq!(before, nodes.look("n3"));
}

#[test]
fn a_port_that_the_target_does_not_name_is_refused_while_planning() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    nodes.scenario(&one_after_the_other(&["partition: {isolate: n3, ports: [peer]}"]));
    nodes.home.run("plan s.yaml").expect(2, &["none of its ports is called `peer`", "client"]);
}

/// Somebody on their network who is no node: reached by name, cut off, reached again.
#[test]
fn an_outside_host_is_cut_off_by_its_name() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let outside = format!("outside-{:08x}", rand::random::<u32>());
    docker(&format!(
        "run --detach --interactive --name {outside} --network {} --entrypoint /firedrill firedrill/store-of-tests agent-within \
         --lease 1h",
        nodes.network()
    ));
    nodes.scenario(&one_after_the_other(&[&format!(
        "partition: {{isolate: n3, outside: [{outside}], ports: [9999]}}"
    )]));
    let ran = nodes.home.run("run s.yaml -v");
    docker(&format!("rm --force {outside}"));
    let cut = format!("n3 -> {outside} (");
    let (no, yes) = (":9999): no answer", ":9999): refused");
    ran.expect(0, &[&cut, no, yes]);
    nodes.assert_no_helpers();
    std::fs::remove_dir_all(nodes.home.path("reports")).unwrap();
    nodes.scenario(&one_after_the_other(&[&format!(
        "partition: {{isolate: n3, outside: [{outside}]}}"
    )]));
    nodes.home.run("run s.yaml").expect(3, &[&outside, "is not resolved"]);
    nodes.assert_no_helpers();
}

#[test]
fn a_runner_that_is_killed_while_it_takes_gives_all_of_it_back() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running(OWN_DISK);
    let before = nodes.look("n3");
    let faults: String = TAKEN
        .iter()
        .map(|(inject, _)| format!("  - {{at: 1s, for: 60s, inject: {{{inject}}}}}\n"))
        .collect();
    nodes.scenario(&faults);
    let mut drill = nodes.home.start("run s.yaml");
    for fault in 1..=TAKEN.len() {
        drill.wait_for(&format!("fault {fault}: injected"));
    }
    assert_ne!(before, nodes.look("n3"), "what is taken can be seen");
    drill.signal(Signal::KILL);
    drill.end();
    eventually("the node is as it was", || match nodes.look("n3") {
        now if now == before => Ok(()),
        now => Err(now),
    });
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
}

/// Seen by a program of nobody's making but the test's: in the node it reads the wrong time while it is wrong, and
/// soon after everybody who could tell it wrong was killed, the right one.
#[test]
fn a_clock_is_wrong_for_who_starts_in_the_node_and_right_when_all_are_killed() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    nodes.scenario("  - {at: 1s, for: 60s, inject: {clock-skew: {nodes: n3, offset: +2h}}}\n");
    let mut drill = nodes.home.start("run s.yaml");
    drill.wait_for("fault 1: injected");
    let off = nodes.clock_off("n3");
    assert!((7190..7210).contains(&off), "off by {off} s");
    assert!(nodes.clock_off("n1") < 2, "n1 is not struck");
    drill.signal(Signal::KILL);
    nodes.helpers().iter().filter(|name| name.contains("-n3-")).for_each(|name| {
        containers::try_docker(&format!("kill --signal KILL {name}"));
    });
    drill.end();
    eventually("the clock is right", || match nodes.clock_off("n3") {
        off if off < 2 => Ok(()),
        off => Err(format!("off by {off} s")),
    });
    nodes.assert_no_helpers();
}

/// The nodes speak among themselves over IPv6 alone, and so they can be cut off over nothing else.
#[test]
fn what_is_spoken_over_ipv6_is_cut_as_well() {
    if !engine() {
        return;
    }
    let nodes = Nodes::speaking_ipv6();
    let before = nodes.look("n3");
    let of = "{{range.NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}";
    let address = |n| docker(&format!("inspect --format {of} {}", nodes.container(n)));
    let (n1, n3) = (address("n1"), address("n3"));
    let outside = format!("outside-{:08x}", rand::random::<u32>());
    docker(&format!(
        "run --detach --interactive --name {outside} --network {} --entrypoint /firedrill firedrill/store-of-tests agent-within \
         --lease 1h",
        nodes.network()
    ));
    let stranger = docker(&format!("inspect --format {of} {outside}"));
    assert!([&n1, &n3, &stranger].iter().all(|one| one.starts_with("fd0f:")), "{n1} {stranger}");
    nodes.scenario(&one_after_the_other(&[
        "partition: {isolate: n3}",
        "partition: {isolate: n3, ports: [7001]}",
        &format!("partition: {{isolate: n3, outside: ['{stranger}'], ports: [9999]}}"),
    ]));
    let mut drill = nodes.home.start("run s.yaml -v");
    drill.wait_for("fault 1: injected");
    let arrives = || nodes.arrives("n1", &n3, 7001);
    assert!(!arrives(), "n3 is isolated");
    drill.wait_for("fault 1: healed");
    eventually("it is reached", || if arrives() { Ok(()) } else { Err("not yet".into()) });
    let ran = drill.end();
    docker(&format!("rm --force {outside}"));
    let (no, yes) = (
        format!("n3 -> {stranger} ([{stranger}]:9999): no answer"),
        format!("n3 -> {stranger} ([{stranger}]:9999): refused"),
    );
    ran.expect(0, &["n1 -> n3:7001: no answer", "n1 -> n3:7001: accepted", &no, &yes]);
    assert_eq!(before, nodes.look("n3"));
    nodes.assert_no_helpers();
}
