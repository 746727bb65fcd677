//! The engine in virtual time: instants and counts are exact.

use std::sync::atomic::AtomicBool;

use futures::future::BoxFuture;

use super::*;
use crate::history::Reply;
use crate::inventory::NodeId;
use crate::workload::client::{Client, ClientError};

/// What the sink was told.
#[derive(Debug, Default)]
struct Notes {
    started: Vec<Invocation>,
    returned: Vec<(u64, Time, Time, Outcome)>,
    dropped: Vec<Time>,
}

#[derive(Default)]
struct Notebook(Mutex<Notes>);

impl Sink for Notebook {
    fn invoked(&self, start: Invocation) -> u64 {
        let mut notes = self.0.lock().unwrap();
        notes.started.push(start);
        notes.started.len() as u64 - 1
    }
    fn returned(&self, id: u64, intended: Time, at: Time, outcome: Outcome) {
        self.0.lock().unwrap().returned.push((id, intended, at, outcome));
    }
    fn dropped(&self, intended: Time) {
        self.0.lock().unwrap().dropped.push(intended);
    }
}

/// A system whose clients do what `script` says for the n-th call of all.
struct Scripted {
    script: fn(u64) -> Act,
    calls: Arc<AtomicU64>,
    makes: AtomicBool,
}

enum Act {
    Answer(Duration, Outcome),
    Hang,
    Panic,
}

struct ScriptedClient(fn(u64) -> Act, Arc<AtomicU64>);

impl Client for ScriptedClient {
    fn invoke<'a>(&'a mut self, _: &'a Call) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match (self.0)(self.1.fetch_add(1, Ordering::Relaxed)) {
                Act::Answer(after, outcome) => {
                    tokio::time::sleep(after).await;
                    outcome
                }
                Act::Hang => std::future::pending().await,
                Act::Panic => panic!("as the script says"),
            }
        })
    }
    fn node(&self, _call: &Call) -> Option<NodeId> {
        None
    }
}

impl Driver for Scripted {
    fn client(&self, _: Process) -> Result<Box<dyn Client>, ClientError> {
        match self.makes.load(Ordering::Relaxed) {
            true => Ok(Box::new(ScriptedClient(self.script, Arc::clone(&self.calls)))),
            false => Err(ClientError { client: "scripted", why: "out of clients".into() }),
        }
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
}

fn ms(ms: u64) -> Time {
    Time(ms * 1_000_000)
}

fn after(ms: u64) -> Act {
    Act::Answer(Duration::from_millis(ms), Outcome::Ok(Reply::Done))
}

fn options(rate: &str, workers: u32, until: Time) -> Options {
    Options {
        model: Model::Register,
        mix: Mix::of(Model::Register),
        keys: 3,
        seed: 1,
        rate: rate.parse().unwrap(),
        workers,
        timeout: Duration::from_secs(1),
        from: Time::ZERO,
        until,
    }
}

/// Runs to the end, or until `stop_at`.
async fn drill(
    options: Options,
    script: fn(u64) -> Act,
    stop_at: Option<Time>,
) -> (Summary, Notes) {
    drill_with(options, script, stop_at, true).await
}

async fn drill_with(
    options: Options,
    script: fn(u64) -> Act,
    stop_at: Option<Time>,
    makes: bool,
) -> (Summary, Notes) {
    let driver =
        Scripted { script, calls: Arc::new(AtomicU64::new(0)), makes: AtomicBool::new(makes) };
    let book = Arc::new(Notebook::default());
    let (clock, stop) = (Clock::start(), CancellationToken::new());
    if let Some(at) = stop_at {
        let stop = stop.clone();
        tokio::spawn(async move {
            clock.sleep_until(at).await;
            stop.cancel();
        });
    }
    let summary = run(options, Arc::new(driver), book.clone(), clock, stop).await;
    let notes = std::mem::take(&mut *book.0.lock().unwrap());
    (summary, notes)
}

fn intended(notes: &Notes) -> Vec<Time> {
    let mut times: Vec<_> = notes.started.iter().map(|s| s.intended).collect();
    times.sort_unstable();
    times
}

#[tokio::test(start_paused = true)]
async fn operations_start_exactly_when_the_rate_wants_them() {
    let (summary, notes) = drill(options("100/s", 5, ms(10_000)), |_| after(30), None).await;
    assert_eq!(intended(&notes), (0..1_000).map(|i| ms(10 * i)).collect::<Vec<_>>());
    assert!(notes.started.iter().all(|s| s.invoked == s.intended), "a free worker starts at once");
    assert_eq!((summary.started, summary.ok, summary.dropped), (1_000, 1_000, 0));
    assert_eq!(summary.ended, ms(10_000));
}

#[tokio::test(start_paused = true)]
async fn above_the_timers_resolution_every_start_keeps_its_own_intended_time() {
    let (summary, notes) = drill(options("8000/s", 50, ms(1_000)), |_| after(2), None).await;
    assert_eq!(intended(&notes), (0..8_000).map(|i| Time(125_000 * i)).collect::<Vec<_>>());
    assert_eq!((summary.started, summary.dropped), (8_000, 0));
    assert!(summary.latest_wake <= Duration::from_millis(1), "{:?}", summary.latest_wake);
}

#[tokio::test(start_paused = true)]
async fn latency_counts_from_the_intended_start_of_an_operation_that_had_to_wait() {
    // One worker, 25 ms an operation, one start each 20 ms: the second waits for 5 ms, the third for 10.
    let (_, notes) = drill(options("50/s", 1, ms(45)), |_| after(25), None).await;
    let starts: Vec<_> = notes.started.iter().map(|s| (s.intended, s.invoked)).collect();
    assert_eq!(starts, [(ms(0), ms(0)), (ms(20), ms(25))]);
    assert_eq!(notes.returned[1], (1, ms(20), ms(50), Outcome::Ok(Reply::Done)));
    assert_eq!(notes.dropped, [ms(40)], "due, and the load was over before a worker was free");
}

#[tokio::test(start_paused = true)]
async fn starts_that_find_every_worker_busy_are_dropped_one_by_one() {
    // The first two calls take 995 ms of both workers, all the others none.
    let script = |n| after(if n < 2 { 995 } else { 0 });
    let (summary, notes) = drill(options("100/s", 2, ms(2_000)), script, None).await;
    // Starts at 0 and 10 ms are made. The workers are back at 995 and 1005 ms.
    let dropped: Vec<_> = (2..99).map(|i| ms(10 * i)).collect();
    assert_eq!(notes.dropped, dropped);
    assert_eq!((summary.started, summary.dropped), (103, 97));
    assert_eq!(notes.started[2].intended, ms(990), "5 ms late is within the grace");
}

#[tokio::test(start_paused = true)]
async fn drops_are_told_while_the_workers_still_hang() {
    let book = Arc::new(Notebook::default());
    let driver =
        Scripted { script: |_| Act::Hang, calls: Arc::default(), makes: AtomicBool::new(true) };
    let (clock, sink) = (Clock::start(), book.clone());
    let run = run(options("100/s", 1, ms(900)), Arc::new(driver), sink, clock, Default::default());
    tokio::select! {
        _ = run => panic!("the worker hangs for 1.25 s"),
        () = clock.sleep_until(ms(505)) => {}
    }
    let dropped = book.0.lock().unwrap().dropped.clone();
    assert_eq!(dropped, (1..50).map(|i| ms(10 * i)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_client_is_an_unknown_outcome_and_its_identity_is_never_used_again() {
    let script = |n| if n == 1 { Act::Hang } else { after(0) };
    let (summary, notes) = drill(options("10/s", 2, ms(3_000)), script, None).await;
    let (id, _, at, outcome) =
        notes.returned.iter().find(|r| matches!(r.3, Outcome::Unknown(_))).unwrap();
    assert_eq!(*outcome, Outcome::Unknown("time-out after 1s".into()));
    assert_eq!(*at, ms(100 + 1_250));
    let retired = notes.started[*id as usize].process;
    assert!(notes.started[*id as usize + 1..].iter().all(|s| s.process != retired));
    assert!(notes.started.iter().any(|s| s.process == 2), "the worker goes on under a new name");
    assert_eq!((summary.unknown, summary.next_process, summary.dropped), (1, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn every_unknown_outcome_retires_one_identity_and_a_failure_none() {
    let script = |n| match n % 3 {
        0 => Act::Answer(Duration::ZERO, Outcome::Unknown("reset".into())),
        1 => Act::Answer(Duration::ZERO, Outcome::Fail("refused".into())),
        _ => after(0),
    };
    let (summary, notes) = drill(options("100/s", 4, ms(3_000)), script, None).await;
    assert_eq!((summary.unknown, summary.failed, summary.ok), (100, 100, 100));
    assert_eq!(summary.next_process, 4 + 100);
    let mut retired = std::collections::BTreeSet::new();
    for (start, (_, _, _, outcome)) in notes.started.iter().zip(&notes.returned) {
        assert!(!retired.contains(&start.process), "{} was retired", start.process);
        if matches!(outcome, Outcome::Unknown(_)) {
            retired.insert(start.process);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_costs_one_operation_and_is_counted() {
    let script = |n| if n == 3 { Act::Panic } else { after(0) };
    let (summary, notes) = drill(options("100/s", 2, ms(1_000)), script, None).await;
    assert_eq!((summary.started, summary.ok, summary.unknown), (100, 99, 1));
    assert_eq!((summary.panics, summary.next_process), (1, 3));
    let said = Outcome::Unknown("the client panicked: as the script says".into());
    assert!(notes.returned.iter().any(|r| r.3 == said), "{:?}", notes.returned);
}

#[tokio::test(start_paused = true)]
async fn operations_without_a_client_fail_and_say_why() {
    let (summary, notes) =
        drill_with(options("10/s", 1, ms(1_000)), |_| after(0), None, false).await;
    assert_eq!((summary.started, summary.failed), (10, 10));
    assert!(summary.clients_not_made >= 10);
    let why = Outcome::Fail("client `scripted`: out of clients".into());
    assert!(notes.returned.iter().all(|r| r.3 == why), "{:?}", notes.returned);
}

#[tokio::test(start_paused = true)]
async fn a_stop_starts_nothing_more_and_lets_what_is_in_flight_finish() {
    let script = |n| if n == 5 { Act::Hang } else { after(30) };
    let stop_at = ms(55);
    let (summary, notes) = drill(options("100/s", 9, ms(60_000)), script, Some(stop_at)).await;
    assert_eq!(intended(&notes), (0..6).map(|i| ms(10 * i)).collect::<Vec<_>>());
    assert_eq!((summary.started, summary.ok, summary.unknown), (6, 5, 1));
    assert_eq!((summary.ended, summary.dropped), (stop_at, 0));
    assert_eq!(notes.returned.last().map(|r| r.2), Some(ms(50 + 1_250)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_wakes_workers_that_wait_for_a_start_far_ahead() {
    let before = tokio::time::Instant::now();
    let (summary, _) = drill(options("1/h", 3, ms(7_200_000)), |_| after(0), Some(ms(5))).await;
    assert_eq!(before.elapsed(), Duration::from_millis(5));
    assert_eq!((summary.started, summary.dropped), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn every_start_before_the_end_is_either_made_or_dropped() {
    for stop_at in [1, 7, 333, 1_001, 2_500] {
        let script = |n| if n % 7 == 0 { Act::Hang } else { after(n % 40) };
        let (summary, notes) =
            drill(options("400/s", 3, ms(2_000)), script, Some(ms(stop_at))).await;
        let due: Vec<_> =
            (0..800).map(|i| Time(2_500_000 * i)).filter(|t| *t < ms(stop_at)).collect();
        let mut all = intended(&notes);
        all.extend(&notes.dropped);
        all.sort_unstable();
        assert_eq!(all, due, "stop at {stop_at}");
        assert_eq!(summary.started + summary.dropped, all.len() as u64);
        assert_eq!(notes.started.len(), notes.returned.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_over_before_it_begins_does_nothing() {
    let (summary, notes) = drill(options("100/s", 3, Time::ZERO), |_| after(0), None).await;
    assert_eq!((summary.started, summary.dropped, notes.started.len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_asks_the_same_questions() {
    let calls = |notes: Notes| notes.started.into_iter().map(|s| s.call).collect::<Vec<_>>();
    let (_, one) = drill(options("100/s", 3, ms(1_000)), |_| after(3), None).await;
    let (_, two) = drill(options("100/s", 3, ms(1_000)), |_| after(3), None).await;
    let other = Options { seed: 2, ..options("100/s", 3, ms(1_000)) };
    let (_, three) = drill(other, |_| after(3), None).await;
    let (one, two, three) = (calls(one), calls(two), calls(three));
    assert_eq!(one, two);
    assert_ne!(one, three);
}
