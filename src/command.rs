//! Commands of the user's: set-up, teardown, and faults of their own. Arguments, never shell lines.
//!
//! Each runs in a process group of its own, so that the terminal's Ctrl-C does not reach it, and so that a
//! command that takes too long, or that nobody waits for any more, is ended with all that it started. When the
//! runner dies a guarded command dies with it: what it had begun is undone by the journal.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::agent::process;

/// How long a heal command may take.
pub const HEAL_LIMIT: Duration = Duration::from_secs(30);

/// How much of a command's output an error shows.
const TAIL_BYTES: usize = 2_000;

/// A command that did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("`{command}` could not be started: {why}")]
    Start {
        /// Its arguments.
        command: String,
        /// What the system said.
        why: String,
    },
    /// It ended with something else than 0.
    #[error("`{command}` ended with {how}{tail}")]
    Failed {
        /// Its arguments.
        command: String,
        /// Exit code or signal.
        how: String,
        /// The end of what it printed, on lines of its own; empty if nothing.
        tail: String,
    },
    /// It took too long, and was killed.
    #[error("`{command}` was killed: it took longer than {limit:?}{tail}")]
    Late {
        /// Its arguments.
        command: String,
        /// What it was allowed.
        limit: Duration,
        /// The end of what it printed.
        tail: String,
    },
    /// Somebody said that it is not to be waited for.
    #[error("`{command}` was not waited for")]
    GivenUp {
        /// Its arguments.
        command: String,
    },
}

impl CommandError {
    /// What happened, for somebody who knows already which command it was.
    pub fn why(&self) -> String {
        match self {
            CommandError::Start { why, .. } => format!("could not be started: {why}"),
            CommandError::Failed { how, tail, .. } => format!("ended with {how}{tail}"),
            CommandError::Late { limit, tail, .. } => format!("took longer than {limit:?}{tail}"),
            CommandError::GivenUp { .. } => "was not waited for".into(),
        }
    }
}

/// A command as a person would type it into a shell: what a shell would read otherwise is quoted.
pub fn shown(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let word = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What a command finds around it.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Where it runs; where firedrill runs otherwise.
    pub folder: Option<PathBuf>,
    /// The run whose mark it has in its environment: whatever it starts is ended with the drill.
    pub run: Option<String>,
    /// The firedrill binary, through which it is started: it ends when firedrill dies, in whatever way. What it
    /// started itself does not. `None`: it outlives firedrill.
    pub guard: Option<PathBuf>,
}

/// Runs a command to its end, off the async threads. Dropped before, it is killed with all that it started.
pub async fn run(argv: Vec<String>, limit: Duration, around: Around) -> Result<(), CommandError> {
    let command = shown(&argv);
    let dropped = Dropped::default();
    let seen = dropped.0.clone();
    let task = tokio::task::spawn_blocking(move || {
        run_blocking(&argv, limit, &around, &|| seen.load(Ordering::Relaxed))
    });
    task.await.unwrap_or_else(|e| Err(CommandError::Start { command, why: e.to_string() }))
}

/// Tells a thread that nobody waits for it any more.
#[derive(Default)]
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The same, for those who have no runtime (the watchdog): until `give_up` says so.
pub fn run_blocking(
    argv: &[String],
    limit: Duration,
    around: &Around,
    give_up: &dyn Fn() -> bool,
) -> Result<(), CommandError> {
    let command = shown(argv);
    if give_up() {
        return Err(CommandError::GivenUp { command });
    }
    let start = |why: String| CommandError::Start { command: command.clone(), why };
    // A file, not a pipe: a daemon that the command leaves behind may keep it open for ever.
    let output = unnamed_file().map_err(|e| start(e.to_string()))?;
    let copy = || output.try_clone().map(Stdio::from).map_err(|e| start(e.to_string()));
    let mut child = program(argv, around.guard.as_deref()).map_err(start)?;
    child.stdin(Stdio::null()).stdout(copy()?).stderr(copy()?).process_group(0);
    around.run.as_ref().map(|run| child.env(process::RUN, run));
    around.folder.as_ref().map(|folder| child.current_dir(folder));
    // A guarded child dies with this very thread, which waits for it.
    let mut child = child.spawn().map_err(|e| start(e.to_string()))?;
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() >= deadline => {
                kill(&mut child);
                return Err(CommandError::Late { command, limit, tail: tail(output) });
            }
            Ok(None) if give_up() => {
                kill(&mut child);
                return Err(CommandError::GivenUp { command });
            }
            Ok(None) => std::thread::sleep(pause),
            Err(e) => return Err(start(e.to_string())),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    match status.success() {
        true => Ok(()),
        false => {
            let how = status.to_string().replace("exit status: ", "exit code ");
            Err(CommandError::Failed { command, how, tail: tail(output) })
        }
    }
}

fn program(argv: &[String], guard: Option<&Path>) -> Result<Command, String> {
    match (argv, guard) {
        ([], _) => Err("the command is empty".into()),
        (argv, Some(guard)) => process::guarded(guard, argv),
        ([program, arguments @ ..], None) => {
            let mut command = Command::new(program);
            command.args(arguments);
            Ok(command)
        }
    }
}

fn kill(child: &mut std::process::Child) {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL); // gone already is as good
    }
    let _ = child.wait();
}

fn unnamed_file() -> std::io::Result<std::fs::File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(rustix::fs::memfd_create("firedrill-command", flags)?.into())
}

fn tail(mut output: std::fs::File) -> String {
    let mut text = vec![];
    let _ = std::io::Seek::rewind(&mut output); // an output that cannot be read is not shown
    let _ = output.read_to_end(&mut text);
    let from = text.len().saturating_sub(TAIL_BYTES);
    let text = String::from_utf8_lossy(&text[from..]).trim().to_string();
    match text.is_empty() {
        true => text,
        false => format!(":\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit_ms: u64) -> Result<(), CommandError> {
        let argv = ["sh", "-c", script].map(String::from);
        run_blocking(&argv, Duration::from_millis(limit_ms), &Around::default(), &|| false)
    }

    #[test]
    fn a_command_that_fails_says_how_and_shows_the_end_of_its_output() {
        assert_eq!(sh("true", 5_000), Ok(()));
        let error = sh("echo no such tenant >&2; exit 7", 5_000).unwrap_err().to_string();
        assert!(error.contains("exit code 7") && error.contains("no such tenant"), "{error}");
    }

    #[test]
    fn a_command_that_does_not_exist_is_one_clear_error() {
        let argv = ["/no/such/command".to_string()];
        let error = run_blocking(&argv, HEAL_LIMIT, &Around::default(), &|| false);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`/no/such/command` could not be started"), "{error}");
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed_with_all_that_it_started() {
        let began = Instant::now();
        let error = sh("sleep 60 & sleep 60", 50).unwrap_err();
        assert!(matches!(error, CommandError::Late { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let argv = ["sh", "-c", "echo 'a b' > $HOME/x", "", "--to=/etc/x"].map(String::from);
        assert_eq!(shown(&argv), r"sh -c 'echo '\''a b'\'' > $HOME/x' '' --to=/etc/x");
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_any_more_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (alive, path) = (folder.path().join("alive"), folder.path().display().to_string());
        let script = format!("touch {path}/alive; sleep 0.5; touch {path}/too-late; sleep 60");
        let command =
            run(["sh", "-c", &script].map(String::from).into(), HEAL_LIMIT, Around::default());
        tokio::select! {
            ended = command => panic!("{ended:?}"),
            () = async {
                while !alive.exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            } => {}
        }
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert!(!folder.path().join("too-late").exists());
    }
}
