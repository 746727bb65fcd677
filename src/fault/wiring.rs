//! Links between nodes, written down at both their ends.
//!
//! Invariant: what `a` suffers toward `b`, `b` suffers from `a`. So a cut holds while either of the two is
//! made anew.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Link, Links, Peer, Port};
use crate::inventory::NodeId;

/// Which way a fault of links works, seen from the nodes that it names (of two sides: from the first).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// What they send and what they receive.
    #[default]
    Both,
    /// What they send: from the first side to the second.
    To,
    /// What they receive: from the second side to the first.
    From,
}

impl Direction {
    /// In words, for a description; nothing for both.
    pub fn words(self) -> &'static str {
        match self {
            Direction::Both => "",
            Direction::To => " (only what is sent)",
            Direction::From => " (only what is received)",
        }
    }
}

/// What a link suffers, one way.
#[derive(Debug, Clone)]
pub enum Suffering {
    /// All of its traffic this.
    All(Link),
    /// The traffic of these ports is cut.
    Ports(BTreeSet<Port>),
}

impl From<Link> for Suffering {
    fn from(link: Link) -> Self {
        Suffering::All(link)
    }
}

/// Conditions of links, as they are gathered.
#[derive(Debug, Default)]
pub struct Wiring {
    conditions: BTreeMap<NodeId, Condition>,
}

impl Wiring {
    fn at(&mut self, node: &NodeId) -> &mut Links {
        &mut self.conditions.entry(node.clone()).or_default().links
    }

    fn sends(&mut self, node: &NodeId, to: Peer, suffering: &Suffering) {
        let links = self.at(node);
        match suffering {
            Suffering::All(link) => links.send(to, *link),
            Suffering::Ports(ports) => links.ports_to.entry(to).or_default().extend(ports.clone()),
        }
    }

    fn receives(&mut self, node: &NodeId, from: Peer, suffering: &Suffering) {
        let links = self.at(node);
        match suffering {
            Suffering::All(link) => links.receive(from, *link),
            Suffering::Ports(ports) => {
                links.ports_from.entry(from).or_default().extend(ports.clone());
            }
        }
    }

    /// The links between each of `a` and each of `b`; a node has no link to itself.
    pub fn between(
        &mut self,
        a: &[NodeId],
        b: &[NodeId],
        direction: Direction,
        suffering: impl Into<Suffering>,
    ) {
        let suffering = suffering.into();
        let mut one_way = |from: &NodeId, to: &NodeId| {
            self.sends(from, Peer::Node(to.clone()), &suffering);
            self.receives(to, Peer::Node(from.clone()), &suffering);
        };
        for one in a {
            for other in b.iter().filter(|other| *other != one) {
                if direction != Direction::From {
                    one_way(one, other);
                }
                if direction != Direction::To {
                    one_way(other, one);
                }
            }
        }
    }

    /// The links between these nodes and the clients.
    pub fn with_clients(
        &mut self,
        nodes: &[NodeId],
        direction: Direction,
        suffering: impl Into<Suffering>,
    ) {
        self.with(&Peer::Clients, nodes, direction, suffering.into());
    }

    /// The links between these nodes and somebody who is no node of the system, at whose end nobody stands.
    pub fn with(
        &mut self,
        peer: &Peer,
        nodes: &[NodeId],
        direction: Direction,
        suffering: Suffering,
    ) {
        for node in nodes {
            if direction != Direction::From {
                self.sends(node, peer.clone(), &suffering);
            }
            if direction != Direction::To {
                self.receives(node, peer.clone(), &suffering);
            }
        }
    }

    /// What each node suffers.
    pub fn conditions(self) -> BTreeMap<NodeId, Condition> {
        self.conditions
    }
}
