//! Calls to peers.
//!
//! Each peer has a pool of idle connections. A call takes one out and puts it back only after its
//! answer has come, so a call that fails, times out or is dropped closes its connection.

use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use openraft::error::{InstallSnapshotError, PayloadTooLarge, RPCError, RaftError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode};
use tokio::net::TcpStream;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::store::raft::TypeConfig;

use super::wire::{self, Answer, Poll, Request};

/// How long the replication waits before it tries an unreachable peer again.
const BACKOFF: Duration = Duration::from_millis(50);

type Connection = Framed<TcpStream, LengthDelimitedCodec>;

/// The way to each peer, as this node was told it: two nodes may reach a third one by different
/// ways.
#[derive(Clone)]
pub(crate) struct Links {
    links: Arc<Vec<Link>>,
    mute: Arc<AtomicBool>,
}

/// The way to one peer. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Link {
    address: Arc<str>,
    idle: Arc<Mutex<Vec<Connection>>>,
    mute: Arc<AtomicBool>,
}

impl Links {
    /// The ways to the members at these addresses, in the order of their ids.
    pub(crate) fn new<'a>(addresses: impl Iterator<Item = &'a str>) -> Links {
        let mute = Arc::new(AtomicBool::new(false));
        let links = addresses.map(|address| Link::new(address, mute.clone())).collect();
        Links { links: Arc::new(links), mute }
    }

    /// Stops, or lets go on, the sending of heartbeats and entries.
    pub(crate) fn mute(&self, mute: bool) {
        if self.mute.swap(mute, Ordering::Relaxed) != mute {
            tracing::info!(mute, "a leader that no majority answers is silent");
        }
    }

    /// The way to a member, if there is such a member.
    fn to(&self, peer: u64) -> Option<&Link> {
        usize::try_from(peer).ok().and_then(|place| self.links.get(place))
    }

    /// The ways to all members but this one.
    pub(crate) fn others(&self, me: u64) -> impl Iterator<Item = &Link> {
        (0..).zip(&*self.links).filter(move |(id, _)| *id != me).map(|(_, link)| link)
    }
}

impl Link {
    fn new(address: &str, mute: Arc<AtomicBool>) -> Link {
        Link { address: Arc::from(address), idle: Arc::default(), mute }
    }

    async fn call(&self, request: &Request, limit: Duration) -> std::io::Result<Answer> {
        let work = self.attempt(wire::encode(request)?);
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    async fn attempt(&self, frame: Bytes) -> std::io::Result<Answer> {
        if let Some(known) = self.take() {
            match self.exchange(known, frame.clone()).await {
                Ok(answer) => return Ok(answer),
                // It was closed while it was idle, and so were its neighbours. Every call may be
                // made twice.
                Err(_) => self.idle().clear(),
            }
        }
        let stream = TcpStream::connect(&*self.address).await?;
        stream.set_nodelay(true)?;
        self.exchange(Framed::new(stream, wire::codec()), frame).await
    }

    async fn exchange(&self, mut connection: Connection, frame: Bytes) -> std::io::Result<Answer> {
        connection.send(frame).await?;
        let answer = connection.next().await.ok_or(ErrorKind::UnexpectedEof)??;
        let answer = wire::decode(&answer)?;
        self.idle().push(connection);
        Ok(answer)
    }

    fn take(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Asks a peer whether it would vote for this node. `None`: it did not answer in time.
pub(crate) async fn poll(link: &Link, question: Poll, limit: Duration) -> Option<bool> {
    match link.call(&Request::Poll(question), limit).await {
        Ok(Answer::Poll(welcome)) => Some(welcome),
        Ok(_) | Err(_) => None,
    }
}

type CallError<E = openraft::error::Infallible> = RPCError<u64, BasicNode, RaftError<u64, E>>;

fn unreachable<E: std::error::Error>(error: &Error) -> CallError<E> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn off_topic() -> Error {
    Error::new(ErrorKind::InvalidData, "the answer to another question")
}

impl RaftNetworkFactory<TypeConfig> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> Link {
        let nowhere = || Link::new("no such member", self.mute.clone());
        self.to(target).cloned().unwrap_or_else(nowhere)
    }
}

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError> {
        if self.mute.load(Ordering::Relaxed) {
            return Err(unreachable(&Error::other("no majority answers this leader")));
        }
        let entries = rpc.entries.len() as u64;
        // In time before the library gives up by itself, so that it hears why.
        let limit = option.hard_ttl().saturating_sub(Duration::from_millis(10));
        match self.call(&Request::Append(rpc), limit).await {
            Ok(Answer::Append(Ok(response))) => Ok(response),
            Ok(Answer::Append(Err(error))) => Err(unreachable(&Error::other(error))),
            Ok(_) => Err(unreachable(&off_topic())),
            // A narrow link: fewer entries may pass in time.
            Err(error) if error.kind() == ErrorKind::TimedOut && entries > 1 => {
                Err(PayloadTooLarge::new_entries_hint((entries / 4).max(1)).into())
            }
            Err(error) => Err(unreachable(&error)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError> {
        match self.call(&Request::Vote(rpc), option.hard_ttl()).await {
            Ok(Answer::Vote(Ok(response))) => Ok(response),
            Ok(Answer::Vote(Err(error))) => Err(unreachable(&Error::other(error))),
            Ok(_) => Err(unreachable(&off_topic())),
            Err(error) => Err(unreachable(&error)),
        }
    }

    async fn install_snapshot(
        &mut self,
        _rpc: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, CallError<InstallSnapshotError>> {
        let why = AnyError::error("this store takes no snapshots");
        Err(RPCError::Unreachable(Unreachable::new(&why)))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
