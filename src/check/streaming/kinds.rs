//! Unknown operations of a register, outside of the states: those of a kind are counted, and of old writes that nobody
//! asks for, and nobody missed, only the value is kept and when they were invoked: about 40 bytes for each.
//!
//! Such old writes are interchangeable but for when they were invoked: one that is used up (it stood where a
//! compare-and-set missed something else) need not be named before somebody asks for its value. Whether there are
//! enough of them is Hall's marriage theorem for nested sets.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::flights::Action;
use super::state::{State, Value};

/// Unknown operations that do the same.
#[derive(Debug)]
struct Kind {
    action: Action,
    /// The place of the first of them among those that set something, in the order of invocation.
    invoked: u32,
    /// How many there are since before the window.
    settled: u32,
    /// Since which segment of the window there is one more.
    recent: Vec<u64>,
}

/// All that are unknown.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    kinds: BTreeMap<u32, Kind>,
    next: u32,
    setting: HashMap<i64, Vec<u32>, FixedState>,
    /// Old writes, one of a value: when each was invoked.
    old: HashMap<i64, u32, FixedState>,
    /// The same, ascending.
    invoked: Vec<u32>,
    /// Until when those were invoked that every state used up. Ascending.
    spent: Vec<u32>,
}

impl Kinds {
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub fn all(&self) -> impl Iterator<Item = u32> {
        self.kinds.keys().copied()
    }

    pub fn action(&self, kind: u32) -> Option<Action> {
        self.kinds.get(&kind).map(|kind| kind.action)
    }

    /// Those that set this value.
    pub fn setting(&self, value: i64) -> &[u32] {
        self.setting.get(&value).map_or(&[], |kinds| kinds)
    }

    /// How many of a kind there were before this segment.
    pub fn count(&self, kind: u32, before: u64) -> u32 {
        self.kinds.get(&kind).map_or(0, |kind| {
            let recent = kind.recent.iter().filter(|since| **since < before);
            kind.settled + recent.count() as u32
        })
    }

    /// One more is unknown, since this segment.
    pub fn add(&mut self, action: Action, invoked: u32, since: u64) -> u32 {
        let same = action.sets().map_or(&[][..], |value| self.setting(value));
        let same = same.iter().copied().find(|kind| self.action(*kind) == Some(action));
        let kind = same.unwrap_or_else(|| self.insert(action, invoked, 0));
        if let Some(kind) = self.kinds.get_mut(&kind) {
            kind.recent.push(since);
        }
        kind
    }

    fn insert(&mut self, action: Action, invoked: u32, settled: u32) -> u32 {
        let kind = self.next;
        self.next += 1;
        self.kinds.insert(kind, Kind { action, invoked, settled, recent: vec![] });
        if let Some(value) = action.sets() {
            self.setting.entry(value).or_default().push(kind);
        }
        kind
    }

    /// Forgets a kind.
    pub fn remove(&mut self, kind: u32) {
        let Some(value) = self.kinds.remove(&kind).and_then(|kind| kind.action.sets()) else {
            return;
        };
        if let Some(kinds) = self.setting.get_mut(&value) {
            kinds.retain(|other| *other != kind);
            if kinds.is_empty() {
                self.setting.remove(&value);
            }
        }
    }

    /// Nothing before this segment is looked at any more.
    pub fn settle(&mut self, first: u64) {
        for kind in self.kinds.values_mut().filter(|kind| !kind.recent.is_empty()) {
            let before = kind.recent.len();
            kind.recent.retain(|since| *since >= first);
            kind.settled += (before - kind.recent.len()) as u32;
        }
    }

    /// So many of a kind are used up whatever happened, and are forgotten. How many of them that can be said of.
    pub fn use_up(&mut self, kind: u32, most: u32) -> u32 {
        let Some(found) = self.kinds.get_mut(&kind) else { return 0 };
        let n = most.min(found.settled);
        found.settled -= n;
        if found.settled == 0 && found.recent.is_empty() {
            self.remove(kind);
        }
        n
    }

    /// Unknown swaps since before the window: the kind, and what each has to find.
    pub fn swaps(&self) -> impl Iterator<Item = (u32, i64)> {
        self.kinds.iter().filter_map(|(at, kind)| match kind.action {
            Action::Swap(from, _) if kind.recent.is_empty() => Some((*at, from)),
            _ => None,
        })
    }

    /// All that unknown operations can set.
    pub fn targets(&self) -> impl Iterator<Item = i64> {
        self.setting.keys().copied()
    }

    /// Adds to the wanted values what swaps have to find that lead to one of them, unknown swaps or these; returns what
    /// was found so.
    pub fn lead_to(&self, wanted: &mut Vec<i64>, swaps: &[Action]) -> Vec<i64> {
        let (mut fed, mut at) = (vec![], 0);
        while let Some(value) = wanted.get(at).copied() {
            at += 1;
            let unknown = self.setting(value).iter().filter_map(|kind| self.action(*kind));
            for action in unknown.chain(swaps.iter().copied()) {
                let Action::Swap(from, to) = action else { continue };
                if to == value && !fed.contains(&from) {
                    fed.push(from);
                    if !wanted.contains(&from) {
                        wanted.push(from);
                    }
                }
            }
        }
        fed
    }

    /// Single unknown writes since before the window: when invoked, the kind, the value.
    pub fn single_writes(&self) -> Vec<(u32, u32, i64)> {
        let single = self.kinds.iter().filter_map(|(at, kind)| match kind.action {
            Action::Write(value) if kind.settled == 1 && kind.recent.is_empty() => {
                Some((kind.invoked, *at, value))
            }
            _ => None,
        });
        single.collect()
    }

    /// The latest of the old writes.
    pub fn newest_old(&self) -> Option<u32> {
        self.invoked.last().copied()
    }

    pub fn is_old(&self, value: i64) -> bool {
        self.old.contains_key(&value)
    }

    /// Makes a single write an old one.
    pub fn age(&mut self, kind: u32) {
        let Some(Kind { action: Action::Write(value), invoked, .. }) = self.kinds.get(&kind) else {
            return;
        };
        let (value, invoked) = (*value, *invoked);
        self.remove(kind);
        self.old.insert(value, invoked);
        let at = self.invoked.partition_point(|other| *other < invoked);
        self.invoked.insert(at, invoked);
    }

    /// Makes an old write a kind of its own again: the kind, and when it was invoked.
    pub fn recall(&mut self, value: i64) -> Option<(u32, u32)> {
        let invoked = self.old.remove(&value)?;
        if let Ok(at) = self.invoked.binary_search(&invoked) {
            self.invoked.remove(at);
        }
        Some((self.insert(Action::Write(value), invoked, 1), invoked))
    }

    /// Every state used up these, too.
    pub fn spend(&mut self, mut more: Vec<u32>) {
        self.spent.append(&mut more);
        self.spent.sort_unstable();
    }

    /// One that every state used up is said of every state again: the first that may have been invoked so late.
    pub fn unspend(&mut self, invoked: u32) -> Option<u32> {
        let at = self.spent.partition_point(|until| *until < invoked);
        (at < self.spent.len()).then(|| self.spent.remove(at))
    }

    /// Whether it is one write since before the window.
    pub fn is_single(&self, kind: u32) -> bool {
        self.kinds.get(&kind).is_some_and(|kind| {
            matches!(kind.action, Action::Write(_)) && kind.settled == 1 && kind.recent.is_empty()
        })
    }

    /// How many old writes the state did not use up.
    pub fn spare(&self, state: &State) -> usize {
        self.invoked.len().saturating_sub(self.spent.len() + state.junk.len())
    }

    /// Whether there are as many old writes as the state used up, each invoked early enough (Hall's condition): if not,
    /// up to where there are too few.
    pub fn lacks(&self, state: &State) -> Option<u32> {
        let standing = match state.value {
            Value::Junk(until) => Some(until),
            _ => None,
        };
        let up_to = |some: &[u32], until: u32| some.partition_point(|one| *one <= until);
        let too_few = |until: &u32| {
            let standing = usize::from(standing.is_some_and(|standing| standing <= *until));
            let used = up_to(&self.spent, *until) + up_to(&state.junk, *until) + standing;
            used > up_to(&self.invoked, *until)
        };
        let all = self.spent.iter().chain(&state.junk).chain(&standing).copied();
        all.filter(too_few).min()
    }
}
