//! The search that goes breadth first: all that is possible up to a return, before anything after it. What is possible
//! is kept as an antichain: of two states that differ only in what they used up, one that used up more leads nowhere
//! that the other does not. What lies behind is forgotten.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::prepared::Value;
use super::search::{Answer, Space, State, Used};
use super::seen::{at_most, bytes};

/// No more than this is kept, in bytes, about.
const KEPT_MAX: usize = 48 << 20;

/// So many comparisons of states take about as long as all else of a step.
const COMPARED_IN_A_STEP: usize = 16;

/// How far it has come.
pub(super) enum Progress {
    Done(Answer),
    /// The steps are used up.
    More,
    /// More is possible at a time than can be kept.
    TooMany,
}

/// See the module.
pub(super) struct BreadthFirst {
    /// By the return that comes next.
    levels: BTreeMap<u32, Level>,
    next: Vec<(u8, State)>,
    kept: usize,
    /// How many states others were compared with since a step was counted for it.
    compared: usize,
    /// The operation of the latest return that was reached.
    last: usize,
}

/// What is possible when a return comes next that nothing in it explains yet.
struct Level {
    op: usize,
    possible: HashMap<(u128, Value, bool), Vec<Used>>,
    queue: VecDeque<State>,
    bytes: usize,
}

impl BreadthFirst {
    pub fn new(space: &Space) -> BreadthFirst {
        let mut own =
            BreadthFirst { levels: BTreeMap::new(), next: vec![], kept: 0, compared: 0, last: 0 };
        own.next.push((0, space.first()));
        own
    }

    /// Goes on for so many steps.
    pub fn go(&mut self, space: &Space, steps: &mut u64) -> Progress {
        loop {
            while let Some((_, state)) = self.next.pop() {
                if !self.reach(space, state) {
                    return Progress::Done(Answer::Yes);
                }
            }
            if self.kept > KEPT_MAX {
                return Progress::TooMany;
            }
            if *steps == 0 {
                return Progress::More;
            }
            let Some(mut level) = self.levels.first_entry() else {
                return Progress::Done(Answer::No(self.last));
            };
            self.last = level.get().op;
            let Some(state) = level.get_mut().queue.pop_front() else {
                self.kept -= level.remove().bytes;
                continue;
            };
            if level.get().is_possible(&state) {
                // Comparing is work, too, where much is possible at a time.
                let cost = 1 + self.compared / COMPARED_IN_A_STEP;
                self.compared = 0;
                *steps = steps.saturating_sub(cost as u64);
                space.branch(&state, &mut self.next);
            }
        }
    }

    /// Walks on to where the state decides something; whether there is such a place.
    fn reach(&mut self, space: &Space, mut state: State) -> bool {
        let Some(op) = space.advance(&mut state) else { return false };
        space.forget_useless(&mut state);
        let none = || Level { op, possible: HashMap::new(), queue: VecDeque::new(), bytes: 0 };
        let level = self.levels.entry(state.event).or_insert_with(none);
        self.compared += level.like(&state);
        self.kept += level.add(state);
        true
    }
}

impl Level {
    fn key(state: &State) -> (u128, Value, bool) {
        (state.done, state.value, state.fresh)
    }

    /// How many there are that differ from this one only in what they used up.
    fn like(&self, state: &State) -> usize {
        self.possible.get(&Level::key(state)).map_or(0, Vec::len)
    }

    /// Adds a state, unless there is one that is as good; how many bytes more are kept.
    fn add(&mut self, state: State) -> usize {
        let like = self.possible.entry(Level::key(&state)).or_default();
        if like.iter().any(|used| at_most(used, &state.used)) {
            return 0;
        }
        like.retain(|used| !at_most(&state.used, used));
        like.push(state.used.clone());
        let more = 2 * bytes(&state);
        self.bytes += more;
        self.queue.push_back(state);
        more
    }

    /// Whether nothing better came since it was added.
    fn is_possible(&self, state: &State) -> bool {
        self.possible.get(&Level::key(state)).is_some_and(|all| all.contains(&state.used))
    }
}
