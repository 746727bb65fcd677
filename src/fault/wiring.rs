//! Links between nodes, written down at both their ends.
//!
//! Invariant: what `a` suffers toward `b`, `b` suffers from `a`. So a cut holds while either of the two is
//! made anew.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Link, Links, Peer};
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

/// Conditions of links, as they are gathered.
#[derive(Debug, Default)]
pub struct Wiring {
    conditions: BTreeMap<NodeId, Condition>,
}

impl Wiring {
    fn at(&mut self, node: &NodeId, links: Links) {
        let add = Condition { links, ..Condition::default() };
        let held = self.conditions.remove(node).unwrap_or_default();
        self.conditions.insert(node.clone(), held.join(add));
    }

    fn one_way(&mut self, from: &NodeId, to: &NodeId, link: Link) {
        let one = |peer: &NodeId| BTreeMap::from([(Peer::Node(peer.clone()), link)]);
        self.at(from, Links { to: one(to), ..Links::default() });
        self.at(to, Links { from: one(from), ..Links::default() });
    }

    /// The links between each of `a` and each of `b`; a node has no link to itself.
    pub fn between(&mut self, a: &[NodeId], b: &[NodeId], direction: Direction, link: Link) {
        for one in a {
            for other in b.iter().filter(|other| *other != one) {
                if direction != Direction::From {
                    self.one_way(one, other, link);
                }
                if direction != Direction::To {
                    self.one_way(other, one, link);
                }
            }
        }
    }

    /// The links between these nodes and the clients.
    pub fn with_clients(&mut self, nodes: &[NodeId], direction: Direction, link: Link) {
        let end = |holds: bool| match holds {
            true => BTreeMap::from([(Peer::Clients, link)]),
            false => BTreeMap::new(),
        };
        for node in nodes {
            let (to, from) = (direction != Direction::From, direction != Direction::To);
            self.at(node, Links { to: end(to), from: end(from) });
        }
    }

    /// What each node suffers.
    pub fn conditions(self) -> BTreeMap<NodeId, Condition> {
        self.conditions
    }
}
