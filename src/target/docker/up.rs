//! What there is while nodes are up: each node is told what it suffers, and where the others are.
//!
//! Invariant: nobody holds one member's state while waiting for another's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use bollard::Docker as Api;
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::member::{Known, Member, With};
use super::restore::What;
use crate::agent::beside::probe::Prober;
use crate::agent::beside::protocol::HeldLink;
use crate::condition::{Condition, Life};
use crate::inventory::{AddressBook, Endpoints, Inventory, Node, NodeId};
use crate::target::{Notice, TargetError};

/// What there is while nodes are up.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) options: Options,
    pub(super) api: Api,
    pub(super) image: String,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    /// Nodes whose agents within have ended.
    pub(super) lost: mpsc::UnboundedSender<NodeId>,
    pub(super) members: BTreeMap<NodeId, Member>,
    /// Where each node's traffic comes from and goes to: the last addresses that were known.
    pub(super) addresses: Mutex<BTreeMap<NodeId, BTreeSet<IpAddr>>>,
    /// Where clients look up the nodes.
    pub(super) book: AddressBook,
    /// Whether every agent stood once.
    pub(super) begun: AtomicBool,
    pub(super) ending: CancellationToken,
    /// What the clients' links are measured with, from where they stand.
    pub(super) prober: Prober,
}

impl Up {
    pub(super) fn with(&self) -> With<'_> {
        With {
            api: &self.api,
            options: &self.options,
            image: &self.image,
            notices: &self.notices,
            lost: &self.lost,
        }
    }

    /// Waits until all are ready, and puts an agent beside each.
    pub(super) async fn begin(&self) -> Result<(), TargetError> {
        let ready = self.members.values().map(|member| async {
            let mut known = member.state.lock().await;
            member.await_ready(self.with(), &mut known, true, true).await?;
            member.agent(self.with(), &mut known).await.map(drop)
        });
        try_join_all(ready).await.map(drop)
    }

    pub(super) async fn inventory(&self) -> Inventory {
        let mut nodes = vec![];
        for member in self.members.values() {
            let known = member.state.lock().await;
            let endpoints = self.endpoints(&known);
            self.book.write(&member.id, endpoints.clone());
            let (id, zone) = (member.id.clone(), member.zone.clone());
            nodes.push(Node { id, zone, endpoints });
        }
        Inventory::new(nodes)
    }

    /// Where clients reach a node now.
    fn endpoints(&self, known: &Known) -> Endpoints {
        let ports = self.options.ports.iter();
        let end = |(name, port): (&String, &u16)| {
            Some((name.clone(), Member::endpoint(&known.now, *port)?))
        };
        ports.filter_map(end).collect()
    }

    pub(super) fn member(&self, id: &NodeId) -> Result<&Member, TargetError> {
        self.members.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.members.keys().map(NodeId::as_str).collect();
            TargetError::Other(format!("there is no node `{id}`; there are {}", known.join(", ")))
        })
    }

    pub(super) async fn apply(
        &self,
        id: &NodeId,
        condition: &Condition,
    ) -> Result<(), TargetError> {
        let member = self.member(id)?;
        let mut known = member.state.lock().await;
        known.flank.ask(condition);
        known.asked.load = condition.load.clone();
        known.asked.disk = condition.disk.clone();
        known.asked.clock = condition.clock;
        if known.flank.is_bereft() {
            // Perhaps with the node, which nobody can stand beside while it is down.
            member.look(self.with(), &mut known).await?;
        }
        member.live(self.with(), &mut known, condition.life).await?;
        // Whatever fails, the rest is done: a part that cannot be injected must not keep another from its heal.
        let process = known.now.pid;
        let moved = self.moved(member, &known).is_some();
        let wired = self.wire(member, &mut known).await;
        let suffered = member.suffer(self.with(), &mut known).await;
        let mut told = wired.and(suffered);
        if told.is_err() && member.has_ended(self.with(), &mut known, process).await {
            // What it suffered ended with it, and who starts in its place is visited.
            known.alone();
            told = Ok(());
        }
        let linked = known.flank.links.is_healthy();
        drop(known);
        let rewired = if moved { self.rewire(id).await } else { Ok(()) };
        told.and(rewired)?;
        if condition.life == Life::Running {
            let mut known = member.state.lock().await;
            member.await_ready(self.with(), &mut known, linked, false).await?;
        }
        Ok(())
    }

    /// What is to be given back should the runner die once this node's limits were changed. What cannot be known is
    /// not changed either: applying says so.
    pub(super) async fn limits_to_give_back(
        &self,
        member: &Member,
        known: &mut Known,
        condition: &Condition,
    ) -> Option<What> {
        if !condition.life.has_process() || !condition.load.has_limits() {
            return None;
        }
        let own = member.own_limits(self.with(), known).await.ok()?;
        let (container, name) = (known.now.container.clone(), known.now.name.clone());
        Some(What::Limits { container, name, own })
    }

    /// Writes down where a node is now, for its peers and for clients: the addresses that it did not have before.
    /// `None`: nothing changed.
    pub(super) fn moved(&self, member: &Member, known: &Known) -> Option<Vec<IpAddr>> {
        let now = &known.now.addresses;
        if now.is_empty() {
            return None; // a dead node has none, and comes back to its old ones or to new ones
        }
        if self.book.write(&member.id, self.endpoints(known)) {
            tracing::info!("{} is reached somewhere else now", member.id);
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let before = addresses.insert(member.id.clone(), now.clone()).unwrap_or_default();
        (before != *now).then(|| now.difference(&before).copied().collect())
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
    pub(super) fn links(&self, known: &Known) -> Vec<HeldLink> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        known.flank.told(&known.place(), &addresses, &self.options.ports)
    }

    /// Makes a node's agent hold all that is asked of its network; starts one where there is none. Nothing to do
    /// for a dead node.
    pub(super) async fn wire(&self, member: &Member, known: &mut Known) -> Result<(), TargetError> {
        let failed = |why| member.failed(why);
        known.flank.forget_outside();
        let mut found = Ok(());
        if known.flank.is_to_find() && known.now.running {
            let agent = member.agent(self.with(), known).await?;
            found = known.flank.find_outside(&agent, &self.options.ports).await.map_err(failed);
        }
        let links = self.links(known);
        let held = self.hold(member, known, links).await;
        let mut resolved = Ok(());
        if known.now.running && known.flank.is_to_resolve() {
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
        if !known.now.running {
            return Ok(());
        }
        let agent = member.agent(self.with(), known).await?;
        known.flank.hold(&agent, links).await.map_err(|why| member.failed(why))
    }

    pub(super) async fn save_logs(&self) {
        let folder = self.options.folder.join("nodes");
        if let Err(e) = std::fs::create_dir_all(&folder) {
            tracing::warn!("{}: {e}", folder.display());
            return;
        }
        let saved = self.members.values().map(|member| async {
            let container = member.state.lock().await.now.container.clone();
            let options = bollard::query_parameters::LogsOptionsBuilder::default()
                .stdout(true)
                .stderr(true)
                .timestamps(true)
                .build();
            let mut log = self.api.logs(&container, Some(options));
            let mut bytes = vec![];
            while let Some(Ok(part)) = log.next().await {
                bytes.extend_from_slice(&part.into_bytes());
            }
            let path = folder.join(format!("{}.log", member.id));
            if let Err(e) = std::fs::write(&path, bytes) {
                tracing::warn!("{}: {e}", path.display());
            }
        });
        join_all(saved).await;
    }
}
