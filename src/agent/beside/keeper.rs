//! Keeps what is held true: tells the packet filter, the shaper and the resolvers' places, and tells the first two
//! again when the namespace gets another interface.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use tokio::time::Instant;

use super::dns::Resolvers;
use super::interfaces::interfaces;
use super::netfilter::{Netfilter, Wire};
use super::protocol::{Counted, HeldLink, Shaping, Way};
use super::shaper::Shaper;
use super::{destroy, shaper};
use crate::agent::AgentError;
use crate::condition::{Dns, Link};

/// How often a change is tried while interfaces come and go.
const TRIES: u32 = 3;

/// What holds for this namespace.
#[derive(Debug)]
pub(super) struct Keeper {
    filter: Netfilter,
    /// Made when it is needed first.
    shaper: Option<Shaper>,
    held: Vec<HeldLink>,
    wires: Vec<Wire>,
    shaping: Shaping,
    resolvers: Resolvers,
}

impl Keeper {
    /// Claims the namespace.
    pub(super) fn claim() -> Result<Keeper, AgentError> {
        let filter = Netfilter::claim()?;
        let shaping = shaper::possible();
        let resolvers = Resolvers::default();
        Ok(Keeper { filter, shaper: None, held: vec![], wires: vec![], shaping, resolvers })
    }

    /// By what traffic can be shaped.
    pub(super) fn shaping(&self) -> &Shaping {
        &self.shaping
    }

    /// Makes exactly these links true; on an error, what was held before is held on.
    pub(super) fn hold(&mut self, links: Vec<HeldLink>) -> Result<(), String> {
        self.refuse_impossible(&links)?;
        self.apply(&links).map_err(|why| format!("the kernel refuses: {why}"))?;
        self.held = links;
        let reset = self.held.iter().filter(|held| held.link.delivery.is_refusal());
        let reset: BTreeSet<IpAddr> =
            reset.flat_map(|held| &held.peers).map(IpAddr::to_canonical).collect();
        match reset.is_empty() {
            true => Ok(()),
            false => destroy::connections(&reset)
                .map_err(|why| format!("standing connections cannot be reset: {why}")),
        }
    }

    /// Has look-ups suffer exactly this; on an error, what was held before is held on.
    pub(super) fn resolve(&mut self, dns: Dns) -> Result<(), String> {
        self.resolvers.hold(dns, &mut self.filter)
    }

    /// When [`Keeper::sweep`] is due, if it is.
    pub(super) fn sweep_at(&self) -> Option<Instant> {
        self.resolvers.sweep_at()
    }

    /// Takes back what stood for a moment longer than it was held.
    pub(super) fn sweep(&mut self) {
        self.resolvers.sweep(&mut self.filter);
    }

    /// Holds on, if the interfaces are no longer those that it is held on.
    pub(super) fn refresh(&mut self) -> Result<(), String> {
        let same = || -> io::Result<bool> {
            let now = interfaces()?;
            Ok(now.iter().eq(self.wires.iter().map(|wire| &wire.interface)))
        };
        if self.held.is_empty() || same().map_err(|why| format!("no interfaces: {why}"))? {
            return Ok(());
        }
        let held = self.held.clone();
        self.apply(&held).map_err(|why| format!("a changed interface is not held: {why}"))
    }

    /// How many packets each held link caught.
    pub(super) fn count(&mut self) -> Result<Vec<Counted>, String> {
        let packets = self.filter.count(self.held.len());
        let packets = packets.map_err(|why| format!("the rules cannot be read: {why}"))?;
        let counted = |(held, packets): (&HeldLink, u64)| Counted {
            peers: held.peers.clone(),
            way: held.way,
            packets,
        };
        Ok(self.held.iter().zip(packets).map(counted).collect())
    }

    fn refuse_impossible(&self, links: &[HeldLink]) -> Result<(), String> {
        let cut = |held: &&HeldLink| held.link == Link::CUT;
        if let Some(held) = links.iter().find(|held| !held.ports.is_empty() && !cut(held)) {
            return Err(format!(
                "the traffic of ports {:?} can be cut, and nothing else",
                held.ports
            ));
        }
        let mut shaped = BTreeSet::new();
        for held in links.iter().filter(|held| held.is_shaped()) {
            if held.way == Way::In {
                return Err("traffic is shaped where it is sent: told for one that arrives".into());
            }
            if let Shaping::Nothing(why) = &self.shaping {
                return Err(format!("traffic cannot be shaped here: {why}"));
            }
            if let Some(twice) = held.peers.iter().find(|peer| !shaped.insert(peer.to_canonical()))
            {
                return Err(format!("{twice} stands in two links that are shaped"));
            }
        }
        Ok(())
    }

    fn apply(&mut self, links: &[HeldLink]) -> io::Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.apply_once(links) {
                // An interface went away between being listed and being named.
                Err(why) if tries < TRIES && why.kind() == io::ErrorKind::NotFound => {}
                applied => return applied,
            }
        }
    }

    /// The shaper learns of new links before frames of them come to it, and lets go of old ones after the rules have
    /// changed: what waits in it may be cut now.
    fn apply_once(&mut self, links: &[HeldLink]) -> io::Result<()> {
        let interfaces = interfaces()?;
        let shaped: Vec<HeldLink> = links.iter().filter(|h| h.is_shaped()).cloned().collect();
        if self.shaper.is_none() && !shaped.is_empty() {
            self.shaper = Some(Shaper::start()?);
        }
        let Some(shaper) = &self.shaper else {
            let wires: Vec<Wire> = interfaces.into_iter().map(Wire::bare).collect();
            self.filter.hold(links, &wires)?;
            self.wires = wires;
            return Ok(());
        };
        let wires = shaper.stand_before(interfaces)?;
        let before: Vec<HeldLink> = self.held.iter().filter(|h| h.is_shaped()).cloned().collect();
        let replaced = |old: &HeldLink| shaped.iter().any(|new| !new.peers.is_disjoint(&old.peers));
        let kept = before.iter().filter(|old| !replaced(old)).cloned();
        shaper.set(shaped.iter().cloned().chain(kept).collect());
        let told = self.filter.hold(links, &wires);
        if told.is_ok() {
            self.wires = wires;
        }
        shaper.set(if told.is_ok() { shaped } else { before });
        told
    }
}
