//! What every target owes a drill, from one table, held by real nodes: local processes, containers, pods. A condition
//! is made true and proven, also when it is applied again; it joins with another, is healed, and that is proven; and
//! what somebody else undid is not proven any more.

mod containers;
mod contract_places;
mod lab;
mod runner;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract_places::{Place, container, pod, process};
use firedrill::condition::{Condition, Dns, Life, Link, Links, NamePattern, Peer, Resolution};
use firedrill::inventory::NodeId;
use firedrill::quantity::Span;
use firedrill::target::Proof;
use futures::future::{join_all, try_join_all};
use runner::PATIENCE;

/// What is done to the nodes, and whether each is another process afterwards.
struct Row {
    name: &'static str,
    of: fn(&[NodeId; 3]) -> Conditions,
    made_anew: bool,
    /// Local processes share the machine's resolvers.
    local: bool,
}

/// Who is not named is healthy.
type Conditions = BTreeMap<NodeId, Condition>;

const TABLE: [Row; 9] = [
    Row { name: "running", of: |_| Conditions::new(), made_anew: false, local: true },
    Row { name: "cut", of: |nodes| cut(nodes, true), made_anew: false, local: true },
    Row { name: "one way", of: |nodes| cut(nodes, false), made_anew: false, local: true },
    Row { name: "late", of: late, made_anew: false, local: true },
    Row { name: "without names", of: nameless, made_anew: false, local: false },
    Row { name: "paused", of: |nodes| lives(nodes, Life::Paused), made_anew: false, local: true },
    Row { name: "crashed", of: |nodes| lives(nodes, Life::Crashed), made_anew: true, local: true },
    Row { name: "stopped", of: |nodes| lives(nodes, Life::Stopped), made_anew: true, local: true },
    Row { name: "killed", of: |nodes| lives(nodes, Life::Killed), made_anew: true, local: true },
];

/// The last node hears nothing of the others, nor they of it; or only the latter.
fn cut([one, two, struck]: &[NodeId; 3], both: bool) -> Conditions {
    let toward = |peers: [&NodeId; 1]| -> BTreeMap<Peer, Link> {
        peers.map(|peer| (Peer::Node(peer.clone()), Link::CUT)).into()
    };
    let own = [one, two].map(|peer| (Peer::Node(peer.clone()), Link::CUT));
    let with = |links: Links| Condition { links, ..Condition::default() };
    let others = |links: &Links| [one, two].map(|node| (node.clone(), with(links.clone())));
    let mut at_struck = Links { to: own.clone().into(), ..Links::default() };
    let mut at_others = Links { from: toward([struck]), ..Links::default() };
    if both {
        at_struck.from = own.into();
        at_others.to = toward([struck]);
    }
    others(&at_others).into_iter().chain([(struck.clone(), with(at_struck))]).collect()
}

/// What the last node sends to the others comes late.
fn late([one, two, struck]: &[NodeId; 3]) -> Conditions {
    let link = Link { latency: Span::millis(80), ..Link::default() };
    let to = [one, two].map(|peer| (Peer::Node(peer.clone()), link)).into();
    let links = Links { to, ..Links::default() };
    [(struck.clone(), Condition { links, ..Condition::default() })].into()
}

fn nameless([.., struck]: &[NodeId; 3]) -> Conditions {
    let dns = Dns { names: [(NamePattern::all(), Resolution::Silence)].into() };
    [(struck.clone(), Condition { dns, ..Condition::default() })].into()
}

fn lives([.., struck]: &[NodeId; 3], life: Life) -> Conditions {
    [(struck.clone(), Condition { life, ..Condition::default() })].into()
}

fn joined(mut one: Conditions, other: Conditions) -> Conditions {
    for (node, condition) in other {
        let known = one.remove(&node).unwrap_or_default();
        one.insert(node, known.join(condition));
    }
    one
}

impl Place {
    /// Each node's whole condition.
    async fn apply(&self, conditions: &Conditions, what: &str) {
        let healthy = Condition::default();
        let all = self.nodes.iter().map(|node| {
            let condition = conditions.get(node).unwrap_or(&healthy);
            self.target.apply(node, condition)
        });
        try_join_all(all).await.unwrap_or_else(|e| panic!("{}, {what}: {e}", self.name));
    }

    async fn proofs(&self) -> Vec<Proof> {
        join_all(self.nodes.iter().map(|node| self.target.prove(node))).await
    }

    async fn proven(&self, what: &str) {
        let proofs = self.proofs().await;
        for (node, proof) in self.nodes.iter().zip(&proofs) {
            let Proof { measured, unproven, lapses } = proof;
            let well = unproven.is_none() && lapses.is_empty();
            assert!(well, "{}, {what}: {node} is not as asked: {proof:?}", self.name);
            assert!(!measured.is_empty(), "{}, {what}: {node}: nothing was measured", self.name);
        }
    }

    /// Not proven any more, or said to have lapsed, within a while.
    async fn found_out(&self, what: &str) {
        let began = Instant::now();
        loop {
            let proofs = self.proofs().await;
            if proofs.iter().any(|proof| proof.unproven.is_some() || !proof.lapses.is_empty()) {
                return;
            }
            let late = began.elapsed() > PATIENCE;
            assert!(!late, "{}, {what}: still believed: {proofs:?}", self.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn healed(&self, what: &str) {
        self.apply(&Conditions::new(), what).await;
        self.proven(&format!("{what}, healed")).await;
    }

    async fn keeps(&self, row: &Row) {
        let conditions = (row.of)(&self.nodes);
        let before = (self.which)(&self.nodes[2]);
        self.apply(&conditions, row.name).await;
        self.proven(row.name).await;
        self.apply(&conditions, row.name).await;
        self.proven(&format!("{}, applied again", row.name)).await;
        self.healed(row.name).await;
        let after = (self.which)(&self.nodes[2]);
        let as_said = (before != after) == row.made_anew;
        assert!(as_said, "{}, {}: {before} became {after}", self.name, row.name);
    }

    /// What is left of two conditions that overlap is the one that is not over.
    async fn joins(&self) {
        let (cut, paused) = (cut(&self.nodes, true), lives(&self.nodes, Life::Paused));
        self.apply(&joined(cut.clone(), paused.clone()), "cut and paused").await;
        self.proven("cut and paused").await;
        self.apply(&cut, "cut, not paused any more").await;
        self.proven("cut, not paused any more").await;
        self.apply(&paused, "paused, not cut any more").await;
        self.proven("paused, not cut any more").await;
        self.healed("joined").await;
    }

    /// Somebody else undoes it.
    async fn finds_out(&self) {
        for (what, conditions, undo) in [
            ("goes on", lives(&self.nodes, Life::Paused), &self.goes_on),
            ("is joined", cut(&self.nodes, true), &self.is_joined),
        ] {
            let Some(undo) = undo else { continue };
            self.apply(&conditions, what).await;
            self.proven(what).await;
            undo(&self.nodes[2]);
            self.found_out(what).await;
            self.apply(&Conditions::new(), what).await;
            // What lapsed is told once more at most.
            self.proofs().await;
            self.proven(&format!("{what}, healed")).await;
        }
    }
}

async fn holds(place: Place, is_local: bool) {
    let rows = || TABLE.iter().filter(|row| row.local || !is_local);
    let inventory = place.target.start().await.unwrap_or_else(|e| panic!("{}: {e}", place.name));
    assert_eq!(inventory.ids().collect::<Vec<_>>(), place.nodes.iter().collect::<Vec<_>>());
    let foreseen = rows().map(|row| (row.of)(&place.nodes)).reduce(joined).unwrap();
    place.target.foresee(foreseen).await.unwrap_or_else(|e| panic!("{}: {e}", place.name));
    for row in rows() {
        place.keeps(row).await;
    }
    place.joins().await;
    place.finds_out().await;
    let left = place.target.stop().await;
    assert!(left.is_empty(), "{}: {left:?}", place.name);
    (place.nothing_left)();
}

#[tokio::test(flavor = "multi_thread")]
async fn local_processes_keep_the_contract() {
    holds(process(), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_keep_the_contract() {
    let Some(place) = container() else { return };
    holds(place, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_keep_the_contract() {
    let Some(place) = pod() else { return };
    holds(place, false).await;
}
