//! Measures whether what was applied to a node is in effect: its life by its processes and its
//! port, its links by probes through the proxies.
//!
//! Links are measured that suffer or that changed since they were proven last; and, where the node
//! has a process, one healthy link beside them, to show that the measuring itself works.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Up;
use super::node::{LocalNode, State};
use super::probe::{self, Asked, Finding, ms};
use crate::agent::process::{Member, stopped_threads};
use crate::condition::{Life, Link, Peer};
use crate::inventory::NodeId;
use crate::target::{Proof, TargetError};

/// The state of directed links.
pub(super) type LinkStates = BTreeMap<(Peer, Peer), Link>;

/// How long a connect on the loopback may take before it counts as unanswered.
const CONNECT: Duration = Duration::from_millis(1_000);

impl Up {
    /// Measures what was applied to a node.
    pub(super) async fn prove(&self, id: &NodeId) -> Result<Proof, TargetError> {
        let node = self.node(id)?;
        let linked = self.all_links_healthy(id);
        if linked {
            // Its last link may have healed after it was applied, at the other end.
            node.settle().await?;
        }
        let up = node.state.lock().await.life.is_some_and(Life::has_process);
        let (life, links) = tokio::join!(prove_life(node, linked), self.prove_links(id, up));
        let findings: Vec<Finding> = life.into_iter().chain(links).collect();
        let wrong: Vec<&str> =
            findings.iter().filter(|f| !f.as_asked).map(|f| f.text.as_str()).collect();
        let unproven = (!wrong.is_empty()).then(|| wrong.join("; "));
        let measured = findings.into_iter().map(|f| f.text).collect();
        Ok(Proof { measured, unproven, lapses: vec![] })
    }

    /// `control`: with one healthy link.
    async fn prove_links(&self, id: &NodeId, control: bool) -> Vec<Finding> {
        let own = Peer::Node(id.clone());
        let asked = |from: &Peer, to: &Peer| Asked {
            from: from.clone(),
            to: to.clone(),
            link: self.board.asked(from, to),
        };
        let proven = self.proven.lock().unwrap_or_else(|p| p.into_inner()).get(id).cloned();
        let proven = proven.unwrap_or_default();
        let settled = |a: &Asked| {
            let last = proven.get(&(a.from.clone(), a.to.clone())).copied().unwrap_or_default();
            a.link == Link::default() && last == a.link
        };
        let pairs = self.peers().filter(|p| *p != own).map(|p| (asked(&p, &own), asked(&own, &p)));
        let (mut idle, mut due): (Vec<_>, Vec<_>) =
            pairs.partition(|(there, back)| settled(there) && settled(back));
        due.extend(idle.pop().filter(|_| control));
        let measured = due.iter().filter_map(|(there, back)| {
            let front = self.front(id, &there.from)?;
            Some(async move { probe::measure(&self.dialers, front, there, back).await })
        });
        let findings: Vec<Finding> = join_all(measured).await.into_iter().flatten().collect();
        if findings.iter().all(|f| f.as_asked) {
            let both = due.into_iter().flat_map(|(there, back)| [there, back]);
            let states = both.map(|a| ((a.from, a.to), a.link)).collect::<LinkStates>();
            let mut proven = self.proven.lock().unwrap_or_else(|p| p.into_inner());
            proven.entry(id.clone()).or_default().extend(states);
        }
        findings
    }

    /// Where `peer` dials the node.
    fn front(&self, id: &NodeId, peer: &Peer) -> Option<SocketAddr> {
        let port = self.addresses.get(id)?.values().next()?;
        Some(if *peer == Peer::Clients { port.client } else { port.peer })
    }
}

async fn prove_life(node: &LocalNode, linked: bool) -> Vec<Finding> {
    // A copy: a measurement must not keep the next change waiting.
    let state = node.state.lock().await.clone();
    let members = node.roster.of(&node.launch.node);
    match state.life {
        None => vec![wrong("it was never started".into())],
        Some(Life::Running) => vec![alive(&state, &members), port_open(node, linked).await],
        Some(Life::Paused) => vec![alive(&state, &members), paused(&members)],
        Some(Life::Crashed | Life::Evicted | Life::Stopped | Life::Killed) => {
            vec![gone(&members), port_closed(node).await]
        }
    }
}

fn right(text: String) -> Finding {
    Finding { text, as_asked: true }
}

fn wrong(text: String) -> Finding {
    Finding { text, as_asked: false }
}

fn pids(members: &[Member]) -> String {
    let pids: Vec<String> = members.iter().map(|m| m.pid.as_raw_nonzero().to_string()).collect();
    pids.join(", ")
}

fn alive(state: &State, members: &[Member]) -> Finding {
    let Some(process) = &state.process else { return wrong("it has no process".into()) };
    let pid = process.pid.as_raw_nonzero();
    let stopped = stopped_threads(process.pid).0;
    match process.ended() {
        Some(how) => wrong(format!("process {pid} died by itself: {how}")),
        None if !members.iter().any(|m| m.pid == process.pid) => {
            wrong(format!("process {pid} is not there"))
        }
        None if state.life == Some(Life::Running) && stopped > 0 => {
            wrong(format!("process {pid} is alive, but {stopped} of its threads are stopped"))
        }
        None => right(format!("process {pid} is alive")),
    }
}

fn paused(members: &[Member]) -> Finding {
    let threads = members.iter().map(|m| stopped_threads(m.pid));
    let (stopped, all) = threads.fold((0, 0), |(s, a), (stopped, all)| (s + stopped, a + all));
    let text =
        format!("{stopped} of {all} threads in {} processes are stopped (state T)", members.len());
    Finding { text, as_asked: stopped == all && all > 0 }
}

fn gone(members: &[Member]) -> Finding {
    match members {
        [] => right("no process of it is left".into()),
        some => wrong(format!("processes are still there: {}", pids(some))),
    }
}

async fn port_open(node: &LocalNode, linked: bool) -> Finding {
    let began = Instant::now();
    let answer = timeout(CONNECT, TcpStream::connect(node.ready)).await;
    let took = ms(began.elapsed());
    match answer {
        Ok(Ok(_)) => right(format!("connect accepted after {took}")),
        Ok(Err(e)) if !linked => right(format!("{e}: not ready while its links suffer")),
        Ok(Err(e)) => wrong(format!("port `{}` at {}: {e}", node.ready_port, node.ready)),
        Err(_) => wrong(format!("port `{}` at {}: no answer", node.ready_port, node.ready)),
    }
}

async fn port_closed(node: &LocalNode) -> Finding {
    let began = Instant::now();
    let answer = timeout(CONNECT, TcpStream::connect(node.ready)).await;
    let took = ms(began.elapsed());
    match answer {
        Ok(Err(e)) if e.kind() == ErrorKind::ConnectionRefused => {
            right(format!("connect refused after {took}"))
        }
        Ok(Err(e)) => wrong(format!("connect to {} failed oddly: {e}", node.ready)),
        Ok(Ok(_)) => wrong(format!("something still accepts at {}", node.ready)),
        Err(_) => wrong(format!("connect to {} hangs, asked a refusal", node.ready)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Delivery, Links};
    use crate::quantity::{Bandwidth, Span};
    use crate::target::local::{Local, Options};

    /// Fronts, links and probes of two nodes that are never started.
    fn up(folder: &std::path::Path) -> Up {
        let options = Options {
            run: "none".into(),
            folder: folder.into(),
            data: folder.into(),
            nodes: ["n1", "n2"].map(|n| (n.into(), "dc1".into())).into(),
            command: vec!["true".parse().unwrap()],
            env: BTreeMap::new(),
            ports: vec!["peer".into()],
            peers: "".parse().unwrap(),
            ready_port: "peer".into(),
            ready_timeout: Duration::ZERO,
            stop_timeout: Duration::ZERO,
            binary: "/nowhere".into(),
        };
        Local::new(options).unwrap().prepare().unwrap()
    }

    /// What the prover says of `n1 -> n2` if one thing is asked, and the proxy does another.
    async fn verdict(asked: Link, done: Link) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let up = up(folder.path());
        let (n1, n2) = (Peer::Node("n1".into()), Peer::Node("n2".into()));
        let links = Links { from: [(n1.clone(), asked)].into(), ..Links::default() };
        up.board.set(&"n2".into(), &links);
        up.board.sabotage(&n1, &n2, done);
        let findings = up.prove_links(&"n2".into(), true).await;
        let finding = findings.into_iter().find(|f| f.text.starts_with("n1 -> n2")).unwrap();
        (finding.text, finding.as_asked)
    }

    fn delivery(delivery: Delivery) -> Link {
        Link { delivery, ..Link::default() }
    }
    fn late(ms: u64) -> Link {
        Link { latency: Span::millis(ms), ..Link::default() }
    }
    fn slow(bits: u64) -> Link {
        Link { bandwidth: Some(Bandwidth::bits(bits)), ..Link::default() }
    }

    #[tokio::test]
    async fn a_proxy_that_does_what_is_asked_is_proven() {
        let all = [Link::CUT, delivery(Delivery::Reset), late(30), slow(1_000_000), slow(8)];
        for link in all {
            let (text, as_asked) = verdict(link, link).await;
            assert!(as_asked, "{link:?}: {text}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_does_less_than_asked_is_unproven() {
        let fine = Link::default();
        for (asked, done, why) in [
            (Link::CUT, fine, "asked to be cut"),
            (Link::CUT, late(20), "asked to be cut"),
            (delivery(Delivery::Reset), fine, "no reset within"),
            (late(100), fine, "asked 100.0 ms"),
            (late(100), late(50), "asked 100.0 ms"),
            (slow(1_000_000), fine, "asked at most 1mbit"),
            (slow(1_000_000), slow(2_000_000), "asked at most 1mbit"),
        ] {
            let (text, as_asked) = verdict(asked, done).await;
            assert!(!as_asked && text.contains(why), "{asked:?}, but {done:?}: {text}");
        }
    }

    #[tokio::test]
    async fn a_link_that_still_suffers_after_its_heal_is_unproven() {
        let folder = tempfile::tempdir().unwrap();
        let up = up(folder.path());
        let (n1, n2) = (Peer::Node("n1".into()), Peer::Node("n2".into()));
        let cut = Links { from: [(n1.clone(), Link::CUT)].into(), ..Links::default() };
        up.board.set(&"n2".into(), &cut);
        assert!(up.prove_links(&"n2".into(), true).await.iter().all(|f| f.as_asked));
        up.board.set(&"n2".into(), &Links::default());
        up.board.sabotage(&n1, &n2, Link::CUT);
        let findings = up.prove_links(&"n2".into(), true).await;
        let wrong: Vec<_> = findings.iter().filter(|f| !f.as_asked).collect();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].text.contains("n1 -> n2: nothing within"), "{wrong:?}");
    }

    #[tokio::test]
    async fn a_healthy_link_is_measured_beside_the_others_only_where_a_process_could_use_it() {
        let folder = tempfile::tempdir().unwrap();
        let up = up(folder.path());
        let id = "n2".into();
        assert_eq!(up.prove_links(&id, true).await.len(), 2, "there and back");
        assert_eq!(up.prove_links(&id, false).await, []);
        let cut = Links { from: [(Peer::Clients, Link::CUT)].into(), ..Links::default() };
        up.board.set(&id, &cut);
        assert_eq!(up.prove_links(&id, true).await.len(), 4);
        assert_eq!(up.prove_links(&id, false).await.len(), 2);
    }
}
