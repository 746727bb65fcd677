//! The search that goes breadth first: all that is possible after a return, before anything after it. What is possible
//! is kept as an antichain; what lies behind is forgotten.

use super::flights::Next;
use super::prepared::Prepared;
use super::search::Answer;
use super::seen::{Antichain, State};
use super::space::{BEFORE_A_RETURN, Space};
use crate::check::mask::Mask;

/// Which part of the memory it may keep.
const KEPT: usize = 5;

/// So many comparisons of states take about as long as all else of a step.
const COMPARED_IN_A_STEP: u64 = 32;

/// How far it has come.
pub(super) enum Progress {
    Done(Answer),
    /// The steps are used up.
    More,
    /// More is possible at a time than can be kept.
    TooMany,
}

/// See the module.
pub(super) struct BreadthFirst<'a, M> {
    space: Space<'a, M>,
    /// The return that comes next.
    next: Option<Next<M>>,
    /// What is possible before it, and not yet followed.
    possible: Vec<State<M>>,
    /// What is possible after it.
    after: Antichain<M>,
    found: Vec<State<M>>,
    /// What is kept, and may be kept, in bytes, about.
    kept: usize,
    kept_max: usize,
}

impl<'a, M: Mask> BreadthFirst<'a, M> {
    /// `memory`: what all searches of a register may remember, in bytes.
    pub fn new(of: &'a Prepared, memory: usize) -> BreadthFirst<'a, M> {
        let mut space = Space::new(of, false);
        let possible = vec![space.first()];
        let (next, after) = (space.flights.next(), Antichain::new());
        let (found, kept, kept_max) = (vec![], 0, memory / KEPT);
        BreadthFirst { space, next, possible, after, found, kept, kept_max }
    }

    /// The return that comes next, and its operation.
    pub fn reached(&self) -> (u32, usize) {
        self.next.as_ref().map_or((0, 0), |next| (next.event, next.op as usize))
    }

    /// Goes on for so many steps.
    pub fn go(&mut self, steps: &mut u64) -> Progress {
        while let Some(next) = &self.next {
            while let Some(mut state) = self.possible.pop() {
                if *steps == 0 {
                    self.possible.push(state);
                    return Progress::More;
                }
                self.space.calls(next, &mut state);
                // Not cut short by the steps that are left: it would have to begin again.
                let mut own = BEFORE_A_RETURN;
                if Space::decides(next, &state) {
                    let all = self.space.explain(next, &state, &mut own, &mut self.found);
                    if all.is_err() {
                        return Progress::TooMany;
                    }
                }
                if Space::passes(next, &state) {
                    self.space.past(next, &mut state);
                    self.found.push(state);
                }
                for state in self.found.drain(..) {
                    if self.after.add(&state, &self.space.flights) {
                        self.kept += state.bytes();
                    }
                }
                let compared = std::mem::take(&mut self.after.compared) + self.space.compared();
                let compared = compared / COMPARED_IN_A_STEP;
                *steps = steps.saturating_sub(BEFORE_A_RETURN - own + compared);
                if self.kept > self.kept_max {
                    return Progress::TooMany;
                }
            }
            if self.after.is_empty() {
                return Progress::Done(Answer::No(next.op as usize));
            }
            self.kept = 0;
            self.after.drain(&mut self.possible);
            self.space.flights.pass();
            self.next = self.space.flights.next();
        }
        Progress::Done(Answer::Yes)
    }
}
