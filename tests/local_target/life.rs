//! Lives of real processes: killed, stopped, paused, started again; and nothing outlives the
//! runner.

use std::process::Stdio;
use std::time::Duration;

use firedrill::agent::process::{marked, reap};
use firedrill::condition::{Condition, Life, Link};
use firedrill::history::NodeEventKind;
use firedrill::scenario::Template;
use firedrill::target::{Notice, Target};

use crate::cast::{SOON, Talk, eventually, links, up, up_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_gone_and_comes_back_with_its_data_at_its_address() {
    let run = up(2).await;
    run.talk("n1").say("keep treasure");
    for life in [Life::Killed, Life::Stopped] {
        run.life("n1", life).await;
        assert_eq!(run.marked(), 1, "only n2 is left");
        let measured = run.proof("n1").await.join("\n");
        assert!(measured.contains("connect refused after"), "{measured}");
        run.heal("n1").await;
        assert_eq!(run.talk("n1").say("kept"), "treasure");
        assert_eq!(run.ping("n2", "n1"), "pong n1");
        run.proof("n1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_is_silent_and_goes_on_where_it_was() {
    let run = up(1).await;
    let mut client = run.talk("n1");
    client.say("keep me");
    run.life("n1", Life::Paused).await;
    let measured = run.proof("n1").await.join("\n");
    assert!(measured.contains("are stopped (state T)"), "{measured}");
    let asked = std::thread::spawn(move || client.say("kept"));
    std::thread::sleep(Duration::from_millis(100));
    assert!(!asked.is_finished());
    run.heal("n1").await;
    assert_eq!(asked.join().unwrap(), "me");
    run.proof("n1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_can_be_stopped_and_an_apply_again_changes_nothing() {
    let run = up(1).await;
    run.life("n1", Life::Paused).await;
    run.life("n1", Life::Paused).await;
    run.life("n1", Life::Stopped).await;
    assert_eq!(run.marked(), 0);
    run.life("n1", Life::Killed).await;
    run.proof("n1").await;
    run.life("n1", Life::Paused).await;
    run.proof("n1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_cut_off_is_waited_for_when_the_cut_heals() {
    let run =
        up_with(2, |o| drop(o.env.insert("NEEDS_PEERS".into(), Template::literal("yes")))).await;
    let cut = [("n2", Link::CUT)];
    run.apply("n1", &Condition { life: Life::Killed, ..links(&cut, &cut) }).await;
    run.apply("n1", &links(&cut, &cut)).await;
    let measured = run.proof("n1").await.join("\n");
    assert!(measured.contains("not ready while its links suffer"), "{measured}");
    run.heal("n1").await;
    assert_eq!(run.talk("n1").say("kept"), "");
    assert!(run.proof("n1").await.join("\n").contains("connect accepted"));

    // Healed at its own end first, then at the other: its proof waits.
    run.apply("n2", &links(&[("n1", Link::CUT)], &[])).await;
    run.life("n1", Life::Killed).await;
    run.heal("n1").await;
    run.heal("n2").await;
    assert!(run.proof("n1").await.join("\n").contains("connect accepted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn grandchildren_in_sessions_of_their_own_die_with_their_node() {
    let run = up(1).await;
    run.talk("n1").say("child");
    assert!(eventually(SOON, || run.marked() == 2));
    run.life("n1", Life::Paused).await;
    assert!(run.proof("n1").await.join("\n").contains("in 2 processes are stopped"));
    run.life("n1", Life::Killed).await;
    assert_eq!(run.marked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_by_itself_is_noticed_and_not_proven_to_run() {
    let run = up(1).await;
    let mut notices = run.local.notices();
    let _ = run.talk("n1").try_say("exit 3");
    let died = tokio::time::timeout(SOON, async {
        loop {
            if let Some(Notice { kind: NodeEventKind::Died(how), .. }) = notices.recv().await {
                return how;
            }
        }
    });
    assert_eq!(died.await.unwrap(), "exit code 3");
    run.heal("n1").await;
    let unproven = run.local.prove(&"n1".into()).await.unproven.unwrap();
    assert!(unproven.contains("died by itself: exit code 3"), "{unproven}");
    assert_eq!(run.marked(), 0, "it is not brought back in secret");
    run.life("n1", Life::Killed).await;
    run.heal("n1").await;
    run.proof("n1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_firedrill_ends_is_told_as_meant() {
    let run = up(1).await;
    let mut notices = run.local.notices();
    run.life("n1", Life::Killed).await;
    run.heal("n1").await;
    let mut told = Vec::new();
    while told.len() < 5 {
        let notice = tokio::time::timeout(SOON, notices.recv()).await.unwrap().unwrap();
        told.push(notice.kind);
    }
    use NodeEventKind::{Ended, Ready, Started};
    assert!(told.contains(&Ended("signal 9".into())), "{told:?}");
    assert_eq!(told.iter().filter(|k| **k == Started).count(), 2);
    assert_eq!(told.iter().filter(|k| **k == Ready).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_leaves_no_process_and_no_listener() {
    let run = up(3).await;
    run.talk("n1").say("child");
    run.life("n2", Life::Paused).await;
    let endpoint = run.endpoint("n1");
    assert_eq!(run.local.stop().await, Vec::<String>::new());
    assert_eq!(run.marked(), 0);
    assert_eq!(Talk::to(endpoint).err().unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
    let again = run.local.apply(&"n1".into(), &Condition::default()).await;
    assert!(again.unwrap_err().to_string().contains("not started"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_target_leaves_no_process() {
    let run = up(2).await;
    run.talk("n1").say("child");
    let id = run.options.run.clone();
    drop(run);
    assert_eq!(marked(&id), []);
}

/// The runner that the next test kills: only when it is started as one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by a test, to be killed"]
async fn runner() {
    if std::env::var("ACT_AS_RUNNER").is_ok() {
        let run = up(3).await;
        run.life("n2", Life::Paused).await;
        run.life("n3", Life::Killed).await;
        run.heal("n3").await;
        println!("\nrun {}", run.options.run);
        std::thread::sleep(Duration::from_secs(600));
    }
}

#[test]
fn nothing_of_a_run_outlives_a_runner_that_is_killed() {
    use std::io::{BufRead, BufReader};
    let mut runner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "life::runner", "--nocapture"])
        .env("ACT_AS_RUNNER", "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let run = lines.find_map(|line| line.strip_prefix("run ").map(String::from)).unwrap();
    assert_eq!(marked(&run).len(), 3);
    runner.kill().unwrap();
    runner.wait().unwrap();
    let gone = eventually(SOON, || marked(&run).is_empty());
    let left = reap(&run, SOON);
    assert!(gone && left.is_empty());
}

#[test]
fn the_reaper_finds_what_a_run_left_and_kills_it() {
    let run = format!("test-{:x}", rand::random::<u64>());
    let mut left = std::process::Command::new("setsid")
        .args(["sleep", "600"])
        .env("FIREDRILL_RUN", &run)
        .spawn()
        .unwrap();
    assert!(eventually(SOON, || !marked(&run).is_empty()));
    assert_eq!(reap(&run, SOON), []);
    assert!(!left.wait().unwrap().success());
}
