//! Brute force: every order of every choice.

use crate::check::objects::{Object, Op};

fn precedes<C>(ops: &[Op<C>], a: usize, b: usize) -> bool {
    ops[a].returned.is_some_and(|t| t < ops[b].invoked)
}

/// The most known operations in a sequence that is legal and has, before each operation, all that precede it.
/// `wanted`: whether a sequence with all of these is there at all.
pub fn most<O: Object>(object: &O, ops: &[Op<O::Call>], wanted: &[usize]) -> (usize, bool) {
    fn go<O: Object>(
        object: &O,
        ops: &[Op<O::Call>],
        wanted: &[usize],
        taken: &mut Vec<usize>,
        state: &O::State,
    ) -> (usize, bool) {
        let known = taken.iter().filter(|at| ops[**at].returned.is_some()).count();
        let mut best = (known, wanted.iter().all(|at| taken.contains(at)));
        for at in 0..ops.len() {
            let ready = (0..ops.len()).all(|b| !precedes(ops, b, at) || taken.contains(&b));
            if taken.contains(&at) || !ready {
                continue;
            }
            if let Some(next) = object.apply(state, &ops[at].call) {
                taken.push(at);
                let found = go(object, ops, wanted, taken, &next);
                best = (best.0.max(found.0), best.1 || found.1);
                taken.pop();
            }
        }
        best
    }
    go(object, ops, wanted, &mut Vec::new(), &object.first())
}

/// The first return, in the order of time, so that the history cut off behind it has no linearization.
pub fn first_broken<O: Object>(object: &O, ops: &[Op<O::Call>]) -> Option<usize> {
    let mut returns: Vec<(u64, usize)> =
        ops.iter().enumerate().filter_map(|(at, op)| Some((op.returned?, at))).collect();
    returns.sort_unstable();
    (0..returns.len()).find_map(|place| {
        let cut = returns[place].0;
        let done: Vec<usize> = returns[..=place].iter().map(|(_, at)| *at).collect();
        let mut there: Vec<usize> = (0..ops.len()).filter(|at| ops[*at].invoked <= cut).collect();
        there.sort_unstable();
        let seen: Vec<Op<O::Call>> = there
            .iter()
            .map(|at| Op {
                returned: ops[*at].returned.filter(|_| done.contains(at)),
                ..ops[*at].clone()
            })
            .collect();
        let wanted: Vec<usize> = (0..there.len()).filter(|i| done.contains(&there[*i])).collect();
        (!most(object, &seen, &wanted).1).then_some(returns[place].1)
    })
}
