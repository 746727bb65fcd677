//! What clients of logs did: sent, polled, and changed what they poll.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It did not happen.
    Fail,
    /// Nobody knows whether it happened.
    Info,
}

/// Which logs a process polls from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It chose them itself; those that it had already, it goes on with where it was.
    Assign,
    /// It leaves it to the system, which may give them to others and back at any time.
    Subscribe,
    /// It begins anew somewhere.
    Restart,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It sends and polls, as one.
    Messages,
    /// It changes what is polled. The logs are those of its acts.
    Turns(Turn),
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Who.
    pub process: u32,
    /// The line of the text in which it is told, from 1.
    pub line: u32,
    /// When it began: nanoseconds, or the place of the event.
    pub invoked: u64,
    /// When it was known to have ended.
    pub returned: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it does.
    pub does: Does,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// One act of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// The log.
    pub key: u32,
    /// What is done there.
    pub what: What,
    /// The message.
    pub value: i64,
    /// Where it stands in the log, if that is known.
    pub offset: Option<u64>,
}

/// What is done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A message is sent to it.
    Send,
    /// A message is read.
    Read,
    /// It is among those that are polled from now on; or, while messages are polled, it was given to the process anew,
    /// so that it is read from anywhere.
    Turn,
}

/// Numbers for what is called otherwise, from below, where no history has any.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    known: HashMap<Box<str>, i64, RandomState>,
    names: Vec<Box<str>>,
}

impl Names {
    pub(super) fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = i64::MIN.wrapping_add(self.names.len() as i64);
        self.names.push(text.into());
        self.known.insert(text.into(), number);
        number
    }
}

/// Something's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// A whole number.
    Number(i64),
    /// Anything else, as it is written.
    Text(&'a str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(n) => write!(f, "{n}"),
            Name::Text(text) => f.write_str(text),
        }
    }
}

/// A history of logs: what was done to them, in the order in which it began.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    operations: Vec<Operation>,
    acts: Vec<Act>,
    names: Names,
    keys: Vec<i64>,
    key_numbers: HashMap<i64, u32, RandomState>,
    taken: u32,
}

impl Messages {
    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// All operations, in the order in which they began.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What an operation does, in its order.
    pub fn acts(&self, operation: &Operation) -> &[Act] {
        self.acts.get(operation.from as usize..operation.to as usize).unwrap_or_default()
    }

    /// How many logs there are: they are numbered from 0.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// What a log is called.
    pub fn key(&self, key: u32) -> Name<'_> {
        self.value(self.keys.get(key as usize).copied().unwrap_or(-1))
    }

    /// What a message says.
    pub fn value(&self, value: i64) -> Name<'_> {
        let place = usize::try_from(value.wrapping_sub(i64::MIN)).ok();
        let own = place.and_then(|place| self.names.names.get(place));
        own.map_or(Name::Number(value), |text| Name::Text(text))
    }

    /// The number of a log.
    pub(super) fn intern_key(&mut self, name: Name) -> u32 {
        let name = self.intern_value(name);
        let next = self.keys.len() as u32;
        let key = *self.key_numbers.entry(name).or_insert(next);
        if key == next {
            self.keys.push(name);
        }
        key
    }

    /// The number of a message.
    pub(super) fn intern_value(&mut self, name: Name) -> i64 {
        match name {
            Name::Number(number) => number,
            Name::Text(text) => self.names.number(text),
        }
    }

    /// Adds an act to those that the next operation takes.
    pub(super) fn push(&mut self, act: Act) {
        self.acts.push(act);
    }

    /// Adds an operation, which takes the acts that no other has.
    pub(super) fn end(&mut self, mut operation: Operation) {
        (operation.from, operation.to) = (self.taken, self.acts.len() as u32);
        self.taken = operation.to;
        self.operations.push(operation);
    }

    /// In the order in which they began.
    pub(super) fn sort(&mut self) {
        self.operations.sort_by_key(|o| (o.invoked, o.line));
    }
}
