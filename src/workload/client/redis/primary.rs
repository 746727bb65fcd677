//! Who is the primary, and the way to it.

use std::collections::BTreeMap;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo};
use ::redis::{RedisConnectionInfo, RedisError, Value, cmd, from_redis_value};
use futures::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};

use super::Options;
use crate::inventory::{AddressBook, NodeId};

/// Where a node is reached that is a server, ...
pub(super) const SERVER: &str = "client";
/// ... and one that is a Sentinel. A node may have both, and be but one of them.
pub(super) const SENTINEL: &str = "sentinel";

/// A connection to one server.
pub(super) struct Link {
    /// Which node that is, where its address is known.
    pub(super) node: Option<NodeId>,
    address: String,
    connection: MultiplexedConnection,
}

impl Link {
    pub(super) async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        self.connection.send_packed_command(command).await
    }
    /// The node, or its address.
    pub(super) fn name(&self) -> &str {
        self.node.as_ref().map_or(self.address.as_str(), NodeId::as_str)
    }
    async fn role(&mut self) -> Result<Role, String> {
        let answer = self.send(&cmd("ROLE")).await.map_err(|e| said(&e))?;
        Role::read(answer).ok_or_else(|| "an answer to ROLE that names none".to_string())
    }
}

/// What a server says of itself, by ROLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// With so many replicas.
    Primary(usize),
    Replica,
    Sentinel,
}

impl Role {
    fn read(answer: Value) -> Option<Role> {
        let Value::Array(parts) = answer else { return None };
        let name: String = from_redis_value(parts.first()?.clone()).ok()?;
        match (name.as_str(), parts.get(2)) {
            ("master", Some(Value::Array(replicas))) => Some(Role::Primary(replicas.len())),
            ("slave", _) => Some(Role::Replica),
            ("sentinel", _) => Some(Role::Sentinel),
            _ => None,
        }
    }
}

/// Everybody's address.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) nodes: Vec<NodeId>,
    pub(super) book: AddressBook,
    pub(super) options: Options,
}

impl Directory {
    /// Who has such a port, and where it is now.
    pub(super) fn at(&self, port: &str) -> Vec<(&NodeId, String)> {
        let now = |node| Some((node, self.book.endpoint(node, port)?));
        self.nodes.iter().filter_map(now).collect()
    }
    pub(super) fn server_at(&self, address: &str) -> Option<NodeId> {
        self.book.owner(SERVER, address)
    }
    /// Where the server is that a Sentinel calls `host:port`: by its address, or by a name, which is a node's.
    fn named(&self, host: &str, port: u16) -> String {
        let node = self.nodes.iter().find(|node| node.as_str() == host);
        let now = node.and_then(|node| self.book.endpoint(node, SERVER));
        now.unwrap_or_else(|| format!("{host}:{port}"))
    }

    /// A connection to a server, whatever its role.
    pub(super) async fn dial(&self, address: &str) -> Result<Link, String> {
        let Options { username, password, .. } = &self.options;
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(username) = username {
            login = login.set_username(username);
        }
        if let Some(password) = password {
            login = login.set_password(password);
        }
        let connection = open(address, login).await?;
        let node = self.server_at(address);
        Ok(Link { node, address: address.to_string(), connection })
    }

    /// A connection to the primary. `turn` says who is asked for it first. Fails only while nothing but
    /// questions was sent.
    pub(super) async fn primary(&self, turn: usize, deadline: Instant) -> Result<Link, String> {
        let named = match self.at(SENTINEL).is_empty() {
            false => self.named_by_a_sentinel(turn, deadline).await?,
            true => self.found_by_its_role(turn, deadline).await?,
        };
        let name = || self.server_at(&named).map_or(named.clone(), |node| node.to_string());
        let mut link = self.dial(&named).await.map_err(|why| format!("{}: {why}", name()))?;
        // Sentinel may not know yet, or the server may not have been told yet
        // (Redis, "Guidelines for Redis clients with support for Sentinel", step 3).
        match link.role().await.map_err(|why| format!("{}: {why}", name()))? {
            Role::Primary(_) => Ok(link),
            role => Err(format!("{}: is named as the primary, and says {role:?}", name())),
        }
    }

    async fn named_by_a_sentinel(&self, turn: usize, deadline: Instant) -> Result<String, String> {
        let mut last = "no Sentinel".to_string();
        for (node, address) in in_turn(self.at(SENTINEL).into_iter(), turn) {
            last = match timeout(share(deadline), self.ask_sentinel(&address)).await {
                Ok(Ok(primary)) => return Ok(primary),
                Ok(Err(why)) => format!("{node}: {why}"),
                Err(_) => format!("{node}: no answer from a Sentinel"),
            };
        }
        Err(format!("no Sentinel names a primary; the last: {last}"))
    }

    async fn found_by_its_role(&self, turn: usize, deadline: Instant) -> Result<String, String> {
        let servers = self.at(SERVER);
        let asked = servers.iter().map(|(_, address)| async {
            let role = async { self.dial(address).await?.role().await };
            timeout(share(deadline), role).await.unwrap_or_else(|_| Err("no answer".into()))
        });
        // Not the first answer, but all: an application that prefers a server does so by its list.
        let roles = join_all(asked).await;
        let answers = servers.into_iter().zip(roles);
        let mut last = "none".to_string();
        for ((node, address), role) in in_turn(answers, turn) {
            match role {
                Ok(Role::Primary(_)) => return Ok(address),
                Ok(role) => last = format!("{node} says {role:?}"),
                Err(why) => last = format!("{node}: {why}"),
            }
        }
        Err(format!("no server says that it is the primary; the last: {last}"))
    }

    /// The primary's address, as this Sentinel has it.
    pub(super) async fn ask_sentinel(&self, address: &str) -> Result<String, String> {
        let login = RedisConnectionInfo::default().set_skip_set_lib_name();
        let mut connection = open(address, login).await?;
        let mut question = cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(&self.options.master);
        let answer: Option<(String, u16)> =
            question.query_async(&mut connection).await.map_err(|e| said(&e))?;
        let (host, port) = answer.ok_or_else(|| {
            format!(
                "it watches no `{}`: give `client: {{redis: {{master: NAME}}}}` the name \
                     that your Sentinels watch",
                self.options.master
            )
        })?;
        Ok(self.named(&host, port))
    }

    /// Whether a node holds data; else it is a Sentinel, and only that.
    pub(super) async fn holds_data(&self, node: &NodeId) -> Result<bool, String> {
        let mut why = "no endpoint".to_string();
        if let Some(address) = self.book.endpoint(node, SERVER) {
            match async { self.dial(&address).await?.role().await }.await {
                Ok(role) => return Ok(role != Role::Sentinel),
                Err(trouble) => why = trouble,
            }
        }
        match self.book.endpoint(node, SENTINEL) {
            Some(address) => self.ask_sentinel(&address).await.map(|_| false),
            None => Err(why),
        }
    }

    /// The server that most of the Sentinels that answer name; without any, the primary that most follow.
    pub(super) async fn leader(&self, patience: Duration) -> Option<NodeId> {
        let deadline = Instant::now() + patience;
        let named = self.at(SENTINEL).into_iter().map(|(_, address)| async move {
            timeout_at(deadline, self.ask_sentinel(&address)).await.ok()?.ok()
        });
        let named: Vec<String> = join_all(named).await.into_iter().flatten().collect();
        if !named.is_empty() {
            return self.server_at(majority(&named)?);
        }
        let deadline = Instant::now() + patience;
        let roles = self.at(SERVER).into_iter().map(|(node, address)| async move {
            let role = async { self.dial(&address).await.ok()?.role().await.ok() };
            Some((node.clone(), timeout_at(deadline, role).await.ok()??))
        });
        let roles: Vec<_> = join_all(roles).await.into_iter().flatten().collect();
        most_followed(&roles)
    }
}

/// What more than half say.
pub(super) fn majority(named: &[String]) -> Option<&str> {
    let mut votes = BTreeMap::<&str, usize>::new();
    named.iter().for_each(|name| *votes.entry(name).or_default() += 1);
    votes.into_iter().find(|(_, n)| 2 * n > named.len()).map(|(name, _)| name)
}

/// The primary with the most replicas. `None`: there is none, or two of them are level.
pub(super) fn most_followed(roles: &[(NodeId, Role)]) -> Option<NodeId> {
    let followed = |(node, role): &(NodeId, Role)| match role {
        Role::Primary(replicas) => Some((*replicas, node.clone())),
        _ => None,
    };
    let mut primaries: Vec<_> = roles.iter().filter_map(followed).collect();
    primaries.sort();
    let (most, node) = primaries.pop()?;
    primaries.last().is_none_or(|(next, _)| *next < most).then_some(node)
}

/// All of them, beginning with the one whose turn it is.
fn in_turn<T>(all: impl Iterator<Item = T> + Clone, turn: usize) -> impl Iterator<Item = T> {
    let count = all.clone().count();
    let first = turn.checked_rem(count).unwrap_or(0);
    all.cycle().skip(first).take(count)
}

/// How long one of several may take: half of what is left, so that something is left for the next.
fn share(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()) / 2
}

async fn open(address: &str, login: RedisConnectionInfo) -> Result<MultiplexedConnection, String> {
    let parts = address.rsplit_once(':').and_then(|(h, p)| Some((h, p.parse::<u16>().ok()?)));
    let (host, port) = parts.ok_or_else(|| format!("`{address}` is not host:port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
    let place = ConnectionAddr::Tcp(host, port).into_connection_info().map_err(|e| said(&e))?;
    let client = Client::open(place.set_redis_settings(login)).map_err(|e| said(&e))?;
    // Time is kept by who asks.
    let config =
        AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let connected = client.get_multiplexed_async_connection_with_config(&config).await;
    connected.map_err(|e| format!("no connection: {}", said(&e)))
}

/// An error in the words of the server or of the operating system.
pub(super) fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}
