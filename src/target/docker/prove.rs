//! Measures whether what was asked of a node is in effect: its life as the engine and its port tell it, its links
//! by datagrams and connects between the agents of both ends, and from where the clients stand.
//!
//! Links are measured that suffer or that changed since they were proven last; and, where the node runs, one
//! healthy link beside them, to show that the measuring itself works.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::beside::Agent;
use super::judge::{
    Came, Finding, Volley, burst, connects, ms, passes, rate, right, sample, wrong,
};
use super::member::{Known, Member, With};
use super::up::Up;
use crate::agent::beside::connect::connect;
use crate::agent::beside::protocol::{Connect, Done, Order, Probe};
use crate::condition::{Delivery, Life, Link, Peer};
use crate::inventory::NodeId;
use crate::target::Proof;
use futures::future::{BoxFuture, FutureExt, join_all};

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

impl Up {
    /// Measures what was asked of a node.
    pub(super) async fn prove(&self, member: &Member) -> Proof {
        // A copy: a measurement must not keep the next change waiting.
        let mut known = member.state.lock().await.clone();
        let life = self.prove_life(member, &mut known).await;
        let links = self.prove_links(member, &known).await;
        let mut findings: Vec<Finding> = life.into_iter().chain(links).collect();
        findings.extend(self.prove_cuts(member, &known).await);
        findings.extend(member.prove_names(&known).await);
        findings.extend(member.prove_within(&known).await);
        let lapses = std::mem::take(&mut member.state.lock().await.lapses);
        let wrong: Vec<&str> =
            findings.iter().filter(|f| !f.as_asked).map(|f| f.text.as_str()).collect();
        let unproven = (!wrong.is_empty()).then(|| wrong.join("; "));
        Proof { measured: findings.into_iter().map(|f| f.text).collect(), unproven, lapses }
    }

    async fn prove_life(&self, member: &Member, known: &mut Known) -> Vec<Finding> {
        let with = self.with();
        if let Err(e) = member.look(with, known).await {
            return vec![wrong(e.to_string())];
        }
        let now = &known.now;
        let says = |so: bool, yes: String, no: String| if so { right(yes) } else { wrong(no) };
        let name = &now.name;
        match known.asked.life {
            Life::Running if !now.running => {
                let down = format!("container {name} is down (exit code {})", now.exit_code);
                let seen = known.within.seen_before_its_end(&known.asked.disk);
                // That it ended is told of the node; what it ended of was there, if it was seen before.
                let asked = &known.asked;
                let else_healthy = asked.links.is_healthy()
                    && asked.load.is_healthy()
                    && asked.clock.is_none()
                    && asked.dns.is_healthy();
                let all_seen = !seen.is_empty() && seen.iter().all(|finding| finding.as_asked);
                let proven = else_healthy && all_seen;
                vec![says(proven, down.clone(), down)].into_iter().chain(seen).collect()
            }
            Life::Running => {
                let runs = format!("container {name} runs (process {})", now.pid);
                let runs = says(!now.paused, runs, format!("container {name} is paused"));
                let linked = known.asked.links.is_healthy();
                vec![runs]
                    .into_iter()
                    .chain(self.ready(with, member, known, linked).await)
                    .collect()
            }
            Life::Crashed => {
                let old = known.crashed.unwrap_or_default();
                let gone = !now.running || now.pid != old;
                let since = match now.running {
                    true => format!("process {old} is gone; process {} took its place", now.pid),
                    false => format!("process {old} is gone (exit code {})", now.exit_code),
                };
                vec![says(gone, since, format!("process {old} is still there"))]
            }
            Life::Paused => vec![says(
                now.paused,
                format!("container {name} is frozen"),
                format!("container {name} is not frozen"),
            )],
            Life::Stopped | Life::Killed => {
                let down = format!("container {name} is down (exit code {})", now.exit_code);
                vec![says(!now.running, down, format!("container {name} still runs"))]
            }
        }
    }

    async fn ready(
        &self,
        with: With<'_>,
        member: &Member,
        known: &Known,
        linked: bool,
    ) -> Option<Finding> {
        let port = self.options.ready_port?;
        let at = Member::endpoint(&known.now, port)?;
        let began = Instant::now();
        Some(match member.accepts(with, &known.now).await {
            true => right(format!("connect to {at} accepted after {}", ms(began.elapsed()))),
            false if !linked => right(format!("{at}: not ready while its links suffer")),
            false => wrong(format!("connect to {at} is not accepted")),
        })
    }

    /// The links that arrive here: what leaves is measured at the other end, since both ends of a link change
    /// together. The clients' both ways, since nobody stands at their end.
    async fn prove_links(&self, member: &Member, known: &Known) -> Vec<Finding> {
        let links = &known.asked.links;
        let link =
            |map: &BTreeMap<Peer, Link>, peer: &Peer| map.get(peer).copied().unwrap_or_default();
        let peers = self.members.keys().filter(|id| **id != member.id).cloned().map(Peer::Node);
        let (mut due, mut idle) = (vec![], vec![]);
        for peer in peers.chain([Peer::Clients]) {
            let from = link(&links.from, &peer);
            let to = if peer == Peer::Clients { link(&links.to, &peer) } else { Link::default() };
            let last = known.proven.get(&peer).copied().unwrap_or_default();
            // Of a link of which ports are cut, the rest has to pass.
            let whole =
                !links.ports_from.contains_key(&peer) && !links.ports_to.contains_key(&peer);
            let settled = whole && from.is_healthy() && to.is_healthy() && last == (from, to);
            let refused = last.0.delivery.is_refusal() || last.1.delivery.is_refusal();
            if settled { &mut idle } else { &mut due }.push((peer, from, to, refused));
        }
        if known.now.running && !known.now.paused {
            due.extend(idle.pop());
        }
        let measured = due.iter().map(|(peer, from, to, refused)| async move {
            match peer {
                Peer::Node(other) => self.between(other, &member.id, *from, *refused).await,
                Peer::Clients => self.of_clients(known, *to, *from, *refused).await,
                Peer::Outside(_) => vec![], // `prove_cuts` does
            }
        });
        let findings: Vec<Finding> = join_all(measured).await.into_iter().flatten().collect();
        if findings.iter().all(|f| f.as_asked) {
            let states = due.into_iter().map(|(peer, from, to, _)| (peer, (from, to)));
            member.state.lock().await.proven.extend(states);
        }
        findings
    }

    /// What arrives at one node of what another sends. `refused`: whether it was proven to refuse before.
    async fn between(&self, from: &NodeId, to: &NodeId, link: Link, refused: bool) -> Vec<Finding> {
        let (Some(sender), Some(receiver)) = (self.members.get(from), self.members.get(to)) else {
            return vec![];
        };
        // One after the other: who held one while waiting for the other could wait for ever.
        let a = sender.state.lock().await.clone();
        let b = receiver.state.lock().await.clone();
        // A node without a process has no link to measure; that it has none is its own finding.
        let source = a.agent.filter(|_| a.now.running);
        let sink = b.agent.filter(|_| b.now.running);
        let (Some(source), Some(sink)) = (source, sink) else { return vec![] };
        let Some(address) = b.now.addresses.first().copied() else { return vec![] };
        let ends = Ends { source, sink, address };
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
    async fn of_clients(&self, known: &Known, to: Link, from: Link, refused: bool) -> Vec<Finding> {
        let Some(address) = known.now.addresses.first().filter(|_| known.now.running) else {
            return vec![];
        };
        let Some(agent) = &known.agent else { return vec![] };
        let (what, link) = (&format!("clients -> {address}"), to.answering(from));
        let link = Link { delivery: to.delivery.max(from.delivery), ..link };
        let port = socket_of(*address, agent.hello.probe_port);
        let mut found = vec![];
        if link.draws_lots() && link.delivery <= Delivery::Reset {
            let measure = || {
                let came = self.echoes(port, sample(link), link);
                async move { Ok(passes(what, link, &came.await, SILENCE)) }.boxed()
            };
            found.push(tried(measure).await);
        }
        if let Some(most) = link.bandwidth.filter(|_| link.delivery <= Delivery::Reset) {
            let volley = burst(most);
            let measure = || {
                let came = self.echoes(port, volley, link);
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
    async fn echoes(&self, to: SocketAddr, volley: Volley, link: Link) -> Came {
        let probe = probe(to, volley, link);
        let (sent, times) = self.prober.probe(&probe).await;
        came(sent, &times.each, times.over())
    }
}

/// Both ends of a link, and the address of the one that hears.
struct Ends {
    source: Arc<Agent>,
    sink: Arc<Agent>,
    address: IpAddr,
}

impl Ends {
    /// Sends datagrams from one agent to the other: how many came, and how long each was on its way.
    async fn volley(&self, volley: Volley, link: Link) -> Result<Came, String> {
        let probe = probe(socket_of(self.address, self.sink.hello.probe_port), volley, link);
        let number = probe.probe;
        let sent = match self.source.ask(Order::Probe(probe)).await? {
            Done::Probed { sent, .. } => sent,
            other => return Err(format!("the agent answered {other:?}")),
        };
        match self.sink.ask(Order::Heard { probe: number }).await? {
            Done::Heard { one_way, over } => Ok(came(sent, &one_way, over)),
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

fn came(sent: u32, each: &[u64], over: u64) -> Came {
    let each = each.iter().copied().map(Duration::from_nanos).collect();
    Came { sent, each, over: Duration::from_nanos(over) }
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
