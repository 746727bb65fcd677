//! A system whose members are scripted, watched in virtual time.

use std::sync::Mutex;

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;
use crate::history::file;
use crate::history::{Call, Header, Outcome, Process, WorkloadFacts};
use crate::inventory::{Inventory, Node};
use crate::quantity::{Rate, Span};
use crate::workload::client::{Client, ClientError};

/// What all members say from so many milliseconds on; `None`: nobody can tell.
type Script = Vec<(u64, Option<Vec<(NodeId, Standing)>>)>;

struct Scripted {
    began: Instant,
    script: Mutex<Script>,
    asked: Mutex<u32>,
}

impl Driver for Scripted {
    fn client(&self, _: Process) -> Result<Box<dyn Client>, ClientError> {
        Err(ClientError { client: "scripted", why: "nobody works here".into() })
    }
    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async { Ok(()) })
    }
    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async { None })
    }
    fn read_replica<'a>(&'a self, _: &'a NodeId, _: &'a Call) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async { None })
    }
    fn standings(&self) -> BoxFuture<'_, Option<Vec<(NodeId, Standing)>>> {
        Box::pin(async {
            *self.asked.lock().unwrap() += 1;
            sleep(Duration::from_millis(100)).await;
            let now = self.began.elapsed().as_millis() as u64;
            let script = self.script.lock().unwrap();
            script.iter().rfind(|(from, _)| *from <= now).and_then(|(_, said)| said.clone())
        })
    }
}

fn header() -> Header {
    let node = |id: &str| Node { id: id.into(), zone: "a".into(), endpoints: Default::default() };
    let workload = WorkloadFacts {
        client: "scripted".into(),
        model: "register".into(),
        workers: 1,
        rate: Rate::per_second_of(1.0).unwrap(),
        keys: 1,
        timeout: Span::secs(1),
    };
    Header {
        run: "watch".into(),
        scenario: "watch".into(),
        file: "watch.yaml".into(),
        labels: Default::default(),
        seed: 1,
        plan_digest: "0".into(),
        target: "local".into(),
        version: "0".into(),
        began: "2026-11-23T00:00:00Z".into(),
        inventory: Inventory::new(["n1", "n2"].map(node).to_vec()),
        workload,
    }
}

fn says(n1: Standing, n2: Standing) -> Option<Vec<(NodeId, Standing)>> {
    Some(vec![("n1".into(), n1), ("n2".into(), n2)])
}

fn behind(entries: u32) -> Standing {
    Standing::Behind(format!("{entries} entries short"))
}

/// Watches until the members are back after `healed`, at most until `limit` (ms). Returns what was written, how
/// long it was waited and how often asked.
async fn watched(script: Script, healed: u64, limit: u64) -> (Vec<String>, u64, u32) {
    let ms = |ms: u64| Time(ms * 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let writer = Arc::new(Writer::create(&path, &header()).unwrap());
    let (events, _) = mpsc::unbounded_channel();
    let (clock, began) = (Clock::start(), Instant::now());
    let driver = Arc::new(Scripted { began, script: script.into(), asked: Mutex::new(0) });
    let nodes = vec!["n1".into(), "n2".into()];
    let mut watch = Watch::begin(nodes, driver.clone(), Told { writer, events, clock });
    watch.back(ms(healed), ms(limit)).await;
    let waited = began.elapsed().as_millis() as u64;
    watch.end().await;
    let written = file::read(&path).unwrap().nodes.into_iter().map(|event| match event.kind {
        NodeEventKind::Stands { standing, after } => {
            let (at, after) = (event.at.0 / 1_000_000, after.0 / 1_000_000);
            format!("{after}..{at} {} {}", event.node, standing.words())
        }
        other => panic!("{other:?}"),
    });
    let asked = *driver.asked.lock().unwrap();
    (written.collect(), waited, asked)
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_written_with_the_ask_before_and_at_the_end_how_all_stand() {
    let full = || Standing::Full;
    let script = vec![
        (0, says(full(), full())),
        (1_000, says(behind(9), full())),
        (1_500, says(behind(4), full())),
        (2_000, says(full(), full())),
    ];
    let (written, waited, _) = watched(script, 1_200, 60_000).await;
    let expected = [
        "0..100 n1 full",
        "0..100 n2 full",
        "600..1300 n1 behind: 9 entries short",
        "1800..2500 n1 full", // fewer entries short is no change
        "3000..3700 n1 full",
        "3000..3700 n2 full",
    ];
    assert_eq!(written, expected);
    assert_eq!(waited, 3_700, "two asks after the first that found all of them full");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_not_back_is_asked_until_after_the_limit() {
    let gone = Standing::Absent("no connection".into());
    let (written, waited, _) =
        watched(vec![(0, says(Standing::Full, gone.clone()))], 0, 2_000).await;
    assert_eq!(waited, 2_500);
    assert_eq!(written.last().unwrap(), "1800..2500 n2 absent: no connection");
}

#[tokio::test(start_paused = true)]
async fn full_before_the_heal_is_not_back_after_it() {
    let full = || says(Standing::Full, Standing::Full);
    let (_, waited, _) = watched(vec![(0, full())], 5_000, 60_000).await;
    assert_eq!(waited, 5_500, "the first ask that began after the heal");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_tell_it_is_said_once_and_not_asked_again() {
    let (written, waited, asked) = watched(vec![(0, None)], 60_000, 120_000).await;
    assert_eq!((waited, asked), (100, 1));
    let words = "unknown: the client asks members nothing";
    let both = ["n1", "n2"].map(|node| format!("0..100 {node} {words}"));
    assert_eq!(written, [both.clone(), both].concat());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_the_client_leaves_out_is_unknown() {
    let script = vec![(0, Some(vec![("n1".into(), Standing::Full)]))];
    let (written, ..) = watched(script, 0, 300).await;
    assert!(written.contains(&"0..100 n2 unknown: the client says nothing of it".into()));
}
