//! What an engine's containers can do, found out by one that is thrown away: while planning, so that what cannot be
//! done is refused before anything is touched.

use std::path::Path;
use std::time::Duration;

use super::attached::Place;
use super::up::sent;
use super::{beside, engine, image};
use crate::agent::beside::netem_cannot;
use crate::agent::beside::protocol::Shaping;
use crate::condition::Condition;
use crate::target::TargetError;

/// It is asked nothing but who it is, and ends when it is dropped.
const LEASE: Duration = Duration::from_secs(10);

/// Whether a condition takes more than the packet filter, so that it matters what [`shaping`] says.
pub fn is_shaped(condition: &Condition) -> bool {
    let mut links = condition.links.from.values().chain(condition.links.to.values());
    links.any(|link| link.is_shaped())
}

/// Why no node can be loaded like this, and what could be done.
pub fn cannot_load(condition: &Condition) -> Option<String> {
    let (held, limit) = (condition.load.memory?, condition.load.memory_limit?);
    (held >= limit).then(|| {
        format!(
            "{held} cannot be held beside a node within its limit of {limit}: hold less, or limit \
             it to more"
        )
    })
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

/// How an agent beside this engine's containers would shape traffic: what one says that stands in a network
/// namespace of its own. `binary`: of which its image is made.
pub async fn shaping(engine: Option<&str>, binary: &Path) -> Result<Shaping, TargetError> {
    let api = engine::connect(engine).await?;
    let place = Place {
        run: format!("planning-{:08x}", rand::random::<u32>()),
        image: image::ensure(&api, binary).await?,
        lease: LEASE,
        node: "none".into(),
        command: vec![],
        host: Place::bare(),
    };
    let agent = beside::start(&api, place, "none").await.map_err(TargetError::Other)?;
    Ok(agent.hello.shaping.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Link, Links, Load, Peer};
    use crate::quantity::{Bytes, Span};

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

    #[test]
    fn what_is_held_beside_a_node_must_fit_into_its_limit() {
        let loaded = |memory: Option<u64>, memory_limit: Option<u64>| {
            let [memory, memory_limit] = [memory, memory_limit].map(|n| n.map(Bytes::mebibytes));
            let load = Load { memory, memory_limit, ..Load::default() };
            cannot_load(&Condition { load, ..Condition::default() })
        };
        let why = loaded(Some(64), Some(64)).unwrap_or_default();
        assert!(why.contains("64MiB") && why.contains("hold less"), "{why}");
        assert_eq!(loaded(Some(63), Some(64)), None);
        assert_eq!((loaded(Some(64), None), loaded(None, Some(64))), (None, None));
    }
}
