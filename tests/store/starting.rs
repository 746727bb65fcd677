//! Starting and ending: clear errors, clean ends, torn and corrupt logs.

use std::io::Write;
use std::process::{Command, Stdio};

use firedrill::history::{Call, Outcome, Reply};

use crate::cluster::Cluster;
use crate::durability::{NOTHING, insert, missing};

/// Runs a node that must refuse to start: its exit code and what it said.
fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stderr(Stdio::piped()).stdout(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_node_cleanly_and_nothing_is_lost() {
    let cluster = Cluster::start(3, &[]).await;
    let acknowledged = insert(&cluster, 1, 10).await;
    for node in 0..3 {
        assert_eq!(cluster.terminate(node).code(), Some(0));
    }
    (0..3).for_each(|node| cluster.spawn(node));
    cluster.ready().await;
    assert_eq!(missing(&acknowledged, &cluster.elements(1).await), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_of_the_log_is_cut_and_the_node_serves() {
    let cluster = Cluster::start(1, &[]).await;
    let acknowledged = insert(&cluster, 1, 10).await;
    cluster.kill(0);
    let path = cluster.folder.path().join("n1/log");
    let before = std::fs::read(&path).unwrap();
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"0badc0de {\"entry\":{\"log_id\"").unwrap();
    cluster.spawn(0);
    cluster.ready().await;
    assert_eq!(cluster.elements(1).await, acknowledged);
    let after = std::fs::read(&path).unwrap();
    assert!(after.starts_with(&before) && !String::from_utf8_lossy(&after).contains("0badc0de"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_corrupt_in_the_middle_is_one_clear_error() {
    let cluster = Cluster::start(1, &[]).await;
    insert(&cluster, 1, 10).await;
    cluster.kill(0);
    let path = cluster.folder.path().join("n1/log");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let (code, said) = refused(&mut cluster.command(0));
    assert_eq!(code, Some(2));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(path.to_str().unwrap()) && said.contains("corrupt record at byte"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_or_a_folder_in_use_and_an_unknown_bug_are_clear_errors() {
    let cluster = Cluster::start(1, &[]).await;
    let (code, said) = refused(&mut cluster.command(0));
    assert_eq!(code, Some(2));
    assert!(said.contains("cannot listen on") && said.contains("for clients"), "{said}");
    let elsewhere = ["--listen-client", "127.0.0.1:0", "--listen-peer", "127.0.0.1:0"];
    let args = ["store", "--name", "n1", "--member", "n1=127.0.0.1:1"];
    let firedrill = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(args).args(elsewhere);
        command
    };
    let (code, said) = refused(firedrill().arg("--data").arg(cluster.folder.path().join("n1")));
    assert_eq!(code, Some(2));
    assert!(said.contains("in use by another process"), "{said}");
    let (code, said) = refused(firedrill().args(["--data", "/dev/null/x"]));
    assert_eq!(code, Some(2));
    assert!(said.contains("/dev/null/x"), "{said}");
    let (code, said) = refused(firedrill().args(["--data", "/dev/null/x", "--bug", "early-akc"]));
    assert_eq!(code, Some(2));
    assert!(said.contains("early-akc") && said.contains("early-ack"), "{said}");
    let (code, said) = refused(firedrill().args(["--data", "x", "--member", "n1=127.0.0.1:2"]));
    assert_eq!(code, Some(2));
    assert!(said.contains("a member is named twice"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_was_never_sent_failed_and_one_that_was_is_unknown() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    let mut client = cluster.client(1);
    assert_eq!(client.invoke(&Call::Write { key: 1, value: 1 }).await, Outcome::Ok(Reply::Done));
    cluster.net.isolate(&[0, 1, 2]);
    let others = cluster.others(leader);
    others.iter().for_each(|other| cluster.kill(*other));
    let Outcome::Unknown(why) = client.invoke(&Call::Write { key: 1, value: 2 }).await else {
        panic!("a leader without a majority cannot know");
    };
    assert!(why.starts_with("time-out after 5s; sent to n"), "{why}");
    cluster.kill(leader);
    let Outcome::Fail(why) = cluster.client(2).invoke(&Call::Write { key: 1, value: 3 }).await
    else {
        panic!("nobody was there to send it to");
    };
    assert!(why.contains("never sent within 5s"), "{why}");
}
