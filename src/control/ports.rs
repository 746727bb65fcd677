//! Cuts that leave the rest of a link alone: of single ports, and of hosts that are no nodes. Who such hosts are,
//! and whether such cuts hold, by connects.
//!
//! A connect to a port says whether its traffic passes whether or not somebody listens there: what passes is accepted
//! or refused, and what is cut is answered by silence. Of a host that nobody here knows silence proves a cut only
//! where it answered before.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, join_all};

use super::flank::{Flank, numbers};
use super::judge::{Finding, ms, right, wrong};
use super::network::Agent;
use super::prove::{Field, SILENCE, Standing, not_measured, tried};
use crate::agent::beside::connect::connect;
use crate::agent::beside::protocol::{Connect, Done, Order};
use crate::condition::{Delivery, Link, Links, Peer};
use crate::inventory::NodeId;

/// Ports of which something is cut, by peer. Of hosts that are no nodes: none, if all of their traffic is.
pub(super) type Cuts = BTreeMap<Peer, BTreeSet<u16>>;

/// Where an outside host is tried if no port of it is named.
const ANY_PORT: u16 = 443;

/// A host that is no node.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    /// As the node itself resolves its name.
    pub addresses: BTreeSet<IpAddr>,
    /// Where it was tried before anything of it was cut, and whether it answered.
    answered: BTreeMap<SocketAddr, bool>,
}

impl Host {
    fn answering(&self, port: u16) -> Vec<SocketAddr> {
        let there = self.answered.iter().filter(|(at, answered)| at.port() == port && **answered);
        there.map(|(at, _)| *at).collect()
    }
}

impl Flank {
    /// What is cut of ports and of outside hosts, as it is asked.
    fn cuts(&self, names: &BTreeMap<String, u16>) -> Cuts {
        let links = &self.links;
        let mut cuts = Cuts::new();
        for (peer, ports) in links.ports_from.iter().chain(&links.ports_to) {
            cuts.entry(peer.clone()).or_default().extend(numbers(ports, names));
        }
        for peer in links.from.keys().chain(links.to.keys()) {
            if let Peer::Outside(_) = peer {
                cuts.entry(peer.clone()).or_default();
            }
        }
        cuts
    }

    /// Whether hosts that are no nodes are asked of which it is not known where they are.
    pub fn is_to_find(&self) -> bool {
        !self.hosts().is_subset(&self.outside.keys().cloned().collect())
    }

    fn hosts(&self) -> BTreeSet<String> {
        let Links { from, to, ports_from, ports_to } = &self.links;
        let peers = from.keys().chain(to.keys()).chain(ports_from.keys()).chain(ports_to.keys());
        let outside = peers.filter_map(|peer| match peer {
            Peer::Outside(host) => Some(host.clone()),
            Peer::Node(_) | Peer::Clients => None,
        });
        outside.collect()
    }

    /// Forgets the hosts of which nothing is asked any more, once that was proven.
    pub fn forget_outside(&mut self) {
        let hosts = self.hosts();
        // What was cut is measured once more when it is healed.
        let proven = |host: &String| self.proven_cuts.contains_key(&Peer::Outside(host.clone()));
        self.outside.retain(|host, _| hosts.contains(host) || proven(host));
    }

    /// Finds out where the hosts are that are no nodes and of which something is asked, once for as long as it is
    /// asked; and whether they answer before anything is cut.
    pub async fn find_outside(
        &mut self,
        agent: &Arc<Agent>,
        ports: &BTreeMap<String, u16>,
    ) -> Result<(), String> {
        for name in self.hosts() {
            if let Entry::Vacant(place) = self.outside.entry(name) {
                let addresses = match place.key().parse::<IpAddr>() {
                    Ok(address) => BTreeSet::from([address]),
                    Err(_) => addresses(agent, place.key()).await?,
                };
                place.insert(Host { addresses, ..Host::default() });
            }
        }
        for (peer, ports) in self.cuts(ports) {
            let Peer::Outside(name) = peer else { continue };
            let Some(host) = self.outside.get(&name) else { continue };
            let ports = if ports.is_empty() { BTreeSet::from([ANY_PORT]) } else { ports };
            let all = host.addresses.iter().flat_map(|a| {
                ports.iter().map(|port| SocketAddr::new(*a, *port)).collect::<Vec<_>>()
            });
            let untried = all.filter(|at| !host.answered.contains_key(at));
            let tried = untried.map(|to| async move {
                let answer = agent.ask(Order::Connect { to, wait: SILENCE }).await;
                let answered =
                    matches!(answer, Ok(Done::Connected { how, .. }) if how != Connect::Silent);
                (to, answered)
            });
            let tried = join_all(tried).await;
            if let Some(host) = self.outside.get_mut(&name) {
                host.answered.extend(tried);
            }
        }
        Ok(())
    }

    /// Measures the cuts that there are, and those that there were. What was proven, where all is as asked.
    pub(super) async fn prove_cuts(
        &self,
        field: &dyn Field,
        id: &NodeId,
        own: &Standing,
    ) -> (Vec<Finding>, Option<Cuts>) {
        let asked = self.cuts(field.ports());
        let mut due = self.proven_cuts.clone();
        for (peer, ports) in &asked {
            due.entry(peer.clone()).or_default().extend(ports);
        }
        if due.is_empty() || !own.place.running || own.place.paused {
            return (vec![], None);
        }
        let links = &self.links;
        let whole = |peer: &Peer| {
            let of = |map: &BTreeMap<Peer, Link>| map.get(peer).map(|link| link.delivery);
            of(&links.from).max(of(&links.to)).unwrap_or_default()
        };
        let mut measured = vec![];
        for (peer, ports) in &due {
            let delivery = whole(peer);
            if delivery.is_refusal() {
                continue; // it is refused, whatever its port
            }
            let all = BTreeSet::from([ANY_PORT]);
            let outside = matches!(peer, Peer::Outside(_));
            let ports = if ports.is_empty() && outside { &all } else { ports };
            for port in ports {
                let of_port = asked.get(peer).is_some_and(|cut| cut.contains(port));
                let cut = of_port || delivery == Delivery::Drop;
                measured.push(self.one_cut(field, id, own, peer.clone(), *port, cut));
            }
        }
        let found: Vec<Finding> = join_all(measured).await.into_iter().flatten().collect();
        let proven = found.iter().all(|finding| finding.as_asked).then_some(asked);
        (found, proven)
    }

    async fn one_cut(
        &self,
        field: &dyn Field,
        id: &NodeId,
        own: &Standing,
        peer: Peer,
        port: u16,
        cut: bool,
    ) -> Vec<Finding> {
        match &peer {
            Peer::Node(other) => {
                let Some(there) = field.standing(other).await else { return vec![] };
                let source = there.agent.filter(|_| there.place.running && !there.place.paused);
                let address = own.place.addresses.first();
                let (Some(source), Some(address)) = (source, address) else { return vec![] };
                let what = format!("{other} -> {id}:{port}");
                vec![tries(&what, Some(source), SocketAddr::new(*address, port), cut, true).await]
            }
            Peer::Clients => {
                let Some(address) = own.place.addresses.first() else { return vec![] };
                let what = format!("clients -> {id}:{port}");
                vec![tries(&what, None, SocketAddr::new(*address, port), cut, true).await]
            }
            Peer::Outside(host) => {
                let Some(agent) = &own.agent else { return vec![] };
                let answering = self.outside.get(host).map(|host| host.answering(port));
                let answering = answering.unwrap_or_default();
                if answering.is_empty() && cut {
                    return vec![wrong(mute(id, host, port))];
                }
                let tries = answering.into_iter().map(|to| async move {
                    let what = format!("{id} -> {host} ({to})");
                    tries(&what, Some(agent.clone()), to, cut, false).await
                });
                join_all(tries).await
            }
        }
    }
}

fn mute(id: &NodeId, host: &str, port: u16) -> String {
    format!(
        "{id} -> {host}:{port}: nobody answered there before the cut, so that silence proves \
         nothing of it; name a port that it serves (`ports`)"
    )
}

async fn addresses(agent: &Agent, host: &str) -> Result<BTreeSet<IpAddr>, String> {
    match agent.ask(Order::Addresses { host: host.to_string() }).await? {
        Done::Addresses(addresses) => Ok(addresses),
        other => Err(format!("the agent answered {other:?}")),
    }
}

/// Whether a connect is answered. `must`: whether one that is not cut has to be; an outside host may have reasons of
/// its own not to.
async fn tries(
    what: &str,
    source: Option<Arc<Agent>>,
    to: SocketAddr,
    cut: bool,
    must: bool,
) -> Finding {
    let measure = || {
        let source = source.clone();
        async move {
            let (how, took) = match source {
                None => connect(to, SILENCE).await,
                Some(agent) => match agent.ask(Order::Connect { to, wait: SILENCE }).await? {
                    Done::Connected { how, took } => (how, took),
                    other => return Err(format!("the agent answered {other:?}")),
                },
            };
            Ok(answered(what, cut, must, how, Duration::from_nanos(took)))
        }
        .boxed()
    };
    tried(measure).await.unwrap_or_else(|why| not_measured(what, &why))
}

fn answered(what: &str, cut: bool, must: bool, how: Connect, took: Duration) -> Finding {
    if cut && how == Connect::Silent && took < SILENCE {
        // The kernel said so at once: that proves nothing of a cut.
        return wrong(format!("{what}: there is no way to it from there, cut or not"));
    }
    let text = match how {
        Connect::Accepted => format!("{what}: accepted after {}", ms(took)),
        Connect::Refused => format!("{what}: refused after {}", ms(took)),
        Connect::Silent => format!("{what}: no answer within {}", ms(took)),
    };
    match (cut, how == Connect::Silent) {
        (true, false) => wrong(format!("{text}, asked a cut")),
        (false, true) if must => wrong(format!("{text}, asked none")),
        _ => right(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_proves_a_cut_and_any_answer_that_there_is_none() {
        let took = SILENCE;
        let as_asked = |cut, must, how| answered("a -> b", cut, must, how, took).as_asked;
        use Connect::{Accepted, Refused, Silent};
        assert!(as_asked(true, true, Silent) && as_asked(true, false, Silent));
        for how in [Accepted, Refused] {
            assert!(!as_asked(true, true, how) && as_asked(false, true, how));
        }
        assert!(!as_asked(false, true, Silent), "a node that says nothing is cut off still");
        assert!(as_asked(false, false, Silent), "an outside host may say nothing of its own");
        let at_once = answered("a -> b", true, false, Silent, Duration::from_millis(1));
        assert!(!at_once.as_asked, "where there is no way, no cut is proven");
    }

    #[test]
    fn of_a_host_those_addresses_count_that_answered_at_this_port() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let answered = [("192.0.2.1:80", true), ("192.0.2.2:80", false), ("192.0.2.1:443", false)];
        let answered = answered.map(|(text, answered)| (at(text), answered)).into();
        let host = Host { answered, ..Host::default() };
        assert_eq!(host.answering(80), [at("192.0.2.1:80")]);
        assert!(host.answering(443).is_empty() && host.answering(22).is_empty());
    }
}
