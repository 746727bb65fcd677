//! Runs of a correct system, and meddled ones against trying every serial order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::check::Verdict;
use crate::check::invented::{add, cases, record, unknown};
use crate::history::{Outcome, Time};

#[derive(Debug, Clone)]
struct Plan {
    steps: Vec<(bool, Key)>,
    invoked: u64,
    took: u64,
    /// When it takes effect, in thousandths of its interval.
    point: u64,
    known: bool,
    happens: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let steps = proptest::collection::vec((any::<bool>(), 0u32..2), 1..4);
    (steps, 0u64..30, 0u64..12, 0u64..1000, 0u8..5, any::<bool>()).prop_map(
        |(steps, invoked, took, point, known, happens)| Plan {
            steps,
            invoked,
            took,
            point,
            known: known > 0,
            happens,
        },
    )
}

/// Runs the plans on a correct system, one at a time; `meddle` is given each read's answer.
fn run(plans: &[Plan], mut meddle: impl FnMut(usize, &mut Vec<i64>)) -> Record {
    let mut order: Vec<usize> = (0..plans.len()).collect();
    let at = |p: &Plan| p.invoked * 1000 + p.took * p.point;
    order.sort_by_key(|i| (at(&plans[*i]), *i));
    let mut lists: BTreeMap<Key, Vec<i64>> = BTreeMap::new();
    let mut answers = vec![None; plans.len()];
    let (mut next, mut reads) = (0, 0);
    for i in order {
        let (mut steps, mut saw) = (vec![], vec![]);
        let before = lists.clone();
        for (append, key) in &plans[i].steps {
            let list = lists.entry(*key).or_default();
            if *append {
                next += 1;
                list.push(next);
                steps.push(Step::Append { key: *key, value: next });
                saw.push(None);
            } else {
                let mut values = list.clone();
                meddle(reads, &mut values);
                reads += 1;
                steps.push(Step::Read { key: *key });
                saw.push(Some(values));
            }
        }
        if !plans[i].known && !plans[i].happens {
            lists = before;
        }
        answers[i] = Some((steps, saw));
    }
    let mut record = record("list-append");
    for (i, (plan, answer)) in plans.iter().zip(answers).enumerate() {
        let (steps, saw) = answer.unwrap();
        let outcome = if plan.known { Outcome::Ok(Reply::Txn(saw)) } else { unknown() };
        let (from, to) = (plan.invoked * 1000, (plan.invoked + plan.took) * 1000);
        let call = Call::Txn { steps: steps.into() };
        add(&mut record, i as u32, call, Time(from), Time(to), outcome);
    }
    record
}

/// A transaction that took effect, or may have.
#[derive(Debug)]
struct Txn<'a> {
    invoked: Time,
    /// When it had taken effect at the latest; `None`: its outcome is unknown.
    returned: Option<Time>,
    steps: &'a [Step],
    saw: &'a [Option<Vec<i64>>],
}

fn gather(record: &Record) -> Vec<Txn<'_>> {
    let mut all = vec![];
    for o in record.operations.iter().filter(|o| possible(o)) {
        let Call::Txn { steps } = &o.call else { continue };
        let saw = if let Some(Reply::Txn(saw)) = reply(o) { saw.as_slice() } else { &[] };
        let returned = o.outcome.is_ok().then(|| settled(o));
        all.push(Txn { invoked: o.invoked, returned, steps, saw });
    }
    all
}

/// Tries every serial order that real time allows; unknown transactions may stay out.
fn oracle(txns: &[Txn]) -> bool {
    fn go(txns: &[Txn], left: u32, lists: &BTreeMap<Key, Vec<i64>>) -> bool {
        let known = (0..txns.len()).filter(|i| left & (1 << i) != 0 && txns[*i].returned.is_some());
        let Some(first) = known.filter_map(|i| txns[i].returned).min() else { return true };
        (0..txns.len()).filter(|i| left & (1 << i) != 0 && txns[*i].invoked <= first).any(|i| {
            let mut lists = lists.clone();
            let fits = txns[i].steps.iter().enumerate().all(|(at, step)| match step {
                Step::Append { key, value } => {
                    lists.entry(*key).or_default().push(*value);
                    true
                }
                Step::Read { key } => match txns[i].saw.get(at) {
                    Some(Some(saw)) => {
                        lists.get(key).is_none_or(|l| l == saw)
                            && (lists.contains_key(key) || saw.is_empty())
                    }
                    _ => true,
                },
            });
            fits && go(txns, left & !(1 << i), &lists)
        })
    }
    go(txns, (1u32 << txns.len()) - 1, &BTreeMap::new())
}

/// Nothing is found wrong.
fn verdict(record: &Record) -> bool {
    Txns::of(record).judged(Budget::default()).evidence.is_empty()
}

/// All lists are read at the end, so that their order is known.
fn with_final_reads(mut plans: Vec<Plan>) -> Vec<Plan> {
    let steps = vec![(false, 0), (false, 1)];
    plans.push(Plan { steps, invoked: 100, took: 1, point: 500, known: true, happens: true });
    plans
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_run_of_a_correct_system_passes(plans in proptest::collection::vec(plan(), 1..25)) {
        let record = run(&plans, |_, _| {});
        prop_assert!(verdict(&record), "{:?}", Txns::of(&record).judged(Budget::default()));
    }

    #[test]
    fn a_read_that_misses_the_end_is_judged_as_by_trying_every_order(
        plans in proptest::collection::vec(plan(), 2..7),
        which in 0usize..6,
        missing in 1usize..3,
    ) {
        let record = run(&with_final_reads(plans), |read, values| {
            if read == which {
                values.truncate(values.len().saturating_sub(missing));
            }
        });
        let txns = gather(&record);
        let found = Txns::of(&record).judged(Budget::default());
        prop_assert_eq!(found.evidence.is_empty(), oracle(&txns), "{:?} {:?}", txns, found);
    }

    #[test]
    fn what_it_calls_wrong_no_order_explains(
        plans in proptest::collection::vec(plan(), 2..7),
        which in 0usize..8,
        swap in any::<bool>(),
    ) {
        let record = run(&plans, |read, values| {
            if read == which && swap {
                values.reverse();
            } else if read == which {
                values.pop();
            }
        });
        let txns = gather(&record);
        prop_assert!(verdict(&record) || !oracle(&txns), "{:?}", txns);
    }
}

#[test]
fn ten_thousand_transactions_in_real_time_are_judged_in_linear_space() {
    let plans: Vec<_> = (0..10_000)
        .map(|i| Plan {
            steps: vec![(i % 3 == 0, (i % 50) as Key), (false, (i % 50) as Key)],
            invoked: i,
            took: 20,
            point: 500,
            known: true,
            happens: true,
        })
        .collect();
    let mut record = run(&plans, |_, _| {});
    assert_eq!(ListAppend::default().check(&record).verdict, Verdict::Pass);
    // One late transaction sees a list as it was in the beginning.
    let late = record.operations.len() - 1;
    if let Outcome::Ok(Reply::Txn(saw)) = &mut record.operations[late].outcome {
        saw[1] = saw[1].as_ref().map(|v| v[..1].to_vec());
    }
    let finding = ListAppend::default().check(&record);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.evidence.iter().any(|l| l.contains("did not see in k")), "{finding:#?}");
}
