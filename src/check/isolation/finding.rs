//! What was found of a history of transactions, as the verdict of a check.

use super::long_fork;
use super::weak::{self, Level};
use super::{Anomaly, Model, Models, Options, Report, Verdict, Workload, check};
use crate::check::{Budget, Finding, tell};
use crate::history::transactions::Transactions;

/// So many anomalies are shown with their proof.
const SHOWN: usize = 4;

/// What a history is judged by.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Models that should hold, and anomalies that should not be seen, of lists or registers.
    Models(Workload, Options),
    /// A weak level, of registers, and what judging may take.
    Level(Level, Budget),
    /// Readers of the same keys each see all that the other one does, or the other way round.
    NoLongFork,
}

impl Wanted {
    /// What a history that is as it should be is called.
    fn name(&self) -> String {
        let models = match self {
            Wanted::Models(_, options) => options.models,
            Wanted::Level(level, _) => return format!("as {} wants it", level.name()),
            Wanted::NoLongFork => return "without long forks".into(),
        };
        match models.iter().collect::<Vec<_>>().as_slice() {
            [] => "without what should not be seen".into(),
            [Model::StrongSerializable] => "strictly serializable".into(),
            [Model::Serializable] => "serializable".into(),
            all => format!("as {} wants it", words(all.iter().map(|model| model.name()))),
        }
    }
}

/// Judges a history.
pub fn finding(history: &Transactions, wanted: &Wanted) -> Finding {
    if history.is_empty() {
        return Finding::inconclusive("there was no transaction");
    }
    let report = match wanted {
        Wanted::Models(workload, options) => check(history, *workload, options),
        Wanted::Level(level, budget) => weak::check(history, *level, budget),
        Wanted::NoLongFork => return long_fork::finding(history),
    };
    let n = tell::count(history.len(), "transaction");
    let mut finding = match report.verdict {
        Verdict::Valid => {
            let how_far = report.why.unwrap_or_else(|| "as far as the reads tell".into());
            Finding::pass(format!("{n} are {}, {how_far}", wanted.name()))
        }
        Verdict::Unknown => {
            let why = report.why.unwrap_or_else(|| "nothing can be said".into());
            Finding::inconclusive(format!("{why}, of {n}"))
        }
        Verdict::Invalid => {
            let names = words(report.anomalies.iter().map(Anomaly::name));
            let finding = Finding::fail(format!("{names}: {n} are not {}", wanted.name()));
            let drawn = report.evidence.iter().filter_map(|evidence| evidence.drawn.clone());
            finding.with_evidence(lines(&report)).with_explanations(drawn.take(SHOWN))
        }
    };
    finding = finding.with_figure("transactions", history.len() as f64);
    finding.with_figure("anomalies", report.anomalies.iter().count() as f64)
}

/// The models that do not hold, and the proofs, the plainest first.
fn lines(report: &Report) -> Vec<String> {
    let all = |models: Models| words(models.iter().map(Model::name));
    let mut lines = vec![];
    if !report.not.is_empty() {
        lines.push(format!("the weakest models that do not hold: {}", all(report.not)));
    }
    if !report.also_not.is_empty() {
        lines.push(format!("and so neither do {}", all(report.also_not)));
    }
    let mut told = vec![];
    // One of each anomaly first.
    let (first, again): (Vec<_>, Vec<_>) = report.evidence.iter().partition(|evidence| {
        let new = !told.contains(&evidence.anomaly);
        told.push(evidence.anomaly);
        new
    });
    for evidence in first.into_iter().chain(again).take(SHOWN) {
        lines.push(format!("{}:", evidence.anomaly.told()));
        lines.extend(evidence.words.iter().map(|line| format!("  {line}")));
    }
    lines
}

fn words<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.collect::<Vec<_>>().join(", ")
}
