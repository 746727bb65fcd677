//! Linearizability by its definition: every order is tried. For a few operations only.

use super::{Answer, Object, Op};

/// Whether some order of all operations that are required, and any of the others, suits.
fn suits<O: Object>(
    object: &O,
    ops: &[Op<O::Call>],
    left: &[usize],
    required: &dyn Fn(usize) -> bool,
    state: &O::State,
) -> bool {
    if !left.iter().any(|i| required(*i)) {
        return true;
    }
    left.iter().any(|i| {
        // Whoever returned before it was called comes before it.
        let waits = |j: &usize| required(*j) && ops[*j].returned < Some(ops[*i].invoked);
        if left.iter().any(waits) {
            return false;
        }
        let rest: Vec<usize> = left.iter().copied().filter(|j| j != i).collect();
        let after = object.apply(state, &ops[*i].call);
        after.is_some_and(|after| suits(object, ops, &rest, required, &after))
    })
}

/// The verdict, and the first return up to which nothing suits.
pub fn judge<O: Object>(object: &O, ops: &[Op<O::Call>]) -> Answer {
    let mut returns: Vec<(u64, usize)> =
        ops.iter().enumerate().filter_map(|(at, op)| Some((op.returned?, at))).collect();
    returns.sort_unstable();
    for (now, at) in &returns {
        let begun: Vec<usize> = (0..ops.len()).filter(|i| ops[*i].invoked <= *now).collect();
        let returned =
            |i: usize| ops[i].returned.is_some_and(|returned| (returned, i) <= (*now, *at));
        if !suits(object, ops, &begun, &returned, &object.first()) {
            return Answer::No(*at);
        }
    }
    Answer::Yes
}
