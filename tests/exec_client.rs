//! The exec client against children that do their work, and children that do not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firedrill::history::{Call, Outcome, Reply, Standing};
use firedrill::inventory::{AddressBook, Endpoints, Inventory, Node, NodeId};
use firedrill::workload::Model;
use firedrill::workload::client::exec::{Exec, Options};
use firedrill::workload::client::{Client, Driver};
use serde_json::{Value, json};

const READ: Call = Call::Read { key: 1 };

fn driver(command: &[&str], inventory: Inventory) -> Exec {
    patient_driver(command, inventory, Duration::from_secs(1))
}

fn patient_driver(command: &[&str], inventory: Inventory, timeout: Duration) -> Exec {
    Exec::new(Options {
        command: command.iter().map(ToString::to_string).collect(),
        book: (&inventory).into(),
        model: Model::Register,
        keys: 5,
        timeout,
        run: "exec-test".into(),
    })
}

/// A child that is a shell script; `$i` is the id of each question, `$line` its text.
fn shell(each_question: &str) -> Exec {
    let script =
        format!("read -r hello; i=0; while read -r line; do i=$((i+1)); {each_question}; done");
    driver(&["sh", "-c", &script], Inventory::default())
}

fn answering(reply: &str) -> Exec {
    shell(&format!(r#"echo '{{"id":'$i',{reply}}}'"#))
}

async fn told(driver: &Exec) -> Outcome {
    driver.client(0).unwrap().invoke(&READ).await
}

#[tokio::test]
async fn what_the_child_says_is_the_outcome() {
    let ok = Outcome::Ok(Reply::Value(Some(7)));
    assert_eq!(told(&answering(r#""ok":{"value":7}"#)).await, ok);
    let fail = Outcome::Fail("no quorum".into());
    assert_eq!(told(&answering(r#""fail":"no quorum""#)).await, fail);
    let unknown = Outcome::Unknown("reset".into());
    assert_eq!(told(&answering(r#""unknown":"reset""#)).await, unknown);
}

#[tokio::test]
async fn one_child_answers_call_after_call() {
    let driver = answering(r#""ok":{"value":7}"#);
    let mut client = driver.client(0).unwrap();
    for _ in 0..50 {
        assert_eq!(client.invoke(&READ).await, Outcome::Ok(Reply::Value(Some(7))));
    }
}

#[tokio::test]
async fn a_child_that_goes_wrong_is_an_unknown_outcome_and_is_asked_nothing_more() {
    for (each_question, said) in [
        ("echo nonsense", "not an answer"),
        (r#"echo '{"id":99,"ok":{"value":7}}'"#, "an answer to 99, expected one to 1"),
        (r#"echo '{"id":1,"ok":"done"}'"#, "does not answer what was asked"),
        ("exit 3", "the client ended with exit code 3"),
        ("kill -TERM $$", "the client ended by signal 15"),
        ("sleep 20", "no answer within 6s 100ms"),
    ] {
        let driver = shell(each_question);
        let mut client = driver.client(0).unwrap();
        let outcome = client.invoke(&READ).await;
        match &outcome {
            Outcome::Unknown(why) => assert!(why.contains(said), "{each_question}: {why}"),
            other => panic!("{each_question}: {other:?}"),
        }
        let next = client.invoke(&READ).await;
        assert!(matches!(next, Outcome::Fail(_)), "never sent, so it failed: {next:?}");
    }
}

#[tokio::test]
async fn a_call_that_was_given_up_is_not_answered_by_a_later_line() {
    let driver = shell(r#"sleep 0.2; echo '{"id":'$i',"ok":{"value":7}}'"#);
    let mut client = driver.client(0).unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(20), client.invoke(&READ)).await;
    assert!(given_up.is_err());
    let next = client.invoke(&READ).await;
    assert_eq!(next, Outcome::Fail("an earlier question was given up".into()));
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_named_before_the_load_begins() {
    let driver = driver(&["no-such-command-at-all"], Inventory::default());
    let said = driver.prepare().await.unwrap_err().to_string();
    assert!(said.starts_with("client `exec`: cannot start `no-such-command-at-all`"), "{said}");
    assert!(said.contains("PATH"), "{said}");
}

#[tokio::test]
async fn a_child_that_ends_at_once_is_told_before_the_load_begins() {
    let driver = driver(&["sh", "-c", "exit 4"], Inventory::default());
    let said = driver.prepare().await.unwrap_err().to_string();
    assert!(said.contains("exit code 4") && said.contains("`sh -c exit 4`"), "{said}");
}

#[tokio::test]
async fn questions_about_the_system_are_optional() {
    let n1 = NodeId::new("n1");
    let knows_nothing = answering(r#""unsupported":true"#);
    knows_nothing.prepare().await.unwrap();
    assert_eq!(knows_nothing.leader().await, None);
    assert_eq!(knows_nothing.leader().await, None);
    assert_eq!(knows_nothing.read_replica(&n1, &READ).await, None);

    assert_eq!(answering(r#""leader":"n1""#).leader().await, Some(n1.clone()));
    assert_eq!(answering(r#""leader":null"#).leader().await, None);
    let replica = answering(r#""ok":{"value":null}"#).read_replica(&n1, &READ).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(None))));
}

#[tokio::test]
async fn how_members_stand_is_what_the_child_says_and_unknown_where_it_says_nothing() {
    let node = |id: &str| Node { id: id.into(), zone: "a".into(), endpoints: Default::default() };
    let inventory = Inventory::new(["n1", "n2"].map(node).to_vec());
    let says = |answer: &str| {
        let script = format!("read -r hello; while read -r line; do {answer}; done");
        driver(&["sh", "-c", &script], inventory.clone())
    };
    let unknown = |why: &str| Standing::Unknown(why.into());
    let old = says(r#"echo '{"id":1,"unsupported":true}'"#);
    assert_eq!((old.standings().await, old.standings().await), (None, None));
    let knows_one = says(r#"echo '{"id":1,"standings":{"n1":{"behind":"3 entries to go"}}}'"#);
    let behind = Standing::Behind("3 entries to go".into());
    let silent = unknown("the client says nothing of it");
    let expected = vec![("n1".into(), behind), ("n2".into(), silent)];
    assert_eq!(knows_one.standings().await, Some(expected));
    let ended = unknown("asked how members stand: the client ended with exit code 3");
    let expected = vec![("n1".into(), ended.clone()), ("n2".into(), ended)];
    assert_eq!(says("exit 3").standings().await, Some(expected));
}

#[tokio::test]
async fn a_desk_that_went_wrong_is_replaced() {
    let once = r#"test $i = 1 && echo '{"id":1,"leader":"n1"}' || exit 1"#;
    let driver = shell(once);
    assert_eq!(driver.leader().await, Some("n1".into()));
    assert_eq!(driver.leader().await, None, "the second question ends it");
    assert_eq!(driver.leader().await, Some("n1".into()), "a new one answers");
}

#[tokio::test]
async fn a_child_dies_with_its_client_and_so_do_its_own_children() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pids");
    let script = format!(
        "sleep 60 & echo $$ $! > {p}.new; env > {p}.env; mv {p}.new {p}; wait",
        p = path.display()
    );
    let driver = driver(&["sh", "-c", &script], Inventory::default());
    let client = driver.client(0).unwrap();
    wait_until(|| path.exists()).await;
    let pids = std::fs::read_to_string(&path).unwrap();
    let alive = || pids.split_whitespace().filter(|pid| lives(pid)).count();
    assert_eq!(alive(), 2, "the child and its own child");
    let environment = std::fs::read_to_string(path.with_extension("env")).unwrap();
    assert!(environment.contains("FIREDRILL_RUN=exec-test"), "the watchdog finds it by this");
    drop(client);
    wait_until(|| alive() == 0).await;
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|s| !s.contains(") Z "))
}

async fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 40 s");
}

/// Nodes that speak the embedded store's client protocol; the second one leads and has one register.
struct FakeStore {
    inventory: Inventory,
    /// What was asked of the leader: client, seq, local.
    asked: Arc<Mutex<Vec<(u64, u64, bool)>>>,
    /// How many of the leader's answers get lost from now on; the calls take effect all the same.
    lose: Arc<AtomicU32>,
}

impl FakeStore {
    fn start() -> FakeStore {
        let (asked, lose) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicU32::new(0)));
        let mut nodes = vec![];
        for name in ["n1", "n2"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let endpoints = [("client".to_string(), address)].into();
            nodes.push(Node { id: name.into(), zone: "a".into(), endpoints });
            let (asked, lose) = (Arc::clone(&asked), Arc::clone(&lose));
            std::thread::spawn(move || serve(&listener, name == "n2", &asked, &lose));
        }
        FakeStore { inventory: Inventory::new(nodes), asked, lose }
    }
}

fn serve(
    listener: &TcpListener,
    leads: bool,
    asked: &Mutex<Vec<(u64, u64, bool)>>,
    lose: &AtomicU32,
) {
    let mut known = BTreeMap::<(u64, u64), Value>::new();
    let mut value = Value::Null;
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let request: Value = serde_json::from_str(&line).unwrap();
            let local = request["local"].as_bool().unwrap();
            let name = (request["client"].as_u64().unwrap(), request["seq"].as_u64().unwrap());
            let reply = if !leads && !local {
                json!({"not-leader": {"leader": "n2"}})
            } else {
                asked.lock().unwrap().push((name.0, name.1, local));
                known.entry(name).or_insert_with(|| perform(&mut value, &request["call"])).clone()
            };
            if leads && lose.load(Ordering::Relaxed) > 0 {
                lose.fetch_sub(1, Ordering::Relaxed);
                break;
            }
            if writeln!(stream, "{reply}").is_err() {
                break;
            }
        }
    }
}

fn perform(value: &mut Value, call: &Value) -> Value {
    match call["f"].as_str().unwrap() {
        "read" => json!({"ok": {"value": value}}),
        "write" => {
            *value = call["value"].clone();
            json!({"ok": "done"})
        }
        "cas" if *value == call["from"] => {
            *value = call["to"].clone();
            json!({"ok": {"swapped": true}})
        }
        _ => json!({"ok": {"swapped": false}}),
    }
}

/// An interpreter takes its time to start on a busy machine.
const PATIENT: Duration = Duration::from_secs(5);

fn example() -> Option<String> {
    let python = std::process::Command::new("python3").arg("--version").output();
    if python.is_err() {
        println!("skipped: python3 is not installed");
        return None;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/exec/client.py");
    Some(path.display().to_string())
}

#[tokio::test]
async fn the_python_example_is_at_most_forty_lines_and_finds_the_leader() {
    let Some(example) = example() else { return };
    assert!(std::fs::read_to_string(&example).unwrap().lines().count() <= 40);
    let store = FakeStore::start();
    let driver = patient_driver(&["python3", &example], store.inventory.clone(), PATIENT);
    driver.prepare().await.unwrap();
    let mut client = driver.client(0).unwrap();
    let ask = async |client: &mut Box<dyn Client>, call| client.invoke(&call).await;
    let write = Call::Write { key: 1, value: 5 };
    assert_eq!(ask(&mut client, write).await, Outcome::Ok(Reply::Done));
    assert_eq!(ask(&mut client, READ).await, Outcome::Ok(Reply::Value(Some(5))));
    let replica = driver.read_replica(&"n1".into(), &READ).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(None))), "n1 itself, not the leader");
}

#[tokio::test]
async fn the_python_example_asks_again_under_the_same_name_when_an_answer_is_lost() {
    let Some(example) = example() else { return };
    let store = FakeStore::start();
    let driver = patient_driver(&["python3", &example], store.inventory.clone(), PATIENT);
    let mut client = driver.client(1).unwrap();
    let write = client.invoke(&Call::Write { key: 1, value: 5 }).await;
    assert_eq!(write, Outcome::Ok(Reply::Done));
    store.lose.store(1, Ordering::Relaxed);
    let swapped = client.invoke(&Call::Cas { key: 1, from: 5, to: 6 }).await;
    assert_eq!(swapped, Outcome::Ok(Reply::Swapped(true)), "done once, though asked twice");
    assert_eq!(*store.asked.lock().unwrap(), [(1, 1, false), (1, 2, false), (1, 2, false)]);

    store.lose.store(u32::MAX, Ordering::Relaxed);
    let lost = client.invoke(&Call::Write { key: 1, value: 9 }).await;
    assert!(matches!(lost, Outcome::Unknown(_)), "it took effect, and nobody said so: {lost:?}");
}

#[tokio::test]
async fn the_python_example_fails_definitely_where_nobody_listens() {
    let Some(example) = example() else { return };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let endpoints = [("client".to_string(), closed)].into();
    let node = Node { id: "n1".into(), zone: "a".into(), endpoints };
    let driver = patient_driver(&["python3", &example], Inventory::new(vec![node]), PATIENT);
    let write = driver.client(0).unwrap().invoke(&Call::Write { key: 1, value: 5 }).await;
    assert!(matches!(&write, Outcome::Fail(why) if why.contains("refused")), "{write:?}");
}

#[tokio::test]
async fn a_child_is_told_with_its_next_question_where_a_node_is_now() {
    let at = |address: &str| Endpoints::from([("client".to_string(), address.to_string())]);
    let node = Node { id: "n1".into(), zone: "a".into(), endpoints: at("10.0.0.1:7") };
    // It answers with how often it has been told so far, its greeting included.
    let script = r#"told=0; i=-1; while read -r line; do i=$((i+1))
        case "$line" in *endpoints*10.0.0.*) told=$((told+1)) ;; esac
        [ $i = 0 ] || echo '{"id":'$i',"ok":{"value":'$told'}}'; done"#;
    let book = AddressBook::from(&Inventory::new(vec![node]));
    let driver = Exec::new(Options {
        command: ["sh", "-c", script].map(String::from).into(),
        book: book.clone(),
        model: Model::Register,
        keys: 5,
        timeout: Duration::from_secs(1),
        run: "exec-test".into(),
    });
    let mut client = driver.client(0).unwrap();
    let mut told = async || match client.invoke(&READ).await {
        Outcome::Ok(Reply::Value(Some(times))) => times,
        other => panic!("{other:?}"),
    };
    assert_eq!((told().await, told().await), (1, 1));
    book.write(&"n1".into(), at("10.0.0.2:7"));
    assert_eq!((told().await, told().await), (2, 2), "once");
    let mut later = driver.client(1).unwrap();
    assert_eq!(later.invoke(&READ).await, Outcome::Ok(Reply::Value(Some(1))), "it was greeted");
}

#[tokio::test]
async fn the_python_example_follows_a_node_that_moved() {
    let Some(example) = example() else { return };
    let store = FakeStore::start();
    let leader = store.inventory.get("n2").unwrap().endpoints.clone();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let book = AddressBook::from_iter([("n2".into(), closed)]);
    let command = ["python3", &example].map(String::from).into();
    let (model, run) = (Model::Register, "exec-test".into());
    let driver =
        Exec::new(Options { command, book: book.clone(), model, keys: 5, timeout: PATIENT, run });
    let mut client = driver.client(0).unwrap();
    let write = Call::Write { key: 1, value: 5 };
    assert!(matches!(client.invoke(&write).await, Outcome::Fail(_)));
    book.write(&"n2".into(), leader);
    assert_eq!(client.invoke(&write).await, Outcome::Ok(Reply::Done));
}
