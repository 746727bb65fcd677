//! Registers against trying every order of every prefix.

use std::collections::HashSet;

use proptest::prelude::*;

use super::cases;
use super::invented::{Op, events, failed, tell, unknown};
use crate::check::streaming::{Limits, Streaming};
use crate::history::{Call, Outcome, Reply};

/// What an operation does, if anything; and whether it did so for certain.
#[derive(Debug, Clone, Copy)]
enum Effect {
    Found(Option<i64>),
    Set(i64),
    Swapped(i64, i64),
    DidNotFind(i64),
}

/// An operation that counts in a prefix: when it was called and, if it must take effect, when it returned. Times are
/// places among the events.
type Counted = (Effect, usize, Option<usize>);

/// What counts in the first events, up to this many.
fn prefix(ops: &[Op], events: &[(u64, bool, usize)], n: usize) -> Vec<Counted> {
    let place = |returns: bool, id: usize| {
        events[..n].iter().position(|(_, r, i)| (*r, *i) == (returns, id))
    };
    let counts = |(id, op): (usize, &Op)| {
        let called = place(false, id)?;
        let returned = place(true, id);
        let outcome = returned.map(|_| &op.outcome);
        let certain = returned.filter(|_| op.outcome.is_ok());
        let effect = match (&op.call, outcome) {
            (_, Some(Outcome::Fail(_))) => return None,
            (Call::Read { .. }, Some(Outcome::Ok(Reply::Value(value)))) => Effect::Found(*value),
            (Call::Read { .. }, _) => return None,
            (Call::Cas { from, .. }, Some(Outcome::Ok(Reply::Swapped(false)))) => {
                Effect::DidNotFind(*from)
            }
            (Call::Cas { from, to, .. }, _) => Effect::Swapped(*from, *to),
            (Call::Write { value, .. }, _) => Effect::Set(*value),
            _ => return None,
        };
        Some((effect, called, certain))
    };
    ops.iter().enumerate().filter_map(counts).collect()
}

/// Tries every order: next may come whatever was called before all that must still come have returned.
fn suits(
    all: &[Counted],
    left: u32,
    value: Option<i64>,
    seen: &mut HashSet<(u32, Option<i64>)>,
) -> bool {
    let is_left = |i: usize| left & 1 << i != 0;
    let returns = (0..all.len()).filter(|i| is_left(*i)).filter_map(|i| all[i].2).min();
    let Some(first_return) = returns else { return true };
    if !seen.insert((left, value)) {
        return false;
    }
    (0..all.len()).filter(|i| is_left(*i) && all[*i].1 < first_return).any(|i| {
        let next = match all[i].0 {
            Effect::Found(found) => (found == value).then_some(value),
            Effect::DidNotFind(other) => (value != Some(other)).then_some(value),
            Effect::Set(to) => Some(Some(to)),
            Effect::Swapped(from, to) => (value == Some(from)).then_some(Some(to)),
        };
        next.is_some_and(|next| suits(all, left & !(1 << i), next, seen))
    })
}

/// The first operation by whose return no order suits.
fn oracle(ops: &[Op]) -> Option<u64> {
    let events = events(ops);
    (1..=events.len()).filter(|n| events[n - 1].1).find_map(|n| {
        let all = prefix(ops, &events, n);
        let broken = !suits(&all, (1 << all.len()) - 1, None, &mut HashSet::new());
        broken.then_some(events[n - 1].2 as u64)
    })
}

/// How one operation comes about.
#[derive(Debug, Clone)]
struct Plan {
    process: usize,
    after: u64,
    took: u64,
    /// The share of its time after which it takes effect, in eighths.
    effect: u64,
    kind: u8,
    values: (i64, i64),
    fate: u8,
    /// Whether what is told is made up.
    invented: bool,
}

fn plan(most: i64, lies: f64) -> impl Strategy<Value = Plan> {
    let times = (0..3usize, 0..4u64, 0..9u64, 0..=8u64);
    let values = (1..=most, 1..=most);
    (times, 0..9u8, values, 0..12u8, prop::bool::weighted(lies)).prop_map(
        |((process, after, took, effect), kind, values, fate, invented)| Plan {
            process,
            after,
            took,
            effect,
            kind,
            values,
            fate,
            invented,
        },
    )
}

/// A run of a correct register by these plans, with some answers made up.
fn run(plans: Vec<Plan>, once: bool) -> Vec<Op> {
    let mut free = [0u64; 3];
    let mut points = vec![];
    for (i, plan) in plans.iter().enumerate() {
        let invoked = free[plan.process] + plan.after;
        // 0 and 1: in flight to the end, or longer than others.
        let took = if plan.fate == 1 { plan.took * 4 } else { plan.took };
        free[plan.process] = invoked + took + 1;
        points.push((invoked * 8 + took * plan.effect, i, invoked, invoked + took));
    }
    points.sort_unstable();
    let mut value = None;
    let mut ops = vec![];
    let mut called: Vec<_> = points.iter().map(|(_, i, invoked, _)| (*invoked, *i)).collect();
    called.sort_unstable();
    for (_, i, invoked, returned) in points {
        let Plan { kind, values: (a, b), fate, invented, .. } = plans[i];
        let order = called.iter().position(|(_, other)| *other == i).unwrap();
        let to = if once { order as i64 + 1 } else { b };
        let key = 0;
        let call = match kind {
            0..=2 => Call::Read { key },
            3..=5 => Call::Write { key, value: to },
            6 | 7 => Call::Cas { key, from: value.unwrap_or(a), to },
            _ => Call::Cas { key, from: a, to },
        };
        let wrong = (a > 1).then_some(b);
        let (reply, after) = match call {
            Call::Read { .. } => (Reply::Value(if invented { wrong } else { value }), value),
            Call::Cas { from, .. } => {
                let swaps = value == Some(from);
                (Reply::Swapped(swaps != invented), if swaps { Some(to) } else { value })
            }
            _ => (Reply::Done, Some(to)),
        };
        let outcome = match fate {
            0..=3 => unknown(),
            4 => failed(),
            _ => Outcome::Ok(reply),
        };
        let happens = match fate {
            0..=3 => a != b,
            4 => invented,
            _ => true,
        };
        value = if happens { after } else { value };
        let op = Op { invoked, returned: (fate > 0).then_some(returned), call, outcome };
        ops.push((invoked, i, op));
    }
    ops.sort_by_key(|(invoked, i, _)| (*invoked, *i));
    ops.into_iter().map(|(.., op)| op).collect()
}

/// Many unknown writes, of which some must have taken effect: compare-and-sets miss what was there, and some values are
/// found later.
fn wasteful(plans: Vec<Plan>) -> Vec<Op> {
    let (mut free, mut ops, mut last, mut now) = ([0u64; 3], vec![], 1, 0);
    for (i, plan) in plans.into_iter().enumerate() {
        let invoked = free[plan.process].max(now + plan.after / 3);
        now = invoked;
        let took = if plan.fate == 1 { plan.took * 4 } else { plan.took / 4 };
        free[plan.process] = invoked + took + 1;
        let (key, value, (a, b)) = (0, i as i64 + 1, plan.values);
        let (call, outcome) = match plan.kind {
            0..=2 => (Call::Write { key, value }, unknown()),
            3 => {
                let call = Call::Cas { key, from: 1 + a % value, to: value };
                (call, if plan.invented { unknown() } else { Outcome::Ok(Reply::Swapped(true)) })
            }
            4 => {
                last = value;
                (Call::Write { key, value }, Outcome::Ok(Reply::Done))
            }
            5..=7 => {
                let from = if plan.invented { 1 + b % value } else { last };
                (Call::Cas { key, from, to: value }, Outcome::Ok(Reply::Swapped(false)))
            }
            _ => {
                let found = 1 + b % value;
                (Call::Read { key }, Outcome::Ok(Reply::Value(Some(found))))
            }
        };
        ops.push(Op { invoked, returned: Some(invoked + took), call, outcome });
    }
    ops
}

/// However often what is unknown is put in order.
fn all(once: bool) -> impl Iterator<Item = Streaming> {
    [1, 3, 1000].into_iter().map(move |tidy| {
        let mut streaming = Streaming::within(Limits { set_once: once, ..Limits::default() });
        streaming.limits.tidy = tidy;
        streaming
    })
}

fn agrees(ops: &[Op], once: bool) -> Result<(), TestCaseError> {
    let expected = oracle(ops);
    for mut streaming in all(once) {
        let violation = tell(&mut streaming, ops);
        prop_assert_eq!(streaming.undecided(), &[]);
        prop_assert_eq!(violation.map(|v| v.operation), expected, "{:#?}", ops);
    }
    // With less tried: right, or not at all.
    for mut streaming in all(once).take(1) {
        streaming.limits.spare = 0;
        let violation = tell(&mut streaming, ops);
        let expected = expected.filter(|_| streaming.undecided().is_empty());
        if violation.is_some() || streaming.undecided().is_empty() {
            prop_assert_eq!(violation.map(|v| v.operation), expected, "{:#?}", ops);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn the_first_return_that_no_order_suits_is_told(
        plans in prop::collection::vec(plan(3, 0.2), 1..=7),
    ) {
        agrees(&run(plans, false), false)?;
    }

    #[test]
    fn values_that_are_set_once_too(plans in prop::collection::vec(plan(7, 0.1), 1..=7)) {
        agrees(&run(plans, true), true)?;
    }

    #[test]
    fn somewhat_longer_ones_too(
        plans in prop::collection::vec(plan(9, 0.05), 8..=11), once in any::<bool>(),
    ) {
        agrees(&run(plans, once), once)?;
    }

    #[test]
    fn unknown_writes_are_used_up_once_each(
        plans in prop::collection::vec(plan(11, 0.2), 5..=11), once in any::<bool>(),
    ) {
        agrees(&wasteful(plans), once)?;
    }

    #[test]
    fn a_value_that_is_set_again_is_judged_right_or_not_at_all(
        plans in prop::collection::vec(plan(3, 0.1), 1..=9),
    ) {
        let ops = run(plans, false);
        let expected = oracle(&ops);
        for mut streaming in all(true) {
            let violation = tell(&mut streaming, &ops);
            if streaming.undecided().is_empty() {
                prop_assert_eq!(violation.map(|v| v.operation), expected);
            } else {
                prop_assert_eq!(violation, None);
            }
        }
    }
}
