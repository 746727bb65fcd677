//! The weak levels of registers against trying every order of commits, by the axioms of Biswas & Enea as they stand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::oracle::{Step, Txn, history, plan, run};
use super::serial::cases;
use crate::check::Budget;
use crate::check::isolation::weak::{Level, check};
use crate::check::isolation::{Verdict, Workload};
use crate::history::transactions::Outcome;

/// Nobody: the beginning.
const INIT: usize = usize::MAX;

struct Facts {
    /// Of each transaction: key and writer of its reads of others, in their order.
    reads: Vec<Vec<(u32, usize)>>,
    writes: Vec<Vec<u32>>,
    /// By sessions or reads, directly.
    direct: Vec<Vec<bool>>,
    counts: Vec<usize>,
}

/// `None`: some read is wrong by itself.
fn facts(txns: &[Txn]) -> Option<Facts> {
    let mut writer: BTreeMap<(u32, i64), (usize, usize)> = BTreeMap::new();
    for (i, txn) in txns.iter().enumerate() {
        for (at, (key, step)) in txn.steps.iter().enumerate() {
            if let Step::Write(value) = step {
                writer.insert((*key, *value), (i, at));
            }
        }
    }
    let n = txns.len();
    let (mut reads, mut writes) = (vec![vec![]; n], vec![vec![]; n]);
    let mut is_read = vec![false; n];
    for (i, txn) in txns.iter().enumerate() {
        let mut own: BTreeMap<u32, i64> = BTreeMap::new();
        for (at, (key, step)) in txn.steps.iter().enumerate() {
            match step {
                Step::Write(value) => {
                    own.insert(*key, *value);
                    writes[i].push(*key);
                }
                Step::Read(Some(_)) if txn.head.outcome != Outcome::Ok => {}
                Step::Read(Some(saw)) => match (own.get(key), saw.last()) {
                    (Some(mine), Some(value)) if mine == value => {}
                    (Some(_), _) => return None,
                    (None, None) => reads[i].push((*key, INIT)),
                    (None, Some(value)) => {
                        let (other, place) = *writer.get(&(*key, *value))?;
                        let later = txns[other].steps[place + 1..].iter();
                        let last =
                            !later.clone().any(|(k, s)| k == key && matches!(s, Step::Write(_)));
                        if txns[other].head.outcome == Outcome::Fail || !last || other == i {
                            return None;
                        }
                        let _ = at;
                        is_read[other] = true;
                        reads[i].push((*key, other));
                    }
                },
                Step::Read(None) => {}
            }
        }
    }
    let counts: Vec<usize> =
        (0..n).filter(|i| txns[*i].head.outcome == Outcome::Ok || is_read[*i]).collect();
    let mut direct = vec![vec![false; n]; n];
    for a in &counts {
        for b in &counts {
            let of = |i: usize| (txns[i].head.invoked, i);
            let session = txns[*a].head.process == txns[*b].head.process && of(*a) < of(*b);
            direct[*a][*b] = session || reads[*b].iter().any(|(_, from)| from == a);
        }
    }
    Some(Facts { reads, writes, direct, counts })
}

/// Whether an order of commits keeps to the axiom.
fn keeps(facts: &Facts, order: &[usize], level: Level) -> bool {
    let place = |i: usize| order.iter().position(|o| *o == i).map_or(0, |at| at + 1);
    let n = facts.direct.len();
    let mut happens = facts.direct.clone();
    for k in 0..n {
        for a in 0..n {
            for b in 0..n {
                happens[a][b] |= happens[a][k] && happens[k][b];
            }
        }
    }
    for a in &facts.counts {
        for b in &facts.counts {
            if facts.direct[*a][*b] && place(*a) >= place(*b) {
                return false;
            }
        }
    }
    facts.counts.iter().all(|t3| {
        facts.reads[*t3].iter().enumerate().all(|(at, (key, t1))| {
            facts.counts.iter().all(|t2| {
                let seen = match level {
                    Level::ReadCommitted => {
                        facts.reads[*t3][..at].iter().any(|(_, from)| from == t2)
                    }
                    Level::ReadAtomic => facts.direct[*t2][*t3],
                    _ => happens[*t2][*t3],
                };
                !seen
                    || t1 == t2
                    || !facts.writes[*t2].contains(key)
                    || (*t1 != INIT && place(*t2) < place(*t1))
            })
        })
    })
}

fn explained(txns: &[Txn], level: Level) -> bool {
    fn go(facts: &Facts, order: &mut Vec<usize>, level: Level) -> bool {
        if order.len() == facts.counts.len() {
            return keeps(facts, order, level);
        }
        for i in facts.counts.clone() {
            if !order.contains(&i) {
                order.push(i);
                if go(facts, order, level) {
                    return true;
                }
                order.pop();
            }
        }
        false
    }
    facts(txns).is_some_and(|facts| go(&facts, &mut vec![], level))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 2, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn weak_levels_are_judged_as_by_trying_every_order_of_commits(
        plans in proptest::collection::vec(plan(), 1..6),
    ) {
        let txns = run(&plans);
        let history = history(&txns, Workload::RwRegister);
        for level in [Level::ReadCommitted, Level::ReadAtomic, Level::Causal] {
            let report = check(&history, level, &Budget::default());
            prop_assert_eq!(report.verdict == Verdict::Valid, explained(&txns, level),
                "{:?} {:#?} {:#?}", level, txns, report);
        }
    }
}
