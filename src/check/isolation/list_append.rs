//! Lists that transactions append to (Kingsbury & Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations"): the longest read of a list tells the order of its versions, and with it who wrote over whom (ww),
//! who read whom (wr), and who wrote what a reader had not seen yet (rw).
//!
//! Sound: what it calls wrong, no execution explains. Complete for what the reads tell; an order of appends that nobody
//! read is not guessed. Bounds: linear in the history but for sorting.

use super::graph::{Edges, Label};
use super::who;
use super::writes::{NONE, Writes};
use crate::history::transactions::{Action, Outcome, Transaction, Transactions};

/// What is known of all lists.
#[derive(Debug)]
pub struct Lists<'a> {
    pub history: &'a Transactions,
    pub writes: &'a Writes,
    /// Of each key, its values in their order.
    pub orders: Vec<Order<'a>>,
    /// Of each write, where it stands in the order of its key.
    pub places: Vec<u32>,
}

/// What is known of one list.
#[derive(Debug, Default)]
pub struct Order<'a> {
    /// The longest read of it.
    pub longest: &'a [i64],
    /// Which transaction read that.
    pub reader: u32,
    /// Without what stands there again. Empty: nothing does.
    pub distinct: Vec<i64>,
    /// Of each value, its write.
    pub writes: Vec<u32>,
    /// Where the first value stands that a failed transaction wrote, and the first that nobody wrote.
    pub failed: Option<u32>,
    pub alien: Option<u32>,
}

impl Order<'_> {
    /// Its values in their order, each once.
    pub fn values(&self) -> &[i64] {
        if self.distinct.is_empty() { self.longest } else { &self.distinct }
    }
}

impl<'a> Lists<'a> {
    /// Reads the orders off.
    pub fn of(history: &'a Transactions, writes: &'a Writes) -> Lists<'a> {
        let mut orders: Vec<Order> = (0..history.keys()).map(|_| Order::default()).collect();
        for (number, txn) in committed(history) {
            for (key, action) in history.steps(txn) {
                if let Action::List(values) = action {
                    let order = &mut orders[key as usize];
                    if values.len() > order.longest.len() {
                        (order.longest, order.reader) = (values, number);
                    }
                }
            }
        }
        let mut places = vec![NONE; writes.all.len()];
        for (key, order) in orders.iter_mut().enumerate() {
            let mut own = Vec::with_capacity(order.longest.len());
            let mut aliens = std::collections::HashSet::new();
            let mut again = false;
            let mut distinct = vec![];
            for (at, value) in order.longest.iter().enumerate() {
                let write = writes.find(key as u32, *value);
                let new = match write {
                    Some(w) => places[w] == NONE,
                    None => aliens.insert(*value),
                };
                if !new && !again {
                    again = true;
                    distinct.extend_from_slice(&order.longest[..at]);
                }
                if !new {
                    continue;
                }
                if again {
                    distinct.push(*value);
                }
                let place = own.len() as u32;
                match write {
                    Some(w) => {
                        places[w] = place;
                        if writes.all[w].outcome == Outcome::Fail {
                            order.failed = order.failed.or(Some(place));
                        }
                    }
                    None => order.alien = order.alien.or(Some(place)),
                }
                own.push(write.map_or(NONE, |w| w as u32));
            }
            order.writes = own;
            order.distinct = distinct;
        }
        Lists { history, writes, orders, places }
    }

    /// What a value is called.
    pub fn value(&self, value: i64) -> String {
        self.history.value(value).to_string()
    }

    fn writer(&self, key: u32, place: usize) -> Option<u32> {
        let write = *self.orders[key as usize].writes.get(place)?;
        let write = self.writes.all.get(write as usize)?;
        (write.outcome != Outcome::Fail).then_some(write.txn)
    }

    /// How many elements of the order a read saw; by its last element, where it does not fit.
    fn seen(&self, key: u32, values: &[i64]) -> Option<usize> {
        if self.orders[key as usize].values().starts_with(values) {
            return Some(values.len());
        }
        let last = *values.last()?;
        let write = self.writes.find(key, last)?;
        let place = self.places[write];
        (place != NONE).then_some(place as usize + 1)
    }

    /// Who appended just before a place, and who after, for words.
    pub fn words(&self, a: u32, b: u32, label: Label, key: u32) -> String {
        let name = self.history.key(key);
        let all = self.history.all();
        let (Some(first), Some(second)) = (all.get(a as usize), all.get(b as usize)) else {
            return String::new();
        };
        let appended = |txn: &Transaction, from: usize| {
            let own = self.history.steps(txn).filter(|(k, _)| *k == key);
            let places = own.filter_map(|(_, action)| match action {
                Action::Append(value) => {
                    let write = self.writes.find(key, value)?;
                    let place = self.places[write];
                    (place == NONE || place as usize >= from).then_some((place, value))
                }
                _ => None,
            });
            places.min()
        };
        let reads = |txn: &Transaction| {
            let own = self.history.steps(txn).filter(|(k, _)| *k == key);
            let seen = own.filter_map(|(_, action)| match action {
                Action::List(values) => self.seen(key, values),
                Action::Nil => Some(0),
                _ => None,
            });
            seen.collect::<Vec<_>>()
        };
        match label {
            Label::Ww => match (appended(first, 0), appended(second, 0)) {
                (Some((_, x)), Some((place, y))) => {
                    let (x, y) = (self.value(x), self.value(y));
                    let reader = who(self.history, self.orders[key as usize].reader);
                    let how = if place == NONE { "without" } else { "before" };
                    format!("appended {x} to {name}, which {reader} read {how} the {y} appended by")
                }
                _ => format!("appended to {name} before"),
            },
            Label::Wr => {
                let seen = reads(second).into_iter().find_map(|len| {
                    let place = len.checked_sub(1)?;
                    let value = *self.orders[key as usize].values().get(place)?;
                    (self.writer(key, place) == Some(a)).then_some(value)
                });
                match seen {
                    Some(value) => {
                        format!("appended {} to {name}, which was read by", self.value(value))
                    }
                    None => format!("appended to {name} what was read by"),
                }
            }
            _ => {
                let missed = reads(first).into_iter().find_map(|len| appended(second, len));
                match missed {
                    Some((_, value)) => {
                        let value = self.value(value);
                        format!("did not see in {name} the {value} that was appended by")
                    }
                    None => format!("did not see in {name} what was appended by"),
                }
            }
        }
    }

    /// Adds who came first by the versions of the lists.
    pub fn edges(&self, edges: &mut Edges) {
        let mut unread: Vec<u32> = vec![];
        let mut behind = vec![NONE; self.orders.len()];
        for key in 0..self.orders.len() as u32 {
            let order = &self.orders[key as usize];
            for place in 1..order.writes.len() {
                if let (Some(a), Some(b)) = (self.writer(key, place - 1), self.writer(key, place)) {
                    edges.add(a, b, Label::Ww, key);
                }
            }
            unread.clear();
            for i in self.writes.range(key) {
                let write = &self.writes.all[i];
                if self.places[i] == NONE && write.outcome != Outcome::Fail {
                    unread.push(write.txn);
                }
            }
            unread.sort_unstable();
            unread.dedup();
            if unread.is_empty() {
                continue;
            }
            // Who appended what nobody read did so behind all that was read.
            let last = order.writes.len().checked_sub(1).and_then(|at| self.writer(key, at));
            let helper = edges.helper();
            behind[key as usize] = helper;
            for txn in &unread {
                edges.add(helper, *txn, Label::Inner, key);
                if let Some(last) = last {
                    edges.add(last, *txn, Label::Ww, key);
                }
            }
        }
        for (number, txn) in committed(self.history) {
            for (key, action) in self.history.steps(txn) {
                let values = match action {
                    Action::List(values) => values,
                    Action::Nil => &[],
                    _ => continue,
                };
                let Some(seen) = self.seen(key, values) else { continue };
                if let Some(writer) = seen.checked_sub(1).and_then(|at| self.writer(key, at)) {
                    edges.add(writer, number, Label::Wr, key);
                }
                let order = &self.orders[key as usize];
                if seen < order.writes.len() {
                    if let Some(next) = self.writer(key, seen) {
                        edges.add(number, next, Label::Rw, key);
                    }
                } else if behind[key as usize] != NONE {
                    edges.add(number, behind[key as usize], Label::Rw, key);
                }
            }
        }
    }
}

/// Those that committed.
pub fn committed(history: &Transactions) -> impl Iterator<Item = (u32, &Transaction)> {
    let all = history.all().iter().enumerate();
    all.filter(|(_, t)| t.outcome == Outcome::Ok).map(|(i, t)| (i as u32, t))
}
