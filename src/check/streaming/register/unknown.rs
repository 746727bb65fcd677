//! What is unknown of a register, put in order from time to time: so that states differ only in what can matter yet.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::{Register, Start};
use crate::check::streaming::flights::Action;
use crate::check::streaming::kinds::Kinds;
use crate::check::streaming::state::{Antichain, State, Value, intersect, subtract};

impl Register {
    fn starts(&self) -> impl Iterator<Item = &Start> {
        self.window.iter().filter_map(|segment| segment.start.as_ref())
    }

    fn states(&self) -> impl Iterator<Item = &State> {
        self.starts().flat_map(|start| &start.states)
    }

    /// Changes all states that are kept.
    fn change(&mut self, mut change: impl FnMut(&Kinds, State, &mut Antichain)) {
        for at in 0..self.window.len() {
            let Some(mut start) = self.keep(at, None) else { continue };
            let mut changed = Antichain::default();
            for state in start.states {
                change(&self.kinds, state, &mut changed);
            }
            start.states = changed.into_states();
            self.keep(at, Some(start));
        }
    }

    /// All operations of which anything that is kept knows.
    fn actions(&self) -> impl Iterator<Item = Action> {
        let calls = self.window.iter().flat_map(|segment| &segment.calls);
        let before = self.starts().flat_map(|start| start.flights.actions());
        calls.filter_map(|called| called.action).chain(before)
    }

    pub(super) fn tidy(&mut self) {
        self.kinds.settle(self.first);
        if !self.kinds.is_empty() {
            self.use_up();
            if self.limits.once {
                self.forget_swaps();
            }
            self.age();
        }
        self.forget_missed();
        self.spend();
    }

    /// What is used up in every state is there no more.
    fn use_up(&mut self) {
        let Some(one) = self.states().next() else { return };
        let used = one.used.clone();
        for (kind, n) in used {
            let least = self.states().map(|state| state.used(kind)).min().unwrap_or(0).min(n);
            let gone = self.kinds.use_up(kind, least);
            if gone > 0 {
                self.change(|_, mut state, into| {
                    state.give_back(kind, gone);
                    into.add(state);
                });
            }
        }
    }

    /// An unknown swap of a value that nobody can set any more is none. Values mostly rise: one that is higher than any
    /// that was set may still come.
    fn forget_swaps(&mut self) {
        let swaps: Vec<(u32, i64)> = self.kinds.swaps().collect();
        if swaps.is_empty() {
            return;
        }
        let standing = self.states().filter_map(|state| match state.value {
            Value::Is(value) => Some(value),
            _ => None,
        });
        let set = self.actions().filter_map(Action::sets);
        let alive: HashSet<i64, FixedState> =
            standing.chain(set).chain(self.kinds.targets()).collect();
        for (kind, from) in swaps {
            if from > self.highest || alive.contains(&from) || self.kinds.is_old(from) {
                continue;
            }
            self.forgotten.insert(from);
            self.kinds.remove(kind);
            self.change(|_, mut state, into| {
                state.give_back(kind, u32::MAX);
                into.add(state);
            });
        }
    }

    /// Values of which no unknown write can be any more.
    fn forget_missed(&mut self) {
        if !self.missed.is_empty() {
            let set: HashSet<i64, FixedState> = self.actions().filter_map(Action::sets).collect();
            let missed = std::mem::take(&mut self.missed);
            let may = |value: &i64| set.contains(value) || !self.kinds.setting(*value).is_empty();
            self.missed = missed.into_iter().filter(may).collect();
        }
    }

    /// Unknown writes that nobody asks for, and nobody missed, are told apart no more.
    fn age(&mut self) {
        let single = self.kinds.single_writes();
        if single.is_empty() {
            return;
        }
        let mut asked: Vec<i64> = self.actions().filter_map(Action::asks).collect();
        asked.sort_unstable();
        asked.dedup();
        self.kinds.lead_to(&mut asked, &[]);
        for (invoked, kind, value) in single {
            let stands = self.states().any(|state| state.value == Value::Is(value));
            let missed = self.missed.contains(&value);
            if stands || missed || asked.contains(&value) || self.kinds.is_old(value) {
                continue;
            }
            self.kinds.age(kind);
            self.change(|_, mut state, into| {
                if state.used(kind) > 0 {
                    state.give_back(kind, 1);
                    state.waste(invoked);
                }
                into.add(state);
            });
        }
    }

    /// What every state used up of the old unknown writes is kept once.
    fn spend(&mut self) {
        let mut states = self.states();
        let mut common = states.next().map_or(vec![], |state| state.junk.clone());
        for state in states {
            intersect(&mut common, &state.junk);
        }
        if !common.is_empty() {
            self.change(|_, mut state, into| {
                subtract(&mut state.junk, &common);
                into.add(state);
            });
            self.kinds.spend(common);
        }
    }

    /// Somebody asks for a value: old unknown writes of it, or of what unknown swaps lead to it from, are told apart
    /// again. One may be among those that are used up, or not.
    pub(super) fn recall(&mut self, value: i64) {
        let mut wanted = vec![value];
        self.kinds.lead_to(&mut wanted, &[]);
        for value in wanted {
            let Some((kind, invoked)) = self.kinds.recall(value) else { continue };
            if let Some(until) = self.kinds.unspend(invoked) {
                self.change(|_, mut state, into| {
                    state.waste(until);
                    into.add(state);
                });
            }
            let mut tally = std::mem::take(&mut self.tally);
            self.change(|kinds, state, into| {
                let early = state.junk.partition_point(|until| *until < invoked);
                if early < state.junk.len() {
                    let mut used = state.clone();
                    used.junk.remove(early);
                    used.take(kind);
                    if tally.allows(kinds, &used) {
                        into.add(used);
                    }
                }
                if let Value::Junk(until) = state.value
                    && until >= invoked
                {
                    let mut stands = State { value: Value::Is(value), ..state.clone() };
                    stands.take(kind);
                    if tally.allows(kinds, &stands) {
                        into.add(stands);
                    }
                }
                if tally.allows(kinds, &state) {
                    into.add(state);
                }
            });
            self.tally = tally;
        }
    }
}
