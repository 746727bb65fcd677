//! Tests of reading a scenario: what is taken, and what each mistake is told as.

use super::*;

const DESIGN: &str = r#"# yaml-language-server: $schema=scenario.schema.json
name: leader-datacenter-loss
description: Losing the datacenter of the leader costs no acknowledged write.
labels: {tier: nightly}

target:
  docker: {compose: etcd/compose.yaml, zone_label: dc}
  # kubernetes: {namespace: im, selector: app=etcd, zone_label: topology.kubernetes.io/zone}
  # local: {zones: {dc1: 2, dc2: 2, dc3: 1}}          # the embedded store when no command is given

workload:
  client: etcd
  model: register             # register, counter, set, queue, log, bank, list-append
  workers: 10
  rate: 500/s                 # open loop
  keys: 50
  timeout: 1s

faults:
  - at: 10s
    for: 15s                  # mandatory, counted from the confirmed injection
    inject: {datacenter-loss: {zone: leader}}
  - at: 40s
    for: 10s
    inject: {partition: {halves: [minority, majority], direction: both}}
  - every: 5s..15s            # drawn from the seed
    until: 2m
    for: 2s..5s
    choose: [{kill: {nodes: one}}, {latency: {nodes: one, latency: 100ms, jitter: 20ms}}]

checks:
  - linearizable
  - recovery: {within: 5s}            # from the confirmed injection; `from: heal` where the fault cannot be survived
  - lost-writes: {max: 0}
  - availability: {at_least: 99%}
  - latency: {p99: 200ms, when: recovered}

guards:
  - {abort_when: {availability: 20%, for: 30s}}
blast_radius: {nodes: 2, zones: 1}
"#;

fn mistakes(text: &str) -> String {
    match Scenario::parse("drill.yaml", text, &[]) {
        Ok(_) => "no mistake".into(),
        Err(found) => found.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n\n"),
    }
}

#[test]
fn the_example_of_the_design_parses() {
    let scenario = Scenario::parse("drill.yaml", DESIGN, &[]).unwrap_or_else(|found| {
        panic!("{}", found.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n"))
    });
    assert_eq!(scenario.target.kind(), TargetKind::Docker);
    let lines: Vec<u32> = scenario.faults.iter().map(|step| step.place.line).collect();
    assert_eq!(lines, [20, 23, 26]);
    let lines: Vec<u32> = scenario.checks.iter().map(|check| check.place.line).collect();
    assert_eq!(lines, [32, 33, 34, 35, 36]);
    assert_eq!(scenario.lease, Span::secs(10));
}

#[test]
fn the_example_of_the_design_can_be_planned_on_the_local_target() {
    // The embedded store, which is the default there, is no etcd.
    let store = [("workload.client".to_string(), "store".to_string())];
    let mut scenario = Scenario::parse("drill.yaml", DESIGN, &store).unwrap();
    scenario.retarget(TargetKind::Local).unwrap();
    let Target::Local(local) = &scenario.target.value else { panic!("not local") };
    let plan = crate::plan::build(&scenario, &local.inventory(), 1, &|_| None);
    let plan = plan.unwrap_or_else(|found| {
        panic!("{}", found.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n"))
    });
    assert!(plan.faults.len() > 5, "{plan:#?}");
}

const SEVERAL: &str = r#"name: several
target: {docker: {project: etcd, zone_label: dc}}
targets:
  - {kubernetes: {namespace: im, selector: app=etcd}}
workload: {client: store, model: register, rate: 10/s}
"#;

#[test]
fn of_several_targets_the_command_line_takes_one() {
    let mut scenario = Scenario::parse("drill.yaml", SEVERAL, &[]).unwrap();
    scenario.retarget(TargetKind::Kubernetes).unwrap();
    let Target::Kubernetes(pods) = &scenario.target.value else { panic!("not kubernetes") };
    assert_eq!((pods.namespace.as_str(), scenario.target.place.line), ("im", 4));
    let lonely = SEVERAL.replace("  - {kubernetes: {namespace: im, selector: app=etcd}}", "  []");
    let mut scenario = Scenario::parse("drill.yaml", &lonely, &[]).unwrap();
    let refused = scenario.retarget(TargetKind::Kubernetes).unwrap_err()[0].render();
    assert!(refused.contains("drill.yaml:2:9") && refused.contains("`targets`"), "{refused}");
    let twice = mistakes(&SEVERAL.replace("kubernetes: {namespace: im", "docker: {project: im"));
    assert!(twice.contains("drill.yaml:4"), "{twice}");
}

const WRONG: &str = r#"name: wrong one
target:
  local: {zones: {dc1: 2}, prots: [a]}
workload:
  client: stor
  model: register
  rate: fast
faults:
  - at: 10 parsecs
    for: 5s
    inject: {kil: {nodes: one}}
  - at: 10s
    inject: {latency: {nodes: one, latency: 10ms, jiter: 5ms}}
checks:
  - linearisable
guard: []
"#;

#[test]
fn several_mistakes_are_told_at_once_in_the_order_of_their_places() {
    insta::assert_snapshot!(mistakes(WRONG), @r#"
drill.yaml:1:7: expected a name of letters, digits, `-`, `_` and `.`, at most 100, not beginning with a dot; found `wrong one`
  |
1 | name: wrong one
  |       ^^^^^^^^^

drill.yaml:3:28: unknown field `prots`
  |
3 |   local: {zones: {dc1: 2}, prots: [a]}
  |                            ^^^^^
  = did you mean `ports`? known: zones, nodes, command, ports, peers, env, bugs, ready, stop_timeout

drill.yaml:5:11: unknown name `stor`
  |
5 |   client: stor
  |           ^^^^
  = did you mean `store`? known: store, etcd, redis, postgres, http, exec

drill.yaml:7:9: expected a rate above 0 and at most 1000000/s, such as 500/s or 30/m, found `fast`
  |
7 |   rate: fast
  |         ^^^^

drill.yaml:9:9: expected a duration with its unit, at most 24h, such as 500ms, 15s or 2m, found `10 parsecs`
  |
9 |   - at: 10 parsecs
  |         ^^^^^^^^^^

drill.yaml:11:14: unknown name `kil`
   |
11 |     inject: {kil: {nodes: one}}
   |              ^^^
   = did you mean `kill`? it is one of 34 known names

drill.yaml:12:5: missing field `for`
   |
12 |   - at: 10s
   |     ^

drill.yaml:13:51: unknown field `jiter`
   |
13 |     inject: {latency: {nodes: one, latency: 10ms, jiter: 5ms}}
   |                                                   ^^^^^
   = did you mean `jitter`? known: nodes, between, latency, jitter, direction

drill.yaml:15:5: unknown name `linearisable`
   |
15 |   - linearisable
   |     ^^^^^^^^^^^^
   = did you mean `linearizable`? known: linearizable, counter, set, queue, log, bank, sessions, list-append, convergence, lost-writes, recovery, redundancy, availability, latency, exec, node-deaths

drill.yaml:16:1: unknown field `guard`
   |
16 | guard: []
   | ^^^^^
   = did you mean `guards`? known: name, description, labels, requires, target, targets, workload, setup, teardown, faults, checks, guards, fail_fast, blast_radius, steady_state, duration, recover, lease, seed
"#);
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    insta::assert_snapshot!(mistakes("name: x\nname: y\n"), @r#"
drill.yaml:2:1: duplicate key `name`, first on line 1
  |
2 | name: y
  | ^^^^
"#);
    insta::assert_snapshot!(mistakes("name: [x\nfoo: }\n"), @r#"
drill.yaml:2:4: not YAML: illegal placement of ':' indicator
  |
2 | foo: }
  |    ^
"#);
    insta::assert_snapshot!(mistakes(""), @r#"drill.yaml:1:1: expected a scenario, found nothing"#);
    insta::assert_snapshot!(mistakes("- a\n- b\n"), @r#"
drill.yaml:1:1: expected a mapping, found a list
  |
1 | - a
  | ^
  = its fields: name, description, labels, requires, target, targets, workload, setup, teardown, faults, checks, guards, fail_fast, blast_radius, steady_state, duration, recover, lease, seed
"#);
}

const SMALL: &str = "name: small
target: {local: {}}
workload: {client: store, model: register, rate: 100/s}
faults:
  - {at: 1s, for: 2s, inject: {kill: {nodes: n1}}}
checks: [linearizable]
";

fn set(overrides: &[(&str, &str)]) -> Result<Scenario, String> {
    let pairs: Vec<_> = overrides.iter().map(|(p, v)| (p.to_string(), v.to_string())).collect();
    Scenario::parse("small.yaml", SMALL, &pairs)
        .map_err(|found| found.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n\n"))
}

#[test]
fn an_override_replaces_adds_and_reaches_into_lists() {
    let scenario = set(&[
        ("workload.rate", "250/s"),
        ("target.local.zones.dc1", "3"),
        ("faults.0.for", "5s"),
        ("faults.0.inject", "{pause: {nodes: [n1, n2]}}"),
        ("seed", "7"),
    ])
    .unwrap();
    assert_eq!(scenario.workload.rate.to_string(), "250/s");
    let Target::Local(local) = &scenario.target.value else { panic!("not local") };
    assert_eq!(local.inventory().nodes().len(), 3);
    assert_eq!(scenario.faults[0].length.to_string(), "5s");
    assert_eq!(scenario.faults[0].faults[0].name(), "pause");
    assert_eq!(scenario.seed, Some(7));
}

#[test]
fn a_mistake_in_an_override_points_at_the_override() {
    let found = set(&[("workload.rte", "1/s"), ("workload.keys", "many"), ("faults.3.at", "1s")]);
    insta::assert_snapshot!(found.unwrap_err(), @r#"
--set:1:10: unknown field `rte`
  |
1 | workload.rte=1/s
  |          ^^^
  = did you mean `rate`? known: client, model, workers, rate, keys, clients_in, timeout

--set:1:15: expected a whole number, found `many`
  |
1 | workload.keys=many
  |               ^^^^

--set:1:8: no place `3` in a list of 1
  |
1 | faults.3.at=1s
  |        ^
  = did you mean `0`? known: 0
"#);
}

#[test]
fn what_follows_only_from_a_mistake_is_not_told() {
    // Without its `for`, the step has none; but that was told already.
    let text = SMALL.replace("for: 2s", "fro: 2s");
    insta::assert_snapshot!(mistakes(&text), @r#"
drill.yaml:5:14: unknown field `fro`
  |
5 |   - {at: 1s, fro: 2s, inject: {kill: {nodes: n1}}}
  |              ^^^
  = did you mean `from`? known: at, every, until, from, for, inject, choose
"#);
}

#[test]
fn rules_over_several_fields_are_told_at_the_field_that_breaks_them() {
    let text = SMALL.replace(
        "{local: {}}",
        r#"
  local:
    zones: {dc1: 99}
    ports: [client]
    command: [server, "--listen={listen.clint}"]
    peers: "{name}:{data}"
    ready: {port: http}
    bugs: [stale-reads]"#,
    );
    insta::assert_snapshot!(mistakes(&text), @r#"
drill.yaml:4:12: expected 1 to 50 nodes in all, found 99
  |
4 |     zones: {dc1: 99}
  |            ^

drill.yaml:6:23: unknown port `clint` in `--listen={listen.clint}`
  |
6 |     command: [server, "--listen={listen.clint}"]
  |                       ^^^^^^^^^^^^^^^^^^^^^^^^^
  = did you mean `client`? known: client

drill.yaml:7:12: `{data}` cannot stand in `peers`
  |
7 |     peers: "{name}:{data}"
  |            ^^^^^^^^^^^^^^^
  = known here: name, zone, index, address.PORT

drill.yaml:8:19: unknown port `http`
  |
8 |     ready: {port: http}
  |                   ^^^^
  = known: client

drill.yaml:9:11: `bugs` are the embedded store's: none can be switched on in a `command`
  |
9 |     bugs: [stale-reads]
  |           ^
"#);
}

#[test]
fn a_step_says_when_and_what_exactly_once() {
    let with = |step: &str| {
        let text = SMALL.replace("{at: 1s, for: 2s, inject: {kill: {nodes: n1}}}", step);
        mistakes(&text).lines().next().unwrap_or_default().to_string()
    };
    let steps = [
        "{at: 1s, inject: {kill: {nodes: n1}}}",
        "{for: 1s, inject: {kill: {nodes: n1}}}",
        "{at: 1s, every: 2s, for: 1s, inject: {kill: {nodes: n1}}}",
        "{every: 2s, for: 1s, inject: {kill: {nodes: n1}}}",
        "{every: 2s, from: 9s, until: 5s, for: 1s, inject: {kill: {nodes: n1}}}",
        "{at: 1s, for: 0s, inject: {kill: {nodes: n1}}}",
        "{at: 1s, for: 1s}",
        "{at: 1s, for: 1s, choose: []}",
        "{at: 1s, for: 1s, inject: {kill: {nodes: []}}}",
        "{at: 1s, for: 1s, inject: {kill: {nodes: {count: 0}}}}",
        "{at: 1s, for: 1s, inject: {kill: {nodes: {zone: dc1, count: 2}}}}",
        "{at: 1s, for: 1s, inject: {kill: {nodes: one}, pause: {nodes: one}}}",
        "{at: 1s, for: 1s, inject: {partition: {isolate: n1, bridge: n2}}}",
        "{at: 1s, for: 1s, inject: {latency: {latency: 5ms}}}",
        "{at: 1s, for: 1s, inject: {partition: {halves: [n1]}}}",
        "{at: 1s, for: 1s, inject: kill}",
    ];
    let told: Vec<String> = steps.iter().map(|step| with(step)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
drill.yaml:5:5: missing field `for`
drill.yaml:5:5: missing field `at` (or `every` and `until`)
drill.yaml:5:5: expected either `at` or `every`, found both
drill.yaml:5:5: missing field `until`, beside `every`
drill.yaml:5:5: expected `until` after `from`, found 5s and 9s
drill.yaml:5:5: expected `for` above 0s, found `0s`
drill.yaml:5:5: missing field `inject` (or `choose`)
drill.yaml:5:5: expected at least one fault in `choose`
drill.yaml:5:46: expected nodes: a name, a list of names, one, minority, majority, all, leader, follower, followers, {zone: NAME}, {count: 2} or {percent: 40%}; found an empty list
drill.yaml:5:54: expected a count of at least 1, found 0
drill.yaml:5:46: expected exactly one of zone, count, percent
drill.yaml:5:52: expected a single name, found `pause` too
drill.yaml:5:43: expected exactly one of `halves`, `isolate`, `bridge`, `majorities-ring` or `zones`
drill.yaml:5:41: expected either `nodes` or `between`
drill.yaml:5:52: expected a list of 2, found 1
drill.yaml:5:31: missing field `nodes`
"#);
}

#[test]
fn yaml_anchors_are_written_out_and_a_bomb_of_them_is_refused() {
    let text = SMALL.replace(
        "{kill: {nodes: n1}}}",
        "&kill {kill: {nodes: n1}}}\n  - {at: 4s, for: 1s, inject: *kill}",
    );
    let scenario = Scenario::parse("small.yaml", &text, &[]).unwrap();
    assert_eq!(scenario.faults[1].faults[0].name(), "kill");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for n in 1..12 {
        let before = format!("*a{}, ", n - 1).repeat(10);
        bomb += &format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", "));
    }
    assert!(mistakes(&bomb).contains("more than 50000 values"), "{}", mistakes(&bomb));
    let deep = format!("name: {}{}", "[".repeat(200), "]".repeat(200));
    assert!(mistakes(&deep).contains("nested deeper"), "{}", mistakes(&deep));
    let long = "#".repeat(super::tree::SOURCE_BYTES_MAX + 1);
    assert!(mistakes(&long).contains("expected at most"), "{}", mistakes(&long));
}

#[test]
fn only_yaml_1_2_booleans_are_booleans_and_numbers_in_texts_stay_texts() {
    let clients = |word: &str| {
        let isolate = format!("{{partition: {{isolate: n1, clients: {word}}}}}");
        mistakes(&SMALL.replace("{kill: {nodes: n1}}", &isolate))
    };
    assert_eq!(clients("true"), "no mistake");
    for word in ["yes", "on", "True", "1", "\"true\""] {
        assert!(clients(word).contains("expected true or false"), "{word}: {}", clients(word));
    }
    let scenario = set(&[("labels", "{version: 1.20, on: no}")]).unwrap();
    assert_eq!(scenario.labels["version"], "1.20");
    assert_eq!(scenario.labels["on"], "no");
}

#[test]
fn a_caret_stands_below_its_character_behind_tabs_and_wide_letters() {
    let text = "name: \"d\u{fc}r\u{fc}m\"\nworkload:\n  rate: fast # \u{1f525}\n";
    for line in mistakes(text).lines().filter(|line| line.contains('^')) {
        assert!(line.trim_end().ends_with('^'), "{line}");
    }
    let sources = Sources::new("f", "\tx: y");
    let place = crate::fault::Place { source: 0, line: 1, column: 2, width: 1 };
    let shown = sources.diagnose(place, "m", None).render();
    assert_eq!(shown, "f:1:2: m\n  |\n1 | \tx: y\n  | \t^");
}

mod clients;
mod whatever_the_bytes;

#[test]
fn which_pods_are_the_nodes_is_said_once() {
    let with = |target: &str| {
        let text = SMALL.replace("{local: {}}", &format!("{{kubernetes: {target}}}"));
        mistakes(&text).lines().next().unwrap_or_default().to_string()
    };
    let four = "`selector`, `statefulset`, `deployment` and `pods`";
    for chosen in [
        "{selector: app=x}",
        "{statefulset: x}",
        "{deployment: x}",
        "{pods: [x-0], ready: {port: p}, ports: {p: 1}}",
    ] {
        assert_eq!(with(chosen), "no mistake", "{chosen}");
    }
    assert!(with("{namespace: x}").ends_with(&format!("expected one of {four}, found none")));
    let twice = with("{selector: app=x, pods: [x-0]}");
    assert!(twice.ends_with(&format!("expected one of {four}, found several")), "{twice}");
    for nobody in ["{selector: ''}", "{deployment: ' '}", "{pods: []}"] {
        assert!(with(nobody).contains("found nothing"), "{}", with(nobody));
    }
    assert!(with("{selector: a, ready: {port: p}}").contains("no port `p` in `ports`"));
}
