//! What the load costs the runner: the engine's peak rate against a client in this process, and the price of
//! writing one operation down. `cargo bench --bench workload` prints both.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use firedrill::history::file::{Invocation, Writer};
use firedrill::history::{Call, Header, Outcome, Process, Reply, Stage, Time, WorkloadFacts};
use firedrill::inventory::{Inventory, NodeId};
use firedrill::quantity::{Rate, Span};
use firedrill::workload::client::{Client, ClientError, Driver};
use firedrill::workload::generate::Mix;
use firedrill::workload::{Clock, Model, Sink, engine};
use futures::future::BoxFuture;

const SECOND: Duration = Duration::from_secs(1);

/// Answers at once.
struct Null;

impl Client for Null {
    fn invoke<'a>(&'a mut self, _: &'a Call) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Ok(Reply::Done) })
    }
    fn node(&self, _call: &Call) -> Option<NodeId> {
        None
    }
}

impl Driver for Null {
    fn client(&self, _: Process) -> Result<Box<dyn Client>, ClientError> {
        Ok(Box::new(Null))
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

/// Counts, and adds up how late operations started.
#[derive(Default)]
struct Counter {
    started: AtomicU64,
    late_ns: AtomicU64,
}

impl Sink for Counter {
    fn invoked(&self, start: Invocation) -> u64 {
        let late = start.invoked.since(start.intended).as_nanos() as u64;
        self.late_ns.fetch_add(late, Ordering::Relaxed);
        self.started.fetch_add(1, Ordering::Relaxed)
    }
    fn returned(&self, _: u64, _: Time, _: Time, outcome: Outcome) {
        black_box(outcome);
    }
    fn dropped(&self, _: Time) {}
}

struct ToFile(Writer);

impl Sink for ToFile {
    fn invoked(&self, start: Invocation) -> u64 {
        self.0.invoked(start)
    }
    fn returned(&self, id: u64, _: Time, at: Time, outcome: Outcome) {
        self.0.returned(id, at, outcome);
    }
    fn dropped(&self, intended: Time) {
        self.0.dropped(intended);
    }
}

async fn load(rate: f64, sink: Arc<dyn Sink>) -> Option<engine::Summary> {
    let clock = Clock::start();
    let options = engine::Options {
        model: Model::Register,
        mix: Mix::of(Model::Register),
        keys: 50,
        seed: 1,
        rate: Rate::per_second_of(rate)?,
        workers: 10,
        timeout: SECOND,
        from: clock.now(),
        until: clock.now() + 2 * SECOND,
    };
    Some(engine::run(options, Arc::new(Null), sink, clock, Default::default()).await)
}

/// The highest of some rates at which nothing is dropped.
async fn engine_peak() {
    let mut peak = 0.0;
    for rate in [10e3, 50e3, 100e3, 200e3, 300e3, 400e3, 600e3, 800e3, 1e6] {
        let sink = Arc::new(Counter::default());
        let Some(summary) = load(rate, sink.clone()).await else { continue };
        let started = sink.started.load(Ordering::Relaxed).max(1);
        let late = sink.late_ns.load(Ordering::Relaxed) / started / 1_000;
        println!(
            "engine, offered {rate:>7.0}/s: started {:>7.0}/s, dropped {}, {late} us late on average",
            started as f64 / 2.0,
            summary.dropped,
        );
        if summary.dropped > 0 {
            break;
        }
        peak = rate;
    }
    println!("engine, peak without a drop: {peak:.0} operations a second");
}

fn header() -> Header {
    Header {
        run: "bench".into(),
        scenario: "bench".into(),
        file: "bench".into(),
        labels: Default::default(),
        seed: 1,
        plan_digest: String::new(),
        target: "local".into(),
        version: "0".into(),
        began: "2026-01-01T00:00:00Z".into(),
        inventory: Inventory::default(),
        workload: WorkloadFacts {
            client: "null".into(),
            model: "register".into(),
            workers: 10,
            rate: Rate::per_second_of(1e3).unwrap_or_else(|| unreachable!("1e3 is a rate")),
            keys: 50,
            timeout: Span::secs(1),
        },
    }
}

fn recording(writer: &Writer) {
    const N: u64 = 200_000;
    let began = Instant::now();
    for i in 0..N {
        let at = Time(i * 1_000_000);
        let id = writer.invoked(Invocation {
            process: (i % 10) as Process,
            node: Some("n1".into()),
            intended: at,
            invoked: at,
            stage: Stage::Load,
            call: Call::Write { key: (i % 50) as u32, value: i as i64 },
        });
        writer.returned(id, at, Outcome::Ok(Reply::Done));
    }
    let each = began.elapsed().as_nanos() as u64 / N;
    println!("recording one operation (its start and its outcome, two writes): {each} ns");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(engine_peak());
    recording(&Writer::create(&folder.path().join("recording.jsonl"), &header())?);
    let sink = Arc::new(ToFile(Writer::create(&folder.path().join("engine.jsonl"), &header())?));
    for rate in [20e3, 50e3, 100e3] {
        if let Some(summary) = runtime.block_on(load(rate, sink.clone())) {
            let started = summary.started as f64 / 2.0;
            let dropped = summary.dropped;
            println!("engine and file, offered {rate:.0}/s: {started:.0}/s, dropped {dropped}");
        }
    }
    Ok(())
}
