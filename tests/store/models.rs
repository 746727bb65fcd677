//! Every model through the client, and requests that come twice.

use std::collections::BTreeMap;

use firedrill::history::{Call, Message, Outcome, Reply, Step};
use firedrill::inventory::NodeId;
use firedrill::store::protocol::Response;
use firedrill::workload::client::Driver;

use crate::cluster::{Cluster, until};

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_elect_a_leader_and_answer_every_model() {
    let cluster = Cluster::start(3, &[]).await;
    let mut client = cluster.client(1);
    let message = |sequence| Message { sender: 1, sequence };
    let append = |key, value| Step::Append { key, value };
    let balances = |first, second| {
        Reply::Balances(BTreeMap::from([(0, first), (1, second), (2, 100), (3, 100), (4, 100)]))
    };
    let script = [
        (Call::Read { key: 1 }, Reply::Value(None)),
        (Call::Write { key: 1, value: 5 }, Reply::Done),
        (Call::Cas { key: 1, from: 5, to: 6 }, Reply::Swapped(true)),
        (Call::Cas { key: 1, from: 5, to: 7 }, Reply::Swapped(false)),
        (Call::Read { key: 1 }, Reply::Value(Some(6))),
        (Call::Total { key: 1 }, Reply::Value(Some(0))),
        (Call::Add { key: 1, delta: 3 }, Reply::Done),
        (Call::Add { key: 1, delta: -1 }, Reply::Done),
        (Call::Total { key: 1 }, Reply::Value(Some(2))),
        (Call::Insert { key: 1, element: 9 }, Reply::Done),
        (Call::Elements { key: 1 }, Reply::Values(vec![9])),
        (Call::Enqueue { key: 1, element: 1 }, Reply::Done),
        (Call::Enqueue { key: 1, element: 2 }, Reply::Done),
        (Call::Dequeue { key: 1 }, Reply::Value(Some(1))),
        (Call::Dequeue { key: 1 }, Reply::Value(Some(2))),
        (Call::Dequeue { key: 1 }, Reply::Value(None)),
        (Call::Append { key: 1, message: message(0) }, Reply::Offset(0)),
        (Call::Append { key: 1, message: message(1) }, Reply::Offset(1)),
        (Call::ReadLog { key: 1, from: 1 }, Reply::Messages(vec![message(1)])),
        (Call::ReadLog { key: 1, from: 7 }, Reply::Messages(vec![])),
        (Call::Transfer { from: 0, to: 1, amount: 30 }, Reply::Done),
        (Call::Balances, balances(70, 130)),
        (Call::Txn { steps: Box::new([append(1, 1), append(2, 1)]) }, Reply::Txn(vec![None, None])),
        (
            Call::Txn { steps: Box::new([Step::Read { key: 1 }, Step::Read { key: 3 }]) },
            Reply::Txn(vec![Some(vec![1]), Some(vec![])]),
        ),
        (
            Call::Txn { steps: Box::new([append(1, 2), Step::Read { key: 1 }]) },
            Reply::Txn(vec![None, Some(vec![1, 2])]),
        ),
    ];
    for (call, expected) in script {
        assert_eq!(client.invoke(&call).await, Outcome::Ok(expected), "{call:?}");
    }
    let overdraw = client.invoke(&Call::Transfer { from: 0, to: 1, amount: 71 }).await;
    assert_eq!(overdraw, Outcome::Fail("account 0 has 70, less than 71".into()));
    let to_nobody = client.invoke(&Call::Transfer { from: 0, to: 8, amount: 1 }).await;
    assert_eq!(to_nobody, Outcome::Fail("there is no account 8".into()));
    assert_eq!(client.invoke(&Call::Balances).await, Outcome::Ok(balances(70, 130)));
    // A busy machine may change its leader between the two questions.
    for attempt in 1.. {
        let leader = NodeId::new(format!("n{}", cluster.leader().await + 1));
        match cluster.driver().leader().await {
            Some(named) if named == leader => break,
            other => assert!(attempt < 100, "the driver says {other:?}, {leader} itself"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_comes_to_hold_what_was_written_and_says_so_by_itself() {
    let cluster = Cluster::start(3, &[]).await;
    let written = cluster.client(1).invoke(&Call::Write { key: 1, value: 5 }).await;
    assert_eq!(written, Outcome::Ok(Reply::Done));
    for node in ["n1", "n2", "n3"] {
        let node = NodeId::new(node);
        let mut seen = None;
        for _ in 0..2_000 {
            seen = cluster.driver().read_replica(&node, &Call::Read { key: 1 }).await;
            if seen == Some(Outcome::Ok(Reply::Value(Some(5)))) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(seen, Some(Outcome::Ok(Reply::Value(Some(5)))), "{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drills_of_the_same_nodes_have_objects_of_their_own() {
    let cluster = Cluster::start(1, &[]).await;
    let mut first = cluster.client(1);
    let mut second = cluster.driver_of(u32::MAX).client(1).unwrap();
    let (write, read) = (Call::Write { key: 1, value: 5 }, Call::Read { key: 1 });
    assert_eq!(first.invoke(&write).await, Outcome::Ok(Reply::Done));
    assert_eq!(first.invoke(&read).await, Outcome::Ok(Reply::Value(Some(5))));
    assert_eq!(second.invoke(&read).await, Outcome::Ok(Reply::Value(None)));
    let (node, driver) = (NodeId::new("n1"), cluster.driver_of(u32::MAX));
    let replica = driver.read_replica(&node, &read).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(None))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_lead_names_the_one_that_does() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    let (other, name) = (cluster.others(leader)[0], format!("n{}", leader + 1));
    let named = || cluster.status(other).is_some_and(|s| s.leader.as_ref() == Some(&name));
    until("it has heard who leads", named).await;
    for call in [Call::Read { key: 1 }, Call::Write { key: 1, value: 1 }] {
        let answer = cluster.ask(other, 7, 1, call.clone());
        let Some(Response::NotLeader(redirect)) = answer else {
            panic!("a follower answered {call:?} with {answer:?}");
        };
        assert_eq!(redirect.leader.as_ref(), Some(&name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let cluster = Cluster::start(1, &[]).await;
    for wrong in ["", "{}", "nonsense", r#"{"client":1,"seq":1,"call":{"f":"fly"}}"#] {
        let answer = cluster.raw(0, wrong).unwrap();
        assert!(answer.contains("not a request"), "{wrong}: {answer}");
    }
    let long = format!(r#"{{"client":1,"pad":"{}"}}"#, "x".repeat(1 << 20));
    assert!(cluster.raw(0, &long).unwrap().contains("longer than"));
    let write = r#"{"client":1,"seq":1,"local":true,"call":{"f":"write","key":1,"value":1}}"#;
    assert!(cluster.raw(0, write).unwrap().contains("not a read"));
}
