//! One node: its pod from one life to the next, and the agents in it.
//!
//! Invariant: `life` is what firedrill last asked of it. A pod that somebody else deleted keeps what is asked of its
//! network: whoever takes its place suffers it. An agent that is gone is made anew and told again; how long nothing
//! was held meanwhile is a lapse, which the next proof must tell.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, EvictParams, Preconditions};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::objects::{Event, Pod};

use super::cluster::{is_absent, is_refused, words};
use super::forward;
use super::pod::State;
use super::within::Within;
use crate::agent::within::protocol::Order;
use crate::condition::{Controller, Life, Machine, Power};
use crate::control::{self, Flank, Insider};
use crate::history::NodeEventKind;
use crate::inventory::NodeId;
use crate::target::{Notice, TargetError};

/// How long the cluster may take to make true what it said, beyond what a pod may take to end.
const SETTLED: Duration = Duration::from_secs(10);
/// How long a pod that is asked to end may take, for want of its own figure: the API's default.
const GRACE: Duration = Duration::from_secs(30);
/// How often a port is tried that accepts nothing yet.
const LOOK: Duration = Duration::from_millis(50);
/// How long one try may take.
const TRY: Duration = Duration::from_millis(500);
/// How long to wait for a node to get ready whose links suffer: it may not be able to.
const READY_WHILE_CUT: Duration = Duration::from_secs(1);

/// What an agent of the network may do: change its namespace's packet filter and devices; and make the device that
/// it shapes with, which no container has here.
pub(super) const OF_NETWORK: &[&str] = &["NET_ADMIN", "MKNOD"];

/// One node of the drill.
#[derive(Debug)]
pub(super) struct Member {
    pub id: NodeId,
    pub zone: String,
    /// Held while something is done to it.
    pub state: tokio::sync::Mutex<Known>,
    /// Its pod as it was when something was asked of it last.
    pub struck: Mutex<State>,
    /// Its pod, as the cluster tells it.
    pub now: watch::Sender<State>,
    /// Whether firedrill means its process to end.
    pub meant: AtomicBool,
    /// Whether whatever ends it now was asked for: its controller and its machine may at any time.
    pub loose: AtomicBool,
}

/// What is known of a node, and was asked of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// As it was looked at last.
    pub now: State,
    pub life: Life,
    /// Its network, and the agent of that.
    pub flank: Flank,
    /// The agent among its processes, ...
    pub insider: Option<Arc<Insider>>,
    /// ... the capabilities that it takes in this drill, ...
    pub takes: &'static [&'static str],
    /// ... and what it is to hold, beside their life.
    pub within: Within,
    /// The pod that was deleted, or whose container was killed.
    pub gone: State,
    /// What is asked of its machine, ...
    pub machine: Machine,
    /// ... which is this one until nothing is asked, wherever it goes.
    pub stood: Option<String>,
    /// Machines that it asked something of before the last change.
    pub released: BTreeSet<String>,
    /// What is asked of what keeps it.
    pub controller: Controller,
    /// Why the cluster does not evict it, if it does not; and how often it was asked.
    pub refused: Option<(String, u32)>,
    /// Whether somebody asks for it again and again.
    pub asks_again: bool,
    /// When nothing was held that should have been, in words.
    pub lapses: Vec<String>,
    ready: bool,
}

impl Known {
    /// Where it is, as far as its network goes.
    pub fn place(&self) -> control::Place {
        let State { pod, machine, addresses, .. } = &self.now;
        let from = addresses.iter().filter_map(|address| own_address(*address));
        control::Place {
            name: pod.clone(),
            running: self.is_there(),
            paused: false, // its network answers all the while
            addresses: addresses.clone(),
            clients: from.collect(),
            clock: machine.clone(),
        }
    }

    /// The machine that it stands on, or stood on last.
    pub fn stands(&mut self) -> Option<String> {
        let last = [&self.now.machine, &self.gone.machine].into_iter().find(|m| !m.is_empty());
        self.stood = self.stood.take().or_else(|| last.cloned());
        self.stood.clone()
    }

    /// What goes on because the agent among its processes is gone, though they are there still, in words.
    pub fn is_let_go(&self) -> Option<&'static str> {
        self.insider.as_ref().filter(|insider| insider.gone.is_cancelled())?;
        match (self.life == Life::Paused, self.within.is_told()) {
            (true, _) => Some("its processes went on"),
            (false, true) => Some("nothing was taken from it"),
            (false, false) => None,
        }
    }

    /// Whatever the cluster says, it may not be ready any more.
    pub fn is_doubtful(&mut self) {
        self.ready = false;
    }

    /// Whether it may have no pod, or one that does not work, for what is asked of its machine and its controller.
    pub fn may_be_away(&self) -> bool {
        self.machine.evicts()
            || self.machine.power != Power::On
            || self.controller.replicas.is_some()
            || self.controller.rollout
    }

    /// Whether it has a network to stand in.
    pub fn is_there(&self) -> bool {
        !self.now.addresses.is_empty()
    }
}

/// The address that traffic from here to there comes from. Nothing is sent.
fn own_address(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => [0, 0, 0, 0].into(),
        IpAddr::V6(_) => [0u16; 8].into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What a member needs of its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct With<'a> {
    pub pods: &'a Api<Pod>,
    pub evictions: &'a Api<Pod>,
    pub events: &'a Api<Event>,
    pub options: &'a Options,
    pub notices: &'a mpsc::UnboundedSender<Notice>,
    /// Whether the pods' addresses are of no use from here.
    pub forwarded: bool,
    /// Who looks after a node whose agent is gone.
    pub lost: &'a mpsc::UnboundedSender<(NodeId, CancellationToken)>,
}

impl Member {
    pub fn new(id: NodeId, zone: String, now: State) -> Member {
        let known = Known { now: now.clone(), ready: now.ready, ..Known::default() };
        let state = tokio::sync::Mutex::new(known);
        Member {
            id,
            zone,
            state,
            struck: Mutex::default(),
            now: watch::Sender::new(now),
            meant: AtomicBool::new(false),
            loose: AtomicBool::new(false),
        }
    }

    pub fn failed(&self, why: impl Into<String>) -> TargetError {
        TargetError::Node { node: self.id.clone(), why: why.into() }
    }

    pub fn notice(&self, with: With<'_>, kind: NodeEventKind) {
        // Nobody may listen any more.
        let _ = with.notices.send(Notice { at: Instant::now(), node: self.id.clone(), kind });
    }

    /// Takes note of what the cluster says now. Whether it is another pod, or another process.
    pub fn look(&self, known: &mut Known) -> bool {
        let now = self.now.borrow().clone();
        let another = now.uid != known.now.uid;
        if another {
            known.flank.leave();
        }
        let anew = another || now.container.id != known.now.container.id;
        if anew {
            known.insider = None; // it ended with the processes that it stood among
            known.within.forget();
        }
        known.ready &= !anew && now.container.running;
        known.now = now;
        anew
    }

    /// Brings about a life; idempotent.
    pub async fn live(
        &self,
        with: With<'_>,
        known: &mut Known,
        life: Life,
    ) -> Result<(), TargetError> {
        let before = known.life;
        if before == life {
            return Ok(());
        }
        match life {
            Life::Running => self.go_on(known).await?,
            Life::Paused => self.halt(with, known).await?,
            Life::Crashed => self.crash(with, known).await?,
            Life::Evicted => self.evict(with, known).await?,
            Life::Stopped => self.delete(with, known, None).await?,
            Life::Killed => self.delete(with, known, Some(0)).await?,
        }
        known.life = life;
        if life != Life::Evicted {
            known.refused = None;
        }
        Ok(())
    }

    /// Asks the cluster to evict its pod, that one and no other. That it refuses is an answer.
    pub async fn evict(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        self.look(known);
        if known.now.uid.is_empty() {
            known.refused = None;
            return Ok(()); // it is down already
        }
        let asked_before = known.refused.take().map_or(0, |(_, times)| times);
        self.meant.store(true, Ordering::Release);
        known.gone = known.now.clone();
        let this = Preconditions { uid: Some(known.now.uid.clone()), resource_version: None };
        let delete_options = Some(DeleteParams::default().preconditions(this));
        let params = EvictParams { delete_options, ..EvictParams::default() };
        match with.evictions.evict(&known.now.pod, &params).await {
            Ok(_) => {}
            Err(e) if is_refused(&e) => {
                self.meant.store(false, Ordering::Release);
                if asked_before == 0 {
                    tracing::warn!("{}: its eviction is refused: {}", self.id, words(&e));
                }
                known.refused = Some((words(&e), asked_before + 1));
                return Ok(());
            }
            Err(e) if is_absent(&e) => {}
            Err(e) => return Err(self.failed(words(&e))),
        }
        let uid = known.now.uid.clone();
        self.until(known, GRACE + SETTLED, "end", |now| now.uid != uid).await?;
        self.falls_silent(with, known).await;
        Ok(())
    }

    /// Deletes its pod, that one and no other; what controls it brings another.
    async fn delete(
        &self,
        with: With<'_>,
        known: &mut Known,
        grace: Option<u32>,
    ) -> Result<(), TargetError> {
        self.look(known);
        if known.now.uid.is_empty() {
            return Ok(()); // it is down already
        }
        self.meant.store(true, Ordering::Release);
        known.gone = known.now.clone();
        let this = Preconditions { uid: Some(known.now.uid.clone()), resource_version: None };
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        let said = with.pods.delete(&known.now.pod, &params.preconditions(this)).await;
        match said {
            Err(e) if !is_absent(&e) => return Err(self.failed(words(&e))),
            _ => {}
        }
        let (uid, patience) =
            (known.now.uid.clone(), if grace.is_some() { SETTLED } else { GRACE + SETTLED });
        self.until(known, patience, "end", |now| now.uid != uid).await?;
        self.falls_silent(with, known).await;
        Ok(())
    }

    /// Waits until nobody accepts connections any more where the pod was that is gone: the cluster tells that it is
    /// before its machine has ended its processes. If somebody does for ever, the proof says so.
    async fn falls_silent(&self, with: With<'_>, known: &Known) {
        let ports = with.options.ready_port.iter().filter(|_| !with.forwarded);
        let at: Vec<SocketAddr> = ports
            .flat_map(|port| known.gone.addresses.iter().map(|a| SocketAddr::new(*a, *port)))
            .collect();
        let deadline = Instant::now() + SETTLED;
        for at in at {
            // Another may have its address by now.
            let is_old = || !self.now.borrow().addresses.contains(&at.ip());
            while Instant::now() < deadline
                && is_old()
                && matches!(timeout(TRY, TcpStream::connect(at)).await, Ok(Ok(_)))
            {
                sleep(LOOK / 5).await;
            }
        }
    }

    /// Kills its process, and leaves it to the cluster to start another.
    async fn crash(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        let insider = self.insider(with, known).await?;
        self.meant.store(true, Ordering::Release);
        known.gone = known.now.clone();
        let (id, restarts) = (known.now.container.id.clone(), known.now.container.restarts);
        // It dies with the process that it kills, and may not come to answer.
        let said = insider.ask(Order::Crash).await;
        known.insider = None;
        known.within.forget();
        if let Err(why) = said
            && !insider.gone.is_cancelled()
        {
            return Err(self.failed(why));
        }
        self.until(known, SETTLED, "crash", |now| {
            let container = &now.container;
            !container.running || container.id != id || container.restarts != restarts
        })
        .await
    }

    pub async fn halt(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        let insider = self.insider(with, known).await?;
        insider.ask(Order::Halt(true)).await.map(drop).map_err(|why| self.failed(why))
    }

    /// What stands still goes on.
    async fn go_on(&self, known: &mut Known) -> Result<(), TargetError> {
        let there = known.insider.as_ref().filter(|insider| !insider.gone.is_cancelled());
        let Some(insider) = there else {
            return Ok(()); // gone, it holds nothing
        };
        insider.ask(Order::Halt(false)).await.map(drop).map_err(|why| self.failed(why))
    }

    async fn until(
        &self,
        known: &mut Known,
        patience: Duration,
        what: &str,
        so: impl Fn(&State) -> bool,
    ) -> Result<(), TargetError> {
        let mut now = self.now.subscribe();
        let came = timeout(patience, now.wait_for(so)).await.is_ok_and(|came| came.is_ok());
        self.look(known);
        match came {
            true => Ok(()),
            false => {
                let pod = &known.now.pod;
                Err(self.failed(format!("pod {pod} does not {what} within {patience:?}")))
            }
        }
    }

    /// Where clients reach one of its ports.
    pub fn endpoint(now: &State, port: u16) -> Option<String> {
        let address = now.addresses.first()?;
        Some(SocketAddr::new(*address, port).to_string())
    }

    /// Waits until it is ready: the cluster says so, and its ready port accepts connections. `since`: from when on the
    /// time counts that it may take.
    pub async fn await_ready(
        &self,
        with: With<'_>,
        known: &mut Known,
        linked: bool,
        since: Instant,
    ) -> Result<(), TargetError> {
        if known.ready {
            return Ok(());
        }
        let all = with.options.ready_timeout;
        let patience = if linked { all } else { all.min(READY_WHILE_CUT) };
        let deadline = since + patience;
        let mut now = self.now.subscribe();
        let says_so = timeout_at(deadline, now.wait_for(|now| now.ready && !now.leaving)).await;
        let says_so = says_so.is_ok_and(|came| came.is_ok());
        self.look(known);
        while says_so && Instant::now() < deadline {
            if self.accepts(with, &known.now).await {
                known.ready = true;
                self.notice(with, NodeEventKind::Ready);
                return Ok(());
            }
            sleep(LOOK).await;
            self.look(known);
        }
        if !linked {
            return Ok(()); // the proof will say whether it is
        }
        let State { pod, container, .. } = &known.now;
        let why = match (&container.why, says_so) {
            _ if known.now.uid.is_empty() => "it has no pod: nothing took its place".to_string(),
            (_, true) => format!("pod {pod}: its ready port accepts no connection"),
            (why, false) if !container.running => format!("pod {pod}: its container {why}"),
            _ => format!("pod {pod} is not ready: see `kubectl describe pod {pod}`"),
        };
        Err(self.failed(format!("{why} after {patience:?}")))
    }

    /// Whether its ready port accepts connections; a node without one is ready when the cluster says so.
    pub async fn accepts(&self, with: With<'_>, now: &State) -> bool {
        let port = with.options.ready_port;
        if let (true, Some(port)) = (with.forwarded, port) {
            return forward::accepts(with.pods, &now.pod, port).await;
        }
        let Some(at) = port.and_then(|port| Member::endpoint(now, port)) else { return now.ready };
        matches!(timeout(TRY, TcpStream::connect(at)).await, Ok(Ok(_)))
    }
}
