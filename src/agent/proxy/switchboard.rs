//! The state of every directed link, live: what the conditions of both ends come to.
//!
//! Invariant: the link from `a` to `b` suffers what `a`'s condition says of what it sends to `b`,
//! joined with what `b`'s says of what arrives from `a`. A node's link to itself is always healthy.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::delay::Bucket;
use crate::condition::{Link, Links, Peer};
use crate::inventory::NodeId;

/// Every directed link between the nodes of a run, and between each node and the clients.
#[derive(Debug)]
pub struct Switchboard {
    asked: Mutex<BTreeMap<NodeId, Links>>,
    live: HashMap<(Peer, Peer), Live>,
}

#[derive(Debug, Default)]
struct Live {
    link: watch::Sender<Link>,
    bucket: Arc<Mutex<Bucket>>,
}

/// A directed link as a connection over it sees it.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    /// Its live state.
    pub link: watch::Receiver<Link>,
    /// What its connections share of its bandwidth.
    pub bucket: Arc<Mutex<Bucket>>,
}

impl Switchboard {
    /// All links between these nodes and the clients, healthy.
    pub fn new(nodes: &[NodeId]) -> Switchboard {
        let peers: Vec<Peer> =
            nodes.iter().cloned().map(Peer::Node).chain([Peer::Clients]).collect();
        let live = peers
            .iter()
            .flat_map(|a| peers.iter().map(move |b| (a.clone(), b.clone())))
            .map(|pair| (pair, Live::default()))
            .collect();
        Switchboard { asked: Mutex::default(), live }
    }

    /// Sets what one node's condition says of its links. In effect, on standing connections too,
    /// when it returns. Idempotent. Entries that name nobody of this run are without effect.
    pub fn set(&self, node: &NodeId, links: &Links) {
        let mut asked = self.asked.lock().unwrap_or_else(|p| p.into_inner());
        asked.insert(node.clone(), links.clone());
        let own = Peer::Node(node.clone());
        for ((from, to), live) in &self.live {
            if from != to && (*from == own || *to == own) {
                let link = effective(&asked, from, to);
                live.link.send_if_modified(|old| std::mem::replace(old, link) != link);
            }
        }
    }

    /// Heals every link.
    pub fn heal(&self) {
        self.asked.lock().unwrap_or_else(|p| p.into_inner()).clear();
        for live in self.live.values() {
            live.link.send_if_modified(|old| std::mem::take(old) != Link::default());
        }
    }

    /// What the conditions ask of a link.
    pub fn asked(&self, from: &Peer, to: &Peer) -> Link {
        effective(&self.asked.lock().unwrap_or_else(|p| p.into_inner()), from, to)
    }

    /// A link, live. Whoever is not of this run has a link that is always healthy.
    pub(super) fn wire(&self, from: &Peer, to: &Peer) -> Wire {
        let nobody = || self.live.get(&(Peer::Clients, Peer::Clients));
        let live = self.live.get(&(from.clone(), to.clone())).or_else(nobody);
        let wire = |live: &Live| Wire { link: live.link.subscribe(), bucket: live.bucket.clone() };
        live.map_or_else(|| wire(&Live::default()), wire)
    }

    /// Makes a link's live state differ from what is asked: a proxy that does not do its work.
    #[cfg(test)]
    pub(crate) fn sabotage(&self, from: &Peer, to: &Peer, link: Link) {
        self.live[&(from.clone(), to.clone())].link.send_replace(link);
    }
}

fn effective(asked: &BTreeMap<NodeId, Links>, from: &Peer, to: &Peer) -> Link {
    let of = |peer: &Peer| match peer {
        Peer::Node(id) => asked.get(id),
        Peer::Clients | Peer::Outside(_) => None,
    };
    let sent = of(from).and_then(|links| links.to.get(to)).copied().unwrap_or_default();
    let arrives = of(to).and_then(|links| links.from.get(from)).copied().unwrap_or_default();
    match from == to {
        true => Link::default(),
        false => sent.join(arrives),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Span;

    fn node(name: &str) -> Peer {
        Peer::Node(name.into())
    }

    #[test]
    fn a_link_suffers_what_either_end_says_of_it() {
        let board = Switchboard::new(&["a".into(), "b".into()]);
        let late = Link { latency: Span::millis(5), ..Link::default() };
        let to_b = Links { to: [(node("b"), late)].into(), ..Links::default() };
        let from_a = Links { from: [(node("a"), Link::CUT)].into(), ..Links::default() };
        board.set(&"a".into(), &to_b);
        board.set(&"b".into(), &from_a);
        let both = late.join(Link::CUT);
        assert_eq!(*board.wire(&node("a"), &node("b")).link.borrow(), both);
        assert_eq!(*board.wire(&node("b"), &node("a")).link.borrow(), Link::default());
        board.set(&"b".into(), &Links::default());
        assert_eq!(*board.wire(&node("a"), &node("b")).link.borrow(), late);
        board.heal();
        assert_eq!(*board.wire(&node("a"), &node("b")).link.borrow(), Link::default());
    }

    #[test]
    fn the_clients_link_stands_at_the_node() {
        let board = Switchboard::new(&["a".into()]);
        let cut = Links { from: [(Peer::Clients, Link::CUT)].into(), ..Links::default() };
        board.set(&"a".into(), &cut);
        assert_eq!(*board.wire(&Peer::Clients, &node("a")).link.borrow(), Link::CUT);
        assert_eq!(*board.wire(&node("a"), &Peer::Clients).link.borrow(), Link::default());
    }

    #[test]
    fn a_node_is_never_cut_off_from_itself() {
        let board = Switchboard::new(&["a".into()]);
        let cut = Links { from: [(node("a"), Link::CUT)].into(), ..Links::default() };
        board.set(&"a".into(), &cut);
        assert_eq!(*board.wire(&node("a"), &node("a")).link.borrow(), Link::default());
    }
}
