//! Lists: transactions of one to four steps, each an append or a read (Elle's list-append). A value is
//! unique for its key; a list is left for a fresh one after [`FULL`] appends.

use super::rolling::Rolling;
use super::{Chance, Script};
use crate::history::{Call, Process, Step};

/// The most values that are appended to one list.
pub(super) const FULL: u32 = 32;

/// How many lists one final transaction reads.
const FINAL_READS: usize = 32;

pub(super) struct Lists(Rolling);

impl Lists {
    pub(super) fn new(keys: u32) -> Self {
        Lists(Rolling::new(keys, FULL))
    }
    fn step(&mut self, chance: &mut Chance) -> Step {
        if chance.reads() {
            return Step::Read { key: self.0.pick(chance) };
        }
        let (key, before) = self.0.add(chance);
        Step::Append { key, value: i64::from(before) + 1 }
    }
}

impl Script for Lists {
    fn next(&mut self, chance: &mut Chance, _: Process) -> Call {
        let steps = 1 + chance.below(4);
        Call::Txn { steps: (0..steps).map(|_| self.step(chance)).collect() }
    }
    fn final_calls(&self) -> Vec<Call> {
        let keys: Vec<_> = self.0.used().collect();
        let reads = |part: &[_]| part.iter().map(|&key| Step::Read { key }).collect();
        keys.chunks(FINAL_READS).map(|part| Call::Txn { steps: reads(part) }).collect()
    }
}
