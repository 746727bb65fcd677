//! Tests of the plan: the same for the same seed, and within its bounds.

use super::*;
use crate::condition::{Life, Link, Peer};
use crate::scenario::{Diagnostic, Scenario, Target};

const HEAD: &str = "name: drill
target: {local: {zones: {dc1: 2, dc2: 2, dc3: 1}}}
workload: {client: store, model: register, rate: 100/s}
checks: [linearizable]
";

fn told(found: Vec<Diagnostic>) -> String {
    found.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n\n")
}

fn plan(rest: &str, seed: u64) -> Result<Plan, String> {
    let scenario = Scenario::parse("drill.yaml", &format!("{HEAD}{rest}"), &[]).map_err(told)?;
    let Target::Local(local) = &scenario.target.value else { panic!("not local") };
    build(&scenario, &local.inventory(), seed, &|_| None).map_err(told)
}

const MIXED: &str = "faults:
  - {at: 10s, for: 5s, inject: {kill: {nodes: minority}}}
  - {at: 20s, for: 4s, inject: {datacenter-loss: {zone: leader}}}
  - {every: 2s..4s, from: 30s, until: 45s, for: 1s..2s, choose: [{pause: {nodes: one}}, {reset: {nodes: one}}]}
";

#[test]
fn the_same_scenario_inventory_and_seed_give_the_same_bytes_in_every_release() {
    let text = serde_json::to_string_pretty(&plan(MIXED, 7).unwrap()).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&plan(MIXED, 7).unwrap()).unwrap());
    insta::assert_snapshot!(text, @r#"
{
  "scenario": "drill",
  "seed": 7,
  "target": "local",
  "inventory": [
    {
      "id": "n1",
      "zone": "dc1"
    },
    {
      "id": "n2",
      "zone": "dc1"
    },
    {
      "id": "n3",
      "zone": "dc2"
    },
    {
      "id": "n4",
      "zone": "dc2"
    },
    {
      "id": "n5",
      "zone": "dc3"
    }
  ],
  "load": {
    "secs": 52,
    "nanos": 562000000
  },
  "faults": [
    {
      "id": 0,
      "fault": "kill",
      "line": 6,
      "at": {
        "secs": 10,
        "nanos": 0
      },
      "length": {
        "secs": 5,
        "nanos": 0
      },
      "draw": 164404677183205,
      "effect": {
        "known": {
          "what": "kill n1, n5",
          "victims": [
            "n1",
            "n5"
          ],
          "conditions": {
            "n1": {
              "life": "killed"
            },
            "n5": {
              "life": "killed"
            }
          }
        }
      }
    },
    {
      "id": 1,
      "fault": "datacenter-loss",
      "line": 7,
      "at": {
        "secs": 20,
        "nanos": 0
      },
      "length": {
        "secs": 4,
        "nanos": 0
      },
      "draw": 8349482420497072,
      "effect": {
        "late": {
          "what": "lose the leader's zone",
          "fault": {
            "datacenter-loss": {
              "how": "kill",
              "zone": "leader"
            }
          }
        }
      }
    },
    {
      "id": 2,
      "fault": "pause",
      "line": 8,
      "at": {
        "secs": 32,
        "nanos": 500000000
      },
      "length": {
        "secs": 1,
        "nanos": 963000000
      },
      "draw": 725503679733926,
      "effect": {
        "known": {
          "what": "pause n4 (dc2)",
          "victims": [
            "n4"
          ],
          "conditions": {
            "n4": {
              "life": "paused"
            }
          }
        }
      }
    },
    {
      "id": 3,
      "fault": "pause",
      "line": 8,
      "at": {
        "secs": 37,
        "nanos": 417000000
      },
      "length": {
        "secs": 1,
        "nanos": 77000000
      },
      "draw": 3890275114229397,
      "effect": {
        "known": {
          "what": "pause n4 (dc2)",
          "victims": [
            "n4"
          ],
          "conditions": {
            "n4": {
              "life": "paused"
            }
          }
        }
      }
    },
    {
      "id": 4,
      "fault": "pause",
      "line": 8,
      "at": {
        "secs": 41,
        "nanos": 507000000
      },
      "length": {
        "secs": 1,
        "nanos": 55000000
      },
      "draw": 3446477920402371,
      "effect": {
        "known": {
          "what": "pause n1 (dc1)",
          "victims": [
            "n1"
          ],
          "conditions": {
            "n1": {
              "life": "paused"
            }
          }
        }
      }
    }
  ]
}
"#);
}

#[test]
fn another_seed_gives_another_plan_and_another_digest() {
    let (one, other) = (plan(MIXED, 7).unwrap(), plan(MIXED, 8).unwrap());
    assert_ne!(one.faults, other.faults);
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest().len(), 16);
}

#[test]
fn a_plan_survives_being_written_down_and_read_again() {
    let plan = plan(MIXED, 7).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn a_fault_added_at_the_end_changes_no_earlier_choice() {
    let more = format!("{MIXED}  - {{at: 50s, for: 5s, inject: {{kill: {{nodes: one}}}}}}\n");
    for seed in 0..20 {
        let (before, after) = (plan(MIXED, seed).unwrap(), plan(&more, seed).unwrap());
        assert_eq!(before.faults, after.faults[..before.faults.len()], "seed {seed}");
        assert_eq!(after.faults.len(), before.faults.len() + 1);
    }
}

#[test]
fn a_condition_joins_all_that_is_active_and_nothing_else() {
    let plan = plan(
        "faults:
  - {at: 10s, for: 10s, inject: {latency: {nodes: n1, latency: 10ms}}}
  - {at: 15s, for: 10s, inject: {kill: {nodes: n1}}}
  - {at: 15s, for: 2s, inject: {partition: {halves: [n1, n2]}}}
",
        1,
    )
    .unwrap();
    let at = |ms: u64| plan.condition(&NodeId::from("n1"), Duration::from_millis(ms));
    assert!(at(9_999).is_healthy());
    assert_eq!(at(10_000).life, Life::Running);
    let both = at(15_000);
    assert_eq!(both.life, Life::Killed);
    let to_n2 = both.links.to[&Peer::Node("n2".into())];
    assert_eq!((to_n2.delivery, to_n2.latency.to_string()), (Link::CUT.delivery, "10ms".into()));
    assert_eq!(at(17_000).links.to[&Peer::Node("n2".into())].delivery, Default::default());
    assert_eq!((at(20_000).life, at(20_000).links.is_healthy()), (Life::Killed, true));
    assert!(at(25_000).is_healthy());
    let changes: Vec<u64> = plan.changes().iter().map(Duration::as_secs).collect();
    assert_eq!(changes, [10, 15, 17, 20, 25]);
    assert_eq!(plan.load, Duration::from_secs(35), "the last fault, and 10s to recover");
}

#[test]
fn a_late_fault_is_bound_to_whoever_leads_the_same_way_each_time() {
    let plan =
        plan("faults: [{at: 5s, for: 5s, inject: {partition: {halves: [leader, {count: 2}]}}}]", 3);
    let plan = plan.unwrap();
    let fault = &plan.faults[0];
    assert!(matches!(&fault.effect, Binding::Late { what, .. } if what.contains("the leader")));
    assert!(plan.condition(&NodeId::from("n1"), Duration::from_secs(6)).is_healthy());
    for leader in plan.inventory.ids() {
        let bound = fault.bind(&plan.inventory, Some(leader)).unwrap();
        assert_eq!(bound.victims, std::slice::from_ref(leader));
        assert_eq!(bound, fault.bind(&plan.inventory, Some(leader)).unwrap());
    }
    let nobody = fault.bind(&plan.inventory, None).unwrap_err().to_string();
    assert!(nobody.contains("nobody knows who leads"), "{nobody}");
    let stranger = fault.bind(&plan.inventory, Some(&NodeId::from("n9"))).unwrap_err().to_string();
    assert!(stranger.contains("`n9`"), "{stranger}");
}

#[test]
fn a_rolling_restart_takes_its_nodes_one_after_the_other() {
    let rolling = |length: &str| {
        let fault = "{rolling-restart: {nodes: all, down: 1s, pause: 4s}}";
        plan(&format!("faults: [{{at: 5s, for: {length}, inject: {fault}}}]"), 1)
    };
    let plan = rolling("21s").unwrap();
    let turns: Vec<(u64, &str)> = plan.faults.iter().map(|f| (f.at.as_secs(), f.what())).collect();
    insta::assert_debug_snapshot!(turns, @r#"
[
    (
        5,
        "restart n1 (dc1), 1 of 5",
    ),
    (
        10,
        "restart n2 (dc1), 2 of 5",
    ),
    (
        15,
        "restart n3 (dc2), 3 of 5",
    ),
    (
        20,
        "restart n4 (dc2), 4 of 5",
    ),
    (
        25,
        "restart n5 (dc3), 5 of 5",
    ),
]
"#);
    insta::assert_snapshot!(rolling("20s").unwrap_err(), @r#"
drill.yaml:5:37: restarting 5 nodes one by one takes 21s, `for` is 20s
  |
5 | faults: [{at: 5s, for: 20s, inject: {rolling-restart: {nodes: all, down: 1s, pause: 4s}}}]
  |                                     ^
  = a `for` of at least 21s
"#);
}

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
fn docker_and_kubernetes_are_data_that_cannot_be_drilled_yet() {
    let text = HEAD.replace(
        "{local: {zones: {dc1: 2, dc2: 2, dc3: 1}}}",
        "{kubernetes: {selector: app=etcd}}",
    );
    let scenario = Scenario::parse("drill.yaml", &text, &[]).unwrap();
    let found = build(&scenario, &Inventory::default(), 1, &|_| None).unwrap_err();
    assert!(told(found).contains("target `kubernetes` comes in a later release"));
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

fn n5() -> Peer {
    Peer::Node(NodeId::new("n5"))
}
