//! The register search against trying every order, and what the check says.

use std::collections::HashSet;

use proptest::prelude::*;

use super::prepared::{Action, Op};
use super::search::{Answer, search};
use super::zones::{self, Zones};
use super::*;
use crate::check::Verdict;
use crate::check::invented::{add, cases, done, ms, record, unknown, value};
use crate::history::{Stage, Time};

fn verdict(ops: &[Op]) -> Answer {
    search(ops, &mut Budget::of_steps(1_000_000))
}

/// Tries every order: after each prefix any operation may come that was invoked before all that are
/// left have returned; an unknown one may stay out.
pub(super) fn oracle(ops: &[Op]) -> bool {
    fn go(ops: &[Op], left: u32, value: u32, seen: &mut HashSet<(u32, u32)>) -> bool {
        let known = (0..ops.len()).filter(|i| left & (1 << i) != 0 && ops[*i].returned.is_some());
        if known.clone().next().is_none() {
            return true;
        }
        if !seen.insert((left, value)) {
            return false;
        }
        let first_return = known.filter_map(|i| ops[i].returned).min().unwrap();
        (0..ops.len()).filter(|i| left & (1 << i) != 0).any(|i| {
            let next = match ops[i].action {
                _ if ops[i].invoked > first_return => None,
                Action::Read(v) => (v == value).then_some(value),
                Action::Missed(v) => (v != value).then_some(value),
                Action::Write(v) => Some(v),
                Action::Swap(from, to) => (from == value).then_some(to),
            };
            next.is_some_and(|next| go(ops, left & !(1 << i), next, seen))
        })
    }
    go(ops, (1u32 << ops.len()) - 1, 0, &mut HashSet::new())
}

fn any_op(values: u32) -> impl Strategy<Value = Op> {
    let action = prop_oneof![
        3 => (0..=values).prop_map(Action::Read),
        3 => (0..=values).prop_map(Action::Write),
        2 => (0..=values, 0..=values).prop_map(|(a, b)| Action::Swap(a, b)),
        1 => (0..=values).prop_map(Action::Missed),
    ];
    (action, 0u64..24, 0u64..10, 0u8..5).prop_map(|(action, invoked, took, unknown)| {
        let observes = matches!(action, Action::Read(_) | Action::Missed(_));
        let returned = (unknown > 0 || observes).then_some(invoked + took);
        Op { action, invoked, returned }
    })
}

/// A run of a correct register: operations take effect at one instant each; some outcomes are then
/// forgotten.
fn correct_run() -> impl Strategy<Value = Vec<Op>> {
    let one = (0u8..4, 1u32..4, 1u32..4, 0u64..40, 0u64..6, 0u64..6, 0u8..6);
    proptest::collection::vec(one, 1..14).prop_map(|mut plans| {
        plans.sort_by_key(|p| p.3);
        let mut value = 0;
        let mut ops = vec![];
        for (kind, a, b, at, before, after, known) in plans {
            let at = at * 10 + 100;
            let happens = known > 0 || a > 1;
            let (action, new) = match kind {
                0 => (Action::Read(value), value),
                1 => (Action::Write(a), a),
                2 if value == 0 || value == a => (Action::Missed(value + 1), value),
                _ if value == 0 => (Action::Missed(a), 0),
                _ => (Action::Swap(value, b), b),
            };
            let observes = matches!(action, Action::Read(_) | Action::Missed(_));
            if happens || observes {
                value = new;
            }
            let returned = (known > 0 || observes).then_some(at + after * 10);
            ops.push(Op { action, invoked: at - before * 10, returned });
        }
        ops
    })
}

/// The same with values that are written once, long overlaps and compare-and-sets that miss.
fn distinct_run() -> impl Strategy<Value = Vec<Op>> {
    let one = (0u8..7, any::<u8>(), 0u64..60, 0u64..120, 0u64..120, 0u8..6);
    proptest::collection::vec(one, 1..40).prop_map(|mut plans| {
        plans.sort_by_key(|p| p.2);
        let (mut value, mut ops) = (0, vec![]);
        for (i, (kind, pick, at, before, after, known)) in plans.into_iter().enumerate() {
            let (at, fresh) = (at * 10 + i as u64 + 1000, i as u32 + 1);
            let other = u32::from(pick) % fresh;
            let action = match kind {
                0..=2 => Action::Read(value),
                3 | 4 => Action::Write(fresh),
                5 if other != 0 && other != value => Action::Missed(other),
                _ if known == 0 && pick % 2 == 0 && other != 0 => Action::Swap(other, fresh),
                _ if value != 0 => Action::Swap(value, fresh),
                _ => Action::Write(fresh),
            };
            let observes = matches!(action, Action::Read(_) | Action::Missed(_));
            let happens = known > 0 || pick % 3 > 0;
            value = match action {
                Action::Write(v) if happens => v,
                Action::Swap(from, to) if from == value && happens => to,
                _ => value,
            };
            let returned = (known > 0 || observes).then_some(at + after);
            ops.push(Op { action, invoked: at - before, returned });
        }
        ops
    })
}

/// Any operations of which each sets a value of its own.
fn own_values(misses: u32) -> impl Strategy<Value = Vec<Op>> {
    let one = (0u32..9 + misses, 0u32..9, 0u64..24, 0u64..10, 0u8..5);
    proptest::collection::vec(one, 1..10).prop_map(|plans| {
        let n = plans.len() as u32;
        let op = |(i, (kind, pick, invoked, took, known))| {
            let (own, other) = (i as u32 + 1, pick % (n + 1));
            let action = match kind {
                0..=3 => Action::Read(other),
                4 | 5 => Action::Write(own),
                6..=8 => Action::Swap(other.max(1), own),
                _ => Action::Missed(other.max(1)),
            };
            let observes = matches!(action, Action::Read(_) | Action::Missed(_));
            Op { action, invoked, returned: (known > 0 || observes).then_some(invoked + took) }
        };
        plans.into_iter().enumerate().map(op).collect()
    })
}

/// Without what was invoked after the operation at which it broke had returned.
fn until(ops: &[Op], at: usize, itself: bool) -> Vec<Op> {
    let end = (ops[at].returned.unwrap(), at);
    let seen = ops.iter().enumerate().filter(|(_, op)| op.invoked <= end.0);
    let cut = seen.map(|(i, op)| {
        let before = |t: &u64| (*t, i) < end || (itself && i == at);
        Op { returned: op.returned.filter(before), ..*op }
    });
    let answered =
        |op: &Op| op.returned.is_some() || matches!(op.action, Action::Write(_) | Action::Swap(..));
    cut.filter(answered).collect()
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn zones_decide_whatever_sets_each_value_once_as_trying_every_order_does(ops in own_values(0)) {
        let expected = oracle(&ops);
        let zones = zones::judge(&ops);
        prop_assert_ne!(&zones, &Zones::Undecided, "{:?}", ops);
        prop_assert_eq!(zones == Zones::Linearizable, expected, "{:?}", ops);
        if let Zones::Broken(culprits) = zones {
            // With those that set what they found, they are broken by themselves.
            let mut few: Vec<Op> = culprits.iter().map(|op| ops[*op]).collect();
            few.extend(ops.iter().enumerate().filter(|(i, op)| {
                let sets = matches!(op.action, Action::Write(_) | Action::Swap(..));
                sets && !culprits.contains(i)
            }).map(|(_, op)| Op { returned: None, ..*op }));
            prop_assert!(!oracle(&few), "{:?} of {:?}", culprits, ops);
            let at = zones::first_broken(&ops);
            prop_assert!(!oracle(&until(&ops, at, true)), "{} of {:?}", at, ops);
            prop_assert!(oracle(&until(&ops, at, false)), "{} of {:?}", at, ops);
        }
    }

    #[test]
    fn what_zones_say_of_compare_and_sets_that_missed_is_true(ops in own_values(3)) {
        match zones::judge(&ops) {
            Zones::Linearizable => prop_assert!(oracle(&ops), "{:?}", ops),
            Zones::Broken(_) => prop_assert!(!oracle(&ops), "{:?}", ops),
            Zones::Undecided => {}
        }
        let judged = judge(&ops, &mut Budget::of_steps(1_000_000));
        prop_assert_eq!(judged == Answer::Yes, oracle(&ops), "{:?}", ops);
    }

    #[test]
    fn zones_find_no_fault_with_a_correct_run(ops in distinct_run()) {
        prop_assert!(!matches!(zones::judge(&ops), Zones::Broken(_)), "{:?}", ops);
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn the_search_agrees_with_trying_every_order(
        ops in proptest::collection::vec(any_op(3), 1..9)
    ) {
        let expected = oracle(&ops);
        prop_assert_eq!(verdict(&ops) == Answer::Yes, expected, "{:?}", ops);
    }

    /// Either search by itself, and both name the same operation where it becomes impossible.
    #[test]
    fn each_search_alone_agrees_with_trying_every_order(
        ops in proptest::collection::vec(any_op(3), 1..12)
    ) {
        let [depth, breadth] = search::alone(&ops);
        prop_assert_eq!(depth, breadth, "{:?}", ops);
        prop_assert_eq!(depth == Answer::Yes, oracle(&ops), "{:?}", ops);
    }

    /// Where a value is found that nobody set, no order explains it.
    #[test]
    fn what_is_found_and_nobody_set_is_impossible_in_truth(
        ops in proptest::collection::vec(any_op(5), 1..10)
    ) {
        if let Some(answer) = unset::judge(&ops, &mut Budget::of_steps(1_000_000)) {
            prop_assert!(matches!(answer, Answer::No(_)) && !oracle(&ops), "{:?}", ops);
            prop_assert!(matches!(verdict(&ops), Answer::No(_)), "{:?}", ops);
        }
    }

    #[test]
    fn few_values_and_many_unknown_writes_agree_too(
        ops in proptest::collection::vec(any_op(2), 1..12)
    ) {
        prop_assert_eq!(verdict(&ops) == Answer::Yes, oracle(&ops), "{:?}", ops);
    }

    #[test]
    fn distinct_values_agree_too(ops in proptest::collection::vec(any_op(7), 3..12)) {
        prop_assert_eq!(verdict(&ops) == Answer::Yes, oracle(&ops), "{:?}", ops);
    }

    #[test]
    fn a_correct_run_whose_writes_overlap_widely_is_linearizable(ops in distinct_run()) {
        prop_assert_eq!(verdict(&ops), Answer::Yes, "{:?}", ops);
    }

    #[test]
    fn every_run_of_a_correct_register_is_linearizable(ops in correct_run()) {
        prop_assert_eq!(verdict(&ops), Answer::Yes, "{:?}", ops);
    }

    #[test]
    fn what_is_left_of_a_legal_history_is_legal(
        ops in proptest::collection::vec(any_op(3), 3..9), going: u16
    ) {
        let marked: Vec<bool> = (0..ops.len()).map(|i| going >> i & 1 == 1).collect();
        let stays = shrink::stays(&ops, &marked);
        let left: Vec<Op> = ops.iter().zip(&stays).filter(|s| *s.1).map(|s| *s.0).collect();
        prop_assert!(marked.iter().zip(&stays).all(|(marked, stays)| *marked || *stays));
        prop_assert!(!oracle(&ops) || oracle(&left), "{:?} of {:?}", left, ops);
    }

    #[test]
    fn what_is_shown_as_a_proof_is_one(ops in proptest::collection::vec(any_op(3), 3..9)) {
        prop_assert_eq!(proven(&ops), !oracle(&ops), "{:?}", ops);
    }
}

/// Whether it is judged impossible; what is then shown must be impossible by itself.
fn proven(ops: &[Op]) -> bool {
    let record = as_record(ops);
    let operations = record.operations.iter().collect();
    let register = Register { operations, ops: ops.to_vec() };
    let mut budget = Budget::of_steps(1_000_000);
    let Answer::No(at) = judge(&register.ops, &mut budget) else { return false };
    let proof = explain::proof(&register, at, budget);
    assert!(!oracle(&proof.ops), "{:?} of {ops:?}", proof.ops);
    assert_eq!(proof.ops.len(), proof.operations.len());
    true
}

#[test]
fn a_proof_is_no_shorter_than_it_must_be() {
    let op = |action, invoked, returned| Op { action, invoked, returned: Some(returned) };
    // What returned before the last one has an order: 1, then 2.
    let ops = [
        op(Action::Write(2), 59, 74),
        op(Action::Write(1), 73, 86),
        op(Action::Missed(0), 83, 102),
        op(Action::Read(2), 104, 114),
        op(Action::Read(1), 105, 115),
    ];
    assert!(oracle(&ops[..4]) && proven(&ops));
}

/// What stood long ago, or was overwritten, has no part in it.
#[test]
fn of_values_that_are_set_again_and_again_a_proof_has_only_the_last() {
    let op = |action, at| Op { action, invoked: at, returned: Some(at + 5) };
    let mut ops: Vec<Op> =
        (0..3_000).map(|i| op(Action::Write(1 + i % 3), u64::from(i) * 10)).collect();
    ops.push(op(Action::Missed(2), 15_001));
    ops.push(op(Action::Read(1), 30_000));
    let record = as_record(&ops);
    let register = Register { operations: record.operations.iter().collect(), ops };
    let proof = explain::proof(&register, 3_001, Budget::of_steps(1_000_000));
    let actions: Vec<Action> = proof.ops.iter().map(|op| op.action).collect();
    assert_eq!(actions, [Action::Write(1), Action::Write(3), Action::Read(1)]);
}

fn as_record(ops: &[Op]) -> Record {
    let mut record = record("register");
    let number = i64::from;
    for (i, op) in ops.iter().enumerate() {
        let (call, outcome) = match op.action {
            Action::Read(v) => (Call::Read { key: 0 }, value((v > 0).then_some(number(v)))),
            Action::Write(v) => (Call::Write { key: 0, value: number(v) }, done()),
            Action::Swap(a, b) => (
                Call::Cas { key: 0, from: number(a), to: number(b) },
                Outcome::Ok(Reply::Swapped(true)),
            ),
            Action::Missed(a) => {
                (Call::Cas { key: 0, from: number(a), to: 99 }, Outcome::Ok(Reply::Swapped(false)))
            }
        };
        let (from, to) = (Time(op.invoked), op.returned.map_or(Time(op.invoked + 1), Time));
        let outcome = if op.returned.is_some() { outcome } else { unknown() };
        add(&mut record, i as u32, call, from, to, outcome);
    }
    record
}

fn write(v: i64) -> Call {
    Call::Write { key: 0, value: v }
}

const READ: Call = Call::Read { key: 0 };

fn run(record: &Record) -> crate::check::Finding {
    Linearizable::default().check(record)
}

#[test]
fn a_stale_read_is_told_with_the_write_that_it_missed() {
    let mut r = record("register");
    for i in 0..200 {
        let t = f64::from(i) * 10.0;
        add(&mut r, 1, write(i64::from(i)), ms(t), ms(t + 2.0), done());
        add(&mut r, 2, READ, ms(t + 3.0), ms(t + 4.0), value(Some(i64::from(i))));
    }
    add(&mut r, 3, READ, ms(1995.0), ms(1996.0), value(Some(198)));
    r.faults.push(crate::check::invented::kill(0, ms(1994.0), ms(3000.0)));
    let finding = run(&r);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.summary.contains("stale: process 3 found 198"), "{}", finding.summary);
    assert!(finding.summary.contains("during fault 1: kill n1"), "{}", finding.summary);
    assert!(
        finding.evidence.len() <= 4,
        "the smallest history has three operations: {:#?}",
        finding.evidence
    );
}

#[test]
fn a_value_that_comes_back_is_told_with_the_reads_that_tell_the_order() {
    // Both writes overlap; 24 was read, then 25, and then 24 again when both had ended.
    let read = |value, invoked, returned| Op { action: Action::Read(value), invoked, returned };
    let write = |value, invoked, returned| Op { action: Action::Write(value), invoked, returned };
    let ops = [
        write(1, 10, Some(70)),
        write(2, 11, Some(60)),
        read(1, 20, Some(30)),
        read(2, 65, Some(90)),
        read(1, 80, Some(95)),
    ];
    let finding = run(&as_record(&ops));
    let words = "stale: process 4 found 1, ";
    assert!(finding.summary.contains(words), "{}", finding.summary);
    let order = "process 2 had read 1 before process 3 read 2";
    assert!(finding.summary.contains(order), "{}", finding.summary);
}

#[test]
fn an_unknown_write_may_take_effect_long_after_or_never() {
    let mut r = record("register");
    add(&mut r, 1, write(1), ms(0.0), ms(1.0), done());
    add(&mut r, 2, write(2), ms(2.0), ms(3.0), unknown());
    add(&mut r, 3, READ, ms(10.0), ms(11.0), value(Some(1)));
    add(&mut r, 3, READ, ms(20.0), ms(21.0), value(Some(2)));
    assert_eq!(run(&r).verdict, Verdict::Pass);
    add(&mut r, 3, READ, ms(30.0), ms(31.0), value(Some(1)));
    assert_eq!(run(&r).verdict, Verdict::Fail, "it cannot take effect twice");
}

#[test]
fn a_failed_write_never_happened_and_an_unknown_read_says_nothing() {
    let mut r = record("register");
    add(&mut r, 1, write(1), ms(0.0), ms(1.0), done());
    add(&mut r, 2, write(2), ms(2.0), ms(3.0), Outcome::Fail("refused".into()));
    add(&mut r, 2, READ, ms(4.0), ms(5.0), unknown());
    add(&mut r, 3, READ, ms(10.0), ms(11.0), value(Some(1)));
    assert_eq!(run(&r).verdict, Verdict::Pass);
    add(&mut r, 3, READ, ms(12.0), ms(13.0), value(Some(2)));
    let finding = run(&r);
    assert!(finding.summary.contains("nobody ever wrote"), "{}", finding.summary);
}

#[test]
fn at_equal_instants_a_call_comes_before_a_return() {
    let mut r = record("register");
    add(&mut r, 1, write(1), ms(0.0), ms(5.0), done());
    add(&mut r, 2, READ, ms(5.0), ms(6.0), value(None));
    assert_eq!(run(&r).verdict, Verdict::Pass);
}

#[test]
fn reads_of_a_replica_do_not_count() {
    let mut r = record("register");
    add(&mut r, 1, write(1), ms(0.0), ms(1.0), done());
    add(&mut r, 2, READ, ms(5.0), ms(6.0), value(None));
    r.operations[1].stage = Stage::Replica("n1".into());
    assert_eq!(run(&r).verdict, Verdict::Pass);
    r.operations[1].stage = Stage::Final;
    assert_eq!(run(&r).verdict, Verdict::Fail);
}

#[test]
fn what_exceeds_the_budget_is_inconclusive_and_says_where() {
    let mut r = record("register");
    for i in 0..40 {
        add(&mut r, i, write(i64::from(i % 7)), ms(0.0), ms(100.0), done());
    }
    for i in 0..20 {
        add(&mut r, 50, READ, ms(101.0 + f64::from(i)), ms(101.5 + f64::from(i)), value(Some(9)));
    }
    add(&mut r, 60, write(9), ms(0.0), ms(100.0), done());
    for i in 0..20 {
        add(
            &mut r,
            51,
            READ,
            ms(50.0 + f64::from(i)),
            ms(50.5 + f64::from(i)),
            value(Some(i64::from(i % 7))),
        );
    }
    add(&mut r, 52, READ, ms(200.0), ms(201.0), value(Some(3)));
    let finding =
        Linearizable { budget: Budget::of_steps(10), ..Linearizable::default() }.check(&r);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.summary.ends_with("after 10 states"), "{}", finding.summary);
    assert!(finding.evidence[0].contains("of its 82 operations had returned"), "{finding:?}");
    assert!(finding.evidence[1].contains("process"), "{:?}", finding.evidence);
}

/// A long run of a correct register, with some thirty operations in flight at a time, of which each takes effect at
/// one instant: writes, and compare-and-sets that guess at values which may only be on their way. One in twenty
/// ends with nobody knowing how.
fn long_run(seed: u64) -> Vec<Op> {
    use rand::{RngExt, SeedableRng};
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let (mut value, mut ops) = (0, vec![]);
    for i in 0..20_000u64 {
        let (at, own) = (100_000 + i * 100, i as u32 + 1);
        let guess = own.saturating_sub(chance.random_range(0..4)).max(1);
        let unknown = chance.random_bool(0.05);
        let happens = !unknown || chance.random_bool(0.5);
        let action = match chance.random_range(0..4) {
            0 | 1 => Action::Read(value),
            2 => Action::Write(own),
            _ if guess == value || unknown => Action::Swap(guess, own),
            _ => Action::Missed(guess),
        };
        value = match action {
            Action::Write(new) if happens => new,
            Action::Swap(from, to) if happens && from == value => to,
            _ => value,
        };
        let around = |chance: &mut rand_chacha::ChaCha8Rng| chance.random_range(0..3000u64);
        let (invoked, returned) = (at - around(&mut chance), at + around(&mut chance));
        let unknown = unknown && !matches!(action, Action::Read(_) | Action::Missed(_));
        ops.push(Op { action, invoked, returned: (!unknown).then_some(returned) });
    }
    ops
}

#[test]
fn long_runs_with_many_operations_in_flight_need_no_search() {
    for seed in 0..5 {
        let mut ops = long_run(seed);
        assert_eq!(judge(&ops, &mut Budget::of_steps(0)), Answer::Yes, "seed {seed}");
        let stale = ops.iter().find_map(|op| match op.action {
            Action::Read(value) if value > 0 => Some(value),
            _ => None,
        });
        let late = 100_000 + 21_000 * 100;
        let action = Action::Read(stale.unwrap());
        ops.push(Op { action, invoked: late, returned: Some(late + 1) });
        assert_eq!(judge(&ops, &mut Budget::of_steps(0)), Answer::No(20_000), "seed {seed}");
    }
}
