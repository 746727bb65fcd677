//! What there is to tell of one run of one scenario, whether it was judged, broke off or could not begin.
//! This is the document of `report::json`, field by field; `docs/report.md` explains it. All times are
//! counted from the beginning of the drill.
//!
//! Deliberately absent: the operations. They are in the run's folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::check::explanation::Explanation;
use crate::check::{CaseKind, Finding, Judgement, Verdict};
use crate::history::Record;

use super::facts;

/// How a case or a run came out; a later one is worse, and the worst wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was not tried, because it cannot be done here (no such capability, no such program).
    Skipped,
    /// What was promised was kept.
    Pass,
    /// It cannot be said.
    Inconclusive,
    /// What was promised was broken.
    Fail,
}

impl From<Verdict> for Status {
    fn from(verdict: Verdict) -> Status {
        match verdict {
            Verdict::Pass => Status::Pass,
            Verdict::Inconclusive => Status::Inconclusive,
            Verdict::Fail => Status::Fail,
        }
    }
}

impl Status {
    /// The word for it: `pass`, `fail`, `inconclusive`, `skipped`.
    pub fn word(self) -> &'static str {
        match self {
            Status::Skipped => "skipped",
            Status::Pass => "pass",
            Status::Inconclusive => "inconclusive",
            Status::Fail => "fail",
        }
    }
    /// What several come to: the worst; of none, inconclusive (nothing that was done promises nothing).
    pub fn worst(all: impl IntoIterator<Item = Status>) -> Status {
        all.into_iter().max().unwrap_or(Status::Inconclusive)
    }
}

/// One run of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The scenario's name; its file's name where it could not be read.
    pub scenario: String,
    /// The scenario's file, as it was given.
    pub file: String,
    /// How the run came out.
    pub verdict: Status,
    /// The name of the run. `None`: it did not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run's folder, as a path that the reader can open. `None`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// A file to offer beside a failure (GitLab shows it), as a path that the reader can open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    /// The seed that the plan was drawn with. `None`: it did not come to a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What the command line replaced in the scenario, as `path=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    /// `local`, `docker` or `kubernetes`. `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The version of firedrill that made the record.
    pub version: String,
    /// The digest of the plan: the same plan has the same digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// When the drill began by the wall clock, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// How long the run took, in seconds, as far as the record goes.
    pub seconds: f64,
    /// The user's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The nodes, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeReport>,
    /// What the clients were to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadReport>,
    /// What became of the clients' operations under load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Operations>,
    /// When the load began: time zero of the plan, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_began_s: Option<f64>,
    /// What was injected, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultReport>,
    /// What else happened (deaths, changes of leader, how members stand), in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventReport>,
    /// What was judged, in the order drill, faults, checks.
    pub cases: Vec<CaseReport>,
    /// The figures of all cases, as `case.figure` with the unit last (`recovery.recovery_ms`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// Why it ended before its plan was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// What could not be restored, each with the command that restores it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// The zone that it stands in.
    pub zone: String,
}

/// What the clients were to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadReport {
    /// The client's name.
    pub client: String,
    /// The model's name.
    pub model: String,
    /// How many operations may be in flight at once.
    pub workers: u32,
    /// The offered rate, in operations a second.
    pub rate_per_s: f64,
    /// How many objects there are.
    pub keys: u32,
    /// How long a client waits for an answer, in milliseconds.
    pub timeout_ms: f64,
}

/// What became of the operations under load. Final reads are not among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// Those that started.
    pub invoked: u64,
    /// Those that took effect for certain.
    pub ok: u64,
    /// Those that did not, for certain.
    pub failed: u64,
    /// Those of which it is not known.
    pub unknown: u64,
    /// Those that were due and that no free worker could start.
    pub dropped: u64,
    /// Of `ok`, from the intended start to the return. `None`: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<LatencyMs>,
}

impl Operations {
    /// Successful / due, from 0 to 1. `None`: nothing was due.
    pub fn availability(&self) -> Option<f64> {
        let due = self.invoked + self.dropped;
        (due > 0).then(|| self.ok as f64 / due as f64)
    }
}

/// Latencies in milliseconds, exact: the smallest value that this share of the operations does not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyMs {
    /// The median.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// All.
    pub max: f64,
}

/// A fault of the plan, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Its place in the plan, from 0.
    pub id: u32,
    /// Its name in the catalogue.
    pub fault: String,
    /// What it did to whom, in words.
    pub what: String,
    /// The line of the scenario that asks for it, from 1.
    pub line: u32,
    /// The nodes it made suffer.
    pub nodes: Vec<String>,
    /// When the plan wanted it, in seconds.
    pub planned_at_s: f64,
    /// How long the plan wanted it, in seconds.
    pub planned_for_s: f64,
    /// The injection. `None`: it did not come to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected: Option<Applied>,
    /// The heal. `None`: it did not come to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed: Option<Applied>,
    /// What the orchestrator noticed of it, and how long it took to: `node: words` each, in seconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noticed: Vec<String>,
}

/// An injection or a heal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// When it was begun, in seconds.
    pub issued_s: f64,
    /// When it was complete on every node, in seconds.
    pub effective_s: f64,
    /// What was measured, `node: words` each.
    pub proof: Vec<String>,
    /// Why it is not proven. `None`: it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproven: Option<String>,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventReport {
    /// When it was seen, in seconds.
    pub at_s: f64,
    /// What, in words.
    pub what: String,
}

/// What was judged, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// Unique in a run, stable over the seeds and runs of one scenario.
    pub name: String,
    /// What it is about.
    pub kind: CaseKind,
    /// The line of the scenario that asks for it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// How it came out.
    pub status: Status,
    /// One line, the point first.
    pub summary: String,
    /// What proves it, in lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Figures by name, with the unit last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// What can be drawn of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanations: Vec<Explanation>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl CaseReport {
    /// A case about the drill itself, or about what a scenario asks for, that is known without a record.
    pub fn new(name: impl Into<String>, status: Status, summary: impl Into<String>) -> CaseReport {
        CaseReport {
            name: name.into(),
            kind: CaseKind::Drill,
            line: None,
            status,
            summary: summary.into(),
            evidence: vec![],
            figures: BTreeMap::new(),
            explanations: vec![],
            seconds: 0.0,
        }
    }
}

impl RunReport {
    /// The report of a run that was recorded and judged. `folder` is where the record lies.
    pub fn judged(record: &Record, judgement: &Judgement, folder: Option<String>) -> RunReport {
        facts::of(record, judgement, folder)
    }

    /// The report of a run that ended before there was a record (a scenario with mistakes, a target that
    /// did not start): inconclusive, with one case `drill begins`. `why` in lines, the point first.
    pub fn broke_off(scenario: &str, file: &str, why: &str) -> RunReport {
        RunReport::unrecorded(scenario, file, Status::Inconclusive, why)
    }

    /// The report of a run that was not tried, because it cannot be done here.
    pub fn skipped(scenario: &str, file: &str, why: &str) -> RunReport {
        RunReport::unrecorded(scenario, file, Status::Skipped, why)
    }

    /// The report of a history that somebody else recorded: one case of this name.
    pub fn of_history(
        name: &str,
        file: &str,
        case: &str,
        finding: Finding,
        seconds: f64,
    ) -> RunReport {
        let status = finding.verdict.into();
        let mut own = CaseReport::new(case, status, finding.summary);
        own.kind = CaseKind::Check;
        own.evidence = finding.evidence;
        own.explanations = finding.explanations;
        own.figures.clone_from(&finding.figures);
        own.seconds = seconds;
        let figures = finding.figures.into_iter();
        let mut report = RunReport::unrecorded(name, file, status, "");
        report.figures =
            figures.map(|(figure, value)| (format!("{case}.{figure}"), value)).collect();
        report.seconds = seconds;
        report.cases = vec![own];
        report
    }

    fn unrecorded(scenario: &str, file: &str, status: Status, why: &str) -> RunReport {
        let (summary, evidence) = why.split_once('\n').unwrap_or((why, ""));
        let mut case = CaseReport::new("drill begins", status, summary);
        case.evidence = evidence.lines().map(String::from).collect();
        RunReport {
            scenario: scenario.into(),
            file: file.into(),
            verdict: status,
            run: None,
            folder: None,
            attachment: None,
            seed: None,
            set: vec![],
            target: None,
            version: env!("CARGO_PKG_VERSION").into(),
            plan_digest: None,
            began: None,
            seconds: 0.0,
            labels: BTreeMap::new(),
            nodes: vec![],
            workload: None,
            operations: None,
            load_began_s: None,
            faults: vec![],
            events: vec![],
            cases: vec![case],
            figures: BTreeMap::new(),
            aborted: None,
            left_behind: vec![],
        }
    }

    /// With the seed that its plan was or would have been drawn with.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> RunReport {
        self.seed = Some(seed);
        self
    }

    /// With what the command line replaced in the scenario.
    #[must_use]
    pub fn with_set(mut self, set: &[(String, String)]) -> RunReport {
        self.set = set.iter().map(|(path, value)| format!("{path}={value}")).collect();
        self
    }

    /// With a file to offer beside each failure.
    #[must_use]
    pub fn with_attachment(mut self, path: impl Into<String>) -> RunReport {
        self.attachment = Some(path.into());
        self
    }

    /// With the target that it was meant for.
    #[must_use]
    pub fn with_target(mut self, target: impl Into<String>) -> RunReport {
        self.target = Some(target.into());
        self
    }

    /// With a case more, and the verdict that it then comes to (a fault that this target cannot inject, say).
    #[must_use]
    pub fn with_case(mut self, case: CaseReport) -> RunReport {
        self.verdict = self.verdict.max(case.status);
        self.cases.push(case);
        self
    }
}
