//! How the nodes of the embedded store stand, from the status of each.
//!
//! A node stands full if it follows the leader of the newest term in that term, and keeps up with what the leader has
//! applied. Deliberately absent: a list of members to hold it against; the store's members are fixed.

use std::io;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::{Cluster, named_leader};
use crate::history::Standing;
use crate::inventory::NodeId;
use crate::store::protocol::{Request, Status};
use crate::workload::client::progress::keeps_up;

/// How long a node may take to say how it is: longer than on a machine that has little time for it.
const LIMIT: Duration = Duration::from_secs(1);

/// How each node stands.
pub(super) async fn ask(cluster: &Cluster) -> Vec<(NodeId, Standing)> {
    let answers = join_all(cluster.nodes.iter().map(|node| status(cluster, node))).await;
    let said: Vec<Status> = answers.iter().flatten().cloned().collect();
    let leads = named_leader(&said).and_then(|leader| {
        said.iter().find(|s| s.name == leader.as_str() && s.leader.as_deref() == Some(&s.name))
    });
    let standings = cluster.nodes.iter().zip(answers).map(|(node, answer)| async move {
        let applied = match position(leads, &answer) {
            Ok(applied) => applied,
            Err(standing) => return (node.clone(), standing),
        };
        let goal = leads.and_then(|leader| leader.applied).unwrap_or(0);
        let again = || -> BoxFuture<'_, Result<u64, Standing>> {
            Box::pin(async move { position(leads, &status(cluster, node).await) })
        };
        (node.clone(), keeps_up(goal, applied, "entries of the log", again).await)
    });
    join_all(standings).await
}

async fn status(cluster: &Cluster, node: &NodeId) -> Result<Status, String> {
    let request = Request::Status { status: true };
    match timeout(LIMIT, cluster.once::<Status>(node, &request)).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err("it closed the connection without an answer".into())
        }
        Ok(Err(error)) => Err(format!("no connection: {error}")),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

/// How far a node has applied the log, if nothing else is wrong with it.
fn position(leader: Option<&Status>, answer: &Result<Status, String>) -> Result<u64, Standing> {
    let status = answer.as_ref().map_err(|why| Standing::Absent(why.clone()))?;
    let behind = |why: String| Err(Standing::Behind(why));
    let Some(follows) = &status.leader else {
        return behind(format!("it knows no leader, and is a {}", status.role));
    };
    let Some(leader) = leader else { return behind("no node says that it leads".into()) };
    if status.term < leader.term || *follows != leader.name {
        let (own, new) = (status.term, leader.term);
        let name = &leader.name;
        return behind(format!("it follows {follows} in term {own}; {name} leads in term {new}"));
    }
    match status.role.as_str() {
        "leader" | "follower" => Ok(status.applied.unwrap_or(0)),
        role => behind(format!("it is a {role}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, role: &str, leader: Option<&str>, term: u64) -> Status {
        let leader = leader.map(String::from);
        let [name, role] = [name, role].map(String::from);
        Status { name, role, leader, term, applied: Some(9), last_log: Some(9) }
    }

    fn wrong(answer: Result<Status, String>) -> String {
        let leader = status("n1", "leader", Some("n1"), 4);
        position(Some(&leader), &answer).unwrap_err().words()
    }

    #[test]
    fn a_follower_of_the_leader_is_asked_how_far_it_has_come() {
        let leader = status("n1", "leader", Some("n1"), 4);
        let follower = status("n2", "follower", Some("n1"), 4);
        assert_eq!(position(Some(&leader), &Ok(follower)), Ok(9));
        assert_eq!(position(Some(&leader), &Ok(leader.clone())), Ok(9));
    }

    #[test]
    fn what_is_wrong_with_a_node_is_said() {
        let lost = status("n2", "candidate", None, 4);
        assert_eq!(wrong(Ok(lost)), "behind: it knows no leader, and is a candidate");
        let old = status("n2", "follower", Some("n3"), 3);
        let why = "behind: it follows n3 in term 3; n1 leads in term 4";
        assert_eq!(wrong(Ok(old)), why);
        let learner = status("n2", "learner", Some("n1"), 4);
        assert_eq!(wrong(Ok(learner)), "behind: it is a learner");
        assert_eq!(wrong(Err("no connection".into())), "absent: no connection");
        let alone = position(None, &Ok(status("n2", "follower", Some("n1"), 4)));
        assert_eq!(alone, Err(Standing::Behind("no node says that it leads".into())));
    }
}
