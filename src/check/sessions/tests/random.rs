//! Random small histories against the oracle.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::{cases, history, oracle, unknown};
use crate::check::sessions::{Guarantee, Outcome, check};
use crate::history::{Call, Operation, Outcome as End, Reply};

const WRITES_MAX: usize = 6;

/// Process, what (of 20), key, and which value (of 10).
pub type Plan = (u32, u8, u32, usize);

pub fn plans() -> impl Strategy<Value = Vec<Plan>> {
    proptest::collection::vec((0..3_u32, 0..20_u8, 0..2_u32, 0..10_usize), 1..13)
}

/// A value of a key: mostly one that was written just before, sometimes nothing, or what is written later.
fn pick(written: &[(usize, u32, i64)], at: usize, key: u32, which: usize) -> Option<i64> {
    let own: Vec<_> = written.iter().filter(|(_, k, _)| *k == key).collect();
    let before: Vec<_> = own.iter().filter(|(i, ..)| *i < at).collect();
    match which {
        0 => None,
        1 => own.get(at % own.len().max(1)).map(|(.., value)| *value),
        _ => before.iter().rev().nth((which - 2) / 3).or(before.last()).map(|(.., value)| *value),
    }
}

/// The operations of a plan: the `i`th writes `i`.
pub fn operations(plans: &[Plan]) -> Vec<Operation> {
    let is_write = |what: u8| (8..=19).contains(&what);
    let writes = plans.iter().enumerate().filter(|(_, (_, what, ..))| is_write(*what));
    let written: Vec<_> =
        writes.take(WRITES_MAX).map(|(i, (_, _, key, _))| (i, *key, i as i64)).collect();
    let mut all = vec![];
    for (i, (process, what, key, which)) in plans.iter().enumerate() {
        let (key, value) = (*key, i as i64);
        let found = pick(&written, i, key, *which);
        let writes = written.iter().any(|(at, ..)| *at == i);
        let done = || End::Ok(Reply::Done);
        let (call, outcome) = match (what, found) {
            (14, _) if writes => (Call::Write { key, value }, unknown()),
            (15, _) if writes => (Call::Write { key, value }, End::Fail("".into())),
            (16 | 17, Some(from)) if writes && from != value => {
                (Call::Cas { key, from, to: value }, End::Ok(Reply::Swapped(true)))
            }
            (18, Some(from)) if writes && from != value => {
                (Call::Cas { key, from, to: value }, unknown())
            }
            (19, Some(from)) if writes => {
                (Call::Cas { key, from, to: value }, End::Ok(Reply::Swapped(false)))
            }
            (_, _) if writes => (Call::Write { key, value }, done()),
            (7, _) => (Call::Read { key }, unknown()),
            _ => (Call::Read { key }, End::Ok(Reply::Value(found))),
        };
        all.push((*process, call, outcome));
    }
    history(all)
}

/// What a causal store answers to short plans, but for one read.
fn spoilt(plans: &[Plan], which: usize, value: usize) -> Vec<Operation> {
    let mut operations = super::kept::causal(plans);
    let mut writes = 0;
    operations.retain(|o| {
        writes += usize::from(!o.call.is_read());
        writes <= WRITES_MAX
    });
    let reads: Vec<usize> =
        (0..operations.len()).filter(|i| operations[*i].call.is_read()).collect();
    let Some(read) = reads.get(which % reads.len().max(1)).copied() else { return operations };
    let Call::Read { key: asked } = operations[read].call else { return operations };
    let values = operations.iter().filter_map(|o| match o.call {
        Call::Write { key, value } if key == asked => Some(value),
        _ => None,
    });
    let mut values: Vec<Option<i64>> = values.map(Some).collect();
    values.push(None);
    operations[read].outcome = End::Ok(Reply::Value(values[value % values.len()]));
    operations
}

/// Whether somebody wrote whatever was read. A compare-and-set may be there for what it wrote.
fn is_written(operations: &[Operation]) -> bool {
    let wrote = |value: i64| {
        operations.iter().any(|o| match o.call {
            Call::Write { value: v, .. } | Call::Cas { to: v, .. } => v == value,
            _ => false,
        })
    };
    operations.iter().all(|o| match &o.outcome {
        End::Ok(Reply::Value(Some(value))) => wrote(*value),
        _ => true,
    })
}

pub fn judged(operations: &[Operation], guarantee: Guarantee) -> Outcome {
    check(&operations.iter().collect::<Vec<_>>(), guarantee)
}

fn kept(operations: &[Operation], guarantee: Guarantee) -> bool {
    match judged(operations, guarantee) {
        Outcome::Holds => true,
        Outcome::Violated { .. } => false,
        Outcome::Undecided(why) => panic!("{why}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(400), failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_that_of_trying_every_arbitration(plans in plans()) {
        let operations = operations(&plans);
        for guarantee in Guarantee::ALL {
            let expected = oracle::keeps(&operations, guarantee);
            let judged = judged(&operations, guarantee);
            let name = guarantee.name();
            prop_assert_eq!(expected, judged == Outcome::Holds, "{} {:?}", name, judged);
        }
    }

    #[test]
    fn one_wrong_answer_of_a_causal_store_is_judged_as_by_trying(
        plans in proptest::collection::vec((0..3_u32, 0..20_u8, 0..3_u32, 0..10_usize), 1..40),
        which in 0..40_usize,
        value in 0..7_usize,
    ) {
        let operations = spoilt(&plans, which, value);
        for guarantee in Guarantee::ALL {
            let expected = oracle::keeps(&operations, guarantee);
            let judged = judged(&operations, guarantee);
            let name = guarantee.name();
            prop_assert_eq!(expected, judged == Outcome::Holds, "{} {:?}", name, judged);
        }
    }

    #[test]
    fn the_evidence_alone_is_a_violation(plans in plans()) {
        let operations = operations(&plans);
        for guarantee in Guarantee::ALL {
            let Outcome::Violated { operations: places, words } = judged(&operations, guarantee)
            else { continue };
            prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
            let own: Vec<Operation> = places.iter().map(|i| operations[*i].clone()).collect();
            prop_assert!(!oracle::keeps(&own, guarantee), "{} {words}", guarantee.name());
            let impossible = ["nobody wrote", "had failed"].iter().any(|why| words.contains(why));
            prop_assert!(impossible || is_written(&own), "{words}");
        }
    }

    #[test]
    fn a_stronger_guarantee_implies_the_weaker(plans in plans()) {
        use Guarantee::*;
        let operations = operations(&plans);
        let kept: Vec<bool> = Guarantee::ALL.iter().map(|g| kept(&operations, *g)).collect();
        let keeps = |g: Guarantee| kept[g as usize];
        if keeps(Causal) {
            prop_assert!(keeps(Pram) && keeps(WritesFollowReads));
        }
        if keeps(Pram) {
            prop_assert!(keeps(ReadYourWrites) && keeps(MonotonicReads) && keeps(MonotonicWrites));
        }
    }

    #[test]
    fn without_a_read_a_kept_guarantee_is_kept(plans in plans(), which in 0..12_usize) {
        let mut operations = operations(&plans);
        let reads: Vec<usize> =
            (0..operations.len()).filter(|i| operations[*i].call.is_read()).collect();
        if reads.is_empty() {
            return Ok(());
        }
        let before: Vec<bool> = Guarantee::ALL.iter().map(|g| kept(&operations, *g)).collect();
        operations.remove(reads[which % reads.len()]);
        for (guarantee, before) in Guarantee::ALL.into_iter().zip(before) {
            prop_assert!(!before || kept(&operations, guarantee), "{}", guarantee.name());
        }
    }
}

#[test]
fn random_histories_are_of_both_kinds_for_each_guarantee() {
    let mut counts = [[0; 2]; 6];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..500 {
        let plans = plans().new_tree(&mut runner).unwrap().current();
        let operations = operations(&plans);
        for (i, guarantee) in Guarantee::ALL.into_iter().enumerate() {
            counts[i][usize::from(kept(&operations, guarantee))] += 1;
        }
    }
    assert!(counts.iter().flatten().all(|count| *count > 40), "{counts:?}");
}
