//! The search against trying every order, of the whole history and of each prefix.

use proptest::prelude::*;

use super::prepared::{Action, Op, Prepared};
use super::search::{Answer, alone, both, search};
use super::tests::oracle;
use crate::check::Budget;
use crate::check::invented::cases;
use crate::check::mask::Wide;

/// The events up to the end: what returned after it is unknown yet, and what only observes tells nothing yet.
fn until(ops: &[Op], end: (u64, usize)) -> Vec<Op> {
    let seen = ops.iter().enumerate().filter(|(_, op)| op.invoked <= end.0);
    let cut = seen.map(|(i, op)| Op { returned: op.returned.filter(|t| (*t, i) <= end), ..*op });
    let sets = |op: &Op| matches!(op.action, Action::Write(_) | Action::Swap(..));
    cut.filter(|op| op.returned.is_some() || sets(op)).collect()
}

/// The first operation up to whose return the history has no linearization.
fn expected(ops: &[Op]) -> Answer {
    let mut returns: Vec<(u64, usize)> =
        ops.iter().enumerate().filter_map(|(i, op)| Some((op.returned?, i))).collect();
    returns.sort_unstable();
    let broken = returns.into_iter().find(|end| !oracle(&until(ops, *end)));
    broken.map_or(Answer::Yes, |(_, i)| Answer::No(i))
}

/// Each search alone, with masks of each width.
fn all(ops: &[Op]) -> Vec<Answer> {
    let of = Prepared::of(ops);
    let mut all = alone(ops).to_vec();
    all.extend(both::<u64>(&of));
    all.extend(both::<u128>(&of));
    all.extend(both::<Wide>(&of));
    all.push(search(ops, &mut Budget::of_steps(1_000_000)));
    all
}

fn any_op(values: u32, span: u64, long: u64) -> impl Strategy<Value = Op> {
    let action = prop_oneof![
        3 => (0..=values).prop_map(Action::Read),
        3 => (0..=values).prop_map(Action::Write),
        2 => (0..=values, 0..=values).prop_map(|(a, b)| Action::Swap(a, b)),
        1 => (0..=values).prop_map(Action::Missed),
    ];
    (action, 0..span, 0..long, 0u8..5).prop_map(|(action, invoked, took, unknown)| {
        let observes = matches!(action, Action::Read(_) | Action::Missed(_));
        let returned = (unknown > 0 || observes).then_some(invoked + took);
        Op { action, invoked, returned }
    })
}

fn any_ops(values: u32, most: usize) -> impl Strategy<Value = Vec<Op>> {
    (4u64..30, 1u64..20).prop_flat_map(move |(span, long)| {
        proptest::collection::vec(any_op(values, span, long), 1..=most)
    })
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn the_first_return_that_nothing_explains_is_named(ops in any_ops(3, 8)) {
        let expected = expected(&ops);
        prop_assert_eq!(expected == Answer::Yes, oracle(&ops));
        for answer in all(&ops) {
            prop_assert_eq!(answer, expected, "{:?}", ops);
        }
    }

    #[test]
    fn larger_histories_too(ops in any_ops(2, 14)) {
        let expected = expected(&ops);
        for answer in all(&ops) {
            prop_assert_eq!(answer, expected, "{:?}", ops);
        }
    }
}

/// A small generator of numbers, for many cases at little cost (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Runs with a fixed instant at which each takes effect, and a few results changed: they go wrong late, if at all.
fn nearly_correct(chance: &mut Chance) -> Vec<Op> {
    let n = 2 + chance.below(9);
    let values = 1 + chance.below(4);
    let long = 1 + chance.below(24);
    let (mut value, mut ops) = (0u32, vec![]);
    for i in 0..n {
        let at = 100 + i * 4 + chance.below(4);
        let v = chance.below(values + 1) as u32;
        let unknown = chance.below(4) == 0;
        let happens = !unknown || chance.below(2) == 0;
        let mut action = match chance.below(6) {
            0 | 1 => Action::Read(value),
            2 | 3 => Action::Write(v),
            4 => Action::Swap(value, v),
            _ if v != value => Action::Missed(v),
            _ => Action::Read(value),
        };
        if let (true, Action::Write(v) | Action::Swap(_, v)) = (happens, action) {
            value = v;
        }
        if chance.below(7) == 0 {
            let other = chance.below(values + 1) as u32;
            action = match action {
                Action::Read(_) => Action::Read(other),
                Action::Write(_) => Action::Write(other),
                Action::Swap(_, to) => Action::Swap(other, to),
                Action::Missed(_) => Action::Missed(other),
            };
        }
        let observes = matches!(action, Action::Read(_) | Action::Missed(_));
        let (invoked, returned) = (at - chance.below(long), at + chance.below(long));
        ops.push(Op { action, invoked, returned: (observes || !unknown).then_some(returned) });
    }
    // In any order.
    for i in (1..ops.len()).rev() {
        ops.swap(i, chance.below(i as u64 + 1) as usize);
    }
    ops
}

fn random(chance: &mut Chance) -> Vec<Op> {
    let n = 1 + chance.below(8);
    let values = 1 + chance.below(4);
    let (span, long) = (1 + chance.below(40), 1 + chance.below(30));
    let kinds = 4 + chance.below(5);
    (0..n)
        .map(|_| {
            let (a, b) = (chance.below(values + 1) as u32, chance.below(values + 1) as u32);
            let action = match chance.below(kinds) {
                0 | 4 => Action::Read(a),
                1 | 5 => Action::Write(a),
                2 | 6 | 7 => Action::Swap(a, b),
                _ => Action::Missed(a),
            };
            let observes = matches!(action, Action::Read(_) | Action::Missed(_));
            let invoked = chance.below(span);
            let known = observes || chance.below(4) > 0;
            Op { action, invoked, returned: known.then_some(invoked + chance.below(long)) }
        })
        .collect()
}

fn compare(from: u64, cases: u64) {
    for case in from..from + cases {
        let mut chance = Chance(case);
        let ops = match case % 2 {
            0 => random(&mut chance),
            _ => nearly_correct(&mut chance),
        };
        let expected = expected(&ops);
        let few = alone(&ops);
        assert_eq!(few, [expected; 2], "case {case}: {ops:?}");
        if case % 16 < 2 {
            assert_eq!(all(&ops), [expected; 9], "case {case}: {ops:?}");
        }
    }
}

/// For a machine with time: `FIREDRILL_CASES=10000000 cargo test --release --lib search_tests`.
#[test]
fn many_small_histories_agree_with_trying_every_order() {
    let said = std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok());
    compare(0, said.unwrap_or(50_000));
}

/// Any number of writes in flight, in each of the widths there are: the reads tell of some of them, then of one again.
#[test]
fn any_number_of_operations_may_be_in_flight() {
    for n in [60u32, 100, 200, 1000] {
        let write =
            |v| Op { action: Action::Write(v), invoked: u64::from(v), returned: Some(9000) };
        let read = |v, at| Op { action: Action::Read(v), invoked: at, returned: Some(at + 1) };
        let mut ops: Vec<Op> = (1..=n).map(write).collect();
        ops.extend((1..=20u32).map(|v| read(v * n / 20, 2000 + 10 * u64::from(v))));
        assert_eq!(search(&ops, &mut Budget::of_steps(1_000_000)), Answer::Yes, "{n}");
        ops.push(read(n / 20, 8000));
        assert_eq!(
            search(&ops, &mut Budget::of_steps(1_000_000)),
            Answer::No(ops.len() - 1),
            "{n}"
        );
    }
}

#[test]
fn what_exceeds_the_budget_is_not_decided() {
    let ops = nearly_correct(&mut Chance(1));
    assert!(matches!(search(&ops, &mut Budget::of_steps(1)), Answer::GaveUp(at) if at < ops.len()));
    assert_eq!(search(&[], &mut Budget::of_steps(0)), Answer::Yes);
}
