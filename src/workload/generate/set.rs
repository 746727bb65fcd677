//! Sets: elements that are unique over the drill, and reads of whole sets. A set is left for a fresh one
//! when it has [`FULL`] elements.

use super::rolling::Rolling;
use super::{Chance, Script};
use crate::history::{Call, Process};

/// The most elements that are inserted into one set.
pub(super) const FULL: u32 = 128;

pub(super) struct Sets {
    sets: Rolling,
    next: i64,
}

impl Sets {
    pub(super) fn new(keys: u32) -> Self {
        Sets { sets: Rolling::new(keys, FULL), next: 0 }
    }
}

impl Script for Sets {
    fn next(&mut self, chance: &mut Chance, _: Process) -> Call {
        if chance.reads() {
            return Call::Elements { key: self.sets.pick(chance) };
        }
        let (key, _) = self.sets.add(chance);
        self.next += 1;
        Call::Insert { key, element: self.next }
    }
    fn final_calls(&self) -> Vec<Call> {
        self.sets.used().map(|key| Call::Elements { key }).collect()
    }
}
