//! Clients: how one asks the system under drill. A client never errs: an outcome says what is known.

pub mod etcd;
pub mod exec;
pub mod http;
#[cfg(feature = "postgres")]
pub mod postgres;
mod progress;
#[cfg(feature = "redis")]
pub mod redis;
pub mod store;

use futures::future::BoxFuture;

use crate::history::{Call, Outcome, Process, Standing};
use crate::inventory::NodeId;

/// A client that cannot be made at all (as opposed to one whose operations fail).
#[derive(Debug, thiserror::Error)]
#[error("client `{client}`: {why}")]
pub struct ClientError {
    /// The client's name in the scenario.
    pub client: &'static str,
    /// What is wrong, and the remedy.
    pub why: String,
}

/// One connection of one process to the system. It asks one thing at a time.
pub trait Client: Send {
    /// Asks, and waits at most the time-out. Never panics; cancel-safe: a dropped future is an unknown outcome.
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome>;
    /// The node that this call would go to first now, where the client knows.
    fn node(&self, call: &Call) -> Option<NodeId>;
    /// How much longer than the time-out the next call may take, because this client is itself still
    /// starting. A slow start must not be taken for a slow system.
    fn starting(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Knows one kind of system: makes clients, tells who leads, reads a single node's replica.
pub trait Driver: Send + Sync {
    /// A client for a new process. Must not need the system to be up: connecting is part of an operation.
    fn client(&self, process: Process) -> Result<Box<dyn Client>, ClientError>;
    /// Puts the system into the state that the workload starts from (a bank's accounts), and returns when it
    /// answers. `Err` says what it waited for.
    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>>;
    /// The node that leads just now, as a majority of the reachable nodes says; `None` if nobody knows.
    fn leader(&self) -> BoxFuture<'_, Option<NodeId>>;
    /// Whether this client can tell at all who leads; known at the latest once it was asked.
    fn knows_leader(&self) -> bool {
        true
    }
    /// Reads one node's own replica, without asking the others. `None`: this system has no such read.
    fn read_replica<'a>(
        &'a self,
        node: &'a NodeId,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Outcome>>;
    /// Asks each member how it stands among its peers; takes no longer than [`STANDINGS_LIMIT`]. A member that is not
    /// among the answers was not asked. `None`: this client knows no way to ask.
    fn standings(&self) -> BoxFuture<'_, Option<Vec<(NodeId, Standing)>>> {
        Box::pin(async { None })
    }
}

/// How long [`Driver::standings`] may take: whoever asks need not wait longer.
pub const STANDINGS_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// The cause of the causes: what the operating system or the peer said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
