//! Snapshot isolation, by sessions and by real time too, against trying every order of begins and commits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::oracle::{Keeps, Meddle, Step, Txn, history, plan, run, runs, with_final_reads};
use super::serial::cases;
use crate::check::Budget;
use crate::check::isolation::{Model, Options, Verdict, Workload, check, weak};
use crate::history::transactions::Outcome;

const LEVEL: weak::Level = weak::Level::SnapshotIsolation;

const LEVELS: [(Model, Keeps); 3] = [
    (Model::SnapshotIsolation, Keeps::Nothing),
    (Model::StrongSessionSnapshotIsolation, Keeps::Processes),
    (Model::StrongSnapshotIsolation, Keeps::Time),
];

type State = BTreeMap<u32, Vec<i64>>;

/// Whether some order of begins and commits explains it: everybody reads what had been committed when it began, and
/// what it wrote itself, and nobody commits who writes what another wrote in the meantime.
fn explained(txns: &[Txn], workload: Workload, keeps: Keeps) -> bool {
    let all: Vec<&Txn> = txns.iter().filter(|t| t.head.outcome != Outcome::Fail).collect();
    go(
        &all,
        &mut vec![None; all.len()],
        &mut vec![false; all.len()],
        &State::new(),
        workload,
        keeps,
    )
}

fn go(
    all: &[&Txn],
    begun: &mut Vec<Option<State>>,
    done: &mut Vec<bool>,
    state: &State,
    workload: Workload,
    keeps: Keeps,
) -> bool {
    if all.iter().zip(&*done).all(|(t, done)| *done || t.head.outcome == Outcome::Info) {
        return true;
    }
    for i in 0..all.len() {
        if done[i] {
            continue;
        }
        let Some(seen) = begun[i].clone() else {
            let precedes = |j: usize| keeps.precedes((j, all[j]), (i, all[i]));
            if (0..all.len()).any(|j| j != i && !done[j] && precedes(j)) {
                continue;
            }
            begun[i] = Some(state.clone());
            if runs(all[i], &mut state.clone(), workload)
                && go(all, begun, done, state, workload, keeps)
            {
                return true;
            }
            begun[i] = None;
            continue;
        };
        let mut after = state.clone();
        let mut fits = true;
        for (key, step) in &all[i].steps {
            if let Step::Write(value) = step {
                fits &= state.get(key) == seen.get(key);
                after.entry(*key).or_default().push(*value);
            }
        }
        done[i] = true;
        if fits && go(all, begun, done, &after, workload, keeps) {
            return true;
        }
        done[i] = false;
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 4, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn what_is_called_wrong_no_snapshots_explain(
        plans in proptest::collection::vec(plan(), 1..5),
    ) {
        let txns = run(&plans);
        for workload in [Workload::ListAppend, Workload::RwRegister] {
            for (model, keeps) in LEVELS {
                let report = check(&history(&txns, workload), workload, &Options::model(model));
                prop_assert!(
                    report.verdict != Verdict::Invalid || !explained(&txns, workload, keeps),
                    "{workload:?} {model} {txns:#?} {report:#?}"
                );
            }
        }
    }

    #[test]
    fn what_is_called_wrong_as_a_weak_level_no_snapshots_explain(
        plans in proptest::collection::vec(plan(), 1..5),
    ) {
        let mut txns = run(&plans);
        // Whoever is unknown has no place in a session.
        txns.retain(|t| t.head.outcome != Outcome::Info);
        let report =
            weak::check(&history(&txns, Workload::RwRegister), LEVEL, &Budget::default());
        prop_assert!(
            report.verdict != Verdict::Invalid
                || !explained(&txns, Workload::RwRegister, Keeps::Sessions),
            "{txns:#?} {report:#?}"
        );
    }

    #[test]
    fn lists_whose_order_is_known_are_judged_as_by_trying_all_snapshots(
        plans in proptest::collection::vec(plan(), 1..4),
        skewed in any::<bool>(),
    ) {
        let mut txns = run(&with_final_reads(plans));
        if skewed {
            skew(&mut txns);
        }
        for (model, keeps) in LEVELS {
            let workload = Workload::ListAppend;
            let report = check(&history(&txns, workload), workload, &Options::model(model));
            prop_assert_eq!(report.verdict != Verdict::Invalid, explained(&txns, workload, keeps),
                "{} {:#?} {:#?}", model, txns, report);
        }
    }
}

/// The first reads of all but the last see nothing of the others: as with snapshots of the beginning.
fn skew(txns: &mut [Txn]) {
    let last = txns.len() - 1;
    for txn in &mut txns[..last] {
        let mut own: Vec<(u32, i64)> = vec![];
        for (key, step) in &mut txn.steps {
            match step {
                Step::Write(value) => own.push((*key, *value)),
                Step::Read(Some(values)) => {
                    *values = own.iter().filter(|(k, _)| k == key).map(|(_, v)| *v).collect();
                }
                Step::Read(None) => {}
            }
        }
    }
}

#[test]
fn write_skew_is_no_anomaly_of_snapshots() {
    use crate::history::transactions::Transaction;
    let head = |process| Transaction::new(process, 0, Some(10), Outcome::Ok);
    let txn = |process, read, write, value| Txn {
        head: head(process),
        steps: vec![(read, Step::Read(Some(vec![]))), (write, Step::Write(value))],
    };
    let txns = [txn(0, 0, 1, 1), txn(1, 1, 0, 2)];
    for workload in [Workload::ListAppend, Workload::RwRegister] {
        let of = |model| check(&history(&txns, workload), workload, &Options::model(model)).verdict;
        assert_eq!(of(Model::StrongSnapshotIsolation), Verdict::Valid);
        assert_eq!(of(Model::Serializable), Verdict::Invalid);
        assert_eq!(of(Model::RepeatableRead), Verdict::Invalid);
    }
    let _ = Meddle::No;
}
