//! What takes more than an agent's packet filter, and whether an agent can do it. Pure.

use std::collections::BTreeMap;

use crate::agent::beside::netem_cannot;
use crate::agent::beside::protocol::Shaping;
use crate::condition::{Condition, Link, Links, Peer};

/// Whether a condition takes more than the packet filter, so that it matters how its agent shapes.
pub fn is_shaped(condition: &Condition) -> bool {
    let mut links = condition.links.from.values().chain(condition.links.to.values());
    links.any(|link| link.is_shaped())
}

/// Why an agent that shapes by this cannot make a condition true, and what could.
pub fn cannot_shape(condition: &Condition, shaping: &Shaping) -> Option<String> {
    if !is_shaped(condition) {
        return None;
    }
    match shaping {
        Shaping::Nothing(why) => Some(format!("its traffic cannot be shaped: {why}")),
        // Only delays are sums, and no delay is too long for the agent's own shaper.
        Shaping::Tap(_) => None,
        Shaping::Netem => sent(&condition.links)
            .into_iter()
            .find_map(|(peer, link)| Some(format!("{}, toward {peer}", netem_cannot(&link)?))),
    }
}

/// What a node's agent does to what the node sends. Clients have no agent: what theirs would do is done to the answers.
pub(super) fn sent(links: &Links) -> BTreeMap<&Peer, Link> {
    let mut sent: BTreeMap<&Peer, Link> =
        links.to.iter().map(|(peer, link)| (peer, *link)).collect();
    if let Some(clients) = links.from.get(&Peer::Clients) {
        let both = sent.entry(&Peer::Clients).or_default();
        *both = both.answering(*clients);
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Span;

    fn jitters(links: &[(&str, Peer, u64)]) -> Condition {
        let mut all = Links::default();
        for (way, peer, ms) in links {
            let link = Link { jitter: Span::millis(*ms), ..Link::default() };
            let ends = if *way == "from" { &mut all.from } else { &mut all.to };
            ends.insert(peer.clone(), link);
        }
        Condition { links: all, ..Condition::default() }
    }

    #[test]
    fn a_jitter_is_too_much_for_netem_alone_and_toward_clients_as_the_sum_of_both_ways() {
        let (n2, clients) = (|| Peer::Node("n2".into()), || Peer::Clients);
        for (links, expected) in [
            (vec![("to", n2(), 2147)], None),
            (vec![("to", n2(), 2148)], Some("2s 148ms")),
            // What arrives from a node is told to that node.
            (vec![("from", n2(), 1200), ("to", n2(), 1200)], None),
            (vec![("from", clients(), 1200), ("to", clients(), 1200)], Some("2s 400ms")),
        ] {
            let condition = jitters(&links);
            let why = cannot_shape(&condition, &Shaping::Netem);
            let says = |text: &&str| why.as_ref().is_some_and(|why| why.contains(text));
            assert_eq!(expected.filter(says), expected, "{links:?}: {why:?}");
            assert_eq!(why.is_some(), expected.is_some(), "{links:?}: {why:?}");
            assert_eq!(cannot_shape(&condition, &Shaping::Tap("no netem".into())), None);
            let nothing = cannot_shape(&condition, &Shaping::Nothing("no tun".into()));
            assert!(nothing.is_some_and(|why| why.contains("no tun")));
        }
        let cut = Links { from: [(n2(), Link::CUT)].into(), ..Links::default() };
        let cut = Condition { links: cut, ..Condition::default() };
        assert_eq!(cannot_shape(&cut, &Shaping::Nothing("no tun".into())), None);
    }
}
