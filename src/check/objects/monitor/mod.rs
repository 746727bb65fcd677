//! Monitors: stacks and priority queues into which each value is put once are judged in O(n log n), in the manner of
//! Lee & Mathur, "Efficient decrease-and-conquer linearizability monitoring": a value is taken out of the history of
//! which it is certain that it takes nothing from the verdict, until none is left.
//!
//! Extended here to outcomes that are unknown. A put whose value nobody is known to have found need not have happened:
//! without it, an order is legal still. One whose value was found returned at the very end. A take that is known to be
//! of this value and may not have happened returned at the very end, too: at the end, "taken" and "never taken" are the
//! same. Takes of which nobody knows what they took are given to values that must have been taken by somebody; if that
//! suits, all is well. If they are too few, or nothing suits even if any number of values were taken from the first
//! such call on, all is lost. Between the two the monitor does not decide.

mod cover;
mod elements;
mod priority;
mod stack;
mod unknown;

use std::collections::HashMap;

use super::models::{ContainerCall, Found};
use super::{Answer, Op};
use elements::{Elements, View};
use unknown::Keys;

/// What a monitor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is a linearization.
    Linearizable,
    /// There is none. Up to this operation's return (its place in the input), nothing suits; `exact`: up to the one
    /// before it something does.
    Broken {
        /// The operation.
        at: usize,
        /// See above.
        exact: bool,
    },
    /// Values are put more than once, or what was taken is not known.
    Undecided,
}

/// Judges a stack.
pub fn stack(ops: &[Op<ContainerCall>]) -> Verdict {
    decide(ops, false, stack::suits, stack::keys)
}

/// Judges a priority queue.
pub fn priority(ops: &[Op<ContainerCall>], smallest_first: bool) -> Verdict {
    decide(ops, smallest_first, priority::suits, priority::keys)
}

/// What is judged of the first so many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partly {
    Suits,
    Broken,
    Undecided,
}

fn decide(
    ops: &[Op<ContainerCall>],
    smallest_first: bool,
    suits: fn(&View) -> bool,
    keys: Keys,
) -> Verdict {
    let Some(elements) = Elements::of(ops, smallest_first) else { return Verdict::Undecided };
    let judge = |events: u32| {
        let Some(mut view) = elements.view(events, false) else { return Partly::Broken };
        let unknown = elements.unknown(events);
        if unknown.is_empty() {
            return if suits(&view) { Partly::Suits } else { Partly::Broken };
        }
        if !unknown::assign(&mut view, unknown, keys) {
            return Partly::Broken;
        }
        if suits(&view) {
            return Partly::Suits;
        }
        match elements.view(events, true) {
            Some(lenient) if suits(&lenient) => Partly::Undecided,
            _ => Partly::Broken,
        }
    };
    match judge(elements.events) {
        Partly::Suits => return Verdict::Linearizable,
        Partly::Undecided => return Verdict::Undecided,
        Partly::Broken => {}
    }
    // What is impossible stays so: the first return is found by halving.
    let (mut low, mut high) = (0, elements.returns.len().saturating_sub(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match judge(elements.returns[middle].0 + 1) {
            Partly::Broken => high = middle,
            Partly::Suits | Partly::Undecided => low = middle + 1,
        }
    }
    let before = low.checked_sub(1).map(|before| judge(elements.returns[before].0 + 1));
    let exact = before.is_none_or(|before| before == Partly::Suits);
    Verdict::Broken { at: elements.returns.get(low).map_or(0, |r| r.1 as usize), exact }
}

/// What a monitor and, where it does not suffice, a search say together.
pub fn with_search(verdict: Verdict, search: impl FnOnce() -> Answer) -> Answer {
    match verdict {
        Verdict::Linearizable => Answer::Yes,
        Verdict::Broken { at, exact: true } => Answer::No(at),
        Verdict::Broken { at, exact: false } => match search() {
            Answer::No(first) => Answer::No(first),
            Answer::Yes | Answer::GaveUp(_) => Answer::No(at),
        },
        Verdict::Undecided => search(),
    }
}
