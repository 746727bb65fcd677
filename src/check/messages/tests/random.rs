//! Random histories: of logs that are right, and of any.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Anomaly, Verdict, check};
use super::{cases, judged, messages, oracle, text};

/// Process, what, log, and how many or which.
type Plan = (u32, u8, usize, u64);

const LOGS: [&str; 2] = ["x", "y"];

/// What clients of correct logs are told. Polls go on where they were; offsets have gaps.
fn right(plans: &[Plan]) -> String {
    let mut logs: [Vec<(u64, usize)>; 2] = [vec![], vec![]];
    let mut at: BTreeMap<(u32, usize), usize> = BTreeMap::new();
    let mut lines = vec![];
    let mut process = [0_u32, 1, 2];
    for (i, (who, what, log, n)) in plans.iter().enumerate() {
        let (slot, name) = (*who as usize, LOGS[*log]);
        let p = process[slot];
        let offset = logs[*log].last().map_or(0, |(offset, _)| offset + 1 + n % 2);
        match what {
            0..8 => {
                logs[*log].push((offset, i));
                lines.push(format!("{p} s {name} {i} {offset}"));
            }
            8 => lines.push(format!("{p} s! {name} {i}")),
            9 => {
                if n % 2 == 0 {
                    logs[*log].push((offset, i));
                }
                lines.push(format!("{p} s? {name} {i}"));
                process[slot] += 3;
            }
            10 => {
                at.retain(|(own, key), _| *own != p || key == log);
                lines.push(format!("{p} a {name}"));
            }
            11 => {
                at.retain(|(own, _), _| *own != p);
                lines.push(format!("{p} z {name}"));
            }
            _ => {
                let from = at.entry((p, *log)).or_default();
                let read: Vec<_> = logs[*log].iter().skip(*from).take(*n as usize).collect();
                *from += read.len();
                let read = read.iter().map(|(offset, value)| format!(" {offset}:{value}"));
                lines.push(format!("{p} p {name}{}", read.collect::<String>()));
            }
        }
    }
    // All is read once more at the end.
    for (name, log) in LOGS.iter().zip(&logs) {
        let read = log.iter().map(|(offset, value)| format!(" {offset}:{value}"));
        lines.push(format!("99 p {name}{}", read.collect::<String>()));
    }
    lines.join(";")
}

/// Anything: few offsets and messages, so that they meet.
fn any(plans: &[Plan]) -> String {
    let mut lines = vec![];
    for (i, (p, what, log, n)) in plans.iter().enumerate() {
        let (name, other) = (LOGS[*log], LOGS[1 - *log]);
        let (a, b, c) = (n % 5, n / 5 % 5, n / 25 % 5);
        let (v, w) = (n / 7 % 9, n / 3 % 9);
        lines.push(match what {
            0..5 => format!("{p} s {name} {i} {a}"),
            5 => format!("{p} s! {name} {i} {a}"),
            6 => format!("{p} s? {name} {i} {a}"),
            7 => format!("{p} t s {name} {i} {a} s {name} {}  {b} p {other} {c}:{v}", i + 50),
            8 => format!("{p} a {name}"),
            9 => format!("{p} a! {name}"),
            10 | 20 | 21 => format!("{p} u {name}"),
            11 => format!("{p} z {name}"),
            12 => format!("{p} p! {name} {a}:{v}"),
            13 => format!("{p} pr {name} {a}:{v} {b}:{w}"),
            14 => format!("{p} p? {name} {a}:{v}"),
            15 => format!("{p} p {name} {a}:{v} {b}:{w} {other} {c}:{v}"),
            16 => format!("{p} t? s {name} {i} {a} s {other} {i} {b}"),
            17 => format!("{p} s {name} {i} -"),
            18 => format!("{p} t s {name} {i} {a} p {name} {a}:{i}"),
            _ => format!("{p} p {name} {a}:{v} {b}:{w}"),
        });
    }
    lines.join(";")
}

fn plans(what: u8, most: usize) -> impl Strategy<Value = Vec<Plan>> {
    proptest::collection::vec((0..3_u32, 0..what, 0..2_usize, 0..500_u64), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(300), failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_found_of_right_logs(plans in plans(20, 60)) {
        let plans: Vec<Plan> = plans.iter().map(|(p, w, l, n)| (*p, *w, *l, n % 4)).collect();
        let lines = right(&plans);
        let report = judged(&lines);
        prop_assert!(report.found.is_empty(), "{lines} {:?}", report);
        prop_assert_eq!(&report.verdict, &Verdict::Valid);
    }

    #[test]
    fn all_is_found_that_the_definitions_say(plans in plans(28, 18)) {
        let lines = any(&plans);
        let history = messages(&text(&lines));
        let report = check(&history);
        let found: oracle::Counts =
            report.found.iter().map(|f| ((f.anomaly, f.excused), f.count)).collect();
        prop_assert_eq!(oracle::counts(&history), found, "{}", lines);
        let wrong = report.found.iter().any(|f| !f.excused);
        prop_assert_eq!(wrong, report.verdict == Verdict::Violated);
    }
}

#[test]
fn random_histories_have_every_anomaly() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut met: BTreeMap<(Anomaly, bool), usize> = BTreeMap::new();
    for _ in 0..300 {
        let plans = plans(28, 18).new_tree(&mut runner).unwrap().current();
        for found in judged(&any(&plans)).found {
            *met.entry((found.anomaly, found.excused)).or_default() += 1;
        }
    }
    let all = Anomaly::ALL.map(|a| (a, a == Anomaly::Unseen));
    let excused = [(Anomaly::PollSkip, true), (Anomaly::NonmonotonicPoll, true)];
    for kind in all.into_iter().chain(excused) {
        assert!(met.get(&kind).is_some_and(|n| *n > 5), "{kind:?}: {met:?}");
    }
}

#[test]
fn names_are_told_apart() {
    let names: std::collections::BTreeSet<&str> = Anomaly::ALL.iter().map(|a| a.name()).collect();
    assert_eq!(names.len(), Anomaly::ALL.len());
}
