//! How etcd's members stand, from what each says of itself and whom the leader lists as members.
//!
//! A member stands full if it reports no error (an alarm is one), follows the leader that most follow, is listed
//! under its own id, is no learner, and keeps up with the leader's applied index. A member that comes back without its
//! data under an id of its own is judged by that id; the one that it had before must not stay in the list.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::gateway::Gateway;
use super::{Etcd, elect};
use crate::history::Standing;
use crate::inventory::NodeId;
use crate::workload::client::progress::keeps_up;

/// How long a member may take to say how it is: longer than on a machine that has little time for it.
const STATUS: Duration = Duration::from_secs(1);

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Its own id.
    pub(super) id: String,
    /// Whom it takes for the leader.
    pub(super) leader: Option<String>,
    /// The cluster that it is a member of.
    cluster: String,
    /// The index of the last entry that it applied.
    applied: u64,
    learner: bool,
    /// What it finds wrong, in its own words.
    errors: Vec<String>,
}

impl Status {
    /// Reads an answer to `maintenance/status`. `None`: it is none.
    pub(super) fn read(answer: &Value) -> Option<Status> {
        let id = |value: &Value| value.as_str().filter(|id| *id != "0").map(str::to_string);
        let errors = answer["errors"].as_array().into_iter().flatten();
        Some(Status {
            id: id(&answer["header"]["member_id"])?,
            leader: id(&answer["leader"]),
            cluster: id(&answer["header"]["cluster_id"]).unwrap_or_default(),
            // The gateway writes numbers of 64 bits as texts, and leaves out what is 0.
            applied: answer["raftAppliedIndex"].as_str().and_then(|n| n.parse().ok()).unwrap_or(0),
            learner: answer["isLearner"].as_bool().unwrap_or(false),
            errors: errors.filter_map(Value::as_str).map(String::from).collect(),
        })
    }
}

/// Which ids each node has answered with so far.
pub(super) type Known = Arc<Mutex<BTreeMap<String, NodeId>>>;

impl Etcd {
    /// How a member is; else why it does not say.
    pub(super) async fn status(&self, place: usize, limit: Duration) -> Result<Status, String> {
        let mut etcd = self.gateway(place).map_err(|e| e.why)?;
        let deadline = Instant::now() + limit;
        let asked = etcd.post("maintenance/status", &json!({}), deadline).await;
        let answer = asked.map_err(|trouble| self.unnamed(place, trouble.why))?;
        Status::read(&answer).ok_or_else(|| format!("not an answer to a status: {answer}"))
    }

    /// What a gateway says begins with its member, whom a standing names already.
    fn unnamed(&self, place: usize, why: String) -> String {
        let name = self.members.nodes.get(place).map(|node| format!("{node}: "));
        let bare = name.and_then(|name| why.strip_prefix(&name).map(String::from));
        bare.unwrap_or(why)
    }

    /// The ids of the members that this one lists. `None`: it does not say.
    async fn listed(&self, place: usize) -> Option<Vec<String>> {
        let mut etcd: Gateway = self.gateway(place).ok()?;
        let deadline = Instant::now() + STATUS;
        let answer = etcd.post("cluster/member/list", &json!({}), deadline).await.ok()?;
        let members = answer["members"].as_array()?;
        Some(members.iter().filter_map(|m| m["ID"].as_str().map(String::from)).collect())
    }

    /// How each member stands.
    pub(super) async fn ask_members(&self) -> Vec<(NodeId, Standing)> {
        let nodes = &self.members.nodes;
        let all = 0..nodes.len();
        let answers = join_all(all.map(|place| self.status(place, STATUS))).await;
        let leads: Vec<_> = answers
            .iter()
            .map(|a| a.as_ref().ok().map(|s| (s.id.clone(), s.leader.clone())))
            .collect();
        let leader = elect(nodes, &leads);
        let place = nodes.iter().position(|node| Some(node) == leader.as_ref());
        let listed = match place {
            Some(place) => self.listed(place).await,
            None => None,
        };
        let mut known = self.known.lock().unwrap_or_else(|p| p.into_inner()).clone();
        for (node, status) in nodes.iter().zip(&answers) {
            status.iter().for_each(|s| _ = known.insert(s.id.clone(), node.clone()));
        }
        *self.known.lock().unwrap_or_else(|p| p.into_inner()) = known.clone();
        let goal = place.and_then(|place| answers[place].clone().ok());
        let round = Round { leader: goal.as_ref(), listed: listed.as_deref(), known: &known };
        let standings = nodes.iter().enumerate().map(|(place, node)| {
            let (status, round) = (answers[place].clone(), &round);
            async move { (node.clone(), self.stands(place, node, status, round).await) }
        });
        join_all(standings).await
    }

    async fn stands(
        &self,
        place: usize,
        node: &NodeId,
        status: Result<Status, String>,
        round: &Round<'_>,
    ) -> Standing {
        let applied = match round.position(node, &status) {
            Ok(applied) => applied,
            Err(standing) => return standing,
        };
        let goal = round.leader.map_or(applied, |leader| leader.applied);
        let again = || -> BoxFuture<'_, Result<u64, Standing>> {
            Box::pin(async move { round.position(node, &self.status(place, STATUS).await) })
        };
        keeps_up(goal, applied, "entries of the log", again).await
    }
}

/// What one round of asking came to, beside what a member says of itself.
pub(super) struct Round<'a> {
    /// What the leader says of itself; `None`: nobody leads.
    leader: Option<&'a Status>,
    /// The ids that the leader lists; `None`: it did not say.
    listed: Option<&'a [String]>,
    /// Every id that a node has had.
    known: &'a BTreeMap<String, NodeId>,
}

impl Round<'_> {
    /// How far a member has applied the log, if nothing else is wrong with it.
    fn position(&self, node: &NodeId, status: &Result<Status, String>) -> Result<u64, Standing> {
        let status = match status {
            Ok(status) => status,
            Err(why) => return Err(Standing::Absent(self.absent(node, why))),
        };
        match self.trouble(node, status) {
            Some(standing) => Err(standing),
            None => Ok(status.applied),
        }
    }

    /// A member that does not answer may have been taken out of the list, too.
    fn absent(&self, node: &NodeId, why: &str) -> String {
        let own: Vec<_> = self.known.iter().filter(|(_, of)| *of == node).collect();
        let gone = |ids: &[String]| !own.is_empty() && own.iter().all(|(id, _)| !ids.contains(id));
        match self.listed.is_some_and(gone) {
            true => format!("{why}; the members do not list it any more"),
            false => why.to_string(),
        }
    }

    fn trouble(&self, node: &NodeId, status: &Status) -> Option<Standing> {
        let behind = |why: String| Some(Standing::Behind(why));
        // `etcdserver: no leader` is among its errors, too: its own words come first.
        if !status.errors.is_empty() {
            return behind(format!("it reports {}", status.errors.join(", ")));
        }
        let Some(follows) = &status.leader else { return behind("it knows no leader".into()) };
        let Some(leader) = self.leader else {
            return behind("most members follow no leader that answers".into());
        };
        if status.cluster != leader.cluster {
            return Some(Standing::Absent("it is a member of another cluster".into()));
        }
        if *follows != leader.id {
            return behind("it follows another leader than most".into());
        }
        if let Some(listed) = self.listed {
            if !listed.contains(&status.id) {
                let why = format!("the members do not list the id {} that it has", hex(&status.id));
                return Some(Standing::Absent(why));
            }
            let former = |(id, of): &(&String, &NodeId)| {
                *of == node && **id != status.id && listed.contains(id)
            };
            if let Some((id, _)) = self.known.iter().find(former) {
                let why = "it is back under a new id, and the members still count on the one \
                           that it had";
                return behind(format!("{why} ({})", hex(id)));
            }
        }
        status.learner.then(|| Standing::Behind("it is a learner, which has no vote".into()))
    }
}

/// An id as etcdctl writes it.
fn hex(id: &str) -> String {
    id.parse::<u64>().map_or_else(|_| id.to_string(), |id| format!("{id:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(id: &str, leader: Option<&str>) -> Status {
        let leader = leader.map(String::from);
        let [id, cluster] = [id, "7"].map(String::from);
        Status { id, leader, cluster, applied: 40, ..Status::default() }
    }

    /// What is found of n2, whose id was 2, where 1 leads and lists these.
    fn stands(says: Result<Status, String>, listed: &[&str]) -> Result<u64, Standing> {
        let leader = status("1", Some("1"));
        let listed: Vec<String> = listed.iter().map(|id| id.to_string()).collect();
        let known = [("1".to_string(), "n1".into()), ("2".to_string(), NodeId::new("n2"))].into();
        let round = Round { leader: Some(&leader), listed: Some(&listed), known: &known };
        round.position(&"n2".into(), &says)
    }

    fn wrong(says: Result<Status, String>, listed: &[&str]) -> String {
        stands(says, listed).unwrap_err().words()
    }

    #[test]
    fn a_member_that_follows_the_leader_and_is_listed_is_asked_how_far_it_has_come() {
        assert_eq!(stands(Ok(status("2", Some("1"))), &["1", "2"]), Ok(40));
    }

    #[test]
    fn what_is_wrong_with_a_member_is_said() {
        let follower = || status("2", Some("1"));
        let both = ["1", "2"];
        let alarm = Status { errors: vec!["alarm:NOSPACE".into()], ..follower() };
        assert_eq!(wrong(Ok(alarm), &both), "behind: it reports alarm:NOSPACE");
        assert_eq!(wrong(Ok(status("2", None)), &both), "behind: it knows no leader");
        let astray = wrong(Ok(status("2", Some("2"))), &both);
        assert_eq!(astray, "behind: it follows another leader than most");
        let learner = Status { learner: true, ..follower() };
        assert_eq!(wrong(Ok(learner), &both), "behind: it is a learner, which has no vote");
        let elsewhere = Status { cluster: "8".into(), ..follower() };
        assert_eq!(wrong(Ok(elsewhere), &both), "absent: it is a member of another cluster");
    }

    #[test]
    fn the_list_of_the_members_is_held_against_who_is_there() {
        let new = || Ok(status("31", Some("1")));
        let unlisted = "absent: the members do not list the id 1f that it has";
        assert_eq!(wrong(new(), &["1", "2"]), unlisted);
        let counted = "behind: it is back under a new id, and the members still count on the one \
                       that it had (2)";
        assert_eq!(wrong(new(), &["1", "2", "31"]), counted);
        assert_eq!(stands(new(), &["1", "31"]), Ok(40));
        let refused = || Err("no connection".to_string());
        assert_eq!(wrong(refused(), &["1", "2"]), "absent: no connection");
        let gone = "absent: no connection; the members do not list it any more";
        assert_eq!(wrong(refused(), &["1"]), gone);
    }

    #[test]
    fn a_status_is_read_as_the_gateway_writes_it() {
        let answer = json!({
            "header": {"cluster_id": "7", "member_id": "2", "revision": "1", "raft_term": "3"},
            "version": "3.4.23", "leader": "1", "raftIndex": "41", "raftAppliedIndex": "40",
        });
        assert_eq!(Status::read(&answer), Some(status("2", Some("1"))));
        assert_eq!(Status::read(&json!({"error": "not found"})), None);
    }
}
