//! Stacks. Between the return of its push and the call of its pop a value is on the stack for certain: that is its
//! core. A value whose push and pop overlap has none, and can be pushed and popped at one instant. Where cores leave a
//! gap the stack can be empty, so what lies on either side is judged by itself. Where they leave none, from the first
//! to the last one some value is at the bottom all the time: it was pushed before all of them and popped after. If
//! there is such a value, it can be at the bottom, and all else stands on it as if it were not there; if there is none,
//! no order suits. A look at a value at the bottom, and finding nothing, need a gap of all that stands above.
//!
//! Time: O(n log n); more where many values are looked at while others come and go, at most O(n) for each value.
//! Memory: O(n).

use super::cover::{Cover, Latest};
use super::elements::{Shown, View};

/// No element.
const NONE: u32 = u32::MAX;

/// When a value is on the stack for certain, in gaps: from the first one to before the second one.
fn core(view: &View, element: &Shown) -> (u32, u32) {
    let looks = view.looks(element).iter();
    looks.fold((element.put.1, element.take.0), |(from, to), look| {
        (from.min(look.1), to.max(look.0))
    })
}

/// A value stands in the way of those that were pushed before it.
pub(super) fn keys(_: &View, _: usize, element: &Shown) -> (u32, u32) {
    (element.put.1 + 1, element.put.0 + 1)
}

/// Whether some order suits.
pub(super) fn suits(view: &View) -> bool {
    let gaps = view.events as usize + 1;
    let cores: Vec<(u32, u32)> = view.elements.iter().map(|e| core(view, e)).collect();
    let (mut by_core, mut by_put) = (vec![NONE; gaps], vec![NONE; gaps]);
    let mut changes = vec![0_i32; gaps + 1];
    for (at, ((from, to), element)) in cores.iter().zip(&view.elements).enumerate() {
        if from < to {
            by_core[*from as usize] = at as u32;
            by_put[element.put.0 as usize] = at as u32;
            changes[*from as usize] += 1;
            changes[*to as usize] -= 1;
        }
    }
    let mut cover = Cover::of(&changes[..gaps]);
    if view.empties.iter().any(|empty| cover.first_free(empty.0, empty.1).is_none()) {
        return false;
    }
    // Those pushed before the span at hand begins, by the beginning of their core: when their pop returned.
    let (mut latest, mut pushed) = (Latest::new(gaps), 0);
    let mut spans = vec![];
    split(&mut cover, 0, gaps as u32, &mut spans);
    // The first span is the last one in it, and so is looked at first: spans begin later and later.
    while let Some((from, to)) = spans.pop() {
        while pushed < from {
            if let Some(element) = view.elements.get(by_put[pushed as usize] as usize) {
                let core = cores[by_put[pushed as usize] as usize];
                latest.set(core.0, element.take.1);
            }
            pushed += 1;
        }
        let mut next = from;
        let bottom = loop {
            // Popped after the last pop of the span was called.
            let Some(place) = latest.first_above(next, to, to) else { return false };
            let at = by_core[place as usize] as usize;
            let (own, element) = (cores[at], &view.elements[at]);
            cover.change(own.0, own.1, -1);
            if view.looks(element).iter().all(|look| cover.first_free(look.0, look.1).is_some()) {
                break place;
            }
            cover.change(own.0, own.1, 1);
            next = place + 1;
        };
        latest.set(bottom, 0);
        split(&mut cover, from, to, &mut spans);
    }
    true
}

/// The spans without a gap between the two, the last one first.
fn split(cover: &mut Cover, from: u32, to: u32, spans: &mut Vec<(u32, u32)>) {
    let (first, mut begin) = (spans.len(), from);
    while begin < to {
        let free = cover.first_free(begin, to).unwrap_or(to);
        if begin < free {
            spans.push((begin, free));
        }
        begin = free + 1;
    }
    spans[first..].reverse();
}
