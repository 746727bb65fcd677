//! Queues: as many enqueues as dequeues, so that a queue stays short. Elements are unique over the drill.

use super::{Chance, Script, each};
use crate::history::{Call, Process};
use crate::quantity::Ratio;

pub(super) struct Queues {
    pub(super) keys: u32,
    /// The last element that was enqueued anywhere.
    pub(super) next: i64,
}

impl Script for Queues {
    fn next(&mut self, chance: &mut Chance, _: Process) -> Call {
        let key = chance.below(self.keys);
        if chance.happens(Ratio::new(0.5)) {
            return Call::Dequeue { key };
        }
        self.next += 1;
        Call::Enqueue { key, element: self.next }
    }
    fn final_calls(&self) -> Vec<Call> {
        each(self.keys, |key| Call::Dequeue { key })
    }
}
