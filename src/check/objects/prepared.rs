//! The operations of one object as the search wants them: events in the order of time, operations in flight in slots
//! that are used again, unknown operations in classes. Memory: O(n + the sum of what is in flight at each return), the
//! latter bounded.

use std::collections::HashMap;

use super::{Object, Op, events};

/// No more than so many operations in flight are noted, over all returns.
const FLIGHTS_MAX: usize = 1 << 25;

/// An operation that was invoked and has not returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub slot: u32,
    pub op: u32,
    pub observes: bool,
    /// What it does, by number.
    pub kind: u32,
    /// Among those in flight at a return: the place of the one before it that does the same; or [`NONE`].
    pub same: u32,
}

/// No place.
pub(super) const NONE: u32 = u32::MAX;

/// A call or a return of an operation whose outcome is known.
#[derive(Debug)]
pub(super) enum Event {
    Call(InFlight),
    /// The slot, its operation, and where in `flights` the operations in flight stand; the returning one is the first.
    Return {
        slot: u32,
        op: u32,
        from: u32,
        to: u32,
    },
}

/// Interchangeable unknown operations.
#[derive(Debug)]
pub(super) struct Class {
    /// One of them.
    pub op: u32,
    /// What they do, by number.
    pub kind: u32,
    /// The events before which they were invoked, ascending.
    pub since: Vec<u32>,
}

/// All of them, prepared.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub events: Vec<Event>,
    pub flights: Vec<InFlight>,
    /// In the order in which the first of each was invoked.
    pub classes: Vec<Class>,
}

impl Prepared {
    /// `Err`: from this operation on there is too much in flight.
    pub fn of<O: Object>(object: &O, ops: &[Op<O::Call>]) -> Result<Prepared, usize> {
        let mut prepared = Prepared::default();
        let mut kinds: HashMap<&O::Call, u32> = HashMap::new();
        let mut classes: HashMap<u32, usize> = HashMap::new();
        let mut last: HashMap<u32, u32> = HashMap::new();
        let mut slots: Vec<Option<InFlight>> = vec![];
        let mut free: Vec<u32> = vec![];
        let mut slot_of = vec![0_u32; ops.len()];
        for (at, returns) in events(ops) {
            let (op, now) = (&ops[at], prepared.events.len() as u32);
            if returns {
                let slot = slot_of[at];
                let from = prepared.flights.len() as u32;
                prepared.flights.extend(slots.get_mut(slot as usize).and_then(Option::take));
                let others = prepared.flights.len();
                prepared.flights.extend(slots.iter().flatten());
                // Who returns sooner is tried sooner: mostly that is who took effect sooner.
                prepared.flights[others..]
                    .sort_unstable_by_key(|f| (ops[f.op as usize].returned, f.op));
                last.clear();
                for (place, flight) in prepared.flights[from as usize..].iter_mut().enumerate() {
                    flight.same = last.insert(flight.kind, place as u32).unwrap_or(NONE);
                }
                let to = prepared.flights.len();
                if to > FLIGHTS_MAX {
                    return Err(at);
                }
                free.push(slot);
                prepared.events.push(Event::Return { slot, op: at as u32, from, to: to as u32 });
                continue;
            }
            let observes = object.observes(&op.call);
            let next = kinds.len() as u32;
            let kind = *kinds.entry(&op.call).or_insert(next);
            if op.returned.is_none() {
                // Nobody knows what it saw.
                if !observes {
                    let next = prepared.classes.len();
                    let class = *classes.entry(kind).or_insert(next);
                    if class == next {
                        let op = at as u32;
                        prepared.classes.push(Class { op, kind, since: vec![] });
                    }
                    prepared.classes[class].since.push(now);
                }
                continue;
            }
            let slot = free.pop().unwrap_or(slots.len() as u32);
            let flight = InFlight { slot, op: at as u32, observes, kind, same: NONE };
            match slots.get_mut(slot as usize) {
                Some(slot) => *slot = Some(flight),
                None => slots.push(Some(flight)),
            }
            slot_of[at] = slot;
            prepared.events.push(Event::Call(flight));
        }
        Ok(prepared)
    }
}
