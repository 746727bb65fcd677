//! Tests of the plan: the same for the same seed, and within its bounds.

mod refused;

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

fn n5() -> Peer {
    Peer::Node(NodeId::new("n5"))
}

#[test]
fn what_is_foreseen_of_a_node_is_all_that_it_may_suffer_whoever_leads() {
    let rest = "faults:
  - {at: 5s, for: 2s, inject: {kill: {nodes: leader}}}
  - {at: 10s, for: 2s, inject: {pause: {nodes: n2}}}
  - {at: 15s, for: 2s, inject: {latency: {nodes: n5, latency: 10ms}}}
";
    let foreseen = plan(rest, 1).unwrap().foreseen();
    assert_eq!(foreseen.len(), 5);
    assert!(foreseen.values().all(|condition| condition.life == Life::Killed));
    let late = |node: &str| !foreseen[node].links.is_healthy();
    assert!(late("n5") && late("n1"), "a link is suffered at both its ends");
}

#[test]
fn what_is_conceivable_is_the_same_whatever_chance_draws_and_leaves_no_fault_out() {
    let text = format!("{HEAD}{MIXED}");
    let scenario = Scenario::parse("drill.yaml", &text, &[]).unwrap();
    let Target::Local(local) = &scenario.target.value else { panic!("not local") };
    let inventory = local.inventory();
    let all = conceivable(&scenario, &inventory);
    let shown: Vec<(&str, u32, Life, bool)> = all
        .iter()
        .map(|c| (c.fault, c.line, c.condition.life, c.condition.links.is_healthy()))
        .collect();
    assert_eq!(
        shown,
        [
            ("kill", 6, Life::Killed, true),
            ("datacenter-loss", 7, Life::Killed, true),
            ("pause", 8, Life::Paused, true),
            ("reset", 8, Life::Running, false)
        ]
    );
    // Whatever a plan foresees was conceivable, of some fault.
    for seed in 0..20 {
        let foreseen = plan(MIXED, seed).unwrap().foreseen();
        let any = |so: &dyn Fn(&Condition) -> bool| all.iter().any(|c| so(&c.condition));
        for condition in foreseen.values() {
            assert!(any(&|c| c.life == condition.life), "{condition:?}");
            assert!(condition.links.is_healthy() || any(&|c| !c.links.is_healthy()));
        }
    }
}
