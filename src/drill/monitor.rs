//! Watches the operations go by: writes each to the history, and keeps the running figures that the live
//! view, the steady state and the guards need. Memory is bounded by time, not by operations.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::event::Progress;
use super::lookout::Sender;
use crate::history::file::{Invocation, Writer};
use crate::history::{Outcome, Stage, Steady, Time};
use crate::quantity::Ratio;
use crate::workload::{Clock, Sink};

/// The finest time that a window of figures can be cut to.
const BUCKET: Duration = Duration::from_millis(100);
/// How long figures are kept: the longest window that a guard or a steady state may have.
pub const WINDOW_MAX: Duration = Duration::from_secs(600);
/// How long latencies are kept.
const LATENCY_WINDOW: Duration = Duration::from_secs(1);

/// Writes operations down and keeps figures of the load.
#[derive(Debug)]
pub struct Monitor {
    writer: std::sync::Arc<Writer>,
    clock: Clock,
    looking: Option<Sender>,
    in_flight: AtomicU64,
    figures: Mutex<Figures>,
    /// Operations in flight that are no part of the load: final reads.
    reads: Mutex<HashSet<u64>>,
}

#[derive(Debug, Default)]
struct Figures {
    total: Counts,
    buckets: VecDeque<(u64, Counts)>,
    latencies: VecDeque<(Time, Duration)>,
}

/// Operations by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Returned ok.
    pub ok: u64,
    /// Failed for certain.
    pub failed: u64,
    /// Of unknown outcome.
    pub unknown: u64,
    /// No worker was free.
    pub dropped: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.dropped += other.dropped;
    }
    /// All that ended, or never started.
    pub fn all(&self) -> u64 {
        self.ok + self.failed + self.unknown + self.dropped
    }
    /// Successful / all; `None` of nothing.
    pub fn success(&self) -> Option<Ratio> {
        (self.all() > 0).then(|| Ratio::new(self.ok as f64 / self.all() as f64))
    }
}

impl Monitor {
    /// A monitor that writes to this history, and sends the load's operations to whoever looks at them.
    pub(super) fn new(
        writer: std::sync::Arc<Writer>,
        clock: Clock,
        looking: Option<Sender>,
    ) -> Monitor {
        Monitor {
            writer,
            clock,
            looking,
            in_flight: AtomicU64::new(0),
            figures: Mutex::default(),
            reads: Mutex::default(),
        }
    }

    fn figures(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// What ended within the last `window` before `now`, to a tenth of a second.
    pub fn over_last(&self, now: Time, window: Duration) -> Counts {
        let (from, to) = (bucket_of(now - window), bucket_of(now));
        let mut counts = Counts::default();
        for (at, bucket) in self.figures().buckets.iter().rev() {
            match *at {
                at if at >= to => {} // still filling
                at if at < from => break,
                _ => counts.add(*bucket),
            }
        }
        counts
    }

    /// The steady state, measured over the last `window`.
    pub fn steady(&self, now: Time, window: Duration, success: Ratio, rate: f64) -> Steady {
        let counts = self.over_last(now, window);
        let ratio = counts.success().unwrap_or_default();
        let returned = (counts.all() - counts.dropped) as f64 / window.as_secs_f64().max(1e-3);
        let held = counts.ok > 0 && ratio >= success && returned >= rate;
        Steady { from: now - window, to: now, success: ratio, rate: returned, held }
    }

    /// The figures of this moment, for people.
    pub fn progress(&self, elapsed: Duration) -> Progress {
        let now = self.clock.now();
        let last = self.over_last(now, Duration::from_secs(1));
        let mut figures = self.figures();
        figures.forget_latencies(now);
        let mut latencies: Vec<Duration> = figures.latencies.iter().map(|(_, l)| *l).collect();
        latencies.sort_unstable();
        let quantile = |q: f64| {
            let rank = (latencies.len() as f64 * q).ceil() as usize;
            latencies.get(rank.saturating_sub(1)).copied()
        };
        let total = figures.total;
        Progress {
            elapsed,
            ok: total.ok,
            failed: total.failed,
            unknown: total.unknown,
            dropped: total.dropped,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            rate: (last.all() - last.dropped) as f64,
            success: last.success(),
            p50: quantile(0.50),
            p99: quantile(0.99),
        }
    }

    fn count(&self, at: Time, counts: Counts, latency: Option<Duration>) {
        let mut figures = self.figures();
        figures.total.add(counts);
        let bucket = bucket_of(at);
        match figures.buckets.back_mut() {
            // Instants of other threads may be a little older than the newest bucket.
            Some((newest, last)) if *newest >= bucket => last.add(counts),
            _ => figures.buckets.push_back((bucket, counts)),
        }
        let oldest = bucket_of(at - WINDOW_MAX);
        while figures.buckets.front().is_some_and(|(at, _)| *at < oldest) {
            figures.buckets.pop_front();
        }
        if let Some(latency) = latency {
            figures.latencies.push_back((at, latency));
            figures.forget_latencies(at);
        }
    }
}

impl Figures {
    fn forget_latencies(&mut self, now: Time) {
        while self.latencies.front().is_some_and(|(at, _)| now.since(*at) > LATENCY_WINDOW) {
            self.latencies.pop_front();
        }
    }
}

fn bucket_of(at: Time) -> u64 {
    at.0 / BUCKET.as_nanos() as u64
}

impl Sink for Monitor {
    fn invoked(&self, start: Invocation) -> u64 {
        let load = start.stage == Stage::Load;
        let shown = self.looking.as_ref().filter(|_| load).map(|sender| {
            let Invocation { process, invoked, call, .. } = &start;
            (sender, *process, *invoked, call.clone())
        });
        let id = self.writer.invoked(start);
        if let Some((sender, process, at, call)) = shown {
            sender.invoked(id, process, at, call);
        }
        match load {
            true => drop(self.in_flight.fetch_add(1, Ordering::Relaxed)),
            false => drop(self.reads.lock().unwrap_or_else(|p| p.into_inner()).insert(id)),
        }
        id
    }

    fn returned(&self, id: u64, intended: Time, at: Time, outcome: Outcome) {
        let counts = match &outcome {
            Outcome::Ok(_) => Counts { ok: 1, ..Counts::default() },
            Outcome::Fail(_) => Counts { failed: 1, ..Counts::default() },
            Outcome::Unknown(_) => Counts { unknown: 1, ..Counts::default() },
        };
        let latency = outcome.is_ok().then(|| at.since(intended));
        let shown = self.looking.as_ref().map(|sender| (sender, outcome.clone()));
        self.writer.returned(id, at, outcome);
        if let Some((sender, outcome)) = shown {
            sender.returned(id, at, outcome);
        }
        if !self.reads.lock().unwrap_or_else(|p| p.into_inner()).remove(&id) {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.count(at, counts, latency);
        }
    }

    fn dropped(&self, intended: Time) {
        self.writer.dropped(intended);
        self.count(self.clock.now(), Counts { dropped: 1, ..Counts::default() }, None);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::{Call, Header, Reply, WorkloadFacts};
    use crate::inventory::Inventory;

    /// A monitor that writes to a folder of its own.
    pub(in crate::drill) fn monitor() -> (tempfile::TempDir, Monitor) {
        let folder = tempfile::tempdir().unwrap();
        let header = Header {
            run: "run".into(),
            scenario: "s".into(),
            file: "s.yaml".into(),
            labels: BTreeMap::new(),
            seed: 1,
            plan_digest: String::new(),
            target: "local".into(),
            version: "0".into(),
            began: "2026-11-23T00:00:00Z".into(),
            inventory: Inventory::default(),
            workload: WorkloadFacts {
                client: "store".into(),
                model: "register".into(),
                workers: 1,
                rate: "10/s".parse().unwrap(),
                keys: 1,
                timeout: "1s".parse().unwrap(),
            },
        };
        let writer = Writer::create(&folder.path().join("history.jsonl"), &header).unwrap();
        (folder, Monitor::new(writer.into(), Clock::start(), None))
    }

    /// An operation that was due at that time and returned 1 ms later.
    pub(in crate::drill) fn returns(monitor: &Monitor, due: Time, ok: bool) {
        let id = invoke(monitor, due, Stage::Load);
        let outcome = match ok {
            true => Outcome::Ok(Reply::Done),
            false => Outcome::Fail("refused".into()),
        };
        monitor.returned(id, due, due + Duration::from_millis(1), outcome);
    }

    fn invoke(monitor: &Monitor, due: Time, stage: Stage) -> u64 {
        let call = Call::Read { key: 1 };
        let (intended, invoked) = (due, due);
        monitor.invoked(Invocation { process: 0, node: None, intended, invoked, stage, call })
    }

    fn second(n: u64) -> Time {
        Time(n * 1_000_000_000)
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_state_needs_success_and_the_offered_rate() {
        let (_folder, monitor) = monitor();
        (0..100).for_each(|i| returns(&monitor, Time(i * 20_000_000), i % 10 != 0));
        let window = Duration::from_secs(2);
        let steady =
            |success: f64, rate| monitor.steady(second(2), window, Ratio::new(success), rate).held;
        assert!(steady(0.9, 50.0));
        assert!(!steady(0.91, 50.0), "a tenth failed");
        assert!(!steady(0.9, 51.0), "50 a second returned");
        assert!(!monitor.steady(second(9), window, Ratio::new(0.0), 0.0).held, "nothing succeeded");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_operation_counts_as_not_successful() {
        let (_folder, monitor) = monitor();
        returns(&monitor, Time(0), true);
        monitor.dropped(Time(0));
        let counts = monitor.over_last(second(1), Duration::from_secs(1));
        assert_eq!(counts, Counts { ok: 1, dropped: 1, ..Counts::default() });
        assert_eq!(counts.success(), Some(Ratio::new(0.5)));
    }

    #[tokio::test(start_paused = true)]
    async fn final_reads_are_no_part_of_the_load() {
        let (_folder, monitor) = monitor();
        let id = invoke(&monitor, Time(0), Stage::Final);
        assert_eq!(monitor.progress(Duration::ZERO).in_flight, 0);
        monitor.returned(id, Time(0), Time(1), Outcome::Ok(Reply::Done));
        assert_eq!(monitor.progress(Duration::ZERO).ok, 0);
        let id = invoke(&monitor, Time(0), Stage::Load);
        assert_eq!(monitor.progress(Duration::ZERO).in_flight, 1);
        monitor.returned(id, Time(0), Time(1), Outcome::Ok(Reply::Done));
        assert_eq!(monitor.progress(Duration::ZERO).ok, 1);
    }
}
