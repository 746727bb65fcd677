//! The cluster itself fails in mid-drill: its API server, a kubelet, a whole machine. Traffic is back within the lease,
//! no operation is lost, the runner goes on and says what it could not prove, and nothing is left.

mod lab;
mod runner;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use firedrill::history::file;
use lab::{Cluster, Members, cluster, so};
use runner::{Going, Ran, eventually};

/// How long each outage lasts.
const OUTAGE: Duration = Duration::from_secs(30);

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lab_of_its_own() -> Option<(&'static Cluster, MutexGuard<'static, ()>)> {
    let lab = cluster().filter(|cluster| cluster.is_lab()).map(|cluster| (cluster, alone()));
    if lab.is_none() {
        println!("skipped: only the lab can be broken");
    }
    lab
}

/// Ends an outage even where a test fails in it.
struct Outage(Box<dyn Fn()>);

impl Drop for Outage {
    fn drop(&mut self) {
        self.0();
    }
}

fn signal_api_server(signal: &str) {
    let program = lab::folder().join("bin/kube-apiserver");
    let sent = std::process::Command::new("pkill")
        .args([signal, "-f", &format!("^{}", program.display())])
        .status();
    assert!(sent.unwrap().success(), "no API server gets {signal}");
}

/// A drill that cuts off etcd-1 for most of the outage, and goes on until well after it.
fn cut_off(members: &Members) -> Going {
    members.scenario(
        "  - {at: 1s, for: 50s, inject: {partition: {isolate: etcd-1, clients: true}}}\n",
    );
    let text = members.home.read("s.yaml").replace("recover: 4s", "recover: 15s");
    members.home.write("s.yaml", &text);
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    drill
}

/// How many operations ended in each second since the drill began, while there was load.
fn ended_each_second(members: &Members) -> Vec<usize> {
    let path = members.home.the_run().join("history.jsonl.zst");
    let record = file::read(&path).unwrap();
    let mut seconds = vec![];
    for operation in &record.operations {
        let Some(returned) = operation.returned else { continue };
        let second = returned.as_secs_f64() as usize;
        if seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        seconds[second] += 1;
    }
    seconds
}

/// Clients went on all the while, and each of their operations is written down.
fn assert_nothing_lost(members: &Members, ran: &Ran) {
    let seconds = ended_each_second(members);
    let idle = seconds[1..60].iter().filter(|ended| **ended == 0).count();
    assert!(idle <= 3, "{idle} seconds without an operation: {seconds:?}\n{}", ran.err);
}

fn is_cut(members: &Members) -> bool {
    members.network("etcd-1").contains("drop")
}

#[test]
fn an_api_server_that_does_not_answer_for_a_while_costs_the_proof_and_nothing_else() {
    let Some((cluster, _alone)) = lab_of_its_own() else { return };
    let members = cluster.members();
    let at = "get pod etcd-1 -o jsonpath={.spec.nodeName}/{.status.podIP}";
    let said = members.kubectl(at);
    let (machine, address) = said.split_once('/').unwrap();
    let before = members.networks();
    let drill = cut_off(&members);
    assert!(is_cut(&members));
    signal_api_server("-STOP");
    let outage = Outage(Box::new(|| signal_api_server("-CONT")));
    let began = Instant::now();
    // Nobody renews the lease (2 s) any more: the kernel takes the cut back.
    eventually("traffic is back", || {
        let network = members.network_at(machine, address);
        so(!network.contains("drop"), || network.clone())
    });
    thread::sleep(OUTAGE.saturating_sub(began.elapsed()));
    drop(outage);
    let ran = drill.end().expect(3, &["fault 1 partition", "until a new agent held them"]);
    assert_nothing_lost(&members, &ran);
    members.assert_no_agents();
    assert_eq!(members.networks(), before);
    members.home.assert_nothing_left();
}

#[test]
fn a_kubelet_that_is_gone_for_a_while_costs_the_proof_and_nothing_else() {
    let Some((cluster, _alone)) = lab_of_its_own() else { return };
    let members = cluster.members();
    let machine = members.kubectl("get pod etcd-1 -o jsonpath={.spec.nodeName}");
    let before = members.networks();
    let drill = cut_off(&members);
    assert!(is_cut(&members));
    let signal = |signal: &str, members: &Members| {
        members.inside(&machine, &format!("pkill {signal} -f '[b]in/kubelet'"));
    };
    signal("-STOP", &members);
    eventually("traffic is back", || so(!is_cut(&members), || "not yet".into()));
    // Its machine is noticed to be silent meanwhile, and given back by the time that it speaks again.
    thread::sleep(Duration::from_secs(10));
    signal("-CONT", &members);
    let ran = drill.end().expect(3, &["fault 1 partition", "until a new agent held them"]);
    assert_nothing_lost(&members, &ran);
    members.assert_no_agents();
    assert_eq!(members.networks(), before);
}

#[test]
fn a_machine_that_dies_and_comes_back_in_mid_drill_has_nothing_left_of_it() {
    let Some((cluster, _alone)) = lab_of_its_own() else { return };
    let members = cluster.members();
    let machine = members.kubectl("get pod etcd-1 -o jsonpath={.spec.nodeName}");
    let drill = cut_off(&members);
    cluster.node("kill", machine.trim_start_matches('n'));
    thread::sleep(Duration::from_secs(5));
    cluster.node("start", machine.trim_start_matches('n'));
    eventually("its member is cut off again", || {
        let there = cluster.try_kubectl(&format!(
            "--namespace {} get pod etcd-1 -o jsonpath={{.status.podIP}}",
            members.namespace
        ));
        so(!there.stdout.is_empty() && is_cut(&members), || "not yet".into())
    });
    let ran = drill.end().expect(3, &["etcd-1 died, and not by firedrill"]);
    assert_nothing_lost(&members, &ran);
    members.assert_no_agents();
    assert!(!members.networks().iter().any(|network| network.contains("drop")));
    members.home.assert_nothing_left();
}
