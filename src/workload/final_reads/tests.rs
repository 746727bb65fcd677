//! The final reads against a small system that answers late, or never, or not as a whole.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::BoxFuture;

use super::*;
use crate::workload::client::{Client, ClientError};

/// One queue of three elements; a register that is silent for the first attempts; replicas of it.
#[derive(Default)]
struct System {
    queue: Arc<Mutex<VecDeque<i64>>>,
    /// How many reads are still refused.
    refuses: Arc<AtomicU32>,
    /// How many reads still get no answer at all.
    silent: Arc<AtomicU32>,
    without_replica_read: bool,
    replica_refuses: AtomicU32,
}

fn takes_one(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

struct Asker {
    queue: Arc<Mutex<VecDeque<i64>>>,
    refuses: Arc<AtomicU32>,
    silent: Arc<AtomicU32>,
}

impl Client for Asker {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if takes_one(&self.silent) {
                std::future::pending::<()>().await;
            }
            if takes_one(&self.refuses) {
                return Outcome::Fail("not yet".into());
            }
            Outcome::Ok(Reply::Value(match call {
                Call::Dequeue { .. } => self.queue.lock().unwrap().pop_front(),
                _ => Some(7),
            }))
        })
    }
    fn node(&self, _call: &Call) -> Option<NodeId> {
        None
    }
}

impl Driver for System {
    fn client(&self, _: Process) -> Result<Box<dyn Client>, ClientError> {
        let (refuses, silent) = (Arc::clone(&self.refuses), Arc::clone(&self.silent));
        Ok(Box::new(Asker { queue: Arc::clone(&self.queue), refuses, silent }))
    }
    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async { Ok(()) })
    }
    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async { None })
    }
    fn read_replica<'a>(&'a self, _: &'a NodeId, _: &'a Call) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async {
            if self.without_replica_read {
                return None;
            }
            Some(match takes_one(&self.replica_refuses) {
                true => Outcome::Fail("not yet".into()),
                false => Outcome::Ok(Reply::Value(Some(7))),
            })
        })
    }
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
    fn dropped(&self, _: Time) {
        panic!("a final read has no rate")
    }
}

fn ms(ms: u64) -> Time {
    Time(ms * 1_000_000)
}

async fn read(system: System, calls: Vec<Call>) -> (Summary, Vec<(Invocation, Option<Outcome>)>) {
    let options = Options {
        nodes: vec!["n1".into(), "n2".into()],
        calls,
        process: 40,
        timeout: Duration::from_secs(1),
        deadline: ms(5_000),
    };
    let book = Arc::new(Book::default());
    let summary = run(options, Arc::new(system), book.clone(), Clock::start()).await;
    let written = std::mem::take(&mut *book.0.lock().unwrap());
    (summary, written)
}

fn reads(n: u32) -> Vec<Call> {
    (0..n).map(|key| Call::Read { key }).collect()
}

#[tokio::test(start_paused = true)]
async fn every_call_is_read_once_and_then_once_from_each_node() {
    let (summary, book) = read(System::default(), reads(100)).await;
    assert_eq!((summary.answered, summary.replicas), (100, 200));
    assert!(summary.unanswered.is_empty() && summary.unanswered_replicas.is_empty());
    let count = |stage: &Stage| book.iter().filter(|(s, _)| s.stage == *stage).count();
    let (n1, n2) = (Stage::Replica("n1".into()), Stage::Replica("n2".into()));
    assert_eq!((count(&Stage::Final), count(&n1), count(&n2), book.len()), (100, 100, 100, 300));
    let finals_first = book.iter().take(100).all(|(s, _)| s.stage == Stage::Final);
    assert!(finals_first, "replicas come after the final reads");
    assert!(book.iter().all(|(s, _)| s.process >= 40 && s.process < summary.next_process));
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_until_it_is_answered_and_each_attempt_is_written_down() {
    let system = System::default();
    system.refuses.store(3, Ordering::Relaxed);
    system.silent.store(1, Ordering::Relaxed);
    system.replica_refuses.store(2, Ordering::Relaxed);
    let (summary, book) = read(system, reads(1)).await;
    assert_eq!((summary.answered, summary.replicas), (1, 2));
    let finals: Vec<_> = book.iter().filter(|(s, _)| s.stage == Stage::Final).collect();
    let processes: Vec<_> = finals.iter().map(|(s, _)| s.process).collect();
    assert_eq!(processes, [40, 41, 41, 41, 41], "an unknown outcome retires the identity");
    assert_eq!(finals[0].1, Some(Outcome::Unknown("time-out after 1s".into())));
    assert_eq!(book.len(), 5 + 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_before_the_deadline_is_named() {
    let system = System::default();
    system.refuses.store(u32::MAX, Ordering::Relaxed);
    system.replica_refuses.store(u32::MAX, Ordering::Relaxed);
    let before = tokio::time::Instant::now();
    let (summary, _) = read(system, reads(2)).await;
    assert_eq!(summary.answered, 0);
    assert_eq!(summary.unanswered, reads(2));
    assert_eq!(summary.unanswered_replicas.len(), 4);
    assert!(before.elapsed() < Duration::from_secs(7), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_drained_one_element_an_operation_until_it_is_empty() {
    let system = System::default();
    system.queue.lock().unwrap().extend([5, 6, 7]);
    let (summary, book) = read(system, vec![Call::Dequeue { key: 0 }]).await;
    let taken: Vec<_> = book.into_iter().map(|(_, outcome)| outcome.unwrap()).collect();
    let value = |v| Outcome::Ok(Reply::Value(v));
    assert_eq!(taken, [value(Some(5)), value(Some(6)), value(Some(7)), value(None)]);
    assert_eq!((summary.answered, summary.replicas), (1, 0), "a dequeue is no read of a replica");
}

#[tokio::test(start_paused = true)]
async fn a_system_without_replica_reads_is_said_to_have_none() {
    let system = System { without_replica_read: true, ..System::default() };
    let (summary, book) = read(system, reads(3)).await;
    assert_eq!((summary.answered, summary.replicas, summary.without_replica_read), (3, 0, 6));
    assert_eq!(book.len(), 3, "nothing is written down that was never asked");
}
