//! Who must come before whom, and the cycles in that.
//!
//! Real time would need an edge for each pair of transactions of which one ended before the other
//! began. Instead there is a node for each instant at which a transaction ended, each leads to the
//! next, and a transaction follows the last such instant before it began: linear in their number.
//!
//! Cycles are told by the strongly connected components (Tarjan); of each, one shortest cycle is
//! shown.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::versions::Lists;
use super::{Anomaly, Txn};
use crate::check::tell;
use crate::history::Key;

/// Why one transaction comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It appended just before the other did.
    Ww(Key),
    /// The other read what it appended.
    Wr(Key),
    /// It did not see what the other appended.
    Rw(Key),
    /// It ended before the other began. To, from and along the instants.
    Time,
}

/// Transactions are the first nodes, instants the ones behind.
#[derive(Debug)]
pub struct Graph {
    edges: Vec<Vec<(u32, Why)>>,
    txns: usize,
}

/// At most so many cycles are shown, and so many starts tried in each component.
const SHOWN: usize = 8;
const STARTS: usize = 64;

impl Graph {
    /// The graph of these transactions.
    pub fn of(txns: &[Txn], lists: &Lists) -> Graph {
        let mut graph = Graph { edges: vec![vec![]; txns.len()], txns: txns.len() };
        graph.add_versions(txns, lists);
        graph.add_time(txns);
        graph
    }

    fn add(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges[from].push((to as u32, why));
        }
    }

    fn add_versions(&mut self, txns: &[Txn], lists: &Lists) {
        // Acknowledged, or one of its appends was read.
        let mut happened: Vec<bool> = txns.iter().map(|t| t.returned.is_some()).collect();
        for list in lists.0.values() {
            let seen = list.order.iter().filter_map(|v| list.writer.get(v));
            seen.for_each(|w| happened[*w] = true);
        }
        for (key, list) in &lists.0 {
            let writers: Vec<Option<usize>> =
                list.order.iter().map(|v| list.writer.get(v).copied()).collect();
            for pair in writers.windows(2) {
                if let [Some(a), Some(b)] = pair {
                    self.add(*a, *b, Why::Ww(*key));
                }
            }
            // It happened and was never read: behind everything that was read.
            let read: HashSet<i64> = list.order.iter().copied().collect();
            let unread = list.writer.iter().filter(|(v, w)| !read.contains(v) && happened[**w]);
            let mut unread: Vec<usize> = unread.map(|(_, w)| *w).collect();
            unread.sort_unstable();
            unread.dedup();
            if let Some(Some(last)) = writers.last() {
                unread.iter().for_each(|w| self.add(*last, *w, Why::Ww(*key)));
            }
            self.add_reads(txns, *key, &list.order, &writers, &unread);
        }
    }

    fn add_reads(
        &mut self,
        txns: &[Txn],
        key: Key,
        order: &[i64],
        writers: &[Option<usize>],
        unread: &[usize],
    ) {
        for (reader, txn) in txns.iter().enumerate() {
            for (_, _, values) in txn.reads().filter(|(_, k, _)| *k == key) {
                if !order.starts_with(values) {
                    continue;
                }
                // What it appended itself before is not read from anybody.
                let mine = |i: &usize| writers[*i] == Some(reader);
                let seen = (0..values.len()).rev().find(|i| !mine(i));
                if let Some(writer) = seen.and_then(|i| writers[i]) {
                    self.add(writer, reader, Why::Wr(key));
                }
                let next = (values.len()..order.len()).find(|i| !mine(i));
                if let Some(writer) = next.and_then(|i| writers[i]) {
                    self.add(reader, writer, Why::Rw(key));
                } else if next.is_none() {
                    unread.iter().for_each(|w| self.add(reader, *w, Why::Rw(key)));
                }
            }
        }
    }

    fn add_time(&mut self, txns: &[Txn]) {
        let ended = txns.iter().enumerate().filter_map(|(i, t)| t.returned.map(|at| (at, i)));
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable();
        let first = self.edges.len();
        for (place, (_, txn)) in ended.iter().enumerate() {
            let node = first + place;
            self.edges.push(vec![]);
            self.edges[*txn].push((node as u32, Why::Time));
            if place > 0 {
                self.edges[node - 1].push((node as u32, Why::Time));
            }
        }
        for (i, txn) in txns.iter().enumerate() {
            // At equal instants a call comes before a return.
            let before = ended.partition_point(|(at, _)| *at < txn.invoked);
            if before > 0 {
                self.edges[first + before - 1].push((i as u32, Why::Time));
            }
        }
    }

    /// Adds one shortest cycle of each strongly connected component.
    pub fn cycles<'a>(&self, txns: &[Txn<'a>], found: &mut Vec<Anomaly<'a>>) {
        let component = self.components();
        let mut members: BTreeMap<u32, Vec<usize>> = Default::default();
        for (node, c) in component.iter().enumerate().take(self.txns) {
            members.entry(*c).or_default().push(node);
        }
        let mut cycles: Vec<_> = members
            .into_values()
            .filter(|m| m.len() > 1)
            .take(SHOWN)
            .filter_map(|m| self.shortest(&m, &component))
            .collect();
        cycles.sort_by_key(Vec::len);
        found.extend(cycles.iter().map(|cycle| explain(txns, cycle)));
    }

    /// The strongly connected component of each node, by Tarjan's algorithm without recursion.
    fn components(&self) -> Vec<u32> {
        const NEW: u32 = u32::MAX;
        let n = self.edges.len();
        let (mut index, mut low) = (vec![NEW; n], vec![0u32; n]);
        let (mut component, mut on_stack) = (vec![NEW; n], vec![false; n]);
        let (mut stack, mut next, mut components) = (vec![], 0u32, 0u32);
        for root in 0..n {
            if index[root] != NEW {
                continue;
            }
            let mut calls: Vec<(usize, usize)> = vec![(root, 0)];
            while let Some((node, edge)) = calls.pop() {
                if edge == 0 {
                    index[node] = next;
                    low[node] = next;
                    next += 1;
                    stack.push(node);
                    on_stack[node] = true;
                }
                if let Some((to, _)) = self.edges[node].get(edge) {
                    let to = *to as usize;
                    calls.push((node, edge + 1));
                    if index[to] == NEW {
                        calls.push((to, 0));
                    } else if on_stack[to] {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                if let Some((parent, _)) = calls.last() {
                    low[*parent] = low[*parent].min(low[node]);
                }
                if low[node] == index[node] {
                    while let Some(top) = stack.pop() {
                        on_stack[top] = false;
                        component[top] = components;
                        if top == node {
                            break;
                        }
                    }
                    components += 1;
                }
            }
        }
        component
    }

    /// A shortest cycle within a component: the transactions, each with why it comes before the
    /// next.
    fn shortest(&self, members: &[usize], component: &[u32]) -> Option<Vec<(usize, Why)>> {
        let step = members.len().div_ceil(STARTS);
        let starts = members.iter().step_by(step.max(1));
        starts.filter_map(|s| self.cycle_through(*s, component)).min_by_key(Vec::len)
    }

    /// Breadth first, where walking along the instants costs nothing.
    fn cycle_through(&self, start: usize, component: &[u32]) -> Option<Vec<(usize, Why)>> {
        let mut from: HashMap<usize, (usize, Why)> = Default::default();
        let mut cost = HashMap::from([(start, 0u32)]);
        let mut queue = VecDeque::from([(start, 0u32)]);
        while let Some((node, spent)) = queue.pop_front() {
            if cost.get(&node).is_some_and(|c| *c < spent) {
                continue;
            }
            for (to, why) in &self.edges[node] {
                let to = *to as usize;
                if component[to] != component[start] {
                    continue;
                }
                if to == start {
                    return Some(self.walk_back(start, node, *why, &from));
                }
                let price = spent + u32::from(node < self.txns);
                if cost.get(&to).is_none_or(|c| price < *c) {
                    cost.insert(to, price);
                    from.insert(to, (node, *why));
                    match node < self.txns {
                        true => queue.push_back((to, price)),
                        false => queue.push_front((to, price)),
                    }
                }
            }
        }
        None
    }

    fn walk_back(
        &self,
        start: usize,
        last: usize,
        why: Why,
        from: &HashMap<usize, (usize, Why)>,
    ) -> Vec<(usize, Why)> {
        let mut cycle = vec![];
        let (mut node, mut why) = (last, why);
        loop {
            if node < self.txns {
                cycle.push((node, why));
            }
            match from.get(&node) {
                Some((before, because)) if node != start => (node, why) = (*before, *because),
                _ => break,
            }
        }
        cycle.reverse();
        cycle
    }
}

fn explain<'a>(txns: &[Txn<'a>], cycle: &[(usize, Why)]) -> Anomaly<'a> {
    let number = |is: fn(&Why) -> bool| cycle.iter().filter(|(_, why)| is(why)).count();
    let rw = number(|w| matches!(w, Why::Rw(_)));
    let wr = number(|w| matches!(w, Why::Wr(_)));
    let time = number(|w| *w == Why::Time);
    let name = match (rw, wr) {
        (0, 0) => "write cycle (G0",
        (0, _) => "circular information flow (G1c",
        (1, _) => "read skew (G-single",
        _ => "write skew (G2",
    };
    let real = if time > 0 { "-realtime)" } else { ")" };
    let n = tell::count(cycle.len(), "transaction");
    let words = format!("{name}{real} of {n}, which no serial order explains");
    let who = |i: usize| {
        let o = txns[i].operation;
        format!("T{} (process {} at {})", o.id, o.process, o.invoked)
    };
    let mut because = vec![];
    for (place, (node, why)) in cycle.iter().enumerate() {
        let next = cycle[(place + 1) % cycle.len()].0;
        let how = match why {
            Why::Ww(key) => format!("appended to k{key} before"),
            Why::Wr(key) => format!("appended to k{key} what was read by"),
            Why::Rw(key) => format!("did not yet see in k{key} what was appended by"),
            Why::Time => "had ended before the beginning of".into(),
        };
        because.push(format!("{} {how} {}", who(*node), who(next)));
    }
    let operations = cycle.iter().map(|(i, _)| txns[*i].operation).collect();
    Anomaly { words, because, operations }
}
