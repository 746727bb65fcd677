//! `firedrill check`: a recorded run is judged again, offline. Nothing of the run's folder is changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::{CheckArgs, Verbosity};
use super::exit::Exit;
use super::judged::history_in;
use super::run::{OVERRIDES_FILE, SCENARIO_FILE};
use super::{CliError, assemble, judged, output, terminal};
use crate::history::file;
use crate::scenario::{Diagnostic, Scenario};

/// Judges, prints, and writes the reports that were asked for.
pub(super) fn check(args: CheckArgs, verbosity: Verbosity) -> Result<Exit, CliError> {
    let wrong = |path: &Path, why: &str| CliError::Invalid(format!("{}: {why}", path.display()));
    let (history, folder) = match args.record.is_dir() {
        true => {
            let none = || wrong(&args.record, "no history.jsonl in this folder: is it a run's?");
            (history_in(&args.record).ok_or_else(none)?, args.record.clone())
        }
        false => {
            let parent = args.record.parent().map(Path::to_path_buf).unwrap_or_default();
            (args.record.clone(), parent)
        }
    };
    let record = file::read(&history).map_err(|e| CliError::Invalid(e.to_string()))?;
    let scenario = match scenario(&args, &folder)? {
        Ok(scenario) => scenario,
        Err(found) => {
            found.iter().for_each(|d| terminal::say(d.render().trim_end()));
            return Ok(Exit::Invalid);
        }
    };
    let checks = assemble::checks(&scenario);
    let report = judged::of(&record, &checks, Some(judged::shown(&folder)));
    let report = report.with_set(&overrides(&folder));
    let shown = terminal::data(&output::text(&report, verbosity)).map_err(CliError::from);
    let reports = [report];
    let exit = Exit::of(&reports);
    let written = output::Outputs::new(args.junit, args.json).write(&reports, exit);
    let summed = output::summary(&reports);
    Ok(super::worst(exit, shown.and(written).and(summed).err()))
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
