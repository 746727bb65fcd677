//! The postgres client against real servers on loopback. Skipped, visibly, where PostgreSQL is not installed.
#![cfg(feature = "postgres")]

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firedrill::history::{Call, Outcome, Reply, Step};
use firedrill::inventory::{AddressBook, Inventory, Node, NodeId};
use firedrill::workload::Model;
use firedrill::workload::client::postgres::{Login, Postgres};
use firedrill::workload::client::{Client, Driver};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const READ: Call = Call::Read { key: 0 };

/// Who PostgreSQL runs as where the tests run as root, as whom it does not run: nobody.
const NOBODY: u32 = 65534;

/// A primary n1 and, if asked for, its standby n2; ended when this goes.
struct Pair {
    programs: PathBuf,
    data: TempDir,
    ports: Vec<u16>,
    servers: Vec<Option<Child>>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        (0..self.servers.len()).for_each(|place| self.crash(place));
    }
}

fn free_ports(n: usize) -> Vec<u16> {
    let held: Vec<_> = (0..n).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|l| l.local_addr().unwrap().port()).collect()
}

/// Where initdb is: Debian keeps it out of the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|v| v.path().join("bin")).collect();
    folders.sort();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH")?));
    folders.into_iter().rfind(|f| f.join("initdb").exists() && f.join("pg_basebackup").exists())
}

impl Pair {
    /// `None`, and a word about it, where PostgreSQL is not installed.
    fn start() -> Option<Pair> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL (initdb, pg_basebackup) is not installed");
            return None;
        };
        let data = TempDir::new().unwrap();
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(data.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut pair = Pair { programs, data, ports: free_ports(2), servers: vec![None, None] };
        let folder = pair.folder(0);
        let options = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"];
        pair.run("initdb", &[&["--pgdata", folder.to_str().unwrap()][..], &options].concat());
        let settings = "fsync = off\nunix_socket_directories = ''\nmax_connections = 50\n\
                        listen_addresses = '127.0.0.1'\nwal_keep_size = 64MB\n";
        let file = folder.join("postgresql.conf");
        let text = std::fs::read_to_string(&file).unwrap() + settings;
        std::fs::write(&file, text).unwrap();
        pair.serve(0);
        Some(pair)
    }

    fn folder(&self, place: usize) -> PathBuf {
        self.data.path().join(format!("n{}", place + 1))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.data.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("LC_ALL", "C.UTF-8").env_remove("PGOPTIONS");
        if rustix::process::getuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let ran = self.command(program).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Starts a server, and returns when it accepts connections.
    fn serve(&mut self, place: usize) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.folder(place)).arg("-p").arg(self.ports[place].to_string());
        self.servers[place] = Some(command.stderr(Stdio::null()).spawn().unwrap());
        let port = self.ports[place].to_string();
        for _ in 0..300 {
            let ready = self.command("pg_isready").args(["-h", "127.0.0.1", "-p", &port]).status();
            if ready.unwrap().success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("n{} never accepts connections", place + 1);
    }

    /// A standby that streams from n1.
    fn follow(&mut self) {
        let (to, port) = (self.folder(1), self.ports[0].to_string());
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "--write-recovery-conf"];
        let how = ["--no-sync", "--checkpoint=fast", "-D", to.to_str().unwrap()];
        self.run("pg_basebackup", &[&from[..], &how].concat());
        self.serve(1);
    }

    /// As by a crash; returns when the server is gone.
    fn crash(&mut self, place: usize) {
        if let Some(mut server) = self.servers[place].take() {
            // SIGQUIT: its children end with it, without a shutdown; SIGKILL would leave them.
            let _ = kill_process(Pid::from_child(&server), Signal::QUIT);
            let _ = server.wait();
        }
    }

    fn psql(&self, place: usize, statement: &str) {
        let port = self.ports[place].to_string();
        let to = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-v", "ON_ERROR_STOP=1"];
        self.run("psql", &[&to[..], &["-c", statement]].concat());
    }

    fn driver(&self, model: Model, timeout: Duration) -> Postgres {
        let node = |(place, port): (usize, &u16)| Node {
            id: NodeId::new(format!("n{}", place + 1)),
            zone: "a".into(),
            endpoints: [("client".to_string(), format!("127.0.0.1:{port}"))].into(),
        };
        let inventory = Inventory::new(self.ports.iter().enumerate().map(node).collect());
        let login = Login { user: "postgres".into(), password: None, database: "postgres".into() };
        Postgres::new(&(&inventory).into(), login, model, 5, timeout, "test").unwrap()
    }
}

async fn ok(client: &mut Box<dyn Client>, call: Call) -> Reply {
    match client.invoke(&call).await {
        Outcome::Ok(reply) => reply,
        other => panic!("{call:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_model_is_asked_and_answered_by_a_real_postgresql() {
    let Some(pair) = Pair::start() else { return };
    let driver = pair.driver(Model::Bank, 10 * SECOND);
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

    assert_eq!(ok(&mut c, Call::Transfer { from: 0, to: 4, amount: 30 }).await, Reply::Done);
    let overdraft = c.invoke(&Call::Transfer { from: 0, to: 1, amount: 71 }).await;
    assert!(matches!(overdraft, Outcome::Fail(_)), "{overdraft:?}");
    let nobody = c.invoke(&Call::Transfer { from: 1, to: 9, amount: 1 }).await;
    assert!(matches!(nobody, Outcome::Fail(_)), "{nobody:?}");
    let balances = Reply::Balances([(0, 70), (1, 100), (2, 100), (3, 100), (4, 130)].into());
    assert_eq!(ok(&mut c, Call::Balances).await, balances);

    let append = |key, value| Step::Append { key, value };
    let steps = vec![append(1, 1), Step::Read { key: 1 }, append(2, 1), append(1, 2)];
    let reply = Reply::Txn(vec![None, Some(vec![1]), None, None]);
    assert_eq!(ok(&mut c, Call::Txn { steps: steps.into() }).await, reply);
    let steps = vec![Step::Read { key: 1 }, Step::Read { key: 2 }, Step::Read { key: 3 }];
    let reply = Reply::Txn(vec![Some(vec![1, 2]), Some(vec![1]), Some(vec![])]);
    assert_eq!(ok(&mut c, Call::Txn { steps: steps.clone().into() }).await, reply);

    let other = c.invoke(&Call::Dequeue { key: 1 }).await;
    assert!(matches!(other, Outcome::Fail(_)), "{other:?}");
    assert_eq!(driver.leader().await, Some("n1".into()));
    let node = NodeId::new("n1");
    let replica = driver.read_replica(&node, &Call::Txn { steps: steps.into() }).await;
    assert_eq!(replica, Some(Outcome::Ok(reply)));
    assert_eq!(driver.read_replica(&node, &Call::Dequeue { key: 1 }).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_collide_are_run_again_and_lose_nothing() {
    let Some(pair) = Pair::start() else { return };
    let driver = pair.driver(Model::ListAppend, 30 * SECOND);
    driver.prepare().await.unwrap();
    let appending = (0..4).map(|process| {
        let mut client = driver.client(process).unwrap();
        tokio::spawn(async move {
            for i in 0..10 {
                let value = i64::from(process) * 100 + i;
                let steps = vec![Step::Read { key: 0 }, Step::Append { key: 0, value }];
                ok(&mut client, Call::Txn { steps: steps.into() }).await;
            }
        })
    });
    for appended in appending.collect::<Vec<_>>() {
        appended.await.unwrap();
    }
    let mut client = driver.client(9).unwrap();
    let Reply::Txn(read) =
        ok(&mut client, Call::Txn { steps: [Step::Read { key: 0 }].into() }).await
    else {
        panic!("no answer to a transaction")
    };
    assert_eq!(read[0].as_ref().unwrap().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_makes_a_write_unknown_and_a_read_fail_within_the_time_out() {
    let Some(pair) = Pair::start() else { return };
    pair.driver(Model::Register, SECOND).prepare().await.unwrap();
    let driver = pair.driver(Model::Register, 3 * SECOND);
    let (mut writer, mut reader) = (driver.client(0).unwrap(), driver.client(2).unwrap());
    ok(&mut writer, Call::Write { key: 0, value: 1 }).await;
    ok(&mut reader, READ).await;
    let port = pair.ports[0].to_string();
    let lock = "BEGIN; LOCK TABLE firedrill.registers; SELECT pg_sleep(600)";
    let mut locker = pair.command("psql");
    locker.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-c", lock]);
    let mut locker = locker.spawn().unwrap();
    let held = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE granted AND \
                mode = 'AccessExclusiveLock' AND relation = 'firedrill.registers'::regclass) \
                LOOP PERFORM pg_sleep(0.05); END LOOP; END $$";
    pair.psql(0, held);
    let write = Call::Write { key: 0, value: 2 };
    let (write, read) = tokio::join!(writer.invoke(&write), reader.invoke(&READ));
    locker.kill().unwrap();
    locker.wait().unwrap();
    assert_eq!(write, Outcome::Unknown("n1: time-out".into()));
    assert_eq!(read, Outcome::Fail("n1: time-out".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_primary_is_gone_clients_fail_definitely_until_the_standby_is_promoted() {
    let Some(mut pair) = Pair::start() else { return };
    pair.follow();
    let driver = pair.driver(Model::Register, 5 * SECOND);
    driver.prepare().await.unwrap();
    assert_eq!(driver.leader().await, Some("n1".into()));
    let mut client = driver.client(1).unwrap();
    assert_eq!(client.node(&READ), Some("n2".into()), "clients are spread over the nodes");
    ok(&mut client, Call::Write { key: 0, value: 1 }).await;
    assert_eq!(client.node(&READ), Some("n1".into()), "a standby takes no writes");
    replicated(&driver, 1).await;
    standings(&driver, ["full", "full"]).await;

    pair.crash(0);
    standings(&driver, ["absent", "behind: no server is the only primary"]).await;
    let mut client = driver.client(0).unwrap();
    let refused = client.invoke(&Call::Write { key: 0, value: 2 }).await;
    let Outcome::Fail(why) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("no server takes writes"), "{why}");
    assert_eq!(driver.leader().await, None);
    let dead = driver.read_replica(&"n1".into(), &READ).await;
    assert!(matches!(dead, Some(Outcome::Fail(_))), "{dead:?}");

    pair.psql(1, "SELECT pg_promote()");
    ok(&mut client, Call::Write { key: 0, value: 3 }).await;
    assert_eq!(client.node(&READ), Some("n2".into()));
    assert_eq!(driver.leader().await, Some("n2".into()));
    standings(&driver, ["absent", "full"]).await;

    pair.serve(0);
    let second = "behind: it takes writes as if it were the primary, which is n2";
    standings(&driver, [second, "full"]).await;
    assert_eq!(driver.leader().await, Some("n2".into()), "the old one's timeline is older");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_turns_read_only_fails_definitely_and_is_left() {
    let Some(pair) = Pair::start() else { return };
    let driver = pair.driver(Model::Register, 5 * SECOND);
    driver.prepare().await.unwrap();
    let mut client = driver.client(0).unwrap();
    ok(&mut client, Call::Write { key: 0, value: 1 }).await;
    pair.psql(0, "ALTER SYSTEM SET default_transaction_read_only = on");
    pair.psql(0, "SELECT pg_reload_conf()");
    let mut outcome = Outcome::Ok(Reply::Done);
    for value in 0..300 {
        outcome = client.invoke(&Call::Write { key: 0, value }).await;
        if !outcome.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(matches!(&outcome, Outcome::Fail(why) if why.contains("25006")), "{outcome:?}");
    let next = client.invoke(&Call::Write { key: 0, value: 2 }).await;
    assert!(matches!(&next, Outcome::Fail(why) if why.contains("no server takes")), "{next:?}");
}

/// Returns when the servers' standings begin like this.
async fn standings(driver: &Postgres, expected: [&str; 2]) {
    let mut said = vec![];
    for _ in 0..100 {
        said = driver.standings().await.unwrap();
        let mut both = said.iter().zip(expected);
        if both.all(|((_, standing), expected)| standing.words().starts_with(expected)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the servers say {said:?}, not {expected:?}");
}

/// Returns when the standby has this value.
async fn replicated(driver: &Postgres, value: i64) {
    for _ in 0..300 {
        let read = driver.read_replica(&"n2".into(), &READ).await;
        if read == Some(Outcome::Ok(Reply::Value(Some(value)))) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("n2 never has {value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_moved_is_found_where_it_is() {
    let Some(pair) = Pair::start() else { return };
    let [n1, closed] = [pair.ports[0], free_ports(1)[0]].map(|port| format!("127.0.0.1:{port}"));
    let book = AddressBook::from_iter([("n1".into(), closed)]);
    let login = Login { user: "postgres".into(), password: None, database: "postgres".into() };
    let driver = Postgres::new(&book, login, Model::Register, 5, 5 * SECOND, "test").unwrap();
    let mut client = driver.client(0).unwrap();
    let write = Call::Write { key: 0, value: 7 };
    assert!(matches!(client.invoke(&write).await, Outcome::Fail(_)), "nobody listens there");
    book.write(&"n1".into(), [("client".to_string(), n1)].into());
    driver.prepare().await.unwrap();
    assert_eq!(ok(&mut client, write).await, Reply::Done);
    assert_eq!(driver.leader().await, Some("n1".into()));
    let replica = driver.read_replica(&"n1".into(), &READ).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(7)))));
}
