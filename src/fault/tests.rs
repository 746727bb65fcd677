//! Tests of the catalogue: whom each fault strikes, and with what.

use super::*;
use crate::condition::{Closed, Delivery, Link, Peer};
use crate::inventory::Node;

fn five() -> Inventory {
    let zones = [("n1", "dc1"), ("n2", "dc1"), ("n3", "dc2"), ("n4", "dc2"), ("n5", "dc3")];
    let node = |(id, zone): (&str, &str)| Node {
        id: id.into(),
        zone: zone.into(),
        endpoints: BTreeMap::new(),
    };
    Inventory::new(zones.into_iter().map(node).collect())
}

fn spec(json: serde_json::Value) -> Spec {
    serde_json::from_value(json).unwrap()
}

fn strike(json: serde_json::Value, leader: Option<&str>, seed: u64) -> Result<Effect, FaultError> {
    let (inventory, leader) = (five(), leader.map(NodeId::from));
    let draw = Draw::new(seed, "test");
    spec(json).effect(&mut Scene {
        inventory: &inventory,
        leader: leader.as_ref(),
        clients_in: None,
        draw,
    })
}

fn names_of(effect: &Effect) -> Vec<&str> {
    effect.victims.iter().map(NodeId::as_str).collect()
}

/// Every directed link that is cut, told by both ends alike.
fn cuts(effect: &Effect) -> Vec<String> {
    let mut sent = vec![];
    let mut received = vec![];
    for (node, condition) in &effect.conditions {
        for (peer, link) in &condition.links.to {
            assert_eq!(*link, Link::CUT);
            sent.push(format!("{node}>{peer}"));
        }
        for (peer, link) in &condition.links.from {
            assert_eq!(*link, Link::CUT);
            received.push(format!("{peer}>{node}"));
        }
    }
    let between_nodes = |list: &[String]| {
        let mut list: Vec<String> = list.iter().filter(|l| !l.contains('(')).cloned().collect();
        list.sort();
        list
    };
    assert_eq!(between_nodes(&sent), between_nodes(&received), "both ends tell the same");
    sent.extend(received.into_iter().filter(|l| l.contains('(')));
    sent.sort();
    sent
}

#[test]
fn a_spec_chooses_as_many_nodes_as_its_name_says_and_never_one_twice() {
    let sizes = [
        (serde_json::json!("one"), 1),
        (serde_json::json!("minority"), 2),
        (serde_json::json!("majority"), 3),
        (serde_json::json!("all"), 5),
        (serde_json::json!("leader"), 1),
        (serde_json::json!("follower"), 1),
        (serde_json::json!("followers"), 4),
        (serde_json::json!({"count": 4}), 4),
        (serde_json::json!({"percent": "50%"}), 3),
        (serde_json::json!({"percent": "1%"}), 1),
        (serde_json::json!({"zone": "dc2"}), 2),
        (serde_json::json!({"zone": "leader"}), 2),
        (serde_json::json!("zone: dc3"), 1),
        (serde_json::json!(["n4", "n2", "n4"]), 2),
    ];
    for (nodes, size) in sizes {
        for seed in 0..20 {
            let fault = serde_json::json!({"kill": {"nodes": nodes}});
            let mut victims = strike(fault, Some("n3"), seed).unwrap().victims;
            let sorted = victims.clone();
            victims.sort();
            victims.dedup();
            assert_eq!((victims.len(), &victims), (size, &sorted), "{nodes}");
        }
    }
}

#[test]
fn the_leader_is_who_leads_and_a_follower_never_is() {
    for leader in ["n1", "n3", "n5"] {
        let kill =
            |nodes: &str| strike(serde_json::json!({"kill": {"nodes": nodes}}), Some(leader), 3);
        assert_eq!(names_of(&kill("leader").unwrap()), [leader]);
        assert!(!names_of(&kill("followers").unwrap()).contains(&leader));
        for seed in 0..20 {
            let pause = serde_json::json!({"pause": {"nodes": "follower"}});
            assert_ne!(names_of(&strike(pause, Some(leader), seed).unwrap()), [leader]);
        }
    }
}

#[test]
fn every_node_is_drawn_sooner_or_later() {
    let draw = |seed| strike(serde_json::json!({"kill": {"nodes": "one"}}), None, seed).unwrap();
    let drawn: std::collections::BTreeSet<NodeId> =
        (0..60).flat_map(|seed| draw(seed).victims).collect();
    assert_eq!(drawn.len(), 5);
}

#[test]
fn a_fault_that_can_strike_nobody_is_an_error_and_not_an_empty_effect() {
    let errors = [
        (serde_json::json!({"kill": {"nodes": {"count": 6}}}), "6 wanted"),
        (serde_json::json!({"kill": {"nodes": "n9"}}), "unknown node `n9`"),
        (serde_json::json!({"datacenter-loss": {"zone": "dc9"}}), "unknown zone `dc9`"),
        (serde_json::json!({"kill": {"nodes": "leader"}}), "nobody knows who leads"),
        (serde_json::json!({"partition": {"isolate": "all"}}), "no other node"),
        (serde_json::json!({"partition": {"halves": ["n1", ["n1", "n2"]]}}), "both sides"),
    ];
    for (fault, message) in errors {
        let error = strike(fault.clone(), None, 0).unwrap_err().to_string();
        assert!(error.contains(message), "{fault}: {error}");
    }
}

#[test]
fn a_cut_stands_at_both_ends_and_only_in_its_direction() {
    let cut = |direction: &str| {
        let halves = serde_json::json!({"halves": ["n1", "n2"], "direction": direction});
        cuts(&strike(serde_json::json!({"partition": halves}), None, 0).unwrap())
    };
    assert_eq!(cut("both"), ["n1>n2", "n2>n1"]);
    assert_eq!(cut("to"), ["n1>n2"]);
    assert_eq!(cut("from"), ["n2>n1"]);
}

#[test]
fn the_halves_of_a_partition_are_disjoint_and_its_smaller_side_is_the_victim() {
    for (seed, halves) in
        (0..20).zip([["minority", "majority"], ["majority", "minority"]].iter().cycle())
    {
        let effect =
            strike(serde_json::json!({"partition": {"halves": halves}}), None, seed).unwrap();
        assert_eq!(effect.victims.len(), 2, "{effect:?}");
        assert_eq!(cuts(&effect).len(), 2 * 2 * 3, "{effect:?}");
    }
    let rest = serde_json::json!({"partition": {"halves": [{"zone": "dc1"}, "all"]}});
    assert_eq!(names_of(&strike(rest, None, 0).unwrap()), ["n1", "n2"]);
}

#[test]
fn a_partition_leaves_the_clients_alone_unless_asked() {
    let isolate = |clients: bool| {
        let isolate = serde_json::json!({"isolate": "n1", "clients": clients});
        cuts(&strike(serde_json::json!({"partition": isolate}), None, 0).unwrap())
    };
    assert!(isolate(false).iter().all(|cut| !cut.contains("clients")));
    let cut: Vec<String> = isolate(true).into_iter().filter(|c| c.contains("clients")).collect();
    assert_eq!(cut, ["(clients)>n1", "n1>(clients)"]);
}

#[test]
fn in_a_majorities_ring_every_node_sees_a_majority_and_no_two_see_the_same() {
    let effect =
        strike(serde_json::json!({"partition": {"majorities-ring": "all"}}), None, 4).unwrap();
    let everyone: Vec<NodeId> = five().ids().cloned().collect();
    let cut = cuts(&effect);
    let seen = |node: &NodeId| -> Vec<NodeId> {
        let sees = |other: &&NodeId| !cut.contains(&format!("{node}>{other}"));
        everyone.iter().filter(sees).cloned().collect()
    };
    let views: Vec<Vec<NodeId>> = everyone.iter().map(seen).collect();
    assert!(views.iter().all(|view| view.len() == 3), "{views:?}");
    let distinct: std::collections::BTreeSet<_> = views.iter().collect();
    assert_eq!(distinct.len(), 5, "{views:?}");
}

#[test]
fn over_a_bridge_the_halves_do_not_see_each_other_and_the_bridge_sees_all() {
    let effect = strike(serde_json::json!({"partition": {"bridge": "n3"}}), None, 1).unwrap();
    let cut = cuts(&effect);
    assert!(cut.iter().all(|cut| !cut.contains("n3")), "{cut:?}");
    assert_eq!(cut.len(), 2 * 2 * 2, "{cut:?}");
}

#[test]
fn a_lost_datacenter_is_dead_frozen_or_cut_off_from_nodes_and_clients() {
    let lose = |how: &str| {
        strike(
            serde_json::json!({"datacenter-loss": {"zone": "leader", "how": how}}),
            Some("n4"),
            0,
        )
        .unwrap()
    };
    let lives =
        |effect: &Effect| -> Vec<Life> { effect.conditions.values().map(|c| c.life).collect() };
    assert_eq!(lose("kill").what, "lose dc2 (n3, n4)");
    assert_eq!(lives(&lose("kill")), [Life::Killed, Life::Killed]);
    assert_eq!(lives(&lose("pause")), [Life::Paused, Life::Paused]);
    let cut = cuts(&lose("cut"));
    assert_eq!(cut.len(), 2 * 2 * 3 + 2 * 2, "{cut:?}");
    assert!(!cut.contains(&"n3>n4".to_string()), "inside, the datacenter is whole: {cut:?}");
}

#[test]
fn the_clients_of_a_cut_off_datacenter_stand_where_they_are_said_to() {
    let clients_cut = |clients: &str| -> Vec<String> {
        let fault =
            serde_json::json!({"datacenter-partition": {"zone": "dc3", "clients": clients}});
        let cut = cuts(&strike(fault, None, 0).unwrap());
        cut.into_iter().filter(|c| c.starts_with("(clients)")).collect()
    };
    assert_eq!(clients_cut("everywhere"), [] as [&str; 0]);
    assert_eq!(clients_cut("outside"), ["(clients)>n5"]);
    let inside = ["(clients)>n1", "(clients)>n2", "(clients)>n3", "(clients)>n4"];
    assert_eq!(clients_cut("inside"), inside);
}

#[test]
fn latency_is_added_to_what_is_sent_unless_told_otherwise() {
    let fault = serde_json::json!({"latency": {"nodes": "n1", "latency": "10ms"}});
    let effect = strike(fault, None, 0).unwrap();
    let n1 = &effect.conditions[&NodeId::from("n1")];
    assert!(n1.links.from.is_empty(), "{n1:?}");
    assert_eq!(n1.links.to.len(), 5, "four nodes and the clients: {n1:?}");
    assert_eq!(n1.links.to[&Peer::Clients].latency.to_string(), "10ms");
    let n2 = &effect.conditions[&NodeId::from("n2")];
    assert_eq!(n2.links.from.keys().collect::<Vec<_>>(), [&Peer::Node("n1".into())]);
}

#[test]
fn a_reset_breaks_connections_and_a_bandwidth_limits_them() {
    let reset = strike(serde_json::json!({"reset": {"nodes": "n1"}}), None, 0).unwrap();
    let links = &reset.conditions[&NodeId::from("n1")].links;
    assert!(links.to.values().chain(links.from.values()).all(|l| l.delivery == Delivery::Reset));
    let thin = serde_json::json!({"bandwidth": {"nodes": "n1", "rate": "1mbit"}});
    let thin = strike(thin, None, 0).unwrap();
    let links = &thin.conditions[&NodeId::from("n1")].links;
    assert!(links.from.values().all(|l| l.bandwidth.unwrap().bits_per_second() == 1_000_000));
}

#[test]
fn a_users_command_is_filled_in_for_each_node() {
    let argv = |word: &str| serde_json::json!([word, "{name}", "{zone}"]);
    let fault = |nodes: serde_json::Value| {
        let (inject, prove, heal) = (argv("inject"), argv("prove"), argv("heal"));
        serde_json::json!({"command":
            {"inject": inject, "prove": prove, "heal": heal, "nodes": nodes}})
    };
    let effect = strike(fault(serde_json::json!(["n1", "n5"])), None, 0).unwrap();
    assert_eq!(names_of(&effect), ["n1", "n5"]);
    let command = effect.conditions[&NodeId::from("n5")].commands.first().unwrap();
    assert_eq!(command.heal, ["heal", "n5", "dc3"]);
    let once = strike(fault(serde_json::Value::Null), None, 0).unwrap();
    assert_eq!((once.conditions.len(), names_of(&once).len()), (1, 0));
}

#[test]
fn a_fault_survives_being_written_down_and_read_again() {
    let faults = [
        serde_json::json!({"kill": {"nodes": "leader"}}),
        serde_json::json!({"partition": {"halves": ["leader", "followers"], "direction": "to"}}),
        serde_json::json!({"partition": {"majorities-ring": "all"}}),
        serde_json::json!({"latency": {"between": ["leader", "all"], "latency": "5ms"}}),
        serde_json::json!({"datacenter-loss": {"zone": "leader", "how": "cut"}}),
        serde_json::json!({"pause": {"nodes": {"percent": "40%"}}}),
    ];
    for json in faults {
        let fault = spec(json);
        assert_eq!(spec(serde_json::to_value(&fault).unwrap()), fault);
    }
}

#[test]
fn the_catalogue_names_every_fault_with_its_parameters() {
    let catalogue = catalogue();
    assert_eq!(catalogue.len(), 34);
    for entry in &catalogue {
        assert!(!entry.summary.is_empty(), "{entry:?}");
        assert!(!entry.parameters.is_empty() || entry.name == "rollout-restart", "{entry:?}");
        assert!(entry.parameters.iter().all(|p| !p.summary.is_empty()), "{entry:?}");
    }
    let latency = catalogue.iter().find(|entry| entry.name == "latency").unwrap();
    let required: Vec<&str> =
        latency.parameters.iter().filter(|p| p.required).map(|p| p.name.as_str()).collect();
    assert_eq!(required, ["latency"]);
}

#[test]
fn faults_of_packets_stand_at_both_ends_and_read_back_as_written() {
    let share = |name: &str| {
        let mut fault = serde_json::json!({"nodes": ["n1"], "correlation": "25%"});
        fault[name] = "10%".into();
        if name == "reorder" {
            fault["latency"] = "50ms".into();
        }
        serde_json::json!({name: fault})
    };
    for name in ["loss", "duplicate", "corrupt", "reorder"] {
        let read = spec(share(name));
        assert_eq!(read.name(), name);
        assert_eq!(spec(serde_json::to_value(&read).unwrap()), read);
        let effect = strike(share(name), None, 1).unwrap();
        assert!(effect.what.contains("10% of the packets of n1"), "{}", effect.what);
        let link = effect.conditions["n1"].links.to[&Peer::Node("n2".into())];
        assert_eq!(link, effect.conditions["n2"].links.from[&Peer::Node("n1".into())]);
        let shares = [link.loss, link.duplicate, link.corrupt, link.reorder];
        assert_eq!(shares.iter().filter(|share| share.fraction() == 0.1).count(), 1);
        assert_eq!(shares.iter().filter(|share| share.fraction() == 0.0).count(), 3);
        assert_eq!(link.correlation.fraction(), 0.25);
        // Only what is sent, if nothing else is said.
        assert!(effect.conditions["n1"].links.from.is_empty());
    }
}

#[test]
fn a_fault_of_packets_without_a_share_or_anything_to_overtake_is_refused() {
    let error = |fault: serde_json::Value| serde_json::from_value::<Spec>(fault).unwrap_err();
    let says = |fault, what: &str| {
        let error = error(fault).to_string();
        assert!(error.contains(what), "{error}");
    };
    says(serde_json::json!({"loss": {"nodes": "one", "loss": "0%"}}), "a share above 0%");
    says(serde_json::json!({"loss": {"loss": "1%"}}), "either `nodes` or `between`");
    let reorder = serde_json::json!({"nodes": "one", "reorder": "5%", "latency": "0s"});
    says(serde_json::json!({"reorder": reorder}), "nothing to overtake");
}

#[test]
fn a_rejection_is_of_all_links_both_ways() {
    let effect = strike(serde_json::json!({"reject": {"nodes": ["n1"]}}), None, 1).unwrap();
    assert_eq!(effect.what, "reject the traffic of n1 (dc1)");
    let links = &effect.conditions["n1"].links;
    assert_eq!((links.to.len(), links.from.len()), (5, 5));
    assert!(links.to.values().chain(links.from.values()).all(|l| l.delivery == Delivery::Reject));
}

#[test]
fn a_partition_of_ports_cuts_these_and_leaves_the_links() {
    let fault = serde_json::json!({"partition": {"isolate": ["n1"], "ports": [2380, "client"]}});
    assert_eq!(spec(serde_json::to_value(spec(fault.clone())).unwrap()), spec(fault.clone()));
    let effect = strike(fault, None, 1).unwrap();
    assert_eq!(effect.what, "isolate n1 (dc1) | n2, n3, n4, n5 (only ports 2380, client)");
    let (n1, n5) = (&effect.conditions["n1"].links, &effect.conditions["n5"].links);
    let [one, five] = ["n1", "n5"].map(|n| Peer::Node(n.into()));
    assert!(n1.from.is_empty() && n1.to.is_empty(), "the rest of the links is whole");
    assert_eq!(n1.ports_to[&five], n5.ports_from[&one]);
    assert_eq!(n1.ports_from[&five].len(), 2);
    assert!(!n5.ports_to.contains_key(&Peer::Node("n4".into())));
}

#[test]
fn outside_hosts_are_cut_off_from_who_is_named_and_from_nobody_else() {
    let from = |direction: &str| {
        let partition = serde_json::json!({
            "isolate": ["n1"], "outside": ["db.example.com"], "direction": direction,
        });
        strike(serde_json::json!({"partition": partition}), None, 1).unwrap()
    };
    let outside = Peer::Outside("db.example.com".into());
    let effect = from("both");
    assert_eq!(effect.what, "isolate n1 (dc1) from db.example.com");
    assert_eq!(effect.conditions.keys().map(NodeId::as_str).collect::<Vec<_>>(), ["n1"]);
    let links = &effect.conditions["n1"].links;
    assert_eq!((links.to[&outside], links.from[&outside]), (Link::CUT, Link::CUT));
    assert!(from("to").conditions["n1"].links.from.is_empty());
    let refused = |partition: serde_json::Value| {
        let fault = serde_json::json!({ "partition": partition });
        serde_json::from_value::<Spec>(fault).unwrap_err().to_string()
    };
    let alone = serde_json::json!({"halves": ["n1", "n2"], "outside": ["a"]});
    assert!(refused(alone).contains("give both"));
    let with_port = serde_json::json!({"isolate": "n1", "outside": ["a:443"]});
    assert!(refused(with_port).contains("ports stand in `ports`"));
}

#[test]
fn what_is_taken_from_a_node_is_told_and_reads_back_as_written() {
    for (fault, what) in [
        (
            serde_json::json!({"cpu-stress": {"nodes": "n1", "workers": 2, "load": "50%"}}),
            "stress n1 (dc1) with 2 threads at 50%",
        ),
        (
            serde_json::json!({"memory-stress": {"nodes": "n1", "size": "64MiB"}}),
            "hold 64MiB of the memory of n1 (dc1)",
        ),
        (
            serde_json::json!({"cpu-limit": {"nodes": "n1", "cpus": 0.5}}),
            "limit n1 (dc1) to 0.5 processors",
        ),
        (
            serde_json::json!({"memory-limit": {"nodes": "n1", "limit": "1GiB"}}),
            "limit n1 (dc1) to 1GiB of memory",
        ),
        (
            serde_json::json!({"io-throttle": {"nodes": "n1", "write": "1MiB/s"}}),
            "slow the disks of n1 (dc1) to writing 1MiB/s",
        ),
        (
            serde_json::json!({"disk-full": {"nodes": "n1", "path": "/data"}}),
            "fill /data of n1 (dc1)",
        ),
        (
            serde_json::json!({"clock-skew": {"nodes": "n1", "offset": "-10m"}}),
            "set the clock of n1 (dc1) wrong by -10m",
        ),
        (
            serde_json::json!({"dns": {"nodes": "n1", "answer": "error"}}),
            "let all look-ups of n1 (dc1) fail",
        ),
        (
            serde_json::json!({"dns": {"nodes": "n1", "answer": "wrong", "names": ["*.a"]}}),
            "let look-ups of *.a of n1 (dc1) lead to 192.0.2.1",
        ),
    ] {
        let read = spec(fault.clone());
        assert_eq!(spec(serde_json::to_value(&read).unwrap()), read, "{what}");
        let effect = strike(fault, None, 1).unwrap();
        assert_eq!(effect.what, what);
        assert_eq!(names_of(&effect), ["n1"]);
        assert!(!effect.conditions["n1"].is_healthy(), "{what}");
    }
}

#[test]
fn machines_are_closed_tainted_and_lost_beneath_those_who_are_named() {
    let of = |json| strike(json, None, 1).unwrap();
    let cordon = of(serde_json::json!({"cordon": {"nodes": "n1"}}));
    assert_eq!(
        (cordon.what.as_str(), names_of(&cordon).len()),
        ("cordon the machines of n1 (dc1)", 0)
    );
    assert_eq!(cordon.conditions[&NodeId::from("n1")].machine.closed, Closed::Machine);
    let drain = of(serde_json::json!({"drain": {"nodes": "n1"}}));
    let condition = &drain.conditions[&NodeId::from("n1")];
    assert_eq!((condition.machine.closed, condition.life), (Closed::Machine, Life::Evicted));
    assert_eq!(names_of(&drain), ["n1"]);
    let taint = |effect: &str| {
        of(
            serde_json::json!({"taint": {"nodes": "n1", "key": "k", "value": "v", "effect": effect}}),
        )
    };
    assert_eq!(taint("NoExecute").what, "taint the machines of n1 (dc1) with k=v:NoExecute");
    // Only what drives out takes somebody out.
    assert_eq!(names_of(&taint("NoExecute")), ["n1"]);
    assert_eq!(names_of(&taint("NoSchedule")), Vec::<&str>::new());
    let lost = of(serde_json::json!({"datacenter-loss": {"zone": "dc1", "how": "nodes"}}));
    for condition in lost.conditions.values() {
        assert_eq!((condition.life, condition.machine.closed), (Life::Killed, Closed::Zone));
        assert!(!condition.wants_orchestrator(), "killed for good where nobody brings it back");
    }
    for fault in [cordon, drain, taint("NoSchedule")] {
        assert!(fault.conditions.values().all(Condition::wants_orchestrator));
    }
}

#[test]
fn who_is_scaled_away_has_the_highest_numbers() {
    let node = |n: u32| Node {
        id: format!("etcd-{n}").as_str().into(),
        zone: String::new(),
        endpoints: BTreeMap::new(),
    };
    // By name, etcd-10 stands before etcd-2.
    let inventory = Inventory::new((0..11).map(node).collect());
    let scaled = |to: u32| {
        let draw = Draw::new(1, "test");
        let mut scene = Scene { inventory: &inventory, leader: None, clients_in: None, draw };
        spec(serde_json::json!({"scale": {"to": to}})).effect(&mut scene).unwrap()
    };
    assert_eq!(names_of(&scaled(9)), ["etcd-9", "etcd-10"]);
    assert_eq!(scaled(9).what, "scale to 9, without etcd-9, etcd-10");
    assert_eq!(names_of(&scaled(12)), Vec::<&str>::new());
    assert!(scaled(12).conditions.values().all(|c| c.controller.replicas == Some(12)));
}
