//! Cycles, each by the name of the plainest anomaly that it shows, with a short one of each kind as evidence (Adya; in
//! the order in which Elle looks for them).
//!
//! Each strongly connected component is searched on its own: write cycles; with reads; with one rw edge; with rw edges
//! that are not adjacent; with any. Then all of it again with the order of processes or of real time. What a found
//! anomaly implies is not looked for.
//!
//! Bounds: linear but for the search for exactly one rw edge, which walks back from each rw edge that leads backwards
//! in an order of all others, and gives up after [`BUDGET`] steps.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::anomaly::{Anomalies, Anomaly};
use super::graph::{Arc, Graph, Label, Labels, NOBODY};
use super::plain::plainly;
use crate::check::Budget;
use crate::history::transactions::Transactions;

/// One step of a cycle: a transaction, and why it comes before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// The transaction.
    pub txn: u32,
    /// Why.
    pub label: Label,
    /// On which key, if it is about one.
    pub key: u32,
}

/// A cycle by its name.
#[derive(Debug, Clone)]
pub struct Cycle {
    /// Its name.
    pub anomaly: Anomaly,
    /// Its transactions.
    pub hops: Vec<Hop>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Short ones, at most [`SHOWN`] of each name.
    pub cycles: Vec<Cycle>,
    /// All names.
    pub anomalies: Anomalies,
    /// Some search gave up.
    pub gave_up: bool,
}

/// At most so many cycles of a name are kept, and so many edges of a component tried for a shorter one.
const SHOWN: usize = 8;
const STARTS: usize = 32;

/// At most so many arcs are walked along in all searches for one rw edge.
const BUDGET: u64 = 400_000_000;

/// Whether the time is up is looked at after so many searches.
const BETWEEN_LOOKS: u32 = 64;

const DATA: Labels = Label::Ww.set().or(Label::Wr.set());

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// Any cycle that these labels make.
    Any,
    /// Exactly one rw.
    Single,
    /// No two rws in a row.
    Nonadjacent,
    /// Any with an rw.
    Anti,
}

use Anomaly as A;
const SPECS: [(Shape, Labels, [Anomaly; 3]); 5] = [
    (Shape::Any, Label::Ww.set(), [A::G0, A::G0Process, A::G0Realtime]),
    (Shape::Any, DATA, [A::G1c, A::G1cProcess, A::G1cRealtime]),
    (Shape::Single, DATA, [A::GSingleItem, A::GSingleItemProcess, A::GSingleItemRealtime]),
    (
        Shape::Nonadjacent,
        DATA,
        [A::GNonadjacentItem, A::GNonadjacentItemProcess, A::GNonadjacentItemRealtime],
    ),
    (Shape::Anti, DATA, [A::G2Item, A::G2ItemProcess, A::G2ItemRealtime]),
];

/// What cycles are about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The transactions.
    pub history: &'a Transactions,
    /// The order beside that of data, if one is wanted.
    pub order: Option<Label>,
    /// What counts.
    pub proscribed: Anomalies,
    /// Where one transaction precedes another for more than one reason, the first of these is told.
    pub preferred: [Label; 3],
    /// What it may take; a step walks along an arc.
    pub budget: Budget,
}

/// Looks for all.
pub fn search(graph: &Graph, about: About<'_>) -> Found {
    let About { history, order, proscribed, budget, .. } = about;
    let begun: Vec<u64> = history.all().iter().map(|t| t.invoked).collect();
    let all = DATA.or(Label::Rw.set()).or(order.map_or(Labels(0), Label::set));
    let mut found = Found::default();
    let component = graph.components(all);
    let knots = graph.knots(&component);
    drop(component);
    let mut local = vec![NOBODY; if knots.is_empty() { 0 } else { graph.len() }];
    let mut budget = budget.usually(BUDGET);
    for knot in &knots {
        let part = graph.part(knot, &mut local);
        let (mut known, mut other) = (Anomalies::default(), None);
        let variants = [None, order].into_iter().take(1 + usize::from(order.is_some()));
        for variant in variants {
            for (shape, labels, names) in SPECS {
                let (labels, name) = match variant {
                    None => (labels, names[0]),
                    Some(label) => {
                        (labels.or(label.set()), names[if label == Label::Process { 1 } else { 2 }])
                    }
                };
                if known.implied().has(name) {
                    continue;
                }
                let (cycles, gave_up) = of_shape(&part, shape, labels, &begun, &mut budget);
                found.gave_up |= gave_up;
                let mut taken = None;
                for hops in cycles {
                    let told = plainly(&part, &hops, about);
                    let anomaly = name_of(&told);
                    // One of another name is found under that.
                    if anomaly == name || !proscribed.has(anomaly) {
                        taken = Some(if anomaly == name { told } else { hops });
                        break;
                    }
                    other.get_or_insert(hops);
                }
                if let Some(hops) = taken {
                    found.take(&mut known, hops);
                }
            }
        }
        if let Some(hops) = other.filter(|_| known.and(proscribed).is_empty()) {
            found.take(&mut known, hops);
        }
        // There is a cycle, whatever it is.
        found.gave_up |= known.is_empty();
    }
    found.cycles.sort_by_key(|c| (c.anomaly, c.hops.len()));
    found
}

impl Found {
    fn take(&mut self, known: &mut Anomalies, hops: Vec<Hop>) {
        let anomaly = name_of(&hops);
        known.add(anomaly);
        self.anomalies.add(anomaly);
        keep(&mut self.cycles, Cycle { anomaly, hops });
    }
}

fn keep(all: &mut Vec<Cycle>, cycle: Cycle) {
    let mut longest = None;
    let mut count = 0;
    for (i, other) in all.iter().enumerate().filter(|(_, c)| c.anomaly == cycle.anomaly) {
        count += 1;
        if longest.is_none_or(|(_, len)| other.hops.len() > len) {
            longest = Some((i, other.hops.len()));
        }
    }
    match longest {
        Some((i, len)) if count >= SHOWN => {
            if len > cycle.hops.len() {
                all[i] = cycle;
            }
        }
        _ => all.push(cycle),
    }
}

/// The plainest name of a cycle.
fn name_of(hops: &[Hop]) -> Anomaly {
    let rw = hops.iter().filter(|h| h.label == Label::Rw).count();
    let wr = hops.iter().any(|h| h.label == Label::Wr);
    let next = hops.iter().cycle().skip(1);
    let adjacent = hops.iter().zip(next).any(|(a, b)| (a.label, b.label) == (Label::Rw, Label::Rw));
    let row = match (rw, adjacent) {
        (0, _) => usize::from(wr),
        (1, _) => 2,
        (_, false) => 3,
        (_, true) => 4,
    };
    let has = |label| hops.iter().any(|h| h.label == label);
    let column = if has(Label::Time) { 2 } else { usize::from(has(Label::Process)) };
    SPECS[row].2[column]
}

/// Cycles of a shape, the shortest first; and whether the search gave up.
fn of_shape(
    part: &Graph,
    shape: Shape,
    labels: Labels,
    begun: &[u64],
    budget: &mut Budget,
) -> (Vec<Vec<Hop>>, bool) {
    let rw = Label::Rw.set();
    let (mut cycles, gave_up) = match shape {
        Shape::Any => (through(part, labels, labels), false),
        Shape::Anti => (through(part, labels.or(rw), rw), false),
        Shape::Nonadjacent => (through(&part.nonadjacent(labels), labels.or(rw), rw), false),
        Shape::Single => single(part, labels, begun, budget),
    };
    cycles.sort_by_key(Vec::len);
    (cycles, gave_up)
}

/// Cycles by `labels`, of which one edge is of `first`.
fn through(part: &Graph, labels: Labels, first: Labels) -> Vec<Vec<Hop>> {
    let component = part.components(labels);
    let knots = part.knots(&component);
    let mut walk = Walk::new(part.len());
    let mut cycles = vec![];
    for knot in knots.iter().take(SHOWN) {
        let within = |to: u32| component[to as usize] == component[knot[0] as usize];
        let mut starts = vec![];
        for node in knot.iter().filter(|node| part.is_txn(**node)) {
            for (i, arc) in part.arcs(*node).iter().enumerate() {
                if first.has(arc.label()) && within(arc.to) {
                    starts.push((*node, i));
                }
            }
        }
        let step = starts.len().div_ceil(STARTS).max(1);
        let mut free = BUDGET;
        // Evenly over all, and then, should none of these be a cycle of two, the rest.
        let order = (0..step).flat_map(|offset| (offset..starts.len()).step_by(step));
        let mut successes = 0;
        for (node, i) in order.map(|at| starts[at]) {
            let found = walk.cycle(part, node, i, labels, within, &mut free);
            cycles.extend(found);
            successes += usize::from(cycles.len() > successes);
            if successes >= STARTS {
                break;
            }
        }
    }
    cycles
}

/// A short cycle by these labels, if there is one.
pub fn shortest(graph: &Graph, labels: Labels) -> Option<Vec<Hop>> {
    through(graph, labels, labels).into_iter().min_by_key(Vec::len)
}

/// Cycles of exactly one rw.
fn single(
    part: &Graph,
    labels: Labels,
    begun: &[u64],
    budget: &mut Budget,
) -> (Vec<Vec<Hop>>, bool) {
    let rank = ranks(part, labels, begun);
    let mut walk = Walk::new(part.len());
    let mut cycles = vec![];
    for node in 0..part.len() as u32 {
        for (i, arc) in part.arcs(node).iter().enumerate() {
            let top = rank[node as usize];
            if arc.label() != Label::Rw || rank[arc.to as usize] > top {
                continue;
            }
            let within = |to: u32| rank[to as usize] <= top;
            cycles.extend(walk.cycle(part, node, i, labels, within, &mut budget.steps));
            let spent = match walk.search % BETWEEN_LOOKS {
                0 => budget.is_spent(),
                _ => budget.steps == 0,
            };
            if spent || cycles.len() >= STARTS {
                let gave_up = cycles.is_empty();
                return (cycles, gave_up);
            }
        }
    }
    (cycles, false)
}

/// Numbers in an order of all edges of these labels, by time where they leave it open. What lies on or behind a cycle
/// has the highest.
fn ranks(part: &Graph, labels: Labels, begun: &[u64]) -> Vec<u32> {
    let labels = labels.or(Label::Inner.set());
    let mut before = vec![0_u32; part.len()];
    let nodes = 0..part.len() as u32;
    for node in nodes.clone() {
        for arc in part.arcs(node).iter().filter(|arc| labels.has(arc.label())) {
            before[arc.to as usize] += 1;
        }
    }
    let when = |node: u32| begun.get(part.owner[node as usize] as usize).copied().unwrap_or(0);
    let free = nodes.filter(|node| before[*node as usize] == 0);
    let mut heap: BinaryHeap<_> = free.map(|node| Reverse((when(node), node))).collect();
    let (mut rank, mut next) = (vec![u32::MAX; part.len()], 0);
    while let Some(Reverse((_, node))) = heap.pop() {
        rank[node as usize] = next;
        next += 1;
        for arc in part.arcs(node).iter().filter(|arc| labels.has(arc.label())) {
            let left = &mut before[arc.to as usize];
            *left -= 1;
            if *left == 0 {
                heap.push(Reverse((when(arc.to), arc.to)));
            }
        }
    }
    rank
}

/// Searches in breadth, with memory that is used again.
struct Walk {
    /// Of each node, the search that saw it, over how many transactions, and from which node by which of its arcs.
    seen: Vec<(u32, u32, u32, u32)>,
    /// Of each helper, the search that came to it straight from its beginning.
    first: Vec<u32>,
    search: u32,
}

impl Walk {
    fn new(nodes: usize) -> Walk {
        Walk { seen: vec![(0, 0, 0, 0); nodes], first: vec![0; nodes], search: 0 }
    }

    /// A shortest cycle that begins with the `first` arc of this node, and goes on by these labels and where it may.
    fn cycle(
        &mut self,
        part: &Graph,
        start: u32,
        first: usize,
        labels: Labels,
        within: impl Fn(u32) -> bool,
        budget: &mut u64,
    ) -> Option<Vec<Hop>> {
        let labels = labels.or(Label::Inner.set());
        self.search += 1;
        let me = part.owner[start as usize];
        let entry = part.arcs(start)[first].to;
        let mine = |node: u32| part.owner[node as usize] == me;
        if mine(entry) {
            return None;
        }
        let length = u32::from(part.is_txn(entry));
        self.first[entry as usize] = self.search;
        if length > 0 {
            self.seen[entry as usize] = (self.search, length, start, first as u32);
        }
        let mut queue = VecDeque::from([(entry, length)]);
        while let Some((node, length)) = queue.pop_front() {
            if length > 0 && self.seen[node as usize].1 < length {
                continue;
            }
            let arcs = part.arcs(node);
            *budget = budget.saturating_sub(1 + arcs.len() as u64);
            if *budget == 0 {
                return None;
            }
            for (i, arc) in arcs.iter().enumerate() {
                if !labels.has(arc.label()) || !within(arc.to) {
                    continue;
                }
                if arc.to == start && length > 0 {
                    return Some(self.hops(part, start, node, labels));
                }
                // A version that one itself replaced leads to oneself: that is no cycle.
                if mine(arc.to) {
                    continue;
                }
                let far = u32::from(part.is_txn(arc.to));
                if length + far == 0 {
                    // The same helper may be on the way once more, behind another transaction.
                    let first = &mut self.first[arc.to as usize];
                    if *first != self.search {
                        *first = self.search;
                        queue.push_front((arc.to, 0));
                    }
                    continue;
                }
                let seen = &mut self.seen[arc.to as usize];
                if seen.0 == self.search && seen.1 <= length + far {
                    continue;
                }
                let (from, by) = if length == 0 { (start, first) } else { (node, i) };
                *seen = (self.search, length + far, from, by as u32);
                match far {
                    0 => queue.push_front((arc.to, length)),
                    _ => queue.push_back((arc.to, length + 1)),
                }
            }
        }
        None
    }

    fn hops(&self, part: &Graph, start: u32, last: u32, labels: Labels) -> Vec<Hop> {
        let mut hops = vec![];
        // The arc that closes the cycle.
        let closes = |arc: &&Arc| arc.to == start && labels.has(arc.label());
        let closing = part.arcs(last).iter().find(closes);
        let (mut node, mut arc) = (last, closing.copied());
        loop {
            if part.is_txn(node)
                && let Some(arc) = arc
            {
                let txn = part.owner[node as usize];
                hops.push(Hop { txn, label: arc.label(), key: arc.key() });
            }
            if node == start {
                break;
            }
            let (_, _, from, by) = self.seen[node as usize];
            arc = part.arcs(from).get(by as usize).copied();
            node = from;
        }
        hops.reverse();
        hops
    }
}
