//! Order of versions from the order of transactions, and back, until nothing new follows (after Papadimitriou, "The
//! Serializability of Concurrent Database Updates": in a serial order, who comes before a reader and wrote its key
//! wrote no later version than it read).
//!
//! Sound for serializability only. Bounds: a bit for each pair of transactions and helpers; nothing is concluded above
//! [`BYTES_MAX`], nor of keys with more than [`PAIRS_MAX`] pairs.

use super::graph::{Graph, Labels};
use super::rw_register::Registers;
use super::writes::NONE;
use crate::check::Budget;

/// At most so many bytes are kept of who precedes whom, unless told otherwise.
const BYTES_MAX: usize = 256 << 20;

/// At most so many pairs of a writer and whoever else met its key are looked at.
const PAIRS_MAX: usize = 1 << 20;

/// Who comes after whom, by any way.
struct After {
    component: Vec<u32>,
    rows: Vec<u64>,
    width: usize,
}

impl After {
    fn of(graph: &Graph, txns: usize, bytes_max: usize) -> Option<After> {
        let component = graph.components(Labels(u8::MAX));
        let rows = component.iter().max().map_or(0, |c| *c as usize + 1);
        let width = txns.div_ceil(64);
        if rows.saturating_mul(width).saturating_mul(8) > bytes_max {
            return None;
        }
        let mut after = After { component, rows: vec![0; rows * width], width };
        let mut order: Vec<u32> = (0..graph.len() as u32).collect();
        order.sort_unstable_by_key(|node| after.component[*node as usize]);
        // An arc leads to the same component or to one that is done.
        for members in
            order.chunk_by(|a, b| after.component[*a as usize] == after.component[*b as usize])
        {
            let own = after.component[members[0] as usize] as usize;
            for arc in members.iter().flat_map(|node| graph.arcs(*node)) {
                let to = after.component[arc.to as usize] as usize;
                if to != own {
                    let (done, rest) = after.rows.split_at_mut(own * width);
                    let other = &done[to * width..(to + 1) * width];
                    rest[..width].iter_mut().zip(other).for_each(|(a, b)| *a |= b);
                }
                if (arc.to as usize) < txns {
                    after.rows[own * width + arc.to as usize / 64] |= 1 << (arc.to % 64);
                }
            }
        }
        Some(after)
    }

    fn has(&self, a: u32, b: u32) -> bool {
        let row = self.component[a as usize] as usize * self.width;
        a != b && self.rows[row + b as usize / 64] & (1 << (b % 64)) != 0
    }
}

/// How many pairs of versions there are of which the one must have come before the other, and those that imply all.
pub fn pairs(
    all: &Registers<'_>,
    graph: &Graph,
    budget: &Budget,
) -> Option<(usize, Vec<(u32, u32)>)> {
    if budget.clone().is_spent() {
        return None;
    }
    let after = After::of(graph, all.history.len(), budget.bytes(BYTES_MAX))?;
    let mut touches: Vec<_> = all.touches.iter().collect();
    touches.sort_by_key(|t| t.key);
    let (mut count, mut needed, mut found) = (0, vec![], vec![]);
    for own in touches.chunk_by(|a, b| a.key == b.key) {
        let writers: Vec<_> = own.iter().filter(|t| t.write != NONE).collect();
        if writers.len().saturating_mul(own.len()) > PAIRS_MAX {
            continue;
        }
        found.clear();
        for writer in writers {
            for other in own {
                if other.write != NONE && after.has(writer.txn, other.txn) {
                    found.push((writer.write, other.write));
                }
                let seen = other.read != NONE && other.read != writer.write;
                if seen && after.has(writer.txn, other.txn) {
                    found.push((writer.write, other.read));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        count += found.len();
        reduced(&found, &mut needed);
    }
    Some((count, needed))
}

/// Adds those pairs that imply all others; all of them, if they contradict each other.
fn reduced(pairs: &[(u32, u32)], needed: &mut Vec<(u32, u32)>) {
    let mut names: Vec<u32> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    names.sort_unstable();
    names.dedup();
    let place = |v: u32| names.binary_search(&v).unwrap_or(0);
    let mut before: Vec<Vec<u32>> = vec![vec![]; names.len()];
    let (mut behind, mut left) = (before.clone(), vec![0_u32; names.len()]);
    for (a, b) in pairs {
        before[place(*b)].push(place(*a) as u32);
        behind[place(*a)].push(place(*b) as u32);
        left[place(*b)] += 1;
    }
    let mut order: Vec<u32> = (0..names.len() as u32).filter(|v| left[*v as usize] == 0).collect();
    let mut rank = vec![0_u32; names.len()];
    let mut at = 0;
    while let Some(v) = order.get(at).copied() {
        rank[v as usize] = at as u32;
        at += 1;
        for next in &behind[v as usize] {
            left[*next as usize] -= 1;
            if left[*next as usize] == 0 {
                order.push(*next);
            }
        }
    }
    if order.len() < names.len() {
        needed.extend_from_slice(pairs);
        return;
    }
    let width = names.len().div_ceil(64);
    let mut all = vec![0_u64; names.len() * width];
    for v in order {
        let v = v as usize;
        before[v].sort_unstable_by_key(|a| std::cmp::Reverse(rank[*a as usize]));
        for a in &before[v] {
            let (word, bit) = (*a as usize / 64, 1 << (a % 64));
            if all[v * width + word] & bit != 0 {
                continue;
            }
            needed.push((names[*a as usize], names[v]));
            all[v * width + word] |= bit;
            for word in 0..width {
                all[v * width + word] |= all[*a as usize * width + word];
            }
        }
    }
}
