//! The write-ahead journal: what would have to be undone if the runner died now.
//!
//! Invariant: the line that says how to undo a change is on the disk (fdatasync) before the change begins,
//! and its `done` line is written only after the undo succeeded. So replaying is always safe: an undo
//! tolerates a change that never happened, and a last line that was cut in the middle is ignored (its
//! change had not begun) and taken away before the next one is written. A journal that cannot be written any
//! more (a full disk) keeps nobody from undoing what it says.
//!
//! Read by three: the drill's own ending, the watchdog, and `firedrill heal`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::agent::process;
use crate::command::{self, Around, CommandError};
use crate::target::{Restore, docker, kubernetes};

/// The journal's name in a run's folder.
pub const FILE: &str = "journal.jsonl";

/// How long a replay may try before it says what is left.
pub const REPLAY_LIMIT: Duration = Duration::from_secs(10);

/// How a change is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Kill every process that carries the run's mark.
    ReapProcesses {
        /// The run.
        run: String,
    },
    /// Remove a folder and all that is in it.
    RemoveFolder(PathBuf),
    /// Run a command of the user's.
    Command(Vec<String>),
    /// Run a command of the scenario's teardown.
    Teardown {
        /// Program and arguments.
        argv: Vec<String>,
        /// How long it may take.
        limit: Duration,
    },
    /// Restore something at a Docker engine.
    Docker(docker::restore::Restore),
    /// Restore something in a Kubernetes cluster.
    Kubernetes(kubernetes::Restore),
}

impl From<Restore> for Undo {
    fn from(restore: Restore) -> Undo {
        match restore {
            Restore::Command(argv) => Undo::Command(argv),
            Restore::Docker(restore) => Undo::Docker(restore),
            Restore::Kubernetes(restore) => Undo::Kubernetes(restore),
        }
    }
}

impl Undo {
    /// What a person would type to do it by hand.
    pub fn by_hand(&self) -> String {
        match self {
            Undo::ReapProcesses { run } => format!("firedrill heal {run}"),
            Undo::RemoveFolder(path) => format!("rm -r {}", path.display()),
            Undo::Command(argv) | Undo::Teardown { argv, .. } => command::shown(argv),
            Undo::Docker(restore) => restore.by_hand(),
            Undo::Kubernetes(restore) => restore.by_hand(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// A run begins. The runner is known by its PID and the start time of that process; the user's commands
    /// run where it was started.
    Began {
        run: String,
        pid: u32,
        started: u64,
        #[serde(default)]
        started_in: Option<PathBuf>,
    },
    /// This will have to be undone.
    Undo { id: u32, how: Undo },
    /// It has been.
    Done { id: u32 },
    /// Nothing is left to do.
    Closed,
}

/// A journal that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("journal {}: {why}", path.display())]
pub struct JournalError {
    path: PathBuf,
    why: String,
}

/// A journal being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    last_id: u32,
    /// What this runner has not undone, whatever a watchdog has that took it for dead.
    open: BTreeMap<u32, Undo>,
    /// What of it this runner tried in vain, and why.
    failed: BTreeMap<u32, String>,
}

impl State {
    fn of(file: File) -> State {
        State { file, last_id: 0, open: BTreeMap::new(), failed: BTreeMap::new() }
    }

    fn put(&mut self, line: &Line) -> std::io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if written.is_err() {
            let _ = self.file.set_len(before); // half a line would spoil the next one
        }
        written
    }
}

impl Journal {
    /// Creates the journal of a run in its folder. Fails if there is one.
    pub fn create(folder: &Path, run: &str) -> Result<Journal, JournalError> {
        let path = folder.join(FILE);
        let fail = |e: std::io::Error| JournalError { path: path.clone(), why: e.to_string() };
        let file = File::options().append(true).create_new(true).open(&path).map_err(fail)?;
        let mut state = State::of(file);
        let pid = std::process::id();
        let started = start_time(pid).unwrap_or(0);
        let started_in = std::env::current_dir().ok();
        let began = Line::Began { run: run.to_string(), pid, started, started_in };
        state.put(&began).map_err(fail)?;
        Ok(Journal { path, state: Mutex::new(state) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn fail(&self, e: std::io::Error) -> JournalError {
        JournalError { path: self.path.clone(), why: e.to_string() }
    }

    /// Says how to undo what is about to be done. On the disk when this returns; only then do it.
    pub fn before(&self, how: Undo) -> Result<u32, JournalError> {
        let mut state = self.state();
        let id = state.last_id + 1;
        state.put(&Line::Undo { id, how: how.clone() }).map_err(|e| self.fail(e))?;
        state.last_id = id;
        state.open.insert(id, how);
        Ok(id)
    }

    /// Says that it has been undone.
    pub fn done(&self, id: u32) -> Result<(), JournalError> {
        let mut state = self.state();
        state.open.remove(&id);
        state.put(&Line::Done { id }).map_err(|e| self.fail(e))
    }

    /// Says that undoing it was tried in vain. It stays open; this runner does not try it again.
    pub fn failed(&self, id: u32, why: String) {
        self.state().failed.insert(id, why);
    }

    /// Undoes all that this runner has not undone, also what a watchdog has already (something may have come
    /// back since), and closes the journal if nothing is left. The user's commands go through `guard`, and
    /// are not waited for once `give_up` says so; they are left.
    pub fn finish(&self, guard: Option<PathBuf>, give_up: &dyn Fn() -> bool) -> Replayed {
        let open = self.state().open.clone();
        let around = Around { guard, ..Default::default() };
        self.undo_all(open.into_iter().rev().collect(), &around, REPLAY_LIMIT, give_up)
    }

    /// The run's processes first, the latest change first. Goes on past failures.
    fn undo_all(
        &self,
        open: Vec<(u32, Undo)>,
        around: &Around,
        limit: Duration,
        give_up: &dyn Fn() -> bool,
    ) -> Replayed {
        let deadline = Instant::now() + limit;
        let (processes, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(_, how)| matches!(how, Undo::ReapProcesses { .. }));
        let mut replayed = Replayed::default();
        for (id, how) in processes.into_iter().chain(others) {
            let failed = self.state().failed.get(&id).cloned();
            match failed.map_or_else(|| undo(&how, around, deadline, give_up), Err) {
                Ok(what) => {
                    replayed.undone.extend(what);
                    self.note(self.done(id));
                }
                Err(why) => replayed.left.push(format!("{} ({why})", how.by_hand())),
            }
        }
        if replayed.left.is_empty() {
            self.note(self.state().put(&Line::Closed).map_err(|e| self.fail(e)));
        }
        replayed
    }

    /// What was undone is undone, also when that cannot be written down.
    fn note(&self, written: Result<(), JournalError>) {
        if let Err(e) = written {
            tracing::warn!("{e}");
        }
    }
}

/// When a living process started, in ticks since boot: with the PID, what names a process for good.
fn start_time(pid: u32) -> Option<u64> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    process::stat(pid).filter(|stat| !stat.is_dead()).map(|stat| stat.started)
}

/// A journal as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The run's name.
    pub run: String,
    /// The runner's PID.
    pub pid: u32,
    started: u64,
    started_in: Option<PathBuf>,
    /// Where the last whole line ends.
    whole: u64,
    /// Whether the run was brought to its end.
    pub closed: bool,
    /// What is not undone, the latest first.
    pub open: Vec<(u32, Undo)>,
}

impl Found {
    /// Whether the runner that wrote it is alive. A PID that was given away again does not count.
    pub fn runner_lives(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }
}

/// Reads the journal in a run's folder. A cut last line is ignored; other nonsense is an error. A journal
/// without a whole line is one of a run that did nothing.
pub fn find(folder: &Path) -> Result<Found, JournalError> {
    let path = folder.join(FILE);
    let fail = |why: String| JournalError { path: path.clone(), why };
    let bytes = std::fs::read(&path).map_err(|e| fail(e.to_string()))?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let run = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Found {
        run,
        pid: 0,
        started: 0,
        started_in: None,
        whole: whole as u64,
        closed: whole == 0,
        open: vec![],
    };
    let mut open = BTreeMap::new();
    for (at, line) in bytes[..whole].split_inclusive(|b| *b == b'\n').enumerate() {
        let line =
            serde_json::from_slice(line).map_err(|e| fail(format!("line {}: {e}", at + 1)))?;
        match line {
            Line::Began { run, pid, started, started_in } => {
                found = Found { run, pid, started, started_in, ..found };
            }
            Line::Undo { id, how } => drop(open.insert(id, how)),
            Line::Done { id } => drop(open.remove(&id)),
            Line::Closed => found.closed = true,
        }
    }
    found.open = open.into_iter().rev().collect();
    Ok(found)
}

/// What came of replaying a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// What was undone, in words.
    pub undone: Vec<String>,
    /// What could not be, each with the command that does it and why it failed.
    pub left: Vec<String>,
}

/// Undoes all that a dead runner left open, and writes down what was done. Goes on past failures. Takes at
/// most about `limit`, and a command's own time-out.
pub fn replay(folder: &Path, limit: Duration) -> Result<Replayed, JournalError> {
    let found = find(folder)?;
    let path = folder.join(FILE);
    let fail = |e: std::io::Error| JournalError { path: path.clone(), why: e.to_string() };
    let file = File::options().append(true).open(&path).map_err(fail)?;
    file.set_len(found.whole).map_err(fail)?;
    let journal = Journal { path: path.clone(), state: Mutex::new(State::of(file)) };
    let folder = found.started_in.filter(|folder| folder.is_dir());
    let around = Around { folder, ..Default::default() };
    Ok(journal.undo_all(found.open, &around, limit, &|| false))
}

/// Undoes one change. `Ok(None)`: there was nothing to undo.
fn undo(
    how: &Undo,
    around: &Around,
    deadline: Instant,
    give_up: &dyn Fn() -> bool,
) -> Result<Option<String>, String> {
    match how {
        Undo::ReapProcesses { run } => {
            let before = process::marked(run).len();
            match process::reap(run, deadline.saturating_duration_since(Instant::now())) {
                left if left.is_empty() && before == 0 => Ok(None),
                left if left.is_empty() => Ok(Some(format!("killed {before} processes"))),
                left => Err(format!("processes {left:?} do not die")),
            }
        }
        Undo::RemoveFolder(path) => match std::fs::remove_dir_all(path) {
            Ok(()) => Ok(Some(format!("removed {}", path.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.to_string()),
        },
        Undo::Docker(restore) => restore.restore(),
        Undo::Kubernetes(restore) => restore.restore(),
        Undo::Command(argv) => ran(argv, command::HEAL_LIMIT, around, give_up),
        Undo::Teardown { argv, limit } => ran(argv, *limit, around, give_up),
    }
}

fn ran(
    argv: &[String],
    limit: Duration,
    around: &Around,
    give_up: &dyn Fn() -> bool,
) -> Result<Option<String>, String> {
    let ran = command::run_blocking(argv, limit, around, give_up);
    ran.map(|()| Some(format!("ran {}", command::shown(argv)))).map_err(|e| match e {
        CommandError::GivenUp { .. } => "not waited for".into(),
        e => e.why(),
    })
}

#[cfg(test)]
mod tests;
