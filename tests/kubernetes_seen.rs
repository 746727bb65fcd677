//! What others see of a drill in a real cluster, and what a drill sees of the cluster: Events on the pods that are
//! struck, and when the cluster noticed.

mod lab;
mod runner;

use lab::{Members, cluster, so};
use runner::eventually;
use serde_json::Value;

/// Members that clients are told of only while they are ready.
fn prepared(members: &Members, faults: &str) {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: ready}\nspec: {selector: {app: etcd}, ports: \
                   [{port: 2379}]}\n";
    let file = members.home.write("service.yaml", service);
    members.kubectl(&format!("apply -f {}", file.display()));
    eventually("the service has endpoints", || {
        let slices = "get endpointslices -l kubernetes.io/service-name=ready -o jsonpath={.items[*].endpoints[*].conditions.ready}";
        let said = members.kubectl(slices);
        so(said == "true true true", || said.clone())
    });
    members.scenario(faults);
}

/// What the cluster noticed of each fault, as the report has it.
fn noticed(members: &Members) -> Vec<Vec<String>> {
    let report: Value = serde_json::from_str(&members.home.read("report.json")).unwrap();
    let faults = report["runs"][0]["faults"].as_array().unwrap().clone();
    let lines = |fault: &Value| {
        let lines = fault["noticed"].as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| line.as_str().unwrap().to_string()).collect()
    };
    faults.iter().map(lines).collect()
}

/// The seconds behind a line that begins so.
fn after(lines: &[String], begins: &str) -> f64 {
    let line = lines.iter().find(|line| line.starts_with(begins));
    let line = line.unwrap_or_else(|| panic!("no `{begins}`: {lines:#?}"));
    line.split_whitespace().rev().skip_while(|word| *word != "s").nth(1).unwrap().parse().unwrap()
}

#[test]
fn whoever_describes_a_pod_sees_the_drill_and_the_drill_says_when_the_cluster_noticed() {
    let Some(cluster) = cluster() else { return };
    let mut members = cluster.members();
    members.may_all = true;
    prepared(
        &members,
        "  - {at: 1s, for: 5s, inject: {pause: {nodes: etcd-0}}}\n  - {at: 9s, for: 3s, inject: {kill: {nodes: etcd-1}}}\n",
    );
    let struck = members.pod("etcd-1").0;
    let said = ["what the cluster noticed", "is out of the endpoints of ready", "PASS  pods"];
    members.home.at_work_by(|| members.command("run s.yaml --json report.json")).expect(0, &said);
    let faults = noticed(&members);
    // It is hung for longer than its readiness probe allows (three times a second).
    let paused = &faults[0];
    let unready = after(paused, "etcd-0 is not ready for the cluster");
    assert!(
        unready > 0.0 && after(paused, "etcd-0 is out of the endpoints of ready") >= unready,
        "{paused:#?}"
    );
    assert!(after(paused, "etcd-0 is ready for the cluster") > 0.0);
    let killed = &faults[1];
    let placed = after(killed, "etcd-1 is placed onto");
    assert!(after(killed, "etcd-1 is ready for the cluster") > placed, "{killed:#?}");
    assert!(
        !killed.iter().any(|line| line.starts_with("etcd-0")),
        "whom it did not strike: {killed:#?}"
    );
    let events = "get events --field-selector reportingComponent=firedrill -o json";
    eventually("each fault is told on its pod, as it was, and its heal", || {
        let events: Value = serde_json::from_str(&members.kubectl(events)).unwrap();
        let told = |reason: &str, pod: &str| {
            let mut all = events["items"].as_array().unwrap().iter();
            all.any(|e| e["reason"] == reason && e["involvedObject"]["name"] == pod)
        };
        let of_old = events["items"].as_array().unwrap().iter().any(|event| {
            event["involvedObject"]["uid"] == struck.as_str() && event["reason"] == "FaultInjected"
        });
        let all = ["etcd-0", "etcd-1"]
            .iter()
            .all(|pod| told("FaultInjected", pod) && told("FaultHealed", pod));
        so(all && of_old, || events.to_string())
    });
    let described = members.kubectl("describe pod etcd-0");
    assert!(
        described.contains("FaultInjected") && described.contains("fault 1: pause etcd-0"),
        "{described}"
    );
}
