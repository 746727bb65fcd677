//! `firedrill heal`: undoes by hand what a drill left behind that neither it nor its watchdog could undo.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::HealArgs;
use super::containers::project_of;
use super::exit::Exit;
use super::{CliError, inputs, judged, terminal};
use crate::drill::journal::{self, REPLAY_LIMIT};
use crate::scenario::Target;
use crate::target::docker;

/// Replays the journals of the runs that are open. A run that still goes is left alone.
pub(super) fn heal(args: HealArgs) -> Result<Exit, CliError> {
    let named = args.run.is_some();
    let folders = match args.run {
        Some(run) => vec![folder_of(run, &args.out)?],
        None => runs(&args.out)?,
    };
    let (mut healed, mut exit) = (0, Exit::Pass);
    for folder in &folders {
        match heal_one(folder, named)? {
            None => {}
            Some(Exit::Pass) => healed += 1,
            Some(other) => exit = exit.max(other),
        }
    }
    if !named {
        healed += engine(&folders)?;
    }
    if let Some(scenario) = &args.cluster_of {
        let (count, left) = cluster(scenario, &folders)?;
        healed += count;
        exit = exit.max(left);
    }
    if healed == 0 && exit == Exit::Pass {
        terminal::say("nothing to heal: every run in reach was brought to its end");
    }
    Ok(exit)
}

/// What earlier runs left at the Docker engine, where one answers: also such as have no folder here. How much was
/// removed.
fn engine(folders: &[PathBuf]) -> Result<usize, CliError> {
    let Some(swept) = docker::sweep() else { return Ok(0) };
    let swept = swept.map_err(|why| CliError::Failed(format!("the Docker engine: {why}")))?;
    for (run, count) in &swept.removed {
        terminal::data(&format!("{run}: removed {count} helper containers\n"))?;
    }
    let run_of = |folder: &PathBuf| folder.file_name()?.to_str().map(project_of);
    let known: Vec<String> = folders.iter().filter_map(run_of).collect();
    for (project, count) in swept.projects.iter().filter(|(name, _)| !known.contains(name)) {
        let label = format!("label=com.docker.compose.project={project}");
        terminal::say(&format!(
            "Compose project {project} has {count} containers, and no run in reach made it: if its \
             drill goes on elsewhere, leave it; if not, \
             `docker rm --force --volumes $(docker ps --all --quiet --filter {label})` removes it"
        ));
    }
    Ok(swept.removed.len())
}

/// What earlier runs left in a scenario's cluster: also such as have no folder here. How much was given back, and
/// whether all was.
fn cluster(scenario: &Path, folders: &[PathBuf]) -> Result<(usize, Exit), CliError> {
    let (_, read) = match inputs::read(scenario, &[]) {
        Ok(read) => read,
        Err(refused) => {
            refused.say();
            return Ok((0, Exit::Invalid));
        }
    };
    let file = scenario.display();
    let Target::Kubernetes(spec) = &read.target.value else {
        let kind = read.target.kind();
        return Err(CliError::Invalid(format!("{file}: its target is {kind}, and no cluster")));
    };
    let lives = |run: &str| {
        let of = |folder: &&PathBuf| folder.file_name().is_some_and(|name| name == run);
        let own = folders.iter().find(of).and_then(|folder| journal::find(folder).ok());
        own.is_some_and(|found| found.runner_lives())
    };
    let swept = super::cluster::sweep(spec, scenario, &lives)
        .map_err(|refused| CliError::Failed(format!("{file}: {}", refused.why)))?;
    for (run, what) in &swept.restored {
        terminal::data(&format!("{run}: {what}\n"))?;
    }
    for why in &swept.left {
        terminal::say(&format!("{file}: not given back: {why}"));
    }
    let exit = if swept.left.is_empty() { Exit::Pass } else { Exit::NotRestored };
    Ok((swept.restored.len(), exit))
}

/// A run by its folder, or by its name.
fn folder_of(run: PathBuf, out: &Path) -> Result<PathBuf, CliError> {
    let places = [run.clone(), out.join(&run)];
    let found = places.into_iter().find(|p| p.join(journal::FILE).is_file());
    found.ok_or_else(|| {
        let (run, out) = (run.display(), out.display());
        CliError::Invalid(format!("no run `{run}`, neither as a folder nor in {out} (--out)"))
    })
}

fn runs(out: &Path) -> Result<Vec<PathBuf>, CliError> {
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(CliError::Invalid(format!("{}: {e}", out.display()))),
    };
    let mut found: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    found.retain(|folder| folder.join(journal::FILE).is_file());
    found.sort();
    Ok(found)
}

/// `None`: there was nothing to do.
fn heal_one(folder: &Path, named: bool) -> Result<Option<Exit>, CliError> {
    let name = judged::shown(folder);
    let found = match journal::find(folder) {
        Ok(found) => found,
        Err(e) => {
            terminal::say(&format!("{name}: {e}"));
            return Ok(Some(Exit::NotRestored));
        }
    };
    if found.closed && found.open.is_empty() {
        return Ok(None);
    }
    if found.runner_lives() {
        let pid = found.pid;
        if named {
            terminal::say(&format!("{name}: still goes (process {pid}); end it with Ctrl-C first"));
            return Ok(Some(Exit::Invalid));
        }
        return Ok(None);
    }
    let replayed = journal::replay(folder, REPLAY_LIMIT)
        .map_err(|e| CliError::Failed(format!("{name}: {e}")))?;
    for what in &replayed.undone {
        terminal::data(&format!("{name}: {what}\n"))?;
    }
    for what in &replayed.left {
        terminal::say(&format!(
            "{name}: could not be restored; heal it again, or do it by hand: {what}"
        ));
    }
    Ok(Some(match replayed.left.is_empty() {
        true => {
            terminal::data(&format!("{name}: healed\n"))?;
            Exit::Pass
        }
        false => Exit::NotRestored,
    }))
}
