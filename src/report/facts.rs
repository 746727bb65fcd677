//! From a record and its judgement to a [`RunReport`]: what is counted and copied for every report alike.

use std::collections::BTreeMap;

use crate::check::{Case, Judgement};
use crate::history::{
    Change, FaultSpan, NodeEventKind, Operation, Outcome, Record, Stage, Standing, Time,
};
use crate::inventory::NodeId;

use super::noticed;
use super::run::{
    Applied, CaseReport, EventReport, FaultReport, LatencyMs, NodeReport, Operations, RunReport,
    WorkloadReport,
};

/// The report of a judged record.
pub(super) fn of(record: &Record, judgement: &Judgement, folder: Option<String>) -> RunReport {
    let header = &record.header;
    let nodes = header.inventory.nodes().iter();
    let load_began = record.load.map(|load| load.began);
    RunReport {
        scenario: header.scenario.clone(),
        file: header.file.clone(),
        verdict: judgement.verdict.into(),
        run: Some(header.run.clone()),
        folder,
        attachment: None,
        set: vec![],
        seed: Some(header.seed),
        target: Some(header.target.clone()),
        version: header.version.clone(),
        plan_digest: Some(header.plan_digest.clone()),
        began: Some(header.began.clone()),
        seconds: last_instant(record).as_secs_f64(),
        labels: header.labels.clone(),
        nodes: nodes.map(|n| NodeReport { name: n.id.to_string(), zone: n.zone.clone() }).collect(),
        workload: Some(WorkloadReport {
            client: header.workload.client.clone(),
            model: header.workload.model.clone(),
            workers: header.workload.workers,
            rate_per_s: header.workload.rate.per_second(),
            keys: header.workload.keys,
            timeout_ms: header.workload.timeout.0.as_secs_f64() * 1e3,
        }),
        operations: load_began.map(|_| operations(record)),
        load_began_s: load_began.map(Time::as_secs_f64),
        faults: record
            .faults
            .iter()
            .map(|f| fault(record, f, load_began.unwrap_or_default()))
            .collect(),
        events: events(record),
        cases: judgement.cases.iter().map(case).collect(),
        figures: figures(judgement),
        aborted: match &record.end {
            Some(end) => end.aborted.clone(),
            None => Some("the runner ended before the drill did".into()),
        },
        left_behind: record.end.as_ref().map(|end| end.left_behind.clone()).unwrap_or_default(),
    }
}

/// Until when the record goes. The end is missing where the runner died.
fn last_instant(record: &Record) -> Time {
    let operations = record.operations.iter().map(|o| o.returned.unwrap_or(o.invoked));
    let nodes = record.nodes.iter().map(|n| n.at);
    let faults = record.faults.iter().flat_map(|f| [&f.injected, &f.healed]).flatten();
    let end = record.end.iter().map(|e| e.at);
    operations.chain(nodes).chain(faults.map(|c| c.measured)).chain(end).max().unwrap_or_default()
}

fn operations(record: &Record) -> Operations {
    let load = || record.operations.iter().filter(|o| o.stage == Stage::Load);
    let count = |is: fn(&Outcome) -> bool| load().filter(|o| is(&o.outcome)).count() as u64;
    Operations {
        invoked: load().count() as u64,
        ok: count(|o| matches!(o, Outcome::Ok(_))),
        failed: count(|o| matches!(o, Outcome::Fail(_))),
        unknown: count(|o| matches!(o, Outcome::Unknown(_))),
        dropped: record.dropped.len() as u64,
        latency_ms: latency(load()),
    }
}

fn latency<'a>(operations: impl Iterator<Item = &'a Operation>) -> Option<LatencyMs> {
    let successful = operations.filter(|o| o.outcome.is_ok());
    let mut nanos: Vec<u64> =
        successful.filter_map(|o| Some(o.returned?.0.saturating_sub(o.intended.0))).collect();
    nanos.sort_unstable();
    let at = |share: f64| {
        let rank = (share * nanos.len() as f64).ceil() as usize;
        nanos.get(rank.max(1) - 1).map(|n| *n as f64 / 1e6)
    };
    Some(LatencyMs { p50: at(0.5)?, p99: at(0.99)?, max: at(1.0)? })
}

fn fault(record: &Record, span: &FaultSpan, load_began: Time) -> FaultReport {
    FaultReport {
        id: span.id,
        fault: span.fault.clone(),
        what: span.what.clone(),
        line: span.line,
        nodes: span.nodes.iter().map(ToString::to_string).collect(),
        planned_at_s: (load_began + span.planned_at).as_secs_f64(),
        planned_for_s: span.planned_for.as_secs_f64(),
        injected: span.injected.as_ref().map(applied),
        healed: span.healed.as_ref().map(applied),
        noticed: noticed::of_fault(record, span),
    }
}

fn applied(change: &Change) -> Applied {
    Applied {
        issued_s: change.issued.as_secs_f64(),
        effective_s: change.effective.as_secs_f64(),
        proof: change.evidence.iter().map(|e| format!("{}: {}", e.node, e.measured)).collect(),
        unproven: change.unproven.clone(),
    }
}

fn events(record: &Record) -> Vec<EventReport> {
    let mut stood: BTreeMap<&NodeId, &Standing> = BTreeMap::new();
    let mut told = vec![];
    for event in &record.nodes {
        let node = &event.node;
        let what = match &event.kind {
            NodeEventKind::Died(how) => format!("{node} died, and not by firedrill: {how}"),
            NodeEventKind::Leads => format!("{node} leads"),
            NodeEventKind::Started
            | NodeEventKind::Ready
            | NodeEventKind::Ended(_)
            | NodeEventKind::Noticed(_) => continue,
            NodeEventKind::Stands { standing, .. } => {
                // Full is what a member should be, and what has not changed is no event.
                let before = stood.insert(node, standing).unwrap_or(&Standing::Full);
                match standing {
                    standing if standing.says_as(before) => continue,
                    Standing::Full => format!("{node} stands full again"),
                    standing => format!("{node} is {}", standing.words()),
                }
            }
        };
        told.push(EventReport { at_s: event.at.as_secs_f64(), what });
    }
    told
}

fn case(case: &Case) -> CaseReport {
    CaseReport {
        name: case.name.clone(),
        kind: case.kind,
        line: case.line,
        status: case.finding.verdict.into(),
        summary: case.finding.summary.clone(),
        evidence: case.finding.evidence.clone(),
        figures: finite(&case.finding.figures).map(|(name, v)| (name.clone(), v)).collect(),
        explanations: case.finding.explanations.clone(),
        seconds: case.seconds,
    }
}

fn figures(judgement: &Judgement) -> BTreeMap<String, f64> {
    let all = judgement.cases.iter().flat_map(|case| {
        let name = slug(&case.name);
        finite(&case.finding.figures).map(move |(figure, v)| (format!("{name}.{figure}"), v))
    });
    all.collect()
}

/// A name that needs no quoting anywhere: `fault 1 kill: injected` is `fault-1-kill-injected`.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// JSON knows no NaN and no infinity; a figure that is one says nothing.
fn finite(figures: &BTreeMap<String, f64>) -> impl Iterator<Item = (&String, f64)> {
    figures.iter().map(|(name, value)| (name, *value)).filter(|(_, value)| value.is_finite())
}
