//! An agent in a pod is killed by SIGKILL at any instant of a drill: what it held is gone with it, or another agent
//! holds it; the record says when nothing was held; and nothing is left in the end.

mod lab;
mod runner;

use std::thread;
use std::time::{Duration, Instant};

use lab::{Cluster, Members, cluster, so};
use runner::{Going, PATIENCE, eventually};

/// What is injected into etcd-2, and what stands in its pod's network while an agent holds it.
const FAULTS: [(&str, &str); 3] = [
    ("partition: {isolate: etcd-2, clients: true}", "drop"),
    ("partition: {isolate: etcd-2, ports: [2380], direction: to}", "drop"),
    ("dns: {nodes: etcd-2, answer: silence}", "dport 53"),
];

/// When to strike: so many milliseconds after the runner said this, and whether something must be held then.
const INSTANTS: [(&str, u64, bool); 4] = [
    ("fault 1: injecting", 40, false),
    ("fault 1: injected", 100, true),
    ("fault 1: injected", 1500, true),
    ("fault 1: injected", 2990, false),
];

/// How long each fault holds, in milliseconds.
const HOLDS: u64 = 3000;

/// Starts a drill and waits for the words; another, where a busy machine kept the clients from their work.
fn drill_until(members: &Members, said: &str) -> Going {
    for _ in 0..10 {
        let mut drill = members.home.start_command(members.command("run s.yaml -v"));
        let began = Instant::now();
        while !drill.said().contains(said) && drill.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < 2 * PATIENCE, "no `{said}`: {}", drill.said());
            thread::sleep(Duration::from_millis(5));
        }
        if drill.said().contains(said) {
            return drill;
        }
        assert!(drill.said().contains("steady state NOT reached"), "{}", drill.said());
        std::fs::remove_dir_all(members.home.path("reports")).unwrap();
    }
    panic!("this machine is too busy: the steady state was never reached");
}

/// The agents in etcd-2 that the machine's runtime runs, by their containers' ids.
fn agents(members: &Members) -> Vec<String> {
    let ids = "{.status.ephemeralContainerStatuses[?(@.state.running)].containerID}";
    let said = members.kubectl(&format!("get pod etcd-2 -o jsonpath={ids}"));
    said.split_whitespace().map(|id| id.trim_start_matches("containerd://").to_string()).collect()
}

fn killed(cluster: &'static Cluster, inject: &str, held: &str) {
    let members = cluster.members();
    let machine = members.kubectl("get pod etcd-2 -o jsonpath={.spec.nodeName}");
    members.scenario(&format!("  - {{at: 600ms, for: {HOLDS}ms, inject: {{{inject}}}}}\n"));
    let before = members.networks();
    let pod = members.pod("etcd-2");
    let holds = || members.network("etcd-2").contains(held);
    assert!(!holds(), "{inject}: `{held}` is there before anything is injected");
    for (said, after, must_hold) in INSTANTS {
        let what = format!("{inject}, its agent killed {after} ms after `{said}`");
        let drill = drill_until(&members, said);
        let [old] = &agents(&members)[..] else { panic!("{what}: not one agent in etcd-2") };
        thread::sleep(Duration::from_millis(after));
        // No output means that it was there.
        members.inside(&machine, &format!("ctr -n k8s.io task kill -s SIGKILL {old} || true"));
        eventually(&format!("{what}: nothing holds, or another agent does"), || {
            let another = agents(&members).iter().any(|id| id != old);
            so(another || members.networks() == before, || members.network("etcd-2"))
        });
        let ran = drill.end();
        let well = matches!(ran.code, Some(0 | 3)) && !ran.err.contains("panicked");
        assert!(well, "{what}: {:?}\n{}\n{}", ran.code, ran.out, ran.err);
        let told = ran.out.contains("until a new agent held")
            || ran.err.contains("until a new agent held");
        assert!(!must_hold || told, "{what}: no lapse is told\n{}\n{}", ran.out, ran.err);
        members.assert_no_agents();
        eventually(&format!("{what}: as before"), || {
            so(members.networks() == before, || members.networks().join("\n"))
        });
        members.home.assert_nothing_left();
        assert_eq!(members.pod("etcd-2"), pod, "{what}: neither pod nor process was touched");
        std::fs::remove_dir_all(members.home.path("reports")).unwrap();
    }
}

#[test]
fn an_agent_that_is_killed_at_any_instant_lets_go_and_the_gap_is_told() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_lab()) else {
        println!("skipped: only the lab's machines can be looked into");
        return;
    };
    thread::scope(|scope| {
        for (inject, held) in FAULTS {
            scope.spawn(move || killed(cluster, inject, held));
        }
    });
}
