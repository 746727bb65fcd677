//! The longest partial linearization, and the first return that no linearization reaches.
//!
//! A partial linearization is a legal sequence in which an operation follows everything that returned before its call
//! (Wing & Gong, "Testing and verifying concurrent objects"; memo of visited configurations: Lowe, "Testing for
//! linearizability"). The longest is the one with the most operations of known outcome. Those of unknown outcome may be
//! left out; if they observe only, they are.
//!
//! The same search tells where it became impossible: what is in flight at a return may have taken effect or not, so
//! the history up to a return has a linearization if some configuration has placed all that returned until then.
//!
//! Time and memory: exponential in what is concurrent, and so bounded by [`Limits`].

use std::collections::HashSet;

use super::Limits;
use crate::check::objects::{Object, Op};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partial {
    /// The longest, in its order.
    pub order: Vec<usize>,
    /// The first return that nothing reaches; `None`: there is a linearization of all.
    pub broken: Option<usize>,
    /// Whether the search was complete.
    pub exact: bool,
}

struct Search<'a, O: Object> {
    object: &'a O,
    ops: &'a [Op<O::Call>],
    /// By return; unknown ones last.
    by_return: Vec<usize>,
    placed: Vec<u64>,
    left: Limits,
    exact: bool,
}

/// When an operation returned, at the earliest at its call.
pub(super) fn end<C>(op: &Op<C>) -> Option<u64> {
    op.returned.map(|t| t.max(op.invoked))
}

impl<O: Object> Search<'_, O> {
    fn has(&self, at: usize) -> bool {
        self.placed[at / 64] >> (at % 64) & 1 == 1
    }

    fn flip(&mut self, at: usize) {
        self.placed[at / 64] ^= 1 << (at % 64);
    }

    /// The first operation in the order of returns that has no place.
    fn first_return(&self) -> Option<usize> {
        let mut known = self.by_return.iter().copied().filter(|at| end(&self.ops[*at]).is_some());
        known.find(|at| !self.has(*at))
    }

    /// What may come next, the one to try first last.
    fn choices(&mut self, state: &O::State, barrier: u64) -> Vec<(usize, O::State)> {
        let mut found = Vec::new();
        for place in 0..self.by_return.len() {
            let at = self.by_return[place];
            let op = &self.ops[at];
            let observes = self.object.observes(&op.call);
            if self.has(at) || op.invoked > barrier || (observes && op.returned.is_none()) {
                continue;
            }
            if self.left.steps == 0 {
                self.exact = false;
                break;
            }
            self.left.steps -= 1;
            let Some(next) = self.object.apply(state, &op.call) else { continue };
            // What changes nothing is never in the way of others: there is no need to try without it.
            if observes {
                return vec![(at, next)];
            }
            found.push((at, next));
        }
        found.reverse();
        found
    }

    /// Takes note of a configuration's cost; `false`: there is no room.
    fn pays(&mut self, state: &O::State) -> bool {
        let cost = self.object.bytes(state) + 8 * self.placed.len() + 64;
        let fits = self.left.bytes >= cost;
        self.left.bytes = self.left.bytes.saturating_sub(cost);
        self.exact &= fits;
        fits
    }
}

/// Looks for the longest partial linearization.
pub(super) fn longest<O: Object>(object: &O, ops: &[Op<O::Call>], limits: Limits) -> Partial {
    let mut by_return: Vec<usize> = (0..ops.len()).collect();
    by_return.sort_by_key(|at| (end(&ops[*at]).is_none(), end(&ops[*at]), *at));
    let rank = |at: usize| (end(&ops[at]), at);
    let placed = vec![0; ops.len().div_ceil(64)];
    let mut search = Search { object, ops, by_return, placed, left: limits, exact: true };
    let (mut order, mut best, mut most) = (Vec::new(), Vec::new(), 0);
    let (mut known, mut broken) = (0, search.first_return());
    let mut seen = HashSet::new();
    let first = object.first();
    let barrier = broken.and_then(|at| end(&ops[at])).unwrap_or(u64::MAX);
    let choices = if broken.is_some() { search.choices(&first, barrier) } else { Vec::new() };
    let mut frames = vec![choices];
    while let Some(choices) = frames.last_mut() {
        let Some((at, state)) = choices.pop() else {
            frames.pop();
            if let Some(at) = order.pop() {
                search.flip(at);
                known -= usize::from(ops[at].returned.is_some());
            }
            continue;
        };
        search.flip(at);
        let config = (search.placed.clone(), state.clone());
        if seen.contains(&config) || !search.pays(&state) {
            search.flip(at);
            continue;
        }
        seen.insert(config);
        order.push(at);
        known += usize::from(ops[at].returned.is_some());
        if known > most {
            (most, best) = (known, order.clone());
        }
        let next = search.first_return();
        let Some(next) = next else {
            return Partial { order, broken: None, exact: true };
        };
        if broken.is_none_or(|old| rank(next) > rank(old)) {
            broken = Some(next);
        }
        let choices = search.choices(&state, end(&ops[next]).unwrap_or(u64::MAX));
        frames.push(choices);
    }
    Partial { order: best, broken, exact: search.exact }
}
