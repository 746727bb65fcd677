//! The `etcd` client: etcd v3 by its JSON gateway (3.4 and later, over plain HTTP), all models.
//!
//! Each process keeps to one member (spread by its number) on a connection of its own, and moves to the next
//! one when that fails. Reads are linearizable; a replica's read is etcd's serializable one.
//! Deliberately absent: TLS and users; removing what was written (all of it under `firedrill/RUN/`).

mod gateway;
mod members;
mod objects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;

use super::{Client, ClientError, Driver};
use crate::history::{Call, Outcome, Process, Standing};
use crate::inventory::{AddressBook, NodeId};
use crate::workload::Model;
use gateway::{Gateway, Members, unchanged};
use objects::Objects;

const NAME: &str = "etcd";

/// How long `prepare` waits for etcd to answer.
const PREPARE: Duration = Duration::from_secs(30);

/// How long a member may take to say who leads.
const STATUS: Duration = Duration::from_millis(500);

/// Asks etcd.
#[derive(Debug, Clone)]
pub struct Etcd {
    members: Arc<Members>,
    objects: Objects,
    model: Model,
    keys: u32,
    timeout: Duration,
    known: members::Known,
}

impl Etcd {
    /// The models that this client can ask for.
    pub const fn models() -> &'static [Model] {
        Model::of_data()
    }

    /// A driver for the members in this book, each at its endpoint `client`. `run` keeps runs apart in one
    /// etcd; `keys` is the number of accounts of a bank. Fails where a member has no such endpoint.
    pub fn new(
        book: &AddressBook,
        model: Model,
        keys: u32,
        timeout: Duration,
        run: &str,
    ) -> Result<Etcd, ClientError> {
        let nodes = book.nodes();
        for node in &nodes {
            let known = book.endpoints(node).into_keys().collect::<Vec<_>>();
            if !known.iter().any(|name| name == "client") {
                let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
                let what = "has no endpoint `client`";
                return Err(error(format!("node {node} {what} (it has: {known})")));
            }
        }
        if nodes.is_empty() {
            return Err(error("there is no node to ask".into()));
        }
        let members = Arc::new(Members { nodes, book: book.clone() });
        let (objects, known) = (Objects::new(run), Default::default());
        Ok(Etcd { members, objects, model, keys, timeout, known })
    }

    fn gateway(&self, first: usize) -> Result<Gateway, ClientError> {
        Gateway::new(Arc::clone(&self.members), first, self.timeout).map_err(error)
    }

    /// Opens the accounts of a bank that are not open; for other models asks one thing, to see that etcd answers.
    async fn open(&self, etcd: &mut Gateway) -> Result<(), String> {
        let deadline = || Instant::now() + self.timeout.max(Duration::from_secs(1));
        let any = [self.objects.account(0)];
        etcd.snapshot(&any, false, deadline()).await.map_err(|t| t.why)?;
        let accounts = if self.model == Model::Bank { self.keys.max(2) } else { 0 };
        for account in 0..accounts {
            let name = self.objects.account(account);
            let absent = vec![unchanged(&name, 0)];
            let put = [(name, Model::OPENING_BALANCE.to_string())];
            etcd.commit(absent, &put, deadline()).await.map_err(|t| t.why)?;
        }
        Ok(())
    }
}

fn error(why: String) -> ClientError {
    ClientError { client: NAME, why }
}

impl Driver for Etcd {
    fn client(&self, process: Process) -> Result<Box<dyn Client>, ClientError> {
        let etcd = self.gateway(process as usize)?;
        Ok(Box::new(Connection { etcd, objects: self.objects.clone(), timeout: self.timeout }))
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async {
            let mut etcd = self.gateway(0)?;
            let until = Instant::now() + PREPARE;
            loop {
                match self.open(&mut etcd).await {
                    Ok(()) => return Ok(()),
                    Err(why) if Instant::now() >= until => {
                        let waited = PREPARE.as_secs();
                        return Err(error(format!("etcd did not answer within {waited}s: {why}")));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        })
    }

    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async move {
            let asked = (0..self.members.nodes.len()).map(|place| async move {
                let status = self.status(place, STATUS).await.ok()?;
                Some((status.id, status.leader))
            });
            elect(&self.members.nodes, &join_all(asked).await)
        })
    }

    fn read_replica<'a>(
        &'a self,
        node: &'a NodeId,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async move {
            let deadline = Instant::now() + self.timeout;
            let place = self.members.nodes.iter().position(|id| id == node)?;
            let mut etcd = match self.gateway(place) {
                Ok(etcd) => etcd,
                Err(e) => return Some(Outcome::Fail(e.why.into())),
            };
            let read = self.objects.read(&mut etcd, call, true, deadline).await?;
            Some(read.map_or_else(|trouble| Outcome::Fail(trouble.why.into()), Outcome::Ok))
        })
    }

    fn standings(&self) -> BoxFuture<'_, Option<Vec<(NodeId, Standing)>>> {
        Box::pin(async { Some(self.ask_members().await) })
    }
}

/// The member that more than half of those that answered take for the leader.
fn elect(nodes: &[NodeId], answers: &[Option<(String, Option<String>)>]) -> Option<NodeId> {
    let mut votes = BTreeMap::<&str, usize>::new();
    let heard = answers.iter().flatten();
    heard.clone().filter_map(|(_, leader)| leader.as_deref()).for_each(|leader| {
        *votes.entry(leader).or_default() += 1;
    });
    let (leader, _) = votes.into_iter().find(|(_, n)| 2 * n > heard.clone().count())?;
    let is_leader = |answer: &Option<(String, _)>| matches!(answer, Some((id, _)) if id == leader);
    let place = answers.iter().position(is_leader)?;
    nodes.get(place).cloned()
}

/// One process's connection.
struct Connection {
    etcd: Gateway,
    objects: Objects,
    timeout: Duration,
}

impl Client for Connection {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        let deadline = Instant::now() + self.timeout;
        Box::pin(self.objects.ask(&mut self.etcd, call, deadline))
    }
    fn node(&self, _call: &Call) -> Option<NodeId> {
        self.etcd.node().cloned()
    }
}
