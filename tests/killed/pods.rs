//! Nothing is left behind in a cluster, fault by fault and instant by instant: the runner, or the agent in a pod, is
//! killed by SIGKILL before, while and after something is injected or healed, and every pod, machine and controller is
//! as it was. Where an agent is killed, the drill goes on, and tells when nothing was held.

use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::lab::{Cluster, Members, cluster, so};
use crate::runner::{Going, eventually};

/// How many sets of members are drilled at once.
const AT_ONCE: usize = 4;
/// How long each fault holds, in milliseconds: where the runner is killed, ...
const HOLDS: u64 = 700;
/// ... and where an agent is: long enough for another one to come.
const HOLDS_ON: u64 = 2000;
/// An agent that is killed meanwhile leaves a gap, which is told.
const HOLDING: std::ops::Range<u64> = 200..HOLDS_ON - 500;

/// What is injected into etcd-2; what stands behind a `;` at the same time. Whether its pod stays, and its process.
const FAULTS: [(&str, bool, bool); 9] = [
    (
        "partition: {isolate: etcd-2, clients: true}; dns: {nodes: etcd-2, answer: silence}",
        true,
        true,
    ),
    ("partition: {isolate: etcd-2, ports: [2380], direction: to}", true, true),
    ("reject: {nodes: etcd-2}", true, true),
    ("pause: {nodes: etcd-2}", true, true),
    ("crash: {nodes: etcd-2}", false, false),
    ("kill: {nodes: etcd-2}", false, false),
    ("scale: {to: 2}", false, false),
    (
        "cpu-stress: {nodes: etcd-2, workers: 1, load: 20%}; disk-full: {nodes: etcd-2, path: /full}; clock-skew: \
         {nodes: etcd-2, offset: +1h}",
        true,
        true,
    ),
    ("drain: {nodes: etcd-2}; taint: {nodes: etcd-0, key: drill}", false, false),
];

/// Whoever closes machines is alone: others' pods could not come back there.
static MACHINES: RwLock<()> = RwLock::new(());

/// Kills at ten instants of one of the faults.
type Strike = fn(&'static Cluster, usize);

/// When to strike: so many milliseconds after the runner said this. Nothing: after its start.
type When = (&'static str, u64);

/// Ten of them: while agents join the pods, while it is injected, while it holds, while it is healed.
fn instants(rng: &mut ChaCha8Rng) -> Vec<When> {
    let spans = [
        ("", 100..1500, 2),
        ("fault 1: injecting", 0..120, 3),
        ("fault 1: injected", 0..HOLDS - 50, 2),
        ("fault 1: injected", HOLDS - 20..HOLDS + 150, 3),
    ];
    let draw = |(said, span, count): (&'static str, std::ops::Range<u64>, usize)| {
        (0..count).map(|_| (said, rng.random_range(span.clone()))).collect::<Vec<_>>()
    };
    spans.into_iter().flat_map(draw).collect()
}

fn scenario(members: &Members, inject: &str, holds: u64) {
    let step =
        |one: &str| format!("  - {{at: 600ms, for: {holds}ms, inject: {{{}}}}}\n", one.trim());
    members.scenario(&inject.split(';').map(step).collect::<String>());
    let text = members.home.read("s.yaml");
    let text = text
        .replace("window: 900ms, success: 20%, rate: 10%", "window: 500ms, success: 1%, rate: 1%");
    let text = text.replace("recover: 4s", "recover: 1s");
    members.home.write("s.yaml", &text.replace("selector: app=etcd", "statefulset: etcd"));
}

/// All that a drill changes: what filters and shapes each pod's network, whether its processes stand still, what loads
/// it, its disk, the machines, the controller, and which objects there are.
fn look(
    members: &Members,
    (pod_stays, process_stays): (bool, bool),
) -> Result<Vec<String>, String> {
    let held = "{.metadata.annotations.firedrill\\.held}{.metadata.labels.firedrill\\.run}";
    let of_machine = format!("{{.metadata.name}}{{.spec.unschedulable}}{{.spec.taints}}{held}");
    let machines = format!("get nodes -o jsonpath={{range.items[*]}}{of_machine}{{'\\n'}}{{end}}");
    let mut all = vec![
        members.cluster.kubectl(&machines),
        members.kubectl(&format!("get statefulset etcd -o jsonpath={{.spec.replicas}}{held}")),
        members.kubectl(
            "get pods,statefulsets,services,endpointslices,configmaps,secrets,jobs -o name",
        ),
    ];
    for pod in ["etcd-0", "etcd-1", "etcd-2"] {
        let what = "{.spec.nodeName}/{.status.podIP}/{.metadata.uid}/{.status.containerStatuses[0].restartCount}/{.status.containerStatuses[0].ready}{.metadata.deletionTimestamp}";
        let said = members.cluster.try_kubectl(&format!(
            "--namespace {} get pod {pod} -o jsonpath={what}",
            members.namespace
        ));
        let said = String::from_utf8_lossy(&said.stdout).to_string();
        let [machine, address, uid, restarts, ready] = &said.split('/').collect::<Vec<_>>()[..]
        else {
            return Err(format!("{pod} is not there: {said}"));
        };
        if *ready != "true" {
            return Err(format!("{pod} is not ready"));
        }
        if pod_stays || pod != "etcd-2" {
            all.push(uid.to_string());
        }
        if process_stays || pod != "etcd-2" {
            all.push(restarts.to_string());
        }
        let network = members.network_at(machine, address);
        if network.is_empty() {
            return Err(format!("{pod} has no network"));
        }
        // A device's number and address differ from pod to pod.
        all.push(if pod_stays { network } else { filters(&network) });
        let own = format!("{}-{pod}", members.namespace);
        // Whether it stands still; what its clock shows nobody tells, but that every agent is gone.
        let still = format!(
            "for p in $(pgrep -f '[/]data/{own}'); do grep -h '^State' /proc/$p/task/*/status; done | grep -c '[Tt] (' || true"
        );
        all.push(format!("{pod} stands still: {}", members.inside(machine, &still).trim()));
        // Its files, as whoever sees its process sees them.
        let root = "root";
        let full = format!(
            "for p in $(pgrep -f '[/]data/{own}'); do df --output=used /proc/$p/{root}/full | tail -n 1; done"
        );
        all.push(format!("{pod} has filled: {}", members.inside(machine, &full).trim()));
    }
    Ok(all)
}

/// What filters, shapes or diverts.
fn filters(network: &str) -> String {
    let no_device = |line: &&str| !line.contains("link/") && !line.contains("qdisc noqueue");
    network.lines().filter(no_device).collect::<Vec<_>>().join("\n")
}

fn drill_until(members: &Members, said: &str) -> Going {
    let start = || members.home.start_command(members.command("run s.yaml"));
    crate::drill_until(&members.home, said, start)
}

fn as_before(members: &Members, before: &[String], stays: (bool, bool), what: &str) {
    members.home.assert_nothing_left();
    members.assert_no_agents();
    let same = || {
        let now = look(members, stays)?;
        so(now == before, || format!("{}\n--- was ---\n{}", now.join("\n"), before.join("\n")))
    };
    eventually(&format!("{what}: all is as before"), same);
    thread::sleep(Duration::from_millis(300));
    if let Err(why) = same() {
        panic!("{what}: it did not stay as it was: {why}");
    }
}

fn killed_at_any_instant(cluster: &'static Cluster, number: usize) {
    let (inject, pod_stays, process_stays) = FAULTS[number];
    let stays = (pod_stays, process_stays);
    let closes = inject.contains("drain");
    let (shared, alone) = match closes {
        true => (None, Some(MACHINES.write().unwrap())),
        false => (Some(MACHINES.read().unwrap()), None),
    };
    let members = cluster.members_with_disks();
    scenario(&members, inject, HOLDS);
    let before = look(&members, stays).unwrap();
    let mut met = 0;
    let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
    let instants = instants(&mut rng);
    for (at, instant) in instants.iter().enumerate() {
        let what = format!("{inject}, killed {instant:?}");
        let mut drill = drill_until(&members, instant.0);
        thread::sleep(Duration::from_millis(instant.1));
        met += usize::from(drill.child.try_wait().unwrap().is_none());
        // Every third time whoever would undo it dies too: what does not go by itself is left to `heal`.
        let no_heir = at % 3 == 2;
        if no_heir {
            for (pid, command) in members.home.processes() {
                if command.contains("watchdog") {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
        }
        drill.signal(Signal::KILL);
        drill.end();
        if members.home.runs().is_empty() {
            continue; // killed before it began anything
        }
        if no_heir {
            let healed = members.command("heal").output().unwrap();
            let said = String::from_utf8_lossy(&healed.stderr).to_string();
            assert!(healed.status.success(), "{what}: {said}");
        }
        as_before(&members, &before, stays, &what);
        if inject.starts_with("crash") {
            // A container that crashes often is started later and later; another pod's is not.
            members.kubectl("delete pod etcd-2 --wait=false");
            as_before(&members, &before, stays, "another pod");
        }
        std::fs::remove_dir_all(members.home.path("reports")).unwrap();
    }
    assert!(met > instants.len() / 2, "{inject}: only {met} kills met a drill that went");
    drop((shared, alone));
}

/// The agents in etcd-2 that the machine's runtime runs, by their containers' ids.
fn agents(members: &Members) -> Vec<String> {
    let ids = "{.status.ephemeralContainerStatuses[?(@.state.running)].containerID}";
    let said = members.kubectl(&format!("get pod etcd-2 -o jsonpath={ids}"));
    said.split_whitespace().map(|id| id.trim_start_matches("containerd://").to_string()).collect()
}

/// Ten of them, in milliseconds after an agent is told to inject: while it does, while it holds, while it heals.
fn instants_of_agents(rng: &mut ChaCha8Rng) -> Vec<u64> {
    let spans =
        [(0..100, 3), (HOLDING.start..HOLDING.end - 200, 4), (HOLDS_ON - 200..HOLDS_ON + 100, 3)];
    let draw = |(span, count): (std::ops::Range<u64>, usize)| {
        (0..count).map(|_| rng.random_range(span.clone())).collect::<Vec<_>>()
    };
    spans.into_iter().flat_map(draw).collect()
}

fn agent_killed_at_any_instant(cluster: &'static Cluster, number: usize) {
    let (inject, pod_stays, process_stays) = FAULTS[number];
    let stays = (pod_stays, process_stays);
    let shared = MACHINES.read().unwrap();
    let members = cluster.members_with_disks();
    let machine = members.kubectl("get pod etcd-2 -o jsonpath={.spec.nodeName}");
    scenario(&members, inject, HOLDS_ON);
    let before = look(&members, stays).unwrap();
    let mut met = 0;
    let instants = instants_of_agents(&mut ChaCha8Rng::seed_from_u64(number as u64));
    for instant in instants {
        let what = format!("{inject}, its agent killed after {instant} ms");
        let drill = drill_until(&members, "fault 1: injecting");
        let began = Instant::now();
        // An earlier drill's may be ending yet.
        let all = agents(&members);
        let agent = all.last().unwrap_or_else(|| panic!("{what}: none is there"));
        thread::sleep(Duration::from_millis(instant).saturating_sub(began.elapsed()));
        let kill = format!("ctr -n k8s.io task kill -s SIGKILL {agent} && echo killed || true");
        let killed = members.inside(&machine, &kill).contains("killed");
        let within = began.elapsed().as_millis() as u64;
        met += usize::from(killed);
        let ran = drill.end();
        let well = matches!(ran.code, Some(0 | 3)) && !ran.err.contains("panicked");
        assert!(well, "{what}: {:?}\n{}\n{}", ran.code, ran.out, ran.err);
        let words = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = words.contains("its agent was gone: ") && words.contains("until a new agent");
        assert!(
            told || !killed || !HOLDING.contains(&within),
            "{what}: no gap is told\n{}\n{}",
            ran.out,
            ran.err
        );
        as_before(&members, &before, stays, &what);
        std::fs::remove_dir_all(members.home.path("reports")).unwrap();
    }
    assert!(met >= 8, "{inject}: only {met} kills met an agent");
    drop(shared);
}

#[test]
fn a_runner_or_an_agent_that_is_killed_at_any_instant_leaves_the_cluster_as_it_was() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_lab()) else {
        println!("skipped: only the lab's machines can be looked into");
        return;
    };
    let of_runners = (0..FAULTS.len()).map(|number| (number, killed_at_any_instant as Strike));
    // Of what an agent holds: by a crash its own container's end comes as well.
    let held = (0..FAULTS.len()).filter(|number| FAULTS[*number].2);
    let of_agents = held.map(|number| (number, agent_killed_at_any_instant as Strike));
    let all: Vec<(usize, Strike)> = of_runners.chain(of_agents).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, strike)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    strike(cluster, *number);
                }
            });
        }
    });
}
