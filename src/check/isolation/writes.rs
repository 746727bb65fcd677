//! Who wrote which value of which key: sorted, so that no hash is needed and nobody can make one collide.

use crate::history::transactions::{Action, Outcome, Transactions};

/// Stands for nothing where an index is expected.
pub const NONE: u32 = u32::MAX;

/// One append or write.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    /// What was written.
    pub value: i64,
    /// By which transaction.
    pub txn: u32,
    /// As which of its micro-operations.
    pub step: u32,
    /// It wrote nothing further to this key.
    pub last: bool,
    /// How that transaction ended.
    pub outcome: Outcome,
}

/// All of them, by key and value.
#[derive(Debug)]
pub struct Writes {
    offsets: Vec<u32>,
    /// Sorted by key, then by value.
    pub all: Vec<Write>,
}

/// One value that was written to one key twice: the key, the value, both transactions.
#[derive(Debug, Clone, Copy)]
pub struct Twice {
    pub key: u32,
    pub value: i64,
    pub txns: [u32; 2],
}

impl Writes {
    /// Collects them.
    pub fn of(history: &Transactions) -> Result<Writes, Twice> {
        let mut offsets = vec![0_u32; history.keys() + 1];
        let written = |action| match action {
            Action::Append(value) | Action::Write(value) => Some(value),
            _ => None,
        };
        for txn in history.all() {
            for (key, action) in history.steps(txn) {
                offsets[key as usize + 1] += u32::from(written(action).is_some());
            }
        }
        for key in 0..history.keys() {
            offsets[key + 1] += offsets[key];
        }
        let empty = Write { value: 0, txn: 0, step: 0, last: false, outcome: Outcome::Ok };
        let mut all = vec![empty; offsets.last().map_or(0, |end| *end as usize)];
        let mut next = offsets.clone();
        let mut latest = vec![NONE; history.keys()];
        for (number, txn) in history.all().iter().enumerate() {
            let number = number as u32;
            // From behind: the first that is met is the last.
            let steps = history.steps(txn);
            let len = steps.len();
            for (back, (key, action)) in steps.rev().enumerate() {
                let Some(value) = written(action) else { continue };
                let key = key as usize;
                let last = latest[key] != number;
                latest[key] = number;
                let step = (len - 1 - back) as u32;
                all[next[key] as usize] =
                    Write { value, txn: number, step, last, outcome: txn.outcome };
                next[key] += 1;
            }
        }
        for key in 0..history.keys() {
            let own = &mut all[offsets[key] as usize..offsets[key + 1] as usize];
            own.sort_unstable_by_key(|write| write.value);
            if let Some(pair) = own.windows(2).find(|pair| pair[0].value == pair[1].value) {
                let txns = [pair[0].txn, pair[1].txn];
                return Err(Twice { key: key as u32, value: pair[0].value, txns });
            }
        }
        Ok(Writes { offsets, all })
    }

    /// Those of a key.
    pub fn range(&self, key: u32) -> std::ops::Range<usize> {
        self.offsets[key as usize] as usize..self.offsets[key as usize + 1] as usize
    }

    /// Where the write of a value is.
    pub fn find(&self, key: u32, value: i64) -> Option<usize> {
        let range = self.range(key);
        let own = &self.all[range.clone()];
        // Values are often numbered from 0 or 1.
        let first = own.first()?.value;
        let guess = usize::try_from(value.wrapping_sub(first)).ok();
        if let Some(guess) = guess
            && own.get(guess).is_some_and(|write| write.value == value)
        {
            return Some(range.start + guess);
        }
        let place = own.binary_search_by_key(&value, |write| write.value).ok()?;
        Some(range.start + place)
    }
}
