//! What the clients do all the while, as the scenario tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use crate::fault::{Argv, At};
use crate::quantity::{Rate, Span};
use crate::workload::Model;
use crate::workload::client::{etcd::Etcd, exec::Exec, http::Http};

/// What the clients do all the while: an open loop at a constant arrival rate.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How one asks the system.
    pub client: ClientSpec,
    /// What is asked, and what the answers must add up to.
    pub model: Model,
    /// How many operations may be in flight at once, each of a client with an identity of its own. 1 to
    /// 10000. Default: as many as operations begin within the time-out, so that even when none is answered
    /// a client is free for each.
    #[serde(default, deserialize_with = "bounds::some_whole::<_, 1, 10000>")]
    #[schemars(range(min = 1, max = 10000))]
    pub workers: Option<u32>,
    /// How many operations begin, whatever the system does.
    pub rate: Rate,
    /// How many keys (counters, sets, queues, logs, a bank's accounts) are worked on. 1 (a bank: 2) to
    /// 1000000. Default: 10.
    #[serde(default = "keys_default", deserialize_with = "bounds::keys")]
    #[schemars(range(min = 1, max = 1000000))]
    pub keys: At<u32>,
    /// The zone that the clients stand in: they suffer toward each node outside of it what all of its own nodes
    /// suffer. Default: outside of all zones.
    pub clients_in: Option<At<String>>,
    /// What has not been answered by then is an unknown outcome. 1ms to 10m. Default: 1s.
    #[serde(default = "timeout_default", deserialize_with = "bounds::timeout")]
    pub timeout: Span,
}

fn keys_default() -> At<u32> {
    At::nowhere(10)
}
fn timeout_default() -> Span {
    Span::secs(1)
}

impl Workload {
    /// How many operations may be in flight at once: what was asked for, or enough.
    pub fn workers(&self) -> u32 {
        let enough = (self.rate.per_second() * self.timeout.0.as_secs_f64()).ceil();
        self.workers.unwrap_or(enough.clamp(1.0, 10_000.0) as u32)
    }
}

/// How one asks the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientSpec {
    /// The embedded store, over its JSON lines.
    Store,
    /// etcd 3.4 and later, over its JSON gateway: plain http, no users.
    Etcd,
    /// Redis 6 and later: the primary as Sentinel names it where nodes have a port `sentinel`, else by its role.
    Redis(RedisClient),
    /// PostgreSQL 12 and later: the first node that takes a read-write session. Without TLS.
    Postgres(PostgresClient),
    /// Any service that answers over HTTP: a GET for each request, answered by a status from 200 to 399. Without TLS.
    Http(HttpClient),
    /// A command of your own, in any language, that speaks JSON lines (docs/exec-client.md).
    Exec(ExecClient),
}

impl ClientSpec {
    /// Its name in the catalogue.
    pub fn name(&self) -> &'static str {
        match self {
            ClientSpec::Store => "store",
            ClientSpec::Etcd => "etcd",
            ClientSpec::Redis(_) => "redis",
            ClientSpec::Postgres(_) => "postgres",
            ClientSpec::Http(_) => "http",
            ClientSpec::Exec(_) => "exec",
        }
    }

    /// The models that it can ask for.
    pub fn models(&self) -> &'static [Model] {
        match self {
            ClientSpec::Store => Model::of_data(),
            ClientSpec::Etcd => Etcd::models(),
            ClientSpec::Redis(_) => {
                &[Model::Register, Model::Counter, Model::Set, Model::Queue, Model::Log]
            }
            ClientSpec::Postgres(_) => {
                &[Model::Register, Model::Counter, Model::Set, Model::Bank, Model::ListAppend]
            }
            ClientSpec::Http(_) => Http::models(),
            ClientSpec::Exec(_) => Exec::models(),
        }
    }

    /// Whether this program was built with it.
    pub fn is_built(&self) -> bool {
        match self {
            ClientSpec::Redis(_) => cfg!(feature = "redis"),
            ClientSpec::Postgres(_) => cfg!(feature = "postgres"),
            _ => true,
        }
    }
}

/// Redis, with or without Sentinel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisClient {
    /// The name under which the Sentinels watch the primary. Default: mymaster.
    #[serde(default = "master_default")]
    pub master: String,
    /// The user. Default: Redis's default user.
    #[serde(default)]
    pub username: Option<String>,
    /// The servers' password. Default: none.
    #[serde(default)]
    pub password: Option<String>,
}

fn master_default() -> String {
    "mymaster".into()
}

/// PostgreSQL, alone or replicated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresClient {
    /// The role, which may create a schema in the database. Default: postgres.
    #[serde(default = "postgres_default")]
    pub user: String,
    /// Its password. Default: none.
    #[serde(default)]
    pub password: Option<String>,
    /// The database. Default: postgres.
    #[serde(default = "postgres_default")]
    pub database: String,
}

fn postgres_default() -> String {
    "postgres".into()
}

/// A service that answers over HTTP, at one address for all of it or at each node's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpClient {
    /// Where the service answers, whichever node that is: `http://web.shop/cart`. `{key}` stands for a number below
    /// `keys`. Default: the nodes are asked themselves, each client one of them, and the next after that one failed it.
    #[serde(default, deserialize_with = "bounds::url")]
    pub url: Option<String>,
    /// What the nodes are asked for; `{key}` as in `url`. Default: /.
    #[serde(default = "path_default", deserialize_with = "bounds::path")]
    pub path: String,
    /// At which of their ports, by its name. Default: `client`, or else the first.
    #[serde(default)]
    pub port: Option<String>,
}

fn path_default() -> String {
    "/".into()
}

/// A child process that speaks JSON lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecClient {
    /// The program and its arguments; one process for each worker.
    pub command: Argv,
}
