//! Who is there: the nodes of the system under drill, their zones, and where clients reach them.
//!
//! Pure, but for the [`AddressBook`], in which a target writes while clients read. A node keeps its name for the whole
//! drill, whatever happens to its process, address or container.

mod address_book;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use address_book::{AddressBook, Endpoints};

/// The name of a node: what the user calls it, stable over restarts. One thin pointer, because a long history
/// has it in every operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(Arc<Box<str>>);

impl NodeId {
    /// A node of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        NodeId(Arc::new(name.as_ref().into()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeId {
    fn from(name: &str) -> Self {
        NodeId::new(name)
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The part that a node plays just now, as the system itself tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It leads its group: writes go through it.
    Leader,
    /// It follows a leader.
    Follower,
}

/// One node of the system under drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// The zone (datacenter) that it stands in.
    pub zone: String,
    /// Where clients reach it when the drill begins. Empty while planning; what becomes of it, the [`AddressBook`]
    /// knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: Endpoints,
}

/// Every node of the system, ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inventory {
    nodes: Vec<Node>,
}

impl Inventory {
    /// An inventory of these nodes, in the order of their names, whatever order they came in.
    pub fn new(mut nodes: Vec<Node>) -> Self {
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        Inventory { nodes }
    }
    /// The nodes, ordered by name.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }
    /// The names of the nodes, in order.
    pub fn ids(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.iter().map(|n| &n.id)
    }
    /// The node of that name.
    pub fn get(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.id.as_str() == id)
    }
    /// The zones, in order.
    pub fn zones(&self) -> BTreeSet<&str> {
        self.nodes.iter().map(|n| n.zone.as_str()).collect()
    }
    /// The nodes of a zone, in order.
    pub fn in_zone<'a>(&'a self, zone: &'a str) -> impl Iterator<Item = &'a NodeId> {
        self.nodes.iter().filter(move |n| n.zone == zone).map(|n| &n.id)
    }
}
