//! A record and its checks to a report: after a drill, and offline.

use std::path::{Path, PathBuf};

use super::assemble::{self, Places};
use super::explained;
use super::inputs::Input;
use crate::check::{self, Budget, Spec};
use crate::drill::{Ended, HISTORY_FILE};
use crate::history::{Record, file};
use crate::report::{CaseReport, RunReport, Status};

/// The report of a drill that just ended. What it left behind is in it, whether or not the record says so.
pub(super) fn after_drill(input: &Input, places: &Places, ended: &Ended) -> RunReport {
    let folder = shown(&places.folder);
    let read = history_in(&places.folder).map(|history| file::read(&history));
    let mut report = match read {
        Some(Ok(record)) => {
            let checks = assemble::checks(&input.scenario);
            let report = of(&record, &checks, Some(folder), Budget::default());
            // A full disk: the record does not know how it ended.
            match (&record.end, &ended.aborted) {
                (None, Some(why)) => {
                    report.with_case(CaseReport::new("drill ended", Status::Inconclusive, why))
                }
                _ => report,
            }
        }
        Some(Err(e)) => broke_off(input, &format!("the record cannot be read: {e}")),
        None => broke_off(input, "there is no record"),
    };
    if let Err(why) = explained::pages(&mut report, &places.folder) {
        tracing::warn!("{why}");
    }
    report.left_behind = ended.left_behind.clone();
    report.attachment = history_in(&places.folder).map(|history| shown(&history));
    report
}

fn broke_off(input: &Input, why: &str) -> RunReport {
    RunReport::broke_off(&input.scenario.name, &input.file, why).with_seed(input.plan.seed)
}

/// The report of a record.
pub(super) fn of(
    record: &Record,
    checks: &[(Spec, Option<u32>)],
    folder: Option<String>,
    budget: Budget,
) -> RunReport {
    let judgement = check::judge_within(record, checks, budget);
    RunReport::judged(record, &judgement, folder)
}

/// A path as people see it: from where they stand, if it lies below.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}

/// The history in a run's folder: compressed, or as a runner that died left it.
pub(super) fn history_in(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(HISTORY_FILE);
    let compressed = folder.join(format!("{HISTORY_FILE}.zst"));
    [compressed, plain].into_iter().find(|path| path.exists())
}
