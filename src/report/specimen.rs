//! Runs for the tests of this room: one in which everything that can be told is told, and one that passed.

use std::sync::Arc;
use std::time::Duration;

use crate::check::{Case, CaseKind, Finding, Judgement};
use crate::history::{
    Call, Change, End, Evidence, FaultSpan, Header, LoadSpan, NodeEvent, NodeEventKind, Operation,
    Outcome, Record, Reply, Stage, Time, WorkloadFacts,
};
use crate::inventory::{Inventory, Node};
use crate::quantity::{Rate, Span};

use super::run::{CaseReport, RunReport, Status};

fn at(ms: u64) -> Time {
    Time(ms * 1_000_000)
}

fn header() -> Header {
    let node = |id: &str, zone: &str| Node {
        id: id.into(),
        zone: zone.into(),
        endpoints: Default::default(),
    };
    Header {
        run: "r1".into(),
        scenario: "leader-datacenter-loss".into(),
        file: "scenarios/leader-datacenter-loss.yaml".into(),
        labels: [("tier".to_string(), "nightly".to_string())].into(),
        seed: 42,
        plan_digest: "0123456789abcdef".into(),
        target: "local".into(),
        version: "0.1.0".into(),
        began: "2026-11-23T12:00:00Z".into(),
        inventory: Inventory::new(vec![node("n1", "dc1"), node("n2", "dc1"), node("n3", "dc2")]),
        workload: WorkloadFacts {
            client: "store".into(),
            model: "register".into(),
            workers: 10,
            rate: Rate::per_second_of(500.0).unwrap(),
            keys: 50,
            timeout: Span::secs(1),
        },
    }
}

fn change(issued_ms: u64, measured: &str) -> Change {
    let evidence = |node: &str| Evidence { node: node.into(), measured: measured.into() };
    Change {
        issued: at(issued_ms),
        effective: at(issued_ms + 12),
        measured: at(issued_ms + 20),
        evidence: vec![evidence("n1"), evidence("n2")],
        unproven: None,
    }
}

pub(super) fn record() -> Record {
    let operation = |id: u64, outcome: Outcome| Operation {
        id,
        process: 0,
        node: None,
        intended: at(2_000 + 10 * id),
        invoked: at(2_000 + 10 * id),
        returned: Some(at(2_004 + 11 * id)),
        stage: Stage::Load,
        call: Call::Read { key: 1 },
        outcome,
    };
    Record {
        operations: vec![
            operation(0, Outcome::Ok(Reply::Value(None))),
            operation(1, Outcome::Ok(Reply::Done)),
            operation(2, Outcome::Fail(Arc::from("no leader"))),
        ],
        dropped: vec![at(2_100)],
        faults: vec![FaultSpan {
            id: 0,
            fault: "datacenter-loss".into(),
            what: "kill n1, n2 (dc1)".into(),
            line: 18,
            nodes: vec!["n1".into(), "n2".into()],
            planned_at: Duration::from_secs(8),
            planned_for: Duration::from_secs(15),
            injected: Some(change(10_000, "connect refused after 0.2 ms")),
            healed: Some(change(25_000, "answers after 310 ms")),
        }],
        nodes: vec![NodeEvent { at: at(10_900), node: "n3".into(), kind: NodeEventKind::Leads }],
        load: Some(LoadSpan { began: at(2_000), ended: Some(at(62_000)) }),
        end: Some(End { at: at(65_000), aborted: None, left_behind: vec![] }),
        ..Record::empty(header())
    }
}

fn case(name: &str, kind: CaseKind, line: Option<u32>, finding: Finding, seconds: f64) -> Case {
    Case { name: name.into(), kind, line, finding, seconds }
}

fn proven() -> Vec<Case> {
    let name = "fault 1 datacenter-loss";
    vec![
        case("steady state", CaseKind::Drill, None, Finding::pass("100% of 500/s for 2 s"), 2.0),
        case(
            &format!("{name}: injected"),
            CaseKind::Injection,
            Some(18),
            Finding::pass("proven on 2 nodes").with_figure("took_ms", 12.0),
            0.012,
        ),
        case(
            &format!("{name}: healed"),
            CaseKind::Heal,
            Some(18),
            Finding::pass("proven on 2 nodes"),
            0.012,
        ),
    ]
}

/// One case of every kind and status.
pub(super) fn failed() -> RunReport {
    let recovery = Finding::fail("recovery 41.2 s, allowed 30 s")
        .with_evidence([
            "fault 1 kill n1, n2 (dc1), confirmed at 10.012 s".to_string(),
            "no write was acknowledged from 10.012 s to 51.2 s; clients \
             heard `no leader` 9,120 times"
                .to_string(),
        ])
        .with_figure("recovery_ms", 41_200.0)
        .with_figure("resolution_ms", 20.0);
    let mut cases = proven();
    let check = CaseKind::Check;
    cases.push(case("linearizable", check, Some(30), Finding::pass("50 keys, 3 operations"), 0.2));
    cases.push(case("recovery", check, Some(31), recovery, 0.001));
    let latency = Finding::inconclusive("2 operations after it, 100 needed");
    cases.push(case("latency", check, Some(32), latency, 0.0));
    let mut skipped = CaseReport::new(
        "fault 3 clock-skew",
        Status::Skipped,
        "the local target cannot change a node's clock; docker can",
    );
    skipped.line = Some(25);
    RunReport::judged(&record(), &Judgement::of(cases), Some("reports/r1".into()))
        .with_attachment("reports/r1/history.jsonl.zst")
        .with_case(skipped)
}

/// All that was promised was kept.
pub(super) fn passed() -> RunReport {
    let mut cases = proven();
    let recovery =
        Finding::pass("recovery 2.1 s, allowed 30 s").with_figure("recovery_ms", 2_100.0);
    cases.push(case("recovery", CaseKind::Check, Some(31), recovery, 0.001));
    RunReport::judged(&record(), &Judgement::of(cases), Some("reports/r1".into()))
}
