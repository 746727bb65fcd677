//! The search for a linearization of one register's operations: just-in-time linearization (Lowe,
//! "Testing for linearizability", after Wing & Gong, "Testing and verifying concurrent objects").
//!
//! Time is walked from event to event. A call is taken as late as it can be: only when an operation
//! returns that has not taken effect yet are others that are in flight (and unknown ones that were
//! invoked before) tried in front of it. Observations (reads, compare-and-sets that found another
//! value) change nothing, so they take effect the moment the value suits them. What is left of a
//! state is the event, which operations in flight have taken effect (one bit each), the value, and
//! which unknown operations were used up; a state that is reached again having used up at least as
//! much leads nowhere new.
//!
//! Three rules keep the tries few, and lose nothing:
//! - Unknown operations of the same kind and values are interchangeable, so only their number
//!   counts. An unknown write whose value nobody will observe any more serves only to change the
//!   value under a compare-and-set that must miss: all such are interchangeable too (*junk*).
//! - An operation whose outcome is unknown is tried only where what it sets is of use to somebody
//!   at once.
//! - A write in flight whose value nobody will observe any more may stand unseen just before any
//!   other write; one that has the only write of a value still to be observed is tried only where
//!   that is of use at once.

use std::collections::HashSet;

use super::breadth::{BreadthFirst, Progress};
use super::prepared::{Action, Event, InFlight, JUNK, Op, Prepared, Value};
use super::seen::Seen;

/// How the search came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// There is a linearization.
    Yes,
    /// There is none: the operation (its place in the input) up to whose return nothing suits.
    No(usize),
    /// The budget was used up while looking for a place for this operation.
    GaveUp(usize),
}

/// How many unknown operations of each class are used up: sorted by class, counts above 0.
pub(super) type Used = Vec<(u32, u32)>;

#[derive(Clone)]
pub(super) struct State {
    pub event: u32,
    pub done: u128,
    pub value: Value,
    pub used: Used,
    /// The value was set by an unknown operation for nobody yet: setting another one over it is
    /// pointless.
    pub fresh: bool,
}

/// What there is to be searched.
pub(super) struct Space {
    of: Prepared,
}

/// How many states each search visits at first before the other one goes on: at least so many, and for each operation
/// so many, within which the first one is mostly done where there is a linearization. The next slices are longer.
const SLICE: u64 = 500;
const SLICE_FOR_EACH: u64 = 3;

/// Whether the operations have a linearization; `steps` bounds the work, and with it the memory.
///
/// Two searches take turns, for neither is best everywhere: one goes depth first, and finds a linearization soon where
/// there is one, however many outcomes are unknown; the other goes breadth first, one return after the other, and
/// finds out soon that there is none, where few states are possible at a time.
pub fn search(ops: &[Op], steps: &mut u64) -> Answer {
    let space = match Prepared::of(ops) {
        Ok(of) => Space { of },
        Err(op) => return Answer::GaveUp(op),
    };
    let mut depth = DepthFirst::new(&space);
    let mut breadth = Some(BreadthFirst::new(&space));
    let mut slice = SLICE.max(SLICE_FOR_EACH.saturating_mul(ops.len() as u64));
    loop {
        let mut own = slice.min(*steps);
        *steps -= own;
        if let Some(answer) = depth.go(&space, &mut own) {
            *steps += own;
            return answer;
        }
        let mut own = slice.min(*steps);
        *steps -= own;
        match breadth.as_mut().map(|breadth| breadth.go(&space, &mut own)) {
            Some(Progress::Done(answer)) => {
                *steps += own;
                return answer;
            }
            Some(Progress::TooMany) => breadth = None,
            Some(Progress::More) | None => {}
        }
        *steps += own;
        if *steps == 0 {
            return Answer::GaveUp(depth.deepest.1);
        }
        slice = slice.saturating_mul(2);
    }
}

/// What each of the two searches says alone: depth first, breadth first.
#[cfg(test)]
pub fn alone(ops: &[Op]) -> [Answer; 2] {
    let Ok(of) = Prepared::of(ops) else { return [Answer::GaveUp(0); 2] };
    let (space, mut steps) = (Space { of }, u64::MAX);
    let depth = DepthFirst::new(&space).go(&space, &mut steps);
    let breadth = match BreadthFirst::new(&space).go(&space, &mut steps) {
        Progress::Done(answer) => answer,
        Progress::More | Progress::TooMany => Answer::GaveUp(0),
    };
    [depth.unwrap_or(Answer::GaveUp(0)), breadth]
}

/// Takes up the state that promises most, until none is left.
struct DepthFirst {
    seen: Seen,
    stack: Vec<State>,
    next: Vec<(u8, State)>,
    /// The latest return that was reached, and its operation.
    deepest: (u32, usize),
}

impl DepthFirst {
    fn new(space: &Space) -> DepthFirst {
        let (seen, stack) = (Seen::default(), vec![space.first()]);
        DepthFirst { seen, stack, next: vec![], deepest: (0, 0) }
    }

    /// Goes on for so many steps. `None`: they are used up.
    fn go(&mut self, space: &Space, steps: &mut u64) -> Option<Answer> {
        while let Some(mut state) = self.stack.pop() {
            let Some(op) = space.advance(&mut state) else { return Some(Answer::Yes) };
            if state.event >= self.deepest.0 {
                self.deepest = (state.event, op);
            }
            space.forget_useless(&mut state);
            if self.seen.before_or_now(&state) {
                continue;
            }
            space.branch(&state, &mut self.next);
            // What lets the returning operation take effect at once comes first.
            self.next.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
            self.stack.extend(self.next.drain(..).map(|(_, state)| state));
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                return None;
            }
        }
        Some(Answer::No(self.deepest.1))
    }
}

fn suits(action: Action, value: Value) -> bool {
    match action {
        Action::Read(v) => v == value,
        Action::Missed(v) => v != value,
        _ => false,
    }
}

fn applied(action: Action, value: Value) -> Option<Value> {
    match action {
        Action::Write(v) => Some(v),
        Action::Swap(from, to) => (from == value).then_some(to),
        Action::Read(_) | Action::Missed(_) => None,
    }
}

impl Space {
    /// Where every search begins.
    pub fn first(&self) -> State {
        State { event: 0, done: 0, value: 0, used: vec![], fresh: false }
    }

    /// Walks on to the next return of an operation that has not taken effect; `None` at the end.
    pub fn advance(&self, state: &mut State) -> Option<usize> {
        while let Some(event) = self.of.events.get(state.event as usize) {
            match event {
                Event::Call(flight) => {
                    if suits(flight.action, state.value) {
                        state.done |= 1 << flight.slot;
                    }
                }
                Event::Return { slot, op, .. } => {
                    if state.done & (1 << slot) == 0 {
                        return Some(*op as usize);
                    }
                    state.done &= !(1 << slot);
                    state.fresh = false;
                }
            }
            state.event += 1;
        }
        None
    }

    /// Unknown operations that are of no use any more are not told apart from each other.
    pub fn forget_useless(&self, state: &mut State) {
        let mut junk = 0;
        state.used.retain(|(class, n)| {
            let class = &self.of.classes[*class as usize];
            let of_use = class.until >= state.event;
            if !of_use && matches!(class.action, Action::Write(v) if v != JUNK) {
                junk += n;
            }
            of_use
        });
        if junk > 0 && self.of.missed_until >= state.event {
            take(&mut state.used, 0, junk);
        }
    }

    fn of_use(&self, value: Value, event: u32) -> bool {
        self.of.observed.get(&value).is_some_and(|until| *until >= event)
    }

    /// What may take effect next, each with how little it promises.
    pub fn branch(&self, state: &State, next: &mut Vec<(u8, State)>) {
        let Some(Event::Return { slot, from, to, .. }) = self.of.events.get(state.event as usize)
        else {
            return;
        };
        let flights = &self.of.flights[*from as usize..*to as usize];
        let left = || flights.iter().filter(|f| state.done & (1 << f.slot) == 0);
        let wanted = self.wanted(state, left().map(|f| f.action));
        let must_change = left().any(|f| f.action == Action::Missed(state.value));
        let target = 1u128 << slot;
        for flight in left() {
            let blind = matches!(flight.action, Action::Write(_));
            let Some(value) = applied(flight.action, state.value) else { continue };
            let only = blind && !self.of.common.contains(&value) && self.of_use(value, state.event);
            let idle = only && !wanted.contains(&value) && !must_change && flight.slot != *slot;
            if idle || (blind && state.fresh) {
                continue;
            }
            let mut after = State { value, fresh: false, ..state.clone() };
            after.done |= 1 << flight.slot;
            observe(&mut after, flights);
            self.push(state, after, blind, flights, target, 0, next);
        }
        let mut classes: Vec<u32> = if must_change {
            (0..self.of.classes.len() as u32).collect()
        } else {
            wanted.iter().filter_map(|v| self.of.setting.get(v)).flatten().copied().collect()
        };
        classes.sort_unstable();
        for number in classes {
            let class = &self.of.classes[number as usize];
            let blind = matches!(class.action, Action::Write(_));
            if class.until < state.event || (blind && state.fresh) {
                continue;
            }
            let Some(value) = applied(class.action, state.value) else { continue };
            let there = class.since.partition_point(|e| *e <= state.event) as u32;
            if value == state.value || count(&state.used, number) >= there {
                continue;
            }
            let mut after = State { value, ..state.clone() };
            take(&mut after.used, number, 1);
            after.fresh = !observe(&mut after, flights);
            self.push(state, after, blind, flights, target, 1, next);
        }
    }

    /// Adds a state that an operation leads to; where that is a write, also with the writes in
    /// flight that nobody will observe standing unseen before it.
    #[allow(clippy::too_many_arguments)]
    fn push(
        &self,
        before: &State,
        after: State,
        blind: bool,
        flights: &[InFlight],
        target: u128,
        rank: u8,
        next: &mut Vec<(u8, State)>,
    ) {
        let rank = if after.done & target != 0 { rank } else { rank + 2 };
        let unseen = flights.iter().filter(|f| match f.action {
            Action::Write(v) => after.done & (1 << f.slot) == 0 && !self.of_use(v, before.event),
            _ => false,
        });
        let unseen = unseen.fold(0u128, |all, f| all | (1 << f.slot));
        if blind && unseen != 0 {
            let done = after.done | unseen;
            let rank = if done & target != 0 { rank & 1 } else { rank };
            next.push((rank, State { done, ..after.clone() }));
            let maybe = |f: &InFlight| match f.action {
                Action::Write(v) => self.of.maybe.contains(&v),
                _ => false,
            };
            let may_matter = flights.iter().any(|f| unseen & (1 << f.slot) != 0 && maybe(f));
            if self.of.missed_until < before.event && !may_matter {
                return; // nobody will miss them
            }
        }
        next.push((rank + 4, after));
    }

    /// Values that are of use at once: to an observer in flight, or to an unknown swap that leads
    /// to one.
    fn wanted(&self, state: &State, left: impl Iterator<Item = Action>) -> HashSet<Value> {
        let mut todo: Vec<Value> = left
            .filter_map(|action| match action {
                Action::Read(v) | Action::Swap(v, _) => Some(v),
                _ => None,
            })
            .collect();
        let mut wanted = HashSet::new();
        while let Some(value) = todo.pop() {
            if !wanted.insert(value) {
                continue;
            }
            for class in self.of.setting.get(&value).into_iter().flatten() {
                let class = &self.of.classes[*class as usize];
                if let Action::Swap(from, _) = class.action
                    && class.since.first().is_some_and(|e| *e <= state.event)
                {
                    todo.push(from);
                }
            }
        }
        wanted
    }
}

fn count(used: &Used, class: u32) -> u32 {
    used.binary_search_by_key(&class, |u| u.0).map_or(0, |at| used[at].1)
}

fn take(used: &mut Used, class: u32, n: u32) {
    match used.binary_search_by_key(&class, |u| u.0) {
        Ok(at) => used[at].1 += n,
        Err(at) => used.insert(at, (class, n)),
    }
}

/// Lets every observation that the value suits take effect; whether there was one.
fn observe(state: &mut State, flights: &[InFlight]) -> bool {
    let before = state.done;
    for flight in flights {
        if suits(flight.action, state.value) {
            state.done |= 1 << flight.slot;
        }
    }
    state.done != before
}
