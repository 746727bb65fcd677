//! The states that a search has seen, in bounded memory.
//!
//! Forgetting costs time, never truth: a state that is met again after it was forgotten is searched again, and
//! the search's own budget bounds that. It goes depth first, so it comes back mostly to what it saw lately: two
//! generations are kept, and when the young one is full, the old one goes.

use std::collections::HashMap;

use super::prepared::Value;
use super::search::{State, Used};

/// How many bytes a generation may take, about.
const GENERATION: usize = 16 << 20;

/// What a state takes besides what it used up: its place in the map, and an allocation's overhead.
const STATE: usize = 160;

type States = HashMap<(u32, u128, Value, bool), Vec<Used>>;

/// See the module.
#[derive(Default)]
pub(super) struct Seen {
    young: States,
    old: States,
    /// What the young ones take.
    bytes: usize,
}

impl Seen {
    /// Whether a state like this one, that had used up no more, was seen before. Remembers it if not.
    pub fn before_or_now(&mut self, state: &State) -> bool {
        let key = (state.event, state.done, state.value, state.fresh);
        let leads_nowhere_new =
            |seen: &Vec<Used>| seen.iter().any(|used| at_most(used, &state.used));
        if [&self.young, &self.old].iter().any(|s| s.get(&key).is_some_and(leads_nowhere_new)) {
            return true;
        }
        self.bytes += bytes(state);
        if self.bytes > GENERATION {
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

/// What a state takes, about.
pub(super) fn bytes(state: &State) -> usize {
    STATE + size_of_val(state.used.as_slice())
}

/// Whether nowhere more of `a` is used up than of `b`.
pub(super) fn at_most(a: &Used, b: &Used) -> bool {
    let mut b = b.iter().peekable();
    a.iter().all(|(class, count)| {
        while b.next_if(|(other, _)| other < class).is_some() {}
        b.peek().is_some_and(|(other, n)| other == class && count <= n)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(event: u32) -> State {
        State { event, done: 0, value: 0, used: vec![(0, 1); 100], fresh: false }
    }

    #[test]
    fn what_was_seen_lately_is_known_and_there_is_never_more_than_two_generations() {
        let fit = GENERATION / (STATE + 800);
        let mut seen = Seen::default();
        for event in 0..5 * fit as u32 {
            assert!(!seen.before_or_now(&state(event)));
            assert!(seen.young.len() + seen.old.len() <= 2 * fit + 2);
        }
        let last = 5 * fit as u32 - 1;
        assert!(seen.before_or_now(&state(last)));
        assert!(seen.before_or_now(&state(last - fit as u32 / 2)), "half a generation ago");
        assert!(!seen.before_or_now(&state(0)), "forgotten");
    }

    #[test]
    fn who_has_used_up_more_is_no_better_off_and_who_has_used_up_less_is() {
        let with = |used: &[(u32, u32)]| State { used: used.to_vec(), ..state(1) };
        let mut seen = Seen::default();
        assert!(!seen.before_or_now(&with(&[(1, 1)])));
        assert!(seen.before_or_now(&with(&[(1, 2), (3, 1)])));
        assert!(!seen.before_or_now(&with(&[])));
        assert!(seen.before_or_now(&with(&[(1, 1)])));
    }
}
