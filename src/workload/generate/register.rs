//! Registers: reads, writes, compare-and-sets. Each value is written at most once to a key, so that a read
//! names the write that it saw.

use std::collections::VecDeque;

use super::{Chance, Script, each};
use crate::history::{Call, Key, Outcome, Process, Reply};
use crate::quantity::Ratio;

/// How many values a register is remembered to have had lately.
const RECENT: usize = 3;

pub(super) struct Registers(Vec<Register>);

#[derive(Default)]
struct Register {
    written: i64,
    /// What it may hold now, the likeliest last.
    recent: VecDeque<i64>,
}

impl Register {
    fn fresh(&mut self) -> i64 {
        self.written += 1;
        self.written
    }
    fn held(&mut self, value: i64) {
        if self.recent.back() == Some(&value) {
            return;
        }
        self.recent.push_back(value);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }
    /// Mostly the value that was seen last, so that a compare-and-set has a fair chance.
    fn guess(&self, chance: &mut Chance) -> Option<i64> {
        let last = self.recent.len().checked_sub(1)?;
        let back = if chance.happens(Ratio::new(0.8)) { 0 } else { chance.below(RECENT as u32) };
        self.recent.get(last.saturating_sub(back as usize)).copied()
    }
}

impl Registers {
    pub(super) fn new(keys: u32) -> Self {
        Registers((0..keys).map(|_| Register::default()).collect())
    }
    fn held(&mut self, key: Key, value: i64) {
        if let Some(register) = self.0.get_mut(key as usize) {
            register.held(value);
        }
    }
}

impl Script for Registers {
    fn next(&mut self, chance: &mut Chance, _: Process) -> Call {
        let key = chance.below(self.0.len() as u32);
        if chance.reads() {
            return Call::Read { key };
        }
        let wants_cas = chance.happens(chance.mix.cas);
        let register = &mut self.0[key as usize];
        let from = if wants_cas { register.guess(chance) } else { None };
        let value = register.fresh();
        match from {
            Some(from) => Call::Cas { key, from, to: value },
            None => {
                register.held(value); // before the answer: another process may compare against it
                Call::Write { key, value }
            }
        }
    }

    fn told(&mut self, call: &Call, outcome: &Outcome) {
        match (call, outcome) {
            (Call::Read { key }, Outcome::Ok(Reply::Value(Some(value)))) => self.held(*key, *value),
            (Call::Write { key, value }, Outcome::Ok(_)) => self.held(*key, *value),
            (Call::Cas { key, to, .. }, Outcome::Ok(Reply::Swapped(true))) => self.held(*key, *to),
            _ => {}
        }
    }

    fn final_calls(&self) -> Vec<Call> {
        each(self.0.len() as u32, |key| Call::Read { key })
    }
}
