//! Registers that transactions read and write, with values that are unique for each key: what is wrong with single
//! reads, and the edges that follow from who read whom and from what is known of the order of versions (`versions`).
//!
//! Sound under the assumptions that the caller makes of the order of versions. Bounds: linear in the history but for
//! sorting, and for as many edges an overwritten version as there were clients.

use std::collections::HashMap;

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::graph::{Edges, Label};
use super::versions::Versions;
use super::writes::{NONE, Writes};
use crate::history::transactions::{Action, Outcome, Transactions};

/// How a transaction met a key: versions by their numbers.
#[derive(Debug, Clone, Copy)]
pub struct Touch {
    /// The transaction.
    pub txn: u32,
    /// The key.
    pub key: u32,
    /// What it read of it before it wrote it.
    pub read: u32,
    /// What it wrote last.
    pub write: u32,
}

impl Touch {
    /// The version that it met first.
    pub fn first(&self) -> u32 {
        if self.read == NONE { self.write } else { self.read }
    }
    /// The version that it left.
    pub fn last(&self) -> u32 {
        if self.write == NONE { self.read } else { self.write }
    }
}

/// What is known of all registers.
#[derive(Debug)]
pub struct Registers<'a> {
    pub history: &'a Transactions,
    writes: &'a Writes,
    /// In the order of their transactions.
    pub touches: Vec<Touch>,
    /// Of each version: its key.
    pub key_of: Vec<u32>,
    /// Of each version: who wrote it as its last.
    writer: Vec<u32>,
    aliens: HashMap<(u32, i64), u32>,
}

impl<'a> Registers<'a> {
    /// Collects it.
    pub fn of(history: &'a Transactions, writes: &'a Writes) -> Registers<'a> {
        let mut all = Registers {
            history,
            writes,
            touches: Vec::with_capacity(history.len() * 2),
            key_of: vec![],
            writer: vec![],
            aliens: HashMap::new(),
        };
        for key in 0..history.keys() as u32 {
            let range = writes.range(key);
            all.key_of.extend(std::iter::repeat_n(key, range.len() + 1));
            all.writer.push(NONE);
            let own = writes.all[range].iter();
            all.writer.extend(own.map(|w| {
                let counts = w.last && w.outcome != Outcome::Fail;
                if counts { w.txn } else { NONE }
            }));
        }
        let mut latest = vec![(NONE, 0_usize); history.keys()];
        for (number, txn) in history.all().iter().enumerate() {
            let number = number as u32;
            if txn.outcome == Outcome::Fail {
                continue;
            }
            for (key, action) in history.steps(txn) {
                let (write, version) = match action {
                    Action::Write(value) => (true, all.version(key, Some(value))),
                    Action::Value(value) => (false, all.version(key, Some(value))),
                    Action::Nil => (false, all.version(key, None)),
                    _ => continue,
                };
                let place = &mut latest[key as usize];
                if place.0 != number {
                    *place = (number, all.touches.len());
                    let (read, write) = if write { (NONE, version) } else { (version, NONE) };
                    all.touches.push(Touch { txn: number, key, read, write });
                } else if write {
                    all.touches[place.1].write = version;
                }
            }
        }
        all
    }

    /// The number of a version; `None`: of the beginning.
    fn version(&mut self, key: u32, value: Option<i64>) -> u32 {
        if let Some(version) = self.known(key, value) {
            return version;
        }
        let Some(value) = value else { return NONE };
        let new = self.key_of.len() as u32;
        self.key_of.push(key);
        self.writer.push(NONE);
        self.aliens.insert((key, value), new);
        new
    }

    fn known(&self, key: u32, value: Option<i64>) -> Option<u32> {
        let Some(value) = value else { return Some(self.beginning(key)) };
        match self.writes.find(key, value) {
            Some(write) => Some(write as u32 + key + 1),
            None => self.aliens.get(&(key, value)).copied(),
        }
    }

    /// The version in which a key began.
    pub fn beginning(&self, key: u32) -> u32 {
        self.writes.range(key).start as u32 + key
    }

    /// Whether somebody wrote what a transaction met, or it was the beginning.
    pub fn is_written(&self, touch: &Touch) -> bool {
        let known = self.writes.all.len() + self.history.keys();
        touch.read == NONE || (touch.read as usize) < known
    }

    /// What a version is called.
    pub fn name(&self, version: u32) -> String {
        let key = self.key_of[version as usize];
        if version == self.beginning(key) {
            return "nil".into();
        }
        let write = (version as usize).wrapping_sub(key as usize + 1);
        let value = match self.writes.all.get(write) {
            Some(w) if self.writes.range(key).contains(&write) => Some(w.value),
            _ => self.aliens.iter().find(|(_, v)| **v == version).map(|((_, value), _)| *value),
        };
        value.map_or_else(String::new, |value| self.history.value(value).to_string())
    }

    fn touch(&self, txn: u32, key: u32) -> Option<&Touch> {
        let from = self.touches.partition_point(|t| t.txn < txn);
        self.touches[from..].iter().take_while(|t| t.txn == txn).find(|t| t.key == key)
    }

    /// The version of a key that a transaction left; that of the beginning if it is none.
    pub fn written_by(&self, txn: u32, key: u32) -> Option<u32> {
        if txn as usize >= self.history.len() {
            return Some(self.beginning(key));
        }
        self.touch(txn, key).map(|t| t.write).filter(|version| *version != NONE)
    }

    /// Why one transaction comes before another.
    pub fn words(&self, a: u32, b: u32, label: Label, key: u32) -> String {
        let name = self.history.key(key);
        let (Some(first), Some(second)) = (self.touch(a, key), self.touch(b, key)) else {
            return format!("comes by {name} before");
        };
        let of = |version: u32| if version == NONE { "?".into() } else { self.name(version) };
        match label {
            Label::Wr => format!("wrote {name} = {}, which was read by", of(first.write)),
            Label::Ww => {
                let (x, y) = (of(first.write), of(second.write));
                format!("wrote {name} = {x}, which came before the {y} that was written by")
            }
            _ => {
                let (x, y) = (of(first.read), of(second.write));
                format!("read {name} = {x}, which came before the {y} that was written by")
            }
        }
    }

    /// Adds who came first by data.
    pub fn edges(&self, versions: &Versions, edges: &mut Edges) {
        let helpers = versions.helpers(edges);
        for touch in &self.touches {
            if touch.read != NONE {
                let writer = self.writer[touch.read as usize];
                if writer != NONE {
                    edges.add(writer, touch.txn, Label::Wr, touch.key);
                }
                if let Some(helper) = helpers.of(touch.read) {
                    edges.add(touch.txn, helper, Label::Rw, touch.key);
                }
            }
            if touch.write != NONE
                && let Some(helper) = helpers.of(touch.write)
            {
                edges.add(touch.txn, helper, Label::Ww, touch.key);
            }
        }
        for (from, to) in versions.edges() {
            let Some(helper) = helpers.of(from) else { continue };
            let key = versions.key(from);
            if let Some(writer) = self.writer.get(to as usize).filter(|w| **w != NONE) {
                edges.add(helper, *writer, Label::Inner, key);
            }
            if let Some(next) = helpers.of(to) {
                edges.add(helper, next, Label::Inner, key);
            }
        }
    }

    /// Adds what is wrong with single reads. `alien`: so is a value that nobody wrote.
    pub fn facts(&self, alien: bool, facts: &mut Facts) {
        let mut first_update = vec![NONE; self.key_of.len()];
        for touch in &self.touches {
            let committed = self.history.all()[touch.txn as usize].outcome == Outcome::Ok;
            if !committed || touch.read == NONE || touch.write == NONE {
                continue;
            }
            let first = &mut first_update[touch.read as usize];
            if *first == NONE {
                *first = touch.txn;
            } else {
                facts.add(Anomaly::LostUpdate, &[*first, touch.txn], || {
                    let (name, value) = (self.history.key(touch.key), self.name(touch.read));
                    format!("both read {name} = {value} and wrote it afterwards")
                });
            }
        }
        let mut latest: Vec<(u32, Option<i64>)> = vec![(NONE, None); self.history.keys()];
        for (number, txn) in self.history.all().iter().enumerate() {
            if txn.outcome != Outcome::Ok {
                continue;
            }
            for (at, (key, action)) in self.history.steps(txn).enumerate() {
                let (number, at) = (number as u32, at as u32);
                let own = latest[key as usize];
                let value = match action {
                    Action::Write(value) => Some(value),
                    Action::Value(value) => {
                        self.read(number, at, key, value, alien, facts);
                        Some(value)
                    }
                    Action::Nil => None,
                    _ => continue,
                };
                let reads = !matches!(action, Action::Write(_));
                if reads && own.0 == number && own.1 != value {
                    facts.add(Anomaly::Internal, &[number], || {
                        let name = self.history.key(key);
                        format!("a read of {name} contradicts what its own transaction did before")
                    });
                }
                latest[key as usize] = (number, value);
            }
        }
    }

    fn read(&self, number: u32, at: u32, key: u32, value: i64, alien: bool, facts: &mut Facts) {
        let name = self.history.key(key);
        let words =
            |what: &str| format!("a read of {name} = {}, {what}", self.history.value(value));
        let Some(write) = self.writes.find(key, value) else {
            if alien {
                facts.add(Anomaly::ThinAirRead, &[number], || words("which nobody wrote"));
            }
            return;
        };
        let write = &self.writes.all[write];
        if write.outcome == Outcome::Fail {
            let both = [number, write.txn];
            facts.add(Anomaly::G1a, &both, || words("whose transaction failed"));
        }
        if write.txn == number {
            if write.step > at {
                let why = "which its own transaction writes later";
                facts.add(Anomaly::FutureRead, &[number], || words(why));
            }
        } else if !write.last {
            let both = [number, write.txn];
            facts.add(Anomaly::G1b, &both, || words("which is not its transaction's last write"));
        }
    }
}
