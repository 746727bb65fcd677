//! What may have happened to a register so far, and sets of that without what another one makes needless (antichains).

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Value {
    /// Nothing was ever written.
    Unset,
    Is(i64),
    /// What one of the old unknown writes wrote that nobody asks for; one that was invoked no later than this.
    Junk(u32),
}

/// Those in flight, by slot.
pub(super) type Mask = u128;

/// So many can be in flight.
pub(super) const SLOTS: u32 = Mask::BITS;

pub(super) fn bit(slot: u32) -> Mask {
    1 << slot
}

/// The slots of a set, ascending.
pub(super) fn slots(mut mask: Mask) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let slot = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    })
}

/// What was linearized, as far as anything that comes later depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub value: Value,
    /// Those in flight that must still take effect before they return.
    pub owed: Mask,
    /// Those in flight that set a value and may still take effect. A write that is not owed, but free, may have stood
    /// unseen just before another one, or not: that need not be decided before it returns.
    pub free: Mask,
    /// The last effect was of no use to anybody yet: a swap must come next.
    pub fresh: bool,
    /// How many unknown operations of each kind are used up: sorted by kind, counts above 0.
    pub used: Vec<(u32, u32)>,
    /// Old unknown writes that are used up and overwritten, whichever they were: for each, until when it was invoked.
    /// Ascending.
    pub junk: Vec<u32>,
}

impl State {
    pub fn first(value: Value) -> State {
        State { value, owed: 0, free: 0, fresh: false, used: vec![], junk: vec![] }
    }

    /// Whether whatever can follow the other one can follow this one, whether those in flight succeed or fail.
    fn is_as_good_as(&self, other: &State) -> bool {
        self.value == other.value
            && self.owed & !other.owed == 0
            && other.free & !self.free == 0
            && (!self.fresh || other.fresh)
            && self.uses_at_most(other)
    }

    fn uses_at_most(&self, other: &State) -> bool {
        let mut others = other.used.iter();
        let mut junk = self.junk.iter().zip(&other.junk);
        self.used.len() <= other.used.len()
            && self.junk.len() <= other.junk.len()
            && self.used.iter().all(|(kind, n)| others.any(|(k, most)| k == kind && n <= most))
            && junk.all(|(own, other)| own >= other)
    }

    /// Uses up one more of a kind.
    pub fn take(&mut self, kind: u32) {
        match self.used.binary_search_by_key(&kind, |u| u.0) {
            Ok(at) => self.used[at].1 += 1,
            Err(at) => self.used.insert(at, (kind, 1)),
        }
    }

    /// Gives back so many of a kind, if they are used.
    pub fn give_back(&mut self, kind: u32, n: u32) {
        if let Ok(at) = self.used.binary_search_by_key(&kind, |u| u.0) {
            self.used[at].1 = self.used[at].1.saturating_sub(n);
            if self.used[at].1 == 0 {
                self.used.remove(at);
            }
        }
    }

    pub fn used(&self, kind: u32) -> u32 {
        self.used.binary_search_by_key(&kind, |u| u.0).map_or(0, |at| self.used[at].1)
    }

    /// Uses up an old unknown write that was invoked no later than this.
    pub fn waste(&mut self, until: u32) {
        let at = self.junk.partition_point(|other| *other <= until);
        self.junk.insert(at, until);
    }
}

/// Leaves what the others have, too. Both ascend.
pub(super) fn intersect(some: &mut Vec<u32>, others: &[u32]) {
    let mut others = others.iter().peekable();
    some.retain(|one| {
        while others.next_if(|other| *other < one).is_some() {}
        others.next_if(|other| *other == one).is_some()
    });
}

/// Takes away what the others have, each once. Both ascend.
pub(super) fn subtract(some: &mut Vec<u32>, others: &[u32]) {
    let mut others = others.iter().peekable();
    some.retain(|one| others.next_if(|other| *other == one).is_none());
}

/// So many are compared one by one; more, only with those that differ in nothing but what they used up.
const FEW: usize = 48;

/// States of which none is as good as another one, as far as that is soon found out.
#[derive(Debug, Default)]
pub(super) struct Antichain {
    few: Vec<State>,
    many: HashMap<(Value, bool, Mask, Mask), Vec<State>, FixedState>,
    len: usize,
}

impl Antichain {
    pub fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
        self.len = 0;
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a state unless there is one that is as good; whether it was added.
    pub fn add(&mut self, state: State) -> bool {
        let few = self.many.is_empty() && self.few.len() < FEW;
        if !few {
            for other in std::mem::take(&mut self.few) {
                self.many.entry(key(&other)).or_default().push(other);
            }
        }
        let alike = if few { &mut self.few } else { self.many.entry(key(&state)).or_default() };
        if alike.iter().any(|other| other.is_as_good_as(&state)) {
            return false;
        }
        let before = alike.len();
        alike.retain(|other| !state.is_as_good_as(other));
        self.len = self.len + 1 + alike.len() - before;
        alike.push(state);
        true
    }

    pub fn into_states(self) -> Vec<State> {
        let many = self.many.into_values().flatten();
        self.few.into_iter().chain(many).collect()
    }
}

fn key(state: &State) -> (Value, bool, Mask, Mask) {
    (state.value, state.fresh, state.owed, state.free)
}
