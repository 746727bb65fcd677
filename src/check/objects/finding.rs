//! What was found of a history of an object, as the verdict of a check.

use super::recorded::Recorded;
use super::{Answer, evidence_steps};
use crate::check::{Finding, tell};

/// Judges a history. `steps`: what a search may take, for each independent part.
pub fn finding(recorded: &Recorded, steps: u64) -> Finding {
    let (name, n) = (recorded.history.name(), recorded.sources.len());
    let operations = tell::count(n, "operation");
    let line = |at: usize| recorded.sources.get(at).map_or(0, |source| source.line);
    let finding = match recorded.history.judge(steps) {
        _ if n == 0 => Finding::pass("nothing was answered, and so nothing can be wrong"),
        Answer::Yes => Finding::pass(format!("{operations} of a {name} are linearizable")),
        Answer::No(at) => {
            let why = "no order of its operations explains what they answered";
            let since = line(at);
            Finding::fail(format!("{name}: {why}, since the one of line {since} returned"))
                .with_evidence(recorded.evidence(at, evidence_steps(steps)))
        }
        Answer::GaveUp(at) => {
            let at = line(at);
            Finding::inconclusive(format!("{name}: gave up after {steps} steps, at line {at}"))
        }
    };
    finding.with_figure("operations", n as f64)
}
