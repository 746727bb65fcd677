//! JUnit XML as Jenkins and GitLab read it: one suite a run, one case for each thing that was judged.
//! There is no official schema; this follows the conventions collected at
//! <https://github.com/testmoapp/junitxml>. `tests/schemas/junit.xsd` holds what we promise of them.
//!
//! Invariants: (classname, name) is unique in a file, since GitLab drops what comes second; neither has a
//! seed or a time in it, since both readers compare a case with the same case of earlier runs.

use std::time::Duration;

use junit_report::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::plain::one_line;
use super::run::{CaseReport, RunReport, Status};
use super::{ReportError, plain, suite_names, text, unique};

/// All runs as one file, in their order.
pub fn render(runs: &[RunReport]) -> Result<String, ReportError> {
    let mut report = Report::new("firedrill");
    report.set_time(runs.iter().map(|run| duration(run.seconds)).sum());
    let numbered = |name: &str, n| format!("{name} #{n}");
    // Names that differ only in what a line, or a package, cannot hold must differ here as well.
    let names: Vec<String> = suite_names(runs).iter().map(|name| label(name)).collect();
    let names = unique(&names, numbered);
    let classes: Vec<String> = names.iter().map(|name| classname(name)).collect();
    let classes = unique(&classes, numbered);
    for ((run, name), class) in runs.iter().zip(&names).zip(&classes) {
        report.add_test_suite(suite(run, name, class));
    }
    Ok(report.to_string()?)
}

fn suite(run: &RunReport, name: &str, class: &str) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.set_time(duration(run.seconds));
    // As a free attribute, because the typed one wants another crate's time. What is no time stays out.
    let began = run.began.as_deref().and_then(|began| began.parse::<jiff::Timestamp>().ok());
    if let Some(began) = began {
        suite.extra.insert("timestamp".into(), began.to_string().into());
    }
    suite.extra.insert("file".into(), label(&run.file).into());
    for (name, value) in properties(run) {
        suite.add_property((name.as_str(), one_line(&value).as_str()));
    }
    let names: Vec<String> = run.cases.iter().map(|case| label(&case.name)).collect();
    for (case, name) in run.cases.iter().zip(unique(&names, |name, n| format!("{name} ({n})"))) {
        suite.add_test_case(test_case(run, case, class, &name));
    }
    suite.set_system_out(plain(&text::timeline(run)));
    suite
}

/// One line that is not empty: readers show a name in a table, and drop a case that has none.
fn label(text: &str) -> String {
    let line = one_line(text);
    if line.is_empty() { "(unnamed)".into() } else { line }
}

/// Jenkins takes what stands before the last dot for a package, so the name must have none of its own.
fn classname(suite: &str) -> String {
    format!("drills.{}", suite.replace('.', "_"))
}

fn test_case(run: &RunReport, case: &CaseReport, classname: &str, name: &str) -> TestCase {
    let mut status = match case.status {
        Status::Pass => TestCaseStatus::success(),
        Status::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Inconclusive => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Skipped => TestCaseStatus::skipped(),
    };
    let details = plain(&details(case));
    status.set_message(label(&case.summary));
    status.set_type(case.status.word());
    status.set_description(details.as_str());
    let mut output = vec![];
    if case.status == Status::Pass {
        output.push(details);
    }
    let failed = matches!(case.status, Status::Fail | Status::Inconclusive);
    if let Some(path) = run.attachment.as_ref().filter(|_| failed) {
        output.push(format!("[[ATTACHMENT|{}]]", one_line(path)));
    }
    let mut test_case = TestCase::new(name, status);
    test_case.set_classname(classname).set_time(duration(case.seconds));
    test_case.extra.insert("file".into(), label(&run.file).into());
    if let Some(line) = case.line {
        test_case.extra.insert("line".into(), line.to_string().into());
    }
    if !output.is_empty() {
        test_case.set_system_out(output.join("\n"));
    }
    test_case
}

fn details(case: &CaseReport) -> String {
    let mut lines = vec![case.summary.clone()];
    lines.extend(case.evidence.iter().cloned());
    lines.join("\n")
}

fn properties(run: &RunReport) -> Vec<(String, String)> {
    let mut all = vec![("verdict".to_string(), run.verdict.word().to_string())];
    let mut add = |name: &str, value: Option<String>| {
        all.extend(value.map(|value| (name.to_string(), value)));
    };
    add("seed", run.seed.map(|seed| seed.to_string()));
    add("target", run.target.clone());
    add("version", Some(run.version.clone()));
    add("plan_digest", run.plan_digest.clone());
    add("run", run.run.clone());
    add("folder", run.folder.clone());
    add("client", run.workload.as_ref().map(|w| w.client.clone()));
    add("model", run.workload.as_ref().map(|w| w.model.clone()));
    add("nodes", Some(run.nodes.len()).filter(|n| *n > 0).map(|n| n.to_string()));
    add("aborted", run.aborted.clone());
    for left in &run.left_behind {
        add("left_behind", Some(left.clone()));
    }
    if let Some(operations) = &run.operations {
        add("operations.invoked", Some(operations.invoked.to_string()));
        add("operations.ok", Some(operations.ok.to_string()));
        add("operations.dropped", Some(operations.dropped.to_string()));
        add("operations.availability", operations.availability().map(|a| format!("{a:.6}")));
        add("operations.p50_ms", operations.latency_ms.map(|l| format!("{:.3}", l.p50)));
        add("operations.p99_ms", operations.latency_ms.map(|l| format!("{:.3}", l.p99)));
    }
    for (name, value) in &run.labels {
        add(&format!("label.{}", label(name)), Some(value.clone()));
    }
    for (name, value) in &run.figures {
        add(&label(name), Some(value.to_string()));
    }
    all
}

/// Seconds that are none (negative, not a number, beyond all bounds) are zero.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    fn parsed(runs: &[RunReport]) -> Report {
        Report::deserialize_from_str(&render(runs).unwrap()).unwrap()
    }

    fn case_named<'a>(report: &'a Report, name: &str) -> &'a TestCase {
        let mut cases = report.test_suites.iter().flat_map(|s| &s.test_cases);
        cases.find(|c| c.name.as_str() == name).unwrap_or_else(|| panic!("no case {name}"))
    }

    #[test]
    fn a_broken_promise_is_a_failure_with_the_point_first_and_its_evidence() {
        let report = parsed(&[specimen::failed()]);
        let case = case_named(&report, "recovery");
        let TestCaseStatus::NonSuccess { kind, message, description, .. } = &case.status else {
            panic!("not a failure: {:?}", case.status)
        };
        assert_eq!(*kind, NonSuccessKind::Failure);
        assert_eq!(message.as_deref(), Some("recovery 41.2 s, allowed 30 s"));
        let text = description.as_deref().unwrap();
        assert!(text.starts_with("recovery 41.2 s, allowed 30 s\n"), "{text}");
        assert!(text.contains("no write was acknowledged from 10.012 s to 51.2 s"), "{text}");
        assert_eq!(case.classname.as_deref(), Some("drills.leader-datacenter-loss"));
        assert_eq!(case.extra["file"].as_str(), "scenarios/leader-datacenter-loss.yaml");
        assert_eq!(case.extra["line"].as_str(), "31");
        let output = case.system_out.as_deref().unwrap();
        assert_eq!(output, "[[ATTACHMENT|reports/r1/history.jsonl.zst]]");
    }

    #[test]
    fn what_cannot_be_said_is_an_error_and_what_cannot_be_done_is_skipped() {
        let report = parsed(&[specimen::failed()]);
        let unsaid = &case_named(&report, "latency").status;
        let error = NonSuccessKind::Error;
        assert!(matches!(unsaid, TestCaseStatus::NonSuccess { kind, .. } if *kind == error));
        let undone = &case_named(&report, "fault 3 clock-skew").status;
        assert!(matches!(undone, TestCaseStatus::Skipped { .. }));
        let suite = &report.test_suites[0];
        assert_eq!((suite.failures, suite.errors, suite.skipped, suite.tests), (1, 1, 1, 7));
    }

    #[test]
    fn the_properties_hold_what_a_later_reader_asks_for() {
        let report = parsed(&[specimen::failed()]);
        let properties = &report.test_suites[0].properties;
        let value = |name: &str| {
            let found = properties.iter().find(|p| p.name.as_str() == name);
            found.map(|p| p.value.as_str().to_string())
        };
        assert_eq!(value("seed").as_deref(), Some("42"));
        assert_eq!(value("target").as_deref(), Some("local"));
        assert_eq!(value("plan_digest").as_deref(), Some("0123456789abcdef"));
        assert_eq!(value("recovery.recovery_ms").as_deref(), Some("41200"));
        assert_eq!(value("label.tier").as_deref(), Some("nightly"));
        assert_eq!(value("operations.availability").as_deref(), Some("0.500000"));
    }

    #[test]
    fn repetitions_are_suites_of_their_own_and_no_case_is_there_twice() {
        let mut twice = specimen::passed();
        twice.cases.push(twice.cases[0].clone());
        let report = parsed(&[twice.clone(), twice, specimen::failed()]);
        let names: Vec<&str> = report.test_suites.iter().map(|s| s.name.as_str()).collect();
        let first = "leader-datacenter-loss";
        assert_eq!(names, [first, &format!("{first} #2"), &format!("{first} #3")]);
        let cases = report.test_suites.iter().flat_map(|s| &s.test_cases);
        let mut keys: Vec<_> = cases.map(|c| (c.classname.clone(), c.name.clone())).collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all, "GitLab would drop a case");
    }

    #[test]
    fn names_do_not_depend_on_seed_or_time() {
        let (mut other, run) = (specimen::failed(), specimen::failed());
        other.seed = Some(7);
        other.began = Some("2030-01-01T00:00:00Z".into());
        let names = |run| parsed(&[run]).test_suites[0].test_cases.clone();
        let key = |c: TestCase| (c.classname, c.name);
        let of = |run| names(run).into_iter().map(key).collect::<Vec<_>>();
        assert_eq!(of(other), of(run));
    }

    #[test]
    fn a_run_that_did_not_begin_is_a_suite_with_one_error() {
        let why = "node n1: did not become ready within 10 s\nlast lines of its log:\n  disk full";
        let report = parsed(&[RunReport::broke_off("x", "x.yaml", why).with_seed(3)]);
        let case = case_named(&report, "drill begins");
        let TestCaseStatus::NonSuccess { kind, message, description, .. } = &case.status else {
            panic!("not an error: {:?}", case.status)
        };
        assert_eq!(*kind, NonSuccessKind::Error);
        assert_eq!(message.as_deref(), Some("node n1: did not become ready within 10 s"));
        assert!(description.as_deref().unwrap().contains("disk full"));
    }

    #[test]
    fn nothing_that_a_node_says_breaks_the_file() {
        let nasty =
            "]]> <x a=\"b\"> & \u{1b}[31mred\u{1b}]0;t \0\u{b}\u{fffe}\u{ffff}\u{85} \u{1f525}\n'";
        let mut run = specimen::failed();
        for case in &mut run.cases {
            case.name = format!("{}{nasty}", case.name);
            case.summary = nasty.into();
            case.evidence = vec![nasty.into()];
        }
        run.scenario = nasty.into();
        run.file = nasty.into();
        run.seconds = f64::NAN;
        let report = parsed(&[run]);
        assert_eq!(report.test_suites[0].test_cases.len(), 7);
    }
}
