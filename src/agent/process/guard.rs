//! The guard: what a node's process, or a command of the user's, is for its first millisecond. It ties
//! its life to the runner's, leaves the runner's session (so that a terminal's Ctrl-C does not reach
//! it) unless it has a process group of its own already, and becomes the command.
//!
//! The death signal comes when the *thread* that started the guard ends (prctl(2)): start guards
//! from a thread that lives as long as the run, see [`super::Spawner`]. It does not pass on to
//! children of the node: those die with the node when the runner lives, and by the watchdog's
//! [`super::reap`] when not. A command that changes its user (`sudo`) sheds it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, getpgrp, getpid, getppid, set_parent_process_death_signal, setsid};

use super::RUNNER;
use super::spawner::find_program;

/// The command that becomes `argv`, guarded. `binary` is firedrill itself. Says what is wrong with the
/// program's name before a guard is started for it.
pub fn guarded(binary: &Path, argv: &[String]) -> Result<Command, String> {
    find_program(argv.first().map(String::as_str).unwrap_or_default())?;
    let mut command = Command::new(binary);
    command.args(["guard", "--"]).args(argv).env(RUNNER, std::process::id().to_string());
    Ok(command)
}

/// Becomes `args` (program and arguments, without a leading `--`), guarded. Returns only what
/// prevented it.
pub fn guard(args: Vec<OsString>) -> io::Error {
    match prepare() {
        Ok(()) => (),
        Err(why) => return why,
    }
    let Some((program, rest)) = args.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no command is given to guard");
    };
    let why = Command::new(program).args(rest).env_remove(RUNNER).exec();
    io::Error::new(why.kind(), format!("cannot run `{}`: {why}", program.to_string_lossy()))
}

fn prepare() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The runner may have died before the line above: then no signal will come.
    let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    let runner = std::env::var(RUNNER).ok().and_then(|pid| pid.parse::<i32>().ok());
    match runner {
        Some(runner) if runner == parent => (),
        Some(runner) => {
            return Err(io::Error::other(format!("the runner, process {runner}, is gone")));
        }
        None => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{RUNNER} is not set: the guard is for firedrill's own use"),
            ));
        }
    }
    // The leader of a process group can found no session; and needs none, for Ctrl-C goes to groups.
    if getpgrp() != getpid() {
        setsid()?;
    }
    Ok(())
}
