//! Cuts that leave the rest of a link alone: of single ports, and of hosts that are no nodes. Who such hosts are,
//! and whether such cuts hold, by connects.
//!
//! A connect to a port says whether its traffic passes whether or not somebody listens there: what passes is accepted
//! or refused, and what is cut is answered by silence.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, join_all};

use super::beside::Agent;
use super::judge::{Finding, ms, right, wrong};
use super::member::{Known, Member, With};
use super::prove::{SILENCE, not_measured, socket_of, tried};
use super::up::Up;
use crate::agent::beside::connect::connect;
use crate::agent::beside::protocol::{Connect, Done, Order};
use crate::condition::{Delivery, Link, Links, Peer};
use crate::target::TargetError;

/// Ports of which something is cut, by peer. Of hosts that are no nodes: none, if all of their traffic is.
pub(super) type Cuts = BTreeMap<Peer, BTreeSet<u16>>;

/// Where an outside host is tried if no port of it is named.
const ANY_PORT: u16 = 443;

impl Member {
    /// Finds out where the hosts are that are no nodes and of which something is asked: as the node itself resolves
    /// their names, once for as long as it is asked.
    pub(super) async fn find_outside(
        &self,
        with: With<'_>,
        known: &mut Known,
    ) -> Result<(), TargetError> {
        let Links { from, to, ports_from, ports_to } = &known.asked.links;
        let peers = from.keys().chain(to.keys()).chain(ports_from.keys()).chain(ports_to.keys());
        let hosts: BTreeSet<String> = peers
            .filter_map(|peer| match peer {
                Peer::Outside(host) => Some(host.clone()),
                Peer::Node(_) | Peer::Clients => None,
            })
            .collect();
        // What was cut is measured once more when it is healed.
        let proven = |host: &String| known.proven_cuts.contains_key(&Peer::Outside(host.clone()));
        known.outside.retain(|host, _| hosts.contains(host) || proven(host));
        for host in hosts {
            if known.outside.contains_key(&host) || !known.now.running {
                continue;
            }
            let addresses = match host.parse::<IpAddr>() {
                Ok(address) => BTreeSet::from([address]),
                Err(_) => self.addresses(with, known, &host).await?,
            };
            known.outside.insert(host, addresses);
        }
        Ok(())
    }

    async fn addresses(
        &self,
        with: With<'_>,
        known: &mut Known,
        host: &str,
    ) -> Result<BTreeSet<IpAddr>, TargetError> {
        let agent = self.agent(with, known).await?;
        match agent.ask(Order::Addresses { host: host.to_string() }).await {
            Ok(Done::Addresses(addresses)) => Ok(addresses),
            Ok(other) => Err(self.failed(format!("the agent answered {other:?}"))),
            Err(why) => Err(self.failed(why)),
        }
    }
}

impl Up {
    /// What is cut of ports and of outside hosts, as it is asked of a node.
    fn cuts(&self, links: &Links) -> Cuts {
        let mut cuts = Cuts::new();
        for (peer, ports) in links.ports_from.iter().chain(&links.ports_to) {
            cuts.entry(peer.clone()).or_default().extend(self.options.numbers(ports));
        }
        for peer in links.from.keys().chain(links.to.keys()) {
            if let Peer::Outside(_) = peer {
                cuts.entry(peer.clone()).or_default();
            }
        }
        cuts
    }

    /// Measures the cuts that there are, and those that there were.
    pub(super) async fn prove_cuts(&self, member: &Member, known: &Known) -> Vec<Finding> {
        let asked = self.cuts(&known.asked.links);
        let mut due = known.proven_cuts.clone();
        for (peer, ports) in &asked {
            due.entry(peer.clone()).or_default().extend(ports);
        }
        if due.is_empty() || !known.now.running || known.now.paused {
            return vec![];
        }
        let links = &known.asked.links;
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
                measured.push(self.one_cut(member, known, peer.clone(), *port, cut));
            }
        }
        let found: Vec<Finding> = join_all(measured).await.into_iter().flatten().collect();
        if found.iter().all(|finding| finding.as_asked) {
            member.state.lock().await.proven_cuts = asked;
        }
        found
    }

    async fn one_cut(
        &self,
        member: &Member,
        known: &Known,
        peer: Peer,
        port: u16,
        cut: bool,
    ) -> Vec<Finding> {
        let id = &member.id;
        match &peer {
            Peer::Node(other) => {
                let Some(other) = self.members.get(other) else { return vec![] };
                let there = other.state.lock().await.clone();
                let source = there.agent.filter(|_| there.now.running && !there.now.paused);
                let address = known.now.addresses.first();
                let (Some(source), Some(address)) = (source, address) else { return vec![] };
                let what = format!("{} -> {id}:{port}", other.id);
                vec![tries(&what, Some(source), socket_of(*address, port), cut, true).await]
            }
            Peer::Clients => {
                let Some(address) = known.now.addresses.first() else { return vec![] };
                let what = format!("clients -> {id}:{port}");
                vec![tries(&what, None, socket_of(*address, port), cut, true).await]
            }
            Peer::Outside(host) => {
                let Some(agent) = &known.agent else { return vec![] };
                let none = BTreeSet::new();
                let addresses = known.outside.get(host).unwrap_or(&none);
                let tries = addresses.iter().map(|address| async move {
                    let to = socket_of(*address, port);
                    let what = format!("{id} -> {host} ({to})");
                    tries(&what, Some(agent.clone()), to, cut, false).await
                });
                join_all(tries).await
            }
        }
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
}
