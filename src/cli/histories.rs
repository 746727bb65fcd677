//! `firedrill check --model`: histories that others recorded are judged, each file by itself.

use std::path::Path;
use std::time::Instant;

use super::args::{CheckArgs, HistoryFormat, HistoryModel, Verbosity};
use super::exit::Exit;
use super::{CliError, output, terminal};
use crate::check::{CaseKind, Check, Fifo, Finding, Spec};
use crate::history::foreign::{self, Format};
use crate::history::{Operation, Record};
use crate::report::RunReport;

/// Judges them, prints, and writes the reports that were asked for.
pub(super) fn check(
    args: CheckArgs,
    model: HistoryModel,
    verbosity: Verbosity,
) -> Result<Exit, CliError> {
    let (mut reports, mut unreadable) = (vec![], false);
    for path in &args.records {
        let report = match judged(path, model, &args) {
            Ok(report) => report,
            // The others are judged all the same.
            Err(why) => {
                terminal::say(&format!("error: {why}"));
                unreadable = true;
                let file = path.display().to_string();
                reports.push(RunReport::broke_off(&file, &file, &why.to_string()));
                continue;
            }
        };
        terminal::data(&output::text(&report, verbosity))?;
        reports.push(report);
    }
    let exit = if unreadable { Exit::Invalid } else { Exit::of(&reports) };
    let written = output::Outputs::new(args.junit, args.json).write(&reports, exit);
    let summed = output::summary(&reports);
    Ok(super::worst(exit, written.and(summed).err()))
}

fn judged(path: &Path, model: HistoryModel, args: &CheckArgs) -> Result<RunReport, CliError> {
    let format = match args.format {
        HistoryFormat::Auto => None,
        HistoryFormat::Jepsen => Some(Format::Jepsen),
        HistoryFormat::Jsonl => Some(Format::JsonLines),
        HistoryFormat::Calls => Some(Format::Calls),
    };
    let read = foreign::read(path, format).map_err(|e| CliError::Invalid(e.to_string()))?;
    let initial = match model {
        HistoryModel::Register | HistoryModel::CasRegister => args.initial,
        // Nobody holds it at first.
        HistoryModel::Lock => Some(0),
        HistoryModel::Queue => None,
    };
    let operations = match initial {
        Some(value) => Operation::after_a_write_of(value, read.operations),
        None => read.operations,
    };
    let (check, model): (Box<dyn Check>, _) = match model {
        HistoryModel::Queue => (Box::new(Fifo), "queue"),
        _ => (Spec::Linearizable.build(), "register"),
    };
    let (empty, record) = (operations.is_empty(), Record::of_operations(model, operations));
    let began = Instant::now();
    let mut finding = match empty {
        true => Finding::pass("no operation of a client, and so nothing that could be wrong"),
        false => check.check(&record),
    };
    let seconds = began.elapsed().as_secs_f64();
    named(&mut finding, &read.keys);
    let file = path.display().to_string();
    let name = path.file_name().map_or(file.clone(), |name| name.to_string_lossy().into_owned());
    Ok(RunReport::of_history(&name, &file, (check.name(), CaseKind::Check), finding, seconds))
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
