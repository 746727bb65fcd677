//! Plans that are refused, and what of them is left out: where, and why.

use super::*;

#[test]
fn names_that_are_not_there_are_told_with_their_place_and_the_nearest_one() {
    let found = plan(
        "faults:
  - {at: 5s, for: 5s, inject: {kill: {nodes: [n1, n22]}}}
  - {at: 15s, for: 5s, inject: {datacenter-loss: {zone: dc4}}}
  - {at: 25s, for: 5s, inject: {partition: {zones: [dc1, eu]}}}
  - {at: 35s, for: 5s, inject: {kill: {nodes: {count: 7}}}}
",
        1,
    );
    insta::assert_snapshot!(found.unwrap_err(), @r#"
drill.yaml:6:51: unknown node `n22`
  |
6 |   - {at: 5s, for: 5s, inject: {kill: {nodes: [n1, n22]}}}
  |                                                   ^^^
  = did you mean `n2`? known: n1, n2, n3, n4, n5

drill.yaml:7:57: unknown zone `dc4`
  |
7 |   - {at: 15s, for: 5s, inject: {datacenter-loss: {zone: dc4}}}
  |                                                         ^^^
  = did you mean `dc1`? known: dc1, dc2, dc3

drill.yaml:8:58: unknown zone `eu`
  |
8 |   - {at: 25s, for: 5s, inject: {partition: {zones: [dc1, eu]}}}
  |                                                          ^^
  = known: dc1, dc2, dc3

drill.yaml:9:32: kill: cannot choose 7 nodes: 7 wanted, 5 of 5 there
  |
9 |   - {at: 35s, for: 5s, inject: {kill: {nodes: {count: 7}}}}
  |                                ^
"#);
}

#[test]
fn a_plan_beyond_the_blast_radius_is_refused_with_faults_and_instant() {
    let found = plan(
        "faults:
  - {at: 5s, for: 10s, inject: {kill: {nodes: n1}}}
  - {at: 12s, for: 10s, inject: {pause: {nodes: leader}}}
  - {at: 30s, for: 5s, inject: {datacenter-loss: {zone: dc2}}}
blast_radius: {nodes: 1, zones: 0}
",
        1,
    );
    insta::assert_snapshot!(found.unwrap_err(), @r#"
drill.yaml:7:33: 2 nodes could be struck at once at 12s, the blast radius allows 1: kill n1 (dc1) (line 6); pause the leader (line 7)
  |
7 |   - {at: 12s, for: 10s, inject: {pause: {nodes: leader}}}
  |                                 ^
  = let the faults strike one after the other, strike fewer nodes, or raise `blast_radius`

drill.yaml:8:32: 2 nodes could be struck at once at 30s, the blast radius allows 1: lose dc2 (n3, n4) (line 8)
  |
8 |   - {at: 30s, for: 5s, inject: {datacenter-loss: {zone: dc2}}}
  |                                ^
  = let the faults strike one after the other, strike fewer nodes, or raise `blast_radius`
"#);
}

#[test]
fn faults_that_only_touch_in_time_do_not_add_up() {
    let one_by_one = "faults:
  - {at: 5s, for: 5s, inject: {kill: {nodes: n1}}}
  - {at: 10s, for: 5s, inject: {kill: {nodes: n2}}}
blast_radius: {nodes: 1}
";
    plan(one_by_one, 1).unwrap();
    let overlapping = one_by_one.replace("at: 10s", "at: 9999ms");
    assert!(plan(&overlapping, 1).is_err());
    // The same node struck twice is one node.
    plan(&overlapping.replace("n2", "n1"), 1).unwrap();
}

#[test]
fn drawn_faults_stay_within_the_blast_radius_and_what_was_left_out_is_told() {
    let crowd = "  - {every: 1s..2s, until: 40s, for: 2s..4s, inject: {kill: {nodes: one}}}\n";
    let faults = format!("faults:\n{}blast_radius: {{nodes: 1}}\n", crowd.repeat(3));
    for seed in 0..10 {
        let plan = plan(&faults, seed).unwrap();
        assert!(!plan.omitted.is_empty() && !plan.faults.is_empty());
        for instant in plan.changes() {
            let down =
                plan.inventory.ids().filter(|node| !plan.condition(node, instant).is_healthy());
            assert!(down.count() <= 1, "seed {seed} at {instant:?}");
        }
    }
}

#[test]
fn a_duration_that_ends_before_the_last_fault_is_refused() {
    let found =
        plan("faults: [{at: 5s, for: 10s, inject: {kill: {nodes: n1}}}]\nduration: 12s\n", 1);
    insta::assert_snapshot!(found.unwrap_err(), @r#"
drill.yaml:6:11: the load ends at 12s, the last fault at 15s
  |
6 | duration: 12s
  |           ^^^
  = a `duration` of 15s, and time to recover; or leave it out
"#);
}

#[test]
fn without_a_node_there_is_nothing_to_drill() {
    let text = HEAD.replace(
        "{local: {zones: {dc1: 2, dc2: 2, dc3: 1}}}",
        "{kubernetes: {selector: app=etcd}}",
    );
    let scenario = Scenario::parse("drill.yaml", &text, &[]).unwrap();
    let found = build(&scenario, &Inventory::default(), 1, &|_| None).unwrap_err();
    assert!(told(found).contains("there is no node to drill"));
}

#[test]
fn more_injections_than_a_plan_can_hold_are_refused() {
    let faults = "faults: [{every: 10ms, until: 1h, for: 100ms, inject: {kill: {nodes: one}}}]";
    assert!(plan(faults, 1).unwrap_err().contains("more than 2000 injections"));
    let crowd =
        "  - {every: 10ms, until: 1h, for: 1m, inject: {kill: {nodes: leader}}}\n".repeat(60);
    let found = plan(&format!("faults:\n{crowd}blast_radius: {{nodes: 1}}\n"), 1).unwrap_err();
    assert!(found.contains("more than 2000 injections"), "{found}");
    assert!(found.matches("more than").count() <= 20);
}

#[test]
fn several_late_faults_at_once_are_counted_at_their_worst() {
    let crowd = |count: usize| {
        let step = "  - {at: 5s, for: 5s, inject: {pause: {nodes: leader}}}\n".repeat(count);
        plan(&format!("faults:\n{step}blast_radius: {{nodes: 2}}\n"), 1)
    };
    assert_eq!(crowd(2).unwrap().faults.len(), 2);
    let found = crowd(3).unwrap_err();
    assert!(found.contains("3 nodes could be struck at once at 5s"), "{found}");
}

#[test]
fn a_choice_that_cannot_strike_these_nodes_is_refused_with_every_seed() {
    let faults = "faults:
  - every: 5s..6s
    until: 20s
    for: 1s
    choose: [{kill: {nodes: one}}, {kill: {nodes: [n9]}}]
";
    for seed in 0..20 {
        let why = plan(faults, seed).unwrap_err();
        assert!(why.contains("n9"), "seed {seed}: {why}");
    }
}

/// Whatever chance draws, and whoever leads: what only one leader's loss would come to counts as well.
#[test]
fn what_the_target_cannot_do_is_refused_at_its_place() {
    let faults = "faults:
  - {at: 5s, for: 1s, inject: {kill: {nodes: n1}}}
  - {at: 10s, for: 1s, inject: {partition: {isolate: leader}}}
  - {every: 5s..6s, from: 20s, until: 40s, for: 1s, choose: [{kill: {nodes: one}}, {pause: {nodes: one}}]}
";
    let scenario = Scenario::parse("drill.yaml", &format!("{HEAD}{faults}"), &[]).unwrap();
    let Target::Local(local) = &scenario.target.value else { panic!("not local") };
    let lone = |c: &Condition| c.links.from.len() == 4 && !c.links.from.contains_key(&n5());
    let cannot = |c: &Condition| {
        let (n5_alone, paused) = (lone(c), c.life == Life::Paused);
        (n5_alone || paused).then(|| "it has no hands".to_string())
    };
    let found = told(build(&scenario, &local.inventory(), 1, &cannot).unwrap_err());
    let lines = ["drill.yaml:7:", "drill.yaml:8:"].map(|place| found.contains(place));
    assert_eq!((lines, found.matches("cannot do this").count()), ([true, true], 2), "{found}");
    assert!(found.contains("pause: the target local cannot do this: it has no hands"), "{found}");
    assert!(found.contains("partition: the target local cannot do this"), "{found}");
}

/// Each of two faults may be possible, and both at once not: they are told so where they overlap, and only there.
#[test]
fn what_faults_come_to_together_is_refused_where_they_overlap() {
    let faults = "faults:
  - {at: 5s, for: 5s, inject: {latency: {nodes: n1, latency: 1s, jitter: 1s}}}
  - {at: 8s, for: 5s, inject: {latency: {nodes: leader, latency: 1s, direction: from}}}
";
    let late_both_ways = |c: &Condition| {
        let (from, to) = (c.links.from.get(&Peer::Clients)?, c.links.to.get(&Peer::Clients)?);
        (!from.is_healthy() && !to.is_healthy()).then(|| "it has one hand".to_string())
    };
    let built = |text: &str| {
        let scenario = Scenario::parse("drill.yaml", &format!("{HEAD}{text}"), &[]).unwrap();
        let Target::Local(local) = &scenario.target.value else { panic!("not local") };
        build(&scenario, &local.inventory(), 1, &late_both_ways)
    };
    let found = told(built(faults).unwrap_err());
    let said = "drill.yaml:7:31: the target local cannot do what n1 is to suffer at 8s, all faults \
                together: it has one hand";
    assert!(found.starts_with(said), "{found}");
    assert!(built(&faults.replace("at: 8s", "at: 10s")).is_ok());
    assert!(built(&faults.replace("leader", "n2")).is_ok());
    // What chance drew is left out.
    let drawn = "every: 1s, from: 5s, until: 9s, for: 1s";
    let plan = built(&faults.replace("at: 8s, for: 5s", drawn)).unwrap();
    assert!(plan.omitted.iter().any(|o| o.why.contains("one hand")), "{:?}", plan.omitted);
}
