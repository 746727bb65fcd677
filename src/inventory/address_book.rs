//! Where clients reach the nodes now: the target writes it, each client reads it when it connects.
//!
//! Invariants: who was ever in it stays in it. An address is one node's: of the one that had it last. A node that is
//! down keeps the address that it had, as in an application's own list, until another node has it.
//! Deliberately absent: telling anybody of a change. A connection is kept until it breaks, as applications do.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{Inventory, NodeId};

/// Where one node is reached: by the name of the port (`client`, ...), as `host:port`.
pub type Endpoints = BTreeMap<String, String>;

/// Everybody's address, shared: a clone is the same book.
#[derive(Debug, Clone, Default)]
pub struct AddressBook(Arc<RwLock<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    edition: u64,
    nodes: BTreeMap<NodeId, Endpoints>,
}

impl AddressBook {
    fn pages(&self) -> RwLockReadGuard<'_, Pages> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a node is reached here, and nobody else is. Whether that is news.
    pub fn write(&self, node: &NodeId, endpoints: Endpoints) -> bool {
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if pages.nodes.get(node) == Some(&endpoints) {
            return false;
        }
        for (_, others) in pages.nodes.iter_mut().filter(|(other, _)| *other != node) {
            others.retain(|_, address| !endpoints.values().any(|taken| taken == address));
        }
        pages.nodes.insert(node.clone(), endpoints);
        pages.edition += 1;
        true
    }

    /// Writes down those of these nodes that are not in it.
    pub fn complete(&self, inventory: &Inventory) {
        let missing = |id: &NodeId| !self.pages().nodes.contains_key(id);
        for node in inventory.nodes().iter().filter(|node| missing(&node.id)) {
            self.write(&node.id, node.endpoints.clone());
        }
    }

    /// The nodes, in the order of their names.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.pages().nodes.keys().cloned().collect()
    }

    /// All that is known of a node.
    pub fn endpoints(&self, node: &NodeId) -> Endpoints {
        self.pages().nodes.get(node).cloned().unwrap_or_default()
    }

    /// Where a port of a node is. `None`: it has none of that name, or another node has its address now.
    pub fn endpoint(&self, node: &NodeId, port: &str) -> Option<String> {
        self.pages().nodes.get(node)?.get(port).cloned()
    }

    /// Whose port of that name is at this address.
    pub fn owner(&self, port: &str, address: &str) -> Option<NodeId> {
        let pages = self.pages();
        let mut nodes = pages.nodes.iter();
        let is_here = |ends: &Endpoints| ends.get(port).is_some_and(|own| own == address);
        nodes.find(|(_, ends)| is_here(ends)).map(|(node, _)| node.clone())
    }

    /// The whole book, and its edition: another number once anything in it is another.
    pub fn read(&self) -> (u64, BTreeMap<NodeId, Endpoints>) {
        let pages = self.pages();
        (pages.edition, pages.nodes.clone())
    }

    /// The number of its edition.
    pub fn edition(&self) -> u64 {
        self.pages().edition
    }
}

impl From<&Inventory> for AddressBook {
    fn from(inventory: &Inventory) -> AddressBook {
        let nodes = inventory.nodes().iter().map(|n| (n.id.clone(), n.endpoints.clone()));
        let pages = Pages { edition: 0, nodes: nodes.collect() };
        AddressBook(Arc::new(RwLock::new(pages)))
    }
}

/// Nodes of one port, `client`.
impl FromIterator<(NodeId, String)> for AddressBook {
    fn from_iter<I: IntoIterator<Item = (NodeId, String)>>(all: I) -> AddressBook {
        let client = |(node, address)| (node, Endpoints::from([("client".to_string(), address)]));
        let pages = Pages { edition: 0, nodes: all.into_iter().map(client).collect() };
        AddressBook(Arc::new(RwLock::new(pages)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Endpoints {
        [("client".to_string(), address.to_string())].into()
    }

    fn book() -> AddressBook {
        [("n1", "a:1"), ("n2", "b:1")].map(|(n, a)| (n.into(), a.to_string())).into_iter().collect()
    }

    #[test]
    fn all_who_have_the_book_see_where_a_node_is_now() {
        let (book, n1) = (book(), NodeId::new("n1"));
        let reader = book.clone();
        assert!(book.write(&n1, at("c:1")));
        assert_eq!(reader.endpoint(&n1, "client").as_deref(), Some("c:1"));
        assert_eq!(reader.owner("client", "a:1"), None);
        assert_eq!(reader.owner("client", "c:1"), Some(n1.clone()));
        assert_eq!(reader.edition(), 1);
        assert!(!book.write(&n1, at("c:1")), "that is no news");
        assert_eq!(reader.edition(), 1);
    }

    #[test]
    fn an_address_is_the_ones_who_had_it_last() {
        let (book, n1, n2) = (book(), NodeId::new("n1"), NodeId::new("n2"));
        // n2 comes back first, in the place that n1 had.
        book.write(&n2, at("a:1"));
        assert_eq!(book.endpoint(&n1, "client"), None);
        assert_eq!(book.owner("client", "a:1"), Some(n2));
        assert_eq!(book.nodes().len(), 2, "n1 is still one of the nodes");
        book.write(&n1, at("b:1"));
        assert_eq!(book.endpoint(&n1, "client").as_deref(), Some("b:1"));
    }

    #[test]
    fn what_the_target_wrote_is_newer_than_the_inventory() {
        let book = AddressBook::default();
        book.write(&"n1".into(), at("c:1"));
        let node = |name: &str, address: &str| super::super::Node {
            id: name.into(),
            zone: "a".into(),
            endpoints: at(address),
        };
        book.complete(&Inventory::new(vec![node("n1", "a:1"), node("n2", "b:1")]));
        assert_eq!(book.endpoint(&"n1".into(), "client").as_deref(), Some("c:1"));
        assert_eq!(book.endpoint(&"n2".into(), "client").as_deref(), Some("b:1"));
    }
}
