//! A recorded history of any object: what it is a history of, how it is judged, and how its operations are told.

use std::sync::Arc;

use super::evidence::{self, Evidence};
use super::models::*;
use super::{Answer, Budget, Object, Op, by_parts, search};
use crate::check::explanation::{self, Explanation, timeline};

/// The operations, by what they are done to.
#[derive(Debug, Clone)]
pub enum History {
    /// A stack.
    Stack(Vec<Op<ContainerCall>>),
    /// A priority queue.
    Priority(Priority, Vec<Op<ContainerCall>>),
    /// A set.
    Set(Vec<Op<SetCall>>),
    /// A counter.
    Counter(Counter, Vec<Op<CounterCall>>),
    /// A semaphore.
    Semaphore(Semaphore, Vec<Op<SemaphoreCall>>),
    /// A lock.
    Mutex(Vec<Op<MutexCall>>),
    /// A register that is read and written in one.
    Rmw(Rmw, Vec<Op<RmwCall>>),
    /// Several registers.
    Registers(Registers, Vec<Op<Vec<Access>>>),
    /// Texts by key.
    Store(Vec<Op<(Arc<str>, TextCall)>>),
    /// A log.
    Log(Vec<Op<LogCall>>),
}

/// What a history can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the objects'")]
pub enum Kind {
    Stack,
    Priority,
    Set,
    Counter,
    Semaphore,
    Mutex,
    Rmw,
    Registers,
    Store,
    Log,
}

impl Kind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Stack => "stack",
            Kind::Priority => "priority queue",
            Kind::Set => "set",
            Kind::Counter => "counter",
            Kind::Semaphore => "semaphore",
            Kind::Mutex => "lock",
            Kind::Rmw => "read-modify-write register",
            Kind::Registers => "set of registers",
            Kind::Store => "key-value store",
            Kind::Log => "log",
        }
    }
}

/// Where an operation was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Who called it.
    pub process: u64,
    /// In which line, from 1.
    pub line: usize,
}

/// Why a history is wrong.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// In lines.
    pub lines: Vec<String>,
    /// To be drawn, where it can be.
    pub drawn: Option<Explanation>,
}

/// A history, and where each operation was found.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The operations.
    pub history: History,
    /// By operation.
    pub sources: Vec<Source>,
    /// What values are called that are no numbers: these are numbered from `i64::MIN` on.
    pub names: Vec<String>,
}

/// Judges a store: key by key.
pub fn judge_store(ops: &[Op<(Arc<str>, TextCall)>], budget: &mut Budget) -> Answer {
    let key = |(key, _): &(Arc<str>, TextCall)| Arc::clone(key);
    by_parts(ops, key, budget, |own, budget| search(&Text, &texts(own), budget))
}

fn texts(ops: &[Op<(Arc<str>, TextCall)>]) -> Vec<Op<TextCall>> {
    let own = |op: &Op<(Arc<str>, TextCall)>| Op {
        call: op.call.1.clone(),
        invoked: op.invoked,
        returned: op.returned,
    };
    ops.iter().map(own).collect()
}

impl History {
    /// What it is a history of.
    pub fn kind(&self) -> Kind {
        match self {
            History::Stack(_) => Kind::Stack,
            History::Priority(..) => Kind::Priority,
            History::Set(_) => Kind::Set,
            History::Counter(..) => Kind::Counter,
            History::Semaphore(..) => Kind::Semaphore,
            History::Mutex(_) => Kind::Mutex,
            History::Rmw(..) => Kind::Rmw,
            History::Registers(..) => Kind::Registers,
            History::Store(_) => Kind::Store,
            History::Log(_) => Kind::Log,
        }
    }

    /// The same in words.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Judges it.
    pub fn judge(&self, budget: &mut Budget) -> Answer {
        match self {
            History::Stack(ops) => judge_stack(ops, budget),
            History::Priority(queue, ops) => judge_priority(*queue, ops, budget),
            History::Set(ops) => judge_set(ops, budget),
            History::Counter(counter, ops) => search(counter, ops, budget),
            History::Semaphore(semaphore, ops) => search(semaphore, ops, budget),
            History::Mutex(ops) => search(&Mutex, ops, budget),
            History::Rmw(register, ops) => search(register, ops, budget),
            History::Registers(registers, ops) => search(registers, ops, budget),
            History::Store(ops) => judge_store(ops, budget),
            History::Log(ops) => search(&Log, ops, budget),
        }
    }
}

impl Recorded {
    /// Why it is not linearizable, having become so at the return of operation `at`: operations that no order
    /// explains, a line each, under a line that says how many of how many; and to be drawn.
    pub fn evidence(&self, at: usize, budget: Budget) -> Shown {
        match &self.history {
            History::Stack(ops) => self.told(&Stack, ops, at, judge_stack, budget),
            History::Priority(queue, ops) => {
                let judge = |ops: &[_], budget: &mut _| judge_priority(*queue, ops, budget);
                self.told(queue, ops, at, judge, budget)
            }
            History::Set(ops) => {
                let is_read = ops.iter().any(|op| matches!(op.call, SetCall::All(_)));
                self.told(&Set { is_read }, ops, at, judge_set, budget)
            }
            History::Counter(counter, ops) => self.searched(counter, ops, at, budget),
            History::Semaphore(semaphore, ops) => self.searched(semaphore, ops, at, budget),
            History::Mutex(ops) => self.searched(&Mutex, ops, at, budget),
            History::Rmw(register, ops) => self.searched(register, ops, at, budget),
            History::Registers(registers, ops) => self.searched(registers, ops, at, budget),
            History::Log(ops) => self.searched(&Log, ops, at, budget),
            History::Store(ops) => {
                // Of its key alone.
                let Some(key) = ops.get(at).map(|op| &op.call.0) else { return Shown::default() };
                let own = (0..ops.len()).filter(|i| ops[*i].call.0 == *key);
                let places: Vec<usize> = own.collect();
                let own: Vec<Op<_>> = places.iter().map(|i| ops[*i].clone()).collect();
                let at = places.partition_point(|place| *place < at);
                let sources = places.iter().filter_map(|i| self.sources.get(*i).copied());
                let part = Recorded {
                    history: History::Store(vec![]),
                    sources: sources.collect(),
                    names: vec![],
                };
                let mut shown = part.searched(&Text, &texts(&own), at, budget);
                let first = shown.lines.iter_mut().take(1);
                first.for_each(|line| *line = format!("key {key:?}: {line}"));
                shown
            }
        }
    }

    fn searched<O>(&self, object: &O, ops: &[Op<O::Call>], at: usize, budget: Budget) -> Shown
    where
        O: Object<Call: std::fmt::Debug>,
    {
        self.told(object, ops, at, |ops, budget| search(object, ops, budget), budget)
    }

    fn told<O>(
        &self,
        object: &O,
        ops: &[Op<O::Call>],
        at: usize,
        judge: impl Fn(&[Op<O::Call>], &mut Budget) -> Answer,
        budget: Budget,
    ) -> Shown
    where
        O: Object<Call: std::fmt::Debug>,
    {
        let Evidence { culprits, explained, .. } = evidence::find(object, ops, at, judge, budget);
        let head = format!(
            "{} operations that no order explains, out of {}; {explained} had returned before, \
             which some order explains:",
            culprits.len(),
            ops.len()
        );
        let told = culprits.iter().map(|(place, op)| {
            let Source { process, line } =
                self.sources.get(*place).copied().unwrap_or(Source { process: 0, line: 0 });
            let to = op.returned.map_or("?".to_string(), |returned| returned.to_string());
            let call = self.named(&format!("{:?}", op.call));
            format!("line {line}, process {process}, {} to {to}: {call}", op.invoked)
        });
        let lines = std::iter::once(head).chain(told).collect();
        let calls: Vec<O::Call> = culprits.iter().map(|(_, op)| op.call.clone()).collect();
        let drawn = culprits.iter().map(|(place, op)| {
            let source = self.sources.get(*place);
            timeline::Operation {
                process: source.map_or(0, |source| source.process),
                label: self.named(&format!("{:?}", op.call)),
                invoked: op.invoked,
                returned: op.returned,
                line: source.map(|source| source.line),
            }
        });
        Shown { lines, drawn: explanation::drawn(object, &calls, drawn.collect(), vec![]) }
    }

    /// With the names of values that are no numbers. A name may look like such a number itself.
    fn named(&self, text: &str) -> String {
        let (mut named, mut rest) = (String::new(), text);
        while let Some(at) = rest.find("-92233720368") {
            let (before, from) = rest.split_at(at);
            let digits = from.bytes().skip(1).take_while(u8::is_ascii_digit).count();
            let (number, behind) = from.split_at(1 + digits);
            let place = number.parse::<i64>().ok().map(|n| n.wrapping_sub(i64::MIN));
            let name = place.and_then(|n| self.names.get(usize::try_from(n).ok()?));
            named += before;
            named += name.map_or(number, String::as_str);
            rest = behind;
        }
        named + rest
    }
}
