//! `firedrill check`: a recorded run is judged again, offline. Nothing of the run's folder is changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::Verbosity;
use super::check_args::CheckArgs;
use super::exit::Exit;
use super::inputs::Refused;
use super::judged::history_in;
use super::run::{OVERRIDES_FILE, SCENARIO_FILE};
use super::{CliError, assemble, explained, histories, judged, output, terminal};
use crate::history::file;
use crate::report::RunReport;
use crate::scenario::Scenario;

/// Judges, prints, and writes the reports that were asked for. What cannot be judged keeps nobody else from it.
pub(super) fn check(args: CheckArgs, verbosity: Verbosity) -> Result<Exit, CliError> {
    let (mut reports, mut shown, mut refused) = (vec![], Ok(()), false);
    for path in &args.records {
        let judged = match args.model {
            Some(model) => histories::judged(path, model, &args),
            None => again(path, &args),
        };
        match judged {
            Ok(report) => {
                let text = output::text(&report, verbosity);
                shown = shown.and(terminal::data(&text).map_err(CliError::from));
                reports.push(report);
            }
            Err(why) => {
                refused = true;
                reports.push(why.told());
            }
        }
    }
    let invalid = refused.then_some(Exit::Invalid);
    let exit = Exit::merge([Exit::of(&reports)].into_iter().chain(invalid));
    let drawn = args.explain.map_or(Ok(()), |folder| explained::all(&mut reports, &folder));
    let written = output::Outputs::new(args.junit, args.json).write(&reports, exit);
    let summed = output::summary(&reports);
    Ok(super::worst(exit, shown.and(drawn).and(written).and(summed).err()))
}

/// One run, judged again.
fn again(path: &Path, args: &CheckArgs) -> Result<RunReport, Refused> {
    let wrong = |why: &str| Refused::of(path, &format!("{}: {why}", path.display()));
    let (history, folder) = match path.is_dir() {
        true => {
            let none = || wrong("no history.jsonl in this folder: is it a run's?");
            (history_in(path).ok_or_else(none)?, path.to_path_buf())
        }
        false => {
            let parent = path.parent().map(Path::to_path_buf).unwrap_or_default();
            (path.to_path_buf(), parent)
        }
    };
    let record = file::read(&history).map_err(|e| {
        let hint = "a history that is not firedrill's own needs --model";
        Refused::of(path, &if path.is_dir() { e.to_string() } else { format!("{e}; {hint}") })
    })?;
    let checks = assemble::checks(&scenario(path, args, &folder)?);
    let report = judged::of(&record, &checks, Some(judged::shown(&folder)), args.budget());
    Ok(report.with_set(&overrides(&folder)))
}

/// The scenario to judge by: the one that was given, or the run's own, as the command line had changed it.
fn scenario(record: &Path, args: &CheckArgs, folder: &Path) -> Result<Scenario, Refused> {
    let own = folder.join(SCENARIO_FILE);
    let (path, set): (PathBuf, Vec<(String, String)>) = match &args.scenario {
        Some(path) => (path.clone(), vec![]),
        None => (own, overrides(folder)),
    };
    let text = fs::read_to_string(&path).map_err(|e| {
        let hint = "give the scenario whose checks are meant with --scenario FILE";
        Refused::of(record, &format!("{}: {e}; {hint}", path.display()))
    })?;
    Scenario::parse(&path.display().to_string(), &text, &set)
        .map_err(|found| Refused::by(record, &found))
}

/// What the command line had changed in the run's scenario; nothing where that is not known.
fn overrides(folder: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder.join(OVERRIDES_FILE)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
