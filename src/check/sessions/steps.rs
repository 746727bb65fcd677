//! Operations as steps of sessions: who wrote what, and which write each read found.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::Outcome;
use crate::history::{Call, Key, Operation, Outcome as End, Process, Reply};

/// Stands for the beginning, where nothing was written.
pub const NOTHING: u32 = u32::MAX;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It writes.
    Write,
    /// It finds what this step wrote, or [`NOTHING`].
    Read(u32),
}

/// A read or a write. A compare-and-set is one of each.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The operation, by its place in what was given.
    pub operation: u32,
    pub session: u32,
    /// Numbered from 0.
    pub key: u32,
    pub kind: Kind,
}

/// All steps, session by session, each in its order: of two steps of a session, the earlier has the lower number.
pub struct History<'a> {
    pub operations: &'a [&'a Operation],
    pub steps: Vec<Step>,
    /// Where each session begins, and where the last one ends.
    pub starts: Vec<u32>,
    pub keys: usize,
    /// Of each operation of unknown outcome that happened, who found what it wrote; of others [`NOTHING`].
    finders: Vec<u32>,
}

type Writes = HashMap<(Key, i64), u32, RandomState>;

impl<'a> History<'a> {
    /// `Err`: it is judged already.
    pub fn of(operations: &'a [&'a Operation]) -> Result<History<'a>, Outcome> {
        if operations.len() >= (NOTHING / 4) as usize {
            return Err(Outcome::Undecided(format!(
                "{} operations are too many",
                operations.len()
            )));
        }
        let writes = writes(operations)?;
        let finders = finders(operations, &writes);
        let (steps, starts) = (vec![], vec![0]);
        let mut history = History { operations, steps, starts, keys: 0, finders };
        history.fill()?;
        history.find(&writes)?;
        Ok(history)
    }

    pub fn sessions(&self) -> usize {
        self.starts.len() - 1
    }

    /// The steps of a session.
    pub fn session(&self, session: u32) -> std::ops::Range<u32> {
        self.starts[session as usize]..self.starts[session as usize + 1]
    }

    pub fn step(&self, step: u32) -> &Step {
        &self.steps[step as usize]
    }

    pub fn operation(&self, step: u32) -> &'a Operation {
        self.operations[self.step(step).operation as usize]
    }

    /// What a read found, if it found anything.
    pub fn found(&self, step: u32) -> Option<u32> {
        match self.step(step).kind {
            Kind::Read(from) if from != NOTHING => Some(from),
            _ => None,
        }
    }

    /// Whether a write happened.
    fn happened(&self, operation: u32) -> bool {
        let o = self.operations[operation as usize];
        o.outcome.is_ok() && may_write(o) || self.finders[operation as usize] != NOTHING
    }

    /// A violation that these operations prove. Those of unknown outcome need others to prove that they happened.
    pub fn violated(&self, words: String, all: impl IntoIterator<Item = u32>) -> Outcome {
        let mut operations: Vec<usize> = vec![];
        for mut operation in all {
            while operation != NOTHING {
                operations.push(operation as usize);
                operation = self.finders[operation as usize];
            }
        }
        operations.sort_unstable();
        operations.dedup();
        Outcome::Violated { words, operations }
    }

    /// The steps as they follow each other in their sessions, without what they find.
    fn fill(&mut self) -> Result<(), Outcome> {
        let mut sessions: BTreeMap<Process, Vec<u32>> = BTreeMap::new();
        for (at, o) in self.operations.iter().enumerate() {
            if matches!(o.call, Call::Read { .. } | Call::Write { .. } | Call::Cas { .. }) {
                sessions.entry(o.process).or_default().push(at as u32);
            }
        }
        let mut keys: HashMap<Key, u32, RandomState> = HashMap::default();
        for own in sessions.values_mut() {
            let at = |place: u32| self.operations[place as usize];
            own.sort_by_key(|place| (at(*place).invoked, at(*place).id));
            alone(own.iter().map(|place| at(*place)))?;
            for place in own.iter().copied() {
                let o = self.operations[place as usize];
                let (reads, writes) = parts(o, self.happened(place));
                let next = keys.len() as u32;
                let key = *keys.entry(key(&o.call)).or_insert(next);
                let session = self.starts.len() as u32 - 1;
                let step = |kind| Step { operation: place, session, key, kind };
                self.steps.extend(reads.then(|| step(Kind::Read(NOTHING))));
                self.steps.extend(writes.then(|| step(Kind::Write)));
                if matches!(o.outcome, End::Unknown(_)) && !o.call.is_read() {
                    self.end();
                }
            }
            self.end();
        }
        self.keys = keys.len();
        Ok(())
    }

    fn end(&mut self) {
        if self.starts.last() != Some(&(self.steps.len() as u32)) {
            self.starts.push(self.steps.len() as u32);
        }
    }

    /// Which write each read found.
    fn find(&mut self, writes: &Writes) -> Result<(), Outcome> {
        let mut step_of = vec![NOTHING; self.operations.len()];
        for (at, step) in self.steps.iter().enumerate() {
            if step.kind == Kind::Write {
                step_of[step.operation as usize] = at as u32;
            }
        }
        for at in 0..self.steps.len() {
            let step = self.steps[at];
            let o = self.operations[step.operation as usize];
            let (Kind::Read(_), Some(value)) = (step.kind, read(o)) else { continue };
            let write = writes.get(&(key(&o.call), value)).map(|place| step_of[*place as usize]);
            let Some(write) = write else { return Err(self.never_written(at as u32, value)) };
            if self.steps[write as usize].session == step.session && write > at as u32 {
                return Err(self.own_future(at as u32, write, value));
            }
            self.steps[at].kind = Kind::Read(write);
        }
        Ok(())
    }

    fn never_written(&self, read: u32, value: i64) -> Outcome {
        let o = self.operation(read);
        let failed = self.operations.iter().position(|other| {
            matches!(other.outcome, End::Fail(_)) && written(other) == Some((key(&o.call), value))
        });
        let what = format!("process {} read k{} = {value}", o.process, key(&o.call));
        let words = match failed {
            Some(place) => {
                let process = self.operations[place].process;
                format!("{what}, whose write by process {process} had failed")
            }
            None => format!("{what}, which nobody wrote"),
        };
        let failed = failed.map(|place| place as u32);
        self.violated(words, [self.step(read).operation].into_iter().chain(failed))
    }

    fn own_future(&self, read: u32, write: u32, value: i64) -> Outcome {
        let o = self.operation(read);
        let words =
            format!("process {} read k{} = {value} before it wrote it", o.process, key(&o.call));
        self.violated(words, [read, write].map(|step| self.step(step).operation))
    }
}

/// A process does one thing at a time, or there is no order to judge by.
fn alone<'a>(own: impl Iterator<Item = &'a Operation>) -> Result<(), Outcome> {
    let mut before: Option<&Operation> = None;
    for o in own {
        if before.and_then(|b| b.returned).is_some_and(|end| end > o.invoked) {
            let (process, at) = (o.process, o.invoked);
            let why = format!("process {process} invoked at {at} before it had its answer");
            return Err(Outcome::Undecided(why));
        }
        before = Some(o);
    }
    Ok(())
}

/// The key that is asked of.
pub fn key(call: &Call) -> Key {
    match call {
        Call::Read { key } | Call::Write { key, .. } | Call::Cas { key, .. } => *key,
        _ => 0,
    }
}

/// What it writes, if it writes: key and value.
pub fn written(o: &Operation) -> Option<(Key, i64)> {
    match o.call {
        Call::Write { key, value } => Some((key, value)),
        Call::Cas { key, to, .. } => Some((key, to)),
        _ => None,
    }
}

/// What it reads, once it happened.
pub fn read(o: &Operation) -> Option<i64> {
    match (&o.call, &o.outcome) {
        (Call::Cas { from, .. }, _) => Some(*from),
        (_, End::Ok(Reply::Value(value))) => *value,
        _ => None,
    }
}

/// It may have written.
fn may_write(o: &Operation) -> bool {
    let failed = matches!(o.outcome, End::Fail(_) | End::Ok(Reply::Swapped(false)));
    written(o).is_some() && !failed
}

/// Whether it reads and writes.
fn parts(o: &Operation, happened: bool) -> (bool, bool) {
    match o.call {
        Call::Read { .. } => (matches!(o.outcome, End::Ok(Reply::Value(_))), false),
        Call::Cas { .. } => (happened, happened),
        _ => (false, happened),
    }
}

/// Who wrote each value.
fn writes(operations: &[&Operation]) -> Result<Writes, Outcome> {
    let mut writes = Writes::default();
    for (place, o) in operations.iter().enumerate() {
        let Some((key, value)) = written(o).filter(|_| may_write(o)) else { continue };
        if writes.insert((key, value), place as u32).is_some() {
            let why = format!(
                "k{key} = {value} was written more than once, so who read it tells nothing"
            );
            return Err(Outcome::Undecided(why));
        }
    }
    Ok(writes)
}

/// Of each write of unknown outcome that happened, an operation that found it, and that happened for certain or by this
/// same rule.
fn finders(operations: &[&Operation], writes: &Writes) -> Vec<u32> {
    let mut finders = vec![NOTHING; operations.len()];
    let reads = |o: &Operation| o.outcome.is_ok() && (o.call.is_read() || may_write(o));
    for (at, o) in operations.iter().enumerate().filter(|(_, o)| reads(o)) {
        let (mut finder, mut found) = (at as u32, read(o).map(|value| (key(&o.call), value)));
        while let Some(place) = found.and_then(|found| writes.get(&found)) {
            let write = operations[*place as usize];
            let known = write.outcome.is_ok() || finders[*place as usize] != NOTHING;
            if known || *place == finder {
                break;
            }
            finders[*place as usize] = finder;
            (finder, found) = (*place, read(write).map(|value| (key(&write.call), value)));
        }
    }
    finders
}
