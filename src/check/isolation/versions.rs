//! In which order the versions of a register came, as far as it can be told: from the beginning on; by who wrote after
//! having read; by the order of each process; by real time (Gibbons & Korach, "Testing Shared Memories": a version
//! lives from the first end to the last begin of those who met it). What contradicts itself on a key is told, and left
//! out there.
//!
//! Bounds: a few edges a version; by real time, also one for each transaction that ran at the end of the first that
//! met it.

use std::collections::HashMap;

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::graph::{Edges, Label, NOBODY};
use super::rw_register::{Registers, Touch};
use super::writes::NONE;
use crate::history::transactions::Outcome;

/// What to conclude from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assumptions {
    /// Who reads a key and writes it later, writes a later version.
    pub wfr_keys: bool,
    /// Each process meets later and later versions of a key.
    pub sequential_keys: bool,
    /// Each key is linearizable.
    pub linearizable_keys: bool,
    /// Versions that nobody wrote say nothing: they may be from before the history began.
    pub written_only: bool,
    /// Pairs of transactions that wrote a key, the earlier one first, and the key. Who is no transaction stands for the
    /// beginning.
    pub committed: Vec<(u32, u32, u32)>,
    /// Transactions, by their numbers, wrote in the order of these.
    pub transaction_order: Option<HashMap<u32, i64>>,
}

/// So many contradictions are told in words.
const SHOWN: usize = 8;

/// Edges between versions; helpers stand for many at once.
#[derive(Debug)]
pub struct Versions {
    edges: Vec<(u32, u32)>,
    /// Of each version or helper: its key.
    keys: Vec<u32>,
}

/// Nodes that stand for versions in a graph of transactions.
pub struct Helpers(Vec<u32>);

impl Helpers {
    /// The node of this version, if it has one.
    pub fn of(&self, version: u32) -> Option<u32> {
        self.0.get(version as usize).copied().filter(|node| *node != NOBODY)
    }
}

impl Versions {
    /// Concludes. What contradicts itself goes to `facts` under this name.
    pub fn of(all: &Registers<'_>, from: &Assumptions, name: Anomaly, facts: &mut Facts) -> Self {
        let mut known = Versions { edges: vec![], keys: all.key_of.clone() };
        for version in 0..all.key_of.len() as u32 {
            let beginning = all.beginning(all.key_of[version as usize]);
            if version != beginning {
                known.edges.push((beginning, version));
            }
        }
        let touches = all.touches.iter();
        let touches: Vec<&Touch> =
            touches.filter(|t| !from.written_only || all.is_written(t)).collect();
        if from.wfr_keys {
            known.with("write-follows-read", all, name, facts, |new| {
                let both = touches.iter().filter(|t| t.read != NONE && t.write != NONE);
                let both = both.filter(|t| t.read != t.write);
                new.edges.extend(both.map(|t| (t.read, t.write)));
            });
        }
        if !from.committed.is_empty() {
            known.with("commit order", all, name, facts, |new| {
                let pairs = from.committed.iter();
                let pairs = pairs.filter_map(|(a, b, key)| {
                    Some((all.written_by(*a, *key)?, all.written_by(*b, *key)?))
                });
                new.edges.extend(pairs.filter(|(a, b)| a != b));
            });
        }
        if let Some(order) = &from.transaction_order {
            known.with("transaction order", all, name, facts, |new| in_order(all, order, new));
        }
        if from.sequential_keys {
            known.with("process order", all, name, facts, |new| {
                sequential(all, touches.clone(), new)
            });
        }
        if from.linearizable_keys && all.history.timed() {
            known.with("real time", all, name, facts, |new| linearizable(all, &touches, new));
        }
        known
    }

    /// Adds pairs of versions of which the one came before the other.
    pub fn add(
        &mut self,
        all: &Registers<'_>,
        pairs: &[(u32, u32)],
        name: Anomaly,
        facts: &mut Facts,
    ) {
        if !pairs.is_empty() {
            self.with("serial order", all, name, facts, |new| new.edges.extend(pairs));
        }
    }

    /// Adds what a source says, but for keys on which that contradicts what is known.
    fn with(
        &mut self,
        source: &str,
        all: &Registers<'_>,
        name: Anomaly,
        facts: &mut Facts,
        add: impl FnOnce(&mut Versions),
    ) {
        let before = self.edges.len();
        add(self);
        let mut edges = Edges::between(self.keys.len());
        for (from, to) in &self.edges {
            edges.add(*from, *to, Label::Inner, 0);
        }
        let versions = all.key_of.len();
        let graph = edges.graph(versions);
        let knots = graph.knots(&graph.components(Label::Inner.set()));
        if knots.is_empty() {
            return;
        }
        let mut wrong = std::collections::HashSet::new();
        for (at, knot) in knots.iter().enumerate() {
            let some = knot.iter().filter(|v| (**v as usize) < versions);
            let key = self.keys[knot[0] as usize];
            wrong.insert(key);
            if at >= SHOWN {
                continue;
            }
            let names: Vec<String> = some.take(8).map(|v| all.name(*v)).collect();
            let met = |t: &&Touch| t.key == key && knot.binary_search(&t.first()).is_ok();
            let txns: Vec<u32> = all.touches.iter().filter(met).map(|t| t.txn).take(8).collect();
            facts.add(name, &txns, || {
                let (key, names) = (all.history.key(key), names.join(", "));
                format!(
                    "by {source}, each of these versions of {key} came before the others: {names}"
                )
            });
        }
        let keys = &self.keys;
        let mut at = 0;
        self.edges.retain(|(from, _)| {
            at += 1;
            at <= before || !wrong.contains(&keys[*from as usize])
        });
    }

    fn helper(&mut self, key: u32) -> u32 {
        self.keys.push(key);
        self.keys.len() as u32 - 1
    }

    /// From which version, or helper, to which.
    pub fn edges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.edges.iter().copied()
    }

    /// The key of a version, or helper.
    pub fn key(&self, version: u32) -> u32 {
        self.keys[version as usize]
    }

    /// A node for whatever precedes something.
    pub fn helpers(&self, edges: &mut Edges) -> Helpers {
        let mut nodes = vec![NOBODY; self.keys.len()];
        for (from, _) in &self.edges {
            let node = &mut nodes[*from as usize];
            if *node == NOBODY {
                *node = edges.helper();
            }
        }
        Helpers(nodes)
    }
}

/// Those who wrote, in a given order.
fn in_order(all: &Registers<'_>, order: &HashMap<u32, i64>, new: &mut Versions) {
    let placed = all.touches.iter().filter(|t| t.write != NONE);
    let placed = placed.filter_map(|t| order.get(&t.txn).map(|at| (t.key, *at, t.write)));
    let mut placed: Vec<_> = placed.collect();
    placed.sort_unstable();
    for pair in placed.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        new.edges.push((pair[0].2, pair[1].2));
    }
}

/// What a process left a key in comes before what it meets there next.
fn sequential<'a>(all: &'a Registers<'_>, touches: Vec<&'a Touch>, new: &mut Versions) {
    let txns = all.history.all();
    let mut order = touches;
    let of = |t: &Touch| &txns[t.txn as usize];
    order.sort_by_key(|t| (of(t).process, t.key, of(t).invoked, t.txn));
    let mut before: Option<&Touch> = None;
    for touch in order {
        let txn = of(touch);
        before = before.filter(|b| b.key == touch.key && of(b).process == txn.process);
        if let Some(b) = before {
            let ended = of(b).returned.is_some_and(|end| end < txn.invoked);
            let (from, to) = (b.last(), touch.first());
            if (ended || !all.history.timed()) && from != to {
                new.edges.push((from, to));
            }
        }
        if txn.outcome == Outcome::Ok {
            before = Some(touch);
        }
    }
}

/// A version comes before another if somebody had left the key in it before somebody began who met the other.
fn linearizable(all: &Registers<'_>, touches: &[&Touch], new: &mut Versions) {
    let versions = all.key_of.len();
    let (mut first_end, mut last_begin) = (vec![u64::MAX; versions], vec![0_u64; versions]);
    let txns = all.history.all();
    for touch in touches {
        let txn = &txns[touch.txn as usize];
        if let (Some(end), Outcome::Ok) = (txn.returned, txn.outcome) {
            let place = &mut first_end[touch.last() as usize];
            *place = end.min(*place);
        }
        let place = &mut last_begin[touch.first() as usize];
        *place = txn.invoked.max(*place);
    }
    let mut order: Vec<u32> = (0..versions as u32).collect();
    order.sort_by_key(|v| (all.key_of[*v as usize], first_end[*v as usize]));
    for own in order.chunk_by(|a, b| all.key_of[*a as usize] == all.key_of[*b as usize]) {
        let key = all.key_of[own[0] as usize];
        let ended = own.partition_point(|v| first_end[*v as usize] != u64::MAX);
        // Behind the first of them, the first two, and so on.
        let mut behind = vec![NONE];
        for version in &own[..ended] {
            let helper = new.helper(key);
            new.edges.push((*version, helper));
            if let Some(before) = behind.last().filter(|b| **b != NONE) {
                new.edges.push((*before, helper));
            }
            behind.push(helper);
        }
        for (at, version) in own.iter().enumerate() {
            let begin = last_begin[*version as usize];
            let before = own[..ended].partition_point(|v| first_end[*v as usize] < begin);
            let helper = behind[before.min(at)];
            if helper != NONE {
                new.edges.push((helper, *version));
            }
            for other in own.get(at + 1..before).unwrap_or_default() {
                new.edges.push((*other, *version));
                // Each before the other: that is wrong, and one such pair is enough.
                if last_begin[*other as usize] > first_end[*version as usize] {
                    break;
                }
            }
        }
    }
}
