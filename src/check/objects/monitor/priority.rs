//! Priority queues. While a value is in the queue, no lower one's turn comes, and nothing else is forbidden. So values
//! are placed from the first to the last one whose turn it is, each in the queue as shortly as can be: put as late as
//! possible, taken as early as those before it allow. What is so forbidden is forbidden in every order.
//!
//! Time: O(n α(n)) besides sorting. Memory: O(n).

use super::elements::{Shown, View};

/// Gaps between events, of which some are forbidden, one after the other (disjoint sets, after Tarjan).
struct Gaps {
    next: Vec<u32>,
    /// One further: 0 is none.
    before: Vec<u32>,
}

fn find(parents: &mut [u32], mut at: u32) -> u32 {
    while parents[at as usize] != at {
        let up = parents[parents[at as usize] as usize];
        parents[at as usize] = up;
        at = up;
    }
    at
}

impl Gaps {
    fn new(gaps: u32) -> Gaps {
        Gaps { next: (0..=gaps).collect(), before: (0..=gaps).collect() }
    }
    /// The first one from here on that is allowed.
    fn from(&mut self, gap: u32) -> u32 {
        find(&mut self.next, gap)
    }
    /// The last one up to here that is allowed; there is one.
    fn up_to(&mut self, gap: u32) -> u32 {
        find(&mut self.before, gap + 1).saturating_sub(1)
    }
    fn forbid(&mut self, from: u32, to: u32) {
        let mut gap = self.from(from);
        while gap < to {
            self.next[gap as usize] = gap + 1;
            self.before[gap as usize + 1] = gap;
            gap = self.from(gap + 1);
        }
    }
}

/// Whether some order suits.
pub(super) fn suits(view: &View) -> bool {
    // The gap at the end is never forbidden: nothing is taken later.
    let mut gaps = Gaps::new(view.events + 1);
    for element in &view.elements {
        let (put, take) = (element.put, element.take);
        let (mut latest, mut earliest) = (put.1 - 1, gaps.from(put.0.max(take.0)));
        for look in view.looks(element) {
            let first = gaps.from(put.0.max(look.0));
            if first >= look.1 {
                return false;
            }
            earliest = earliest.max(first);
            latest = latest.min(gaps.up_to(look.1 - 1));
        }
        if earliest >= take.1 {
            return false;
        }
        gaps.forbid(latest + 1, earliest);
    }
    view.empties.iter().all(|empty| gaps.from(empty.0) < empty.1)
}

/// A value stands in the way of those that come after it.
pub(super) fn keys(view: &View, place: usize, _: &Shown) -> (u32, u32) {
    let from_last = (view.elements.len() - place) as u32;
    (from_last, from_last)
}
