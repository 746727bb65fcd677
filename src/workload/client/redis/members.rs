//! How the servers and Sentinels stand, from `INFO replication` of each server and whom each Sentinel names.
//!
//! A replica stands full if its link to its primary is up and in step, it shares the primary's replication id, and it
//! keeps up with the primary's offset. A node that is a Sentinel alone stands full if it names the primary that most
//! name. Deliberately absent: the Sentinel beside a server, which the server's standing says nothing of.

use std::collections::BTreeMap;
use std::time::Duration;

use ::redis::{cmd, from_redis_value};
use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::Redis;
use super::primary::{Directory, SENTINEL, SERVER, said};
use crate::history::Standing;
use crate::inventory::NodeId;
use crate::workload::client::progress::keeps_up;

/// How long a node may take to say how it is: longer than on a machine that has little time for it.
const STATUS: Duration = Duration::from_secs(1);

/// The fields of a server's `INFO replication`.
type Info = BTreeMap<String, String>;

impl Redis {
    /// How each node stands.
    pub(super) async fn ask_members(&self) -> Vec<(NodeId, Standing)> {
        let leader = self.directory.leader(STATUS).await;
        let nodes = &self.directory.nodes;
        let holds_data =
            |node: &NodeId| self.servers.get().is_none_or(|servers| servers.contains(node));
        let answers = join_all(nodes.iter().map(|node| async {
            let address = self.directory.book.endpoint(node, SERVER);
            let address = address.filter(|_| holds_data(node))?;
            let answer = self.directory.info(&address).await;
            Some((address, answer))
        }));
        let answers = answers.await;
        let primary = nodes.iter().zip(&answers).find_map(|(node, answer)| {
            let leads = Some(node) == leader.as_ref();
            let (_, answer) = answer.as_ref().filter(|_| leads)?;
            let info = answer.as_ref().ok()?;
            (info.get("role")? == "master").then(|| info.clone())
        });
        let (leader, primary) = (leader.as_ref(), primary.as_ref());
        let standings = nodes.iter().zip(answers).map(|(node, answer)| async move {
            let standing = match answer {
                Some((address, answer)) => {
                    self.server_stands(&address, answer, leader, primary).await
                }
                None => self.sentinel_stands(node, leader).await,
            };
            (node.clone(), standing)
        });
        join_all(standings).await
    }

    async fn server_stands(
        &self,
        address: &str,
        answer: Result<Info, String>,
        leader: Option<&NodeId>,
        primary: Option<&Info>,
    ) -> Standing {
        let offset = match position(&answer, leader, primary) {
            Ok(offset) => offset,
            Err(standing) => return standing,
        };
        let goal = primary.and_then(|p| number(p, "master_repl_offset")).unwrap_or(0);
        let again = || -> BoxFuture<'_, Result<u64, Standing>> {
            Box::pin(async move { position(&self.directory.info(address).await, leader, primary) })
        };
        keeps_up(goal, offset, "bytes of the replication stream", again).await
    }

    async fn sentinel_stands(&self, node: &NodeId, leader: Option<&NodeId>) -> Standing {
        let Some(address) = self.directory.book.endpoint(node, SENTINEL) else {
            return Standing::Absent("it is neither a server nor a Sentinel any more".into());
        };
        match timeout(STATUS, self.directory.ask_sentinel(&address)).await {
            Err(_) => Standing::Absent("no answer from its Sentinel in time".into()),
            Ok(Err(why)) => Standing::Absent(why),
            Ok(Ok(named)) => match (self.directory.server_at(&named), leader) {
                (_, None) => Standing::Behind("no primary is one that most Sentinels name".into()),
                (own, most) if own.as_ref() == most => Standing::Full,
                _ => Standing::Behind(format!("its Sentinel names {named} as the primary")),
            },
        }
    }
}

impl Directory {
    async fn info(&self, address: &str) -> Result<Info, String> {
        let asked = async {
            let mut question = cmd("INFO");
            question.arg("replication");
            let mut link = self.dial(address).await?;
            let answer = link.send(&question).await.map_err(|e| said(&e))?;
            from_redis_value::<String>(answer).map_err(|e| format!("not an answer to INFO: {e}"))
        };
        let late = || Err(format!("no answer within {} s", STATUS.as_secs()));
        timeout(STATUS, asked).await.unwrap_or_else(|_| late()).map(|text| read(&text))
    }
}

fn read(text: &str) -> Info {
    let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
    pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn number(info: &Info, name: &str) -> Option<u64> {
    info.get(name)?.parse().ok()
}

/// The offset up to which a server has the primary's stream, if nothing else is wrong with it.
fn position(
    answer: &Result<Info, String>,
    leader: Option<&NodeId>,
    primary: Option<&Info>,
) -> Result<u64, Standing> {
    let info = answer.as_ref().map_err(|why| Standing::Absent(why.clone()))?;
    let get = |name: &str| info.get(name).map_or("", String::as_str);
    let behind = |why: String| Err(Standing::Behind(why));
    let (Some(leader), Some(primary)) = (leader, primary) else {
        return behind("there is no primary that most agree on and that answers".into());
    };
    if get("role") == "master" {
        return match get("master_replid") == primary.get("master_replid").map_or("", |id| id) {
            true => Ok(number(info, "master_repl_offset").unwrap_or(0)),
            false => behind(format!("it takes itself for the primary, which is {leader}")),
        };
    }
    if get("master_sync_in_progress") == "1" {
        return behind("it is being given a whole copy of the primary's data".into());
    }
    if get("master_link_status") != "up" {
        return behind(format!("its link to the primary is {}", get("master_link_status")));
    }
    if get("master_replid") != primary.get("master_replid").map_or("", |id| id) {
        return behind(format!("it replicates another primary than {leader}"));
    }
    Ok(number(info, "slave_repl_offset").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
        master_replid:aa\r\nmaster_repl_offset:90\r\n";
    const REPLICA: &str = "# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\n\
        master_link_status:up\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:88\r\n\
        master_replid:aa\r\n";

    fn of(text: &str) -> Result<u64, String> {
        let (leader, primary) = (NodeId::new("r1"), read(PRIMARY));
        position(&Ok(read(text)), Some(&leader), Some(&primary)).map_err(|s| s.words())
    }

    #[test]
    fn the_primary_and_a_replica_in_step_are_asked_for_their_offsets() {
        assert_eq!(of(PRIMARY), Ok(90));
        assert_eq!(of(REPLICA), Ok(88));
    }

    #[test]
    fn what_is_wrong_with_a_server_is_said() {
        let wrong = |from: &str, to: &str| of(&REPLICA.replace(from, to)).unwrap_err();
        let down = wrong("link_status:up", "link_status:down");
        assert_eq!(down, "behind: its link to the primary is down");
        let copying = wrong("in_progress:0", "in_progress:1");
        assert_eq!(copying, "behind: it is being given a whole copy of the primary's data");
        let astray = wrong("replid:aa", "replid:bb");
        assert_eq!(astray, "behind: it replicates another primary than r1");
        let second = of(&PRIMARY.replace("replid:aa", "replid:bb")).unwrap_err();
        assert_eq!(second, "behind: it takes itself for the primary, which is r1");
        let nobody = position(&Ok(read(REPLICA)), None, None).unwrap_err();
        let why = "there is no primary that most agree on and that answers";
        assert_eq!(nobody, Standing::Behind(why.into()));
        let gone = position(&Err("no connection".into()), None, None).unwrap_err();
        assert_eq!(gone, Standing::Absent("no connection".into()));
    }
}
