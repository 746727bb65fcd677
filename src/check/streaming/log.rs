//! One log while it is in use.
//!
//! What stands at an offset is told by acknowledgements and by reads. The first claim for an offset is kept, and any
//! other one is compared with it. So all that is acknowledged and lies within what a read returned is compared with
//! that, and a read misses something if the log was acknowledged further than the read goes, before it began: one
//! number for each read in flight. A message that stands before one that was acknowledged before it was sent is found
//! in the same way, with one number for each append that is nowhere seen yet.
//!
//! Memory: 16 bytes for each message whose place is known (the message, and its place among those of its sender), 24
//! for each append that is nowhere seen yet, 16 for each read in flight. Time: O(1) for a message that is known
//! already, O(log n) for a new one.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use crate::history::{Message, Process};

/// One log. See the module.
#[derive(Debug, Default)]
pub(super) struct OneLog {
    places: Places,
    /// The offsets of each sender's messages, ascending; and so are the messages' numbers.
    senders: HashMap<Process, Vec<u64>, FixedState>,
    /// Sent, and nowhere seen yet: how far the log was acknowledged then.
    sent: HashMap<Message, u64, FixedState>,
    /// How far the log is acknowledged: behind the last message that is.
    acknowledged: u64,
}

impl OneLog {
    /// An append was invoked.
    pub fn send(&mut self, message: Message) {
        self.sent.insert(message, self.acknowledged);
    }

    /// It did not take effect, and never will.
    pub fn failed(&mut self, message: Message) -> Option<String> {
        match self.sent.remove(&message) {
            Some(_) => None,
            None => Some(format!("{} was read, and its append failed", name(message))),
        }
    }

    /// It was acknowledged at an offset.
    pub fn acknowledge(&mut self, message: Message, at: u64) -> Option<String> {
        let wrong = self.claim(at, message);
        self.acknowledged = self.acknowledged.max(at.saturating_add(1));
        wrong
    }

    /// How far it is acknowledged: what a read that begins now must reach.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// A read returned these messages from an offset on; when it began, so far was acknowledged.
    pub fn read(&mut self, from: u64, messages: &[Message], acknowledged: u64) -> Option<String> {
        let claims = (from..).zip(messages);
        let mut wrong = claims.filter_map(|(at, message)| self.claim(at, *message));
        if let Some(wrong) = wrong.next() {
            return Some(wrong);
        }
        let end = from.saturating_add(messages.len() as u64);
        let last = acknowledged.checked_sub(1).filter(|last| *last >= end)?;
        let message = self.places.get(last).map_or("a message".to_string(), name);
        Some(format!("{message} is missing: acknowledged at {last}, and the read ends at {end}"))
    }

    /// Somebody says that this message stands at this offset.
    fn claim(&mut self, at: u64, message: Message) -> Option<String> {
        match self.places.get(at) {
            Some(known) if known == message => None,
            Some(known) => Some(format!("offset {at} has {} and {}", name(known), name(message))),
            None => self.place(at, message),
        }
    }

    /// The same, of an offset of which nothing was known.
    fn place(&mut self, at: u64, message: Message) -> Option<String> {
        let Message { sender, sequence } = message;
        let offsets = self.senders.entry(sender).or_default();
        let sequence_at = |at: u64| self.places.get(at).map_or(0, |m| m.sequence);
        let same = offsets.partition_point(|at| sequence_at(*at) < sequence);
        if let Some(other) = offsets.get(same).filter(|at| sequence_at(**at) == sequence) {
            let (first, second) = (at.min(*other), at.max(*other));
            return Some(format!(
                "{} is duplicated, at offsets {first} and {second}",
                name(message)
            ));
        }
        let Some(acknowledged) = self.sent.remove(&message) else {
            return Some(format!("{} was read, and never sent", name(message)));
        };
        let place = offsets.partition_point(|other| *other < at);
        if place != same {
            return Some(format!("messages of sender {sender} are reordered at {}", name(message)));
        }
        if at < acknowledged {
            let before = self.places.get(acknowledged - 1).map_or("another".to_string(), name);
            return Some(format!(
                "{} stands before {before}, which was acknowledged before it was sent",
                name(message)
            ));
        }
        offsets.insert(place, at);
        self.places.set(at, message);
        None
    }
}

fn name(message: Message) -> String {
    format!("message {}.{}", message.sender, message.sequence)
}

/// So many offsets are kept together.
const TOGETHER: u64 = 256;

/// Which message stands at which offset.
#[derive(Debug, Default)]
struct Places(BTreeMap<u64, Vec<Message>>);

/// No message.
const NONE: Message = Message { sender: u32::MAX, sequence: u32::MAX };

impl Places {
    fn get(&self, at: u64) -> Option<Message> {
        let some = self.0.get(&(at / TOGETHER))?;
        some.get((at % TOGETHER) as usize).copied().filter(|message| *message != NONE)
    }

    fn set(&mut self, at: u64, message: Message) {
        let some = self.0.entry(at / TOGETHER).or_default();
        let place = (at % TOGETHER) as usize;
        if some.len() <= place {
            some.resize(place + 1, NONE);
        }
        some[place] = message;
    }
}
