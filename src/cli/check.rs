//! `firedrill check`: a recorded run is judged again, offline. Nothing of the run's folder is changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::{CheckArgs, Verbosity};
use super::exit::Exit;
use super::judged::history_in;
use super::run::{OVERRIDES_FILE, SCENARIO_FILE};
use super::{CliError, assemble, histories, judged, output, terminal};
use crate::history::file;
use crate::report::RunReport;
use crate::scenario::{Diagnostic, Scenario};

/// Judges, prints, and writes the reports that were asked for.
pub(super) fn check(args: CheckArgs, verbosity: Verbosity) -> Result<Exit, CliError> {
    if let Some(model) = args.model {
        return histories::check(args, model, verbosity);
    }
    let (mut reports, mut shown) = (vec![], Ok(()));
    for path in &args.records {
        match again(path, &args)? {
            Ok(report) => {
                let text = output::text(&report, verbosity);
                shown = shown.and(terminal::data(&text).map_err(CliError::from));
                reports.push(report);
            }
            Err(found) => {
                found.iter().for_each(|d| terminal::say(d.render().trim_end()));
                return Ok(Exit::Invalid);
            }
        }
    }
    let exit = Exit::of(&reports);
    let written = output::Outputs::new(args.junit, args.json).write(&reports, exit);
    let summed = output::summary(&reports);
    Ok(super::worst(exit, shown.and(written).and(summed).err()))
}

/// One run, judged again; or what is wrong with the scenario to judge it by.
fn again(path: &Path, args: &CheckArgs) -> Result<Result<RunReport, Vec<Diagnostic>>, CliError> {
    let wrong = |path: &Path, why: &str| CliError::Invalid(format!("{}: {why}", path.display()));
    let (history, folder) = match path.is_dir() {
        true => {
            let none = || wrong(path, "no history.jsonl in this folder: is it a run's?");
            (history_in(path).ok_or_else(none)?, path.to_path_buf())
        }
        false => {
            let parent = path.parent().map(Path::to_path_buf).unwrap_or_default();
            (path.to_path_buf(), parent)
        }
    };
    let record = file::read(&history).map_err(|e| {
        let hint = "a history that is not firedrill's own needs --model";
        CliError::Invalid(if path.is_dir() { e.to_string() } else { format!("{e}; {hint}") })
    })?;
    let scenario = match scenario(args, &folder)? {
        Ok(scenario) => scenario,
        Err(found) => return Ok(Err(found)),
    };
    let checks = assemble::checks(&scenario);
    let report = judged::of(&record, &checks, Some(judged::shown(&folder)));
    Ok(Ok(report.with_set(&overrides(&folder))))
}

/// The scenario to judge by: the one that was given, or the run's own, as the command line had changed it.
fn scenario(
    args: &CheckArgs,
    folder: &Path,
) -> Result<Result<Scenario, Vec<Diagnostic>>, CliError> {
    let own = folder.join(SCENARIO_FILE);
    let (path, set): (PathBuf, Vec<(String, String)>) = match &args.scenario {
        Some(path) => (path.clone(), vec![]),
        None => (own, overrides(folder)),
    };
    let text = fs::read_to_string(&path).map_err(|e| {
        let hint = "give the scenario whose checks are meant with --scenario FILE";
        CliError::Invalid(format!("{}: {e}; {hint}", path.display()))
    })?;
    Ok(Scenario::parse(&path.display().to_string(), &text, &set))
}

/// What the command line had changed in the run's scenario; nothing where that is not known.
fn overrides(folder: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder.join(OVERRIDES_FILE)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
