//! Who must have committed before whom, by the axiom of each level: of all such pairs, those that imply the others.

use super::super::writes::NONE;
use super::{Before, Checker};
use crate::check::Budget;

/// At most so many bytes are in all clocks at once, unless told otherwise.
const BYTES_MAX: usize = 512 << 20;

impl Checker<'_> {
    /// It read from `u`, and read a key later that `u` wrote, but from another: `u` committed before that one.
    pub(super) fn read_committed(&self) -> Vec<Before> {
        let mut before = vec![];
        let mut last: Vec<(u32, u32)> = vec![(NONE, NONE); self.history.keys()];
        let mut places: Vec<(u32, u32)> = vec![];
        let mut seen = vec![NONE; self.init as usize + 1];
        for txn in (0..self.init).filter(|t| self.counts[*t as usize]) {
            let reads = self.reads(txn);
            // Of two reads of a key in a row, the first was committed first.
            for read in reads {
                let place = &mut last[read.key as usize];
                if place.0 == txn && place.1 != read.from {
                    before.push((place.1, read.from, read.key, txn));
                }
                *place = (txn, read.from);
            }
            if reads.len() < 2 {
                continue;
            }
            // Where each key is read, to find the next such read behind a place.
            places.clear();
            places.extend(reads.iter().enumerate().map(|(at, read)| (read.key, at as u32)));
            places.sort_unstable();
            for (at, read) in reads.iter().enumerate() {
                let writer = read.from;
                if writer == self.init || seen[writer as usize] == txn {
                    continue;
                }
                seen[writer as usize] = txn;
                let mut next = |key: u32| {
                    let next = places.partition_point(|p| *p <= (key, at as u32));
                    let Some((k, place)) = places.get(next) else { return };
                    let from = reads[*place as usize].from;
                    if *k == key && from != writer {
                        before.push((writer, from, key, txn));
                    }
                };
                self.common(writer, &places, &mut next);
            }
        }
        before
    }

    /// Tells each key that a transaction wrote and that is among these, at the cost of the fewer of both.
    fn common(&self, writer: u32, places: &[(u32, u32)], tell: &mut impl FnMut(u32)) {
        let written = self.written(writer);
        if written.len() < places.len() {
            written.iter().for_each(|key| tell(*key));
            return;
        }
        for own in places.chunk_by(|a, b| a.0 == b.0) {
            if written.binary_search(&own[0].0).is_ok() {
                tell(own[0].0);
            }
        }
    }

    /// Whoever it read from or follows in its session, and that wrote a key which it read from another, committed
    /// before that one.
    pub(super) fn read_atomic(&self) -> Vec<Before> {
        let mut before = vec![];
        let mut places: Vec<(u32, u32)> = vec![];
        let mut seen = vec![NONE; self.init as usize + 1];
        let mut last: Vec<(u32, u32)> = vec![(NONE, NONE); self.history.keys()];
        for (session, own) in self.sessions.iter().enumerate() {
            let session = session as u32;
            for txn in own.iter().copied() {
                let reads = self.reads(txn);
                places.clear();
                places.extend(reads.iter().map(|read| (read.key, read.from)));
                places.sort_unstable();
                places.dedup();
                for (key, from) in &places {
                    let (s, writer) = last[*key as usize];
                    if s == session && writer != *from {
                        before.push((writer, *from, *key, txn));
                    }
                }
                for read in reads {
                    let writer = read.from;
                    if seen[writer as usize] == txn {
                        continue;
                    }
                    seen[writer as usize] = txn;
                    if writer == self.init {
                        // It wrote everything: whatever else was read of this key came later, as it always does.
                        continue;
                    }
                    let mut tell = |key: u32| {
                        let from = places.partition_point(|p| p.0 < key);
                        for (_, other) in places[from..].iter().take_while(|p| p.0 == key) {
                            if *other != writer {
                                before.push((writer, *other, key, txn));
                            }
                        }
                    };
                    self.common(writer, &places, &mut tell);
                }
                for key in self.written(txn) {
                    last[*key as usize] = (session, txn);
                }
            }
        }
        before
    }

    /// Whoever precedes it by sessions and reads, and that wrote a key which it read from another, committed before
    /// that one. Of each session the last such suffices.
    pub(super) fn causal(&self, budget: &Budget) -> Result<Vec<Before>, String> {
        let most = budget.bytes(BYTES_MAX);
        let (txns, sessions) = (self.init as usize, self.sessions.len());
        // Of each transaction: its session, and its place there, from 1.
        let mut place = vec![(0_u32, 0_u32); txns];
        let mut writers: Vec<Vec<(u32, u32)>> = vec![vec![]; self.history.keys()];
        for (session, own) in self.sessions.iter().enumerate() {
            for (at, txn) in own.iter().enumerate() {
                place[*txn as usize] = (session as u32, at as u32 + 1);
                for key in self.written(*txn) {
                    writers[*key as usize].push((session as u32, at as u32 + 1));
                }
            }
        }
        let mut before = vec![];
        // How often a clock is still asked for.
        let mut uses = vec![0_u32; txns];
        for read in &self.reads {
            if read.from != self.init {
                uses[read.from as usize] += 1;
            }
        }
        let mut clocks: Vec<Option<Box<[u32]>>> = vec![None; txns];
        // The clocks of sessions that have begun and not ended.
        let mut current: Vec<Option<Box<[u32]>>> = vec![None; sessions];
        let mut live = 0_usize;
        let mut next = vec![0_usize; sessions];
        // Sessions that wait for a transaction.
        let mut waiting: Vec<Vec<u32>> = vec![vec![]; txns];
        let mut done = vec![false; txns];
        let mut ready: Vec<u32> = (0..sessions as u32).rev().collect();
        while let Some(session) = ready.pop() {
            let s = session as usize;
            let mut clock = match current[s].take() {
                Some(clock) => clock,
                None => {
                    live += 1;
                    vec![0; sessions].into()
                }
            };
            'session: while let Some(txn) = self.sessions[s].get(next[s]).copied() {
                for read in self.reads(txn) {
                    if read.from != self.init && read.from != txn && !done[read.from as usize] {
                        waiting[read.from as usize].push(session);
                        break 'session;
                    }
                }
                for read in self.reads(txn) {
                    if read.from == self.init {
                        continue;
                    }
                    let (other, at) = place[read.from as usize];
                    clock[other as usize] = clock[other as usize].max(at);
                    let from = &mut clocks[read.from as usize];
                    if let Some(from) = from {
                        for (own, other) in clock.iter_mut().zip(from.iter()) {
                            *own = (*own).max(*other);
                        }
                    }
                    let left = &mut uses[read.from as usize];
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        live -= usize::from(from.take().is_some());
                    }
                }
                for read in self.reads(txn) {
                    let own = &writers[read.key as usize];
                    let mut at = 0;
                    while at < own.len() {
                        let session = own[at].0;
                        let bound = clock[session as usize];
                        let end = at + own[at..].partition_point(|w| w.0 == session);
                        let known = at + own[at..end].partition_point(|w| w.1 <= bound);
                        if known > at {
                            let (_, last) = own[known - 1];
                            let writer = self.sessions[session as usize][last as usize - 1];
                            if writer != read.from && writer != txn {
                                before.push((writer, read.from, read.key, txn));
                            }
                        }
                        at = end;
                    }
                }
                if uses[txn as usize] > 0 {
                    clocks[txn as usize] = Some(clock.clone());
                    live += 1;
                }
                if live.saturating_mul(4 * sessions) > most {
                    let most = most >> 20;
                    return Err(format!("the clocks of {sessions} sessions need over {most} MiB"));
                }
                clock[s] = place[txn as usize].1;
                done[txn as usize] = true;
                next[s] += 1;
                ready.append(&mut waiting[txn as usize]);
            }
            if next[s] < self.sessions[s].len() {
                current[s] = Some(clock);
            } else {
                live -= 1;
            }
        }
        Ok(before)
    }
}
