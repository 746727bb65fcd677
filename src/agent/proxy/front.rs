//! Fronts: the addresses that are dialed in place of a node's own.
//!
//! A peer front is what the other nodes know a node by; who dials is looked up, before any byte
//! passes. A client front is what the workload knows it by; whoever dials it is a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Path, serve};
use super::dialer::Dialers;
use super::switchboard::Switchboard;
use crate::agent::AgentError;
use crate::condition::Peer;
use crate::inventory::NodeId;

/// How many connections may wait to be accepted. One too many would wait a second for its next try,
/// which the node would be blamed for.
const BACKLOG: u32 = 4096;

/// Where a front leads.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    /// The node's own address.
    pub address: SocketAddr,
    /// Whether a new connection waits until a handshake could pass.
    pub gated: bool,
}

/// One front.
#[derive(Debug, Clone)]
pub struct Front {
    /// Where it listens.
    pub address: SocketAddr,
    /// The node behind it.
    pub node: NodeId,
    /// The node's own address.
    pub backend: SocketAddr,
    /// Whether it is for the clients: then nobody is looked up.
    pub for_clients: bool,
}

/// All fronts of a run, and the connections through them. Dropping it closes them.
#[derive(Debug)]
pub struct Fronts {
    board: Arc<Switchboard>,
    dialers: Arc<Dialers>,
    open: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for Fronts {
    fn drop(&mut self) {
        self.open.cancel();
    }
}

impl Fronts {
    /// No fronts yet.
    pub fn new(board: Arc<Switchboard>, dialers: Arc<Dialers>) -> Fronts {
        Fronts { board, dialers, open: CancellationToken::new(), tasks: TaskTracker::new() }
    }

    /// Listens for a front. Must be called within a tokio runtime.
    pub fn listen(&self, front: &Front) -> Result<Listening, AgentError> {
        let failed = |why| AgentError::Listen { address: front.address, why };
        let socket = match front.address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(failed)?;
        socket.set_reuseaddr(true).map_err(failed)?;
        socket.bind(front.address).map_err(failed)?;
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        Ok(Listening { listener, front: front.clone() })
    }

    /// Serves a front until [`Fronts::close`].
    pub fn serve(&self, listening: Listening) {
        let Listening { listener, front } = listening;
        let serving = Serving {
            front: Arc::new(front),
            board: self.board.clone(),
            dialers: self.dialers.clone(),
        };
        let (open, tasks) = (self.open.clone(), self.tasks.clone());
        let accept = async move {
            loop {
                match listener.accept().await {
                    Ok((dialer, from)) => {
                        let connection = serving.clone().connection(dialer, from);
                        tasks.spawn(open.clone().run_until_cancelled_owned(connection));
                    }
                    Err(e) => {
                        // Out of descriptors, say: those that wait are accepted when some are free.
                        tracing::warn!(front = %serving.front.address, "cannot accept: {e}");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        };
        let open = self.open.clone();
        self.tasks.spawn(async move { open.run_until_cancelled(accept).await });
    }

    /// Closes every front and every connection; returns when all are closed.
    pub async fn close(&self) {
        self.open.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A front's address, taken and not yet served.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    front: Front,
}

#[derive(Debug, Clone)]
struct Serving {
    front: Arc<Front>,
    board: Arc<Switchboard>,
    dialers: Arc<Dialers>,
}

impl Serving {
    async fn connection(self, stream: TcpStream, from: SocketAddr) {
        let (peer, backend) = self.who(from).await;
        let node = Peer::Node(self.front.node.clone());
        let path =
            Path { there: self.board.wire(&peer, &node), back: self.board.wire(&node, &peer) };
        tracing::debug!(%peer, %node, front = %self.front.address, "connection");
        serve(stream, backend.address, path, backend.gated).await;
    }

    async fn who(&self, from: SocketAddr) -> (Peer, Backend) {
        if let Some(claim) = self.dialers.claimed(from) {
            let backend = claim.leads_to();
            return (claim.peer, backend);
        }
        let backend = Backend { address: self.front.backend, gated: true };
        if self.front.for_clients {
            return (Peer::Clients, backend);
        }
        let (dialers, front) = (self.dialers.clone(), self.front.address);
        let who = tokio::task::spawn_blocking(move || dialers.who(from, front)).await;
        (who.unwrap_or(Peer::Clients), backend)
    }
}
