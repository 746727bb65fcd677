//! Sets that only grow and are read as a whole, as recorded by many a test of a replicated set. The contents of reads
//! must form a chain; along it, each read is placed as early as what it holds allows, before anything that it lacks had
//! to be added.
//!
//! Exact, with unknown outcomes. Time: O(n log n + m), and that O(log n) times where it is not linearizable, m being
//! what all reads hold. Memory: O(n).

use std::collections::HashMap;

use super::super::{Answer, Op, events};
use super::SetCall;

/// A rank that is never reached.
const NEVER: u32 = u32::MAX;

/// A read, from its call to its return, in ranks of events.
struct Read<'a> {
    call: u32,
    end: u32,
    all: &'a [i64],
}

/// See the module.
struct Grown<'a> {
    reads: Vec<Read<'a>>,
    /// By element: when it was first called to be added, and when an addition of it first returned.
    adds: HashMap<i64, (u32, u32), foldhash::fast::FixedState>,
}

/// `None`: something else was done than adding without an answer, and reading.
pub(super) fn judge(ops: &[Op<SetCall>]) -> Option<Answer> {
    let order = events(ops);
    let mut spans = vec![(NEVER, NEVER); ops.len()];
    let mut returns: Vec<(u32, usize)> = vec![];
    for (rank, (op, is_return)) in order.iter().enumerate() {
        let rank = rank as u32;
        match is_return {
            false => spans[*op].0 = rank,
            true => {
                spans[*op].1 = rank;
                returns.push((rank, *op));
            }
        }
    }
    let mut grown = Grown { reads: vec![], adds: HashMap::default() };
    for (op, (call, end)) in ops.iter().zip(&spans) {
        match &op.call {
            SetCall::All(all) => grown.reads.push(Read { call: *call, end: *end, all }),
            SetCall::Add(element, None) => {
                let known = grown.adds.entry(*element).or_insert((NEVER, NEVER));
                *known = (known.0.min(*call), known.1.min(*end));
            }
            _ => return None,
        }
    }
    // A chain is known by its lengths.
    grown.reads.sort_unstable_by_key(|read| (read.all.len(), read.call));
    if grown.suits(order.len() as u32) {
        return Some(Answer::Yes);
    }
    let first = returns.partition_point(|(rank, _)| grown.suits(rank + 1));
    returns.get(first).map(|(_, op)| Answer::No(*op))
}

impl Grown<'_> {
    /// Whether some order suits the first so many events.
    fn suits(&self, events: u32) -> bool {
        let reads: Vec<&Read> = self.reads.iter().filter(|read| read.end < events).collect();
        // By read: from when on what is new in it may be there.
        let mut since: Vec<u32> = Vec::with_capacity(reads.len());
        let mut held: HashMap<i64, usize, foldhash::fast::FixedState> = HashMap::default();
        let mut before: &[i64] = &[];
        for (place, read) in reads.iter().enumerate() {
            // What holds an element twice is no set.
            if read.all.windows(2).any(|pair| pair[0] == pair[1]) {
                return false;
            }
            let mut own = read.all.iter();
            // Both are ascending.
            if !before.iter().all(|element| own.any(|other| other == element)) {
                return false;
            }
            let mut latest = 0;
            if read.all.len() > before.len() {
                for element in read.all {
                    held.entry(*element).or_insert_with(|| {
                        latest = latest.max(self.adds.get(element).map_or(NEVER, |add| add.0));
                        place
                    });
                }
            }
            since.push(latest);
            before = read.all;
        }
        // By read: by when the first thing that it lacks must have been added.
        let mut until = vec![NEVER; reads.len() + 1];
        for (element, (_, end)) in self.adds.iter().filter(|(_, (_, end))| *end < events) {
            let first = held.get(element).copied().unwrap_or(reads.len());
            until[first] = until[first].min(*end);
        }
        for place in (0..reads.len()).rev() {
            until[place] = until[place].min(until[place + 1]);
        }
        let (mut low, mut placed) = (0, 0);
        for (place, read) in reads.iter().enumerate() {
            // Of reads that hold the same, none waits for another one.
            if place > 0 && read.all.len() > reads[place - 1].all.len() {
                low = placed;
            }
            low = low.max(since[place]);
            let at = low.max(read.call);
            if at >= read.end || at >= until[place + 1] {
                return false;
            }
            placed = placed.max(at);
        }
        true
    }
}
