//! Measures whether links are what was asked of them: by datagrams and connects between the agents of both ends, and
//! from where the clients stand.
//!
//! Links are measured that suffer or that changed since they were proven last; and, where the node runs, one
//! healthy link beside them, to show that the measuring itself works.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};

use super::flank::{Flank, Place, Proven};
use super::judge::{
    Came, Finding, Volley, burst, connects, ms, passes, rate, right, sample, wrong,
};
use super::network::Agent;
use crate::agent::beside::connect::connect;
use crate::agent::beside::probe::Prober;
use crate::agent::beside::protocol::{Connect, Done, Order, Probe};
use crate::condition::{Delivery, Link, Peer};
use crate::inventory::NodeId;

/// What arrives from each peer; and of the clients, what is sent to them.
pub(super) type LinkStates = BTreeMap<Peer, (Link, Link)>;

/// How long nothing must arrive for a link to be cut.
pub(super) const SILENCE: Duration = Duration::from_millis(300);
/// How often a link that should be healthy is measured before it is said not to be.
const TRIES: usize = 3;
/// How long a connect between nodes is waited for.
const CONNECT: Duration = Duration::from_secs(1);
/// How long what waits in front of a narrow link may take to pass.
const QUEUED: Duration = Duration::from_secs(1);

/// Probes are told apart by this number.
static PROBES: AtomicU64 = AtomicU64::new(1);

/// A node as it stands now: where it is, and who beside it.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Where it is.
    pub place: Place,
    /// Who stands beside it.
    pub agent: Option<Arc<Agent>>,
}

/// All nodes of a target, as measuring needs them.
pub trait Field: Sync {
    /// The nodes.
    fn nodes(&self) -> Vec<NodeId>;
    /// One of them as it stands now; `None`: there is none of this name.
    fn standing<'a>(&'a self, id: &'a NodeId) -> BoxFuture<'a, Option<Standing>>;
    /// The ports that have names.
    fn ports(&self) -> &BTreeMap<String, u16>;
    /// What the clients' links are measured with, from where they stand. `None`: they reach the nodes by a way on
    /// which nothing can be measured.
    fn prober(&self) -> Option<&Prober>;
}

impl Flank {
    /// Measures what was asked of a node's network, from a copy: a measurement must not keep the next change waiting.
    pub async fn prove(
        &self,
        field: &dyn Field,
        id: &NodeId,
        place: &Place,
    ) -> (Vec<Finding>, Proven) {
        let own = Standing { place: place.clone(), agent: self.agent.clone() };
        let (mut findings, links) = self.prove_links(field, id, &own).await;
        let (of_cuts, cuts) = self.prove_cuts(field, id, &own).await;
        let (of_names, names) = self.prove_names(&own).await;
        findings.extend(of_cuts.into_iter().chain(of_names));
        (findings, Proven { links, cuts, names })
    }

    /// The links that arrive here: what leaves is measured at the other end, since both ends of a link change
    /// together. The clients' both ways, since nobody stands at their end.
    async fn prove_links(
        &self,
        field: &dyn Field,
        id: &NodeId,
        own: &Standing,
    ) -> (Vec<Finding>, Option<LinkStates>) {
        let links = &self.links;
        let link =
            |map: &BTreeMap<Peer, Link>, peer: &Peer| map.get(peer).copied().unwrap_or_default();
        let peers = field.nodes().into_iter().filter(|node| node != id).map(Peer::Node);
        let clients = field.prober().map(|_| Peer::Clients);
        let (mut due, mut idle) = (vec![], vec![]);
        for peer in peers.chain(clients) {
            let from = link(&links.from, &peer);
            let to = if peer == Peer::Clients { link(&links.to, &peer) } else { Link::default() };
            let last = self.proven.get(&peer).copied().unwrap_or_default();
            // Of a link of which ports are cut, the rest has to pass.
            let whole =
                !links.ports_from.contains_key(&peer) && !links.ports_to.contains_key(&peer);
            let settled = whole && from.is_healthy() && to.is_healthy() && last == (from, to);
            let refused = last.0.delivery.is_refusal() || last.1.delivery.is_refusal();
            if settled { &mut idle } else { &mut due }.push((peer, from, to, refused));
        }
        if own.place.running && !own.place.paused {
            due.extend(idle.pop());
        }
        let measured = due.iter().map(|(peer, from, to, refused)| async move {
            match peer {
                Peer::Node(other) => {
                    let there = link(&links.to, peer);
                    between(field, other, (id, own), (*from, there), *refused).await
                }
                Peer::Clients => of_clients(field, own, *to, *from, *refused).await,
                Peer::Outside(_) => vec![], // `prove_cuts` does
            }
        });
        let findings: Vec<Finding> = join_all(measured).await.into_iter().flatten().collect();
        let states = due.into_iter().map(|(peer, from, to, _)| (peer, (from, to))).collect();
        let proven = findings.iter().all(|f| f.as_asked).then_some(states);
        (findings, proven)
    }
}

/// What arrives at one node of what another sends. `link` and `back`: what arrives, and what is sent back. `refused`:
/// whether it was proven to refuse before.
async fn between(
    field: &dyn Field,
    from: &NodeId,
    (to, own): (&NodeId, &Standing),
    (link, back): (Link, Link),
    refused: bool,
) -> Vec<Finding> {
    let Some(there) = field.standing(from).await else { return vec![] };
    // A node without a process has no link to measure; that it has none is its own finding.
    let source = there.agent.filter(|_| there.place.running);
    let sink = own.agent.clone().filter(|_| own.place.running);
    let (Some(source), Some(sink)) = (source, sink) else { return vec![] };
    let Some(address) = own.place.addresses.first().copied() else { return vec![] };
    let one_clock = there.place.clock == own.place.clock;
    let ends = Ends { source, sink, address, one_clock };
    // Times on two clocks are of round trips, which suffer both directions' delays.
    let link = match link.answering(back) {
        _ if one_clock => link,
        both => Link { latency: both.latency, jitter: both.jitter, ..link },
    };
    let what = &format!("{from} -> {to}");
    let mut found = vec![
        tried(|| {
            let came = ends.volley(sample(link), link);
            async move { Ok(passes(what, link, &came.await?, SILENCE)) }.boxed()
        })
        .await,
    ];
    if let Some(most) = link.bandwidth.filter(|_| link.delivery <= Delivery::Reset) {
        let volley = burst(most);
        let measure = || {
            let came = ends.volley(volley, link);
            async move { Ok(rate(what, most, volley, &came.await?)) }.boxed()
        };
        found.push(tried(measure).await);
    }
    if link.delivery.is_refusal() || refused && link.is_healthy() {
        let refusal = link.delivery.is_refusal();
        let measure = || {
            let connected = ends.connect();
            async move {
                let (how, took) = connected.await?;
                Ok(connects(what, refusal, how, took))
            }
            .boxed()
        };
        found.push(tried(measure).await);
    }
    found.into_iter().map(|f| f.unwrap_or_else(|why| not_measured(what, &why))).collect()
}

/// What comes to where the clients stand, and back: both directions at once.
async fn of_clients(
    field: &dyn Field,
    own: &Standing,
    to: Link,
    from: Link,
    refused: bool,
) -> Vec<Finding> {
    let Some(address) = own.place.addresses.first().filter(|_| own.place.running) else {
        return vec![];
    };
    let (Some(agent), Some(prober)) = (&own.agent, field.prober()) else { return vec![] };
    let (what, link) = (&format!("clients -> {address}"), to.answering(from));
    let link = Link { delivery: to.delivery.max(from.delivery), ..link };
    let port = socket_of(*address, agent.hello.probe_port);
    let mut found = vec![];
    if link.draws_lots() && link.delivery <= Delivery::Reset {
        let measure = || {
            let came = echoes(prober, port, sample(link), link);
            async move { Ok(passes(what, link, &came.await, SILENCE)) }.boxed()
        };
        found.push(tried(measure).await);
    }
    if let Some(most) = link.bandwidth.filter(|_| link.delivery <= Delivery::Reset) {
        let volley = burst(most);
        let measure = || {
            let came = echoes(prober, port, volley, link);
            async move { Ok(rate(what, most, volley, &came.await)) }.boxed()
        };
        found.push(tried(measure).await);
    }
    // A connect of which a packet is lost says nothing of the link.
    if !link.draws_lots() || link.delivery > Delivery::Pass {
        let at = socket_of(*address, agent.hello.connect_port);
        let wait = SILENCE + link.latency.0 + link.jitter.0;
        let measure = || {
            async move {
                let (how, took) = connect(at, wait).await;
                Ok(of_connect(what, link, refused, how, Duration::from_nanos(took)))
            }
            .boxed()
        };
        found.push(tried(measure).await);
    }
    found.into_iter().map(|f| f.unwrap_or_else(|why| not_measured(what, &why))).collect()
}

/// What an agent echoes to where the clients stand.
async fn echoes(prober: &Prober, to: SocketAddr, volley: Volley, link: Link) -> Came {
    let probe = probe(to, volley, link);
    let (sent, times) = prober.probe(&probe).await;
    came(sent, &times.each, times.over())
}

/// Both ends of a link, and the address of the one that hears.
struct Ends {
    source: Arc<Agent>,
    sink: Arc<Agent>,
    address: IpAddr,
    /// Whether both read the same clock.
    one_clock: bool,
}

impl Ends {
    /// Sends datagrams from one agent to the other: how many came, and how long each was on its way.
    async fn volley(&self, volley: Volley, link: Link) -> Result<Came, String> {
        let probe = probe(socket_of(self.address, self.sink.hello.probe_port), volley, link);
        let number = probe.probe;
        let (sent, trips) = match self.source.ask(Order::Probe(probe)).await? {
            Done::Probed { sent, round_trips, .. } => (sent, round_trips),
            other => return Err(format!("the agent answered {other:?}")),
        };
        match self.sink.ask(Order::Heard { probe: number }).await? {
            Done::Heard { one_way, over } if self.one_clock => Ok(came(sent, &one_way, over)),
            Done::Heard { one_way, over } => {
                let arrived = one_way.len();
                Ok(Came { arrived, back: true, ..came(sent, &trips, over) })
            }
            other => Err(format!("the agent answered {other:?}")),
        }
    }

    async fn connect(&self) -> Result<(Connect, Duration), String> {
        let to = socket_of(self.address, self.sink.hello.connect_port);
        match self.source.ask(Order::Connect { to, wait: CONNECT }).await? {
            Done::Connected { how, took } => Ok((how, Duration::from_nanos(took))),
            other => Err(format!("the agent answered {other:?}")),
        }
    }
}

pub(super) type Measuring<'a> = BoxFuture<'a, Result<Finding, String>>;

/// Measures until it is as asked, or often enough.
pub(super) async fn tried<'a>(
    measure: impl Fn() -> Measuring<'a> + Send,
) -> Result<Finding, String> {
    let mut last = measure().await;
    for _ in 1..TRIES {
        if last.as_ref().is_ok_and(|found| found.as_asked) {
            break;
        }
        last = measure().await;
    }
    last
}

pub(super) fn not_measured(what: &str, why: &str) -> Finding {
    wrong(format!("{what}: not measured: {why}"))
}

pub(super) fn socket_of(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

fn probe(to: SocketAddr, volley: Volley, link: Link) -> Probe {
    let probe = PROBES.fetch_add(1, Ordering::Relaxed) << 16 | u64::from(rand::random::<u16>());
    let Volley { count, padding, every } = volley;
    // What a limit makes wait is waited for; what its queue has no room for never comes.
    let queued = link.bandwidth.map_or(Duration::ZERO, |_| QUEUED);
    let wait = SILENCE + link.latency.0 + link.jitter.0 + queued;
    Probe { probe, to, count, padding, every, wait }
}

fn came(sent: u32, times: &[u64], over: u64) -> Came {
    let each = times.iter().copied().map(Duration::from_nanos).collect();
    let arrived = times.len();
    Came { sent, arrived, each, over: Duration::from_nanos(over), back: false }
}

/// What a client's connect says of its link.
fn of_connect(what: &str, link: Link, refused: bool, how: Connect, took: Duration) -> Finding {
    let silent = how == Connect::Silent;
    match link.delivery {
        Delivery::Drop if silent => right(format!("{what}: no answer within {}", ms(took))),
        Delivery::Drop => wrong(format!("{what}: answered after {}, asked a cut", ms(took))),
        Delivery::Reset | Delivery::Reject => connects(what, true, how, took),
        Delivery::Pass if silent || refused => connects(what, false, how, took),
        Delivery::Pass if took + link.jitter.0 < link.latency.0 => {
            let asked = ms(link.latency.0);
            wrong(format!("{what}: answered after {}, asked {asked}", ms(took)))
        }
        Delivery::Pass => right(format!("{what}: answered after {}", ms(took))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Span;

    #[test]
    fn what_a_client_sees_is_held_against_what_was_asked() {
        use Connect::{Accepted, Refused, Silent};
        let at = Duration::from_millis;
        let fine = Link::default();
        let late = Link { latency: Span::millis(50), ..fine };
        let reset = Link { delivery: Delivery::Reset, ..fine };
        for (link, how, took, expected) in [
            (fine, Accepted, at(1), true),
            (fine, Silent, at(300), false),
            (Link::CUT, Silent, at(300), true),
            (Link::CUT, Accepted, at(1), false),
            (Link::CUT, Refused, at(1), false),
            (late, Accepted, at(51), true),
            (late, Accepted, at(20), false),
            (reset, Refused, at(1), true),
            (reset, Accepted, at(1), false),
        ] {
            let found = of_connect("clients -> n1", link, false, how, took);
            assert_eq!(found.as_asked, expected, "{link:?} {how:?}");
        }
        assert!(!of_connect("clients -> n1", fine, true, Refused, at(1)).as_asked, "not healed");
    }
}
