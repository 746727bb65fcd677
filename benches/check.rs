//! How fast registers are judged. `cargo bench --bench check` prints, for histories of several kinds, the median time
//! of five verdicts (the operations in memory already) and the memory that the process has ever had by then.
//!
//! The histories are of a correct register, each operation in effect at some instant between its call and its return;
//! in a broken one, a read near the end finds what was overwritten long before, or what nobody wrote.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use firedrill::check::{Spec, Verdict};
use firedrill::history::{Call, Operation, Outcome, Process, Record, Reply, Stage, Time};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a history is like.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    operations: usize,
    clients: u32,
    keys: u32,
    /// Whether each value is written once, and nothing compared; else five values, and compare-and-set too.
    unique: bool,
    /// The mean pause of a client between two operations, in microseconds; one takes about a millisecond.
    pause: f64,
    unknown: f64,
    broken: bool,
}

const HIGH: f64 = 20.0;
const LOW: f64 = 9000.0;

const fn of(name: &'static str, operations: usize, unique: bool) -> Kind {
    let (clients, keys, pause, unknown, broken) = (10, 1, HIGH, 0.0, false);
    Kind { name, operations, clients, keys, unique, pause, unknown, broken }
}

fn kinds() -> Vec<Kind> {
    let rw = |name, operations| of(name, operations, true);
    let cas = |name, operations| of(name, operations, false);
    vec![
        Kind { clients: 5, pause: LOW, ..rw("unique values, 100,000, 5 clients", 100_000) },
        rw("unique values, 100,000, 10 clients", 100_000),
        Kind { broken: true, ..rw("the same, broken near the end", 100_000) },
        Kind { unknown: 0.05, ..rw("unique values, 10,000, 5 % unknown", 10_000) },
        cas("compare-and-set, 10,000, 10 clients", 10_000),
        Kind { unknown: 0.05, ..cas("the same, 5 % unknown", 10_000) },
        Kind { unknown: 0.05, broken: true, ..cas("the same, 5 % unknown, broken", 10_000) },
        cas("compare-and-set, 100,000, 10 clients", 100_000),
        Kind { clients: 50, keys: 100, ..rw("unique values, 1,000,000 on 100 keys", 1_000_000) },
    ]
}

enum Event {
    Invoke,
    Effect(usize),
    Return(usize),
}

/// Something that is to happen: when, in which order at equal times, to whom, and what.
type Due = (u64, u64, Process, usize, u8);

struct History {
    rng: ChaCha8Rng,
    next: BinaryHeap<Reverse<Due>>,
    count: u64,
    operations: Vec<Operation>,
    /// What each register holds.
    held: Vec<Option<i64>>,
    found: Vec<Option<i64>>,
}

impl History {
    fn at(&mut self, time: u64, process: Process, event: Event) {
        self.count += 1;
        let (place, what) = match event {
            Event::Invoke => (0, 0),
            Event::Effect(place) => (place, 1),
            Event::Return(place) => (place, 2),
        };
        self.next.push(Reverse((time, self.count, process, place, what)));
    }

    fn pause(&mut self, kind: &Kind) -> u64 {
        let share: f64 = self.rng.random_range(f64::EPSILON..1.0);
        (-share.ln() * kind.pause * 1000.0) as u64
    }

    fn of(kind: &Kind) -> Vec<Operation> {
        let mut own = History {
            rng: ChaCha8Rng::seed_from_u64(42),
            next: BinaryHeap::new(),
            count: 0,
            operations: Vec::with_capacity(kind.operations),
            held: vec![None; kind.keys as usize],
            found: Vec::with_capacity(kind.operations),
        };
        let mut fresh = kind.clients;
        for process in 0..kind.clients {
            let pause = own.pause(kind);
            own.at(pause, process, Event::Invoke);
        }
        while let Some(Reverse((now, _, process, place, what))) = own.next.pop() {
            match what {
                0 if own.operations.len() < kind.operations => {
                    let unknown = own.rng.random_bool(kind.unknown);
                    own.invoke(kind, now, process, unknown);
                    if unknown {
                        // Whoever got no answer goes on under another name.
                        let pause = own.pause(kind);
                        own.at(now + 5_000_000 + pause, fresh, Event::Invoke);
                        fresh += 1;
                    }
                }
                1 => own.effect(place),
                2 => {
                    own.returns(place, now);
                    let pause = own.pause(kind);
                    own.at(now + pause, process, Event::Invoke);
                }
                _ => {}
            }
        }
        if kind.broken {
            own.breaks();
        }
        own.operations
    }

    fn invoke(&mut self, kind: &Kind, now: u64, process: Process, unknown: bool) {
        let (place, key) = (self.operations.len(), self.rng.random_range(0..kind.keys));
        let value = match kind.unique {
            true => place as i64,
            false => self.rng.random_range(0..5),
        };
        let call = match self.rng.random_range(0..if kind.unique { 2 } else { 3 }) {
            0 => Call::Read { key },
            1 => Call::Write { key, value },
            _ => Call::Cas { key, from: value, to: self.rng.random_range(0..5) },
        };
        self.operations.push(Operation {
            id: place as u64,
            process,
            node: None,
            intended: Time(now),
            invoked: Time(now),
            returned: None,
            stage: Stage::Load,
            call,
            outcome: Outcome::Unknown("no answer".into()),
        });
        self.found.push(None);
        let long = self.rng.random_range(400_000..2_000_000);
        let effect = now + self.rng.random_range(0..long);
        // Half of those without an answer never happened.
        if !unknown || self.rng.random_bool(0.5) {
            self.at(effect, process, Event::Effect(place));
        }
        if !unknown {
            self.at(now + long, process, Event::Return(place));
        }
    }

    fn effect(&mut self, place: usize) {
        let held = |key: u32| key as usize;
        match self.operations[place].call {
            Call::Read { key } => self.found[place] = self.held[held(key)],
            Call::Write { key, value } => self.held[held(key)] = Some(value),
            Call::Cas { key, from, to } => {
                self.found[place] = self.held[held(key)];
                if self.held[held(key)] == Some(from) {
                    self.held[held(key)] = Some(to);
                }
            }
            _ => {}
        }
    }

    fn returns(&mut self, place: usize, now: u64) {
        let found = self.found[place];
        let operation = &mut self.operations[place];
        operation.returned = Some(Time(now));
        operation.outcome = Outcome::Ok(match operation.call {
            Call::Read { .. } => Reply::Value(found),
            Call::Cas { from, .. } => Reply::Swapped(found == Some(from)),
            _ => Reply::Done,
        });
    }

    /// A read near the end finds another value than it did.
    fn breaks(&mut self) {
        let from = self.operations.len() * 95 / 100;
        let read =
            |operation: &&mut Operation| matches!(operation.outcome, Outcome::Ok(Reply::Value(_)));
        let old = self.operations[from / 2..].iter().find_map(|o| match o.call {
            Call::Write { value, .. } if o.outcome.is_ok() => Some(value),
            _ => None,
        });
        // With five values an old one may be there again: then one that nobody writes.
        let unique = self.operations.iter().all(|o| !matches!(o.call, Call::Cas { .. }));
        if let Some(operation) = self.operations[from..].iter_mut().find(read) {
            operation.outcome = Outcome::Ok(Reply::Value(if unique { old } else { Some(7) }));
        }
    }
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("not known").trim().to_string()
}

fn main() {
    println!("{:44} {:>12}  {:>12}", "history", "median", "memory, most");
    for kind in kinds() {
        let record = Record::of_operations("register", History::of(&kind));
        let mut times = vec![];
        for _ in 0..5 {
            let (check, began) = (Spec::Linearizable.build(), Instant::now());
            let verdict = check.check(&record).verdict;
            times.push(began.elapsed());
            let expected = if kind.broken { Verdict::Fail } else { Verdict::Pass };
            assert_eq!(verdict, expected, "{}", kind.name);
        }
        times.sort_unstable();
        println!("{:44} {:>9.1} ms  {:>12}", kind.name, times[2].as_secs_f64() * 1e3, memory());
    }
}
