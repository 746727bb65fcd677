//! The judgement as a whole, and the checks that touch the world.

use std::time::{Duration, Instant};

use super::invented::{add, done, kill, ms, record, unknown, whole};
use super::spec::{self, LostWrites, Recovery};
use super::{CaseKind, Judgement, Spec, Verdict, judge};
use crate::history::{Call, NodeEvent, NodeEventKind, Record};
use crate::quantity::Span;

fn drilled() -> Record {
    let mut record = record("register");
    whole(&mut record, 10_000.0);
    for i in 0..1000 {
        let at = f64::from(i) * 10.0;
        let call = Call::Write { key: 0, value: i64::from(i) };
        add(&mut record, i as u32, call, ms(at), ms(at + 2.0), done());
    }
    record.faults.push(kill(0, ms(3000.0), ms(5000.0)));
    record
}

fn checks() -> Vec<(Spec, Option<u32>)> {
    let recovery = || Spec::Recovery(Recovery::within(Span::secs(5)));
    vec![(Spec::Linearizable, Some(20)), (recovery(), Some(21)), (recovery(), Some(22))]
}

fn verdict_of(judgement: &Judgement, name: &str) -> Verdict {
    let case = judgement.cases.iter().find(|c| c.name == name);
    case.unwrap_or_else(|| panic!("no case {name}: {judgement:#?}")).finding.verdict
}

#[test]
fn a_good_drill_passes_and_its_cases_are_named_by_plan_and_checks_alone() {
    let judgement = judge(&drilled(), &checks());
    let names: Vec<_> = judgement.cases.iter().map(|c| c.name.as_str()).collect();
    let drill = ["steady state", "drill ran to its end", "nodes", "enough work"];
    let rest = [
        "fault 1 kill: injected",
        "fault 1 kill: healed",
        "linearizable",
        "recovery",
        "recovery 2",
    ];
    assert_eq!(names, [&drill[..], &rest[..]].concat());
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert_eq!(judgement.cases[6].line, Some(20));
    assert_eq!(judgement.cases[4].kind, CaseKind::Injection);
}

#[test]
fn without_a_check_nothing_was_promised() {
    assert_eq!(judge(&drilled(), &[]).verdict, Verdict::Inconclusive);
}

#[test]
fn what_was_not_proven_is_inconclusive() {
    type Spoil = (&'static str, fn(&mut Record));
    let spoil: [Spoil; 8] = [
        ("fault 1 kill: injected", |r| r.faults[0].injected = None),
        ("fault 1 kill: healed", |r| r.faults[0].healed = None),
        ("fault 1 kill: injected", |r| {
            r.faults[0].injected.as_mut().unwrap().unproven = Some("still answers".into());
        }),
        ("fault 1 kill: healed", |r| r.faults[0].healed.as_mut().unwrap().evidence.clear()),
        ("steady state", |r| r.steady.as_mut().unwrap().held = false),
        ("drill ran to its end", |r| r.end = None),
        ("drill ran to its end", |r| r.end.as_mut().unwrap().aborted = Some("SIGTERM".into())),
        ("drill ran to its end", |r| r.end.as_mut().unwrap().left_behind.push("n1".into())),
    ];
    for (name, spoil) in spoil {
        let mut record = drilled();
        spoil(&mut record);
        let judgement = judge(&record, &checks());
        assert_eq!(verdict_of(&judgement, name), Verdict::Inconclusive, "{name}");
        assert!(judgement.verdict >= Verdict::Inconclusive);
    }
}

#[test]
fn a_node_that_died_by_itself_is_named_with_time_cause_and_fault() {
    let mut record = drilled();
    let kind = NodeEventKind::Died("signal 6".into());
    record.nodes.push(NodeEvent { at: ms(4000.0), node: "n2".into(), kind });
    let judgement = judge(&record, &checks());
    assert_eq!(verdict_of(&judgement, "nodes"), Verdict::Inconclusive);
    let words = &judgement.cases[2].finding.summary;
    assert_eq!(words, "node n2 died at 4.000 s of signal 6, during fault 1: kill n1");
    let allowed = (Spec::NodeDeaths(spec::NodeDeaths { max: 1 }), None);
    assert_eq!(judge(&record, &[allowed]).verdict, Verdict::Pass);
}

#[test]
fn clients_that_did_no_work_prove_nothing() {
    for keep in [0.0..0.0, 0.0..3000.0, 0.0..5000.0, 3000.0..10_000.0] {
        let mut record = drilled();
        record.operations.retain(|o| o.invoked >= ms(keep.start) && o.invoked < ms(keep.end));
        let judgement = judge(&record, &[(Spec::LostWrites(LostWrites { max: 0 }), None)]);
        assert_eq!(verdict_of(&judgement, "enough work"), Verdict::Inconclusive, "{keep:?}");
    }
    let mut record = drilled();
    record.operations.iter_mut().for_each(|o| o.outcome = unknown());
    assert_eq!(verdict_of(&judge(&record, &checks()), "enough work"), Verdict::Inconclusive);
}

#[test]
fn a_baseline_without_faults_is_said_to_be_one() {
    let mut record = drilled();
    record.faults.clear();
    let judgement = judge(&record, &[(Spec::Linearizable, None)]);
    assert_eq!(judgement.verdict, Verdict::Pass);
    assert!(judgement.cases.iter().any(|c| c.finding.summary.contains("baseline")));
}

#[test]
fn a_check_that_does_not_fit_the_model_is_inconclusive() {
    let judgement = judge(&drilled(), &[(Spec::Counter, None)]);
    assert_eq!(verdict_of(&judgement, "counter"), Verdict::Inconclusive);
}

#[test]
fn no_check_panics_on_an_empty_record_or_passes_it() {
    for entry in super::catalogue() {
        let spec = match entry.name.as_str() {
            "lost-writes" => r#"{"lost-writes": {"max": 0}}"#.to_string(),
            "recovery" => r#"{"recovery": {"within": "1s"}}"#.to_string(),
            "redundancy" => r#"{"redundancy": {"within": "1s"}}"#.to_string(),
            "availability" => r#"{"availability": {"at_least": "1%"}}"#.to_string(),
            "latency" => r#"{"latency": {"max": "1s"}}"#.to_string(),
            "exec" => r#"{"exec": {"command": []}}"#.to_string(),
            "sessions" => r#"{"sessions": {"guarantees": ["causal"]}}"#.to_string(),
            "node-deaths" => continue,
            plain => format!("\"{plain}\""),
        };
        let spec: Spec = serde_json::from_str(&spec).unwrap();
        let finding = spec.build().check(&record("register"));
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{}: {finding:?}", entry.name);
    }
}

fn exec(script: &str, timeout: Span) -> super::Finding {
    let command = vec!["sh".into(), "-c".into(), script.into()];
    Spec::Exec(spec::Exec { command, timeout, name: None }).build().check(&drilled())
}

#[test]
fn a_check_program_that_goes_wrong_is_inconclusive_with_what_it_said() {
    let finding = exec("echo broken >&2; exit 3", Span::secs(20));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.summary.contains("exit status: 3"), "{}", finding.summary);
    assert_eq!(finding.evidence, ["stderr: broken"]);
    let finding = exec("cat >/dev/null; echo fine", Span::secs(20));
    assert!(finding.summary.contains("not a verdict"), "{}", finding.summary);
    let nothing = vec!["/nonexistent/check".to_string()];
    let spec = spec::Exec { command: nothing, timeout: Span::secs(20), name: None };
    let finding = Spec::Exec(spec).build().check(&drilled());
    assert!(finding.summary.contains("cannot be started"), "{}", finding.summary);
}

#[test]
fn a_check_program_that_hangs_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let began = Instant::now();
    let script = format!("sleep 300 & echo $! > {}; wait", file.display());
    let finding = exec(&script, Span::millis(500));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.summary.contains("no answer within 500ms, killed"), "{}", finding.summary);
    assert!(began.elapsed() < Duration::from_secs(60), "it did not wait for the sleep");
    let pid = std::fs::read_to_string(&file).unwrap();
    // The signal is sent; the kernel may take a moment to end it.
    let ended = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()));
        status.map_or(true, |s| s.contains("State:\tZ"))
    };
    let dead =
        (0..1000).any(|_| ended() || (std::thread::sleep(Duration::from_millis(10)), false).1);
    assert!(dead, "the grandchild lives");
}
