//! What was found of a history of an object, as the verdict of a check.

use super::recorded::Recorded;
use super::{Answer, EVIDENCE_STEPS, STEPS};
use crate::check::{Budget, Finding, tell};

/// Judges a history.
pub fn finding(recorded: &Recorded, budget: Budget) -> Finding {
    let (name, n) = (recorded.history.name(), recorded.sources.len());
    let operations = tell::count(n, "operation");
    let line = |at: usize| recorded.sources.get(at).map_or(0, |source| source.line);
    let budget = budget.usually(STEPS);
    let mut left = budget;
    let finding = match recorded.history.judge(&mut left) {
        _ if n == 0 => Finding::pass("nothing was answered, and so nothing can be wrong"),
        Answer::Yes => Finding::pass(format!("{operations} of a {name} are linearizable")),
        Answer::No(at) => {
            let why = "no order of its operations explains what they answered";
            let since = line(at);
            let shown = recorded.evidence(at, budget.up_to(EVIDENCE_STEPS));
            Finding::fail(format!("{name}: {why}, since the one of line {since} returned"))
                .with_evidence(shown.lines)
                .with_explanations(shown.drawn)
        }
        Answer::GaveUp(at) => {
            let (why, at) = (budget.reached(&left, "steps"), line(at));
            let far = "all that returned before the operation of line";
            Finding::inconclusive(format!("{name}: gave up {why}; {far} {at} is linearizable"))
        }
    };
    finding.with_figure("operations", n as f64)
}
