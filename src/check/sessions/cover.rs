//! For each key and session, steps in their order; and how a row of them comes before a write without an edge for each.

use super::cycle::{Edge, NOBODY};
use super::steps::History;

/// The steps of one session on one key: `from..to` of the items.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub session: u32,
    pub from: u32,
    pub to: u32,
}

/// Steps by key, then by session, in their order.
pub struct Groups {
    /// Where the groups of each key begin.
    offsets: Vec<u32>,
    groups: Vec<Group>,
    pub items: Vec<u32>,
}

impl Groups {
    /// Of those steps that are wanted.
    pub fn of(history: &History, wanted: impl Fn(u32) -> bool) -> Groups {
        let all = (0..history.steps.len() as u32).filter(|step| wanted(*step));
        let mut places = vec![0_u32; history.keys + 1];
        all.clone().for_each(|step| places[history.step(step).key as usize + 1] += 1);
        for key in 0..history.keys {
            places[key + 1] += places[key];
        }
        let mut items = vec![0; places[history.keys] as usize];
        let mut next = places.clone();
        for step in all {
            let place = &mut next[history.step(step).key as usize];
            items[*place as usize] = step;
            *place += 1;
        }
        let (mut offsets, mut groups) = (vec![0], vec![]);
        for key in places.windows(2) {
            let mut from = key[0];
            let own = &items[from as usize..key[1] as usize];
            let session = |step: u32| history.step(step).session;
            for part in own.chunk_by(|a, b| session(*a) == session(*b)) {
                let to = from + part.len() as u32;
                groups.push(Group { session: session(part[0]), from, to });
                from = to;
            }
            offsets.push(groups.len() as u32);
        }
        Groups { offsets, groups, items }
    }

    /// The places of the groups of a key.
    pub fn of_key(&self, key: u32) -> std::ops::Range<usize> {
        self.offsets[key as usize] as usize..self.offsets[key as usize + 1] as usize
    }

    pub fn group(&self, place: usize) -> Group {
        self.groups[place]
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// How many items of a group are before this step.
    pub fn before(&self, group: Group, step: u32) -> usize {
        let own = &self.items[group.from as usize..group.to as usize];
        own.partition_point(|item| *item < step)
    }
}

/// A segment tree for each row of writes. Its inner nodes are nodes of the graph, before which all writes below them
/// come; so a row of `n` needs `2n` edges once, and then about `2 log n` to come before a write.
pub struct Cover {
    /// Of each row, where it begins among all leaves; its inner nodes begin at the same place among all inner nodes.
    starts: Vec<u32>,
    leaves: Vec<u32>,
    first: u32,
}

impl Cover {
    /// `first`: the number of the first inner node.
    pub fn new(first: u32) -> Cover {
        Cover { starts: vec![0], leaves: vec![], first }
    }

    /// Behind the last inner node.
    pub fn nodes(&self) -> usize {
        self.first as usize + self.leaves.len()
    }

    pub fn row(&self, row: usize) -> &[u32] {
        &self.leaves[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// Adds a row, and the edges up its tree.
    pub fn push(&mut self, row: &[u32], edges: &mut Vec<Edge>) {
        self.leaves.extend_from_slice(row);
        self.starts.push(self.leaves.len() as u32);
        let at = self.starts.len() - 2;
        for parent in 1..row.len() {
            for child in [2 * parent, 2 * parent + 1] {
                let (from, to) = (self.node(at, child), self.node(at, parent));
                edges.push(Edge { from, to, by: NOBODY });
            }
        }
    }

    fn node(&self, row: usize, place: usize) -> u32 {
        let own = self.row(row);
        match place.checked_sub(own.len()) {
            Some(leaf) => own[leaf],
            None => self.first + self.starts[row] + place as u32,
        }
    }

    /// The nodes that stand for the writes of a row from one place to another, exclusive.
    pub fn of(&self, row: usize, from: usize, to: usize, mut tell: impl FnMut(u32)) {
        let len = self.row(row).len();
        let (mut low, mut high) = (from + len, to + len);
        while low < high {
            if low % 2 == 1 {
                tell(self.node(row, low));
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                tell(self.node(row, high));
            }
            (low, high) = (low / 2, high / 2);
        }
    }
}
