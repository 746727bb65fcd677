//! A bank: small transfers between two different accounts, and balances of all of them at one instant.

use super::{Chance, Script};
use crate::history::{Call, Process};

pub(super) struct Bank {
    /// How many accounts; at least two.
    pub(super) keys: u32,
}

impl Script for Bank {
    fn next(&mut self, chance: &mut Chance, _: Process) -> Call {
        if chance.reads() {
            return Call::Balances;
        }
        let from = chance.below(self.keys);
        let to = (from + 1 + chance.below(self.keys - 1)) % self.keys;
        Call::Transfer { from, to, amount: chance.between(1, 5) }
    }
    fn final_calls(&self) -> Vec<Call> {
        vec![Call::Balances]
    }
}
