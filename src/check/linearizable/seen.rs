//! States of the search, and sets of them without those that another one makes needless (antichains), in bounded
//! memory.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::flights::Flights;
use super::prepared::{Action, Value};
use crate::check::mask::{Mask, slots};

/// How many unknown operations of each class are used up: sorted by class, counts above 0.
pub(super) type Used = Vec<(u32, u32)>;

/// What was linearized, as far as anything that comes later depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State<M> {
    pub value: Value,
    /// Those in flight that must still take effect before they return.
    pub owed: M,
    /// Those in flight that set a value and may still take effect. A write that is not owed, but free, may have stood
    /// unseen just before another one, or not: that need not be decided before it returns.
    pub free: M,
    pub used: Used,
    pub fresh: Fresh,
}

/// What the last operation was, where it was of no use to anybody yet: a swap must come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fresh {
    No,
    /// One that was in flight.
    InFlight,
    /// An unknown one.
    Unknown(Action),
}

impl<M: Mask> State<M> {
    /// Whether whatever can follow the other one can follow this one.
    pub fn is_as_good_as(&self, other: &Self, flights: &Flights<M>) -> bool {
        let same = self.value == other.value && other.free.within(&self.free);
        if !self.owed.within(&other.owed) || (self.fresh != Fresh::No && self.fresh != other.fresh)
        {
            return false;
        }
        if same && at_most(&self.used, &other.used) {
            return true;
        }
        !other.used.is_empty() && other.fresh == Fresh::No && self.makes_up_for(other, flights)
    }

    /// Whether it can do with unknown operations that the other one used up all that the other one can do.
    fn makes_up_for(&self, other: &Self, flights: &Flights<M>) -> bool {
        let all = |used: &Used| used.iter().map(|(_, n)| *n as usize).sum::<usize>();
        let Some(spare) = all(&other.used).checked_sub(all(&self.used)) else { return false };
        if spare < usize::from(self.value != other.value) {
            return false;
        }
        let mut missing = vec![];
        if self.value != other.value {
            missing.push(Action::Swap(self.value, other.value));
        }
        let mut free = other.free.clone();
        free.remove(&self.free);
        missing.extend(slots(&free).map(|slot| flights.action(slot)));
        if missing.len() > spare {
            return false;
        }
        let mut surplus: Vec<(Action, u32)> = vec![];
        let classes = &flights.of.classes;
        let (mut a, mut b) = (self.used.iter().peekable(), other.used.iter().peekable());
        loop {
            let class = match (a.peek(), b.peek()) {
                (Some(a), Some(b)) => a.0.min(b.0),
                (Some(one), None) | (None, Some(one)) => one.0,
                (None, None) => break,
            };
            let of = |used: Option<&(u32, u32)>| used.map_or(0, |(_, n)| *n);
            let own = of(a.next_if(|(c, _)| *c == class));
            let others = of(b.next_if(|(c, _)| *c == class));
            let action = classes[class as usize];
            missing.extend((others..own).map(|_| action));
            if others > own {
                surplus.push((action, others - own));
            }
        }
        missing.into_iter().all(|action| replace(action, &mut surplus))
    }

    /// What it takes, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.owed.bytes() + self.free.bytes() + self.used.len() * 8
    }
}

/// Takes out of the surplus what does the same as this operation wherever it can take effect.
fn replace(action: Action, surplus: &mut [(Action, u32)]) -> bool {
    let find = |surplus: &[(Action, u32)], action| {
        surplus.iter().position(|(other, n)| *other == action && *n > 0)
    };
    let (Action::Write(to) | Action::Swap(_, to)) = action else { return false };
    let one = find(surplus, action).or_else(|| find(surplus, Action::Write(to)));
    if let Some(at) = one {
        surplus[at].1 -= 1;
        return true;
    }
    let from = match action {
        Action::Swap(from, _) => Some(from),
        _ => None,
    };
    leads_to(to, from, surplus, LONGEST)
}

/// No longer rows of unknown operations are looked for that do the same as one.
const LONGEST: u32 = 4;

/// Takes out swaps that end at a value, after a write or from the value given.
fn leads_to(to: Value, from: Option<Value>, surplus: &mut [(Action, u32)], longest: u32) -> bool {
    if longest == 0 {
        return false;
    }
    for at in 0..surplus.len() {
        let (Action::Swap(between, end), 1..) = surplus[at] else { continue };
        if end != to {
            continue;
        }
        surplus[at].1 -= 1;
        if from == Some(between) {
            return true;
        }
        let write = surplus.iter().position(|s| s.0 == Action::Write(between) && s.1 > 0);
        if let Some(write) = write {
            surplus[write].1 -= 1;
            return true;
        }
        if leads_to(between, from, surplus, longest - 1) {
            return true;
        }
        surplus[at].1 += 1;
    }
    false
}

/// Whether nowhere more of `a` is used up than of `b`.
pub(super) fn at_most(a: &Used, b: &Used) -> bool {
    let mut b = b.iter();
    a.len() <= b.len()
        && a.iter().all(|(class, n)| b.any(|(other, most)| other == class && n <= most))
}

/// Uses up one more of a class.
pub(super) fn take(used: &mut Used, class: u32, n: u32) {
    match used.binary_search_by_key(&class, |u| u.0) {
        Ok(at) => used[at].1 += n,
        Err(at) => used.insert(at, (class, n)),
    }
}

pub(super) fn count(used: &Used, class: u32) -> u32 {
    used.binary_search_by_key(&class, |u| u.0).map_or(0, |at| used[at].1)
}

/// So many are compared one by one; more, only with those that differ in nothing but what they used up.
const FEW: usize = 48;

type Alike<M> = HashMap<(Value, Fresh, M, M), Vec<Used>, RandomState>;

/// States of which none is as good as another one, as far as that is soon found out.
#[derive(Debug)]
pub(super) struct Antichain<M> {
    few: Vec<State<M>>,
    many: Alike<M>,
    /// How many states others were compared with.
    pub compared: u64,
}

impl<M: Mask> Antichain<M> {
    pub fn new() -> Antichain<M> {
        Antichain { few: vec![], many: HashMap::default(), compared: 0 }
    }

    pub fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    /// Adds a state unless there is one that is as good; whether it was added.
    pub fn add(&mut self, state: &State<M>, flights: &Flights<M>) -> bool {
        if self.many.is_empty() && self.few.len() < FEW {
            self.compared += self.few.len() as u64;
            if self.few.iter().any(|other| other.is_as_good_as(state, flights)) {
                return false;
            }
            self.few.retain(|other| !state.is_as_good_as(other, flights));
            self.few.push(state.clone());
            return true;
        }
        for State { value, owed, free, used, fresh } in self.few.drain(..) {
            self.many.entry((value, fresh, owed, free)).or_default().push(used);
        }
        let key = (state.value, state.fresh, state.owed.clone(), state.free.clone());
        let alike = self.many.entry(key).or_default();
        self.compared += 4 + alike.len() as u64;
        if alike.iter().any(|used| at_most(used, &state.used)) {
            return false;
        }
        alike.retain(|used| !at_most(&state.used, used));
        alike.push(state.used.clone());
        true
    }

    /// Takes all of them out.
    pub fn drain(&mut self, into: &mut Vec<State<M>>) {
        into.append(&mut self.few);
        for ((value, fresh, owed, free), alike) in self.many.drain() {
            into.extend(alike.into_iter().map(|used| {
                let (owed, free) = (owed.clone(), free.clone());
                State { value, owed, free, used, fresh }
            }));
        }
    }
}
