//! How the servers stand, from what each says of its recovery and of its log.
//!
//! A replica stands full if it receives the log as it is written (a WAL receiver runs), and keeps up with replaying
//! what the primary has written. A second server that takes writes is behind: it should follow.
//! Deliberately absent: replicas that are fed from an archive alone; they are told as receiving no log.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::session::{Server, Session, said};
use super::{Postgres, newest};
use crate::history::Standing;
use crate::inventory::NodeId;
use crate::workload::client::progress::keeps_up;

/// How long a server may take to say how it is, its log-in included.
const STATUS: Duration = Duration::from_secs(2);

/// Place in the log; the timeline that a primary writes; whether a replica receives the log (any role may see that
/// there is a receiver, though not its state), and of which timeline.
const QUESTION: &str = "SELECT pg_is_in_recovery(), \
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END \
        - '0/0'::pg_lsn)::bigint, \
    CASE WHEN pg_is_in_recovery() THEN NULL \
        ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END, \
    EXISTS (SELECT FROM pg_stat_wal_receiver), \
    (SELECT received_tli FROM pg_stat_wal_receiver)";

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Status {
    /// How far it has written, or replayed, the log, in bytes.
    at: u64,
    /// `None`: it is a replica.
    timeline: Option<u32>,
    /// Whether a replica receives the log.
    receives: bool,
    /// Of which timeline, where the role may see that.
    received: Option<u32>,
}

impl Session {
    async fn status(&self) -> Result<Status, String> {
        let row = self.client.query_typed_one(QUESTION, &[]).await.map_err(|e| said(&e))?;
        let read = || {
            let (replica, at): (bool, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
            let timeline: Option<String> = row.try_get(2)?;
            let timeline = timeline.and_then(|t| u32::from_str_radix(&t, 16).ok());
            Ok::<_, tokio_postgres::Error>(Status {
                at: at.and_then(|at| u64::try_from(at).ok()).unwrap_or(0),
                timeline: timeline.filter(|_| !replica),
                receives: row.try_get(3)?,
                received: row.try_get::<_, Option<i32>>(4)?.and_then(|t| t.try_into().ok()),
            })
        };
        read().map_err(|e| format!("not an answer to a status: {}", said(&e)))
    }
}

async fn status(server: &Server) -> Result<Status, String> {
    let asked = async { server.session(false).await?.status().await };
    let late = || Err(format!("no answer within {} s", STATUS.as_secs()));
    timeout(STATUS, asked).await.unwrap_or_else(|_| late())
}

impl Postgres {
    /// How each server stands.
    pub(super) async fn ask_members(&self) -> Vec<(NodeId, Standing)> {
        let answers = join_all(self.servers.all().map(status)).await;
        let both = || self.servers.all().zip(&answers);
        let primaries = both().filter_map(|(server, answer)| {
            Some((answer.as_ref().ok()?.timeline?, server.node.clone()))
        });
        let leader = newest(primaries.collect());
        let leads = |server: &Server| Some(&server.node) == leader.as_ref();
        let leader = both().find_map(|(server, answer)| {
            Some((&server.node, answer.as_ref().ok().filter(|_| leads(server))?))
        });
        let goal = leader.map(|(_, status)| status.at);
        let standings = self.servers.all().zip(&answers).map(|(server, answer)| async move {
            let at = match position(&server.node, answer, leader) {
                Ok(at) => at,
                Err(standing) => return (server.node.clone(), standing),
            };
            let again = || -> BoxFuture<'_, Result<u64, Standing>> {
                Box::pin(async move { position(&server.node, &status(server).await, leader) })
            };
            let standing = keeps_up(goal.unwrap_or(at), at, "bytes of the log", again).await;
            (server.node.clone(), standing)
        });
        join_all(standings).await
    }
}

/// How far a server has come in the log, if nothing else is wrong with it.
fn position(
    node: &NodeId,
    answer: &Result<Status, String>,
    leader: Option<(&NodeId, &Status)>,
) -> Result<u64, Standing> {
    let status = answer.as_ref().map_err(|why| Standing::Absent(why.clone()))?;
    let behind = |why: String| Err(Standing::Behind(why));
    let Some((leader, primary)) = leader else {
        return behind("no server is the only primary".into());
    };
    let strays = status.received.zip(primary.timeline).filter(|(own, new)| own < new);
    match status.timeline {
        Some(_) if leader == node => Ok(status.at),
        Some(_) => behind(format!("it takes writes as if it were the primary, which is {leader}")),
        None if !status.receives => {
            behind("it receives no log from the primary: no WAL receiver runs".into())
        }
        None => match strays {
            Some((own, new)) => {
                behind(format!("it follows timeline {own}; {leader} writes timeline {new}"))
            }
            None => Ok(status.at),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: Status = Status { at: 5, timeline: Some(3), receives: false, received: None };
    const REPLICA: Status = Status { at: 4, timeline: None, receives: true, received: Some(3) };

    /// What is found of p2.
    fn of(status: Result<Status, String>, leader: Option<&str>) -> Result<u64, String> {
        let leader = leader.map(NodeId::new);
        let leader = leader.as_ref().map(|leader| (leader, &PRIMARY));
        position(&"p2".into(), &status, leader).map_err(|s| s.words())
    }

    #[test]
    fn the_primary_and_a_replica_that_receives_the_log_are_asked_how_far_they_have_come() {
        assert_eq!(of(Ok(PRIMARY), Some("p2")), Ok(5));
        assert_eq!(of(Ok(REPLICA), Some("p1")), Ok(4));
        assert_eq!(of(Ok(Status { received: None, ..REPLICA }), Some("p1")), Ok(4));
    }

    #[test]
    fn what_is_wrong_with_a_server_is_said() {
        let second = "behind: it takes writes as if it were the primary, which is p1";
        assert_eq!(of(Ok(PRIMARY), Some("p1")), Err(second.into()));
        let alone = Status { receives: false, received: None, ..REPLICA };
        let deaf = "behind: it receives no log from the primary: no WAL receiver runs";
        assert_eq!(of(Ok(alone), Some("p1")), Err(deaf.into()));
        let old = Status { received: Some(2), ..REPLICA };
        let strays = "behind: it follows timeline 2; p1 writes timeline 3";
        assert_eq!(of(Ok(old), Some("p1")), Err(strays.into()));
        assert_eq!(of(Ok(REPLICA), None), Err("behind: no server is the only primary".into()));
        let gone = Err("57P03 the database system is starting up".into());
        let said = "absent: 57P03 the database system is starting up";
        assert_eq!(of(gone, Some("p1")), Err(said.into()));
    }
}
