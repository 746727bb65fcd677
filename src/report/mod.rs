//! A judgement to bytes: JUnit for continuous integration, JSON for programs, text and Markdown for people.
//! All of them render the same [`RunReport`], so that they cannot disagree.
//!
//! Pure: no clock, no file, no terminal. Deliberately absent: any judgement of its own, and printing.

pub mod annotations;
mod facts;
pub mod json;
pub mod junit;
mod layout;
pub mod markdown;
mod noticed;
mod plain;
pub mod plan_text;
mod run;
pub mod text;

#[cfg(test)]
mod specimen;

pub(crate) use layout::plural;
pub use plain::plain;
pub use run::{
    Applied, CaseReport, EventReport, FaultReport, LatencyMs, NodeReport, Operations, RunReport,
    Status, WorkloadReport,
};

/// A report that cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The XML writer refused.
    #[error("JUnit report: {0}")]
    Junit(#[from] junit_report::SerializeError),
    /// The JSON writer refused.
    #[error("JSON report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Names for several runs in one report: the scenario's name, and `#2` and so on behind its repetitions.
pub fn suite_names(runs: &[RunReport]) -> Vec<String> {
    let names: Vec<String> = runs.iter().map(|r| plain(&r.scenario)).collect();
    unique(&names, |name, n| format!("{name} #{n}"))
}

/// The names, each of them once: what came before is told apart by its number, from 2 on.
fn unique(names: &[String], numbered: impl Fn(&str, usize) -> String) -> Vec<String> {
    let mut taken = std::collections::BTreeSet::new();
    let mut unique = Vec::with_capacity(names.len());
    for name in names {
        let mut candidate = name.clone();
        let mut n = 1;
        while !taken.insert(candidate.clone()) {
            n += 1;
            candidate = numbered(name, n);
        }
        unique.push(candidate);
    }
    unique
}
