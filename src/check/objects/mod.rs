//! Linearizability (Herlihy & Wing, "Linearizability: a correctness condition for concurrent objects") of any object
//! that a sequential model describes: stacks, priority queues, sets, counters, locks and so on.
//!
//! Where values are unique, monitors decide on stacks and priority queues in O(n log n) ([`monitor`]); objects that
//! fall into independent parts are judged part by part; for all else there is a search ([`search`]) whose time and
//! memory are bounded: what does not fit is undecided, and it is said where.
//!
//! An operation that failed did not happen, and is not among those given here. One whose outcome is unknown
//! (`returned` is `None`) may take effect at any instant after its call, or never. At equal instants a call comes
//! before a return.

mod breadth;
pub mod evidence;
mod finding;
pub mod models;
pub mod monitor;
mod prepared;
mod read;
pub mod recorded;
mod search;
mod seen;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::Hash;

pub use finding::finding;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
pub use read::{Format, read};
pub use recorded::Kind;
pub use search::search;

use super::Budget;

/// How many steps a search takes at most unless told otherwise.
const STEPS: u64 = 20_000_000;

/// So many more are for making the proof small.
const EVIDENCE_STEPS: u64 = STEPS / 10;

/// A sequential object: where it begins, and what a call does to it.
pub trait Object {
    /// What it is in.
    type State: Clone + Eq + Hash;
    /// What is asked of it, together with what it answered. The answer may be unknown.
    type Call: Clone + Eq + Hash;

    /// Where it begins.
    fn first(&self) -> Self::State;

    /// What the call leads to; `None`: the object would have answered otherwise.
    fn apply(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// Whether the call, with its answer, leaves every state as it is.
    fn observes(&self, call: &Self::Call) -> bool;

    /// What a state takes, in bytes, about.
    fn bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        size_of::<Self::State>()
    }

    /// Calls of one group can be left out together: without all of them, a legal history is legal still. `None`: the
    /// call cannot be left out, unless it observes.
    fn group(&self, call: &Self::Call) -> Option<i64> {
        let _ = call;
        None
    }
}

/// An operation: what was called and answered, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op<C> {
    /// The call with its answer.
    pub call: C,
    /// When it was invoked.
    pub invoked: u64,
    /// When it returned; `None`: its outcome is unknown.
    pub returned: Option<u64>,
}

/// How a judgement came out. Operations are told by their place in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// There is a linearization.
    Yes,
    /// There is none. Up to this operation's return, for the first time, nothing suits; what is in flight then may have
    /// taken effect with the answer that it gave later, or not.
    No(usize),
    /// The budget was used up while looking for a place for this operation.
    GaveUp(usize),
}

/// What is told of several parts that are independent of each other (Herlihy & Wing: linearizability is local): the
/// first return that is impossible in any of them, and else the first one that is undecided.
pub fn all_parts<C>(ops: &[Op<C>], answers: impl IntoIterator<Item = Answer>) -> Answer {
    let when = |at: usize| (ops.get(at).map(|op| op.returned.unwrap_or(u64::MAX)), at);
    let (mut broken, mut stuck) = (None::<usize>, None::<usize>);
    for answer in answers {
        match answer {
            Answer::Yes => {}
            Answer::No(at) if broken.is_none_or(|known| when(at) < when(known)) => {
                broken = Some(at)
            }
            Answer::GaveUp(at) if stuck.is_none_or(|known| when(at) < when(known)) => {
                stuck = Some(at)
            }
            Answer::No(_) | Answer::GaveUp(_) => {}
        }
    }
    match (broken, stuck) {
        (Some(at), _) => Answer::No(at),
        (None, Some(at)) => Answer::GaveUp(at),
        (None, None) => Answer::Yes,
    }
}

/// Judges each part of a history by itself, several at a time; `part`: which one an operation belongs to. Each part has
/// the steps of the budget for itself; what is left of it is what the first undecided one left.
pub fn by_parts<C: Clone + Send + Sync, K: Ord>(
    ops: &[Op<C>],
    part: impl Fn(&C) -> K,
    budget: &mut Budget,
    judge: impl Fn(&[Op<C>], &mut Budget) -> Answer + Sync,
) -> Answer {
    let mut parts: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (at, op) in ops.iter().enumerate() {
        parts.entry(part(&op.call)).or_default().push(at);
    }
    let parts: Vec<Vec<usize>> = parts.into_values().collect();
    let own = budget.shared_by(parts.len().min(rayon::current_num_threads()));
    let judged = parts.into_par_iter().map(|places| {
        let (all, mut left) = (places.iter().map(|at| ops[*at].clone()).collect::<Vec<_>>(), own);
        let place = |at: usize| places.get(at).copied().unwrap_or(0);
        match judge(&all, &mut left) {
            Answer::Yes => (Answer::Yes, left),
            Answer::No(at) => (Answer::No(place(at)), left),
            Answer::GaveUp(at) => (Answer::GaveUp(place(at)), left),
        }
    });
    let judged: Vec<(Answer, Budget)> = judged.collect();
    if let Some((_, left)) = judged.iter().find(|(answer, _)| matches!(answer, Answer::GaveUp(_))) {
        *budget = *left;
    }
    all_parts(ops, judged.into_iter().map(|(answer, _)| answer))
}

/// Events in the order of time: `(operation, whether it is its return)`. At equal instants calls come first, then the
/// order of the input decides. Operations of unknown outcome have no return.
fn events<C>(ops: &[Op<C>]) -> Vec<(usize, bool)> {
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * ops.len());
    for (at, op) in ops.iter().enumerate() {
        events.push((op.invoked, false, at));
        // Whoever returns before the call does so at once.
        events.extend(op.returned.map(|t| (t.max(op.invoked), true, at)));
    }
    events.sort_unstable();
    events.into_iter().map(|(_, returns, at)| (at, returns)).collect()
}
