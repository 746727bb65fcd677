//! Who came first by the order of each process, and by real time.
//!
//! Real time would need an edge for each pair of transactions of which one ended before the other began. Instead there
//! is a helper for each instant at which one ended; each leads to the next, and a transaction follows the last such
//! instant before it began: linear in their number.

use super::graph::{Edges, Label};
use super::writes::NONE;
use crate::history::transactions::{Outcome, Transactions};

/// Adds the order of processes. A transaction of which nobody knows whether it happened may do so later: nothing
/// follows it.
pub fn processes(history: &Transactions, edges: &mut Edges) {
    let all = history.all();
    let mut order: Vec<u32> = (0..all.len() as u32).collect();
    order.sort_by_key(|i| (all[*i as usize].process, all[*i as usize].invoked, *i));
    for own in order.chunk_by(|a, b| all[*a as usize].process == all[*b as usize].process) {
        if history.timed() {
            chain(history, own, Label::Process, edges);
        } else {
            own.windows(2).for_each(|pair| edges.add(pair[0], pair[1], Label::Process, NONE));
        }
    }
}

/// Adds real time.
pub fn real_time(history: &Transactions, edges: &mut Edges) {
    let all = history.all();
    let mut order: Vec<u32> = (0..all.len() as u32).collect();
    if !all.is_sorted_by_key(|t| t.invoked) {
        order.sort_unstable_by_key(|i| all[*i as usize].invoked);
    }
    chain(history, &order, Label::Time, edges);
}

/// Adds who had ended before whom, among these, which are in the order in which they began. At equal instants a call
/// comes before a return.
fn chain(history: &Transactions, begun: &[u32], label: Label, edges: &mut Edges) {
    let of = |i: u32| &history.all()[i as usize];
    let ended = begun.iter().filter(|i| of(**i).outcome == Outcome::Ok);
    let mut ended: Vec<(u64, u32)> =
        ended.filter_map(|i| of(*i).returned.map(|at| (at, *i))).collect();
    if !ended.is_sorted() {
        ended.sort_unstable();
    }
    let mut helpers = Vec::with_capacity(ended.len());
    for (_, txn) in &ended {
        let helper = edges.helper();
        edges.add(*txn, helper, label, NONE);
        if let Some(before) = helpers.last() {
            edges.add(*before, helper, Label::Inner, NONE);
        }
        helpers.push(helper);
    }
    let mut before = 0;
    for i in begun {
        let txn = of(*i);
        if txn.outcome == Outcome::Fail {
            continue;
        }
        while ended.get(before).is_some_and(|(at, _)| *at < txn.invoked) {
            before += 1;
        }
        if before > 0 {
            edges.add(helpers[before - 1], *i, Label::Inner, NONE);
        }
    }
}
