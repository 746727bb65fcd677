//! What was found of a history of logs, as the verdict of a check.

use super::{Messages, Verdict, check};
use crate::check::{Finding, tell};

/// Judges a history.
pub fn finding(history: &Messages) -> Finding {
    let report = check(history);
    let told = |excused: bool| {
        let found = report.found.iter().filter(move |found| found.excused == excused);
        let words = found.map(|found| match found.count {
            1 => found.anomaly.name().to_string(),
            n => format!("{} ({n})", found.anomaly.name()),
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let (wrong, excused) = (told(false), told(true));
    let finding = match report.verdict {
        Verdict::Violated => Finding::fail(wrong),
        Verdict::Undecided(why) => Finding::inconclusive(why),
        Verdict::Valid => {
            let sent = tell::count(report.acknowledged, "acknowledged message");
            let beside = match excused.is_empty() {
                true => String::new(),
                false => format!("; beside that: {excused}"),
            };
            Finding::pass(format!("{sent}, {} read: in order and complete{beside}", report.read))
        }
    };
    let lines = report.found.iter().flat_map(|found| {
        let head = format!("{}:", found.anomaly.name());
        std::iter::once(head).chain(found.words.iter().map(|words| format!("  {words}")))
    });
    finding
        .with_evidence(lines)
        .with_figure("acknowledged", report.acknowledged as f64)
        .with_figure("read", report.read as f64)
}
