//! How clients reach the nodes where their addresses cannot be reached from here: each port of each has one of this
//! machine's, from which every connection is carried over the API server to whichever pod is the node's now.
//!
//! Invariant: a node keeps its ports for as long as the drill lasts; a connection that cannot be carried, or whose pod
//! is gone, is reset at once, and not kept waiting.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::objects::Pod;
use super::pod::State;
use crate::inventory::Endpoints;

/// How clients reach the nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clients {
    /// Directly where their addresses answer; else by port-forward.
    #[default]
    Auto,
    /// By the pods' addresses.
    Direct,
    /// Over the API server.
    Forward,
}

/// How long it may take until it is known whether anybody listens behind a forwarded port.
const REFUSED: Duration = Duration::from_millis(300);
/// How long an address may take to say anything at all.
const ANSWER: Duration = Duration::from_secs(1);

/// One node's ports of this machine, by name. They are open until this is dropped.
#[derive(Debug)]
pub(super) struct Forwards {
    at: BTreeMap<String, SocketAddr>,
    ending: CancellationToken,
}

impl Drop for Forwards {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

impl Forwards {
    /// Opens a port here for each of a node's. `pod`: its pod, as it is watched.
    pub async fn open(
        pods: &Api<Pod>,
        ports: &BTreeMap<String, u16>,
        pod: &watch::Sender<State>,
    ) -> std::io::Result<Forwards> {
        let ending = CancellationToken::new();
        let mut forwards = Forwards { at: BTreeMap::new(), ending: ending.clone() };
        for (name, port) in ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            forwards.at.insert(name.clone(), listener.local_addr()?);
            let carrier =
                Arc::new(Carrier { pods: pods.clone(), port: *port, pod: pod.subscribe() });
            let ending = ending.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = ending.cancelled() => {}
                    () = carrier.accept(listener, ending.clone()) => {}
                }
            });
        }
        Ok(forwards)
    }

    /// Where they are.
    pub fn endpoints(&self) -> Endpoints {
        self.at.iter().map(|(name, at)| (name.clone(), at.to_string())).collect()
    }
}

struct Carrier {
    pods: Api<Pod>,
    port: u16,
    pod: watch::Receiver<State>,
}

impl Carrier {
    async fn accept(self: Arc<Self>, listener: TcpListener, ending: CancellationToken) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let (carrier, ending) = (self.clone(), ending.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = ending.cancelled() => {}
                    () = carrier.carry(stream) => {}
                }
            });
        }
    }

    async fn carry(&self, mut stream: TcpStream) {
        if self.carried(&mut stream).await.is_none() {
            // It is reset, and not ended as if all had been said.
            let _ = stream.set_zero_linger();
        }
    }

    /// `None`: it did not come to its end in good order.
    async fn carried(&self, stream: &mut TcpStream) -> Option<()> {
        let mut pod = self.pod.clone();
        let State { pod: name, uid, container, .. } = pod.borrow().clone();
        if uid.is_empty() || !container.running {
            return None;
        }
        let mut forward = self.pods.portforward(&name, &[self.port]).await.ok()?;
        let (mut upstream, refused) =
            (forward.take_stream(self.port)?, forward.take_error(self.port)?);
        let carried = tokio::select! {
            copied = copy_bidirectional(stream, &mut upstream) => copied.ok().map(drop),
            // It ends without a word when the port is closed in good order.
            Some(_) = refused => None,
            _ = pod.wait_for(|now| now.uid != uid) => None,
        };
        forward.abort();
        carried
    }
}

/// Whether somebody listens at a pod's port, asked over the API server.
pub(super) async fn accepts(pods: &Api<Pod>, pod: &str, port: u16) -> bool {
    let Ok(mut forward) = pods.portforward(pod, &[port]).await else { return false };
    // Whoever holds no stream is not told either.
    let (stream, refused) = (forward.take_stream(port), forward.take_error(port));
    let Some(refused) = refused else { return false };
    let accepts = !matches!(timeout(REFUSED, refused).await, Ok(Some(_)));
    drop(stream);
    forward.abort();
    accepts
}

/// Whether any of these addresses answers from here, be it by a refusal. Nothing to ask counts as an answer.
pub(super) async fn any_answers(addresses: &[SocketAddr]) -> bool {
    let asked = addresses.iter().map(|at| timeout(ANSWER, TcpStream::connect(*at)));
    let answered = futures::future::join_all(asked).await.into_iter().any(|said| match said {
        Ok(Ok(_)) => true,
        Ok(Err(e)) => e.kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    });
    answered || addresses.is_empty()
}

/// That it is so, and what it means.
pub(super) const WARNING: &str = "clients reach the pods over the API server (port-forward): its \
    own failures are not the system's, and its time is in every latency";
