//! The graph of who must come before whom: transactions, and helper nodes that stand for many edges at once (an
//! instant, a version of a key). A way from one transaction over helpers to the next is one edge, of the label with
//! which it begins.
//!
//! Strongly connected components are Tarjan's, without recursion. Bounds: 8 bytes an arc, 4 a node; linear time.

/// Why one transaction comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// It wrote a version, and the other a later one.
    Ww,
    /// The other read what it wrote.
    Wr,
    /// It read a version, and the other wrote a later one.
    Rw,
    /// The same process did the other later.
    Process,
    /// It had ended before the other began.
    Time,
    /// From a helper on: as it began.
    Inner,
}

/// Some labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels(pub u8);

impl Label {
    const ALL: [Label; 6] =
        [Label::Ww, Label::Wr, Label::Rw, Label::Process, Label::Time, Label::Inner];

    /// A set of this one only.
    pub const fn set(self) -> Labels {
        Labels(1 << self as u8)
    }
}

impl Labels {
    /// Those of both sets.
    pub const fn or(self, other: Labels) -> Labels {
        Labels(self.0 | other.0)
    }
    /// Without these.
    pub const fn without(self, other: Labels) -> Labels {
        Labels(self.0 & !other.0)
    }
    /// Whether it has this one.
    pub const fn has(self, label: Label) -> bool {
        self.0 & (1 << label as u8) != 0
    }
}

/// An edge from a node: where to, the label, and the key that it is about.
#[derive(Debug, Clone, Copy)]
pub struct Arc {
    pub to: u32,
    what: u32,
}

/// Keys above are all called this one.
const KEY_MAX: u32 = (1 << 29) - 1;

impl Arc {
    fn new(to: u32, label: Label, key: u32) -> Arc {
        Arc { to, what: ((label as u32) << 29) | key.min(KEY_MAX) }
    }
    /// Why.
    pub fn label(self) -> Label {
        Label::ALL[(self.what >> 29) as usize % 6]
    }
    /// On which key.
    pub fn key(self) -> u32 {
        self.what & KEY_MAX
    }
}

/// Collects edges.
#[derive(Debug, Default)]
pub struct Edges {
    edges: Vec<(u32, Arc)>,
    nodes: u32,
}

impl Edges {
    /// Between so many transactions, which are the first nodes.
    pub fn between(txns: usize) -> Edges {
        Edges { edges: Vec::with_capacity(txns * 4), nodes: txns as u32 }
    }
    /// Another helper.
    pub fn helper(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }
    /// Adds an edge, but for one to itself.
    pub fn add(&mut self, from: u32, to: u32, label: Label, key: u32) {
        if from != to {
            self.edges.push((from, Arc::new(to, label, key)));
        }
    }
    /// The graph of them. `txns`: how many of its nodes are transactions.
    pub fn graph(self, txns: usize) -> Graph {
        let nodes = self.nodes as usize;
        let owner = (0..self.nodes).map(|n| if (n as usize) < txns { n } else { NOBODY });
        Graph::of(nodes, &self.edges, owner.collect())
    }
}

/// The owner of a helper.
pub const NOBODY: u32 = u32::MAX;

/// Edges by the node they leave.
#[derive(Debug)]
pub struct Graph {
    offsets: Vec<u32>,
    arcs: Vec<Arc>,
    /// Of each node, the transaction that it is.
    pub owner: Vec<u32>,
}

impl Graph {
    fn of(nodes: usize, edges: &[(u32, Arc)], owner: Vec<u32>) -> Graph {
        let mut offsets = vec![0_u32; nodes + 1];
        for (from, _) in edges {
            offsets[*from as usize + 1] += 1;
        }
        for i in 0..nodes {
            offsets[i + 1] += offsets[i];
        }
        let mut next = offsets.clone();
        let mut arcs = vec![Arc { to: 0, what: 0 }; edges.len()];
        for (from, arc) in edges {
            let place = &mut next[*from as usize];
            arcs[*place as usize] = *arc;
            *place += 1;
        }
        Graph { offsets, arcs, owner }
    }

    /// How many nodes.
    pub fn len(&self) -> usize {
        self.owner.len()
    }

    /// What leaves a node.
    pub fn arcs(&self, node: u32) -> &[Arc] {
        let node = node as usize;
        &self.arcs[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }

    /// Whether a node is a transaction.
    pub fn is_txn(&self, node: u32) -> bool {
        self.owner[node as usize] != NOBODY
    }

    /// The component of each node by these labels. An edge never leads to one of a higher number.
    pub fn components(&self, labels: Labels) -> Vec<u32> {
        const NEW: u32 = u32::MAX;
        let labels = labels.or(Label::Inner.set());
        let n = self.len();
        let (mut index, mut low) = (vec![NEW; n], vec![0_u32; n]);
        let mut component = vec![NEW; n];
        let (mut stack, mut calls) = (vec![], vec![]);
        let (mut next, mut components) = (0_u32, 0_u32);
        for root in 0..n as u32 {
            if index[root as usize] != NEW {
                continue;
            }
            calls.push((root, self.offsets[root as usize]));
            index[root as usize] = next;
            low[root as usize] = next;
            next += 1;
            stack.push(root);
            while let Some((node, at)) = calls.last_mut() {
                let own = *node as usize;
                if *at < self.offsets[own + 1] {
                    let arc = self.arcs[*at as usize];
                    *at += 1;
                    if !labels.has(arc.label()) {
                        continue;
                    }
                    let to = arc.to as usize;
                    if index[to] == NEW {
                        index[to] = next;
                        low[to] = next;
                        next += 1;
                        stack.push(arc.to);
                        calls.push((arc.to, self.offsets[to]));
                    } else if component[to] == NEW {
                        low[own] = low[own].min(index[to]);
                    }
                    continue;
                }
                calls.pop();
                if let Some((parent, _)) = calls.last() {
                    let parent = *parent as usize;
                    low[parent] = low[parent].min(low[own]);
                }
                if low[own] == index[own] {
                    while let Some(top) = stack.pop() {
                        component[top as usize] = components;
                        if top as usize == own {
                            break;
                        }
                    }
                    components += 1;
                }
            }
        }
        component
    }

    /// The nodes of each component that has two transactions or more.
    pub fn knots(&self, component: &[u32]) -> Vec<Vec<u32>> {
        let most = component.iter().max().map_or(0, |c| *c as usize + 1);
        let mut txns = vec![0_u32; most];
        for (node, c) in component.iter().enumerate() {
            txns[*c as usize] += u32::from(self.is_txn(node as u32));
        }
        let (mut place, mut knots): (Vec<u32>, Vec<Vec<u32>>) = (vec![NOBODY; most], vec![]);
        for (node, c) in component.iter().enumerate() {
            let c = *c as usize;
            if txns[c] < 2 {
                continue;
            }
            if place[c] == NOBODY {
                place[c] = knots.len() as u32;
                knots.push(vec![]);
            }
            knots[place[c] as usize].push(node as u32);
        }
        knots
    }

    /// The part of these nodes, in their order. `local` has as many places as this graph has nodes, each [`NOBODY`],
    /// and has so again afterwards.
    pub fn part(&self, members: &[u32], local: &mut [u32]) -> Graph {
        for (i, node) in members.iter().enumerate() {
            local[*node as usize] = i as u32;
        }
        let mut edges = vec![];
        for (i, node) in members.iter().enumerate() {
            for arc in self.arcs(*node) {
                let to = local[arc.to as usize];
                if to != NOBODY {
                    edges.push((i as u32, Arc { to, ..*arc }));
                }
            }
        }
        let owner = members.iter().map(|node| self.owner[*node as usize]).collect();
        members.iter().for_each(|node| local[*node as usize] = NOBODY);
        Graph::of(members.len(), &edges, owner)
    }

    /// Each node twice: as reached by an rw edge (odd), and as reached by any other (even). An rw edge does not leave
    /// where one arrived.
    pub fn nonadjacent(&self, labels: Labels) -> Graph {
        let mut edges = vec![];
        for node in 0..self.len() as u32 {
            for arc in self.arcs(node) {
                let to = |state| Arc { to: arc.to * 2 + state, ..*arc };
                match arc.label() {
                    Label::Inner => {
                        edges.push((node * 2, to(0)));
                        edges.push((node * 2 + 1, to(1)));
                    }
                    Label::Rw => edges.push((node * 2, to(1))),
                    label if labels.has(label) => {
                        edges.push((node * 2, to(0)));
                        edges.push((node * 2 + 1, to(0)));
                    }
                    _ => {}
                }
            }
        }
        let owner = self.owner.iter().flat_map(|owner| [*owner, *owner]).collect();
        Graph::of(self.len() * 2, &edges, owner)
    }
}
