//! Where reports go: standard output, the files that the user named, and what a CI picks up.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::Verbosity;
use super::exit::Exit;
use super::{CliError, terminal};
use crate::report::text::Detail;
use crate::report::{self, RunReport};

/// The report files that the user asked for.
#[derive(Debug, Clone)]
pub struct Outputs {
    junit: Option<PathBuf>,
    json: Option<PathBuf>,
}

impl Outputs {
    /// These files; their folders are made.
    pub fn new(junit: Option<PathBuf>, json: Option<PathBuf>) -> Outputs {
        Outputs { junit, json }
    }

    /// Writes them anew, each in one step: a reader never sees half a file. One that cannot be written keeps
    /// the other from nothing.
    pub fn write(&self, runs: &[RunReport], exit: Exit) -> Result<(), CliError> {
        let write = |path: &Option<PathBuf>, text: Result<String, report::ReportError>| {
            path.as_ref().map_or(Ok(()), |path| replace(path, &text?))
        };
        let junit = write(&self.junit, report::junit::render(runs));
        let exit = junit.as_ref().err().map(CliError::exit).into_iter().fold(exit, Exit::max);
        let json = write(&self.json, report::json::render(runs, exit.code()));
        junit.and(json)
    }
}

fn replace(path: &Path, text: &str) -> Result<(), CliError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let written = folder
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&partial, text))
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| CliError::write(path, source))
}

/// What a run came to, for people.
pub fn text(run: &RunReport, verbosity: Verbosity) -> String {
    let detail = match verbosity.verbose {
        0 => Detail::Summary,
        _ => Detail::Figures,
    };
    report::text::render(std::slice::from_ref(run), detail, terminal::stdout_colour())
}

/// What stands behind several runs, for people; and what a CI shows of them: annotations and a Markdown
/// page, where there is somebody to read them.
pub fn summary(runs: &[RunReport]) -> Result<(), CliError> {
    if runs.len() > 1 {
        terminal::data(&report::text::tally(runs, terminal::stdout_colour()))?;
    }
    if !terminal::on_github() {
        return Ok(());
    }
    terminal::data(&report::annotations::render(runs))?;
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") {
        let path = PathBuf::from(path);
        let page = report::markdown::render(runs);
        let open = fs::File::options().append(true).create(true).open(&path);
        open.and_then(|mut file| std::io::Write::write_all(&mut file, page.as_bytes()))
            .map_err(|source| CliError::write(&path, source))?;
    }
    Ok(())
}
