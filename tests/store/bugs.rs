//! Each bug loses or corrupts as its name says, and the same test without it does not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use firedrill::history::{Call, Message, Outcome, Reply};
use firedrill::store::protocol::Response;

use crate::cluster::{Cluster, persist, until};
use crate::durability::{NOTHING, insert, missing};

const OK: Option<Response> = Some(Response::Ok(Reply::Done));

fn value(value: i64) -> Option<Response> {
    Some(Response::Ok(Reply::Value(Some(value))))
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_reads_a_follower_that_is_cut_off_answers_with_the_old_value() {
    for (bugs, stale) in [(&["stale-reads"][..], true), (&[], false)] {
        let cluster = Cluster::start(3, bugs).await;
        let mut client = cluster.client(1);
        persist(&mut *client, Call::Write { key: 1, value: 1 }).await;
        let leader = cluster.leader().await;
        let follower = cluster.others(leader)[0];
        let read = |seq| cluster.ask(follower, 7, seq, Call::Read { key: 1 });
        let mut seq = 0;
        until("it has heard of the first write", || {
            seq += 1;
            !stale || read(seq) == value(1)
        })
        .await;
        cluster.net.isolate(&[follower]);
        persist(&mut *client, Call::Write { key: 1, value: 2 }).await;
        let answer = read(1_000_000);
        match stale {
            true => assert_eq!(answer, value(1)),
            false => assert!(matches!(answer, Some(Response::NotLeader(_))), "{answer:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn early_ack_what_the_cut_off_leader_acknowledged_is_gone() {
    for (bugs, early) in [(&["early-ack"][..], true), (&[], false)] {
        let cluster = Cluster::start(3, bugs).await;
        let mut acknowledged = insert(&cluster, 1, 5).await;
        let leader = cluster.leader().await;
        cluster.net.isolate(&[leader]);
        let answer = cluster.ask(leader, 7, 1, Call::Insert { key: 1, element: 1 });
        assert_eq!(answer == OK, early, "{answer:?}");
        if early {
            acknowledged.push(1);
        }
        cluster.leader_among(&cluster.others(leader)).await;
        cluster.kill(leader);
        let lost = missing(&acknowledged, &cluster.elements(1).await);
        // What it acknowledged just before may be gone too: nobody waited for its replication.
        assert_eq!(lost.contains(&1), early);
        assert!(early || lost.is_empty(), "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn early_ack_is_invisible_while_nothing_fails() {
    let cluster = Cluster::start(3, &["early-ack"]).await;
    let mut client = cluster.client(1);
    for n in 0..50 {
        persist(&mut *client, Call::Write { key: 1, value: n }).await;
        let read = persist(&mut *client, Call::Read { key: 1 }).await;
        assert_eq!(read, Reply::Value(Some(n)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_fsync_the_last_acknowledged_writes_are_gone_when_all_are_killed() {
    let cluster = Cluster::start(3, &["lost-fsync"]).await;
    let again = async || {
        cluster.kill_all();
        (0..3).for_each(|node| cluster.spawn(node));
        cluster.ready().await;
    };
    // The files are written now and then: that may be just before the kill, and cost nothing; not each time.
    let mut lost = false;
    for process in 1..=10 {
        let acknowledged = insert(&cluster, process, 100).await;
        again().await;
        lost = missing(&acknowledged, &cluster.elements(1).await) != NOTHING;
        if lost {
            break;
        }
    }
    assert!(lost, "ten kills of all lost nothing");
    // It goes on working, and what it had time to write stays.
    let acknowledged = insert(&cluster, 20, 10).await;
    assert_eq!(acknowledged.len(), 10);
    let last = format!("\"element\":{}", acknowledged[9]);
    let written = |node| {
        let log = cluster.folder.path().join(format!("n{node}/log"));
        std::fs::read(log).is_ok_and(|log| String::from_utf8_lossy(&log).contains(&last))
    };
    until("every file has the last element", || (1..=3).all(written)).await;
    again().await;
    assert_eq!(missing(&acknowledged, &cluster.elements(1).await), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_append_a_retried_message_stands_in_the_log_twice() {
    for (bugs, twice) in [(&["duplicate-append"][..], true), (&[], false)] {
        let cluster = Cluster::start(3, bugs).await;
        let message = Message { sender: 7, sequence: 0 };
        for _ in 0..2 {
            let (_, answer) =
                cluster.surely(&cluster.all(), 7, 1, Call::Append { key: 1, message }).await;
            assert!(matches!(answer, Response::Ok(Reply::Offset(_))), "{answer:?}");
        }
        let log = persist(&mut *cluster.client(1), Call::ReadLog { key: 1, from: 0 }).await;
        let Reply::Messages(log) = log else { panic!("{log:?}") };
        assert!(log.iter().all(|found| *found == message), "{log:?}");
        // A machine that is busy may make more repeats of it.
        assert_eq!(log.len() >= 2, twice, "with {bugs:?}: {log:?}");
        assert!(!log.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_the_leader_died_takes_effect_once() {
    let cluster = Cluster::start(3, &[]).await;
    let add = || Call::Add { key: 1, delta: 1 };
    let (leader, answer) = cluster.surely(&cluster.all(), 7, 1, add()).await;
    assert_eq!(Some(answer), OK);
    cluster.kill(leader);
    let (_, answer) = cluster.surely(&cluster.others(leader), 7, 1, add()).await;
    assert_eq!(Some(answer), OK);
    let total = persist(&mut *cluster.client(1), Call::Total { key: 1 }).await;
    assert_eq!(total, Reply::Value(Some(1)));
}

/// Moves money from two clients while a third one adds it up: the sums that it saw.
async fn sums(bugs: &[&'static str], enough: impl Fn(&BTreeMap<i64, u32>) -> bool) -> Vec<i64> {
    let cluster = Cluster::start(3, bugs).await;
    let stop = Instant::now() + Duration::from_secs(20);
    let movers = [1, 2].map(|process| {
        let mut client = cluster.client(process);
        tokio::spawn(async move {
            for n in 0_u32.. {
                let (from, to) = (n % 5, (n + process) % 5);
                client.invoke(&Call::Transfer { from, to, amount: 1 }).await;
            }
        })
    });
    let (mut client, mut seen) = (cluster.client(3), BTreeMap::new());
    while Instant::now() < stop && !enough(&seen) {
        if let Outcome::Ok(Reply::Balances(all)) = client.invoke(&Call::Balances).await {
            *seen.entry(all.values().sum()).or_default() += 1;
        }
    }
    movers.iter().for_each(|mover| mover.abort());
    seen.into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dirty_transactions_a_reader_sees_money_that_has_left_and_not_arrived() {
    let dirty = sums(&["dirty-transactions"], |seen| seen.keys().any(|sum| *sum != 500)).await;
    assert!(dirty.iter().any(|sum| *sum < 500), "{dirty:?}");
    let clean = sums(&[], |seen| seen.values().sum::<u32>() >= 300).await;
    assert_eq!(clean, [500]);
}

#[tokio::test(flavor = "multi_thread")]
async fn split_brain_two_leaders_answer_and_the_old_ones_writes_are_dropped() {
    let cluster = Cluster::start(3, &["split-brain"]).await;
    let mut client = cluster.client(1);
    persist(&mut *client, Call::Write { key: 1, value: 1 }).await;
    let old = cluster.leader().await;
    cluster.net.isolate(&[old]);
    let others = cluster.others(old);
    let write = Call::Write { key: 1, value: 2 };
    assert_eq!(Some(cluster.surely(&others, 8, 1, write).await.1), OK);
    let read = |node, seq| cluster.ask(node, 9, seq, Call::Read { key: 1 });
    assert_eq!(read(old, 1), value(1), "the old leader reads its own state");
    assert_eq!(cluster.ask(old, 10, 1, Call::Insert { key: 1, element: 5 }), OK);
    let own = cluster.ask(old, 9, 2, Call::Elements { key: 1 });
    assert_eq!(own, Some(Response::Ok(Reply::Values(vec![5]))), "and what it wrote alone");
    let new = cluster.surely(&others, 9, 3, Call::Read { key: 1 }).await.1;
    assert_eq!(Some(new), value(2));
    cluster.net.heal();
    let follows = || cluster.status(old).is_some_and(|status| status.role == "follower");
    until("the old leader gives way", follows).await;
    assert_eq!(cluster.elements(1).await, NOTHING, "the acknowledged write is gone");
    let now = cluster.surely(&cluster.all(), 9, 4, Call::Read { key: 1 }).await.1;
    assert_eq!(Some(now), value(2));
}
