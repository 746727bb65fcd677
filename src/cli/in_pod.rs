//! In a pod, for `firedrill run --in-cluster`: the drill as a child, whose output is told apart, and whose record waits
//! to be brought back; and the errands that the one who watches runs there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::exit::Exit;
use super::{CliError, terminal};

/// Where the drill leaves what it leaves.
const WORK: &str = "/record";
/// What it prints for programs.
pub(super) const STDOUT: &str = ".stdout";
/// Its reports, where they are asked for.
pub(super) const JUNIT: &str = "/record/.junit.xml";
pub(super) const JSON: &str = "/record/.report.json";
/// Says that the record has been brought back.
const FETCHED: &str = ".fetched";
/// The last line of the output: behind it stands the exit code.
pub(super) const LAST_LINE: &str = "firedrill in-pod: ended with ";
/// How long the record waits to be brought back.
const WAITS: Duration = Duration::from_secs(120);
/// How often it is looked whether it was.
const LOOK: Duration = Duration::from_millis(100);
/// The pod's first process.
const FIRST: i32 = 1;

/// Runs firedrill with these arguments; hands on what asks it to end; waits until its record is brought back.
pub(super) fn in_pod(args: Vec<OsString>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::Failed(format!("no runtime: {e}")))?;
    let code = runtime.block_on(drill(args))?;
    // No number of ours stands for a drill that a signal ended.
    std::process::exit(code)
}

async fn drill(args: Vec<OsString>) -> Result<i32, CliError> {
    let work = Path::new(WORK);
    let failed = |e: std::io::Error| CliError::Failed(format!("the drill in the pod: {e}"));
    let out = File::create(work.join(STDOUT)).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut child = Command::new(super::own_binary())
        .args(args)
        .stdin(Stdio::null())
        .stdout(out)
        .spawn()
        .map_err(failed)?;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended.map_err(failed)?,
            Some(()) = terminate.recv() => {
                let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                // Gone already, it needs no asking.
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
        }
    };
    let code = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or_default());
    terminal::say(&format!("{LAST_LINE}{code}"));
    let brought_back = async {
        while !work.join(FETCHED).exists() {
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = brought_back => {}
        () = sleep(WAITS) => {}
    }
    Ok(code)
}

/// Asks the drill to end, as Ctrl-C does.
pub(super) fn stop() -> Result<Exit, CliError> {
    let asked = Pid::from_raw(FIRST).map(|first| kill_process(first, Signal::TERM));
    match asked {
        Some(Ok(())) => Ok(Exit::Pass),
        other => Err(CliError::Failed(format!("the drill is not asked to end: {other:?}"))),
    }
}

/// Writes an archive of all that the drill left to standard output. `done`: says instead that it has arrived.
pub(super) fn fetch(done: bool) -> Result<Exit, CliError> {
    let failed = |e: std::io::Error| CliError::Failed(format!("the record: {e}"));
    let work = Path::new(WORK);
    if done {
        fs::write(work.join(FETCHED), "").map_err(failed)?;
        return Ok(Exit::Pass);
    }
    let mut archive = tar::Builder::new(std::io::stdout().lock());
    archive.follow_symlinks(false);
    for entry in fs::read_dir(work).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let appended = match entry.file_type().map_err(failed)?.is_dir() {
            true => archive.append_dir_all(&name, entry.path()),
            false => archive.append_path_with_name(entry.path(), &name),
        };
        appended.map_err(failed)?;
    }
    let mut out = archive.into_inner().map_err(failed)?;
    out.flush().map_err(failed)?;
    Ok(Exit::Pass)
}
