//! What can take effect before an operation returns: just-in-time linearization (Lowe, "Testing for linearizability"),
//! by the same rules as the search over whole histories (`linearizable/space.rs`):
//! - Observations change nothing: they take effect the moment the value suits them.
//! - Nothing is decided before an operation returns that is owed, and then nothing after it.
//! - Before it, only what is of use at once: what lets an observation in flight take effect, or a swap that follows;
//!   for all else there is time later, or no need.
//! - When a write takes effect, all other writes in flight may have stood unseen just before it: they are owed no more,
//!   but may still be used.
//! - Unknown operations of the same kind are interchangeable, so only their number counts; of old unknown writes that
//!   nobody asks for, only when they were invoked.

use super::flights::{Action, Flights};
use super::kinds::Kinds;
use super::state::{Antichain, Mask, State, Value, bit, slots};

/// There was more to be tried than is allowed.
#[derive(Debug)]
pub(super) struct Exhausted;

/// What the search took, and what it left out.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// So many states may still be visited.
    pub steps: u64,
    /// Where there were old unknown writes to spare, others were not tried instead of one; from here on they might make
    /// a difference if there come to be too few.
    pub skipped: u32,
    /// There came to be too few.
    pub doubtful: bool,
    /// So many old unknown writes are to spare where others are not tried.
    pub spare: usize,
}

impl Tally {
    /// Whether a state is possible, as far as old unknown writes go.
    pub fn allows(&mut self, kinds: &Kinds, state: &State) -> bool {
        let lacks = kinds.lacks(state);
        self.doubtful |= lacks.is_some_and(|until| until >= self.skipped);
        lacks.is_none()
    }
}

/// What takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// An operation in flight.
    Slot(u32),
    /// An unknown one of this kind.
    Kind(u32),
    /// An old unknown write.
    Old,
}

/// All that can precede one return.
pub(super) struct Space<'a> {
    pub kinds: &'a Kinds,
    pub flights: &'a Flights,
    /// Unknown operations are there if they were unknown before this.
    pub now: u64,
    /// Who returns.
    pub slot: u32,
    todo: Vec<State>,
    met: Antichain,
    /// Values that are of use at once.
    wanted: Vec<i64>,
    /// Those of them that unknown swaps find.
    fed: Vec<i64>,
}

impl<'a> Space<'a> {
    pub fn new(kinds: &'a Kinds, flights: &'a Flights, now: u64, slot: u32) -> Space<'a> {
        let (todo, met) = (vec![], Antichain::default());
        Space { kinds, flights, now, slot, todo, met, wanted: vec![], fed: vec![] }
    }

    /// All states past the return that follow from this one before it.
    pub fn follow(
        &mut self,
        state: State,
        tally: &mut Tally,
        into: &mut Antichain,
    ) -> Result<(), Exhausted> {
        let slot = bit(self.slot);
        if (state.free | state.owed) & slot != 0 {
            self.explain(&state, tally, into)?;
        }
        if state.owed & slot == 0 {
            into.add(self.past(state));
        }
        Ok(())
    }

    /// Past the return.
    fn past(&self, mut state: State) -> State {
        state.owed &= !bit(self.slot);
        state.free &= !bit(self.slot);
        state.fresh = false;
        state
    }

    /// All that can stand just before the return, so that its operation takes effect last.
    fn explain(
        &mut self,
        state: &State,
        tally: &mut Tally,
        into: &mut Antichain,
    ) -> Result<(), Exhausted> {
        self.met.clear();
        self.todo.clear();
        self.want(state);
        self.todo.push(state.clone());
        while let Some(state) = self.todo.pop() {
            tally.steps = tally.steps.checked_sub(1).ok_or(Exhausted)?;
            for slot in slots(state.free) {
                let Some(action) = self.flights.action(slot) else { continue };
                if let Some(value) = action.applied(state.value) {
                    self.take_effect(&state, action, value, By::Slot(slot), tally, into);
                }
            }
            self.unknown(&state, tally, into);
        }
        Ok(())
    }

    /// Tries unknown operations.
    fn unknown(&mut self, state: &State, tally: &mut Tally, into: &mut Antichain) {
        let kinds = self.kinds;
        let spare = kinds.newest_old().filter(|_| kinds.spare(state) > tally.spare);
        let any = self.flights.must_change(state.owed, state.value);
        let some: Vec<u32> = match any {
            true => kinds.all().collect(),
            false => self.wanted.iter().flat_map(|v| kinds.setting(*v)).copied().collect(),
        };
        for kind in some {
            let Some(action) = kinds.action(kind) else { continue };
            let Some(value) = action.applied(state.value) else { continue };
            let wanted = action.sets().is_some_and(|value| self.wanted.contains(&value));
            if let (false, Some(newest), true) = (wanted, spare, kinds.is_single(kind)) {
                tally.skipped = tally.skipped.min(newest);
                continue;
            }
            if state.used(kind) < kinds.count(kind, self.now) {
                self.take_effect(state, action, value, By::Kind(kind), tally, into);
            }
        }
        if let (true, Some(newest)) = (any, kinds.newest_old()) {
            let value = Value::Junk(newest);
            // Only that it is a write matters, not what it writes.
            self.take_effect(state, Action::Write(0), value, By::Old, tally, into);
        }
    }

    /// An operation takes effect; keeps what comes of it if that is of use.
    fn take_effect(
        &mut self,
        before: &State,
        action: Action,
        value: Value,
        by: By,
        tally: &mut Tally,
        into: &mut Antichain,
    ) {
        let flights = self.flights;
        let write = matches!(action, Action::Write(_));
        if write && before.fresh {
            return;
        }
        let (mut owed, mut free) = (before.owed, before.free);
        if let By::Slot(slot) = by {
            owed &= !bit(slot);
            free &= !bit(slot);
        }
        // Setting what is there already is of use only if something stands unseen before it, or is it.
        let unseen = write && before.owed & flights.writes != 0;
        if write {
            owed &= !flights.writes;
        }
        let unsuited = owed;
        owed = flights.suit(owed, value);
        let of_use = owed != unsuited
            || matches!(by, By::Slot(slot) if !write && before.owed & bit(slot) != 0);
        let slot = bit(self.slot);
        let observes = (flights.writes | flights.swaps) & slot == 0;
        let ends = by == By::Slot(self.slot) || (observes && owed & slot == 0);
        let idle = !of_use && ((value == before.value && !unseen) || !self.feeds(owed, value));
        if idle && !ends {
            return;
        }
        let mut after = State { value, owed, free, fresh: !of_use, ..before.clone() };
        if let Value::Junk(until) = before.value {
            after.waste(until);
        }
        match by {
            By::Kind(kind) => after.take(kind),
            By::Old if !tally.allows(self.kinds, &after) => return,
            By::Old | By::Slot(_) => {}
        }
        if ends {
            into.add(self.past(after));
        } else if self.met.add(after.clone()) {
            self.todo.push(after);
        }
    }

    /// Whether a swap may follow.
    fn feeds(&self, owed: Mask, value: Value) -> bool {
        let finds = |slot: u32| {
            let action = self.flights.action(slot);
            matches!(action, Some(Action::Swap(from, _)) if Value::Is(from) == value)
        };
        slots(owed & self.flights.swaps).any(finds)
            || self.fed.iter().any(|from| Value::Is(*from) == value)
            || self.flights.must_change(owed, value)
    }

    /// Values that are of use at once: to what is owed, or to a swap that leads to one that is.
    fn want(&mut self, state: &State) {
        self.wanted.clear();
        self.fed.clear();
        for slot in slots(state.owed) {
            let asked = match self.flights.action(slot) {
                Some(Action::Missed(_)) | None => None,
                Some(action) => action.asks(),
            };
            self.wanted.extend(asked.filter(|value| !self.wanted.contains(value)));
        }
        let may = state.free & !state.owed & self.flights.swaps;
        let may: Vec<Action> = slots(may).filter_map(|slot| self.flights.action(slot)).collect();
        self.fed = self.kinds.lead_to(&mut self.wanted, &may);
    }
}
