//! The scenarios that firedrill ships: each can be read and planned, and its editor's schema is the one that
//! this program prints.

use std::path::{Path, PathBuf};

use firedrill::inventory::{Inventory, Node, NodeId};
use firedrill::plan::Plan;
use firedrill::scenario::{self, Scenario, Target};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn shipped() -> Vec<(String, String)> {
    scenarios_in(&folder())
}

/// The scenarios in a folder; Compose files are none.
fn scenarios_in(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .filter(|path| !path.file_stem().unwrap().to_string_lossy().starts_with("compose"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn parse(name: &str, text: &str) -> Scenario {
    Scenario::parse(name, text, &[]).unwrap_or_else(|found| {
        let lines: Vec<String> = found.iter().map(|d| d.render()).collect();
        panic!("{}", lines.join("\n"))
    })
}

fn plan(name: &str, scenario: &Scenario, seed: u64) -> Plan {
    let Target::Local(local) = &scenario.target.value else { panic!("{name}: not local") };
    firedrill::plan::build(scenario, &local.inventory(), seed, &|_| None).unwrap_or_else(|found| {
        let lines: Vec<String> = found.iter().map(|d| d.render()).collect();
        panic!("{name}, seed {seed}: {}", lines.join("\n"))
    })
}

#[test]
fn every_scenario_that_is_asked_for_is_shipped() {
    let names: Vec<String> = shipped().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "etcd-anywhere",
        "etcd-five",
        "etcd-three",
        "flapping-link",
        "follower-paused",
        "leader-datacenter-loss",
        "leader-killed",
        "majorities-ring",
        "minority-partition",
        "one-way-partition",
        "overlapping-faults",
        "random-hour-in-small",
        "rolling-restart",
        "slow-link",
    ];
    assert_eq!(names, expected);
}

#[test]
fn every_shipped_scenario_is_planned_with_any_seed_and_lasts_as_long_as_it_should() {
    for (name, text) in shipped() {
        let scenario = parse(&name, &text);
        assert_eq!(scenario.name, name, "a scenario is called like its file");
        assert!(!scenario.checks.is_empty() && !scenario.description.is_empty(), "{name}");
        for seed in 0..30 {
            let plan = plan(&name, &scenario, seed);
            assert!(!plan.faults.is_empty(), "{name}");
            let seconds = plan.load.as_secs();
            assert!((20..=60).contains(&seconds), "{name}: {seconds} s");
            // The steady state must be seen before the first fault.
            assert!(plan.faults[0].at > scenario.steady_state.window.0, "{name}");
        }
    }
}

#[test]
fn every_shipped_scenario_names_its_schema_in_the_first_line() {
    for (name, text) in shipped() {
        let first = text.lines().next().unwrap();
        assert_eq!(first, "# yaml-language-server: $schema=scenario.schema.json", "{name}");
    }
}

/// The nodes that a system's Compose project brings up.
fn containers(system: &str) -> Inventory {
    let nodes: &[(&str, &str)] = match system {
        "etcd" => &[("n1", "dc1"), ("n2", "dc1"), ("n3", "dc2"), ("n4", "dc2"), ("n5", "dc3")],
        "redis" => &[("redis1", "dc1"), ("redis2", "dc2"), ("redis3", "dc3")],
        _ => &[("pg1", "dc1"), ("pg2", "dc2"), ("pg3", "dc3")],
    };
    let node = |(name, zone): &(&str, &str)| Node {
        id: NodeId::new(name),
        zone: zone.to_string(),
        endpoints: Default::default(),
    };
    Inventory::new(nodes.iter().map(node).collect())
}

#[test]
fn the_scenarios_of_each_system_can_be_planned_and_stand_beside_what_they_bring_up() {
    let first = "# yaml-language-server: $schema=../scenario.schema.json";
    let expected = [
        (
            "etcd",
            &[
                "clock-skew",
                "disk-full",
                "leader-datacenter-cut",
                "leader-datacenter-loss",
                "rolling-restart",
                "slow-datacenter-link",
            ][..],
        ),
        ("redis", &["primary-cut-off-loses-writes", "primary-killed"]),
        (
            "patroni",
            &[
                "primary-killed-asynchronous",
                "primary-killed-synchronous",
                "primary-lost-with-its-tail",
            ],
        ),
    ];
    for (system, names) in expected {
        let beside = folder().join(system);
        let found = scenarios_in(&beside);
        assert_eq!(found.iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
        for (name, text) in found {
            let scenario = parse(&name, &text);
            assert_eq!((&scenario.name, text.lines().next()), (&name, Some(first)));
            let Target::Docker(docker) = &scenario.target.value else { panic!("{name}") };
            let compose = docker.compose.as_ref().unwrap();
            assert!(beside.join(&compose.value).exists(), "{name}: no {}", compose.value);
            let plan = firedrill::plan::build(&scenario, &containers(system), 1, &|_| None);
            let plan = plan.unwrap_or_else(|found| panic!("{name}: {}", found[0].render()));
            assert!(plan.faults[0].at > scenario.steady_state.window.0, "{name}");
        }
    }
}

#[test]
fn the_scenarios_of_pods_can_be_planned() {
    let found = scenarios_in(&folder().join("kubernetes"));
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "dns-gone",
        "forgetful",
        "halves",
        "leader-crashed",
        "leader-pod-deleted",
        "leader-zone-cut",
        "machine-drained",
        "random-quarter",
        "rolling-restart",
        "rollout",
        "store-leader-lost",
        "web-upgraded",
        "zone-lost-with-machines",
    ];
    assert_eq!(names, expected);
    let first = "# yaml-language-server: $schema=../scenario.schema.json";
    let node = |n: u32| Node {
        id: NodeId::new(format!("etcd-{n}")),
        zone: format!("dc{}", n + 1),
        endpoints: Default::default(),
    };
    let pods = Inventory::new((0..3).map(node).collect());
    for (name, text) in found {
        let scenario = parse(&name, &text);
        assert_eq!((&scenario.name, text.lines().next()), (&name, Some(first)));
        assert!(matches!(scenario.target.value, Target::Kubernetes(_)), "{name}");
        let plan = firedrill::plan::build(&scenario, &pods, 1, &|_| None);
        let plan = plan.unwrap_or_else(|found| panic!("{name}: {}", found[0].render()));
        assert!(plan.faults[0].at > scenario.steady_state.window.0, "{name}");
    }
}

#[test]
fn the_committed_schema_is_what_this_program_prints() {
    let committed = std::fs::read_to_string(folder().join("scenario.schema.json")).unwrap();
    let committed: serde_json::Value = serde_json::from_str(&committed).unwrap();
    let how = "stale: cargo run -- schema > scenarios/scenario.schema.json";
    assert!(committed == scenario::schema(), "{how}");
    assert_eq!(committed["$schema"], "http://json-schema.org/draft-07/schema#");
}

#[test]
fn the_scenario_to_start_from_can_be_planned_as_it_stands() {
    let scenario = parse("starter", scenario::template());
    assert_eq!(plan("starter", &scenario, 1).faults.len(), 1);
}

#[test]
fn the_random_hour_differs_by_seed_and_repeats_with_it() {
    let text = std::fs::read_to_string(folder().join("random-hour-in-small.yaml")).unwrap();
    let scenario = parse("random-hour-in-small", &text);
    let digest = |seed| plan("random-hour-in-small", &scenario, seed).digest();
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}
