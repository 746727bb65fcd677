//! Nothing is left behind, fault by fault and instant by instant: the runner, or the agent of a struck node, is
//! killed by SIGKILL before, while and after something is injected or healed, and every node is as it was.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::containers::{Nodes, engine, try_docker};
use crate::runner::{Going, eventually};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// How many sets of nodes are drilled at once.
const AT_ONCE: usize = 3;
/// How long each fault holds.
const HOLDS: u64 = 700;

/// What is injected into n3, and whether its container is started again by the engine. What stands behind a `;` is
/// injected at the same time.
const FAULTS: [(&str, &str, bool); 12] = [
    ("partition", "partition: {isolate: n3, clients: true}", false),
    ("one-way partition", "partition: {isolate: n3, direction: to}", false),
    ("latency", "latency: {nodes: n3, latency: 100ms, jitter: 10ms}", false),
    ("loss", "loss: {nodes: n3, loss: 30%}", false),
    ("reject", "reject: {nodes: n3}", false),
    ("kill", "kill: {nodes: n3}", false),
    ("stop", "stop: {nodes: n3}", false),
    ("pause", "pause: {nodes: n3}", false),
    ("crash", "crash: {nodes: n3}", true),
    (
        "ports and look-ups",
        "partition: {isolate: n3, ports: [7001, client], clients: true}; dns: {nodes: n3, answer: silence}",
        false,
    ),
    (
        "limits and stress",
        "cpu-limit: {nodes: n3, cpus: 0.5}; memory-limit: {nodes: n3, limit: 512MiB}; io-throttle: {nodes: n3, \
         read: 1MiB/s, write: 1MiB/s}; cpu-stress: {nodes: n3, workers: 1, load: 20%}; memory-stress: {nodes: \
         n3, size: 8MiB}",
        false,
    ),
    (
        "disk and clock",
        "disk-full: {nodes: n3, path: /full}; clock-skew: {nodes: n3, offset: +1h}",
        false,
    ),
];

/// The faults of a scenario, all at once.
fn steps(inject: &str, length: &str) -> String {
    let step =
        |one: &str| format!("  - {{at: 600ms, for: {length}, inject: {{{}}}}}\n", one.trim());
    inject.split(';').map(step).collect()
}

/// When to strike: so many milliseconds after the runner said this. Nothing: after its start.
type Instant = (&'static str, u64);

/// Ten of them: while agents are put beside the nodes, while it is injected, while it holds, while it is healed.
fn instants(rng: &mut ChaCha8Rng) -> Vec<Instant> {
    let spans = [
        ("", 100..900, 2),
        ("fault 1: injecting", 0..120, 3),
        ("fault 1: injected", 0..HOLDS - 50, 2),
        ("fault 1: injected", HOLDS - 20..HOLDS + 150, 3),
    ];
    let draw = |(said, span, count): (&'static str, std::ops::Range<u64>, usize)| {
        (0..count).map(|_| (said, rng.random_range(span.clone()))).collect::<Vec<_>>()
    };
    spans.into_iter().flat_map(draw).collect()
}

fn look(nodes: &Nodes) -> [String; 3] {
    NODES.map(|node| nodes.look(node))
}

fn same(before: &[String; 3], nodes: &Nodes) -> Result<(), String> {
    let now = look(nodes);
    match *before == now {
        true => Ok(()),
        false => Err(format!("{}\n--- was ---\n{}", now.join("\n"), before.join("\n"))),
    }
}

fn drill_until(nodes: &Nodes, said: &str) -> Going {
    crate::drill_until(&nodes.home, said, || nodes.home.start("run s.yaml"))
}

/// Waits for the rest of the instant. Whether the runner was there to see it.
fn sees(drill: &mut Going, after: u64) -> bool {
    thread::sleep(Duration::from_millis(after));
    drill.child.try_wait().unwrap().is_none()
}

/// Everything is as it was, and stays so: nobody is left who could still do something.
fn assert_as_before(nodes: &Nodes, before: &[String; 3], reached: &str, what: &str) {
    nodes.home.assert_nothing_left();
    nodes.assert_no_helpers();
    eventually(&format!("{what}: the nodes are as before"), || same(before, nodes));
    thread::sleep(Duration::from_millis(500));
    if let Err(why) = same(before, nodes) {
        panic!("{what}: the nodes did not stay as they were: {why}");
    }
    eventually(&format!("{what}: everyone reaches everyone"), || match nodes.reached() {
        now if now == reached => Ok(()),
        now => Err(now),
    });
    nodes.assert_no_helpers();
    eventually(&format!("{what}: n3 has the right time"), || match nodes.clock_off("n3") {
        off if off < 2 => Ok(()),
        off => Err(format!("off by {off} s")),
    });
    std::fs::remove_dir_all(nodes.home.path("reports")).unwrap();
}

/// What there is before anything is drilled: three nodes that see each other.
fn running(restarts: bool) -> (Nodes, [String; 3], String) {
    let own_disk = "    tmpfs: ['/full:size=4m']\n";
    let restarts = if restarts { "    restart: always\n" } else { "" };
    let nodes = Nodes::running(&format!("{own_disk}{restarts}"));
    eventually("everyone reaches everyone", || match nodes.reached() {
        all if !all.contains("false") => Ok(()),
        some => Err(some),
    });
    let before = look(&nodes);
    let reached = nodes.reached();
    (nodes, before, reached)
}

/// Does it for each number below `count`, several at once.
fn at_once(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        i if i < count => work(i),
                        _ => break,
                    }
                }
            });
        }
    });
}

#[test]
fn a_runner_that_is_killed_at_any_instant_of_any_fault_leaves_the_nodes_as_they_were() {
    if !engine() {
        return;
    }
    at_once(FAULTS.len(), |i| {
        let (name, inject, restarts) = FAULTS[i];
        let (nodes, before, reached) = running(restarts);
        nodes.brief_scenario(&steps(inject, &format!("{HOLDS}ms")));
        let mut met = 0;
        let instants = instants(&mut ChaCha8Rng::seed_from_u64(i as u64));
        for instant in &instants {
            let mut drill = drill_until(&nodes, instant.0);
            met += usize::from(sees(&mut drill, instant.1));
            drill.signal(Signal::KILL);
            drill.end();
            if nodes.home.runs().is_empty() {
                continue; // killed before it began anything
            }
            assert_as_before(&nodes, &before, &reached, &format!("{name}, killed {instant:?}"));
        }
        assert!(met > instants.len() / 2, "{name}: only {met} kills met a drill that went");
    });
}

#[test]
fn an_agent_that_is_killed_at_any_instant_leaves_the_nodes_as_they_were() {
    if !engine() {
        return;
    }
    let faults = [FAULTS[0], FAULTS[2], FAULTS[9]];
    at_once(faults.len(), |i| {
        let (name, inject, _) = faults[i];
        let (nodes, before, reached) = running(false);
        nodes.brief_scenario(&steps(inject, "2s"));
        let mut rng = ChaCha8Rng::seed_from_u64(100 + i as u64);
        let spans = [
            ("nodes are ready", 0..500),
            ("fault 1: injecting", 0..120),
            ("fault 1: injected", 0..500),
            ("fault 1: injected", 500..1500),
            ("fault 1: injected", 1980..2150),
        ];
        let agents = |nodes: &Nodes| -> Vec<String> {
            nodes.helpers().into_iter().filter(|name| name.contains("-n3-")).collect()
        };
        let mut met = 0;
        for (said, span) in spans {
            let instant = (said, rng.random_range(span));
            let what = format!("{name}, agent killed {instant:?}");
            let mut drill = drill_until(&nodes, instant.0);
            let [old] = &agents(&nodes)[..] else { panic!("{what}: not one agent beside n3") };
            sees(&mut drill, instant.1);
            let killed = try_docker(&format!("kill --signal KILL {old}"));
            met += usize::from(killed.status.success());
            eventually(&format!("{what}: nothing holds, or another agent does"), || match agents(
                &nodes,
            )
            .iter()
            .any(|name| name != old)
            {
                true => Ok(()),
                false => same(&before, &nodes),
            });
            let ran = drill.end();
            let well = matches!(ran.code, Some(0 | 3)) && !ran.err.contains("panicked");
            assert!(well, "{what}: {:?}\n{}\n{}", ran.code, ran.out, ran.err);
            assert_as_before(&nodes, &before, &reached, &what);
        }
        assert!(met >= 3, "{name}: only {met} agents were there to be killed");
    });
}

#[test]
fn a_runner_that_is_killed_while_its_own_project_comes_up_leaves_nothing_of_it() {
    if !engine() {
        return;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(200);
    let instants: Vec<u64> = (0..6).map(|i| i * 500 + rng.random_range(0..500)).collect();
    at_once(instants.len(), |i| {
        let nodes = Nodes::planned("");
        nodes.brief_scenario("  - {at: 600ms, for: 1s, inject: {kill: {nodes: n3}}}\n");
        let mut drill = nodes.home.start("run s.yaml");
        sees(&mut drill, instants[i]);
        drill.signal(Signal::KILL);
        drill.end();
        nodes.home.assert_nothing_left();
        if !nodes.home.runs().is_empty() {
            nodes.assert_no_helpers();
        }
    });
}
