//! Serializability, by sessions and by real time too, against trying every order.

use proptest::prelude::*;

use super::oracle::{Keeps, Meddle, Step, Txn, explained, history, plan, run, with_final_reads};
use crate::check::isolation::{Model, Options, Verdict, Workload, check};
use crate::history::transactions::Outcome;

const LEVELS: [(Model, Keeps); 3] = [
    (Model::Serializable, Keeps::Nothing),
    (Model::StrongSessionSerializable, Keeps::Processes),
    (Model::StrongSerializable, Keeps::Time),
];

pub fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

/// How many transactions may have appended to a key what nobody read.
fn unread(txns: &[Txn], key: u32) -> usize {
    let own = |t: &Txn| t.steps.iter().filter(|(k, _)| *k == key).cloned().collect::<Vec<_>>();
    let seen: Vec<i64> = txns
        .iter()
        .flat_map(own)
        .filter_map(|(_, step)| if let Step::Read(values) = step { values } else { None })
        .flatten()
        .collect();
    let unread = |t: &&Txn| {
        let appends = |(_, step): (u32, Step)| matches!(step, Step::Write(v) if !seen.contains(&v));
        t.head.outcome != Outcome::Fail && own(t).into_iter().any(appends)
    };
    txns.iter().filter(unread).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn what_is_called_wrong_no_order_explains(plans in proptest::collection::vec(plan(), 1..7)) {
        let txns = run(&plans);
        for workload in [Workload::ListAppend, Workload::RwRegister] {
            let history = history(&txns, workload);
            for (model, keeps) in LEVELS {
                let report = check(&history, workload, &Options::model(model));
                prop_assert!(
                    report.verdict != Verdict::Invalid || !explained(&txns, workload, keeps),
                    "{workload:?} {model} {txns:#?} {report:#?}"
                );
            }
        }
    }

    #[test]
    fn lists_whose_order_is_known_are_judged_as_by_trying_every_order(
        plans in proptest::collection::vec(plan(), 1..6),
    ) {
        let txns = run(&with_final_reads(plans));
        // Appends of one transaction that the others read are those that happened: all of them are read in the end.
        let history = history(&txns, Workload::ListAppend);
        for (model, keeps) in LEVELS {
            let report = check(&history, Workload::ListAppend, &Options::model(model));
            let explained = explained(&txns, Workload::ListAppend, keeps);
            prop_assert_eq!(report.verdict != Verdict::Invalid, explained,
                "{} {:#?} {:#?}", model, txns, report);
        }
    }

    #[test]
    fn lists_that_pass_without_an_order_have_appends_that_nobody_read(
        plans in proptest::collection::vec(plan(), 1..6),
    ) {
        let txns = run(&plans);
        let history = history(&txns, Workload::ListAppend);
        for (model, keeps) in LEVELS {
            let report = check(&history, Workload::ListAppend, &Options::model(model));
            if report.verdict != Verdict::Invalid
                && !explained(&txns, Workload::ListAppend, keeps)
            {
                // Of one such append to a key the place is known: behind all others.
                prop_assert!((0..3).any(|key| unread(&txns, key) > 1), "{model} {txns:#?}");
            }
        }
    }

    #[test]
    fn a_correct_system_passes(mut plans in proptest::collection::vec(plan(), 1..40)) {
        for plan in &mut plans {
            plan.steps.iter_mut().for_each(|step| step.2 = Meddle::No);
        }
        let txns = run(&plans);
        for workload in [Workload::ListAppend, Workload::RwRegister] {
            let options = Options::model(Model::StrongSerializable);
            let report = check(&history(&txns, workload), workload, &options);
            prop_assert!(report.verdict != Verdict::Invalid, "{txns:#?} {report:#?}");
        }
    }
}

/// How many wrong histories of registers pass, since their order of versions is not known: hardly any.
#[test]
fn most_wrong_histories_of_registers_are_found() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let plans = proptest::collection::vec(plan(), 2..6);
    for (model, keeps) in LEVELS {
        let (mut wrong, mut found) = (0, 0);
        for _ in 0..2000 {
            let txns = run(&plans.new_tree(&mut runner).unwrap().current());
            let workload = Workload::RwRegister;
            if !explained(&txns, workload, keeps) {
                wrong += 1;
                let report = check(&history(&txns, workload), workload, &Options::model(model));
                found += u32::from(report.verdict == Verdict::Invalid);
            }
        }
        println!("{model}: {found} of {wrong}");
        assert!(wrong > 150 && found * 100 >= wrong * 99, "{model}: {found} of {wrong}");
    }
}
