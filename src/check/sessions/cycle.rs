//! A short cycle of a graph.
//!
//! Some edges go on where others end, and are told as one: those of one *line*. What counts is how often a cycle
//! changes its line.

use std::cmp::Reverse;

/// Nobody's read: an edge that arbitration must keep whatever is read.
pub const NOBODY: u32 = u32::MAX;

/// The line of an edge that goes on with no other.
pub const ALONE: u32 = u32::MAX;
/// The line of an edge that says nothing by itself.
pub const FREE: u32 = u32::MAX - 1;

/// One comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub from: u32,
    pub to: u32,
    /// Whose read says so, or [`NOBODY`].
    pub by: u32,
}

impl Edge {
    /// Whether this one, and one behind it on the same line, are one.
    pub fn goes_on_with(&self, next: &Edge) -> bool {
        match self.by {
            NOBODY => next.by == NOBODY,
            by => next.by != NOBODY && by < next.by,
        }
    }
}

/// What the edges mean.
pub trait Meaning {
    /// The line of an edge.
    fn line(&self, edge: &Edge) -> u32;
    /// The instant of a node, if it has one. A cycle goes back in time somewhere, and there it is looked for.
    fn instant(&self, node: u32) -> Option<u64>;
}

/// From so many edges that go back in time, and from so many nodes anywhere, a cycle is looked for.
const STARTS: usize = 16;
/// A knot of fewer edges is small.
const SMALL: usize = 1 << 18;
/// So many edges are gone along for each.
const WORK_MAX: usize = 1 << 24;
const UNSEEN: u32 = u32::MAX;

/// The nodes behind each node.
struct Next {
    offsets: Vec<u32>,
    nodes: Vec<u32>,
}

impl Next {
    fn of(nodes: usize, edges: &[Edge]) -> Next {
        let mut offsets = offsets(nodes, edges.iter().map(|edge| edge.from));
        let mut next = vec![0; edges.len()];
        for edge in edges {
            let at = &mut offsets[edge.from as usize];
            next[*at as usize] = edge.to;
            *at += 1;
        }
        // Each now ends where the next one began.
        offsets.rotate_right(1);
        offsets[0] = 0;
        Next { offsets, nodes: next }
    }

    fn get(&self, node: u32, at: usize) -> Option<u32> {
        let [from, to] = [node as usize, node as usize + 1].map(|n| self.offsets[n] as usize);
        self.nodes[from..to].get(at).copied()
    }
}

/// Where what belongs to each node begins, and where all ends.
fn offsets(nodes: usize, all: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut offsets = vec![0_u32; nodes + 1];
    all.for_each(|node| offsets[node as usize + 1] += 1);
    for node in 0..nodes {
        offsets[node + 1] += offsets[node];
    }
    offsets
}

/// Edges by where they begin, and of each node by their lines.
struct Graph {
    offsets: Vec<u32>,
    /// With their lines.
    edges: Vec<(Edge, u32)>,
}

impl Graph {
    fn of(nodes: usize, mut edges: Vec<(Edge, u32)>) -> Graph {
        edges.sort_unstable_by_key(|(edge, line)| (edge.from, *line, edge.by));
        Graph { offsets: offsets(nodes, edges.iter().map(|(edge, _)| edge.from)), edges }
    }

    /// The places of the edges from a node.
    fn out(&self, node: u32) -> std::ops::Range<usize> {
        self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize
    }
}

/// Cycles that change their lines least, if there is any cycle: of those from some places of the smallest knot.
pub fn shortest(nodes: usize, edges: &[Edge], meaning: &impl Meaning) -> Vec<Vec<Edge>> {
    let Some(knot) = knot(&Next::of(nodes, edges), nodes) else { return vec![] };
    let mut inside = vec![UNSEEN; nodes];
    for (at, node) in knot.iter().enumerate() {
        inside[*node as usize] = at as u32;
    }
    let is_inside =
        |edge: &&Edge| [edge.from, edge.to].iter().all(|n| inside[*n as usize] != UNSEEN);
    let own: Vec<Edge> = edges.iter().filter(is_inside).copied().collect();
    // Numbered anew, as most of a history is in no knot.
    let renamed = own.iter().map(|edge| {
        let [from, to] = [edge.from, edge.to].map(|node| inside[node as usize]);
        (Edge { from, to, by: edge.by }, meaning.line(edge))
    });
    let graph = Graph::of(knot.len(), renamed.collect());
    // In a small knot, all that are as good as the best.
    let also = u32::from(own.len() < SMALL);
    let (mut least, mut cycles) = (UNSEEN - 1, vec![]);
    for start in starts(&own, &knot, meaning) {
        let cycle = graph.around(inside[start as usize], knot.len(), least + also);
        let Some((changes, cycle)) = cycle else { continue };
        if changes < least {
            cycles.clear();
        }
        least = changes;
        cycles.push(cycle);
    }
    for edge in cycles.iter_mut().flatten() {
        (edge.from, edge.to) = (knot[edge.from as usize], knot[edge.to as usize]);
    }
    cycles
}

/// Where to look for cycles.
fn starts(edges: &[Edge], knot: &[u32], meaning: &impl Meaning) -> Vec<u32> {
    let mut back: Vec<(u64, u32)> = vec![];
    for edge in edges {
        let (from, to) = (meaning.instant(edge.from), meaning.instant(edge.to));
        let (Some(from), Some(to)) = (from, to) else { continue };
        back.extend((from > to).then(|| (from.saturating_sub(to), edge.to)));
    }
    back.sort_unstable_by_key(|(span, to)| (Reverse(*span), *to));
    back.dedup_by_key(|(_, to)| *to);
    let anywhere = knot.iter().step_by(knot.len().div_ceil(STARTS)).copied();
    back.into_iter().take(STARTS).map(|(_, to)| to).chain(anywhere).collect()
}

impl Graph {
    /// The cycle through a node that changes its line least, if that is less often than a limit, and how often. Breadth
    /// first, by changes.
    fn around(&self, start: u32, nodes: usize, limit: u32) -> Option<(u32, Vec<Edge>)> {
        // Of each edge: the changes up to it, and the edge before it.
        let mut reached = vec![(UNSEEN, UNSEEN); self.edges.len()];
        let mut left = vec![false; nodes];
        left[start as usize] = true;
        self.out(start).for_each(|place| reached[place] = (1, UNSEEN));
        let mut now: Vec<u32> = self.out(start).map(|place| place as u32).collect();
        let (mut next, mut changes, mut work) = (vec![], 1, 0);
        while !now.is_empty() && changes < limit {
            while let Some(at) = now.pop() {
                let (edge, line) = self.edges[at as usize];
                if reached[at as usize].0 < changes {
                    continue;
                }
                if edge.to == start {
                    return Some((changes, self.back(at, &reached)));
                }
                let mut reach = |place: usize, by: u32| {
                    if changes + by < reached[place].0 {
                        reached[place] = (changes + by, at);
                        if by == 0 { &mut now } else { &mut next }.push(place as u32);
                    }
                };
                if work < WORK_MAX {
                    for place in self.same(edge.to, line) {
                        work += 1;
                        if edge.goes_on_with(&self.edges[place].0) {
                            reach(place, 0);
                        }
                    }
                }
                if !std::mem::replace(&mut left[edge.to as usize], true) {
                    self.out(edge.to).for_each(|p| reach(p, u32::from(self.edges[p].1 != FREE)));
                }
            }
            std::mem::swap(&mut now, &mut next);
            changes += 1;
        }
        None
    }

    /// The edges from a node on a line.
    fn same(&self, node: u32, line: u32) -> std::ops::Range<usize> {
        let out = self.out(node);
        if line >= FREE {
            return 0..0;
        }
        let own = &self.edges[out.clone()];
        let from = own.partition_point(|(_, other)| *other < line);
        let to = own.partition_point(|(_, other)| *other <= line);
        out.start + from..out.start + to
    }

    fn back(&self, mut at: u32, reached: &[(u32, u32)]) -> Vec<Edge> {
        let mut cycle = vec![];
        while at != UNSEEN {
            cycle.push(self.edges[at as usize].0);
            at = reached[at as usize].1;
        }
        cycle.reverse();
        cycle
    }
}

/// The smallest strongly connected component of more than one node (Tarjan's algorithm; its stack is on the heap).
fn knot(graph: &Next, nodes: usize) -> Option<Vec<u32>> {
    let (mut index, mut low) = (vec![UNSEEN; nodes], vec![0_u32; nodes]);
    let mut open = vec![false; nodes];
    let (mut stack, mut path): (Vec<u32>, Vec<(u32, usize)>) = (vec![], vec![]);
    let (mut count, mut best): (u32, Option<Vec<u32>>) = (0, None);
    for root in 0..nodes as u32 {
        if index[root as usize] != UNSEEN {
            continue;
        }
        path.push((root, 0));
        while let Some((node, done)) = path.last_mut() {
            let v = *node as usize;
            if *done == 0 {
                (index[v], low[v]) = (count, count);
                count += 1;
                stack.push(*node);
                open[v] = true;
            }
            if let Some(next) = graph.get(*node, *done) {
                *done += 1;
                if index[next as usize] == UNSEEN {
                    path.push((next, 0));
                } else if open[next as usize] {
                    low[v] = low[v].min(index[next as usize]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                low[*parent as usize] = low[*parent as usize].min(low[v]);
            }
            if low[v] == index[v] {
                let from = stack.iter().rposition(|n| *n as usize == v).unwrap_or(0);
                stack[from..].iter().for_each(|n| open[*n as usize] = false);
                let size = stack.len() - from;
                if size > 1 && best.as_ref().is_none_or(|best| size < best.len()) {
                    best = Some(stack[from..].to_vec());
                }
                stack.truncate(from);
            }
        }
    }
    best
}
