//! What there is while nodes are up: each node is told what it suffers, and where the others are.
//!
//! Invariant: nobody holds one member's state while waiting for another's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use kube::Api;
use kube::api::LogParams;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::cluster::{Cluster, Which};
use super::discover::{Machines, label};
use super::forward::Forwards;
use super::machines::Held;
use super::member::{Known, Member, With};
use super::news::{Board, Item};
use super::objects::{Event, Pod};
use crate::agent::beside::probe::Prober;
use crate::agent::beside::protocol::HeldLink;
use crate::condition::{Condition, Controller, Life, Power};
use crate::inventory::{AddressBook, Endpoints, Inventory, Node, NodeId};
use crate::target::{self, Notice, TargetError};

/// How soon an eviction that was refused is asked for again: as `kubectl drain` does.
const AGAIN: Duration = Duration::from_secs(5);

/// What there is while nodes are up.
#[derive(Debug)]
pub(super) struct Up {
    pub options: Options,
    pub pods: Api<Pod>,
    pub evictions: Api<Pod>,
    pub events: Api<Event>,
    /// Where Events on the pods are handed in; nowhere, once the drill is over.
    pub board: Mutex<Option<Arc<Board>>>,
    pub notices: mpsc::UnboundedSender<Notice>,
    pub lost: mpsc::UnboundedSender<(NodeId, CancellationToken)>,
    pub members: BTreeMap<NodeId, Member>,
    /// Where each node's traffic comes from and goes to: the last addresses that were known.
    pub addresses: Mutex<BTreeMap<NodeId, BTreeSet<IpAddr>>>,
    /// Whether clients reach the nodes over the API server, and by which ports of this machine.
    pub forwarded: bool,
    pub forwards: tokio::sync::Mutex<BTreeMap<NodeId, Forwards>>,
    /// Where clients look the nodes up.
    pub book: AddressBook,
    /// The cluster, and how it is found by somebody else.
    pub cluster: Cluster,
    pub pinned: Which,
    /// The zones of machines.
    pub machines: Machines,
    /// What is asked of machines.
    pub held: tokio::sync::Mutex<Held>,
    /// What is asked of the controller, by whom.
    pub controllers: tokio::sync::Mutex<BTreeMap<NodeId, Controller>>,
    /// What the nodes' pods match, and those that take their places.
    pub selector: String,
    /// Whether agents of the network are wanted in every pod.
    pub wired: AtomicBool,
    /// From the beginning of the end on nobody is visited; ...
    pub ending: CancellationToken,
    /// ... at its end the cluster is not watched any more.
    pub watching: CancellationToken,
    /// What the clients' links are measured with, from where they stand.
    pub prober: Prober,
}

impl Up {
    pub(super) fn with(&self) -> With<'_> {
        With {
            pods: &self.pods,
            evictions: &self.evictions,
            events: &self.events,
            options: &self.options,
            notices: &self.notices,
            lost: &self.lost,
            forwarded: self.forwarded,
        }
    }

    /// The zone that a pod stands in, where that is known.
    pub(super) fn zone_of(&self, pod: &Pod, machine: &str) -> Option<String> {
        let labelled = label(pod, &self.options.pods.zone_label);
        labelled.or_else(|| self.machines.get(machine).cloned())
    }

    /// Waits until all are ready.
    pub(super) async fn begin(&self) -> Result<(), TargetError> {
        let ready = self.members.values().map(|member| async {
            let mut known = member.state.lock().await;
            member.look(&mut known);
            member.await_ready(self.with(), &mut known, true, Instant::now()).await
        });
        try_join_all(ready).await.map(drop)
    }

    pub(super) async fn inventory(&self) -> Result<Inventory, TargetError> {
        let mut nodes = vec![];
        if self.forwarded {
            let mut forwards = self.forwards.lock().await;
            for member in self.members.values() {
                let open = Forwards::open(&self.pods, &self.options.ports, &member.now).await;
                let open = open.map_err(|e| member.failed(format!("no port for it here: {e}")))?;
                self.book.write(&member.id, open.endpoints());
                forwards.insert(member.id.clone(), open);
            }
        }
        for member in self.members.values() {
            let known = member.state.lock().await;
            let forwards = self.forwards.lock().await;
            let endpoints = match forwards.get(&member.id) {
                Some(forwards) => forwards.endpoints(),
                None => self.endpoints(&known),
            };
            self.book.write(&member.id, endpoints.clone());
            let (id, zone) = (member.id.clone(), member.zone.clone());
            nodes.push(Node { id, zone, endpoints });
        }
        Ok(Inventory::new(nodes))
    }

    /// Where clients reach a node now.
    fn endpoints(&self, known: &Known) -> Endpoints {
        let at = |(name, port): (&String, &u16)| {
            Some((name.clone(), Member::endpoint(&known.now, *port)?))
        };
        self.options.ports.iter().filter_map(at).collect()
    }

    pub(super) fn member(&self, id: &NodeId) -> Result<&Member, TargetError> {
        self.members.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.members.keys().map(NodeId::as_str).collect();
            TargetError::Other(format!("there is no node `{id}`; there are {}", known.join(", ")))
        })
    }

    pub(super) async fn apply(
        self: &Arc<Self>,
        id: &NodeId,
        condition: &Condition,
    ) -> Result<(), TargetError> {
        let member = self.member(id)?;
        let loose = condition.machine.evicts()
            || condition.machine.power != Power::On
            || !condition.controller.is_healthy();
        if loose {
            member.loose.store(true, Ordering::Release);
        }
        {
            let now = member.now.borrow().clone();
            *member.struck.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        self.place(member, condition).await?;
        let mut known = member.state.lock().await;
        known.flank.ask(condition);
        known.within.ask(condition);
        member.look(&mut known);
        member.live(self.with(), &mut known, condition.life).await?;
        if known.refused.is_some() && !std::mem::replace(&mut known.asks_again, true) {
            self.evict_again(id);
        }
        let moved = self.moved(member, &known);
        let uid = known.now.uid.clone();
        let mut wired = self.wire(member, &mut known).await;
        wired = wired.and(member.suffer(self.with(), &mut known).await);
        if wired.is_err() {
            member.look(&mut known);
            if known.now.uid != uid || known.now.leaving {
                // What it suffered ended with it, and who takes its place is visited.
                wired = Ok(());
            }
        }
        let linked = known.flank.links.is_healthy();
        drop(known);
        let rewired = if moved { self.rewire(id).await } else { Ok(()) };
        wired.and(rewired)?;
        if condition.life == Life::Running && !loose && condition.machine.is_healthy() {
            let mut known = member.state.lock().await;
            member.look(&mut known);
            member.await_ready(self.with(), &mut known, linked, Instant::now()).await?;
            member.loose.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Writes an Event on the pods that it concerns: those that were struck, or those that are there now.
    pub(super) fn announce(&self, told: &target::News) {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(board) = board else { return };
        let (run, what) = (&self.options.run, &told.what);
        let message = match told.healed {
            false => format!("firedrill, drill {run}, fault {}: {what}", told.fault + 1),
            true => format!("firedrill, drill {run}, fault {} is healed: {what}", told.fault + 1),
        };
        for member in told.nodes.iter().filter_map(|id| self.members.get(id)) {
            let struck = member.struck.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let now = member.now.borrow().clone();
            let pod = if told.healed || struck.uid.is_empty() { now } else { struck };
            board.tell(Item { pod, healed: told.healed, message: message.clone() });
        }
    }

    /// Asks for an eviction that was refused, until it is granted or nobody wants it any more.
    fn evict_again(self: &Arc<Self>, id: &NodeId) {
        let (up, id) = (self.clone(), id.clone());
        tokio::spawn(async move {
            let Some(member) = up.members.get(&id) else { return };
            loop {
                tokio::select! {
                    () = up.ending.cancelled() => return,
                    () = sleep(AGAIN) => {}
                }
                let mut known = member.state.lock().await;
                if known.life != Life::Evicted || known.refused.is_none() {
                    known.asks_again = false;
                    return;
                }
                if let Err(e) = member.evict(up.with(), &mut known).await {
                    tracing::warn!("{e}");
                }
            }
        });
    }

    /// Writes down where a node is now, for its peers and for clients; whether that is somewhere else than before.
    pub(super) fn moved(&self, member: &Member, known: &Known) -> bool {
        let now = &known.now.addresses;
        if now.is_empty() {
            return false; // a pod that is gone has none, and another comes with others
        }
        if !self.forwarded {
            self.book.write(&member.id, self.endpoints(known));
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.insert(member.id.clone(), now.clone()).as_ref() != Some(now)
    }

    /// Tells every other node's agent where this one is now.
    pub(super) async fn rewire(&self, moved: &NodeId) -> Result<(), TargetError> {
        for member in self.members.values().filter(|member| member.id != *moved) {
            let mut known = member.state.lock().await;
            let links = self.links(&known);
            if known.flank.is_linked(&links) {
                self.hold(member, &mut known, links).await?;
            }
        }
        Ok(())
    }

    /// A node's links as its agent is told them.
    fn links(&self, known: &Known) -> Vec<HeldLink> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        known.flank.told(&known.place(), &addresses, &self.options.ports)
    }

    /// Makes a node's agent hold all that is asked of its network; starts one where there is none and something is
    /// asked. Nothing to do while it has no pod.
    pub(super) async fn wire(&self, member: &Member, known: &mut Known) -> Result<(), TargetError> {
        let failed = |why| member.failed(why);
        known.flank.forget_outside();
        if known.now.machine.is_empty() || known.now.leaving {
            return Ok(());
        }
        let mut found = Ok(());
        if known.flank.is_to_find() {
            let agent = member.agent(self.with(), known).await?;
            found = known.flank.find_outside(&agent, &self.options.ports).await.map_err(failed);
        }
        let links = self.links(known);
        let held = match known.flank.is_linked(&links) {
            true => self.hold(member, known, links).await,
            false => Ok(()),
        };
        let mut resolved = Ok(());
        if known.flank.is_to_resolve() {
            let agent = member.agent(self.with(), known).await?;
            resolved = known.flank.resolve(&agent).await.map_err(failed);
        }
        found.and(held).and(resolved)
    }

    async fn hold(
        &self,
        member: &Member,
        known: &mut Known,
        links: Vec<HeldLink>,
    ) -> Result<(), TargetError> {
        if known.now.machine.is_empty() || known.now.leaving {
            return Ok(());
        }
        let agent = member.agent(self.with(), known).await?;
        known.flank.hold(&agent, links).await.map_err(|why| member.failed(why))
    }

    /// Writes down what the nodes said, as far as the cluster gives it out.
    pub(super) async fn save_logs(&self) {
        let folder = self.options.folder.join("nodes");
        if let Err(e) = std::fs::create_dir_all(&folder) {
            tracing::warn!("{}: {e}", folder.display());
            return;
        }
        let saved = self.members.values().map(|member| async {
            let now = member.now.borrow().clone();
            if now.uid.is_empty() {
                return;
            }
            let container = Some(now.container.name.clone());
            let params = LogParams { container, timestamps: true, ..LogParams::default() };
            match self.pods.logs(&now.pod, &params).await {
                Ok(log) => {
                    let path = folder.join(format!("{}.log", member.id));
                    if let Err(e) = std::fs::write(&path, log) {
                        tracing::warn!("{}: {e}", path.display());
                    }
                }
                Err(e) => tracing::info!("no log of {}: {}", member.id, super::cluster::words(&e)),
            }
        });
        join_all(saved).await;
    }
}
