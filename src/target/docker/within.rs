//! The agents within one container, in its process namespace: for its processors, memory and disk throughput one,
//! for its file systems and clocks another, each with the privileges that its own work takes and no more.
//!
//! Invariant: one is there from when something is asked of it, or is foreseen to be, until it was proven that nothing
//! holds any more, or until the drill is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bollard::models::{HostConfig, HostConfigCgroupnsModeEnum};

use super::attached::{self, Place};
use super::member::{Known, Member, With};
use crate::agent::within::protocol::{Done, Measured, Order, Room};
use crate::agent::within::{CGROUPS, Limits};
use crate::condition::{ClockSkew, Condition, Disk, Load};
use crate::control::Insider as Agent;
use crate::control::judge::{Finding, wrong};
use crate::control::resources::{measure, of_clocks, of_disk, of_load};
use crate::target::TargetError;

/// Where the engine's host has its control groups.
const HOST_CGROUPS: &str = "/sys/fs/cgroup";

/// The agents within one node, and what was asked of each.
#[derive(Debug, Default, Clone)]
pub(super) struct Within {
    load: Part<Load>,
    inner: Part<Inner>,
    /// The limits that the node has of its own, once they were asked for.
    own: Option<Limits>,
    /// Whether anything will be asked of them in this drill: then they are there before.
    loads: bool,
    enters: bool,
}

/// What takes sight of the node's files and memory.
#[derive(Debug, Default, Clone, PartialEq)]
struct Inner {
    disk: Disk,
    clock: ClockSkew,
}

#[derive(Debug, Default, Clone)]
struct Part<T> {
    agent: Option<Arc<Agent>>,
    /// What it was told last.
    told: T,
    /// What was proven last.
    proven: T,
    /// What it measured when it was told, should the node end of it before it is asked.
    seen: (T, Vec<Finding>),
}

impl<T: Default + PartialEq> Part<T> {
    /// Whether its agent ended while it held something.
    fn is_lost(&self) -> bool {
        let gone = self.agent.as_ref().is_some_and(|agent| agent.gone.is_cancelled());
        gone && self.told != T::default()
    }
}

impl Within {
    /// The node's process is gone, and with it whatever shared its namespace.
    pub(super) fn forget(&mut self) {
        let Within { loads, enters, .. } = *self;
        let proven = (self.load.proven.clone(), self.inner.proven.clone());
        let seen = std::mem::take(&mut self.inner.seen);
        // Started anew, it has the same limits of its own.
        let own = self.own.take();
        *self = Within { loads, enters, own, ..Within::default() };
        // What was proven is to be proven healed, by whoever stands there then.
        (self.load.proven, self.inner.proven) = proven;
        self.inner.seen = seen;
    }

    /// It is another container, which may have other limits of its own.
    pub(super) fn is_another(&mut self) {
        self.own = None;
    }

    /// What was seen of what is asked before the node ended; nothing, if that does not prove it.
    pub(super) fn seen_before_its_end(&self, asked: &Disk) -> Vec<Finding> {
        let (inner, seen) = &self.inner.seen;
        if asked.is_healthy() || inner.disk != *asked { vec![] } else { seen.clone() }
    }

    /// Whether an agent ended while it held something.
    pub(super) fn is_lost(&self) -> bool {
        self.load.is_lost() || self.inner.is_lost()
    }
}

/// What joins a node's processes; with what more each kind of agent needs.
fn joined(container: &str) -> HostConfig {
    HostConfig {
        pid_mode: Some(format!("container:{container}")),
        network_mode: Some("none".into()),
        ..Place::bare()
    }
}

/// What sees and changes a node's control groups: root's files, without any capability.
pub(super) fn in_cgroups(container: &str) -> HostConfig {
    HostConfig {
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::HOST),
        binds: Some(vec![format!("{HOST_CGROUPS}:{CGROUPS}:rw")]),
        ..joined(container)
    }
}

/// What sees a node's files and the memory of its processes, whoever owns them.
fn in_memory(container: &str) -> HostConfig {
    let needed = ["SYS_PTRACE", "DAC_OVERRIDE"].map(String::from);
    HostConfig { cap_add: Some(needed.into()), ..joined(container) }
}

impl Member {
    /// The limits that the node has of its own.
    pub(super) async fn own_limits(
        &self,
        with: With<'_>,
        known: &mut Known,
    ) -> Result<Limits, TargetError> {
        if let Some(own) = &known.within.own {
            return Ok(own.clone());
        }
        let agent = self.loader(with, known).await?;
        match agent.ask(Order::Limits).await {
            Ok(Done::Limits(own)) => {
                known.within.own = Some(own.clone());
                Ok(own)
            }
            Ok(other) => Err(self.failed(format!("the agent answered {other:?}"))),
            Err(why) => Err(self.failed(why)),
        }
    }

    async fn loader(&self, with: With<'_>, known: &mut Known) -> Result<Arc<Agent>, TargetError> {
        let there = known.within.load.agent.as_ref().filter(|agent| !agent.gone.is_cancelled());
        if let Some(agent) = there {
            return Ok(agent.clone());
        }
        let agent = self.enter(with, in_cgroups(&known.now.container)).await?;
        known.within.load.agent = Some(agent.clone());
        Ok(agent)
    }

    async fn inner(&self, with: With<'_>, known: &mut Known) -> Result<Arc<Agent>, TargetError> {
        let there = known.within.inner.agent.as_ref().filter(|agent| !agent.gone.is_cancelled());
        if let Some(agent) = there {
            return Ok(agent.clone());
        }
        let agent = self.enter(with, in_memory(&known.now.container)).await?;
        known.within.inner.agent = Some(agent.clone());
        Ok(agent)
    }

    /// Starts an agent within the node; when it ends, whoever ends it, the node is looked after.
    async fn enter(&self, with: With<'_>, host: HostConfig) -> Result<Arc<Agent>, TargetError> {
        let place = Place {
            run: with.options.run.clone(),
            image: with.image.to_string(),
            lease: with.options.lease,
            node: self.id.to_string(),
            command: vec!["agent-within".into()],
            host,
        };
        let agent: Agent =
            attached::start(with.api, &place).await.map_err(|why| self.failed(why))?;
        let (gone, lost, id) = (agent.gone.clone(), with.lost.clone(), self.id.clone());
        tokio::spawn(async move {
            gone.cancelled().await;
            let _ = lost.send(id); // after the drill nobody listens
        });
        Ok(Arc::new(agent))
    }

    /// Puts those agents there that will be needed.
    pub(super) async fn foresee(&self, with: With<'_>, known: &mut Known, condition: &Condition) {
        known.within.loads = !condition.load.is_healthy();
        known.within.enters = !condition.disk.is_healthy() || !condition.clock.is_none();
        self.be_there(with, known).await;
    }

    /// Puts those agents there that were foreseen, where they are not.
    pub(super) async fn be_there(&self, with: With<'_>, known: &mut Known) {
        if known.within.loads {
            let there = self.loader(with, known).await.map(drop);
            if let Err(why) = there.and(self.own_limits(with, known).await.map(drop)) {
                tracing::warn!("{why}");
            }
        }
        if known.within.enters
            && let Err(why) = self.inner(with, known).await
        {
            tracing::warn!("{why}");
        }
    }

    /// Makes what was asked of its resources true; idempotent. Nothing to do for a dead node.
    pub(super) async fn suffer(
        &self,
        with: With<'_>,
        known: &mut Known,
    ) -> Result<(), TargetError> {
        if !known.now.running {
            known.within.forget();
            return Ok(());
        }
        let lost = known.within.is_lost();
        let load = known.asked.load.clone();
        if known.within.load.told != load || known.within.load.is_lost() {
            if load.has_limits() && known.within.own.is_none() {
                return Err(self.failed("its own limits could not be written down before"));
            }
            let own = self.own_limits(with, known).await?;
            let agent = self.loader(with, known).await?;
            known.within.load.told = load.clone();
            self.told(known, agent.ask(Order::Load { load, own }).await).map(drop)?;
        }
        let inner = Inner { disk: known.asked.disk.clone(), clock: known.asked.clock };
        if known.within.inner.told != inner || known.within.inner.is_lost() {
            let agent = self.inner(with, known).await?;
            known.within.inner.told = inner.clone();
            let disk = self.told(known, agent.ask(Order::Disk(inner.disk.clone())).await);
            self.told(known, agent.ask(Order::Clock(inner.clock)).await)?;
            let rooms = Measured { rooms: disk?, ..Measured::default() };
            let seen = of_disk(&inner.disk, &rooms);
            known.within.inner.seen = (inner, seen);
        }
        // Whoever notices first tells it.
        if lost {
            let why =
                "an agent within it was gone: what it held was not held until a new one held it";
            known.lapses.push(why.into());
        }
        Ok(())
    }

    fn told(
        &self,
        known: &mut Known,
        said: Result<Done, String>,
    ) -> Result<BTreeMap<String, Room>, TargetError> {
        match said {
            Ok(Done::Held { lapses, rooms }) => {
                known.lapses.extend(lapses);
                Ok(rooms)
            }
            Ok(other) => Err(self.failed(format!("the agent answered {other:?}"))),
            Err(why) => Err(self.failed(why)),
        }
    }

    /// Measures what was asked of its resources, and what was asked before and is over. An agent of which nothing is
    /// asked any more goes once that is proven.
    pub(super) async fn prove_within(&self, known: &Known) -> Vec<Finding> {
        if !known.now.running {
            return vec![];
        }
        let mut found = vec![];
        let Within { load, inner, .. } = &known.within;
        if let Some(agent) = load.agent.as_ref().filter(|_| !both_default(&load.told, &load.proven))
        {
            let measured = measure(agent, BTreeSet::new()).await;
            let own = known.within.own.clone().unwrap_or_default();
            let findings = |m: Measured| of_load(&load.told, &own, &m);
            found.extend(measured.map_or_else(|why| vec![wrong(why)], findings));
        }
        let idle = both_default(&inner.told, &inner.proven);
        if let Some(agent) = inner.agent.as_ref().filter(|_| !idle) {
            let Inner { disk, clock } = &inner.told;
            let folders = disk.full.keys().chain(inner.proven.disk.full.keys()).cloned();
            let findings = |m: Measured| {
                let clocks = m.clocks.as_ref().map(|clocks| of_clocks(*clock, clocks));
                of_disk(disk, &m).into_iter().chain(clocks).collect()
            };
            let measured = measure(agent, folders.collect()).await;
            found.extend(measured.map_or_else(
                |why| match known.within.seen_before_its_end(disk) {
                    // The node ended just now, and the engine has not noticed.
                    seen if agent.gone.is_cancelled() && !seen.is_empty() => seen,
                    _ => vec![wrong(why)],
                },
                findings,
            ));
        }
        if found.iter().all(|finding| finding.as_asked) {
            let mut now = self.state.lock().await;
            let Within { loads, enters, .. } = now.within;
            settle(&mut now.within.load, &load.told, loads);
            settle(&mut now.within.inner, &inner.told, enters);
        }
        found
    }
}

fn both_default<T: Default + PartialEq>(a: &T, b: &T) -> bool {
    *a == T::default() && *b == T::default()
}

/// This is proven; an agent that has nothing to do, and is not foreseen to, is let go.
fn settle<T: Default + PartialEq + Clone>(part: &mut Part<T>, proven: &T, foreseen: bool) {
    part.proven = proven.clone();
    if !foreseen && both_default(&part.told, &part.proven) {
        part.agent = None;
    }
}
