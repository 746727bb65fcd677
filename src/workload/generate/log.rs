//! Message logs: each process numbers what it sends to each log; readers follow the tail.
//!
//! A read starts where the furthest reader stood. One read in ten steps back, as far as the beginning
//! while the log is short, so that a past that changes is seen; never so far that the answer grows with the drill.

use std::collections::BTreeMap;

use super::{Chance, Script, each};
use crate::history::{Call, Key, Message, Outcome, Process, Reply};
use crate::quantity::Ratio;

/// How far a read steps back at most, in messages.
pub(super) const BACK: u32 = 256;

pub(super) struct Logs {
    /// The offset behind the last message that any reader was given, for each log.
    tails: Vec<u64>,
    sequences: BTreeMap<(Process, Key), u32>,
}

impl Logs {
    pub(super) fn new(keys: u32) -> Self {
        Logs { tails: vec![0; keys as usize], sequences: BTreeMap::new() }
    }
}

impl Script for Logs {
    fn next(&mut self, chance: &mut Chance, process: Process) -> Call {
        let key = chance.below(self.tails.len() as u32);
        if chance.reads() {
            let steps_back = chance.happens(Ratio::new(0.1));
            let back = if steps_back { chance.below(2 * BACK).min(BACK) } else { 0 };
            let from = self.tails[key as usize].saturating_sub(u64::from(back));
            return Call::ReadLog { key, from };
        }
        let next = self.sequences.entry((process, key)).or_default();
        let message = Message { sender: process, sequence: *next };
        *next += 1;
        Call::Append { key, message }
    }

    fn told(&mut self, call: &Call, outcome: &Outcome) {
        if let (Call::ReadLog { key, from }, Outcome::Ok(Reply::Messages(messages))) =
            (call, outcome)
            && let Some(tail) = self.tails.get_mut(*key as usize)
        {
            *tail = (*tail).max(from.saturating_add(messages.len() as u64));
        }
    }

    fn final_calls(&self) -> Vec<Call> {
        each(self.tails.len() as u32, |key| Call::ReadLog { key, from: 0 })
    }
}
