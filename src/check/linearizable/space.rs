//! What can take effect before an operation returns: just-in-time linearization (Lowe, "Testing for linearizability").
//!
//! All that follows puts an operation's effect off as long as that loses nothing, whatever comes later and wherever
//! the history is cut off:
//! - Observations change nothing: they take effect the moment the value suits them.
//! - Nothing is decided before an operation returns that is owed, and then nothing after it.
//! - Before it, only what is of use at once: what lets an observation in flight take effect, or a swap that follows;
//!   for all else there is time later, or no need.
//! - When a write takes effect, all other writes in flight may have stood unseen just before it: they are owed no more,
//!   but may still be used.
//! - Unknown operations of the same kind and values are interchangeable, so only their number counts.

use super::flights::{Flights, Next};
use super::prepared::{Action, JUNK, JUNK_CLASS, Prepared, Value};
use super::seen::{Antichain, Fresh, State, count, take};
use crate::check::mask::{Mask, slots};

/// See the module.
pub(super) struct Space<'a, M> {
    pub flights: Flights<'a, M>,
    todo: Vec<State<M>>,
    met: Antichain<M>,
    /// Values that are of use at once.
    wanted: Vec<Value>,
    /// Those of them that unknown swaps find.
    fed: Vec<Value>,
    /// No unknown swap is tried after an operation that is of no other use. Not all is found then.
    brief: bool,
}

/// What takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// An operation in flight.
    Slot(u32),
    /// An unknown one.
    Class(u32),
}

/// There was more to be tried than is allowed.
pub(super) struct Exhausted;

/// So many states may be tried before one return, which bounds what they take.
pub(super) const BEFORE_A_RETURN: u64 = 200_000;

impl<'a, M: Mask> Space<'a, M> {
    pub fn new(of: &'a Prepared, brief: bool) -> Space<'a, M> {
        let (flights, met) = (Flights::new(of), Antichain::new());
        Space { flights, todo: vec![], met, wanted: vec![], fed: vec![], brief }
    }

    /// How many states others were compared with since this was asked.
    pub fn compared(&mut self) -> u64 {
        std::mem::take(&mut self.met.compared)
    }

    /// Where every search begins.
    pub fn first(&self) -> State<M> {
        let (owed, free) = (M::default(), M::default());
        State { value: self.flights.of.first, owed, free, used: vec![], fresh: Fresh::No }
    }

    /// Takes up what is called before the next return.
    pub fn calls(&self, next: &Next<M>, state: &mut State<M>) {
        let mut owed = next.observers.clone();
        self.flights.suit(&mut owed, state.value);
        state.owed.join(&owed);
        state.owed.join(&next.setters);
        state.free.join(&next.setters);
        if state.used.is_empty() {
            return;
        }
        let (of, now) = (self.flights.of, next.event - 1);
        let mut junk = 0;
        state.used.retain(|(class, n)| match of.classes[*class as usize] {
            _ if *class == JUNK_CLASS => of.missed_until > now,
            Action::Write(value) if of.is_over(value, now) => {
                junk += n;
                false
            }
            Action::Swap(_, value) => !of.is_over(value, now) || of.missed_until > now,
            _ => true,
        });
        if junk > 0 && of.missed_until > now {
            take(&mut state.used, JUNK_CLASS, junk);
        }
    }

    /// Whether the state can go past the return without more ado.
    pub fn passes(next: &Next<M>, state: &State<M>) -> bool {
        !state.owed.has(next.slot)
    }

    /// Whether it can go past it in another way than that.
    pub fn decides(next: &Next<M>, state: &State<M>) -> bool {
        state.free.has(next.slot) || state.owed.has(next.slot)
    }

    /// Past the return.
    pub fn past(&self, next: &Next<M>, state: &mut State<M>) {
        state.owed.clear(next.slot);
        state.free.clear(next.slot);
        state.fresh = Fresh::No;
        if self.flights.of.is_over(state.value, next.event) {
            state.value = JUNK;
        }
    }

    /// All that can stand just before the return, so that its operation takes effect last: the states past it.
    pub fn explain(
        &mut self,
        next: &Next<M>,
        state: &State<M>,
        steps: &mut u64,
        into: &mut Vec<State<M>>,
    ) -> Result<(), Exhausted> {
        self.met.clear();
        self.todo.clear();
        self.want(state);
        self.todo.push(state.clone());
        while let Some(state) = self.todo.pop() {
            if *steps == 0 {
                return Err(Exhausted);
            }
            *steps -= 1;
            for slot in slots(&state.free) {
                let action = self.flights.action(slot);
                if let Some(value) = applied(action, &state) {
                    self.take_effect(next, &state, action, value, By::Slot(slot), into);
                }
            }
            if self.flights.of.classes.len() > 1 || self.flights.invoked[0] > 0 {
                self.unknown(next, &state, into);
            }
        }
        Ok(())
    }

    /// Tries unknown operations.
    fn unknown(&mut self, next: &Next<M>, state: &State<M>, into: &mut Vec<State<M>>) {
        let of = self.flights.of;
        let any = self.flights.must_change(&state.owed, state.value);
        let some = self.wanted.iter().flat_map(|v| of.setting[*v as usize].iter().copied());
        let classes: Vec<u32> =
            if any { (0..of.classes.len() as u32).collect() } else { some.collect() };
        for class in classes {
            let action = of.classes[class as usize];
            let Some(value) = applied(action, state) else { continue };
            if self.is_left(state, class) && !self.is_roundabout(state, action) {
                self.take_effect(next, state, action, value, By::Class(class), into);
            }
        }
    }

    fn is_left(&self, state: &State<M>, class: u32) -> bool {
        count(&state.used, class) < self.flights.invoked[class as usize]
    }

    /// Whether one unknown operation does what this one and the unknown one before it do. It might have been used later
    /// instead of them, but then they can be used instead of it.
    fn is_roundabout(&self, state: &State<M>, action: Action) -> bool {
        let (Fresh::Unknown(before), Action::Swap(_, to)) = (state.fresh, action) else {
            return false;
        };
        let same = match before {
            Action::Swap(from, _) => Action::Swap(from, to),
            _ => Action::Write(to),
        };
        let of = self.flights.of;
        let mut setting = of.setting[to as usize].iter();
        setting.any(|class| of.classes[*class as usize] == same && self.is_left(state, *class))
    }

    /// An operation takes effect; keeps what comes of it if that is of use.
    fn take_effect(
        &mut self,
        next: &Next<M>,
        before: &State<M>,
        action: Action,
        value: Value,
        by: By,
        into: &mut Vec<State<M>>,
    ) {
        let flights = &self.flights;
        let write = matches!(action, Action::Write(_));
        if write && before.fresh != Fresh::No {
            return;
        }
        let (mut owed, mut free) = (before.owed.clone(), before.free.clone());
        if let By::Slot(slot) = by {
            owed.clear(slot);
            free.clear(slot);
        }
        // Setting what is there already is of use only if something stands unseen before it, or is it.
        let unseen = write && before.owed.meets(&flights.writes);
        if write {
            owed.remove(&flights.writes);
        }
        let unsuited = owed.clone();
        flights.suit(&mut owed, value);
        let of_use = owed != unsuited || (!write && matches!(by, By::Slot(_)));
        let observes = !flights.writes.has(next.slot) && !flights.swaps.has(next.slot);
        let ends = by == By::Slot(next.slot) || (observes && !owed.has(next.slot));
        let idle =
            !of_use && ((value == before.value && !unseen) || !self.feeds(&owed, &free, value));
        if idle && !ends {
            return;
        }
        let fresh = match by {
            _ if of_use => Fresh::No,
            By::Slot(_) => Fresh::InFlight,
            By::Class(_) => Fresh::Unknown(action),
        };
        let mut after = State { value, owed, free, used: before.used.clone(), fresh };
        if let By::Class(class) = by {
            take(&mut after.used, class, 1);
        }
        if ends {
            self.past(next, &mut after);
            into.push(after);
        } else if self.met.add(&after, &self.flights) {
            self.todo.push(after);
        }
    }

    /// Whether a swap may follow.
    fn feeds(&self, owed: &M, free: &M, value: Value) -> bool {
        let finds = |action: Action| matches!(action, Action::Swap(from, _) if from == value);
        slots(&free.common(&self.flights.swaps)).any(|slot| finds(self.flights.action(slot)))
            || self.fed.contains(&value)
            || self.flights.must_change(owed, value)
    }

    /// Values that are of use at once: to what is in flight, or to an unknown swap that leads to one that is.
    fn want(&mut self, state: &State<M>) {
        self.wanted.clear();
        self.fed.clear();
        let of = self.flights.of;
        if of.classes.len() <= 1 {
            return;
        }
        for slot in slots(&state.owed) {
            if let Action::Read(value) | Action::Swap(value, _) = self.flights.action(slot)
                && !self.wanted.contains(&value)
            {
                self.wanted.push(value);
            }
        }
        let mut at = 0;
        while let (false, Some(value)) = (self.brief, self.wanted.get(at)) {
            at += 1;
            for class in &of.setting[*value as usize] {
                if let Action::Swap(from, _) = of.classes[*class as usize]
                    && self.flights.invoked[*class as usize] > 0
                    && !self.fed.contains(&from)
                {
                    self.fed.push(from);
                }
            }
            let more: Vec<Value> =
                self.fed.iter().copied().filter(|v| !self.wanted.contains(v)).collect();
            self.wanted.extend(more);
        }
    }
}

/// The value after it, if it can take effect and sets one.
fn applied<M>(action: Action, state: &State<M>) -> Option<Value> {
    match action {
        Action::Write(value) => Some(value),
        Action::Swap(from, to) => (from == state.value).then_some(to),
        Action::Read(_) | Action::Missed(_) => None,
    }
}
