//! The engine: an open loop at a constant arrival rate.
//!
//! Operations start when the rate wants them to, whatever became of the ones before; so a system that stalls
//! meets as many clients as in life, and latency has no coordinated omission. Start `i` is intended at
//! `from + i / rate`. A free worker takes it; where none is free at its time or within 10 ms of it, it is
//! dropped, and counted. Every intended start before the load's end is either started or dropped. If the
//! runner's own machine stalls while a worker is free, up to 250 ms of starts are made late instead.
//!
//! Workers pull: each claims the next start that nobody has, sleeps until its time, and makes it. Timers have a
//! resolution of 1 ms, so at high rates starts come in small batches, each with its true intended time.
//!
//! Invariant: no client can stop the drill. It may hang, panic or refuse to be made.
//! Deliberately absent: the end of the load (a time or a stop that the drill gives), files, judgement.

mod schedule;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::Driver;
use super::generate::{Generator, Mix};
use super::session::{Session, Sessions};
use super::{Clock, Model, Sink};
use crate::history::file::Invocation;
use crate::history::{Call, Outcome, Process, Stage, Time};
use crate::quantity::Rate;
use schedule::{Claim, Schedule};

/// What load to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The kind of object that the clients work on.
    pub model: Model,
    /// What share of the calls is of which kind.
    pub mix: Mix,
    /// How many objects the clients work on at a time.
    pub keys: u32,
    /// The seed of the calls.
    pub seed: u64,
    /// How many operations start a second.
    pub rate: Rate,
    /// How many operations may be in flight at once; 0 is held to be 1.
    pub workers: u32,
    /// How long a client waits for an answer. One that takes 250 ms longer is given up.
    pub timeout: Duration,
    /// The intended time of the first start. Starts that are more than 250 ms in the past are dropped.
    pub from: Time,
    /// The load's end: every start is intended before it.
    pub until: Time,
}

/// What became of a load. `started + dropped` is the number of intended starts from `from` to `ended`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Operations that were started; each has an outcome.
    pub started: u64,
    /// Operations that took effect.
    pub ok: u64,
    /// Operations that did not take effect.
    pub failed: u64,
    /// Operations that may have taken effect; each cost a process its identity.
    pub unknown: u64,
    /// Operations that no worker was free to start.
    pub dropped: u64,
    /// How often a client panicked. Each one is a defect of the client.
    pub panics: u64,
    /// How often a client could not be made.
    pub clients_not_made: u64,
    /// The most by which a worker that waited for its start woke too late: how busy the runner's own machine
    /// was. Much more than 10 ms means that the machine, not the system, may have cost operations.
    pub latest_wake: Duration,
    /// When the last operation was let start: the `until` of the options, or the instant of the stop.
    pub ended: Time,
    /// The first process number that nobody has had.
    pub next_process: Process,
    /// The calls that read back everything that was written.
    pub final_calls: Vec<Call>,
}

/// Makes the load. Returns when its end has come, or `stop` was cancelled, and every operation that was in
/// flight then has an outcome: at most the time-out and 250 ms later. Dropped, it leaves no task behind.
pub async fn run(
    options: Options,
    driver: Arc<dyn Driver>,
    sink: Arc<dyn Sink>,
    clock: Clock,
    stop: CancellationToken,
) -> Summary {
    let workers = options.workers.max(1);
    let shared = Arc::new(Shared::new(&options, driver, sink, clock));
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(work(Arc::clone(&shared)));
    }
    let mut stopped = false;
    loop {
        let expiry = shared.drop_expired();
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopped => {
                stopped = true;
                shared.schedule().close(clock.now());
                shared.closed.cancel();
            }
            () = clock.sleep_until(expiry.unwrap_or_default()), if expiry.is_some() => {
                shared.woke(expiry.unwrap_or_default());
            }
            ended = tasks.join_next() => match ended {
                Some(Ok(())) => {}
                Some(Err(e)) => tracing::error!("a worker ended before its time: {e}"),
                None => break,
            },
        }
    }
    shared.summary()
}

/// What the workers and the loop have in common.
struct Shared {
    sessions: Arc<Sessions>,
    sink: Arc<dyn Sink>,
    clock: Clock,
    schedule: Mutex<Schedule>,
    generator: Mutex<Generator>,
    /// Wakes the workers that sleep toward a start that will not be.
    closed: CancellationToken,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    ok: AtomicU64,
    failed: AtomicU64,
    unknown: AtomicU64,
    dropped: AtomicU64,
    latest_wake: AtomicU64,
}

impl Shared {
    fn new(options: &Options, driver: Arc<dyn Driver>, sink: Arc<dyn Sink>, clock: Clock) -> Self {
        let Options { model, mix, keys, seed, rate, workers, timeout, from, until } = *options;
        Shared {
            sessions: Arc::new(Sessions::new(driver, timeout, 0)),
            sink,
            clock,
            schedule: Mutex::new(Schedule::new(from, until, rate, workers.max(1))),
            generator: Mutex::new(Generator::new(model, keys, seed, mix)),
            closed: CancellationToken::new(),
            counts: Counts::default(),
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(|p| p.into_inner())
    }
    fn generator(&self) -> MutexGuard<'_, Generator> {
        self.generator.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn report_dropped(&self, dropped: &[Time]) {
        self.counts.dropped.fetch_add(dropped.len() as u64, Ordering::Relaxed);
        dropped.iter().for_each(|&intended| self.sink.dropped(intended));
    }

    /// Drops what nobody took in time. Returns when to look again.
    fn drop_expired(&self) -> Option<Time> {
        let mut dropped = vec![];
        let next = self.schedule().expire(self.clock.now(), &mut dropped);
        self.report_dropped(&dropped);
        next
    }

    fn woke(&self, wanted: Time) {
        let late = self.clock.now().since(wanted).as_nanos() as u64;
        self.counts.latest_wake.fetch_max(late, Ordering::Relaxed);
    }

    /// The next start, at its time; it has begun for the schedule when this returns. `None`: the load is over.
    async fn next_start(&self, was_busy: bool) -> Option<Time> {
        let (now, mut dropped) = (self.clock.now(), vec![]);
        let claim = {
            let mut schedule = self.schedule();
            if was_busy {
                schedule.done(now);
            }
            let claim = schedule.claim(now, &mut dropped);
            if matches!(claim, Claim::Start(intended) if intended <= now) {
                schedule.begin(now);
            }
            claim
        };
        self.report_dropped(&dropped);
        let Claim::Start(intended) = claim else { return None };
        if now >= intended {
            return Some(intended);
        }
        tokio::select! {
            biased;
            () = self.clock.sleep_until(intended) => self.woke(intended),
            () = self.closed.cancelled() => {}
        }
        let mut schedule = self.schedule();
        schedule.stands(intended).then(|| {
            schedule.begin(self.clock.now());
            intended
        })
    }

    async fn operate(&self, session: &mut Session, intended: Time) {
        let process = session.process();
        let call = self.generator().next(process);
        let id = self.sink.invoked(Invocation {
            process,
            node: session.node(&call),
            intended,
            invoked: self.clock.now().max(intended),
            stage: Stage::Load,
            call: call.clone(),
        });
        let outcome = session.invoke(&call).await;
        self.sink.returned(id, intended, self.clock.now().max(intended), outcome.clone());
        self.generator().told(&call, &outcome);
        let count = match outcome {
            Outcome::Ok(_) => &self.counts.ok,
            Outcome::Fail(_) => &self.counts.failed,
            Outcome::Unknown(_) => &self.counts.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
        session.renew(&outcome);
    }

    fn summary(&self) -> Summary {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (ok, failed) = (load(&self.counts.ok), load(&self.counts.failed));
        let unknown = load(&self.counts.unknown);
        Summary {
            started: ok + failed + unknown,
            ok,
            failed,
            unknown,
            dropped: load(&self.counts.dropped),
            panics: self.sessions.panics(),
            clients_not_made: self.sessions.not_made(),
            latest_wake: Duration::from_nanos(load(&self.counts.latest_wake)),
            ended: self.schedule().end(),
            next_process: self.sessions.next_process(),
            final_calls: self.generator().final_calls(),
        }
    }
}

async fn work(shared: Arc<Shared>) {
    let mut session = Session::open(&shared.sessions);
    let mut was_busy = false;
    while let Some(intended) = shared.next_start(was_busy).await {
        was_busy = true;
        shared.operate(&mut session, intended).await;
        // A client that answers at once must not keep the others from the processor.
        tokio::task::coop::consume_budget().await;
    }
}
