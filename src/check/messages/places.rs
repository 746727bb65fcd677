//! What is known of each message, and of each place of a log.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::history::{Act, Messages, Operation, Outcome, What};

/// No operation.
pub const NOBODY: u32 = u32::MAX;

/// What is known of a message. Operations are told by their places.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// Who sent it, if anybody did; who did so for certain or perhaps, rather than who failed.
    pub sender: u32,
    /// The first operation that read it and is known to have happened.
    pub reader: u32,
    /// Whether anybody at all read it.
    pub is_read: bool,
    /// The first and the last place where it stands, if that is known.
    pub first: u64,
    pub last: u64,
}

/// A message at a place, and who told of it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub key: u32,
    pub offset: u64,
    pub value: i64,
    pub by: u32,
}

/// All messages and places.
pub struct Places {
    pub messages: HashMap<(u32, i64), Message, RandomState>,
    /// By log, then by offset. One for each message that stands there.
    pub places: Vec<Place>,
    /// Which operations happened.
    happened: Vec<bool>,
}

impl Message {
    /// Whether it is known to stand somewhere.
    pub fn stands(&self) -> bool {
        self.first <= self.last
    }
}

const UNKNOWN: Message =
    Message { sender: NOBODY, reader: NOBODY, is_read: false, first: u64::MAX, last: 0 };

impl Places {
    /// `Err`: a message was sent twice.
    pub fn of(history: &Messages) -> Result<Places, String> {
        let happened = vec![false; history.len()];
        let mut places = Places { messages: HashMap::default(), places: vec![], happened };
        places.send(history)?;
        places.read(history);
        for (at, operation) in history.operations().iter().enumerate() {
            places.happened[at] = places.has_happened(history, operation);
        }
        places.stand(history);
        Ok(places)
    }

    /// Whether an operation's sends happened.
    pub fn happened(&self, operation: u32) -> bool {
        self.happened.get(operation as usize) == Some(&true)
    }

    /// Where what was sent stands: as it was answered, or where it was read, if that is one place.
    pub fn offset(&self, sent: &Act) -> Option<u64> {
        let message = || self.messages.get(&(sent.key, sent.value));
        let read = || message().filter(|m| m.first == m.last).map(|m| m.first);
        sent.offset.or_else(read)
    }

    /// The sender of a message, if it was sent.
    pub fn sender<'a>(&self, history: &'a Messages, message: &Message) -> Option<&'a Operation> {
        history.operations().get(message.sender as usize)
    }

    /// How many messages were acknowledged, and how many were read.
    pub fn counts(&self, history: &Messages) -> (usize, usize) {
        let all = self.messages.values();
        let acknowledged = |message: &&Message| {
            self.sender(history, message).is_some_and(|o| o.outcome == Outcome::Ok)
        };
        (all.clone().filter(acknowledged).count(), all.filter(|message| message.is_read).count())
    }

    /// A place that is strictly between two of a log.
    pub fn between(&self, key: u32, from: u64, to: u64) -> Option<&Place> {
        let next = self.places.partition_point(|place| (place.key, place.offset) <= (key, from));
        self.places.get(next).filter(|place| (place.key, place.offset) < (key, to))
    }

    fn send(&mut self, history: &Messages) -> Result<(), String> {
        for (at, operation) in history.operations().iter().enumerate() {
            for act in history.acts(operation).iter().filter(|act| act.what == What::Send) {
                let message = self.messages.entry((act.key, act.value)).or_insert(UNKNOWN);
                let before = history.operations().get(message.sender as usize);
                let failed = operation.outcome == Outcome::Fail;
                match before {
                    Some(_) if failed => continue,
                    Some(before) if before.outcome != Outcome::Fail => {
                        let (key, value) = (history.key(act.key), history.value(act.value));
                        let lines = (before.line, operation.line);
                        return Err(format!(
                            "{value} was sent to log {key} more than once (lines {} and {}), so \
                             who read it tells nothing",
                            lines.0, lines.1
                        ));
                    }
                    _ => message.sender = at as u32,
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, history: &Messages) {
        for (at, operation) in history.operations().iter().enumerate() {
            for act in history.acts(operation).iter().filter(|act| act.what == What::Read) {
                let message = self.messages.entry((act.key, act.value)).or_insert(UNKNOWN);
                message.is_read = true;
                if operation.outcome == Outcome::Ok && message.reader == NOBODY {
                    message.reader = at as u32;
                }
            }
        }
    }

    fn has_happened(&self, history: &Messages, operation: &Operation) -> bool {
        let is_read = |key, value| self.messages.get(&(key, value)).is_some_and(|m| m.is_read);
        let mut sent = history.acts(operation).iter().filter(|act| act.what == What::Send);
        match operation.outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => sent.any(|act| is_read(act.key, act.value)),
        }
    }

    fn stand(&mut self, history: &Messages) {
        for (at, operation) in history.operations().iter().enumerate() {
            for act in history.acts(operation) {
                let counts = act.what == What::Read || act.what == What::Send && self.happened[at];
                let Some(offset) = act.offset.filter(|_| counts) else { continue };
                let (key, value, by) = (act.key, act.value, at as u32);
                self.places.push(Place { key, offset, value, by });
                if let Some(message) = self.messages.get_mut(&(key, value)) {
                    message.first = message.first.min(offset);
                    message.last = message.last.max(offset);
                }
            }
        }
        self.places.sort_unstable();
        self.places.dedup_by_key(|place| (place.key, place.offset, place.value));
    }
}
