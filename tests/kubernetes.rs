//! Drills of real pods in a real cluster: what is injected is proven, and what was injected is gone whatever ends the
//! drill.

mod lab;
mod runner;

use lab::{cluster, so};
use runner::eventually;
use rustix::process::Signal;

#[test]
fn a_partition_is_proven_and_healed_and_nothing_stays_in_any_pod() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    let before = members.networks();
    assert!(before[0].contains("eth0"), "it is looked into the pods: {before:?}");
    members
        .scenario("  - {at: 1s, for: 2s, inject: {partition: {isolate: etcd-1, clients: true}}}\n");
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    assert!(members.network("etcd-1").contains("drop"), "{}", members.network("etcd-1"));
    drill.end().expect(0, &["etcd-0 -> etcd-1: none of 3", "etcd-0 -> etcd-1: 3 of 3"]);
    assert_eq!(members.networks(), before);
    members.assert_no_agents();
    members.home.assert_nothing_left();
}

#[test]
fn a_runner_that_is_killed_in_mid_fault_leaves_nothing_that_holds() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    let before = members.networks();
    members.scenario("  - {at: 1s, for: 20s, inject: {partition: {isolate: etcd-2}}}\n");
    let mut drill = members.home.start_command(members.command("run s.yaml"));
    drill.wait_for("fault 1: injected");
    assert_ne!(members.networks(), before);
    drill.signal(Signal::KILL);
    drill.end();
    eventually("what it held is gone", || so(members.networks() == before, || "not yet".into()));
    members.assert_no_agents();
}

#[test]
fn a_pod_that_takes_a_members_place_in_mid_partition_is_cut_off_as_well() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    members.scenario("  - {at: 1s, for: 12s, inject: {partition: {isolate: etcd-1}}}\n");
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    let (uid, _) = members.pod("etcd-1");
    members.kubectl("delete pod etcd-1 --grace-period=0 --force --wait=false");
    eventually("another pod of its name is cut off", || {
        let out = cluster.try_kubectl(&format!(
            "--namespace {} get pod etcd-1 -o jsonpath={{.metadata.uid}}{{.status.podIP}}",
            members.namespace
        ));
        let now = String::from_utf8_lossy(&out.stdout).to_string();
        let another = now.contains('.') && !now.contains(&uid);
        so(another && members.network("etcd-1").contains("drop"), || now)
    });
    // A node that somebody else killed makes the drill inconclusive.
    drill.end().expect(3, &["etcd-1 died, and not by firedrill", "fault 1 partition: healed"]);
    assert!(!members.networks().iter().any(|network| network.contains("drop")));
}

#[test]
fn members_are_killed_crashed_and_paused_and_come_back() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    let ((killed, _), (crashed, restarts)) = (members.pod("etcd-0"), members.pod("etcd-1"));
    members.scenario(
        "  - {at: 1s, for: 3s, inject: {kill: {nodes: etcd-0}}}\n  - {at: 12s, for: 3s, inject: {crash: {nodes: \
         etcd-1}}}\n  - {at: 20s, for: 2s, inject: {pause: {nodes: etcd-2}}}\n",
    );
    let said = ["is gone", "ended by signal 9", "threads stand still"];
    members.home.at_work_by(|| members.command("run s.yaml -v")).expect(0, &said);
    assert_ne!(members.pod("etcd-0").0, killed, "another pod took its place");
    let (same, more) = members.pod("etcd-1");
    assert!(same == crashed && more > restarts, "the same pod, another process: {more} restarts");
    members.assert_no_agents();
}

#[test]
fn what_cannot_be_is_said_before_anything_is_touched() {
    let Some(cluster) = cluster() else { return };
    let mut members = cluster.members();
    members.may_all = true; // only events tell at once of an image that is not to be had
    let partition = "  - {at: 1s, for: 2s, inject: {partition: {isolate: etcd-1}}}\n";
    members.scenario(partition);
    let told = |arguments: &str, code, said: &[&str]| {
        members.home.start_command(members.command(arguments)).end().expect(code, said);
    };
    let image = "--set target.kubernetes.agent_image=";
    told(
        &format!("run s.yaml {image}lab.local/nobody:1"),
        3,
        &["lab.local/nobody:1", "firedrill image"],
    );
    told("plan s.yaml --set target.kubernetes.selector=app=nobody", 2, &["no pod", "app=nobody"]);
    told("plan s.yaml --set target.kubernetes.namespace=kube-system", 2, &["kube-system"]);
    told("plan s.yaml --set target.kubernetes.context=nobody", 2, &["nobody", "`context`"]);
    let without = members.home.read("s.yaml").replace(", agent_image: ", ", context: ");
    members.home.write("without.yaml", &without.replace(&cluster.image, "lab"));
    told("plan without.yaml", 2, &["without.yaml:", "agent_image", "firedrill image"]);
    let memory = "  - {at: 1s, for: 2s, inject: {memory-limit: {nodes: etcd-1, limit: 10MiB}}}\n";
    members.scenario(memory);
    told("plan s.yaml", 2, &["s.yaml:", "memory-limit", "or use target docker"]);
    // Nothing would bring this one back.
    let pod = "run bare --image lab.local/pause:1 --labels app=bare --restart Never";
    members.kubectl(pod);
    members.kubectl("wait pod bare --for condition=Ready --timeout 30s");
    members.scenario("  - {at: 1s, for: 2s, inject: {kill: {nodes: bare}}}\n");
    let bare = "--set target.kubernetes.selector=app=bare --set target.kubernetes.ports={}";
    told(&format!("run s.yaml {bare} --set workload.client=store"), 2, &["bare", "no controller"]);
    members.assert_no_agents();
}

/// Every client is served all the while, and every check of what they saw passes.
#[test]
fn a_member_that_lost_its_data_with_its_pod_never_stands_full_again() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.forgetful_members();
    members.scenario("  - {at: 1s, for: 2s, inject: {kill: {nodes: etcd-1}}}\n");
    let text = members.home.read("s.yaml");
    let (text, _) = text.split_once("checks:").unwrap();
    let text = text.replace("agent_image:", "ready: {timeout: 5s}, agent_image:");
    members.home.write(
        "s.yaml",
        // Long enough for the cluster to have started it once more after the heal: it waits 10 s with that.
        &(text.to_string() + "checks: [linearizable, {redundancy: {within: 20s}}]\n"),
    );
    let said = ["FAIL  redundancy", "etcd-1 is not back", "ok    linearizable"];
    members.home.at_work_by(|| members.command("run s.yaml")).expect(1, &said);
}
