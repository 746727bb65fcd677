//! How clients reach the pods of a real cluster: directly, and over the API server.

mod lab;
mod runner;

use lab::{Members, cluster, so};
use runner::eventually;
use rustix::process::Signal;

fn prepared(members: &Members, faults: &str) {
    members.scenario(faults);
    let text = members
        .home
        .read("s.yaml")
        .replace("selector: app=etcd", "selector: app=etcd, clients: port-forward");
    members.home.write("s.yaml", &text);
}

#[test]
fn clients_reach_pods_over_the_api_server_whoever_takes_their_places() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(
        &members,
        "  - {at: 1s, for: 3s, inject: {kill: {nodes: etcd-1}}}\n  - {at: 6s, for: 3s, inject: {partition: {isolate: \
         etcd-2}}}\n",
    );
    let text = members.home.read("s.yaml");
    let text = text.replace(
        "checks: [",
        "checks: [{redundancy: {within: 30s}}, {availability: {at_least: 60%}}, ",
    );
    members.home.write("s.yaml", &text);
    let warned = ["over the API server (port-forward)", "pods/portforward"];
    members.home.start_command(members.command("plan s.yaml")).end().expect(0, &warned);
    let said = ["over the API server (port-forward)", "fault 1 kill: healed", "PASS  pods"];
    members.home.at_work_by(|| members.command("run s.yaml -v")).expect(0, &said);
    members.assert_no_agents();
    members.home.assert_nothing_left();
    // What names an operation's node has addresses of this machine.
    let addresses = members.kubectl("get pods -l app=etcd -o jsonpath={.items[*].status.podIP}");
    let log = members.home.the_run().join("plan.json");
    let plan = std::fs::read_to_string(log).unwrap();
    assert!(addresses.split(' ').all(|address| !plan.contains(address)), "{plan}");
}

#[test]
fn clients_that_come_over_the_api_server_cannot_be_cut_off_and_the_plan_says_so() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(
        &members,
        "  - {at: 1s, for: 2s, inject: {partition: {isolate: etcd-1, clients: true}}}\n",
    );
    let said = ["s.yaml:3:", "etcd-1", "cannot be cut off from it"];
    for command in ["plan s.yaml", "run s.yaml"] {
        members.home.start_command(members.command(command)).end().expect(2, &said);
    }
    // Where their addresses answer, they can.
    let text = members.home.read("s.yaml").replace("clients: port-forward", "clients: auto");
    members.home.write("s.yaml", &text);
    members.home.start_command(members.command("plan s.yaml")).end().expect(0, &["isolate etcd-1"]);
}

/// What a drill in the cluster makes there.
fn assert_nothing_made(members: &Members) {
    eventually("nothing of it is left in the cluster", || {
        let left = members.kubectl("get jobs,pods,configmaps -o name");
        let own = ["pod/etcd-0", "pod/etcd-1", "pod/etcd-2", "configmap/kube-root-ca.crt"];
        so(left.lines().all(|name| own.contains(&name)), || left.clone())
    });
}

#[test]
fn a_drill_in_the_cluster_is_watched_from_here_and_brings_its_record_and_its_exit_code_back() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    members
        .scenario("  - {at: 1s, for: 3s, inject: {partition: {isolate: etcd-1, clients: true}}}\n");
    let run = "run s.yaml --in-cluster --junit junit.xml --json report.json";
    // Nobody is there to do it yet.
    let said = ["s.yaml:3:", "no service account firedrill-pods", "manifests rbac"];
    members.home.start_command(members.command(run)).end().expect(2, &said);
    members.allow_what_it_needs();
    let said = ["fault 1: injected", "fault 1: healed", "PASS  pods"];
    let out = members.home.at_work_by(|| members.command(run)).expect(0, &said);
    assert!(
        out.out.contains("PASS  pods") && !out.err.contains("PASS  pods"),
        "each to its stream"
    );
    let history = members.home.the_run().join("history.jsonl.zst");
    assert!(firedrill::history::file::read(&history).unwrap().operations.len() > 100);
    assert!(members.home.read("junit.xml").contains("name=\"pods\""));
    let report: serde_json::Value =
        serde_json::from_str(&members.home.read("report.json")).unwrap();
    assert_eq!(report["runs"][0]["verdict"], "pass", "{report}");
    // It can be judged again here.
    let again = format!("check {}", members.home.the_run().display());
    members.home.start_command(members.command(&again)).end().expect(0, &["PASS  pods"]);
    assert_nothing_made(&members);

    // One that fails says so here.
    members.allow_what_it_needs();
    let text = members.home.read("s.yaml");
    members
        .home
        .write("s.yaml", &text.replace("checks: [", "checks: [{availability: {at_least: 100%}}, "));
    std::fs::remove_dir_all(members.home.path("reports")).unwrap();
    members.home.at_work_by(|| members.command(run)).expect(1, &["FAIL  pods"]);
    assert!(members.home.read("junit.xml").contains("<failure"));
    assert_nothing_made(&members);
    members.assert_no_agents();
}

#[test]
fn ctrl_c_heals_a_drill_in_the_cluster_and_removes_it() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    members.scenario("  - {at: 1s, for: 60s, inject: {partition: {isolate: etcd-1}}}\n");
    members.allow_what_it_needs();
    let before = members.networks();
    let mut drill = members.home.start_command(members.command("run s.yaml --in-cluster"));
    drill.wait_for("fault 1: injected");
    assert_ne!(members.networks(), before);
    drill.signal(Signal::INT);
    let said = ["healing, then reporting", "interrupted", "INCONCLUSIVE  pods"];
    drill.end().expect(3, &said);
    members.assert_no_agents();
    assert_eq!(members.networks(), before);
    assert!(members.home.the_run().join("history.jsonl.zst").exists());
    assert_nothing_made(&members);
}

/// The drill goes on without whoever watched it, heals what it injected, and ends.
#[test]
fn a_drill_in_the_cluster_outlives_who_started_it_and_heals() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    members.scenario("  - {at: 1s, for: 5s, inject: {partition: {isolate: etcd-1}}}\n");
    members.allow_what_it_needs();
    let before = members.networks();
    let mut drill = members.home.start_command(members.command("run s.yaml --in-cluster"));
    drill.wait_for("fault 1: injected");
    drill.signal(Signal::KILL);
    drill.end();
    let pod = members.kubectl("get pods -l batch.kubernetes.io/job-name -o name");
    eventually("the drill has ended well", || {
        let said = members.kubectl(&format!("logs {pod}"));
        so(said.contains("fault 1: healed") && said.contains("ended with 0"), || said.clone())
    });
    members.assert_no_agents();
    assert_eq!(members.networks(), before);
    // The cluster removes what is left of it some time after.
    let kept = members.kubectl("get jobs -o jsonpath={.items[*].spec.ttlSecondsAfterFinished}");
    assert_eq!(kept, "600");
}

#[test]
fn an_image_that_cannot_be_had_is_said_and_nothing_stays() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    members.scenario("  - {at: 1s, for: 1s, inject: {kill: {nodes: etcd-1}}}\n");
    members.allow_what_it_needs();
    let run = "run s.yaml --in-cluster --image lab.local/nothing:1 --set target.kubernetes.image_pull_policy=Never";
    let said = ["s.yaml:3:", "does not start", "lab.local/nothing:1"];
    members.home.start_command(members.command(run)).end().expect(2, &said);
    assert_nothing_made(&members);
}
