//! Invented drills in which members go and come back, or do not.

use super::invented::{kill, ms, record, whole};
use super::spec::Redundancy;
use super::{Finding, Spec, Verdict};
use crate::history::{NodeEvent, NodeEventKind, Record, Standing};
use crate::quantity::Span;

fn check(record: &Record) -> Finding {
    Spec::Redundancy(Redundancy { within: Span::secs(5) }).build().check(record)
}

fn absent() -> Standing {
    Standing::Absent("no connection: Connection refused".into())
}

/// Found at this instant; asked before 600 ms earlier.
fn found(record: &mut Record, at: f64, node: &str, standing: Standing) {
    let after = ms((at - 600.0).max(0.0));
    let kind = NodeEventKind::Stands { standing, after };
    record.nodes.push(NodeEvent { at: ms(at), node: node.into(), kind });
}

fn happened(record: &mut Record, at: f64, node: &str, kind: NodeEventKind) {
    record.nodes.push(NodeEvent { at: ms(at), node: node.into(), kind });
}

/// n1 is killed from 4 s to 8 s; `course` says what is found of it. The others are full. Asked until `end`.
fn drill(course: &[(f64, Standing)], end: f64) -> Record {
    let mut record = record("register");
    whole(&mut record, 12_000.0);
    record.faults = vec![kill(0, ms(4000.0), ms(8000.0))];
    for node in ["n1", "n2", "n3"] {
        found(&mut record, 100.0, node, Standing::Full);
    }
    for (at, standing) in course {
        found(&mut record, *at, "n1", standing.clone());
    }
    let last = course.last().map_or(Standing::Full, |(_, standing)| standing.clone());
    for (node, standing) in [("n1", last), ("n2", Standing::Full), ("n3", Standing::Full)] {
        found(&mut record, end, node, standing);
    }
    record
}

#[test]
fn a_member_that_is_back_in_time_passes_with_figure_and_resolution() {
    let behind = Standing::Behind("12 entries of the log short".into());
    let course = [(4500.0, absent()), (8300.0, behind), (9500.0, Standing::Full)];
    let finding = check(&drill(&course, 12_000.0));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    let words = "every member full 1.500 s \u{b1} 600 ms after the heal, allowed 5s";
    assert_eq!(finding.summary, words);
    let line = "fault 1: kill n1: every member full 1.500 s \u{b1} 600 ms after the heal, allowed \
                5s; the last was n1, behind: 12 entries of the log short";
    assert_eq!(finding.evidence, [line]);
    assert_eq!(finding.figures["redundancy_ms"], 1500.0);
    assert_eq!(finding.figures["fault1_redundancy_resolution_ms"], 600.0);
}

#[test]
fn a_member_that_never_comes_back_is_named_with_what_it_said_and_since_when() {
    let mut record = drill(&[(4500.0, absent())], 13_500.0);
    happened(&mut record, 8100.0, "n1", NodeEventKind::Started);
    happened(&mut record, 8400.0, "n1", NodeEventKind::Died("exit code 1".into()));
    record.nodes.sort_by_key(|event| event.at);
    let finding = check(&record);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    let words = "fault 1: kill n1: n1 is not back 5.500 s after the heal, allowed 5s: absent (no \
                 connection: Connection refused), not full since 4.500 s, its process died at \
                 8.400 s: exit code 1";
    assert_eq!(finding.summary, words);
    let story = [
        "0.100 s  n1: full",
        "4.500 s  n1: absent: no connection: Connection refused",
        "8.100 s  n1: its process is started",
        "8.400 s  n1: its process died: exit code 1",
        "13.500 s  n1: asked for the last time: still so",
    ];
    assert_eq!(finding.evidence, story);
    assert!(!finding.figures.contains_key("redundancy_ms"), "{finding:?}");
}

#[test]
fn a_member_that_comes_back_too_late_fails_with_the_figure() {
    let finding = check(&drill(&[(4500.0, absent()), (13_100.0, Standing::Full)], 14_000.0));
    assert_eq!(finding.verdict, Verdict::Fail);
    let words = "fault 1: kill n1: every member full 5.100 s \u{b1} 600 ms after the heal, allowed \
                 5s; the last was n1, absent: no connection: Connection refused";
    assert_eq!(finding.summary, words);
}

#[test]
fn a_member_that_comes_and_goes_is_back_when_it_stays() {
    let flap = |last: f64| {
        let full = Standing::Full;
        let course = [(4500.0, absent()), (8500.0, full.clone()), (9000.0, absent()), (last, full)];
        check(&drill(&course, 14_000.0))
    };
    assert_eq!(flap(9500.0).figures["redundancy_ms"], 1500.0);
    assert_eq!(flap(13_500.0).verdict, Verdict::Fail);
}

#[test]
fn a_member_that_no_ask_found_missing_was_full_to_the_spacing_of_the_asks() {
    let finding = check(&drill(&[], 12_000.0));
    assert_eq!(finding.verdict, Verdict::Pass);
    assert_eq!(finding.summary, "every member full from the heal on \u{b1} 600 ms, allowed 5s");
}

#[test]
fn where_nobody_can_tell_it_is_inconclusive_with_the_remedy() {
    let mut record = drill(&[], 12_000.0);
    record.nodes.clear();
    let finding = check(&record);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.summary.contains("no member was asked"), "{}", finding.summary);

    let unknown = || Standing::Unknown("the client asks members nothing".into());
    for node in ["n1", "n2", "n3"] {
        found(&mut record, 100.0, node, unknown());
    }
    record.header.workload.client = "exec".into();
    let finding = check(&record);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    for words in ["nobody can say how n3 stands: the client asks members nothing", "`standings`"] {
        assert!(finding.summary.contains(words), "{}", finding.summary);
    }
    // One that is gone for certain is no less gone for it.
    let mut record = drill(&[(4500.0, absent())], 13_500.0);
    found(&mut record, 13_600.0, "n2", unknown());
    assert_eq!(check(&record).verdict, Verdict::Fail);
}

#[test]
fn a_member_that_was_not_full_before_the_first_fault_was_not_lost_by_it() {
    let mut record = drill(&[(4500.0, absent())], 13_500.0);
    record.nodes.retain(|e| e.node.as_str() != "n1" || e.at > ms(4000.0));
    let finding = check(&record);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:?}");
    assert!(finding.summary.contains("not full before the first fault"), "{}", finding.summary);
}

#[test]
fn an_unproven_heal_blames_only_whom_it_started() {
    let mut record = drill(&[(4500.0, absent())], 13_500.0);
    record.faults[0].healed.as_mut().unwrap().unproven = Some("n1: not ready".into());
    let finding = check(&record);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:?}");
    assert!(finding.summary.contains("the heal is not proven: it may suffer still"), "{finding:?}");
    happened(&mut record, 8100.0, "n1", NodeEventKind::Started);
    let finding = check(&record);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.summary.contains("; it was started again, and the heal is not proven"));
}

#[test]
fn too_little_time_after_the_heal_is_no_figure() {
    let finding = check(&drill(&[(4500.0, absent())], 10_000.0));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:?}");
    assert!(
        finding.summary.contains("only 2.000 s until the members were asked last"),
        "{}",
        finding.summary
    );
    // Not asked since: full as before says nothing.
    assert_eq!(check(&drill(&[], 8300.0)).verdict, Verdict::Inconclusive);
}

#[test]
fn where_the_next_fault_strikes_first_the_figure_is_an_upper_bound() {
    let second = |from: f64, to: f64, back: f64| {
        let mut record = drill(&[(4500.0, absent()), (back, Standing::Full)], 30_000.0);
        record.faults.push(kill(1, ms(from), ms(to)));
        check(&record)
    };
    let finding = second(9000.0, 10_000.0, 11_000.0);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    assert!(finding.evidence[0].contains("at most 3.000 s"), "{finding:?}");
    assert!(finding.evidence[1].contains("full 1.000 s"), "{finding:?}");
    let finding = second(9000.0, 10_000.0, 14_000.0);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:?}");
    assert!(finding.summary.contains("only 1.000 s until the next fault: leave more time"));
    // Overlapping faults: counted from the last heal.
    let finding = second(6000.0, 12_000.0, 13_000.0);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    assert_eq!(finding.figures["fault1_redundancy_ms"], 1000.0);
}

#[test]
fn what_came_to_no_injection_or_no_heal_has_no_figure() {
    let mut record = drill(&[], 12_000.0);
    record.faults[0].healed = None;
    assert!(check(&record).summary.contains("it came to no heal"));
    record.faults[0].injected = None;
    assert!(check(&record).summary.contains("it came to no injection"));
    record.faults.clear();
    assert_eq!(check(&record).verdict, Verdict::Inconclusive);
}
