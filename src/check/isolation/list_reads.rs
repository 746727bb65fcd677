//! What is wrong with single reads of lists: a value of a failed transaction, from nowhere, from the middle of one,
//! twice, or out of order; reads that contradict each other or their own transaction; updates that were lost.
//!
//! Bounds: linear in the history; what contradicts the longest read of its list is sorted.

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::list_append::{Lists, committed};
use super::writes::NONE;
use crate::history::transactions::{Action, Outcome, Transaction, Transactions};

impl Lists<'_> {
    /// Adds what is wrong with single reads.
    pub fn facts(&self, facts: &mut Facts) {
        self.dirty_updates(facts);
        self.turned(facts);
        let mut scratch = Scratch {
            steps: vec![],
            before: vec![],
            latest: vec![(NONE, 0, false); self.orders.len()],
            updates: vec![],
        };
        let mut firsts = Vec::with_capacity(self.orders.len());
        let mut total = 0;
        for order in &self.orders {
            firsts.push(total);
            total += order.values().len() + 1;
        }
        let mut first_update = vec![NONE; total];
        for (number, txn) in committed(self.history) {
            scratch.load(self.history, number, txn);
            for at in 0..scratch.steps.len() {
                let (key, values) = match scratch.steps[at] {
                    (key, Action::List(values)) => (key, values),
                    (key, Action::Nil) => (key, &[][..]),
                    (key, Action::Append(value)) => {
                        self.future(&scratch, number, at, key, value, facts);
                        continue;
                    }
                    _ => continue,
                };
                self.read(number, key, values, facts);
                self.internal(&scratch, number, at, values, facts);
            }
            // Two that read the same and both append: one's update is lost.
            for (key, values) in scratch.updates.drain(..) {
                if !self.orders[key as usize].values().starts_with(values) {
                    continue;
                }
                let first = &mut first_update[firsts[key as usize] + values.len()];
                if *first == NONE {
                    *first = number;
                } else {
                    facts.add(Anomaly::LostUpdate, &[*first, number], || {
                        let (name, len) = (self.history.key(key), values.len());
                        format!("both read the first {len} elements of {name} and appended to it")
                    });
                }
            }
        }
    }

    fn read(&self, number: u32, key: u32, values: &[i64], facts: &mut Facts) {
        let order = &self.orders[key as usize];
        let name = self.history.key(key);
        if order.distinct.is_empty() && order.longest.starts_with(values) {
            let len = values.len() as u32;
            if let Some(at) = order.failed.filter(|at| *at < len) {
                self.aborted(number, key, values[at as usize], facts);
            }
            if let Some(at) = order.alien.filter(|at| *at < len) {
                self.alien(number, key, values[at as usize], facts);
            }
        } else {
            if !order.longest.starts_with(values) {
                facts.add(Anomaly::IncompatibleOrder, &[number, order.reader], || {
                    format!("two reads of {name}, of which neither continues the other")
                });
            }
            let mut sorted = values.to_vec();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                facts.add(Anomaly::DuplicateElements, &[number], || {
                    format!("a read of {name} has {} twice", self.value(pair[0]))
                });
            }
            for value in values {
                match self.writes.find(key, *value) {
                    None => self.alien(number, key, *value, facts),
                    Some(write) if self.writes.all[write].outcome == Outcome::Fail => {
                        self.aborted(number, key, *value, facts);
                    }
                    Some(_) => {}
                }
            }
        }
        let Some(write) = values.last().and_then(|last| self.writes.find(key, *last)) else {
            return;
        };
        let write = &self.writes.all[write];
        if !write.last && write.txn != number {
            facts.add(Anomaly::G1b, &[number, write.txn], || {
                let value = self.value(write.value);
                format!("a read of {name} ends with {value}, which is not its writer's last append")
            });
        }
    }

    fn aborted(&self, number: u32, key: u32, value: i64, facts: &mut Facts) {
        let Some(write) = self.writes.find(key, value) else { return };
        facts.add(Anomaly::G1a, &[number, self.writes.all[write].txn], || {
            let (name, value) = (self.history.key(key), self.value(value));
            format!("a read of {name} has {value}, whose transaction failed")
        });
    }

    fn alien(&self, number: u32, key: u32, value: i64, facts: &mut Facts) {
        facts.add(Anomaly::ThinAirRead, &[number], || {
            let (name, value) = (self.history.key(key), self.value(value));
            format!("a read of {name} has {value}, which nobody appended")
        });
    }

    /// It saw what it appends only later.
    fn future(
        &self,
        scratch: &Scratch<'_>,
        number: u32,
        at: usize,
        key: u32,
        value: i64,
        facts: &mut Facts,
    ) {
        let Some(write) = self.writes.find(key, value) else { return };
        let place = self.places[write];
        for earlier in scratch.back(at).take(LOOKED_BACK) {
            let (_, Action::List(values)) = scratch.steps[earlier] else { continue };
            let order = &self.orders[key as usize];
            let saw = if order.distinct.is_empty() && order.longest.starts_with(values) {
                place < values.len() as u32
            } else {
                values.contains(&value)
            };
            if saw {
                facts.add(Anomaly::FutureRead, &[number], || {
                    let (name, value) = (self.history.key(key), self.value(value));
                    format!("a read of {name} has {value}, which its own transaction appends later")
                });
                return;
            }
        }
    }

    /// What a transaction reads continues what it read and appended itself before.
    fn internal(
        &self,
        scratch: &Scratch<'_>,
        number: u32,
        at: usize,
        values: &[i64],
        facts: &mut Facts,
    ) {
        let mut end = values;
        let mut fits = true;
        for earlier in scratch.back(at) {
            match scratch.steps[earlier].1 {
                Action::Append(value) => match end.split_last() {
                    Some((last, rest)) if *last == value => end = rest,
                    _ => fits = false,
                },
                Action::List(base) => {
                    fits &= base == end;
                    break;
                }
                Action::Nil => {
                    fits &= end.is_empty();
                    break;
                }
                _ => {}
            }
            if !fits {
                break;
            }
        }
        if !fits {
            let key = scratch.steps[at].0;
            facts.add(Anomaly::Internal, &[number], || {
                let name = self.history.key(key);
                format!("a read of {name} contradicts what its own transaction did before")
            });
        }
    }

    /// What a transaction appended first stands behind what it appended later.
    fn turned(&self, facts: &mut Facts) {
        let mut latest = vec![(NONE, 0); self.history.len()];
        for (key, order) in self.orders.iter().enumerate() {
            for write in &order.writes {
                let Some(write) = self.writes.all.get(*write as usize) else { continue };
                let own = &mut latest[write.txn as usize];
                if own.0 == key as u32 && own.1 > write.step {
                    facts.add(Anomaly::CyclicVersions, &[order.reader, write.txn], || {
                        let (name, value) = (self.history.key(key as u32), self.value(write.value));
                        format!("in {name}, {value} is behind what its writer appended later")
                    });
                }
                *own = (key as u32, write.step);
            }
        }
    }

    /// A committed append behind one whose transaction failed.
    fn dirty_updates(&self, facts: &mut Facts) {
        for (key, order) in self.orders.iter().enumerate() {
            let Some(from) = order.failed else { continue };
            let mut failed = None;
            for write in order.writes.iter().skip(from as usize) {
                let Some(write) = self.writes.all.get(*write as usize) else { continue };
                match (write.outcome, failed) {
                    (Outcome::Fail, _) => failed = failed.or(Some(write.txn)),
                    (Outcome::Info, _) | (Outcome::Ok, None) => {}
                    (Outcome::Ok, Some(before)) => {
                        facts.add(Anomaly::DirtyUpdate, &[before, write.txn], || {
                            let name = self.history.key(key as u32);
                            let value = self.value(write.value);
                            format!("{value} was appended to {name} behind a failed append")
                        });
                        failed = None;
                    }
                }
            }
        }
    }
}

/// So many of a transaction's own steps are looked at for a value that it appends later: what an earlier one saw, a
/// later one sees too, or is wrong by itself.
const LOOKED_BACK: usize = 16;

/// One transaction at a time.
struct Scratch<'a> {
    steps: Vec<(u32, Action<'a>)>,
    /// Of each step, the one before it on the same key, if there is one: itself if not.
    before: Vec<u32>,
    /// Of each key, the transaction that was there last, as which step, and whether it has appended.
    latest: Vec<(u32, u32, bool)>,
    /// Keys that it read first and appended to afterwards, and what it read.
    updates: Vec<(u32, &'a [i64])>,
}

impl<'a> Scratch<'a> {
    fn load(&mut self, history: &'a Transactions, number: u32, txn: &Transaction) {
        self.steps.clear();
        self.before.clear();
        self.steps.extend(history.steps(txn));
        for (at, (key, action)) in self.steps.iter().enumerate() {
            let latest = &mut self.latest[*key as usize];
            let new = latest.0 != number;
            let before = if new { at as u32 } else { latest.1 };
            let (appends, appended) = (matches!(action, Action::Append(_)), !new && latest.2);
            *latest = (number, at as u32, appended || appends);
            self.before.push(before);
            // The first append, behind nothing but reads.
            if appends && !appended && !new {
                match self.steps[before as usize].1 {
                    Action::List(values) => self.updates.push((*key, values)),
                    Action::Nil => self.updates.push((*key, &[])),
                    _ => {}
                }
            }
        }
    }

    /// The steps on the same key before this one, the latest first.
    fn back(&self, at: usize) -> impl Iterator<Item = usize> {
        let step = move |at: &usize| {
            let before = self.before[*at] as usize;
            (before != *at).then_some(before)
        };
        std::iter::successors(step(&at), step)
    }
}
