//! Counters: additions, mostly upward, and totals.

use super::{Chance, Script, each};
use crate::history::{Call, Process};
use crate::quantity::Ratio;

pub(super) struct Counters {
    pub(super) keys: u32,
}

impl Script for Counters {
    fn next(&mut self, chance: &mut Chance, _: Process) -> Call {
        let key = chance.below(self.keys);
        if chance.reads() {
            return Call::Total { key };
        }
        let amount = chance.between(1, 5);
        let down = chance.happens(Ratio::new(0.2));
        Call::Add { key, delta: if down { -amount } else { amount } }
    }
    fn final_calls(&self) -> Vec<Call> {
        each(self.keys, |key| Call::Total { key })
    }
}
