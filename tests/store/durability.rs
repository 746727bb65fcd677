//! What was acknowledged survives whatever is killed or cut off.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use firedrill::history::{Call, Outcome, Reply};
use firedrill::store::protocol::{Response, Status};

use crate::cluster::{Cluster, until};

pub const NOTHING: [i64; 0] = [];

/// Inserts `count` elements and hands back those that were acknowledged.
pub async fn insert(cluster: &Cluster, process: u32, count: i64) -> Vec<i64> {
    let mut client = cluster.client(process);
    let mut acknowledged = vec![];
    for n in 0..count {
        let element = i64::from(process) * 10_000 + n;
        if client.invoke(&Call::Insert { key: 1, element }).await == Outcome::Ok(Reply::Done) {
            acknowledged.push(element);
        }
    }
    acknowledged
}

pub fn missing(acknowledged: &[i64], seen: &[i64]) -> Vec<i64> {
    acknowledged.iter().filter(|element| !seen.contains(element)).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    let cluster = Cluster::start(3, &[]).await;
    let mut acknowledged = insert(&cluster, 1, 50).await;
    assert_eq!(acknowledged.len(), 50);
    let first = cluster.leader().await;
    cluster.kill(first);
    let second = cluster.leader_among(&cluster.others(first)).await;
    assert_ne!(first, second);
    acknowledged.extend(insert(&cluster, 2, 50).await);
    assert_eq!(acknowledged.len(), 100, "the client finds its way around the dead node");
    assert_eq!(missing(&acknowledged, &cluster.elements(1).await), NOTHING);
    cluster.spawn(first);
    cluster.kill(second);
    assert_eq!(missing(&acknowledged, &cluster.elements(1).await), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_killed_at_once_and_started_again_have_everything() {
    let cluster = Cluster::start(3, &[]).await;
    let acknowledged = insert(&cluster, 1, 50).await;
    cluster.kill_all();
    (0..3).for_each(|node| cluster.spawn(node));
    cluster.ready().await;
    assert_eq!(missing(&acknowledged, &cluster.elements(1).await), NOTHING);
    assert_eq!(acknowledged.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_survive_two_kills_and_a_cut_off_pair() {
    let cluster = Cluster::start(5, &[]).await;
    let mut acknowledged = insert(&cluster, 1, 20).await;
    let leader = cluster.leader().await;
    let second = cluster.others(leader)[0];
    cluster.kill(leader);
    cluster.kill(second);
    acknowledged.extend(insert(&cluster, 2, 20).await);
    cluster.spawn(leader);
    cluster.spawn(second);
    let leader = cluster.leader().await;
    cluster.net.isolate(&[leader, cluster.others(leader)[0]]);
    acknowledged.extend(insert(&cluster, 3, 20).await);
    cluster.net.heal();
    assert_eq!(missing(&acknowledged, &cluster.elements(1).await), NOTHING);
    assert_eq!(acknowledged.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_answers_no_write_and_no_read() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    cluster.net.isolate(&[leader]);
    let write = cluster.ask(leader, 7, 1, Call::Write { key: 1, value: 1 });
    // (A busy machine may have cost it its place just before.)
    let refused =
        |answer: &_| matches!(answer, Some(Response::Unknown(_) | Response::NotLeader(_)));
    assert!(refused(&write), "{write:?}");
    let read = cluster.ask(leader, 7, 2, Call::Read { key: 1 });
    assert!(matches!(read, Some(Response::NotLeader(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_cut_off_returns_without_an_election() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).unwrap().term;
    cluster.net.isolate(&[cluster.others(leader)[0]]);
    let follower = cluster.others(leader)[0];
    tokio::time::sleep(Duration::from_secs(3)).await; // it would have stood for election several times
    // What makes it harmless: alone it has not come to a new term. (A busy machine may cost the leader its
    // place; what the others decide it does not hear.)
    assert!(cluster.status(follower).unwrap().term <= term);
    cluster.net.heal();
    let follows = || {
        let (led, after) = (cluster.status(leader), cluster.status(follower));
        let Some((led, after)) = led.zip(after) else { return false };
        after.leader.is_some() && (after.leader, after.term) == (led.leader, led.term)
    };
    until("it follows whom the others follow", follows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_behind_a_slow_link_goes_on_serving_slowly() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    // A round trip of 200 ms, below the time limit of a call between nodes.
    cluster.net.slow(leader, Duration::from_millis(100));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let acknowledged = insert(&cluster, 1, 5).await;
    assert_eq!(acknowledged.len(), 5);
    assert_eq!(missing(&acknowledged, &cluster.elements(1).await), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_speaks_and_cannot_hear_is_replaced() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    cluster.net.deafen(leader);
    // It has something to say: an entry that it repeats for ever.
    let mut client = TcpStream::connect(cluster.client_address(leader)).unwrap();
    client
        .write_all(b"{\"client\":7,\"seq\":1,\"call\":{\"f\":\"write\",\"key\":1,\"value\":1}}\n")
        .unwrap();
    cluster.leader_among(&cluster.others(leader)).await;
    assert_eq!(insert(&cluster, 1, 5).await.len(), 5);
    cluster.net.heal();
    assert_eq!(insert(&cluster, 2, 5).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hears_and_cannot_speak_is_replaced() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    cluster.net.gag(leader);
    cluster.leader_among(&cluster.others(leader)).await;
    assert_eq!(insert(&cluster, 1, 5).await.len(), 5);
    cluster.net.heal();
    assert_eq!(insert(&cluster, 2, 5).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_no_answer_reaches_in_time_is_replaced() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    cluster.net.slow(leader, Duration::from_millis(400));
    cluster.leader_among(&cluster.others(leader)).await;
    assert_eq!(insert(&cluster, 1, 5).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_far_behind_catches_up_over_a_narrow_link() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(leader)[0];
    cluster.kill(follower);
    let acknowledged = insert(&cluster, 1, 400).await;
    assert_eq!(acknowledged.len(), 400);
    // A full call takes longer than its time limit here.
    cluster.net.narrow(follower, 50_000);
    cluster.spawn(follower);
    let behind = |status: Option<Status>| status.and_then(|s| s.applied).unwrap_or(0) < 400;
    until("it has caught up", || !behind(cluster.status(follower))).await;
}
