//! Sessions with servers, and what PostgreSQL's errors mean.
//!
//! Invariant: an error counts as definite only where the server says that it undid the statement, or cannot have
//! begun it. (PostgreSQL, "Appendix A. PostgreSQL Error Codes".)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Client, Config, Error, NoTls};

use super::Login;
use crate::inventory::{AddressBook, NodeId};

/// The parts of an address. `None`: it is not `host:port`.
pub(super) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// A node's server, and how one logs in there.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) node: NodeId,
    login: Config,
    /// Where it is: at the node's endpoint `client`.
    book: AddressBook,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Servers {
    all: Vec<Server>,
    /// The place where a session that may write was found last; beyond all: none yet.
    known: AtomicUsize,
}

impl Servers {
    /// There is at least one node.
    pub(super) fn new(nodes: Vec<NodeId>, book: &AddressBook, login: &Login) -> Servers {
        let mut config = Config::new();
        config.user(&login.user).dbname(&login.database).application_name("firedrill");
        if let Some(password) = &login.password {
            config.password(password);
        }
        let server = |node| Server { node, login: config.clone(), book: book.clone() };
        let all = nodes.into_iter().map(server).collect();
        Servers { all, known: AtomicUsize::new(usize::MAX) }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Server> {
        self.all.iter()
    }
    /// The place that a number has, counted round.
    pub(super) fn place(&self, number: usize) -> usize {
        number.checked_rem(self.all.len()).unwrap_or(0)
    }
    pub(super) fn name(&self, place: usize) -> &NodeId {
        &self.all[self.place(place)].node
    }

    /// A session that may write, and its place; each server is tried once, for so long: first where one was found last,
    /// by whomever, then from this place on. Fails with the place to try first the next time; nothing was sent
    /// then but log-ins.
    pub(super) async fn writable(&self, first: usize, each: Duration) -> Result<Found, Missed> {
        let known = self.known.load(Ordering::Relaxed);
        let all = (first..first + self.all.len()).map(|number| self.place(number));
        let known_first = self.all.get(known).map(|_| known).into_iter();
        let places = known_first.chain(all.filter(|place| *place != known));
        let mut last = String::new();
        for place in places {
            let server = &self.all[place];
            last = match timeout(each, server.session(true)).await {
                Ok(Ok(session)) => {
                    self.known.store(place, Ordering::Relaxed);
                    return Ok((place, session));
                }
                Ok(Err(why)) => format!("{}: {why}", server.node),
                Err(_) => format!("{}: no connection in time", server.node),
            };
        }
        Err((self.place(first + 1), format!("no server takes writes; the last: {last}")))
    }
}

/// A session that may write, and the place of its server.
pub(super) type Found = (usize, Session);
/// The place to try first the next time, and why.
pub(super) type Missed = (usize, String);

/// A search for a server that takes writes. It goes on when an operation gives up waiting for it: log-ins that were
/// begun again with each operation would keep a busy server from ever finishing one.
pub(super) struct Search(JoinHandle<Result<Found, Missed>>);

impl Search {
    pub(super) fn begin(servers: Arc<Servers>, first: usize, each: Duration) -> Search {
        Search(tokio::spawn(async move { servers.writable(first, each).await }))
    }
    /// `None`: it is not done at the deadline.
    pub(super) async fn wait(&mut self, deadline: Instant) -> Option<Result<Found, Missed>> {
        let done = timeout_at(deadline, &mut self.0).await.ok()?;
        Some(done.unwrap_or_else(|e| Err((0, format!("the search ended before its time: {e}")))))
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// A new session; one that may write, or any.
    pub(super) async fn session(&self, writable: bool) -> Result<Session, String> {
        let address = self.book.endpoint(&self.node, "client").ok_or("it has no address now")?;
        let (host, port) = host_and_port(&address).ok_or("its address is not host:port")?;
        let mut config = self.login.clone();
        config.host(host).port(port);
        if writable {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let (client, connection) = config.connect(NoTls).await.map_err(|e| said(&e))?;
        let work = tokio::spawn(async move {
            // What breaks it is told to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Session { client, work })
    }
}

/// A session with one server.
pub(super) struct Session {
    pub(super) client: Client,
    work: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Session {
    /// The timeline that this server writes; `None`: it writes none, it is a replica.
    pub(super) async fn timeline(&self) -> Option<u32> {
        let question = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL \
                        ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";
        let row = self.client.query_typed_one(question, &[]).await.ok()?;
        let timeline: Option<String> = row.try_get(0).ok()?;
        u32::from_str_radix(&timeline?, 16).ok()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// The statement took no effect, and never will.
    pub(super) definite: bool,
    /// The transaction lost against another one, and may be tried again.
    pub(super) lost_a_race: bool,
    /// The session can go on.
    pub(super) session_is_good: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        let why = said(&error);
        let Some(db) = error.as_db_error() else {
            return Trouble { why, definite: false, lost_a_race: false, session_is_good: false };
        };
        let undone = db.parsed_severity() == Some(Severity::Error) && undone(db.code());
        let raced = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        Trouble {
            why,
            definite: undone,
            lost_a_race: undone && raced.contains(db.code()),
            session_is_good: undone && *db.code() != SqlState::READ_ONLY_SQL_TRANSACTION,
        }
    }
}

/// Errors of a statement, after which its transaction is undone. Not among them: lost connections (08), a
/// server that shuts down (57P01 to 57P03: a commit may have been written already), what the server itself does not
/// know (40003), its own mistakes (XX).
pub(super) fn undone(code: &SqlState) -> bool {
    let known = ["21", "22", "23", "25", "26", "28", "3D", "3F", "42", "53", "54", "55"];
    let code = code.code();
    known.iter().any(|class| code.starts_with(class))
        || matches!(code, "40000" | "40001" | "40002" | "40P01" | "57014" | "0A000")
}

/// An error in the words of the server or of the operating system.
pub(super) fn said(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return told(db);
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn told(error: &DbError) -> String {
    format!("{} {}", error.code().code(), error.message())
}
