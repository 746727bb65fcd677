//! Keeps what is held true: tells the packet filter, the shaper and the resolvers' places, and tells the first two
//! again when the namespace gets another interface.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::dns::Resolvers;
use super::interfaces::interfaces;
use super::netem::Netem;
use super::netfilter::{Netfilter, Wire};
use super::protocol::{Counted, HeldLink, Shaping, Way};
use super::shaper::Shaper;
use super::{destroy, devices, netem, netfilter, shaper};
use crate::agent::AgentError;
use crate::condition::{Dns, Link};

/// How often a change is tried while interfaces come and go.
const TRIES: u32 = 3;
/// Where there is no interface to have one.
const MTU: u32 = 1500;

/// How long an agent may take to end, whose devices are to be swept.
const ENDING: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Removes the devices that an agent left in this namespace when it was killed; how many there were. Where one
/// lives there is nothing to do: it swept when it began, and takes its own along when it ends.
pub fn sweep() -> Result<usize, AgentError> {
    let deadline = Instant::now() + ENDING;
    let _claimed = loop {
        match Netfilter::claim() {
            Ok(filter) => break filter,
            Err(AgentError::Kernel { why, .. }) if netfilter::is_claimed(&why) => {
                if Instant::now() >= deadline {
                    return Ok(0);
                }
                std::thread::sleep(LOOK);
            }
            Err(other) => return Err(other),
        }
    };
    swept()
}

/// Only for who has claimed the namespace.
fn swept() -> Result<usize, AgentError> {
    let what = "remove the devices that an earlier agent left here";
    devices::sweep().map_err(|why| AgentError::Kernel { what, why })
}

/// What holds for this namespace. Dropped in this order: first nothing is sent to what shapes any more.
#[derive(Debug)]
pub(super) struct Keeper {
    filter: Netfilter,
    netem: Netem,
    /// Made when it is needed first, and never where there is netem.
    shaper: Option<Shaper>,
    held: Vec<HeldLink>,
    wires: Vec<Wire>,
    shaping: Shaping,
    resolvers: Resolvers,
}

impl Keeper {
    /// Claims the namespace, and removes what an earlier agent left in it.
    pub(super) fn claim() -> Result<Keeper, AgentError> {
        let filter = Netfilter::claim()?;
        swept()?;
        let shaping = match netem::possible() {
            Ok(()) => Shaping::Netem,
            Err(why) => shaper::possible(why),
        };
        let (netem, shaper, resolvers) = (Netem::default(), None, Resolvers::default());
        let (held, wires) = (vec![], vec![]);
        Ok(Keeper { filter, netem, shaper, held, wires, shaping, resolvers })
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

    /// When [`Keeper::sweep`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let resolvers = self.resolvers.sweep_at().map(tokio::time::Instant::into_std);
        self.netem.due().into_iter().chain(resolvers).min()
    }

    /// Takes back what stood for a moment longer than it was held.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        if self.netem.due().is_some_and(|due| due <= now) {
            self.netem.sweep();
        }
        if self.resolvers.sweep_at().is_some_and(|due| due.into_std() <= now) {
            self.resolvers.sweep(&mut self.filter);
        }
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
            let cannot = match &self.shaping {
                Shaping::Nothing(why) => Some(why.clone()),
                Shaping::Netem => netem::cannot(&held.link),
                Shaping::Tap(_) => None,
            };
            if let Some(why) = cannot {
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

    fn apply_once(&mut self, links: &[HeldLink]) -> io::Result<()> {
        let interfaces = interfaces()?;
        let shaped = |links: &[HeldLink]| -> Vec<HeldLink> {
            links.iter().filter(|held| held.is_shaped()).cloned().collect()
        };
        let (shaped, before) = (shaped(links), shaped(&self.held));
        if self.shaping != Shaping::Netem && self.shaper.is_none() && !shaped.is_empty() {
            self.shaper = Some(Shaper::start()?);
        }
        let (told, wires) = match &self.shaper {
            Some(shaper) => {
                let wires = shaper.stand_before(interfaces)?;
                (tell_tap(shaper, &mut self.filter, links, &shaped, &before, &wires), wires)
            }
            None => {
                let wires: Vec<Wire> = interfaces.into_iter().map(Wire::bare).collect();
                let told = tell_netem(&mut self.netem, &mut self.filter, links, &shaped, &wires);
                if told.is_err() {
                    put_back(&mut self.netem, &before, &self.wires);
                }
                (told, wires)
            }
        };
        if told.is_ok() {
            self.wires = wires;
        }
        told
    }
}

/// The shaper learns of new links before frames of them come to it, and lets go of old ones after the rules have
/// changed: what waits in it may be cut now.
fn tell_tap(
    shaper: &Shaper,
    filter: &mut Netfilter,
    links: &[HeldLink],
    shaped: &[HeldLink],
    before: &[HeldLink],
    wires: &[Wire],
) -> io::Result<()> {
    let replaced = |old: &HeldLink| shaped.iter().any(|new| !new.peers.is_disjoint(&old.peers));
    let kept = before.iter().filter(|old| !replaced(old)).cloned();
    shaper.set(shaped.iter().cloned().chain(kept).collect());
    let told = filter.hold(links, wires, &[]);
    shaper.set(if told.is_ok() { shaped.to_vec() } else { before.to_vec() });
    told
}

/// A lane is there before frames come to it, and goes after the last one has come.
fn tell_netem(
    netem: &mut Netem,
    filter: &mut Netfilter,
    links: &[HeldLink],
    shaped: &[HeldLink],
    wires: &[Wire],
) -> io::Result<()> {
    netem.sweep();
    netem.prepare(shaped, longest(wires))?;
    filter.hold(links, wires, &netem.ways(links))?;
    netem.settle(shaped);
    Ok(())
}

/// What was held is held on, as far as the kernel lets it be.
fn put_back(netem: &mut Netem, before: &[HeldLink], wires: &[Wire]) {
    if let Err(why) = netem.prepare(before, longest(wires)) {
        tracing::warn!("a shaped link is not as it was: {why}");
    }
    netem.settle(before);
}

/// The MTU of the interface that has the longest frames.
fn longest(wires: &[Wire]) -> u32 {
    wires.iter().map(|wire| wire.interface.mtu).max().unwrap_or(MTU)
}
