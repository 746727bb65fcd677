//! A node, put together: opens the disk, binds its ports, starts the consensus, and serves until it
//! is told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::BasicNode;
use openraft::error::{InitializeError, RaftError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::disk::{DiskLog, JournalError};
use super::options::{Cluster, Options};
use super::peer::{self, Links};
use super::propose::Proposer;
use super::pulse::Pulse;
use super::raft::{self, Raft};
use super::readindex::ReadIndex;
use super::replica::Replica;
use super::service::Service;
use super::{Bug, listen};

/// Why a node does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The options do not fit together.
    #[error("{0}")]
    Options(String),
    /// A port cannot be listened on.
    #[error("cannot listen on {address} for {whom}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// `clients` or `peers`.
        whom: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data folder cannot be used.
    #[error("data folder: {0}")]
    Data(String),
    /// The consensus stopped, most often because the disk failed.
    #[error("the node stopped: {0}")]
    Stopped(String),
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> StoreError {
        StoreError::Data(error.to_string())
    }
}

/// Runs a node until `shutdown`, then ends it cleanly. Errors are those of starting, and of a disk
/// that fails.
pub async fn serve(options: Options, shutdown: CancellationToken) -> Result<(), StoreError> {
    let cluster = options.cluster()?;
    let clients = bind(&options.listen_client, "clients").await?;
    let peers = bind(&options.listen_peer, "peers").await?;
    let log = DiskLog::open(&options.data, cluster.me, options.has(Bug::LostFsync))?;
    let links = Links::new(cluster.members.iter().map(|(_, address)| address.as_str()));
    let (me, replica) = (cluster.me, Replica::default());
    let settings = raft::settings(options.election_timeout);
    let settings = settings.validate().map_err(|e| StoreError::Options(e.to_string()))?;
    let consensus = Raft::new(me, Arc::new(settings), links.clone(), log.clone(), replica.clone());
    let raft = consensus.await.map_err(|e| StoreError::Stopped(e.to_string()))?;
    initialise(&raft, &cluster).await?;

    let pulse = Arc::new(Pulse::new(options.election_timeout));
    let reads = ReadIndex::start(raft.clone(), options.election_timeout * 2);
    let service = Arc::new(Service {
        cluster,
        proposer: Proposer::start(raft.clone()),
        ahead: Ahead::new(
            raft.clone(),
            replica.clone(),
            reads.clone(),
            options.has(Bug::SplitBrain),
        ),
        reads,
        replica,
        raft: raft.clone(),
        bugs: options.bugs.iter().copied().collect(),
        election: options.election_timeout,
    });
    tracing::info!(name = options.name, bugs = ?options.bugs, "the node serves");

    let stop = shutdown.child_token();
    let tasks = [
        tokio::spawn(peer::serve(peers, raft.clone(), pulse.clone(), stop.clone())),
        tokio::spawn(listen::serve(clients, service, stop.clone())),
    ];
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        () = pulse.beat(&raft, &links, me) => Ok(()),
        why = failure(&raft) => Err(StoreError::Stopped(why)),
    };
    stop.cancel();
    for task in tasks {
        let _ = task.await; // they only stop listening, and have nothing to say
    }
    let stopped = raft.shutdown().await;
    tokio::task::spawn_blocking(move || log.close())
        .await
        .map_err(|e| StoreError::Stopped(e.to_string()))?;
    ended.and(stopped.map_err(|e| StoreError::Stopped(e.to_string())))
}

async fn bind(address: &str, whom: &'static str) -> Result<TcpListener, StoreError> {
    TcpListener::bind(address).await.map_err(|source| StoreError::Listen {
        address: address.into(),
        whom,
        source,
    })
}

/// Every node of a new cluster starts with the same members, by name: addresses are each node's own
/// business. A node that has a past keeps it.
async fn initialise(raft: &Raft, cluster: &Cluster) -> Result<(), StoreError> {
    let members: BTreeMap<u64, BasicNode> =
        (0..).zip(&cluster.members).map(|(id, (name, _))| (id, BasicNode::new(name))).collect();
    match raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(StoreError::Stopped(error.to_string())),
    }
}

/// Returns when the consensus has stopped by itself: why.
async fn failure(raft: &Raft) -> String {
    let mut metrics = raft.metrics();
    let stopped = metrics.wait_for(|metrics| metrics.running_state.is_err()).await;
    let why = stopped.ok().and_then(|m| m.running_state.as_ref().err().map(ToString::to_string));
    why.unwrap_or_else(|| "the consensus ended".into())
}
