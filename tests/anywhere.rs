//! One scenario file, three places: the same plan but for names, the same checks, and all of them pass.

mod containers;
mod lab;
mod runner;

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use lab::cluster;
use runner::Home;
use serde_json::Value;

/// A plan, with names in the order of the zones in place of the nodes' own.
fn plan(home: &Home) -> Value {
    let text = std::fs::read_to_string(home.the_run().join("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&text).unwrap();
    let mut nodes: Vec<(String, String)> = plan["inventory"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["zone"].as_str().unwrap().into(), node["id"].as_str().unwrap().into()))
        .collect();
    nodes.sort();
    let mut text = plan["faults"].to_string();
    for (number, (_, name)) in nodes.iter().enumerate() {
        text = text.replace(name, &format!("node-{number}"));
    }
    serde_json::from_str(&text).unwrap()
}

/// What was judged, and how.
fn judged(home: &Home) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&home.read("report.json")).unwrap();
    let cases = report["runs"][0]["cases"].as_array().unwrap();
    let word = |case: &Value, name: &str| case[name].as_str().unwrap().to_string();
    cases.iter().map(|case| (word(case, "name"), word(case, "status"))).collect()
}

static ALONE: Mutex<()> = Mutex::new(());

/// Runs a scenario at each place: what became of it, by the target's name.
fn everywhere(scenario: &str, said: &str) -> Option<Vec<(&'static str, Home)>> {
    if !containers::engine() {
        return None;
    }
    let cluster = cluster()?;
    if !Command::new("etcd").arg("--version").output().is_ok_and(|out| out.status.success()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have etcd");
        println!("skipped: etcd is not installed");
        return None;
    }
    let members = cluster.members();
    let text = scenario
        .replace(
            "etcd/compose-three.yaml",
            concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/etcd/compose-three.yaml"),
        )
        .replace("namespace: default", &format!("namespace: {}", members.namespace))
        .replace("firedrill/agent:0.1.0", &cluster.image)
        // In which zone a member stands is the scheduler's choice; here all three places have the same.
        .replace("statefulset: etcd", &format!("statefulset: etcd\n      zones: {ZONES}"));
    let drill = |target: &'static str| {
        let home = Home::new();
        home.write("s.yaml", &text);
        let run = format!("run s.yaml --target {target} --seed 7 --json report.json --yes");
        let command = || {
            let mut command = home.command(&run);
            command.env("KUBECONFIG", cluster.kubeconfig());
            command
        };
        // A drill that closes machines is alone in the cluster.
        let alone =
            (target == "kubernetes").then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
        home.at_work_by(command).expect(0, &[said]);
        drop(alone);
        home.assert_nothing_left();
        (target, home)
    };
    let all = ["local", "docker", "kubernetes"].map(drill).into();
    members.assert_no_agents();
    Some(all)
}

fn assert_the_same(all: &[(&str, Home)]) {
    let (first, others) = all.split_first().unwrap();
    let (planned, of_first) = (plan(&first.1), judged(&first.1));
    for (target, home) in others {
        assert_eq!(plan(home), planned, "{target}");
        assert_eq!(judged(home), of_first, "{target}");
    }
    let passed = |(_, status): &(String, String)| status == "pass";
    assert!(of_first.iter().all(passed), "{of_first:?}");
}

const ZONES: &str = "{etcd-0: dc1, etcd-1: dc2, etcd-2: dc3}";
const ANYWHERE: &str = include_str!("../scenarios/etcd-anywhere.yaml");

#[test]
fn one_file_drills_processes_containers_and_pods_by_the_same_plan_and_the_same_checks() {
    let Some(all) = everywhere(ANYWHERE, "PASS  etcd-anywhere") else { return };
    assert_the_same(&all);
}

/// What every target can do: each is injected, proven, healed, and proven to be healed.
const CONTRACT: [&str; 10] = [
    "kill: {nodes: one}",
    "stop: {nodes: leader}",
    "restart: {nodes: follower}",
    "pause: {nodes: one}",
    "partition: {isolate: one, clients: true}",
    "partition: {isolate: leader, direction: from}",
    "latency: {nodes: one, latency: 60ms, jitter: 5ms}",
    "bandwidth: {nodes: one, rate: 10mbit}",
    "reset: {nodes: follower}",
    "datacenter-partition: {zone: one, clients: outside}",
];

#[test]
fn every_target_makes_the_same_conditions_true_proves_them_and_heals_them() {
    let (head, rest) = ANYWHERE.split_once("faults:\n").unwrap();
    assert!(rest.contains("checks:\n"));
    let fault = |(i, inject): (usize, &&str)| {
        format!("  - {{at: {}ms, for: 1500ms, inject: {{{inject}}}}}\n", 3000 + 4000 * i)
    };
    let faults: String = CONTRACT.iter().enumerate().map(fault).collect();
    // One more that overlaps with another, and outlives it: what is left holds.
    let overlap = "  - {at: 3500ms, for: 3s, inject: {partition: {isolate: one, direction: to}}}\n";
    let text = format!(
        "{head}faults:\n{faults}{overlap}recover: 8s\nsteady_state: {{window: 1s, success: 50%, rate: 50%}}\nchecks: \
         [linearizable, {{lost-writes: {{max: 0}}}}, {{availability: {{at_least: 5%}}}}]\n"
    );
    let Some(all) = everywhere(&text, "PASS  etcd-anywhere") else { return };
    assert_the_same(&all);
}
