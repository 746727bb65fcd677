//! Random faults under load: a writer, readers and appenders, and nothing acknowledged may be lost,
//! doubled or read too late. `FIREDRILL_CHAOS_SECONDS` makes it longer than its few seconds.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firedrill::history::{Call, Message, Outcome, Reply};
use firedrill::store::Bug;
use firedrill::workload::client::Client;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cluster::Cluster;

/// What everybody saw, and what was wrong with it.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// The register's writer counts upwards; whoever starts to read later may not see less than
    /// this.
    newest: AtomicI64,
    successes: AtomicI64,
    appends: AtomicI64,
    wrong: Mutex<Vec<String>>,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }
}

/// A new identity after each unknown outcome, as in a drill.
struct Worker {
    cluster: Arc<Cluster>,
    process: u32,
    client: Box<dyn Client>,
}

impl Worker {
    fn new(cluster: &Arc<Cluster>, process: u32) -> Worker {
        Worker { cluster: cluster.clone(), process, client: cluster.client(process) }
    }

    async fn ask(&mut self, call: Call) -> Outcome {
        let outcome = self.client.invoke(&call).await;
        if let Outcome::Unknown(_) = outcome {
            self.process += 100;
            self.client = self.cluster.client(self.process);
        }
        outcome
    }
}

async fn write(mut worker: Worker, seen: Arc<Seen>) {
    let mut value = 0;
    while seen.goes_on() {
        value += 1;
        if worker.ask(Call::Write { key: 1, value }).await.is_ok() {
            seen.newest.fetch_max(value, Ordering::SeqCst);
            seen.successes.fetch_add(1, Ordering::SeqCst);
        } else {
            // It may take effect at any time: a smaller value must not follow a greater one.
            return;
        }
    }
}

async fn read(mut worker: Worker, seen: Arc<Seen>) {
    while seen.goes_on() {
        let at_least = seen.newest.load(Ordering::SeqCst);
        if let Outcome::Ok(Reply::Value(value)) = worker.ask(Call::Read { key: 1 }).await {
            let value = value.unwrap_or(0);
            if value < at_least {
                seen.wrong.lock().unwrap().push(format!("read {value} after {at_least}"));
            }
            seen.newest.fetch_max(value, Ordering::SeqCst);
            seen.successes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn append(mut worker: Worker, seen: Arc<Seen>) -> Vec<(u64, Message)> {
    let (mut acknowledged, mut sequence) = (vec![], 0);
    while seen.goes_on() {
        let message = Message { sender: worker.process, sequence };
        if let Outcome::Ok(Reply::Offset(at)) = worker.ask(Call::Append { key: 2, message }).await {
            acknowledged.push((at, message));
            seen.appends.fetch_add(1, Ordering::SeqCst);
        }
        sequence += 1;
    }
    acknowledged
}

/// One random fault after the other. The cluster's processes are killed by the test's own hand.
async fn trouble(cluster: &Cluster, dead: &mut Vec<usize>, dice: &mut ChaCha8Rng) {
    let node = dice.random_range(0..cluster.size());
    match dice.random_range(0..11) {
        0 | 1 if dead.len() * 2 + 2 < cluster.size() && !dead.contains(&node) => {
            cluster.kill(node);
            dead.push(node);
        }
        0..=2 => {
            if let Some(node) = dead.pop() {
                cluster.spawn(node);
            }
        }
        3 => cluster.net.isolate(&[node]),
        4 => cluster.net.isolate(&[node, (node + 1) % cluster.size()]),
        5 => cluster.net.deafen(node),
        6 => cluster.net.gag(node),
        7 => cluster.net.slow(node, Duration::from_millis(dice.random_range(5..300))),
        8 | 9 => {
            cluster.pause(node, true);
            tokio::time::sleep(Duration::from_millis(dice.random_range(100..2000))).await;
            cluster.pause(node, false);
        }
        _ => cluster.net.heal(),
    }
    tokio::time::sleep(Duration::from_millis(dice.random_range(50..1500))).await;
}

/// Runs the load under random faults, and hands back what was wrong.
async fn chaos(size: usize, bugs: &[&'static str], seconds: u64) -> Vec<String> {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let cluster = Arc::new(Cluster::start(size, bugs).await);
    let seen = Arc::new(Seen::default());
    let writer = tokio::spawn(write(Worker::new(&cluster, 0), seen.clone()));
    let readers = [1, 2, 3].map(|p| tokio::spawn(read(Worker::new(&cluster, p), seen.clone())));
    let appenders = [4, 5].map(|p| tokio::spawn(append(Worker::new(&cluster, p), seen.clone())));
    let (end, mut dead) = (Instant::now() + Duration::from_secs(seconds), vec![]);
    // At least so long, and until there was something to judge: it may be a busy machine.
    let worked = || {
        let done = [&seen.successes, &seen.appends].map(|n| n.load(Ordering::SeqCst));
        !bugs.is_empty() || (done[0] > 100 && done[1] > 50)
    };
    let patience = end + Duration::from_secs(120);
    while Instant::now() < end || !worked() {
        assert!(Instant::now() < patience, "the clients get nothing done");
        trouble(&cluster, &mut dead, &mut dice).await;
    }
    cluster.net.heal();
    dead.into_iter().for_each(|node| cluster.spawn(node));
    seen.over.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    cluster.ready().await;
    assert_eq!(cluster.died(), [], "no node dies by itself, whatever its bug");
    let log = cluster.client(99_999).invoke(&Call::ReadLog { key: 2, from: 0 }).await;
    let Outcome::Ok(Reply::Messages(log)) = log else { panic!("no final read: {log:?}") };
    let mut wrong = std::mem::take(&mut *seen.wrong.lock().unwrap());
    for appender in appenders {
        for (at, message) in appender.await.unwrap() {
            let place = usize::try_from(at).unwrap();
            if log.get(place) != Some(&message) {
                wrong.push(format!("{message:?} is not at {at}, where it was acknowledged"));
            }
        }
    }
    let mut once = log.clone();
    once.sort();
    once.dedup();
    if once.len() != log.len() {
        wrong.push(format!("{} messages stand there twice", log.len() - once.len()));
    }
    wrong
}

fn seconds() -> u64 {
    std::env::var("FIREDRILL_CHAOS_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(6)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_under_random_faults_are_linearizable_and_lose_nothing() {
    assert_eq!(chaos(3, &[], seconds()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_under_random_faults_are_linearizable_and_lose_nothing() {
    assert_eq!(chaos(5, &[], seconds()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_load_and_faults_find_a_bug_that_is_there() {
    for _ in 0..20 {
        if !chaos(3, &["stale-reads"], 4).await.is_empty() {
            return;
        }
    }
    panic!("stale reads were not seen in twenty tries");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_any_bug_the_nodes_live_on_and_serve_again() {
    for bug in Bug::ALL {
        println!("{bug}");
        chaos(3, &[bug.name()], seconds() / 2).await;
    }
}
