//! The `redis` client: a Redis primary with replicas, found as applications find it: through Sentinel where
//! nodes have an endpoint `sentinel`, else by the roles that the servers tell.
//!
//! A process keeps its connection until it breaks or the server says that it is no primary any more, and asks
//! for the primary anew only then. That is how most client libraries do it, and why writes are lost when a
//! primary is cut off. Deliberately absent: TLS, Redis Cluster, passwords of Sentinels, retries, removing what
//! was written (all of it under `firedrill:RUN:`).

mod members;
mod objects;
mod primary;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Client, ClientError, Driver};
use crate::history::{Call, Outcome, Process, Standing};
use crate::inventory::{AddressBook, NodeId};
use objects::Objects;
use primary::{Directory, Link, SENTINEL, SERVER};

const NAME: &str = "redis";

/// How long `prepare` waits for a primary, and for every node to say what it is.
const PREPARE: Duration = Duration::from_secs(30);

/// How long a node may take to say what it is.
const STATUS: Duration = Duration::from_millis(500);

/// How the servers know us, and Sentinel them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name under which the Sentinels watch the primary.
    pub master: String,
    /// The user, where it is not Redis's default one.
    pub username: Option<String>,
    /// The servers' password.
    pub password: Option<String>,
}

/// Asks Redis.
#[derive(Debug, Clone)]
pub struct Redis {
    directory: Arc<Directory>,
    objects: Objects,
    timeout: Duration,
    /// The nodes that hold data; the others are Sentinels. Known once `prepare` is done.
    servers: Arc<OnceLock<BTreeSet<NodeId>>>,
}

impl Redis {
    /// A driver for the nodes in this book: servers at `client`, Sentinels at `sentinel`; a node may have
    /// both endpoints and be but one of them. `run` keeps runs apart in one Redis. Fails where no node can be a
    /// server.
    pub fn new(
        book: &AddressBook,
        options: Options,
        timeout: Duration,
        run: &str,
    ) -> Result<Redis, ClientError> {
        let nodes = book.nodes();
        for node in &nodes {
            let endpoints = book.endpoints(node);
            if ![SERVER, SENTINEL].iter().any(|port| endpoints.contains_key(*port)) {
                let known: Vec<_> = endpoints.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                let what = "has no endpoint `client`, and none `sentinel`";
                return Err(error(format!("node {node} {what} (it has: {known})")));
            }
        }
        if nodes.iter().all(|node| book.endpoint(node, SERVER).is_none()) {
            return Err(error(
                "no node has an endpoint `client`: there is no server to ask".into(),
            ));
        }
        let directory = Directory { nodes, book: book.clone(), options };
        Ok(Redis {
            directory: Arc::new(directory),
            objects: Objects::new(run),
            timeout,
            servers: Arc::default(),
        })
    }

    fn connection(&self, process: Process) -> Connection {
        Connection {
            directory: Arc::clone(&self.directory),
            objects: self.objects.clone(),
            timeout: self.timeout,
            turn: process as usize,
            last: None,
            link: None,
        }
    }

    /// The servers among the nodes. Fails while a node does not say what it is, or no primary answers.
    async fn survey(&self) -> Result<BTreeSet<NodeId>, String> {
        let kinds = self.directory.nodes.iter().map(|node| async move {
            let kind = timeout(2 * STATUS, self.directory.holds_data(node)).await;
            let kind = kind.unwrap_or_else(|_| Err("no answer in time".into()));
            kind.map(|data| (node.clone(), data))
                .map_err(|why| format!("{node} says neither PONG nor its role: {why}"))
        });
        let kinds: Vec<_> = join_all(kinds).await.into_iter().collect::<Result<_, _>>()?;
        let any = Call::Read { key: 0 };
        match self.connection(0).invoke(&any).await {
            Outcome::Ok(_) => Ok(kinds.into_iter().filter(|k| k.1).map(|(node, _)| node).collect()),
            Outcome::Fail(why) | Outcome::Unknown(why) => Err(why.to_string()),
        }
    }
}

fn error(why: String) -> ClientError {
    ClientError { client: NAME, why }
}

impl Driver for Redis {
    fn client(&self, process: Process) -> Result<Box<dyn Client>, ClientError> {
        Ok(Box::new(self.connection(process)))
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async {
            let until = Instant::now() + PREPARE;
            loop {
                match self.survey().await {
                    Ok(servers) => {
                        // Prepared twice: the nodes are what they were.
                        let _ = self.servers.set(servers);
                        return Ok(());
                    }
                    Err(why) if Instant::now() >= until => {
                        let waited = PREPARE.as_secs();
                        return Err(error(format!("Redis was not ready within {waited}s: {why}")));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        })
    }

    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(self.directory.leader(STATUS))
    }

    fn read_replica<'a>(
        &'a self,
        node: &'a NodeId,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async move {
            if !call.is_read() || self.servers.get().is_some_and(|all| !all.contains(node)) {
                return None;
            }
            let address = self.directory.book.endpoint(node, SERVER)?;
            let read = async {
                let mut link = self.directory.dial(&address).await?;
                Ok::<_, String>(self.objects.ask(&mut link, call).await)
            };
            Some(match timeout(self.timeout, read).await {
                Ok(Ok(answer)) => answer.outcome,
                Ok(Err(why)) => Outcome::Fail(format!("{node}: {why}").into()),
                Err(_) => Outcome::Fail(format!("{node}: time-out").into()),
            })
        })
    }

    fn standings(&self) -> BoxFuture<'_, Option<Vec<(NodeId, Standing)>>> {
        Box::pin(async { Some(self.ask_members().await) })
    }
}

/// One process.
struct Connection {
    directory: Arc<Directory>,
    objects: Objects,
    timeout: Duration,
    /// Whose turn it is to be asked for the primary, counted round.
    turn: usize,
    /// The primary that was asked last.
    last: Option<NodeId>,
    /// To the primary; whole, with no answer due on it.
    link: Option<Link>,
}

impl Connection {
    async fn ask(&mut self, call: &Call, deadline: Instant) -> Outcome {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                let found = self.directory.primary(self.turn, deadline);
                let silent = |_| Err("no primary was found in time".to_string());
                match timeout_at(deadline, found).await.unwrap_or_else(silent) {
                    Ok(link) => link,
                    Err(why) => {
                        self.turn += 1; // nothing was sent
                        return Outcome::Fail(why.into());
                    }
                }
            }
        };
        self.last.clone_from(&link.node);
        match timeout_at(deadline, self.objects.ask(&mut link, call)).await {
            Ok(answer) => {
                if answer.link_is_good {
                    self.link = Some(link);
                } else {
                    self.turn += 1;
                }
                answer.outcome
            }
            Err(_) => {
                self.turn += 1;
                let why = format!("{}: time-out", link.name()).into();
                if call.is_read() { Outcome::Fail(why) } else { Outcome::Unknown(why) }
            }
        }
    }
}

impl Client for Connection {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        let deadline = Instant::now() + self.timeout;
        Box::pin(self.ask(call, deadline))
    }
    fn node(&self, _call: &Call) -> Option<NodeId> {
        self.last.clone()
    }
}
