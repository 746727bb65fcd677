//! The `postgres` client: PostgreSQL, alone or replicated, by its own protocol.
//!
//! A process tries one node after the other for a session that may write (`target_session_attrs=read-write`), keeps
//! it until it breaks or turns read-only, and goes on with the next node then. A replica's read is a session with
//! that node. Deliberately absent: TLS; balancing of reads; removing what was written (schema `firedrill`, a
//! column `run` in each table).

mod members;
mod objects;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Client, ClientError, Driver};
use crate::history::{Call, Outcome, Process, Standing};
use crate::inventory::{AddressBook, NodeId};
use crate::workload::Model;
use objects::Objects;
use session::{Search, Servers, Session, host_and_port};

const NAME: &str = "postgres";

/// How long `prepare` waits for a server that takes writes.
const PREPARE: Duration = Duration::from_secs(60);

/// How long a server may take to say whether it is in recovery.
const STATUS: Duration = Duration::from_secs(1);

/// Who we are to PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The role; it may create a schema in the database.
    pub user: String,
    /// Its password, where it needs one.
    pub password: Option<String>,
    /// The database.
    pub database: String,
}

/// Asks PostgreSQL.
#[derive(Debug, Clone)]
pub struct Postgres {
    servers: Arc<Servers>,
    objects: Objects,
    model: Model,
    keys: u32,
    timeout: Duration,
}

impl Postgres {
    /// A driver for the nodes in this book, each at its endpoint `client`. `run` keeps runs apart in one
    /// database; `keys` is the number of accounts of a bank. Fails where a node has no such endpoint.
    pub fn new(
        book: &AddressBook,
        login: Login,
        model: Model,
        keys: u32,
        timeout: Duration,
        run: &str,
    ) -> Result<Postgres, ClientError> {
        let nodes = book.nodes();
        for node in &nodes {
            let endpoints = book.endpoints(node);
            let Some(address) = endpoints.get("client") else {
                let known: Vec<_> = endpoints.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
                let what = "has no endpoint `client`";
                return Err(error(format!("node {node} {what} (it has: {known})")));
            };
            host_and_port(address).ok_or_else(|| {
                error(format!("node {node}: its endpoint `{address}` is not host:port"))
            })?;
        }
        if nodes.is_empty() {
            return Err(error("there is no node to ask".into()));
        }
        let servers = Arc::new(Servers::new(nodes, book, &login));
        Ok(Postgres { servers, objects: Objects::new(run), model, keys, timeout })
    }

    fn connection(&self, process: Process) -> Connection {
        Connection {
            servers: Arc::clone(&self.servers),
            objects: self.objects.clone(),
            timeout: self.timeout,
            at: self.servers.place(process as usize),
            session: None,
            search: None,
        }
    }

    async fn open(&self) -> Result<(), String> {
        let deadline = Instant::now() + self.timeout.max(Duration::from_secs(5));
        let accounts = if self.model == Model::Bank { self.keys.max(2) } else { 0 };
        let each = Duration::from_secs(2);
        let (_, session) = self.servers.writable(0, each).await.map_err(|(_, why)| why)?;
        let opened = timeout_at(deadline, self.objects.create(&session, accounts)).await;
        opened.unwrap_or_else(|_| Err("no answer in time".into()))
    }
}

fn error(why: String) -> ClientError {
    ClientError { client: NAME, why }
}

impl Driver for Postgres {
    fn client(&self, process: Process) -> Result<Box<dyn Client>, ClientError> {
        Ok(Box::new(self.connection(process)))
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async {
            let until = Instant::now() + PREPARE;
            loop {
                match self.open().await {
                    Ok(()) => return Ok(()),
                    Err(why) if Instant::now() >= until => {
                        let waited = PREPARE.as_secs();
                        let what = format!("no server took writes within {waited}s");
                        return Err(error(format!("{what}: {why}")));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
        })
    }

    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async {
            let asked = self.servers.all().map(|server| async {
                let timeline = async { server.session(false).await.ok()?.timeline().await };
                let timeline = timeout(STATUS, timeline).await.ok()??;
                Some((timeline, server.node.clone()))
            });
            newest(join_all(asked).await.into_iter().flatten().collect())
        })
    }

    fn read_replica<'a>(
        &'a self,
        node: &'a NodeId,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async move {
            let server = self.servers.all().find(|server| server.node == *node)?;
            if !call.is_read() {
                return None;
            }
            let deadline = Instant::now() + self.timeout;
            let read = async {
                let session = server.session(false).await?;
                Ok::<_, String>(self.objects.ask(&session, call, deadline).await)
            };
            Some(match timeout_at(deadline, read).await {
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

/// The primary of the newest timeline: an old one that was cut off believes in itself still. `None`: there is none,
/// or two have the same.
fn newest(mut primaries: Vec<(u32, NodeId)>) -> Option<NodeId> {
    primaries.sort();
    let (timeline, node) = primaries.pop()?;
    primaries.last().is_none_or(|(before, _)| *before < timeline).then_some(node)
}

/// One process.
struct Connection {
    servers: Arc<Servers>,
    objects: Objects,
    timeout: Duration,
    /// The server that is tried first, or with which the session is.
    at: usize,
    /// May write, and no answer is due on it.
    session: Option<Session>,
    /// Under way while there is no session.
    search: Option<Search>,
}

impl Connection {
    /// A new session that may write. Where it is not found in time, the search goes on for the next call.
    async fn found(&mut self, deadline: Instant) -> Result<Session, String> {
        let (at, each) = (self.at, self.timeout / 2);
        let begin = || Search::begin(Arc::clone(&self.servers), at, each);
        let search = self.search.get_or_insert_with(begin);
        let Some(found) = search.wait(deadline).await else {
            return Err("no server that takes writes was found in time".into());
        };
        self.search = None;
        let (at, found) = match found {
            Ok((at, session)) => (at, Ok(session)),
            Err((at, why)) => (at, Err(why)),
        };
        self.at = at;
        found
    }

    async fn ask(&mut self, call: &Call, deadline: Instant) -> Outcome {
        // One that broke while nothing was asked is of no use, and nothing was sent on it.
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => match self.found(deadline).await {
                Ok(session) => session,
                Err(why) => return Outcome::Fail(why.into()), // nothing was sent
            },
        };
        let name = self.servers.name(self.at);
        let (outcome, session) =
            match timeout_at(deadline, self.objects.ask(&session, call, deadline)).await {
                Ok(answer) => (answer.outcome, answer.session_is_good.then_some(session)),
                Err(_) if call.is_read() => (Outcome::Fail("time-out".into()), None),
                Err(_) => (Outcome::Unknown("time-out".into()), None),
            };
        let outcome = match outcome {
            Outcome::Ok(reply) => Outcome::Ok(reply),
            Outcome::Fail(why) => Outcome::Fail(format!("{name}: {why}").into()),
            Outcome::Unknown(why) => Outcome::Unknown(format!("{name}: {why}").into()),
        };
        self.session = session;
        if self.session.is_none() {
            self.at = self.servers.place(self.at + 1);
        }
        outcome
    }
}

impl Client for Connection {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        let deadline = Instant::now() + self.timeout;
        Box::pin(self.ask(call, deadline))
    }
    fn node(&self, _call: &Call) -> Option<NodeId> {
        Some(self.servers.name(self.at).clone())
    }
}
