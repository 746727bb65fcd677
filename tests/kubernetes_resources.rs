//! What is taken from a pod: processors, memory, room on a disk, the right time. In a real cluster, each proven, held
//! over restarts and the death of whoever holds it, and gone afterwards.

mod lab;
mod runner;

use std::sync::{Mutex, MutexGuard, PoisonError};

use lab::{Members, cluster, so};
use runner::eventually;

/// One at a time: what looks for processes on a machine must not find another test's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each on etcd-2 alone: what is injected, and what the proof says.
const TAKEN: [(&str, &str); 4] = [
    ("cpu-stress: {nodes: etcd-2, workers: 2, load: 50%}", "the stress computes on"),
    ("memory-stress: {nodes: etcd-2, size: 32MiB}", "asked 32MiB"),
    ("disk-full: {nodes: etcd-2, path: /full}", "/full is full"),
    ("clock-skew: {nodes: etcd-2, offset: -10m}", "the clock that a process reads is off by -"),
];

fn one_after_the_other(faults: &[&str]) -> String {
    let line = |(i, inject): (usize, &&str)| {
        format!("  - {{at: {}ms, for: 1s, inject: {{{inject}}}}}\n", 1000 + 2500 * i)
    };
    faults.iter().enumerate().map(line).collect()
}

/// The processes on a pod's machine whose command line has this in it, of a drill of these tests.
fn processes(members: &Members, pod: &str, words: &str) -> Vec<String> {
    let machine = members.kubectl(&format!("get pod {pod} -o jsonpath={{.spec.nodeName}}"));
    let look = format!(
        "for p in $(pgrep -f '[/]firedrill {words}'); do if tr '\\0' '\\n' </proc/$p/environ | grep -q '=pods-'; then \
         echo $p; fi; done"
    );
    let found = members.inside(&machine, &look);
    found.lines().map(String::from).collect()
}

#[test]
fn what_is_taken_from_a_pod_is_proven_and_given_back() {
    let Some(cluster) = cluster() else { return };
    let _alone = alone();
    let members = cluster.members_with_disks();
    members.scenario(&one_after_the_other(&TAKEN.map(|(inject, _)| inject)));
    let mut said: Vec<&str> = TAKEN.iter().map(|(_, proof)| *proof).collect();
    said.extend(["nothing is taken from it any more", "/full has room", "wrong by -10m: healed"]);
    let out = members.home.at_work_by(|| members.command("run s.yaml -v")).expect(0, &said);
    // One agent a pod and drill, whatever it was told.
    let agents = "get pod etcd-2 -o jsonpath={.spec.ephemeralContainers[*].name}";
    assert_eq!(members.kubectl(agents).split_whitespace().count(), 1, "{}", out.err);
    members.assert_no_agents();
    // A limit is the container's own: it is refused while planning.
    members.scenario("  - {at: 1s, for: 1s, inject: {cpu-limit: {nodes: etcd-2, cpus: 0.5}}}\n");
    let refused = members.home.start_command(members.command("plan s.yaml")).end();
    refused.expect(2, &["cpu-limit", "target docker"]);
}

#[test]
fn a_container_that_is_started_anew_suffers_what_the_old_one_did() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_lab()) else {
        println!("skipped: only the lab's machines can be looked into");
        return;
    };
    let _alone = alone();
    let members = cluster.members_with_disks();
    members.scenario(
        "  - {at: 1s, for: 8s, inject: {cpu-stress: {nodes: etcd-0, workers: 1, load: 20%}}}\n  - {at: 1s, for: 8s, \
         inject: {disk-full: {nodes: etcd-0, path: /full}}}\n  - {at: 2s, for: 1s, inject: {crash: {nodes: etcd-0}}}\n",
    );
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    let before = processes(&members, "etcd-0", "agent-stress");
    assert_eq!(before.len(), 1);
    drill.wait_for("fault 3: healed");
    eventually("another stress beside another process", || {
        let now = processes(&members, "etcd-0", "agent-stress");
        so(now.len() == 1 && now != before, || format!("{now:?}"))
    });
    drill.end().expect(0, &["/full has room", "nothing is taken from it any more", "PASS  pods"]);
    assert!(processes(&members, "etcd-0", "agent").is_empty());
}

#[test]
fn an_agent_among_processes_that_is_killed_is_made_anew_and_the_gap_is_told() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_lab()) else {
        println!("skipped: only the lab's machines can be looked into");
        return;
    };
    let _alone = alone();
    let members = cluster.members();
    let faults = [
        ("pause: {nodes: etcd-1}", "its processes went on until a new agent came"),
        (
            "cpu-stress: {nodes: etcd-1, workers: 1}",
            "nothing was taken from it until a new agent came",
        ),
    ];
    for (inject, told) in faults {
        members.scenario(&format!("  - {{at: 1s, for: 6s, inject: {{{inject}}}}}\n"));
        let mut drill = members.home.start_command(members.command("run s.yaml -v"));
        drill.wait_for("fault 1: injected");
        let agents = processes(&members, "etcd-1", "agent-within");
        let machine = members.kubectl("get pod etcd-1 -o jsonpath={.spec.nodeName}");
        members.inside(&machine, &format!("kill -KILL {}", agents.join(" ")));
        eventually("another agent is there", || {
            let now = processes(&members, "etcd-1", "agent-within");
            so(!now.is_empty() && now != agents, || format!("{now:?}"))
        });
        drill.end().expect(3, &[told]);
        assert!(processes(&members, "etcd-1", "agent").is_empty());
    }
}
