//! The client of the embedded store.
//!
//! A request that was lost is asked again, at another node if need be, with the same client and
//! sequence, so a write takes effect once however often it is sent. Invariant: `Fail` is said only
//! of what cannot have happened: the store refused it, or no byte of it was ever sent.
//!
//! A process begins at a node of its own and goes elsewhere only when it is sent there or gets no
//! answer; reads and writes each keep to where they were answered last. So a node that answers
//! reads which it should hand to the leader goes on being asked by somebody, and is found out.
//!
//! A connection is used again only after an answer came on it, so a late answer is never taken for
//! the next one's.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::history::{Call, Outcome, Process, Standing};
use crate::inventory::{AddressBook, NodeId};
use crate::store::protocol::{Accounts, Redirect, Request, Response, Status};

use super::{Client, ClientError, Driver};

mod members;

/// How long a node is given to say how it is.
const STATUS: Duration = Duration::from_millis(300);
/// How long the store is given to come up.
const READY: Duration = Duration::from_secs(30);
/// The pause before a node is asked after another one failed.
const BACKOFF: Duration = Duration::from_millis(20);
/// The shortest time that one attempt is given.
const ATTEMPT: Duration = Duration::from_millis(100);
/// The driver's own process; workers count from 0.
const DRIVER: Process = Process::MAX;

/// Knows a cluster of store nodes.
#[derive(Debug, Clone)]
pub struct StoreDriver {
    cluster: Cluster,
    timeout: Duration,
    run: u32,
    accounts: Option<(u32, i64)>,
}

impl StoreDriver {
    /// A driver for the nodes of this book, each reached at its port `client`, or else at its first one by name.
    /// `timeout` is an operation's. `run` tells this drill's clients from those of any other that the same data
    /// folders have seen. `accounts` is the number of bank accounts to open and the balance of each.
    pub fn new(
        book: &AddressBook,
        timeout: Duration,
        run: u32,
        accounts: Option<(u32, i64)>,
    ) -> StoreDriver {
        let reached = book.nodes().into_iter().filter(|node| !book.endpoints(node).is_empty());
        let cluster = Cluster { nodes: reached.collect(), book: book.clone() };
        StoreDriver { cluster, timeout, run, accounts }
    }

    fn connect(&self, process: Process) -> Result<StoreClient, ClientError> {
        if self.cluster.nodes.is_empty() {
            return Err(failure("there is no node to talk to".into()));
        }
        let at = usize::try_from(process).unwrap_or(0) % self.cluster.nodes.len();
        Ok(StoreClient {
            cluster: self.cluster.clone(),
            timeout: self.timeout,
            id: u64::from(self.run) << 32 | u64::from(process),
            seq: 0,
            routes: [at, at].map(|at| Route { at, connection: None }),
        })
    }

    async fn statuses(&self) -> Vec<Status> {
        let asked = self.cluster.nodes.iter().map(|node| async {
            let request = Request::Status { status: true };
            timeout(STATUS, self.cluster.once::<Status>(node, &request)).await.ok()?.ok()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn bring_up(&self) -> Result<(), ClientError> {
        let mut client = self.connect(DRIVER)?;
        // Opening no account is a write that changes nothing: once it is committed, a leader works.
        let (accounts, balance) = self.accounts.unwrap_or((0, 0));
        let deadline = Instant::now() + READY;
        let mut last: Arc<str> = "nothing was tried".into();
        while Instant::now() < deadline {
            let open = Accounts { accounts, balance };
            match client.ask(false, |client, seq| Request::Open { client, seq, open }).await {
                Outcome::Ok(_) => match client.invoke(&Call::Read { key: 0 }).await {
                    Outcome::Ok(_) => return Ok(()),
                    Outcome::Fail(why) | Outcome::Unknown(why) => last = why,
                },
                Outcome::Fail(why) | Outcome::Unknown(why) => last = why,
            }
            tokio::time::sleep(BACKOFF).await;
        }
        let seconds = READY.as_secs();
        Err(failure(format!("no leader answered within {seconds} s; the last answer was: {last}")))
    }
}

fn failure(why: String) -> ClientError {
    ClientError { client: "store", why }
}

impl Driver for StoreDriver {
    fn client(&self, process: Process) -> Result<Box<dyn Client>, ClientError> {
        Ok(Box::new(self.connect(process)?))
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        self.bring_up().boxed()
    }

    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        async { named_leader(&self.statuses().await) }.boxed()
    }

    fn read_replica<'a>(
        &'a self,
        node: &'a NodeId,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Outcome>> {
        async move {
            self.cluster.nodes.iter().find(|name| *name == node)?;
            let client = u64::from(self.run) << 32 | u64::from(DRIVER);
            let request = Request::Ask { client, seq: 0, call: call.clone(), local: true };
            let answer = timeout(self.timeout, self.cluster.once::<Response>(node, &request)).await;
            Some(match answer {
                Ok(Ok(Response::Ok(reply))) => Outcome::Ok(reply),
                Ok(Ok(Response::Fail(why))) => Outcome::Fail(why.into()),
                Ok(Ok(other)) => Outcome::Unknown(format!("{node} answered {other:?}").into()),
                Ok(Err(error)) => Outcome::Unknown(format!("{node}: {error}").into()),
                Err(_) => Outcome::Unknown(format!("{node}: no answer in time").into()),
            })
        }
        .boxed()
    }

    fn standings(&self) -> BoxFuture<'_, Option<Vec<(NodeId, Standing)>>> {
        async { Some(members::ask(&self.cluster).await) }.boxed()
    }
}

/// Of the leaders that are named, the one of the highest term; in it, whom most nodes name.
fn named_leader(statuses: &[Status]) -> Option<NodeId> {
    let named = |term: u64, name: &str| {
        statuses.iter().filter(|s| s.term == term && s.leader.as_deref() == Some(name)).count()
    };
    let candidates = statuses.iter().filter_map(|s| Some((s.term, s.leader.as_deref()?)));
    let best = candidates.max_by_key(|(term, name)| (*term, named(*term, name), *name));
    best.map(|(_, name)| NodeId::new(name))
}

/// The nodes, and where they are.
#[derive(Debug, Clone)]
struct Cluster {
    nodes: Arc<[NodeId]>,
    book: AddressBook,
}

impl Cluster {
    /// A connection to a node, where it is now.
    async fn connect(&self, node: &NodeId) -> std::io::Result<Connection> {
        let endpoints = self.book.endpoints(node);
        let address = endpoints.get("client").or_else(|| endpoints.values().next());
        let nowhere = || std::io::Error::other("it has no address now");
        Connection::open(address.ok_or_else(nowhere)?).await
    }

    /// One question over a connection of its own.
    async fn once<T: DeserializeOwned>(
        &self,
        node: &NodeId,
        request: &Request,
    ) -> std::io::Result<T> {
        let mut connection = self.connect(node).await?;
        connection.exchange(&line(request)?).await
    }
}

fn line(request: &Request) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    Ok(line)
}

/// How much room an answer is given at first. Most say little.
const ANSWER: usize = 256;

/// Without a buffer: there may be thousands, and most of them are idle.
struct Connection(TcpStream);

impl Connection {
    async fn open(address: &str) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection(stream))
    }

    async fn exchange<T: DeserializeOwned>(&mut self, line: &[u8]) -> std::io::Result<T> {
        self.0.write_all(line).await?;
        let mut answer = Vec::with_capacity(ANSWER);
        while !answer.ends_with(b"\n") {
            if self.0.read_buf(&mut answer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// One process.
struct StoreClient {
    cluster: Cluster,
    timeout: Duration,
    id: u64,
    seq: u64,
    /// Of writes, and of reads.
    routes: [Route; 2],
}

/// Where a kind of request goes.
struct Route {
    /// The node to ask first.
    at: usize,
    /// Idle, to the node `at`.
    connection: Option<Connection>,
}

/// What became of one attempt.
enum Attempt {
    Answered(Response),
    /// No byte of the request left.
    Unsent(String),
    /// It left, and no answer came.
    Lost(String),
}

impl Client for StoreClient {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        let call = call.clone();
        let read = call.is_read();
        self.ask(read, |client, seq| Request::Ask { client, seq, call, local: false }).boxed()
    }

    fn node(&self, call: &Call) -> Option<NodeId> {
        let at = self.routes[usize::from(call.is_read())].at;
        self.cluster.nodes.get(at).cloned()
    }
}

impl StoreClient {
    /// Asks until there is a definite answer or the time is over.
    fn ask(
        &mut self,
        read: bool,
        request: impl FnOnce(u64, u64) -> Request,
    ) -> impl Future<Output = Outcome> + Send {
        self.seq += 1;
        let request = line(&request(self.id, self.seq));
        async move {
            match request {
                Ok(request) => self.persist(usize::from(read), &request).await,
                Err(error) => Outcome::Fail(format!("it cannot be written: {error}").into()),
            }
        }
    }

    async fn persist(&mut self, route: usize, request: &[u8]) -> Outcome {
        let deadline = Instant::now() + self.timeout;
        let (mut sent, mut last, mut failed) = (BTreeSet::new(), String::new(), None);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.out_of_time(&sent, &last);
            }
            let limit = (self.timeout / 3).max(ATTEMPT).min(left);
            let asked = self.routes[route].at;
            match self.attempt(route, request, limit).await {
                Attempt::Answered(Response::Ok(reply)) => return Outcome::Ok(reply),
                Attempt::Answered(Response::Fail(why)) => return Outcome::Fail(why.into()),
                Attempt::Answered(Response::NotLeader(redirect)) => {
                    last = "no leader is known".into();
                    match self.place(&redirect).filter(|place| Some(*place) != failed) {
                        Some(leader) => self.go(route, leader),
                        None => {
                            // The node that failed may be back, or may be the only one.
                            failed = None;
                            self.go(route, asked + 1);
                            pause(deadline).await;
                        }
                    }
                }
                Attempt::Answered(Response::Unknown(why)) | Attempt::Lost(why) => {
                    sent.insert(asked);
                    (last, failed) = (why, Some(asked));
                    self.go(route, asked + 1);
                    pause(deadline).await;
                }
                Attempt::Unsent(why) => {
                    (last, failed) = (why, Some(asked));
                    self.go(route, asked + 1);
                    pause(deadline).await;
                }
            }
        }
    }

    async fn attempt(&mut self, route: usize, request: &[u8], limit: Duration) -> Attempt {
        let mut sent = false;
        let route = &mut self.routes[route];
        let name = &self.cluster.nodes[route.at];
        let idle = route.connection.take();
        let work = async {
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.cluster.connect(name).await?,
            };
            sent = true;
            let answer = connection.exchange(request).await?;
            Ok::<_, std::io::Error>((connection, answer))
        };
        match timeout(limit, work).await {
            Ok(Ok((connection, answer))) => {
                route.connection = Some(connection);
                Attempt::Answered(answer)
            }
            Ok(Err(error)) if sent => Attempt::Lost(format!("{name}: {error}")),
            Ok(Err(error)) => Attempt::Unsent(format!("{name}: {error}")),
            Err(_) if sent => Attempt::Lost(format!("{name} did not answer")),
            Err(_) => Attempt::Unsent(format!("{name} did not accept a connection")),
        }
    }

    fn place(&self, redirect: &Redirect) -> Option<usize> {
        let leader = redirect.leader.as_deref()?;
        self.cluster.nodes.iter().position(|name| name.as_str() == leader)
    }

    fn go(&mut self, route: usize, place: usize) {
        let (place, route) = (place % self.cluster.nodes.len(), &mut self.routes[route]);
        if place != route.at {
            *route = Route { at: place, connection: None };
        }
    }

    fn out_of_time(&self, sent: &BTreeSet<usize>, last: &str) -> Outcome {
        let after = humantime::format_duration(self.timeout);
        if sent.is_empty() {
            return Outcome::Fail(format!("never sent within {after}: {last}").into());
        }
        let names: Vec<&str> = sent.iter().map(|at| self.cluster.nodes[*at].as_str()).collect();
        Outcome::Unknown(
            format!("time-out after {after}; sent to {}; {last}", names.join(", ")).into(),
        )
    }
}

async fn pause(deadline: Instant) {
    tokio::time::sleep_until((Instant::now() + BACKOFF).min(deadline)).await;
}

#[cfg(test)]
mod tests;
