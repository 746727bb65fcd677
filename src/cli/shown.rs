//! A drill as it is shown while it goes: each event in words, and what all events so far come to.
//! Deliberately absent: terminals. The live view and the plain lines both show this.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::drill::event::{Began, Event, Planned, Progress, Stamped};
use crate::history::{NodeEvent, NodeEventKind, Standing, Time};
use crate::inventory::NodeId;
use crate::report::{plain, plural};

/// How much an event matters to somebody who only glances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// It goes as planned.
    Plain,
    /// Something was injected or healed: a mark on the timeline.
    Mark,
    /// Something is wrong.
    Alarm,
}

/// An event in words, on one line. `None`: it is a figure, not a thing that happened.
pub(super) fn words(event: &Event) -> Option<(Weight, String)> {
    let (weight, text) = match event {
        Event::Progress(_) => return None,
        Event::Began(began) => (Weight::Plain, began_words(began)),
        Event::Command { stage, command } => (Weight::Plain, format!("{stage}: {command}")),
        Event::NodesReady(inventory) => {
            let nodes = inventory.nodes().len();
            let are = if nodes == 1 { "is" } else { "are" };
            (Weight::Plain, format!("{} {are} ready", plural(nodes, "node")))
        }
        Event::LoadBegan => (Weight::Plain, "load begins".into()),
        Event::Steady(s) => {
            let figures = format!("{} ok at {:.0}/s", s.success, s.rate);
            match s.held {
                true => (Weight::Plain, format!("steady state holds: {figures}")),
                false => (Weight::Alarm, format!("steady state NOT reached: {figures}")),
            }
        }
        Event::Injecting { id, what } => {
            (Weight::Plain, format!("fault {}: injecting: {what}", id + 1))
        }
        Event::Injected { id, what, took, unproven, .. } => {
            changed("injected", *id, what, *took, unproven.as_deref())
        }
        Event::Healed { id, what, took, unproven } => {
            changed("healed", *id, what, *took, unproven.as_deref())
        }
        Event::Node(event) => node_words(event),
        Event::Aborting(why) => (Weight::Alarm, format!("ABORTING: {why}")),
        Event::LoadEnded => (Weight::Plain, "load ends".into()),
        Event::MembersAwaited { limit } => {
            let most = millis(*limit);
            (Weight::Plain, format!("not every member is back: waiting, at most {most}"))
        }
        Event::FinalReads { reads } => {
            (Weight::Plain, format!("all healed; {} at the end", plural(*reads, "read")))
        }
        Event::Stopping => (Weight::Plain, "taking the nodes down".into()),
        Event::Ended { left_behind } if left_behind.is_empty() => {
            (Weight::Plain, "ended, everything is restored".into())
        }
        Event::Ended { left_behind } => {
            (Weight::Alarm, format!("ended, NOT RESTORED: {}", left_behind.join("; ")))
        }
    };
    let line: Vec<String> = plain(&text).lines().map(|l| l.trim().to_string()).collect();
    Some((weight, line.join(" ")))
}

fn began_words(began: &Began) -> String {
    format!(
        "{}: {} of {} in {}, {} in {}, seed {}",
        began.run,
        began.target,
        plural(began.inventory.nodes().len(), "node"),
        plural(began.inventory.zones().len(), "zone"),
        plural(began.faults.len(), "fault"),
        clock(began.load),
        began.seed,
    )
}

fn changed(verb: &str, id: u32, what: &str, took: Duration, no: Option<&str>) -> (Weight, String) {
    let (id, took) = (id + 1, millis(took));
    match no {
        None => (Weight::Mark, format!("fault {id}: {verb} in {took}: {what}")),
        Some(why) => (Weight::Alarm, format!("fault {id}: {verb}, NOT PROVEN: {what}: {why}")),
    }
}

fn node_words(NodeEvent { node, kind, .. }: &NodeEvent) -> (Weight, String) {
    match kind {
        NodeEventKind::Started => (Weight::Plain, format!("{node} is started")),
        NodeEventKind::Ready => (Weight::Plain, format!("{node} is ready")),
        NodeEventKind::Ended(how) => (Weight::Plain, format!("{node} ended as intended: {how}")),
        NodeEventKind::Died(how) => {
            (Weight::Alarm, format!("{node} DIED, and not by firedrill: {how}"))
        }
        NodeEventKind::Leads => (Weight::Plain, format!("{node} leads")),
        NodeEventKind::Noticed(noticed) => (Weight::Plain, format!("{node} {}", noticed.words())),
        NodeEventKind::Stands { standing: Standing::Full, .. } => {
            (Weight::Plain, format!("{node} stands full again"))
        }
        NodeEventKind::Stands { standing, .. } => {
            (Weight::Plain, format!("{node} is {}", standing.words()))
        }
    }
}

/// `1:05`, minutes and seconds.
pub(super) fn clock(span: Duration) -> String {
    format!("{}:{:02}", span.as_secs() / 60, span.as_secs() % 60)
}

/// `0.42 ms`, `12 ms`, `1.2 s`.
pub(super) fn millis(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

/// How far a fault has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Its time has not come.
    Planned,
    /// It is being injected.
    Injecting,
    /// It is in effect since this instant.
    Active(Time),
    /// It was in effect between these instants.
    Over(Time, Time),
}

/// A fault: what is planned, and how far it has come.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub planned: Planned,
    /// As resolved at its time.
    pub what: String,
    pub course: Course,
    pub unproven: bool,
}

/// A node: where it stands, and what was last seen of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub zone: String,
    /// `up`, `down`, `died`, or nothing yet.
    pub state: &'static str,
    pub leads: bool,
}

/// How many figures of the past are kept.
const PAST: usize = 400;

/// What all events so far come to.
#[derive(Debug, Default)]
pub(super) struct State {
    pub scenario: String,
    pub target: String,
    pub seed: u64,
    pub load: Duration,
    /// What the drill does, in a word or two.
    pub phase: &'static str,
    /// The instant of the last event.
    pub now: Time,
    pub load_began: Option<Time>,
    pub faults: Vec<Fault>,
    pub nodes: BTreeMap<NodeId, Node>,
    pub progress: Option<Progress>,
    /// The rate of each progress so far, the newest last.
    pub rates: VecDeque<f64>,
}

impl State {
    /// Takes an event in.
    pub fn take(&mut self, Stamped { at, event }: &Stamped) {
        self.now = self.now.max(*at);
        match event {
            Event::Began(began) => self.begin(began),
            Event::Command { stage, .. } => self.phase = stage,
            Event::NodesReady(inventory) => {
                for node in inventory.nodes() {
                    let known = self.nodes.entry(node.id.clone()).or_default();
                    known.zone.clone_from(&node.zone);
                    known.state = "up";
                }
            }
            Event::LoadBegan => (self.load_began, self.phase) = (Some(*at), "load"),
            Event::Injecting { id, what } => self.fault(*id, what, false, |_| Course::Injecting),
            Event::Injected { id, what, unproven, .. } => {
                self.fault(*id, what, unproven.is_some(), |_| Course::Active(*at));
            }
            Event::Healed { id, what, unproven, .. } => {
                self.fault(*id, what, unproven.is_some(), |course| match course {
                    Course::Active(from) => Course::Over(from, *at),
                    _ => Course::Over(*at, *at),
                });
            }
            Event::Node(event) => self.node(event),
            Event::Progress(progress) => {
                self.rates.push_back(progress.rate);
                self.rates.drain(..self.rates.len().saturating_sub(PAST));
                self.progress = Some(progress.clone());
            }
            Event::Aborting(_) => self.phase = "aborting",
            Event::LoadEnded => self.phase = "load ended",
            Event::MembersAwaited { .. } => self.phase = "members",
            Event::FinalReads { .. } => self.phase = "final reads",
            Event::Stopping => self.phase = "stopping",
            Event::Ended { .. } => self.phase = "ended",
            Event::Steady(_) => {}
        }
    }

    fn begin(&mut self, began: &Began) {
        *self = State {
            scenario: one_line(&began.scenario),
            target: one_line(&began.target),
            seed: began.seed,
            load: began.load,
            phase: "starting",
            now: self.now,
            ..State::default()
        };
        let fault = |planned: &Planned| Fault {
            what: one_line(&planned.what),
            planned: planned.clone(),
            course: Course::Planned,
            unproven: false,
        };
        self.faults = began.faults.iter().map(fault).collect();
        for node in began.inventory.nodes() {
            let state = Node { zone: node.zone.clone(), ..Node::default() };
            self.nodes.insert(node.id.clone(), state);
        }
    }

    fn fault(&mut self, id: u32, what: &str, unproven: bool, next: impl Fn(Course) -> Course) {
        if let Some(fault) = self.faults.iter_mut().find(|f| f.planned.id == id) {
            fault.what = one_line(what);
            fault.course = next(fault.course);
            fault.unproven |= unproven;
        }
    }

    fn node(&mut self, event: &NodeEvent) {
        if event.kind == NodeEventKind::Leads {
            self.nodes.values_mut().for_each(|node| node.leads = false);
        }
        let node = self.nodes.entry(event.node.clone()).or_default();
        match event.kind {
            NodeEventKind::Started => node.state = "starting",
            NodeEventKind::Ready => node.state = "up",
            NodeEventKind::Ended(_) => (node.state, node.leads) = ("down", false),
            NodeEventKind::Died(_) => (node.state, node.leads) = ("died", false),
            NodeEventKind::Leads => node.leads = true,
            // What its process does is said by the others.
            NodeEventKind::Noticed(_) | NodeEventKind::Stands { .. } => {}
        }
    }

    /// How long the load has lasted.
    pub fn elapsed(&self) -> Duration {
        self.load_began.map(|began| self.now.since(began)).unwrap_or_default()
    }

    /// The faults that are being injected or in effect.
    pub fn active(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|f| matches!(f.course, Course::Injecting | Course::Active(_)))
    }
}

fn one_line(text: &str) -> String {
    plain(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::inventory::{Inventory, Node as Member};
    use crate::quantity::Ratio;

    pub fn at(ms: u64, event: Event) -> Stamped {
        Stamped { at: Time(ms * 1_000_000), event }
    }

    pub fn began() -> Event {
        let member = |id: &str, zone: &str| Member {
            id: id.into(),
            zone: zone.into(),
            endpoints: BTreeMap::new(),
        };
        let planned = |id: u32, what: &str, at_s: u64| Planned {
            id,
            fault: "kill".into(),
            what: what.into(),
            at: Duration::from_secs(at_s),
            length: Duration::from_secs(10),
        };
        Event::Began(Box::new(Began {
            run: "r1".into(),
            scenario: "leader-datacenter-loss".into(),
            seed: 42,
            target: "local".into(),
            inventory: Inventory::new(vec![
                member("n1", "dc1"),
                member("n2", "dc1"),
                member("n3", "dc2"),
                member("n4", "dc2"),
                member("n5", "dc3"),
            ]),
            load: Duration::from_secs(60),
            faults: vec![planned(0, "kill the zone of the leader", 10), planned(1, "pause n5", 40)],
        }))
    }

    pub fn progress(ms: u64, rate: f64) -> Stamped {
        at(
            ms,
            Event::Progress(Progress {
                elapsed: Duration::from_millis(ms.saturating_sub(1_000)),
                ok: ms / 2,
                failed: 3,
                unknown: 1,
                dropped: 7,
                in_flight: 4,
                rate,
                success: Some(Ratio::new(rate / 500.0)),
                p50: Some(Duration::from_micros(2_100)),
                p99: Some(Duration::from_millis(35)),
            }),
        )
    }

    pub fn injected(ms: u64, id: u32, what: &str, unproven: Option<&str>) -> Stamped {
        at(
            ms,
            Event::Injected {
                id,
                what: what.into(),
                took: Duration::from_millis(12),
                planned: Time(0),
                unproven: unproven.map(String::from),
            },
        )
    }

    pub fn node(ms: u64, id: &str, kind: NodeEventKind) -> Stamped {
        at(ms, Event::Node(NodeEvent { at: Time(ms * 1_000_000), node: id.into(), kind }))
    }

    /// A drill in the middle: one fault in effect, a new leader, a node that died of itself.
    pub fn in_the_middle() -> Vec<Stamped> {
        let Event::Began(b) = began() else { unreachable!() };
        vec![
            at(0, Event::Began(b.clone())),
            at(900, Event::NodesReady(b.inventory)),
            node(950, "n1", NodeEventKind::Leads),
            at(1_000, Event::LoadBegan),
            progress(2_000, 500.0),
            at(11_000, Event::Injecting { id: 0, what: "kill n1, n2 (dc1)".into() }),
            injected(11_015, 0, "kill n1, n2 (dc1)", None),
            node(11_016, "n1", NodeEventKind::Ended("signal 9".into())),
            node(11_016, "n2", NodeEventKind::Ended("signal 9".into())),
            progress(12_000, 40.0),
            node(12_400, "n3", NodeEventKind::Leads),
            node(12_900, "n5", NodeEventKind::Died("signal 6".into())),
            progress(13_000, 450.0),
        ]
    }

    #[test]
    fn the_state_follows_faults_nodes_and_the_leader() {
        let mut state = State::default();
        in_the_middle().iter().for_each(|event| state.take(event));
        assert_eq!(state.faults[0].course, Course::Active(Time(11_015_000_000)));
        assert_eq!(state.faults[1].course, Course::Planned);
        assert_eq!(state.active().count(), 1);
        let of = |id: &str| (state.nodes[id].state, state.nodes[id].leads);
        assert_eq!(
            [of("n1"), of("n3"), of("n5")],
            [("down", false), ("up", true), ("died", false)]
        );
        assert_eq!(state.elapsed(), Duration::from_secs(12));
    }

    #[test]
    fn what_is_wrong_weighs_more_than_what_goes_as_planned() {
        let weight = |event: &Event| words(event).unwrap().0;
        assert_eq!(weight(&Event::LoadBegan), Weight::Plain);
        assert_eq!(weight(&injected(1, 0, "x", None).event), Weight::Mark);
        assert_eq!(weight(&injected(1, 0, "x", Some("n1 still answers")).event), Weight::Alarm);
        assert_eq!(weight(&Event::Ended { left_behind: vec!["n1".into()] }), Weight::Alarm);
        assert!(words(&progress(1, 1.0).event).is_none());
    }

    #[test]
    fn what_a_node_says_stays_on_one_line() {
        let (_, text) = words(&Event::Aborting("a\n\u{1b}[31m b\r".into())).unwrap();
        assert_eq!(text, "ABORTING: a b\u{fffd}");
    }
}
