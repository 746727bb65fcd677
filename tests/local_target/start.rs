//! What cannot start is one clear error, and leaves nothing behind.

use std::net::TcpListener;
use std::time::Duration;

use firedrill::agent::process::marked;
use firedrill::scenario::Template;
use firedrill::target::Target;
use firedrill::target::local::{Local, Options};

use crate::cast::{SOON, eventually, options, up};

/// The error of a start whose first node runs `sh -c script`, the others as they should.
async fn fails(change: impl FnOnce(&mut Options)) -> String {
    let (mut options, _folder) = options(2);
    change(&mut options);
    let run = options.run.clone();
    let error = Local::new(options).unwrap().start().await.unwrap_err().to_string();
    assert_eq!(marked(&run), [], "what was started is taken down");
    error
}

fn command(words: &[&str]) -> Vec<Template> {
    words.iter().map(|w| w.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_exist_is_named_with_the_remedy() {
    let error = fails(|o| o.command = command(&["no-such-program", "x"])).await;
    assert!(error.contains("node n1: `no-such-program` cannot be started"), "{error}");
    assert!(error.contains("no such program in PATH; install it"), "{error}");
    let error = fails(|o| o.command = command(&["./no/such"])).await;
    assert!(error.contains("no such file"), "{error}");
    let error = fails(|o| o.command = command(&["/etc/passwd"])).await;
    assert!(error.contains("cannot run `/etc/passwd`: Permission denied"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_at_once_is_told_with_its_status_and_the_end_of_its_log() {
    let script = "[ {name} = n1 ] || exec sleep 60; echo out of luck >&2; exit 7";
    let error = fails(|o| o.command = command(&["sh", "-c", script])).await;
    for part in ["node n1", "exit code 7", "out of luck", "n1.log", "before it was ready"] {
        assert!(error.contains(part), "`{part}` in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_never_gets_ready_is_told_with_its_port() {
    let error = fails(|o| {
        o.command = command(&["sh", "-c", "echo waiting for ever; exec sleep 60"]);
        o.ready_timeout = Duration::from_millis(300);
    });
    let error = error.await;
    for part in ["port `client`", "within 300ms", "waiting for ever", "ready_timeout"] {
        assert!(error.contains(part), "`{part}` in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_ends_when_the_run_is_stopped() {
    let (mut options, _folder) = options(2);
    options.command = command(&["sleep", "600"]);
    options.ready_timeout = Duration::from_secs(600);
    let run = options.run.clone();
    let local = std::sync::Arc::new(Local::new(options).unwrap());
    let starting = tokio::spawn({
        let local = local.clone();
        async move { local.start().await.map_err(|e| e.to_string()) }
    });
    assert!(eventually(SOON, || marked(&run).len() == 2));
    assert_eq!(tokio::time::timeout(SOON, local.stop()).await.unwrap(), Vec::<String>::new());
    let why = tokio::time::timeout(SOON, starting).await.unwrap().unwrap().unwrap_err();
    assert!(why.contains("the run is ending"), "{why}");
    assert_eq!(marked(&run), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_names_no_port_of_the_node_is_refused() {
    let error = fails(|o| o.command = command(&["sh", "{listen.clint}"])).await;
    assert!(error.contains("node n1: `{listen.clint}` has no value here"), "{error}");
}

#[test]
fn options_that_cannot_work_are_refused_before_anything_is_done() {
    let refused = |change: fn(&mut Options)| {
        let (mut options, _folder) = options(2);
        change(&mut options);
        Local::new(options).unwrap_err().to_string()
    };
    assert!(refused(|o| o.nodes.clear()).contains("no nodes"));
    assert!(refused(|o| o.nodes[0] = o.nodes[1].clone()).contains("same name"));
    assert!(refused(|o| o.nodes[0].0 = "../up".into()).contains("`../up` cannot be a node's name"));
    assert!(refused(|o| o.ready_port = "http".into()).contains("`http` is not among the ports"));
    assert!(refused(|o| o.command.clear()).contains("command is empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_side_by_side_do_not_meet_and_all_addresses_are_on_the_loopback() {
    let (one, two) = (up(2).await, up(2).await);
    assert_ne!(one.endpoint("n1"), two.endpoint("n1"));
    assert_eq!(one.ping("n1", "n2"), "pong n2");
    assert_eq!(two.ping("n1", "n2"), "pong n2");
    for run in [&one, &two] {
        assert!(run.endpoint("n1").ip().is_loopback());
        assert!(TcpListener::bind(run.endpoint("n1")).is_err(), "held for the run");
    }
}
