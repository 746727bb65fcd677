//! How fast histories are judged. `cargo bench --bench check` prints, for histories of several kinds, the median time
//! of five verdicts (the operations in memory already, but for transactions) and the memory that the process has ever
//! had by then.
//!
//! The histories are of a correct register, each operation in effect at some instant between its call and its return;
//! in a broken one, a read near the end finds what was overwritten long before, or what nobody wrote.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use firedrill::check::isolation::{self, Model, Options, Wanted, Workload};
use firedrill::check::{Budget, Spec, Verdict, objects};
use firedrill::history::transactions::Transactions;
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

/// 100,000 transactions on lists, as JSON lines: each takes effect at an instant of its own, ten are open at a time.
fn transactions(rng: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    let mut lists: Vec<Vec<usize>> = vec![vec![]; 10];
    let (mut first_key, mut next) = (0, 0);
    for i in 0..100_000_u64 {
        let mut steps = vec![];
        for _ in 0..rng.random_range(1..5) {
            let place = rng.random_range(0..lists.len());
            let key = first_key + place;
            if rng.random_bool(0.5) {
                next += 1;
                lists[place].push(next);
                steps.push(format!("[\"append\",{key},{next}]"));
            } else {
                steps.push(format!("[\"r\",{key},{:?}]", lists[place]));
            }
        }
        // A list is full one day, and another one takes its turn.
        if lists[0].len() >= 32 {
            lists.remove(0);
            lists.push(vec![]);
            first_key += 1;
        }
        let (from, to) =
            (i * 100 + 450 - rng.random_range(0..450), i * 100 + 450 + rng.random_range(0..450));
        let (process, steps) = (i % 10, steps.join(","));
        text += &format!(
            "{{\"p\":{process},\"t0\":{from},\"t1\":{to},\"s\":\"ok\",\"txn\":[{steps}]}}\n"
        );
    }
    text
}

/// 100,000 operations on a stack, as calls and returns, ten clients.
fn stack(rng: &mut ChaCha8Rng) -> String {
    let (mut held, mut events) = (vec![], vec![]);
    for i in 0..100_000_u64 {
        let (call, answer) = match rng.random_bool(0.5) {
            true => {
                held.push(i);
                (format!("push({i})"), String::new())
            }
            false => ("pop".into(), held.pop().map_or(" empty".into(), |v| format!(" {v}"))),
        };
        let (at, process) = (i * 100 + 450, i % 10);
        events.push((at - rng.random_range(0..450), 0, format!("[{process}] call {call}\n")));
        events.push((at + rng.random_range(0..450), 1, format!("[{process}] return{answer}\n")));
    }
    events.sort_unstable_by_key(|(at, returns, _)| (*at, *returns));
    let lines = events.into_iter().map(|(.., line)| line);
    format!("# @object atomic-stack\n{}", lines.collect::<String>())
}

/// Prints the median time of five.
fn timed(name: &str, mut once: impl FnMut()) {
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let began = Instant::now();
            once();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{name:44} {:>9.1} ms  {:>12}", times[2].as_secs_f64() * 1e3, memory());
}

fn main() {
    println!("{:44} {:>12}  {:>12}", "history", "median", "memory, most");
    for kind in kinds() {
        let record = Record::of_operations("register", History::of(&kind));
        timed(kind.name, || {
            let verdict = Spec::Linearizable.build().check(&record).verdict;
            let expected = if kind.broken { Verdict::Fail } else { Verdict::Pass };
            assert_eq!(verdict, expected, "{}", kind.name);
        });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(42);
    let calls = stack(&mut rng);
    let read = objects::read(calls.as_bytes(), None).unwrap();
    timed("stack, 100,000, 10 clients", || {
        assert_eq!(objects::finding(&read, Budget::default()).verdict, Verdict::Pass);
    });
    let text = transactions(&mut rng);
    for (name, model) in [
        ("list-append, 100,000, strict, with reading", Model::StrongSerializable),
        ("the same, snapshot isolation", Model::SnapshotIsolation),
    ] {
        timed(name, || {
            let history = Transactions::read(text.as_bytes(), None).unwrap();
            let wanted = Wanted::Models(Workload::ListAppend, Options::model(model));
            let finding = isolation::finding(&history, &wanted);
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        });
    }
}
