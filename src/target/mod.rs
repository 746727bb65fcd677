//! Where nodes live, and how a condition is made true there. A target knows nothing of faults, plans,
//! checks or reports; no target knows another.

pub mod docker;
pub mod kubernetes;
pub mod local;

use std::collections::BTreeMap;

use futures::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::condition::Condition;
use crate::history::NodeEventKind;
use crate::inventory::{AddressBook, Inventory, NodeId};

/// What was measured at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What was measured, in words with figures, one entry a measurement.
    pub measured: Vec<String>,
    /// Why the condition is not proven. `None`: it is.
    pub unproven: Option<String>,
    /// What did not hold for a while since this was asked last, though it does now; each is told once.
    pub lapses: Vec<String>,
}

/// Something that happened to a node's process, at an instant.
#[derive(Debug, Clone)]
pub struct Notice {
    /// When.
    pub at: Instant,
    /// Where.
    pub node: NodeId,
    /// What.
    pub kind: NodeEventKind,
}

/// What a target could not do.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A node could not be started or did not become ready.
    #[error("node {node}: {why}")]
    Node {
        /// Which.
        node: NodeId,
        /// What happened, the end of its log, and the remedy.
        why: String,
    },
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// What those should know who watch the nodes where they live.
#[derive(Debug, Clone)]
pub struct News {
    /// Whom it concerns.
    pub nodes: Vec<NodeId>,
    /// Which fault of the drill, from 0.
    pub fault: u32,
    /// What it does, in words.
    pub what: String,
    /// Whether it is over; else it began.
    pub healed: bool,
}

/// How something is restored by somebody who has nothing but this note, after the runner died. Restoring tolerates
/// that nothing was ever done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restore {
    /// By this command: arguments, not a shell line.
    Command(Vec<String>),
    /// At a Docker engine.
    Docker(docker::restore::Restore),
    /// In a Kubernetes cluster.
    Kubernetes(kubernetes::Restore),
}

/// A place where nodes live.
pub trait Target: Send + Sync {
    /// The nodes that there are or will be. While planning, their endpoints may be unknown.
    fn inventory(&self) -> Inventory;
    /// What would have to be restored if the runner died once [`Target::start`] has begun. It is written down
    /// before.
    fn restores_start(&self) -> Vec<Restore> {
        vec![]
    }
    /// What would have to be restored if the runner died once [`Target::apply`] has begun to make this condition
    /// true, beyond what goes by itself. It is written down before.
    fn restores<'a>(
        &'a self,
        _node: &'a NodeId,
        _condition: &'a Condition,
    ) -> BoxFuture<'a, Vec<Restore>> {
        async { vec![] }.boxed()
    }
    /// Brings the nodes up where that is the target's business, and waits until each is ready. On an error,
    /// what was brought up is taken down again.
    fn start(&self) -> BoxFuture<'_, Result<Inventory, TargetError>>;
    /// Where clients look the nodes up: handed over once, before [`Target::start`]. A target whose nodes may come to
    /// be reached somewhere else (a container made anew, a pod) writes each down in it when it starts, and at once
    /// when it moves. For the others the inventory is enough.
    fn keep_addresses(&self, _book: AddressBook) {}
    /// Gets ready for what nodes may suffer in this drill, so that making it true takes no longer than it must. The
    /// nodes suffer nothing of it. What cannot be got ready says so when it is applied; an error says that the drill
    /// could not be, and ends it before anything is touched.
    fn foresee(
        &self,
        _foreseen: BTreeMap<NodeId, Condition>,
    ) -> BoxFuture<'_, Result<(), TargetError>> {
        async { Ok(()) }.boxed()
    }
    /// What happens to the nodes' processes from now on. May be called once.
    fn notices(&self) -> mpsc::UnboundedReceiver<Notice>;
    /// Makes the whole condition of a node true; idempotent. Returns when it is in effect.
    /// Applying the default to a node that firedrill killed starts it again, and waits until it is ready.
    /// `condition.commands` is not the target's business: the drill runs them.
    fn apply<'a>(
        &'a self,
        node: &'a NodeId,
        condition: &'a Condition,
    ) -> BoxFuture<'a, Result<(), TargetError>>;
    /// Measures, at the node, whether what was last applied to it and to its peers is in effect.
    /// Called after every node of a change was applied, since a link is suffered at both its ends.
    fn prove<'a>(&'a self, node: &'a NodeId) -> BoxFuture<'a, Proof>;
    /// Lets those know who watch the nodes where they live, that something was done to these by a drill, or is over.
    /// Never waits, and nothing depends on it.
    fn announce(&self, _news: &News) {}
    /// Heals everything, takes down what `start` brought up. What could not be restored comes back, each with
    /// the command that restores it.
    fn stop(&self) -> BoxFuture<'_, Vec<String>>;
}
