//! Histories of transactions: who did which micro-operations, from when to when, and how it ended; and readers of the
//! formats in which others record them.
//!
//! Bounds: memory is linear in the text: 16 bytes a micro-operation, 8 bytes an element of a list that was read. The
//! readers go over the text once, borrow from it, and never panic.

mod cursor;
mod jepsen;
mod jsonl;
mod micro;
mod text;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

pub use super::foreign::Wrong;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It committed.
    Ok,
    /// It did not happen.
    Fail,
    /// Nobody knows whether it happened.
    Info,
}

/// What one micro-operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Put this value at the end of a list.
    Append(i64),
    /// Set a register.
    Write(i64),
    /// Read a key whose answer is not known.
    Asked,
    /// Read a key that nobody had set.
    Nil,
    /// Read a register.
    Value(i64),
    /// Read a list.
    List(&'a [i64]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Append,
    Write,
    Asked,
    Nil,
    Value,
    List,
}

/// One micro-operation. Of a list, `value` is where it begins in the lists, and its length.
#[derive(Debug, Clone, Copy)]
struct Step {
    value: i64,
    key: u32,
    kind: Kind,
}

/// One transaction.
#[derive(Debug, Clone, Copy)]
pub struct Transaction {
    /// Who did it.
    pub process: u32,
    /// The line of the text in which it begins, from 1.
    pub line: u32,
    /// When it began: nanoseconds, or the place of the event.
    pub invoked: u64,
    /// When it was known to have ended.
    pub returned: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    from: u32,
    to: u32,
}

/// What a key or a value is called in the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// A whole number.
    Number(i64),
    /// Anything else, as it is written.
    Text(Box<str>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(n) => write!(f, "{n}"),
            Name::Text(text) => f.write_str(text),
        }
    }
}

/// How a history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A transaction a line: `{"p","t0","t1","s","txn":[["append",k,v],["w",k,v],["r",k,v]]}`.
    JsonLines,
    /// Jepsen's EDN, or JSON of the same shape: one vector, or an event a line.
    Jepsen,
    /// `w 0 1`, `r 0 1`; transactions are divided by `-----`, sessions by `=====`.
    Sessions,
    /// `w(key,value,session,transaction)`, as Plume and PolySI write it.
    Calls,
}

/// A history of transactions.
#[derive(Debug, Clone, Default)]
pub struct Transactions {
    txns: Vec<Transaction>,
    steps: Vec<Step>,
    lists: Vec<i64>,
    keys: Names,
    values: Vec<Box<str>>,
    value_numbers: HashMap<Box<str>, i64>,
    timed: bool,
}

/// Names by number, and numbers by name. Small numbers are looked up in a table.
#[derive(Debug, Clone, Default)]
struct Names {
    names: Vec<Name>,
    small: Vec<u32>,
    known: HashMap<Name, u32>,
}

/// Numbers below this are looked up in a table, which has at most so many entries.
const SMALL: i64 = 1 << 20;

impl Names {
    fn number(&mut self, n: i64) -> u32 {
        if !(0..SMALL).contains(&n) {
            return self.other(Name::Number(n));
        }
        let place = n as usize;
        if place >= self.small.len() {
            self.small.resize((place + 1).next_power_of_two(), u32::MAX);
        }
        match self.small.get(place) {
            Some(&key) if key != u32::MAX => key,
            _ => {
                let key = self.names.len() as u32;
                self.names.push(Name::Number(n));
                self.small[place] = key;
                key
            }
        }
    }

    fn other(&mut self, name: Name) -> u32 {
        if let Some(key) = self.known.get(&name) {
            return *key;
        }
        let key = self.names.len() as u32;
        self.names.push(name.clone());
        self.known.insert(name, key);
        key
    }
}

impl Transactions {
    /// Without any transaction. `timed`: instants are comparable between processes.
    pub fn new(timed: bool) -> Transactions {
        Transactions { timed, ..Transactions::default() }
    }

    /// Reads a history. `format`: `None` finds it out.
    pub fn read(text: &[u8], format: Option<Format>) -> Result<Transactions, Wrong> {
        let Some(format) = format.or_else(|| guess(text)) else {
            let why = "neither JSON lines, nor Jepsen's EDN or JSON, nor sessions, nor calls";
            return Err(Wrong { line: 1, why: why.into() });
        };
        let mut read = match format {
            Format::JsonLines => jsonl::read(text),
            Format::Jepsen => jepsen::read(text),
            Format::Sessions => text::sessions(text),
            Format::Calls => text::calls(text),
        }?;
        read.steps.shrink_to_fit();
        read.lists.shrink_to_fit();
        Ok(read)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.txns.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.txns.is_empty()
    }
    /// All of them, in the order of the text.
    pub fn all(&self) -> &[Transaction] {
        &self.txns
    }
    /// How many keys there are: they are numbered from 0.
    pub fn keys(&self) -> usize {
        self.keys.names.len()
    }
    /// Whether instants are comparable between processes.
    pub fn timed(&self) -> bool {
        self.timed
    }
    /// What a key is called.
    pub fn key(&self, key: u32) -> &Name {
        const NONE: &Name = &Name::Number(-1);
        self.keys.names.get(key as usize).unwrap_or(NONE)
    }
    /// What a value is called.
    pub fn value(&self, value: i64) -> Name {
        let place = value.wrapping_sub(i64::MIN);
        let own = usize::try_from(place).ok().and_then(|place| self.values.get(place));
        own.map_or(Name::Number(value), |text| Name::Text(text.clone()))
    }
    /// Key and action of each of its micro-operations, in their order.
    pub fn steps(
        &self,
        txn: &Transaction,
    ) -> impl ExactSizeIterator<Item = (u32, Action<'_>)> + DoubleEndedIterator {
        self.raw(txn).iter().map(|step| (step.key, self.action(step)))
    }

    fn raw(&self, txn: &Transaction) -> &[Step] {
        self.steps.get(txn.from as usize..txn.to as usize).unwrap_or_default()
    }

    fn action(&self, step: &Step) -> Action<'_> {
        match step.kind {
            Kind::Append => Action::Append(step.value),
            Kind::Write => Action::Write(step.value),
            Kind::Asked => Action::Asked,
            Kind::Nil => Action::Nil,
            Kind::Value => Action::Value(step.value),
            Kind::List => {
                let (from, len) = unpack(step.value);
                Action::List(self.lists.get(from..from + len).unwrap_or_default())
            }
        }
    }

    /// The number of a key.
    pub fn intern(&mut self, name: Name) -> u32 {
        match name {
            Name::Number(n) => self.keys.number(n),
            text @ Name::Text(_) => self.keys.other(text),
        }
    }

    /// The number of a value that is none: from below, where no history has any.
    fn intern_value(&mut self, text: &str) -> i64 {
        if let Some(number) = self.value_numbers.get(text) {
            return *number;
        }
        let number = i64::MIN.wrapping_add(self.values.len() as i64);
        self.values.push(text.into());
        self.value_numbers.insert(text.into(), number);
        number
    }

    /// Adds a micro-operation to those that the next transaction takes.
    pub fn push(&mut self, key: u32, action: Action<'_>) {
        let (kind, value) = match action {
            Action::Append(value) => (Kind::Append, value),
            Action::Write(value) => (Kind::Write, value),
            Action::Asked => (Kind::Asked, 0),
            Action::Nil => (Kind::Nil, 0),
            Action::Value(value) => (Kind::Value, value),
            Action::List(values) => {
                let from = self.lists.len();
                self.lists.extend_from_slice(values);
                (Kind::List, pack(from, values.len()))
            }
        };
        self.steps.push(Step { value, key, kind });
    }

    /// Adds a transaction of all micro-operations that were pushed since the last one.
    pub fn add(&mut self, txn: Transaction) {
        let from = self.txns.last().map_or(0, |last| last.to);
        self.txns.push(Transaction { from, to: self.steps.len() as u32, ..txn });
    }
}

impl Transaction {
    /// One without micro-operations.
    pub fn new(process: u32, invoked: u64, returned: Option<u64>, outcome: Outcome) -> Self {
        Transaction { process, line: 0, invoked, returned, outcome, from: 0, to: 0 }
    }
}

/// 24 bits of length, 40 of place.
const LENGTH_BITS: u32 = 24;

fn pack(from: usize, len: usize) -> i64 {
    ((from as i64) << LENGTH_BITS) | (len as i64 & ((1 << LENGTH_BITS) - 1))
}

fn unpack(value: i64) -> (usize, usize) {
    let value = value as u64;
    ((value >> LENGTH_BITS) as usize, (value & ((1 << LENGTH_BITS) - 1)) as usize)
}

/// By the first letters that say something.
fn guess(text: &[u8]) -> Option<Format> {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        match rest.first()? {
            b';' => {
                let end = rest.iter().position(|byte| *byte == b'\n')?;
                rest = rest.get(end..)?;
            }
            b'#' => return Some(Format::Jepsen),
            b'[' | b'(' => return Some(Format::Jepsen),
            b'{' => {
                let inside = rest.get(1..)?;
                let line = inside.iter().position(|byte| *byte == b'\n').unwrap_or(inside.len());
                let line = inside.get(..line).unwrap_or_default();
                let jepsen = line.windows(6).any(|w| w == b"\"type\"");
                let edn = line.trim_ascii_start().first() != Some(&b'"');
                return Some(if jepsen || edn { Format::Jepsen } else { Format::JsonLines });
            }
            b'r' | b'w' => {
                let next = rest.get(1..)?.trim_ascii_start().first()?;
                return Some(if *next == b'(' { Format::Calls } else { Format::Sessions });
            }
            b'-' | b'=' => return Some(Format::Sessions),
            _ => return None,
        }
    }
}
