//! The etcd client against real etcd processes on loopback. Skipped, visibly, where etcd is not installed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firedrill::history::file::Invocation;
use firedrill::history::{Call, Message, Outcome, Reply, Stage, Step, Time};
use firedrill::inventory::{AddressBook, Inventory, Node, NodeId};
use firedrill::workload::client::etcd::Etcd;
use firedrill::workload::client::{Client, Driver};
use firedrill::workload::generate::Mix;
use firedrill::workload::{Clock, Model, Sink, engine, final_reads};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Members of one etcd; killed when this goes, also by a panic.
struct Cluster {
    members: Vec<Child>,
    inventory: Inventory,
    _data: TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

fn free_ports(n: usize) -> Vec<u16> {
    let held: Vec<_> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|l| l.local_addr().unwrap().port()).collect()
}

impl Cluster {
    /// `None`, and a word about it, where etcd is not installed.
    fn start(size: usize) -> Option<Cluster> {
        if Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("skipped: etcd is not installed");
            return None;
        }
        let data = TempDir::new().unwrap();
        let ports = free_ports(2 * size);
        let peer = |i: usize| format!("http://127.0.0.1:{}", ports[size + i]);
        let all: Vec<_> = (0..size).map(|i| format!("n{}={}", i + 1, peer(i))).collect();
        let (mut members, mut nodes) = (vec![], vec![]);
        for (i, port) in ports.iter().take(size).enumerate() {
            let (name, client) = (format!("n{}", i + 1), format!("http://127.0.0.1:{port}"));
            let flags = [
                ("--name", name.clone()),
                ("--data-dir", data.path().join(&name).display().to_string()),
                ("--listen-client-urls", client.clone()),
                ("--advertise-client-urls", client),
                ("--listen-peer-urls", peer(i)),
                ("--initial-advertise-peer-urls", peer(i)),
                ("--initial-cluster", all.join(",")),
            ];
            let mut command = Command::new("etcd");
            for (flag, value) in flags {
                command.arg(flag).arg(value);
            }
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            members.push(quiet.spawn().unwrap());
            let endpoints = [("client".to_string(), format!("127.0.0.1:{port}"))].into();
            nodes.push(Node { id: name.as_str().into(), zone: "a".into(), endpoints });
        }
        Some(Cluster { members, inventory: Inventory::new(nodes), _data: data })
    }

    fn driver(&self, model: Model, timeout: Duration) -> Etcd {
        Etcd::new(&(&self.inventory).into(), model, 5, timeout, "test").unwrap()
    }

    /// Returns when the member is gone.
    fn kill(&mut self, node: &NodeId) {
        let place = self.inventory.ids().position(|id| id == node).unwrap();
        self.members[place].kill().unwrap();
        self.members[place].wait().unwrap();
    }

    fn signal(&self, node: &NodeId, signal: Signal) {
        let place = self.inventory.ids().position(|id| id == node).unwrap();
        let pid = Pid::from_child(&self.members[place]);
        kill_process(pid, signal).unwrap();
    }
}

const READ: Call = Call::Read { key: 0 };
const SECOND: Duration = Duration::from_secs(1);

async fn ok(client: &mut Box<dyn Client>, call: Call) -> Reply {
    match client.invoke(&call).await {
        Outcome::Ok(reply) => reply,
        other => panic!("{call:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_model_is_asked_and_answered_by_a_real_etcd() {
    let Some(cluster) = Cluster::start(1) else { return };
    let driver = cluster.driver(Model::Bank, 10 * SECOND);
    driver.prepare().await.unwrap();
    driver.prepare().await.expect("preparing twice changes nothing");
    let mut c = driver.client(0).unwrap();

    assert_eq!(ok(&mut c, Call::Read { key: 1 }).await, Reply::Value(None));
    assert_eq!(ok(&mut c, Call::Cas { key: 1, from: 0, to: 9 }).await, Reply::Swapped(false));
    assert_eq!(ok(&mut c, Call::Write { key: 1, value: -5 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Cas { key: 1, from: -5, to: 7 }).await, Reply::Swapped(true));
    assert_eq!(ok(&mut c, Call::Cas { key: 1, from: -5, to: 8 }).await, Reply::Swapped(false));
    assert_eq!(ok(&mut c, Call::Read { key: 1 }).await, Reply::Value(Some(7)));

    assert_eq!(ok(&mut c, Call::Total { key: 1 }).await, Reply::Value(Some(0)));
    assert_eq!(ok(&mut c, Call::Add { key: 1, delta: 5 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Add { key: 1, delta: -2 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Total { key: 1 }).await, Reply::Value(Some(3)));

    assert_eq!(ok(&mut c, Call::Elements { key: 1 }).await, Reply::Values(vec![]));
    assert_eq!(ok(&mut c, Call::Insert { key: 1, element: 4 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Elements { key: 1 }).await, Reply::Values(vec![4]));

    assert_eq!(ok(&mut c, Call::Dequeue { key: 1 }).await, Reply::Value(None));
    assert_eq!(ok(&mut c, Call::Enqueue { key: 1, element: 1 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Enqueue { key: 1, element: 2 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Dequeue { key: 1 }).await, Reply::Value(Some(1)));

    let message = |sequence| Message { sender: 3, sequence };
    for sequence in 0..12 {
        let append = Call::Append { key: 1, message: message(sequence) };
        assert_eq!(ok(&mut c, append).await, Reply::Offset(u64::from(sequence)));
    }
    let tail = Reply::Messages(vec![message(10), message(11)]);
    assert_eq!(ok(&mut c, Call::ReadLog { key: 1, from: 10 }).await, tail);
    assert_eq!(ok(&mut c, Call::ReadLog { key: 1, from: 12 }).await, Reply::Messages(vec![]));
    assert_eq!(ok(&mut c, Call::ReadLog { key: 0, from: 0 }).await, Reply::Messages(vec![]));

    assert_eq!(ok(&mut c, Call::Transfer { from: 0, to: 4, amount: 30 }).await, Reply::Done);
    let overdraft = c.invoke(&Call::Transfer { from: 0, to: 1, amount: 71 }).await;
    assert!(matches!(overdraft, Outcome::Fail(_)), "{overdraft:?}");
    let balances = Reply::Balances([(0, 70), (1, 100), (2, 100), (3, 100), (4, 130)].into());
    assert_eq!(ok(&mut c, Call::Balances).await, balances);

    let append = |key, value| Step::Append { key, value };
    let steps = [append(1, 1), Step::Read { key: 1 }, append(2, 1), append(1, 2)];
    let reply = Reply::Txn(vec![None, Some(vec![1]), None, None]);
    assert_eq!(ok(&mut c, Call::Txn { steps: steps.into() }).await, reply);
    let steps = [Step::Read { key: 1 }, Step::Read { key: 2 }, Step::Read { key: 3 }];
    let reply = Reply::Txn(vec![Some(vec![1, 2]), Some(vec![1]), Some(vec![])]);
    assert_eq!(ok(&mut c, Call::Txn { steps: steps.into() }).await, reply);

    let replica = driver.read_replica(&"n1".into(), &Call::Read { key: 1 }).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(7)))));
    assert_eq!(driver.read_replica(&"n1".into(), &Call::Dequeue { key: 1 }).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_many_clients_lose_no_update() {
    let Some(cluster) = Cluster::start(1) else { return };
    let driver = cluster.driver(Model::Counter, 20 * SECOND);
    driver.prepare().await.unwrap();
    let adding = (0..4).map(|process| {
        let mut client = driver.client(process).unwrap();
        tokio::spawn(async move {
            for _ in 0..25 {
                ok(&mut client, Call::Add { key: 0, delta: 1 }).await;
            }
        })
    });
    for added in adding.collect::<Vec<_>>() {
        added.await.unwrap();
    }
    let mut client = driver.client(9).unwrap();
    assert_eq!(ok(&mut client, Call::Total { key: 0 }).await, Reply::Value(Some(100)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_member_makes_a_write_unknown_and_a_read_fail_within_the_time_out() {
    let Some(cluster) = Cluster::start(1) else { return };
    let driver = cluster.driver(Model::Register, 3 * SECOND);
    driver.prepare().await.unwrap();
    let mut client = driver.client(0).unwrap();
    ok(&mut client, Call::Write { key: 0, value: 1 }).await;
    cluster.signal(&"n1".into(), Signal::STOP);
    let write = client.invoke(&Call::Write { key: 0, value: 2 }).await;
    let read = client.invoke(&Call::Read { key: 0 }).await;
    cluster.signal(&"n1".into(), Signal::CONT);
    assert_eq!(write, Outcome::Unknown("n1: time-out".into()));
    assert_eq!(read, Outcome::Fail("n1: time-out".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_its_clients_fail_definitely_and_another_leads() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let driver = cluster.driver(Model::Register, 2 * SECOND);
    driver.prepare().await.unwrap();
    let first = leader_other_than(&driver, None).await;
    let place = cluster.inventory.ids().position(|id| *id == first).unwrap();
    let mut client = driver.client(place as u32).unwrap();
    assert_eq!(client.node(&READ), Some(first.clone()), "clients are spread over the members");

    cluster.kill(&first);
    let mut refused = 0;
    for value in 0..3 {
        match client.invoke(&Call::Write { key: 0, value }).await {
            Outcome::Fail(why) => {
                assert!(why.contains("no connection"), "{why}");
                refused += 1;
            }
            Outcome::Unknown(_) => {}
            Outcome::Ok(_) => break,
        }
    }
    assert!(refused >= 1, "nobody listens any more: that is definite");
    assert_ne!(client.node(&READ), Some(first.clone()), "the client goes on with another member");

    let second = leader_other_than(&driver, Some(&first)).await;
    let mut client = driver.client((place + 1) as u32).unwrap();
    ok(&mut client, Call::Write { key: 0, value: 77 }).await;
    let replica = driver.read_replica(&second, &Call::Read { key: 0 }).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(77)))));
    let dead = driver.read_replica(&first, &Call::Read { key: 0 }).await;
    assert!(matches!(dead, Some(Outcome::Fail(_))), "{dead:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_frozen_or_killed_is_absent_and_full_again_when_it_has_caught_up() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let driver = cluster.driver(Model::Register, 10 * SECOND);
    driver.prepare().await.unwrap();
    standings(&driver, ["full", "full", "full"]).await;
    let leader = leader_other_than(&driver, None).await;
    let place = cluster.inventory.ids().position(|id| *id != leader).unwrap();
    let follower = cluster.inventory.ids().nth(place).unwrap().clone();

    cluster.signal(&follower, Signal::STOP);
    let mut expected = ["full"; 3];
    expected[place] = "absent: time-out";
    standings(&driver, expected).await;
    let mut client = driver
        .client(cluster.inventory.ids().position(|id| *id == leader).unwrap() as u32)
        .unwrap();
    for value in 0..300 {
        ok(&mut client, Call::Write { key: 0, value }).await;
    }
    cluster.signal(&follower, Signal::CONT);
    standings(&driver, ["full"; 3]).await;
    let replica = driver.read_replica(&follower, &Call::Read { key: 0 }).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(299)))), "full is caught up");

    cluster.kill(&follower);
    expected[place] = "absent: no connection: Connection refused (os error 111)";
    standings(&driver, expected).await;
}

/// Returns when the members say this of themselves.
async fn standings(driver: &Etcd, expected: [&str; 3]) {
    let mut said = vec![];
    for _ in 0..100 {
        let standings = driver.standings().await.unwrap();
        said = standings.into_iter().map(|(_, standing)| standing.words()).collect::<Vec<_>>();
        if said == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the members say {said:?}, not {expected:?}");
}

async fn leader_other_than(driver: &Etcd, old: Option<&NodeId>) -> NodeId {
    for _ in 0..300 {
        match driver.leader().await {
            Some(leader) if Some(&leader) != old => return leader,
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    panic!("no leader within a minute");
}

#[derive(Default)]
struct Book(Mutex<Vec<(Invocation, Option<Outcome>)>>);

impl Sink for Book {
    fn invoked(&self, start: Invocation) -> u64 {
        let mut book = self.0.lock().unwrap();
        book.push((start, None));
        book.len() as u64 - 1
    }
    fn returned(&self, id: u64, _: Time, _: Time, outcome: Outcome) {
        self.0.lock().unwrap()[id as usize].1 = Some(outcome);
    }
    fn dropped(&self, _: Time) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_loads_three_members_and_reads_the_same_back_from_each_of_them() {
    let Some(cluster) = Cluster::start(3) else { return };
    for model in [Model::Register, Model::Log, Model::ListAppend] {
        let driver = Arc::new(cluster.driver(model, 2 * SECOND));
        driver.prepare().await.unwrap();
        let (book, clock) = (Arc::new(Book::default()), Clock::start());
        let options = engine::Options {
            model,
            mix: Mix::of(model),
            keys: 5,
            seed: 1,
            rate: "50/s".parse().unwrap(),
            workers: 20,
            timeout: 2 * SECOND,
            from: Time::ZERO,
            until: Time::ZERO + 2 * SECOND,
        };
        let run = engine::run(options, driver.clone(), book.clone(), clock, Default::default());
        let load = run.await;
        assert_eq!(load.started + load.dropped, 100, "{load:?}");
        assert!(load.ok > 0, "{load:?}"); // how much is the machine's mood
        let reads = final_reads::Options {
            nodes: cluster.inventory.ids().cloned().collect(),
            calls: load.final_calls.clone(),
            process: load.next_process,
            timeout: 2 * SECOND,
            deadline: clock.now() + 20 * SECOND,
        };
        let calls = load.final_calls.len() as u64;
        let read = final_reads::run(reads, driver, book.clone(), clock).await;
        assert_eq!((read.answered, read.replicas), (calls, 3 * calls), "{read:?}");
        let book = book.0.lock().unwrap();
        for (start, outcome) in book.iter().filter(|(s, _)| s.stage == Stage::Final) {
            let same = book.iter().filter(|(s, _)| s.call == start.call);
            let replicas: Vec<_> =
                same.filter(|(s, _)| matches!(s.stage, Stage::Replica(_))).collect();
            let last = |node: &NodeId| {
                let of = |s: &Invocation| s.stage == Stage::Replica(node.clone());
                replicas.iter().rfind(|(s, _)| of(s)).map(|(_, o)| o)
            };
            for node in cluster.inventory.ids() {
                assert_eq!(last(node), Some(outcome), "{model}: {:?} at {node}", start.call);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_moved_is_found_where_it_is() {
    let Some(cluster) = Cluster::start(1) else { return };
    let n1 = NodeId::new("n1");
    let closed = format!("127.0.0.1:{}", free_ports(1)[0]);
    let book = AddressBook::from_iter([(n1.clone(), closed)]);
    let driver = Etcd::new(&book, Model::Register, 5, 10 * SECOND, "test").unwrap();
    let mut client = driver.client(0).unwrap();
    let write = Call::Write { key: 0, value: 7 };
    assert!(matches!(client.invoke(&write).await, Outcome::Fail(_)), "nobody listens there");
    assert_eq!(driver.leader().await, None);
    book.write(&n1, cluster.inventory.get("n1").unwrap().endpoints.clone());
    driver.prepare().await.unwrap();
    assert_eq!(ok(&mut client, write).await, Reply::Done);
    assert_eq!(leader_other_than(&driver, None).await, n1);
    let replica = driver.read_replica(&n1, &Call::Read { key: 0 }).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(7)))));
}
