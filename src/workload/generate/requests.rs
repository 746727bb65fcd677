//! Requests: each asks for a page, and stands for itself.

use super::{Chance, Script};
use crate::history::{Call, Process};

pub(super) struct Requests {
    pub(super) keys: u32,
}

impl Script for Requests {
    fn next(&mut self, chance: &mut Chance, _: Process) -> Call {
        Call::Read { key: chance.below(self.keys) }
    }
    /// Nothing was written that could be read back.
    fn final_calls(&self) -> Vec<Call> {
        vec![]
    }
}
