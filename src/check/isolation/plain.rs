//! Cycles by their plainest reasons: an order of processes or of time is told only where data says nothing.
//!
//! Bounds: a thousand transactions and helpers for each step of a cycle.

use std::collections::{HashMap, VecDeque};

use super::cycles::{About, Hop};
use super::graph::{Graph, Label, NOBODY};

/// A cycle by its plainest reasons: where one transaction follows the other by data too, or by steps of which each is
/// one by data, these are told, and not the order of processes or of time.
pub fn plainly(part: &Graph, hops: &[Hop], about: About<'_>) -> Vec<Hop> {
    let all = about.history.all();
    let mut told = vec![];
    for (i, hop) in hops.iter().enumerate() {
        let next = hops[(i + 1) % hops.len()].txn;
        if !matches!(hop.label, Label::Time | Label::Process) {
            told.push(direct(part, hop.txn, next, about).unwrap_or(*hop));
            continue;
        }
        let goal = &all[next as usize];
        let before = |a: u32, b: u32| {
            let (a, b) = (&all[a as usize], &all[b as usize]);
            let same = hop.label == Label::Time || a.process == b.process;
            same && a.returned.is_some_and(|end| end < b.invoked)
        };
        let on = |a: u32, b: u32| {
            before(a, b)
                && (b == next || (before(b, next) && all[b as usize].invoked < goal.invoked))
        };
        match by_data(part, hop.txn, next, about, on) {
            Some(steps) => told.extend(steps),
            None => told.push(*hop),
        }
    }
    told
}

/// The reason by data why one transaction comes right before another, if there is one.
fn direct(part: &Graph, a: u32, b: u32, about: About<'_>) -> Option<Hop> {
    let mut best: Option<(usize, Hop)> = None;
    successors(part, a, |txn, hop| {
        let rank = about.preferred.iter().position(|label| *label == hop.label).unwrap_or(9);
        if txn == b && best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, hop));
        }
    });
    best.map(|(_, hop)| hop)
}

/// A way by data that goes where it may.
fn by_data(
    part: &Graph,
    a: u32,
    b: u32,
    about: About<'_>,
    on: impl Fn(u32, u32) -> bool,
) -> Option<Vec<Hop>> {
    let mut from: HashMap<u32, u32> = HashMap::new();
    let mut queue = VecDeque::from([a]);
    while let Some(txn) = queue.pop_front() {
        successors(part, txn, |next, _| {
            if next != a && on(txn, next) && !from.contains_key(&next) {
                from.insert(next, txn);
                queue.push_back(next);
            }
        });
        if from.contains_key(&b) {
            let mut hops = vec![];
            let mut at = b;
            while at != a {
                let before = *from.get(&at)?;
                hops.push(direct(part, before, at, about)?);
                at = before;
            }
            hops.reverse();
            return Some(hops);
        }
        if from.len() > EXPLAINED {
            break;
        }
    }
    None
}

/// At most so many transactions are tried for a plainer reason, and helpers for those right behind one.
const EXPLAINED: usize = 1000;

/// Tells all that follow a transaction by data.
fn successors(part: &Graph, txn: u32, mut tell: impl FnMut(u32, Hop)) {
    // Members are in the order of the graph's nodes: transactions first, by their number.
    let txns = part.owner.partition_point(|owner| *owner != NOBODY);
    let Ok(from) = part.owner[..txns].binary_search(&txn) else { return };
    for arc in part.arcs(from as u32) {
        if matches!(arc.label(), Label::Time | Label::Process) {
            continue;
        }
        let (mut stack, mut seen) = (vec![arc.to], 0);
        while let Some(node) = stack.pop() {
            let owner = part.owner[node as usize];
            if owner == NOBODY {
                seen += 1;
                if seen < EXPLAINED {
                    stack.extend(part.arcs(node).iter().map(|arc| arc.to));
                }
            } else if owner != txn {
                tell(owner, Hop { txn, label: arc.label(), key: arc.key() });
            }
        }
    }
}
