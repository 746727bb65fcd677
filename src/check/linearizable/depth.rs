//! The search that goes depth first: it takes up what promises most, until the history ends or nothing is left.
//!
//! States that were met are remembered in bounded memory. Forgetting costs time, never truth: a state that is met again
//! after it was forgotten is searched again, and the budget bounds that. The search comes back mostly to what it saw
//! lately: two generations are kept, and when the young one is full, the old one goes.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::prepared::{Prepared, Value};
use super::search::Answer;
use super::seen::{State, Used, at_most};
use super::space::{BEFORE_A_RETURN, Space};
use crate::check::mask::Mask;

/// Which part of the memory a generation may take, and what waits.
const GENERATION: usize = 20;
const WAITING: usize = 4;

/// What a state takes in a map, besides itself.
const PLACE: usize = 32;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// All that may lead on.
    Full,
    /// No unknown operation only to let an unknown swap follow. That nothing is found proves nothing then.
    Brief,
}

/// See the module.
pub(super) struct DepthFirst<'a, M> {
    space: Space<'a, M>,
    /// States, and how many events they have behind them.
    waiting: Vec<(u32, State<M>)>,
    bytes: usize,
    /// More was possible before one return than may be tried.
    too_many: bool,
    /// What waits may take so many bytes, about.
    bytes_max: usize,
    found: Vec<State<M>>,
    seen: Seen<M>,
    /// The latest return that was reached, and its operation.
    pub deepest: (u32, usize),
}

impl<'a, M: Mask> DepthFirst<'a, M> {
    /// `memory`: what all searches of a register may remember, in bytes.
    pub fn new(of: &'a Prepared, effort: Effort, memory: usize) -> DepthFirst<'a, M> {
        let space = Space::new(of, effort == Effort::Brief);
        let waiting = vec![(0, space.first())];
        let seen = Seen::new(memory / GENERATION);
        let (bytes, bytes_max, found) = (0, memory / WAITING, vec![]);
        let (too_many, deepest) = (false, (0, 0));
        DepthFirst { space, waiting, bytes, too_many, bytes_max, found, seen, deepest }
    }

    /// Whether more waits than may, or more was possible at once: it goes no further.
    pub fn is_full(&self) -> bool {
        self.too_many || self.bytes >= self.bytes_max
    }

    /// Goes on for so many steps. `None`: they are used up, or what waits is too much.
    pub fn go(&mut self, steps: &mut u64) -> Option<Answer> {
        while *steps > 0 && !self.is_full() {
            let Some((at, mut state)) = self.waiting.pop() else {
                return Some(Answer::No(self.deepest.1));
            };
            self.bytes = self.bytes.saturating_sub(state.bytes());
            self.space.flights.seek(at);
            loop {
                let Some(next) = self.space.flights.next() else { return Some(Answer::Yes) };
                if next.event >= self.deepest.0 {
                    self.deepest = (next.event, next.op as usize);
                }
                self.space.calls(&next, &mut state);
                if !Space::decides(&next, &state) {
                    self.space.past(&next, &mut state);
                    self.space.flights.pass();
                    continue;
                }
                if self.seen.before_or_now(next.event, &state) {
                    break;
                }
                let mut own = BEFORE_A_RETURN;
                let all = self.space.explain(&next, &state, &mut own, &mut self.found);
                *steps = steps.saturating_sub(BEFORE_A_RETURN - own);
                if all.is_err() {
                    self.too_many = true;
                    return None;
                }
                let weight = |s: &State<M>| s.used.iter().map(|(_, n)| *n).sum::<u32>();
                self.found.sort_by_key(|s| std::cmp::Reverse(weight(s)));
                if Space::passes(&next, &state) {
                    self.space.past(&next, &mut state);
                    self.found.push(state);
                }
                self.bytes += self.found.iter().map(State::bytes).sum::<usize>();
                self.waiting.extend(self.found.drain(..).map(|state| (next.event + 1, state)));
                break;
            }
        }
        None
    }
}

type States<M> = HashMap<(u32, Value, M, M), Vec<Used>, RandomState>;

/// The states that were met.
struct Seen<M> {
    young: States<M>,
    old: States<M>,
    /// What the young ones take, and may take, about.
    bytes: usize,
    generation: usize,
}

impl<M: Mask> Seen<M> {
    fn new(generation: usize) -> Seen<M> {
        Seen { young: States::default(), old: States::default(), bytes: 0, generation }
    }

    /// Whether a state like this one, that had used up no more, was met before. Remembers it if not.
    fn before_or_now(&mut self, event: u32, state: &State<M>) -> bool {
        let key = (event, state.value, state.owed.clone(), state.free.clone());
        let leads_nowhere_new =
            |seen: &Vec<Used>| seen.iter().any(|used| at_most(used, &state.used));
        if [&self.young, &self.old].iter().any(|s| s.get(&key).is_some_and(leads_nowhere_new)) {
            return true;
        }
        self.bytes += state.bytes() + PLACE;
        if self.bytes > self.generation {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        // Mostly there is one; a `Vec` that grows by itself makes room for four.
        let seen = self.young.entry(key).or_insert_with(|| Vec::with_capacity(1));
        seen.retain(|used| !at_most(&state.used, used));
        seen.push(state.used.clone());
        false
    }
}
