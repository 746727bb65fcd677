//! One register while it is in use: which states are possible now, and how that came about since the oldest operation
//! in flight was called.
//!
//! What an operation did is known when it returns, and tells of a time before that. So the states before each call in
//! flight are kept, with what was called and what returned since; when a read returns, the search goes back to its call
//! and comes again, knowing what it found. A write in flight may have taken effect or not. An operation that has
//! returned leaves nothing behind once none is in flight that was called before its return.
//!
//! Cost of a return: the states at a time, times the returns since its call. With values that are set once each there
//! are a handful of states.

mod unknown;

use std::collections::{HashSet, VecDeque};

use foldhash::fast::FixedState;

use super::flights::{Action, Flights};
use super::kinds::Kinds;
use super::space::{Exhausted, Space, Tally};
use super::state::{Antichain, Mask, SLOTS, State, Value, bit};

/// What is asked of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Read,
    Write(i64),
    Cas(i64, i64),
}

/// What is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It took effect.
    Done,
    /// The read found this; or nothing that tells anything.
    Found(Option<Value>),
    /// The compare-and-set found another value.
    Missed,
    Failed,
    Unknown,
}

/// Why a register is judged no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// No order suits.
    Broken,
    /// It is not known whether one does.
    GaveUp(&'static str),
}

/// An operation in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    asked: Asked,
    /// Where it was called: the segment, and the place among its calls.
    segment: u64,
    call: usize,
    slot: u32,
    /// Its place among all operations, in the order of invocation.
    invoked: u32,
}

/// What is between two returns.
#[derive(Debug, Default)]
struct Segment {
    /// What is possible at its beginning; kept for those that were called here and are in flight.
    start: Option<Start>,
    waiting: u32,
    calls: Vec<Called>,
    /// The return at its end.
    end: Option<End>,
}

/// A call, and what is known of what it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Called {
    slot: u32,
    /// `None`: nothing that matters.
    action: Option<Action>,
    /// It takes effect before it returns. A compare-and-set in flight may, or may miss: when it returns and did, it is
    /// looked at again from its call on.
    owed: bool,
}

#[derive(Debug, Clone)]
struct Start {
    states: Vec<State>,
    flights: Flights,
}

#[derive(Debug, Clone, Copy)]
struct End {
    slot: u32,
    /// If the outcome is unknown.
    unknown: Option<u32>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Register {
    window: VecDeque<Segment>,
    /// How many segments were before the window.
    first: u64,
    kinds: Kinds,
    taken: Mask,
    invoked: u32,
    returns: u32,
    /// The highest value that was ever to be set.
    highest: i64,
    /// Values that a compare-and-set missed which may have been set by then. What stood instead was none of these.
    missed: HashSet<i64, FixedState>,
    /// Values that were of no use to anybody any more.
    forgotten: HashSet<i64, FixedState>,
    limits: Limits,
    tally: Tally,
    /// How many states and segments are kept.
    kept: usize,
}

/// What a register may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// States that are kept.
    pub states: usize,
    /// States that are visited for one return.
    pub steps: u64,
    /// Each value is set once: what no state can come back to is forgotten.
    pub once: bool,
    /// So many old unknown writes are to spare where others are not tried.
    pub spare: usize,
    /// What is unknown is put in order after so many returns, and whenever there is more of it.
    pub tidy: u32,
}

impl Register {
    pub fn new(first: Value, limits: Limits) -> Register {
        let start = Start { states: vec![State::first(first)], flights: Flights::default() };
        let segment = Segment { start: Some(start), ..Segment::default() };
        Register {
            window: VecDeque::from([segment]),
            first: 0,
            kinds: Kinds::default(),
            taken: 0,
            invoked: 0,
            returns: 0,
            highest: i64::MIN,
            missed: HashSet::default(),
            forgotten: HashSet::default(),
            tally: Tally { steps: 0, skipped: u32::MAX, doubtful: false, spare: limits.spare },
            limits,
            kept: 2,
        }
    }

    /// How many states and segments are kept.
    pub fn kept(&self) -> usize {
        self.kept
    }

    pub fn call(&mut self, asked: Asked) -> Result<Flight, Halt> {
        let slot = (!self.taken).trailing_zeros();
        if slot >= SLOTS {
            return Err(Halt::GaveUp("more than 128 operations are in flight"));
        }
        let action = match asked {
            Asked::Read => None,
            Asked::Write(value) => Some(Action::Write(value)),
            Asked::Cas(from, to) => (from != to).then_some(Action::Swap(from, to)),
        };
        if let Some(value) = action.and_then(Action::sets) {
            if self.forgotten.contains(&value) {
                return Err(Halt::GaveUp("a value is set again"));
            }
            self.highest = self.highest.max(value);
        }
        if let Some(value) = action.and_then(Action::asks) {
            self.recall(value);
        }
        self.taken |= bit(slot);
        self.invoked += 1;
        let (last, invoked) = (self.last(), self.invoked);
        let segment = &mut self.window[last];
        segment.waiting += 1;
        let owed = matches!(asked, Asked::Write(_));
        segment.calls.push(Called { slot, action, owed });
        let call = segment.calls.len() - 1;
        Ok(Flight { asked, segment: self.first + last as u64, call, slot, invoked })
    }

    pub fn told(&mut self, flight: Flight, told: Told) -> Result<(), Halt> {
        let segment = (flight.segment - self.first) as usize;
        let before = self.window[segment].calls[flight.call];
        let (action, ends) = settled(flight.asked, told);
        let owed = before.owed || (ends && told != Told::Unknown);
        let known = Called { action, owed, ..before };
        let last = self.last();
        if ends {
            let unknown = match (told, action) {
                (Told::Unknown, Some(action)) => {
                    action.sets().into_iter().for_each(|value| self.recall(value));
                    let since = self.first + last as u64;
                    Some(self.kinds.add(action, flight.invoked, since))
                }
                _ => None,
            };
            self.window[last].end = Some(End { slot: flight.slot, unknown });
            self.window.push_back(Segment::default());
            self.kept += 1;
        }
        if known != before {
            self.window[segment].calls[flight.call] = known;
            action.and_then(Action::asks).into_iter().for_each(|value| self.recall(value));
            if let Some(Action::Missed(value)) = action {
                self.missed.insert(value);
            }
            self.run(segment)?;
        } else if ends {
            self.run(last)?;
        }
        self.taken &= !bit(flight.slot);
        self.window[segment].waiting -= 1;
        self.forget(segment);
        self.returns += 1;
        if told == Told::Unknown || self.returns.is_multiple_of(self.limits.tidy) {
            self.tidy();
        }
        Ok(())
    }

    fn last(&self) -> usize {
        self.window.len() - 1
    }

    /// Follows what happened from a segment on, of which it is known what is possible at its beginning.
    fn run(&mut self, from: usize) -> Result<(), Halt> {
        self.tally.steps = self.limits.steps;
        let Some(mut start) = self.keep(from, None) else { return Ok(()) };
        for at in from..self.last() {
            let next = self.advance(at, &start)?;
            if self.window[at].waiting > 0 {
                self.keep(at, Some(start));
            }
            start = next;
            if self.kept + start.states.len() > self.limits.states {
                return Err(Halt::GaveUp("too much is possible at a time"));
            }
        }
        self.keep(self.last(), Some(start));
        Ok(())
    }

    /// Keeps what is possible at the beginning of a segment; what was kept before.
    fn keep(&mut self, at: usize, start: Option<Start>) -> Option<Start> {
        self.kept += start.as_ref().map_or(0, |start| start.states.len());
        let before = std::mem::replace(&mut self.window[at].start, start);
        self.kept -= before.as_ref().map_or(0, |start| start.states.len());
        before
    }

    /// What is possible at the end of a segment.
    fn advance(&mut self, at: usize, start: &Start) -> Result<Start, Halt> {
        let tally = &mut self.tally;
        let segment = &self.window[at];
        let mut flights = start.flights.clone();
        let (mut owed, mut free, mut observers) = (0, 0, 0);
        for Called { slot, action, owed: owing } in &segment.calls {
            let Some(action) = action else { continue };
            flights.enter(*slot, *action);
            match action.sets() {
                Some(_) if *owing => (owed, free) = (owed | bit(*slot), free | bit(*slot)),
                Some(_) => free |= bit(*slot),
                None => observers |= bit(*slot),
            }
        }
        let Some(End { slot, unknown }) = segment.end else { return Ok(start.clone()) };
        let mut space = Space::new(&self.kinds, &flights, self.first + at as u64, slot);
        let mut after = Antichain::default();
        for state in &start.states {
            let mut state = state.clone();
            state.owed |= owed | flights.suit(observers, state.value);
            state.free |= free;
            if let Some(kind) = unknown {
                if state.free & bit(slot) == 0 {
                    state.take(kind);
                }
                state.owed &= !bit(slot);
                state.free &= !bit(slot);
                after.add(state);
            } else if let Err(Exhausted) = space.follow(state, tally, &mut after) {
                return Err(Halt::GaveUp("too many orders are possible"));
            }
            if after.len() > self.limits.states {
                return Err(Halt::GaveUp("too much is possible at a time"));
            }
        }
        if tally.doubtful {
            return Err(Halt::GaveUp("too many outcomes are unknown"));
        }
        flights.leave(slot);
        let states = after.into_states();
        if states.is_empty() { Err(Halt::Broken) } else { Ok(Start { states, flights }) }
    }

    /// Forgets what nobody in flight needs.
    fn forget(&mut self, at: usize) {
        if self.window[at].waiting == 0 && at < self.last() {
            self.keep(at, None);
        }
        while self.window.len() > 1 && self.window[0].waiting == 0 {
            self.keep(0, None);
            self.window.pop_front();
            self.first += 1;
            self.kept -= 1;
        }
    }
}

/// What an operation did, as is known now, and whether its return counts.
fn settled(asked: Asked, told: Told) -> (Option<Action>, bool) {
    let action = match (asked, told) {
        (_, Told::Failed) => return (None, false),
        (Asked::Read, Told::Found(Some(value))) => Action::Read(value),
        (Asked::Read, _) => return (None, false),
        (Asked::Write(value), _) => Action::Write(value),
        (Asked::Cas(from, _), Told::Missed) => Action::Missed(from),
        (Asked::Cas(from, to), Told::Unknown) if from == to => return (None, false),
        (Asked::Cas(from, to), _) if from == to => Action::Read(Value::Is(from)),
        (Asked::Cas(from, to), _) => Action::Swap(from, to),
    };
    (Some(action), true)
}
