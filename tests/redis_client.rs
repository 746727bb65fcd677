//! The redis client against real servers and Sentinels on loopback. Skipped, visibly, where they are not installed.
#![cfg(feature = "redis")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firedrill::history::{Call, Message, Outcome, Reply};
use firedrill::inventory::{AddressBook, Inventory, Node, NodeId};
use firedrill::workload::client::redis::{Options, Redis};
use firedrill::workload::client::{Client, Driver};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// Servers r1, r2, ..., of which the first is the primary, and Sentinels s1, s2, ...; killed when this goes.
struct Group {
    processes: BTreeMap<String, Child>,
    ports: BTreeMap<String, u16>,
    _data: TempDir,
}

impl Drop for Group {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn free_ports(n: usize) -> Vec<u16> {
    let held: Vec<_> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|l| l.local_addr().unwrap().port()).collect()
}

impl Group {
    /// `None`, and a word about it, where a program is not installed.
    fn start(servers: usize, sentinels: usize) -> Option<Group> {
        for program in ["redis-server", "redis-sentinel"] {
            let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            if found.is_err() {
                println!("skipped: {program} is not installed");
                return None;
            }
        }
        let data = TempDir::new().unwrap();
        let ports = free_ports(servers + sentinels);
        let mut group = Group { processes: [].into(), ports: [].into(), _data: data };
        for (i, port) in ports.iter().enumerate() {
            let sentinel = i >= servers;
            let name =
                if sentinel { format!("s{}", i - servers + 1) } else { format!("r{}", i + 1) };
            let mut config = format!("port {port}\nbind 127.0.0.1\ndir {}\n", group.folder());
            config += &match sentinel {
                true => format!(
                    "sentinel monitor mymaster 127.0.0.1 {} {}\n\
                     sentinel down-after-milliseconds mymaster 500\n\
                     sentinel failover-timeout mymaster 3000\n",
                    ports[0],
                    sentinels / 2 + 1
                ),
                false => format!(
                    "save \"\"\ndbfilename {name}.rdb\nrepl-diskless-sync-delay 0\n{}",
                    if i > 0 { format!("replicaof 127.0.0.1 {}\n", ports[0]) } else { "".into() }
                ),
            };
            let file = format!("{}/{name}.conf", group.folder());
            std::fs::write(&file, config).unwrap();
            let program = if sentinel { "redis-sentinel" } else { "redis-server" };
            let quiet = Command::new(program).arg(file).stdout(Stdio::null()).spawn().unwrap();
            group.processes.insert(name.clone(), quiet);
            group.ports.insert(name, *port);
        }
        Some(group)
    }

    fn folder(&self) -> String {
        self._data.path().display().to_string()
    }

    /// As a Compose project has it: each node has both ports, and one of them is closed.
    fn inventory(&self) -> Inventory {
        let closed = free_ports(1)[0];
        let sentinels = self.ports.keys().any(|name| name.starts_with('s'));
        let node = |(name, port): (&String, &u16)| {
            let own = if name.starts_with('s') { "sentinel" } else { "client" };
            let mut endpoints = BTreeMap::new();
            for endpoint in ["client", "sentinel"] {
                let port = if endpoint == own { *port } else { closed };
                if sentinels || endpoint == own {
                    endpoints.insert(endpoint.to_string(), format!("127.0.0.1:{port}"));
                }
            }
            Node { id: name.as_str().into(), zone: "a".into(), endpoints }
        };
        Inventory::new(self.ports.iter().map(node).collect())
    }

    fn driver(&self, timeout: Duration) -> Redis {
        let options = Options { master: "mymaster".into(), username: None, password: None };
        Redis::new(&(&self.inventory()).into(), options, timeout, "test").unwrap()
    }

    /// Returns when the node is gone.
    fn kill(&mut self, node: &str) {
        let process = self.processes.get_mut(node).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    fn signal(&self, node: &str, signal: Signal) {
        kill_process(Pid::from_child(&self.processes[node]), signal).unwrap();
    }

    /// What a node answers to a command, or the beginning of it.
    fn tell(&self, node: &str, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[node]))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    fn wait_until(&self, node: &str, command: &str, says: &[&str]) {
        for _ in 0..300 {
            let answer = self.tell(node, command).unwrap_or_default();
            if says.iter().all(|words| answer.contains(words)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{node} never said {says:?} to {command}: {:?}", self.tell(node, command));
    }
}

async fn ok(client: &mut Box<dyn Client>, call: Call) -> Reply {
    match client.invoke(&call).await {
        Outcome::Ok(reply) => reply,
        other => panic!("{call:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_model_is_asked_and_answered_by_a_real_redis() {
    let Some(group) = Group::start(1, 0) else { return };
    let driver = group.driver(SECOND);
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
    assert_eq!(ok(&mut c, Call::Insert { key: 1, element: 40 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Insert { key: 1, element: 5 }).await, Reply::Done);
    assert_eq!(ok(&mut c, Call::Elements { key: 1 }).await, Reply::Values(vec![5, 40]));

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

    let other = c.invoke(&Call::Balances).await;
    assert!(matches!(other, Outcome::Fail(_)), "{other:?}");
    assert_eq!(driver.leader().await, Some("r1".into()));
    let replica = driver.read_replica(&"r1".into(), &Call::Read { key: 1 }).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(7)))));
    assert_eq!(driver.read_replica(&"r1".into(), &Call::Dequeue { key: 1 }).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_makes_a_write_unknown_and_a_read_fail_within_the_time_out() {
    let Some(group) = Group::start(1, 0) else { return };
    let driver = group.driver(SECOND);
    driver.prepare().await.unwrap();
    let (mut writer, mut reader) = (driver.client(0).unwrap(), driver.client(1).unwrap());
    ok(&mut writer, Call::Write { key: 0, value: 1 }).await;
    ok(&mut reader, Call::Read { key: 0 }).await;
    group.signal("r1", Signal::STOP);
    let write = writer.invoke(&Call::Write { key: 0, value: 2 }).await;
    let read = reader.invoke(&Call::Read { key: 0 }).await;
    let unsent = driver.client(2).unwrap().invoke(&Call::Write { key: 0, value: 3 }).await;
    group.signal("r1", Signal::CONT);
    assert_eq!(write, Outcome::Unknown("r1: time-out".into()));
    assert_eq!(read, Outcome::Fail("r1: time-out".into()));
    assert!(
        matches!(unsent, Outcome::Fail(_)),
        "who has no connection has sent nothing: {unsent:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_demoted_refuses_writes_and_is_left() {
    let Some(group) = Group::start(2, 0) else { return };
    group.wait_until("r2", "INFO replication", &["master_link_status:up"]);
    let driver = group.driver(2 * SECOND);
    driver.prepare().await.unwrap();
    let mut client = driver.client(1).unwrap();
    ok(&mut client, Call::Write { key: 0, value: 1 }).await;
    assert_eq!(client.node(&Call::Read { key: 0 }), Some("r1".into()));

    standings(&driver, "r1 full, r2 full").await;
    group.tell("r2", "REPLICAOF NO ONE").unwrap();
    let nobody = "behind: there is no primary that most agree on and that answers";
    standings(&driver, &format!("r1 {nobody}, r2 {nobody}")).await;
    group.tell("r1", &format!("REPLICAOF 127.0.0.1 {}", group.ports["r2"])).unwrap();
    let refused = client.invoke(&Call::Write { key: 0, value: 2 }).await;
    assert!(matches!(&refused, Outcome::Fail(why) if why.contains("READONLY")), "{refused:?}");
    ok(&mut client, Call::Write { key: 0, value: 3 }).await;
    assert_eq!(client.node(&Call::Read { key: 0 }), Some("r2".into()));
    assert_eq!(driver.leader().await, Some("r2".into()));
    standings(&driver, "r1 full, r2 full").await;
}

/// Returns when the nodes say this of themselves.
async fn standings(driver: &Redis, expected: &str) {
    let mut said = String::new();
    for _ in 0..100 {
        let all = driver.standings().await.unwrap();
        let words = all.iter().map(|(node, standing)| format!("{node} {}", standing.words()));
        said = words.collect::<Vec<_>>().join(", ");
        if said == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the nodes say `{said}`, not `{expected}`");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_names_the_new_primary_when_the_old_one_is_killed() {
    let Some(mut group) = Group::start(2, 3) else { return };
    for sentinel in ["s1", "s2", "s3"] {
        group.wait_until(sentinel, "INFO sentinel", &["slaves=1,sentinels=3"]);
    }
    group.wait_until("r2", "INFO replication", &["master_link_status:up"]);
    let driver = group.driver(2 * SECOND);
    driver.prepare().await.unwrap();
    assert_eq!(driver.leader().await, Some("r1".into()));
    let read = Call::Read { key: 0 };
    assert_eq!(driver.read_replica(&"s1".into(), &read).await, None, "a Sentinel holds no data");
    standings(&driver, "r1 full, r2 full, s1 full, s2 full, s3 full").await;
    let mut client = driver.client(0).unwrap();
    ok(&mut client, Call::Write { key: 0, value: 1 }).await;

    group.kill("r1");
    let mut refused = 0;
    let answered = loop {
        match client.invoke(&Call::Write { key: 0, value: 2 }).await {
            Outcome::Ok(_) => break true,
            Outcome::Unknown(_) if refused == 0 => client = driver.client(5).unwrap(),
            Outcome::Fail(_) if refused < 600 => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => panic!("{other:?} after {refused}"),
        }
    };
    assert!(answered && refused >= 1, "nobody listens any more: that is definite");
    assert_eq!(client.node(&read), Some("r2".into()));
    for _ in 0..100 {
        if driver.leader().await == Some(NodeId::new("r2")) {
            let replica = driver.read_replica(&"r2".into(), &read).await;
            assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(2)))));
            let dead = driver.read_replica(&"r1".into(), &read).await;
            assert!(matches!(dead, Some(Outcome::Fail(_))), "{dead:?}");
            let gone = "no connection: Connection refused (os error 111)";
            let expected = format!("r1 absent: {gone}, r2 full, s1 full, s2 full, s3 full");
            return standings(&driver, &expected).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no majority of the Sentinels names r2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_sentinel_watches_is_told_with_the_remedy() {
    let Some(group) = Group::start(1, 1) else { return };
    group.wait_until("s1", "PING", &["PONG"]);
    let options = Options { master: "other".into(), username: None, password: None };
    let driver = Redis::new(&(&group.inventory()).into(), options, SECOND, "test").unwrap();
    let failed = driver.client(0).unwrap().invoke(&Call::Write { key: 0, value: 1 }).await;
    let Outcome::Fail(why) = failed else { panic!("{failed:?}") };
    assert!(why.contains("it watches no `other`: give `client: {redis: {master: NAME}}`"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_sentinels_that_moved_are_found_where_they_are() {
    let Some(group) = Group::start(1, 1) else { return };
    for node in ["r1", "s1"] {
        group.wait_until(node, "PING", &["PONG"]);
    }
    let inventory = group.inventory();
    let book = AddressBook::default();
    for node in inventory.nodes() {
        let closed = |name: &String| (name.clone(), format!("127.0.0.1:{}", free_ports(1)[0]));
        book.write(&node.id, node.endpoints.keys().map(closed).collect());
    }
    let options = Options { master: "mymaster".into(), username: None, password: None };
    let driver = Redis::new(&book, options, SECOND, "test").unwrap();
    let mut client = driver.client(0).unwrap();
    let write = Call::Write { key: 0, value: 7 };
    assert!(matches!(client.invoke(&write).await, Outcome::Fail(_)), "nobody listens there");
    for node in inventory.nodes() {
        book.write(&node.id, node.endpoints.clone());
    }
    assert_eq!(ok(&mut client, write.clone()).await, Reply::Done);
    assert_eq!(client.node(&write), Some("r1".into()));
    let replica = driver.read_replica(&"r1".into(), &Call::Read { key: 0 }).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(7)))));
}

/// As in a Compose project, whose names only its own containers can resolve.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_names_the_primary_by_its_nodes_name_is_understood() {
    let Some(group) = Group::start(1, 0) else { return };
    group.wait_until("r1", "PING", &["PONG"]);
    let sentinel = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = sentinel.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in sentinel.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (mut stream, mut asked) = (stream, [0; 4096]);
                while let Ok(length @ 1..) = stream.read(&mut asked) {
                    // What comes before the question is how the library introduces itself.
                    let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                    let answer = match asked.contains("get-master-addr-by-name") {
                        true => "*2\r\n$2\r\nr1\r\n$4\r\n6379\r\n",
                        false => "+OK\r\n",
                    };
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    let book = AddressBook::from(&group.inventory());
    book.write(&"s1".into(), [("sentinel".to_string(), address)].into());
    let options = Options { master: "mymaster".into(), username: None, password: None };
    let driver = Redis::new(&book, options, SECOND, "test").unwrap();
    let mut client = driver.client(0).unwrap();
    let write = Call::Write { key: 0, value: 7 };
    assert_eq!(ok(&mut client, write.clone()).await, Reply::Done);
    assert_eq!(client.node(&write), Some("r1".into()));
    assert_eq!(driver.leader().await, Some("r1".into()));
}
