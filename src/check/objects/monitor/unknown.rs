//! Takes of which nobody knows what they took, if they happened. A value that nobody is known to have taken, but that
//! must be gone by some instant (for what it stood in the way of was found after it), was taken by one of them that was
//! called before. If there are not enough of these, no order suits. Else each is given one; whether an order suits
//! then is for the monitor to say.
//!
//! Time: O(n log n). Memory: O(n).

use std::collections::BTreeSet;

use super::elements::{Shown, View};

/// What stands in the way of what: a value (its place, and itself) stands in the way of those whose first number is
/// less than its own second one, if they are found after it was put.
pub(super) type Keys = fn(&View, usize, &Shown) -> (u32, u32);

/// The least number so far among the first ones (Fenwick, "A new data structure for cumulative frequency tables").
struct Least(Vec<u32>);

impl Least {
    fn put(&mut self, key: u32, number: u32) {
        let mut at = key as usize + 1;
        while let Some(least) = self.0.get_mut(at) {
            *least = number.min(*least);
            at += at & at.wrapping_neg();
        }
    }
    /// Among those with a lower key.
    fn below(&self, key: u32) -> u32 {
        let (mut at, mut least) = ((key as usize).min(self.0.len() - 1), u32::MAX);
        while at > 0 {
            least = least.min(self.0[at]);
            at &= at - 1;
        }
        least
    }
}

/// Gives values that must be gone takes that were called at these instants. `false`: there are not enough of them.
pub(super) fn assign(view: &mut View, calls: &[u32], keys: Keys) -> bool {
    let is_untaken = |element: &Shown| element.take.0 >= view.events;
    // Found, or found empty: by when, of what, from when on.
    let mut found: Vec<(u32, u32, u32)> = view.empties.iter().map(|e| (e.0, 0, e.1)).collect();
    let mut untaken: Vec<(u32, u32, usize)> = vec![];
    let mut size = 0;
    for (at, element) in view.elements.iter().enumerate() {
        let (key, bound) = keys(view, at, element);
        size = size.max(key);
        let looks = view.looks(element).iter().chain([&element.take]);
        found.extend(looks.filter(|look| look.1 < view.events).map(|look| (look.0, key, look.1)));
        if is_untaken(element) && element.put.1 < view.events {
            untaken.push((element.put.1, bound, at));
        }
    }
    found.sort_unstable();
    untaken.sort_unstable();
    let mut least = Least(vec![u32::MAX; size as usize + 2]);
    let mut gone: Vec<(u32, usize)> = vec![];
    for (put, bound, at) in untaken.into_iter().rev() {
        while let Some((_, key, by)) = found.pop_if(|found| found.0 > put) {
            least.put(key, by);
        }
        gone.extend(Some((least.below(bound), at)).filter(|(by, _)| *by < view.events));
    }
    gone.sort_unstable();
    let mut left: BTreeSet<u32> = calls.iter().copied().collect();
    for (by, at) in gone {
        let element = &mut view.elements[at];
        // The last one that was called before it was there, else the first one after: others may need the earlier ones.
        let call = left.range(..element.put.1).next_back().or_else(|| left.range(..by).next());
        let Some(call) = call.copied() else { return false };
        left.remove(&call);
        element.take.0 = call;
    }
    true
}
