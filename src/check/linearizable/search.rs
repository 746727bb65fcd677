//! The search for a linearization of one register's operations: just-in-time linearization (Lowe,
//! "Testing for linearizability", after Wing & Gong, "Testing and verifying concurrent objects").
//!
//! Time is walked from return to return. What is left of the past is a small state: the value, which operations in
//! flight are still owed, which can still be used, and how many unknown operations of each kind were used up.
//! Nothing is
//! decided before it must be, and a state is dropped only where another one can do all that it can, wherever the
//! history
//! is cut off. So the return at which no state is left is the first up to which the history has no linearization.
//!
//! Time and memory are bounded ([`Budget`]); how many operations are in flight is not limited.

use super::breadth::{BreadthFirst, Progress};
use super::depth::{DepthFirst, Effort};
use super::prepared::{Op, Prepared};
use crate::check::Budget;
use crate::check::mask::{Mask, Wide};

/// How the search came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// There is a linearization.
    Yes,
    /// There is none: the first operation (its place in the input) up to whose return nothing suits. All that was
    /// invoked
    /// until it returned cannot be linearized; without its return, it can. What has not returned by then counts as
    /// unknown, and what then only observes does not count. Of returns at the same instant, those of lower places come
    /// first; and calls before all of them.
    No(usize),
    /// The budget was used up while looking for a place for this operation.
    GaveUp(usize),
}

/// How many states each search visits at first, for each operation, before the next one goes on, and at least so many
/// operations are taken for granted. The next slices are longer.
const DEPTH_SLICE: u64 = 2;
const BREADTH_SLICE: u64 = 8;
const FEW: u64 = 200;

/// How many bytes the searches of one register may remember unless told otherwise, about.
const MEMORY: usize = 240 << 20;

/// Whether the operations have a linearization; `budget` bounds the work and the memory.
///
/// Searches take turns, for none is best everywhere. Those that go depth first find a linearization soon where there is
/// one: the first, where outcomes are unknown, leaves out what is mostly needless. The one that goes breadth first, one
/// return after the other, finds out soon that there is none, where few states are possible at a time.
pub fn search(ops: &[Op], budget: &mut Budget) -> Answer {
    let of = Prepared::of(ops);
    match of.width {
        0..=64 => turns::<u64>(&of, budget),
        65..=128 => turns::<u128>(&of, budget),
        _ => turns::<Wide>(&of, budget),
    }
}

fn turns<M: Mask>(of: &Prepared, budget: &mut Budget) -> Answer {
    let memory = budget.bytes(MEMORY);
    let any_unknown = of.classes.len() > 1;
    let mut brief = any_unknown.then(|| DepthFirst::<M>::new(of, Effort::Brief, memory));
    let mut depth = None;
    let mut breadth = None;
    let mut too_many = false;
    let mut size = FEW.max(of.actions.len() as u64);
    let mut deepest = (0, 0);
    loop {
        if let Some(search) = &mut brief {
            match budget.slice(size.saturating_mul(DEPTH_SLICE), |own| search.go(own)) {
                Some(Answer::Yes) => return Answer::Yes,
                // It left something out: that proves nothing.
                Some(_) => brief = None,
                None => deepest = search.deepest.max(deepest),
            }
        }
        if brief.is_none() || depth.is_some() || size > of.actions.len() as u64 {
            let search =
                depth.get_or_insert_with(|| DepthFirst::<M>::new(of, Effort::Full, memory));
            let answer = budget.slice(size.saturating_mul(DEPTH_SLICE), |own| search.go(own));
            if let Some(answer) = answer {
                return answer;
            }
            deepest = search.deepest.max(deepest);
        }
        if !too_many {
            let search = breadth.get_or_insert_with(|| BreadthFirst::<M>::new(of, memory));
            match budget.slice(size.saturating_mul(BREADTH_SLICE), |own| search.go(own)) {
                Progress::Done(answer) => return answer,
                Progress::TooMany => (breadth, too_many) = (None, true),
                Progress::More => deepest = search.reached().max(deepest),
            }
        }
        let stuck = too_many && brief.as_ref().is_none_or(DepthFirst::is_full);
        if budget.is_spent() || (stuck && depth.as_ref().is_some_and(DepthFirst::is_full)) {
            return Answer::GaveUp(deepest.1);
        }
        size = size.saturating_mul(2);
    }
}

/// What each of the two searches says alone: depth first, breadth first.
#[cfg(test)]
pub fn alone(ops: &[Op]) -> [Answer; 2] {
    let of = Prepared::of(ops);
    match of.width {
        0..=64 => both::<u64>(&of),
        65..=128 => both::<u128>(&of),
        _ => both::<Wide>(&of),
    }
}

#[cfg(test)]
pub(super) fn both<M: Mask>(of: &Prepared) -> [Answer; 2] {
    let depth = DepthFirst::<M>::new(of, Effort::Full, MEMORY).go(&mut { u64::MAX });
    let breadth = match BreadthFirst::<M>::new(of, MEMORY).go(&mut { u64::MAX }) {
        Progress::Done(answer) => answer,
        Progress::More | Progress::TooMany => Answer::GaveUp(0),
    };
    [depth.unwrap_or(Answer::GaveUp(0)), breadth]
}
