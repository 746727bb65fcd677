//! The laws of [`Condition::join`], by properties; and joins that break them, which must be caught.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::inventory::NodeId;
use crate::quantity::{Bandwidth, Bytes, Cpus, Ratio, Span, Throughput};

fn link() -> impl Strategy<Value = Link> {
    let delivery = prop_oneof![
        Just(Delivery::Pass),
        Just(Delivery::Reset),
        Just(Delivery::Reject),
        Just(Delivery::Drop)
    ];
    let bandwidth = prop::option::of((1..4_u64).prop_map(|n| Bandwidth::bits(n * 1000)));
    let share = || (0..3_u8).prop_map(|n| Ratio::new(f64::from(n) / 4.0));
    let shares = (share(), share(), share(), share(), share());
    let times = (0..3_u64, 0..3_u64).prop_map(|(a, b)| (Span::millis(a), Span::millis(b)));
    (delivery, times, bandwidth, shares).prop_map(
        |(delivery, (latency, jitter), bandwidth, shares)| {
            let (loss, duplicate, corrupt, reorder, correlation) = shares;
            let timing = Link { delivery, latency, jitter, bandwidth, ..Link::default() };
            Link { loss, duplicate, corrupt, reorder, correlation, ..timing }
        },
    )
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        Just(Peer::Clients),
        Just(Peer::Outside("db.example.com".into())),
        (1..4).prop_map(|n| Peer::Node(NodeId::new(format!("n{n}")))),
    ]
}

type Ports = BTreeMap<Peer, BTreeSet<Port>>;

fn ports() -> impl Strategy<Value = Ports> {
    let port = prop_oneof![
        Just(Port::Name("client".into())),
        (1..3_u16).prop_filter_map("from 1", |n| Some(Port::Number(n.try_into().ok()?))),
    ];
    let ports = prop::collection::btree_set(port, 1..3);
    prop::collection::btree_map(peer(), ports, 0..3)
}

fn load() -> impl Strategy<Value = Load> {
    fn maybe<T: std::str::FromStr + Clone + std::fmt::Debug>(
        texts: &'static [&'static str],
    ) -> impl Strategy<Value = Option<T>> {
        prop::option::of(prop::sample::select(texts).prop_map(|text| text.parse().ok().unwrap()))
    }
    let share = (0..3_u8).prop_map(|n| Ratio::new(f64::from(n) / 4.0));
    let memory = (maybe::<Bytes>(&["1MiB", "2MiB"]), maybe::<Bytes>(&["1MiB", "2MiB"]));
    let disk = (maybe::<Throughput>(&["1B/s", "2B/s"]), maybe::<Throughput>(&["1B/s", "2B/s"]));
    let cpu = (0..3_u32, share, maybe::<Cpus>(&["0.5", "2"]));
    (cpu, memory, disk).prop_map(|(cpu, (memory, memory_limit), (read_limit, write_limit))| {
        let (cpu_workers, cpu_share, cpu_limit) = cpu;
        let stress = Load { cpu_workers, cpu_share, memory, ..Load::default() };
        Load { cpu_limit, memory_limit, read_limit, write_limit, ..stress }
    })
}

fn disk() -> impl Strategy<Value = Disk> {
    let folder = prop::sample::select(&["/a", "/b"][..]).prop_map(String::from);
    let at_most = (1..3_u64).prop_map(Bytes::mebibytes);
    prop::collection::btree_map(folder, at_most, 0..2).prop_map(|full| Disk { full })
}

fn links() -> impl Strategy<Value = BTreeMap<Peer, Link>> {
    // No entry is healthy: `Links` says so.
    prop::collection::btree_map(peer(), link(), 0..3).prop_map(|mut map| {
        map.retain(|_, link| *link != Link::default());
        map
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let life = prop_oneof![
        Just(Life::Running),
        Just(Life::Paused),
        Just(Life::Evicted),
        Just(Life::Stopped),
        Just(Life::Killed),
    ];
    let words = |text: &str| vec![text.to_string()];
    let command = (0..3).prop_map(move |n| UserCommand {
        inject: words(&format!("inject{n}")),
        prove: words("prove"),
        heal: words("heal"),
    });
    let commands = prop::collection::btree_set(command, 0..3);
    let links = (links(), links(), ports(), ports())
        .prop_map(|(from, to, ports_from, ports_to)| Links { from, to, ports_from, ports_to });
    let clock = prop::sample::select(&["0s", "5s", "-5s", "-7s"][..])
        .prop_map(|skew| skew.parse::<ClockSkew>().unwrap());
    let resolution = prop_oneof![
        Just(Resolution::Wrong([192, 0, 2, 1].into())),
        Just(Resolution::Error),
        Just(Resolution::Silence),
    ];
    let name = prop::sample::select(&["*", "*.a", "b"][..]).prop_map(|n| n.parse().unwrap());
    let dns = prop::collection::btree_map(name, resolution, 0..2).prop_map(|names| Dns { names });
    let own = (disk(), clock, dns, commands);
    (life, links, load(), own, machine(), controller()).prop_map(
        |(life, links, load, (disk, clock, dns, commands), machine, controller)| Condition {
            life,
            links,
            load,
            disk,
            clock,
            dns,
            machine,
            controller,
            commands,
        },
    )
}

fn machine() -> impl Strategy<Value = Machine> {
    let closed = prop_oneof![Just(Closed::Open), Just(Closed::Machine), Just(Closed::Zone)];
    let power = prop_oneof![Just(Power::On), Just(Power::Cut), Just(Power::Off)];
    let effect = prop_oneof![Just(TaintEffect::NoSchedule), Just(TaintEffect::NoExecute)];
    let taint = effect.prop_map(|effect| Taint { key: "k".into(), value: String::new(), effect });
    let taints = prop::collection::btree_set(taint, 0..2);
    (closed, taints, power).prop_map(|(closed, taints, power)| Machine { closed, taints, power })
}

fn controller() -> impl Strategy<Value = Controller> {
    let replicas = prop::option::of(0..3_u32);
    (replicas, any::<bool>()).prop_map(|(replicas, rollout)| Controller { replicas, rollout })
}

/// Whether `a` is nowhere stronger than `b`.
fn within(a: &Condition, b: &Condition) -> bool {
    let link = |a: &Link, b: &Link| {
        let narrower = match (a.bandwidth, b.bandwidth) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(a), Some(b)) => b <= a,
        };
        let shares = |l: &Link| [l.loss, l.duplicate, l.corrupt, l.reorder, l.correlation];
        let rarer = shares(a).iter().zip(shares(b)).all(|(a, b)| *a <= b);
        let times = a.latency <= b.latency && a.jitter <= b.jitter;
        a.delivery <= b.delivery && times && narrower && rarer
    };
    let links = |a: &BTreeMap<Peer, Link>, b: &BTreeMap<Peer, Link>| {
        a.iter().all(|(peer, l)| link(l, b.get(peer).unwrap_or(&Link::default())))
    };
    let ports = |a: &Ports, b: &Ports| {
        let none = BTreeSet::new();
        a.iter().all(|(peer, ports)| ports.is_subset(b.get(peer).unwrap_or(&none)))
    };
    let full = |a: &Disk, b: &Disk| {
        a.full.iter().all(|(folder, room)| b.full.get(folder).is_some_and(|more| room <= more))
    };
    a.life <= b.life
        && less(&a.load, &b.load)
        && full(&a.disk, &b.disk)
        && a.clock.magnitude() <= b.clock.magnitude()
        && a.dns.names.iter().all(|(name, held)| b.dns.names.get(name) >= Some(held))
        && ports(&a.links.ports_from, &b.links.ports_from)
        && ports(&a.links.ports_to, &b.links.ports_to)
        && links(&a.links.from, &b.links.from)
        && links(&a.links.to, &b.links.to)
        && a.commands.is_subset(&b.commands)
        && a.machine.closed <= b.machine.closed
        && a.machine.power <= b.machine.power
        && a.machine.taints.is_subset(&b.machine.taints)
        && a.controller.rollout <= b.controller.rollout
        && match (a.controller.replicas, b.controller.replicas) {
            (None, _) => true,
            (Some(a), b) => b.is_some_and(|b| b <= a),
        }
}

/// Whether a load takes nowhere more than another.
fn less(a: &Load, b: &Load) -> bool {
    fn wider<T: PartialOrd>(a: &Option<T>, b: &Option<T>) -> bool {
        a.as_ref().is_none_or(|a| b.as_ref().is_some_and(|b| b <= a))
    }
    a.cpu_workers <= b.cpu_workers
        && a.cpu_share <= b.cpu_share
        && a.memory <= b.memory
        && wider(&a.cpu_limit, &b.cpu_limit)
        && wider(&a.memory_limit, &b.memory_limit)
        && wider(&a.read_limit, &b.read_limit)
        && wider(&a.write_limit, &b.write_limit)
}

type Join = fn(Condition, Condition) -> Condition;

/// The law that a join breaks for these, if any.
fn broken_law(join: Join, a: &Condition, b: &Condition, c: &Condition) -> Option<&'static str> {
    let of = |a: &Condition, b: &Condition| join(a.clone(), b.clone());
    let ab = of(a, b);
    match () {
        _ if ab != of(b, a) => Some("commutative"),
        _ if of(&ab, c) != of(a, &of(b, c)) => Some("associative"),
        _ if of(a, a) != *a => Some("idempotent"),
        _ if of(a, &Condition::default()) != *a => Some("default is neutral"),
        _ if !within(a, &ab) || !within(b, &ab) => Some("never weaker than either side"),
        _ => None,
    }
}

/// Looks for a law that breaks, over many conditions.
fn search(join: Join) -> Result<(), String> {
    let config = Config { cases: 512, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let law = |(a, b, c): (Condition, Condition, Condition)| match broken_law(join, &a, &b, &c) {
        None => Ok(()),
        Some(law) => Err(TestCaseError::fail(law)),
    };
    runner.run(&(condition(), condition(), condition()), law).map_err(|error| error.to_string())
}

#[test]
fn join_obeys_its_laws() {
    search(Condition::join).unwrap();
}

#[test]
fn a_join_in_which_the_larger_bandwidth_wins_is_caught_as_weaker() {
    fn larger_wins(a: Condition, b: Condition) -> Condition {
        let mut joined = a.clone().join(b.clone());
        for (peer, link) in &mut joined.links.to {
            let limit = |c: &Condition| c.links.to.get(peer).and_then(|l| l.bandwidth);
            link.bandwidth = limit(&a).max(limit(&b));
        }
        joined
    }
    let error = search(larger_wins).unwrap_err();
    assert!(error.contains("never weaker"), "{error}");
}

#[test]
fn a_join_that_adds_delays_up_is_caught_as_not_idempotent() {
    fn adds(a: Condition, b: Condition) -> Condition {
        let mut joined = a.clone().join(b.clone());
        for (peer, link) in &mut joined.links.from {
            let delay =
                |c: &Condition| c.links.from.get(peer).map_or(Duration::ZERO, |l| l.latency.0);
            link.latency = Span(delay(&a) + delay(&b));
        }
        joined
    }
    let error = search(adds).unwrap_err();
    assert!(error.contains("idempotent"), "{error}");
}

#[test]
fn a_join_in_which_the_later_fault_wins_is_caught() {
    fn later_wins(a: Condition, b: Condition) -> Condition {
        if b.life == Life::Running { Condition { life: a.life, ..b } } else { b }
    }
    assert!(search(later_wins).is_err());
}

#[test]
fn a_join_that_forgets_a_users_command_is_caught() {
    fn forgets(a: Condition, b: Condition) -> Condition {
        let shared = a.commands.intersection(&b.commands).cloned().collect();
        Condition { commands: shared, ..a.join(b) }
    }
    assert!(search(forgets).is_err());
}

#[test]
fn a_join_in_which_the_larger_limit_wins_is_caught_as_weaker() {
    fn larger_wins(a: Condition, b: Condition) -> Condition {
        let memory_limit = a.load.memory_limit.max(b.load.memory_limit);
        let joined = a.join(b);
        Condition { load: Load { memory_limit, ..joined.load }, ..joined }
    }
    assert!(search(larger_wins).unwrap_err().contains("never weaker"));
}

#[test]
fn a_join_that_keeps_only_the_ports_that_both_cut_is_caught() {
    fn both(a: Condition, b: Condition) -> Condition {
        let ours = a.links.ports_to.clone();
        let mut joined = a.join(b.clone());
        joined.links.ports_to.retain(|peer, ports| {
            ours.contains_key(peer) && b.links.ports_to.contains_key(peer) && !ports.is_empty()
        });
        joined
    }
    assert!(search(both).is_err());
}

#[test]
fn a_condition_reads_back_as_it_was_written() {
    let mut runner = TestRunner::deterministic();
    let law = |condition: Condition| {
        let text = serde_json::to_string(&condition).unwrap();
        prop_assert_eq!(serde_json::from_str::<Condition>(&text).unwrap(), condition, "{}", text);
        Ok(())
    };
    runner.run(&condition(), law).unwrap();
}
