//! The states that a search has seen, in bounded memory.
//!
//! Forgetting costs time, never truth: a state that is met again after it was forgotten is searched again, and the
//! search's own budget bounds that. Two generations are kept; when the young one is full, the old one goes.

use std::collections::HashMap;
use std::hash::Hash;

use super::search::{Held, Last, Node};
use crate::check::mask::{Mask, Wide};

/// What a node takes besides its state and what it used up: its place in the map, and the allocations' overhead.
const NODE: usize = 200;

/// How many unknown operations of each class are used up: sorted by class, counts above 0.
pub(super) type Used = Vec<(u32, u32)>;

type Key<S> = (u32, Wide, Held<S>, Last<S>);
type Nodes<S> = HashMap<Key<S>, Vec<Used>, foldhash::fast::FixedState>;

/// See the module.
pub(super) struct Seen<S> {
    young: Nodes<S>,
    old: Nodes<S>,
    /// What the young ones take, and may take, about.
    bytes: usize,
    generation: usize,
}

impl<S: Eq + Hash> Seen<S> {
    /// `generation`: how many bytes one may take, about.
    pub fn new(generation: usize) -> Seen<S> {
        Seen { young: Nodes::default(), old: Nodes::default(), bytes: 0, generation }
    }

    /// Whether a node like this one, that had used up no more, was seen before. Remembers it if not.
    pub fn before_or_now(&mut self, node: &Node<S>, bytes_of_state: usize) -> bool {
        let key = (node.event, node.done.clone(), node.state.clone(), node.last.clone());
        let nowhere_new = |seen: &Vec<Used>| seen.iter().any(|used| at_most(used, &node.used));
        if [&self.young, &self.old].iter().any(|s| s.get(&key).is_some_and(nowhere_new)) {
            return true;
        }
        self.bytes += bytes(node, bytes_of_state);
        if self.bytes > self.generation {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        let seen = self.young.entry(key).or_insert_with(|| Vec::with_capacity(1));
        seen.retain(|used| !at_most(&node.used, used));
        seen.push(node.used.clone());
        false
    }
}

/// What a node takes, about.
pub(super) fn bytes<S>(node: &Node<S>, bytes_of_state: usize) -> usize {
    NODE + size_of_val(node.used.as_slice()) + node.done.bytes() + bytes_of_state
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

    fn node(used: &[(u32, u32)]) -> Node<u8> {
        let (done, state) = (Wide::default(), Held::new(7));
        Node { event: 1, done, state, used: used.to_vec(), last: None }
    }

    #[test]
    fn who_has_used_up_more_is_no_better_off_and_who_has_used_up_less_is() {
        let mut seen = Seen::new(1 << 20);
        assert!(!seen.before_or_now(&node(&[(1, 1)]), 1));
        assert!(seen.before_or_now(&node(&[(1, 2), (3, 1)]), 1));
        assert!(!seen.before_or_now(&node(&[]), 1));
        assert!(seen.before_or_now(&node(&[(1, 1)]), 1));
        assert!(seen.before_or_now(&node(&[(5, 1)]), 1));
    }

    #[test]
    fn there_is_never_more_than_two_generations() {
        let (mut seen, big) = (Seen::new(1 << 20), (1 << 20) / 100);
        for event in 0..1_000 {
            assert!(!seen.before_or_now(&Node { event, ..node(&[]) }, big));
            assert!(seen.young.len() + seen.old.len() <= 202);
        }
        assert!(seen.before_or_now(&Node { event: 950, ..node(&[]) }, big));
        assert!(!seen.before_or_now(&Node { event: 0, ..node(&[]) }, big), "forgotten");
    }
}
