//! `firedrill check --model`: histories that others recorded are judged, each file by itself.

use std::path::Path;
use std::time::Instant;

use super::args::{CheckArgs, HistoryFormat, HistoryModel};
use super::inputs::Refused;
use crate::check::{Check, Fifo, Finding, Linearizable};
use crate::history::foreign::{self, Format};
use crate::history::{Outcome, Record, Reply};
use crate::report::RunReport;

/// One history, judged.
pub(super) fn judged(
    path: &Path,
    model: HistoryModel,
    args: &CheckArgs,
) -> Result<RunReport, Refused> {
    let format = match args.format {
        HistoryFormat::Auto => None,
        HistoryFormat::Jepsen => Some(Format::Jepsen),
        HistoryFormat::Jsonl => Some(Format::JsonLines),
        HistoryFormat::Calls => Some(Format::Calls),
    };
    let read = foreign::read(path, format).map_err(|e| Refused::of(path, &e.to_string()))?;
    let initial = match model {
        HistoryModel::Register | HistoryModel::CasRegister => args.initial,
        // Nobody holds it at first.
        HistoryModel::Lock => Some(0),
        HistoryModel::Queue => None,
    };
    let (check, model): (Box<dyn Check>, _) = match model {
        HistoryModel::Queue => (Box::new(Fifo), "queue"),
        _ => (Box::new(Linearizable { initial, ..Linearizable::default() }), "register"),
    };
    let silent = !read.operations.iter().any(|o| answered(&o.outcome, initial));
    let record = Record::of_operations(model, read.operations);
    let began = Instant::now();
    let mut finding = match silent {
        true => Finding::pass("nothing was answered, and so nothing can be wrong"),
        false => check.check(&record),
    };
    let seconds = began.elapsed().as_secs_f64();
    named(&mut finding, &read.keys);
    let file = path.display().to_string();
    let name = path.file_name().map_or(file.clone(), |name| name.to_string_lossy().into_owned());
    Ok(RunReport::of_history(&name, &file, check.name(), finding, seconds))
}

/// A register that holds something at first cannot be found to hold nothing: who says so did not look.
fn answered(outcome: &Outcome, initial: Option<i64>) -> bool {
    match outcome {
        Outcome::Ok(Reply::Value(None)) => initial.is_none(),
        outcome => outcome.is_ok(),
    }
}

/// Says what the keys are called that a finding names by their numbers.
fn named(finding: &mut Finding, keys: &[String]) {
    let told = |text: &str, number: usize| {
        let own = format!("k{number}");
        text.match_indices(&own).any(|(at, _)| {
            let next = text.get(at + own.len()..).and_then(|rest| rest.chars().next());
            !next.is_some_and(|next| next.is_ascii_digit())
        })
    };
    let lines = finding.evidence.iter().chain([&finding.summary]);
    let text = lines.cloned().collect::<Vec<_>>().join("\n");
    let all = keys
        .iter()
        .enumerate()
        .filter(|(number, name)| name.as_str() != "nil" && told(&text, *number));
    let all: Vec<String> = all.map(|(number, name)| format!("k{number} is {name}")).collect();
    if !all.is_empty() {
        finding.evidence.push(all.join(", "));
    }
}
