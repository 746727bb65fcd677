//! What stands beside one node: its agent, what was asked of the node's network, what the agent was told, and what of
//! it was proven.
//!
//! Invariant: an agent is told again only what differs from what it holds; a new one holds nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::names::Names;
use super::network::Agent;
use super::ports::{Cuts, Host};
use super::prove::LinkStates;
use super::shaping::sent;
use crate::agent::beside::protocol::{HeldLink, Order, Way};
use crate::condition::{Condition, Dns, Link, Links, Peer, Port};
use crate::inventory::NodeId;

/// Where a node is now, as far as its network goes.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// What it is called where it lives; its resolver knows the name.
    pub name: String,
    /// Whether it has a network at all.
    pub running: bool,
    /// Whether its processes do nothing, its network's agent apart.
    pub paused: bool,
    /// Its own addresses. The first is measured at.
    pub addresses: BTreeSet<IpAddr>,
    /// Where its clients' traffic comes from.
    pub clients: BTreeSet<IpAddr>,
    /// Whose clock its agent reads: nodes on one machine share one.
    pub clock: String,
}

/// One node's network, as firedrill has it.
#[derive(Debug, Clone, Default)]
pub struct Flank {
    /// Who stands beside the node.
    pub agent: Option<Arc<Agent>>,
    /// What was asked of its links.
    pub links: Links,
    /// What was asked of its look-ups.
    pub dns: Dns,
    /// What its agent holds.
    pub(super) held: Vec<HeldLink>,
    /// Whether it must be told of them again, though they are the same.
    stale: bool,
    pub(super) names: Names,
    /// Links, as they were proven last.
    pub(super) proven: LinkStates,
    /// Ports and outside hosts of which something was cut when it was proven last.
    pub(super) proven_cuts: Cuts,
    /// The hosts that are no nodes, while something of them is asked.
    pub(super) outside: BTreeMap<String, Host>,
}

/// What was proven; `None` of a part that was not.
#[derive(Debug, Default)]
pub struct Proven {
    pub(super) links: Option<LinkStates>,
    pub(super) cuts: Option<Cuts>,
    pub(super) names: Option<Dns>,
}

impl Flank {
    /// Notes what is asked of the node's network. Nobody is told yet.
    pub fn ask(&mut self, condition: &Condition) {
        self.links = condition.links.clone();
        self.dns = condition.dns.clone();
    }

    /// Whether nothing is asked of its network.
    pub fn is_healthy(&self) -> bool {
        self.links.is_healthy() && self.dns.is_healthy()
    }

    /// Its agent, if that lives.
    pub fn alive(&self) -> Option<&Arc<Agent>> {
        self.agent.as_ref().filter(|agent| !agent.gone.is_cancelled())
    }

    /// Whether there was an agent, and is none any more.
    pub fn is_bereft(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.gone.is_cancelled())
    }

    /// Another agent stands there from now on, which holds nothing.
    pub fn join(&mut self, agent: Arc<Agent>) {
        self.agent = Some(agent);
        self.forget();
    }

    /// Nobody holds anything for it any more.
    pub fn leave(&mut self) {
        self.agent = None;
        self.forget();
    }

    fn forget(&mut self) {
        (self.held, self.stale) = (vec![], false);
        self.names.told = Dns::default();
    }

    /// It has other network interfaces than when its agent was told of its links: it is told again.
    pub fn stands_elsewhere(&mut self) {
        self.stale = true;
    }

    /// What its agent holds, in words; nothing, if it holds nothing.
    pub fn holdings(&self) -> Vec<String> {
        let links = self.held.len();
        let links = (links > 0).then(|| format!("{links} of its links"));
        let names = (!self.names.told.is_healthy()).then(|| "its look-ups".to_string());
        links.into_iter().chain(names).collect()
    }

    /// Whether its links suffer or should.
    pub fn is_linked(&self, wanted: &[HeldLink]) -> bool {
        !wanted.is_empty() || !self.held.is_empty()
    }

    /// Makes this agent hold what was asked of its look-ups; idempotent.
    pub async fn resolve(&mut self, agent: &Agent) -> Result<(), String> {
        if self.names.told == self.dns {
            return Ok(());
        }
        let dns = self.dns.clone();
        let held = agent.ask(Order::Resolve(dns.clone())).await;
        held.map_err(|why| format!("its look-ups cannot be changed: {why}"))?;
        self.names.told = dns;
        Ok(())
    }

    /// Whether its look-ups are not yet as asked.
    pub fn is_to_resolve(&self) -> bool {
        self.names.told != self.dns
    }

    /// Makes this agent hold these links; idempotent.
    pub async fn hold(&mut self, agent: &Agent, links: Vec<HeldLink>) -> Result<(), String> {
        if self.held == links && !self.stale {
            return Ok(());
        }
        let held = agent.ask(Order::Hold(links.clone())).await;
        held.map_err(|why| format!("its links cannot be changed: {why}"))?;
        (self.held, self.stale) = (links, false);
        Ok(())
    }

    /// A node's links as its agent is told them. Cuts stand at both ends of a link; what is delayed or limited is
    /// so where it is sent, once. Clients have no agent: what comes from them late is answered late.
    ///
    /// `addresses`: the last that were known of each node. `ports`: those that have names.
    pub fn told(
        &self,
        place: &Place,
        addresses: &BTreeMap<NodeId, BTreeSet<IpAddr>>,
        ports: &BTreeMap<String, u16>,
    ) -> Vec<HeldLink> {
        let none = BTreeSet::new();
        let of = |peer: &Peer| match peer {
            Peer::Node(id) => addresses.get(id).unwrap_or(&none),
            Peer::Clients => &place.clients,
            Peer::Outside(host) => self.outside.get(host).map_or(&none, |host| &host.addresses),
        };
        let Links { from, ports_from, ports_to, .. } = &self.links;
        let sent = sent(&self.links);
        let arriving =
            from.iter().filter_map(|(peer, link)| held(of(peer), Way::In, link.delivery_alone()));
        let sent = sent.into_iter().filter_map(|(peer, link)| held(of(peer), Way::Out, link));
        let of_ports = |(peer, cut): (&Peer, &BTreeSet<Port>), way| {
            let link = held(of(peer), way, Link::CUT)?;
            Some(HeldLink { ports: numbers(cut, ports), ..link })
        };
        let ports_in = ports_from.iter().filter_map(|cut| of_ports(cut, Way::In));
        let ports_out = ports_to.iter().filter_map(|cut| of_ports(cut, Way::Out));
        arriving.chain(sent).chain(ports_in).chain(ports_out).collect()
    }

    /// Notes what was proven: it is not measured again until it changes.
    pub fn settle(&mut self, proven: Proven) {
        let Proven { links, cuts, names } = proven;
        self.proven.extend(links.into_iter().flatten());
        if let Some(cuts) = cuts {
            self.proven_cuts = cuts;
        }
        if let Some(names) = names {
            self.names.proven = names;
        }
    }
}

/// The numbers of these ports. A name that has none was refused while planning.
pub(super) fn numbers(ports: &BTreeSet<Port>, names: &BTreeMap<String, u16>) -> BTreeSet<u16> {
    let number = |port: &Port| match port {
        Port::Number(number) => Some(number.get()),
        Port::Name(name) => names.get(name).copied(),
    };
    ports.iter().filter_map(number).collect()
}

/// What one agent is told of one link's end.
fn held(peers: &BTreeSet<IpAddr>, way: Way, link: Link) -> Option<HeldLink> {
    let nothing = peers.is_empty() || link == Link::default();
    (!nothing).then(|| HeldLink { peers: peers.clone(), way, ports: BTreeSet::new(), link })
}
