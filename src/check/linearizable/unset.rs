//! Observations that nothing can explain, whatever the order: of a value that nobody had begun to set when they
//! returned. Found in O(n), before anything is searched.

use super::prepared::{Action, Op, Value};
use super::search::{Answer, search};
use crate::check::Budget;

/// What the first such observation proves, if there is one: from which operation on the history is impossible. That is
/// that operation, or an earlier one, where the budget suffices to find that out.
pub(super) fn judge(ops: &[Op], budget: &mut Budget) -> Option<Answer> {
    let (end, at) = first(ops)?;
    let before = |(i, op): (usize, &Op)| {
        let returned = op.returned.filter(|t| (*t, i) < (end, at));
        let seen = matches!(op.action, Action::Read(_) | Action::Missed(_));
        // What has not returned by then may still take effect, or not; and tells nothing yet.
        let counts = i != at && op.invoked <= end && (returned.is_some() || !seen);
        counts.then_some((i, Op { returned, ..*op }))
    };
    let (places, before): (Vec<usize>, Vec<Op>) = ops.iter().enumerate().filter_map(before).unzip();
    Some(match search(&before, budget) {
        Answer::No(earlier) => Answer::No(places.get(earlier).copied().unwrap_or(at)),
        Answer::Yes | Answer::GaveUp(_) => Answer::No(at),
    })
}

/// The first to return, and when.
fn first(ops: &[Op]) -> Option<(u64, usize)> {
    let mut set_from: Vec<u64> = vec![];
    for op in ops {
        if let Action::Write(value) | Action::Swap(_, value) = op.action {
            let place = value as usize;
            if set_from.len() <= place {
                set_from.resize(place + 1, u64::MAX);
            }
            if let Some(from) = set_from.get_mut(place) {
                *from = op.invoked.min(*from);
            }
        }
    }
    let unset = |value: Value, returned: u64| {
        value != 0 && set_from.get(value as usize).is_none_or(|from| *from > returned)
    };
    let unset = ops.iter().enumerate().filter_map(|(i, op)| match (op.action, op.returned) {
        (Action::Read(value) | Action::Swap(value, _), Some(returned)) => {
            // One that sets what it found seems to explain itself: that is left to the search.
            unset(value, returned.max(op.invoked)).then_some((returned.max(op.invoked), i))
        }
        _ => None,
    });
    unset.min()
}
