//! Starts nodes' processes, all from one thread that lives as long as the spawner: their death
//! signal comes when the thread that started them ends, so dropping the last spawner ends every
//! node, too.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{oneshot, watch};

use super::{NODE, RUN, guard::guarded, stat};
use crate::agent::AgentError;
use crate::inventory::NodeId;

/// What is to be started, and for whom.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The firedrill binary itself, run as `firedrill guard -- argv...`.
    pub guard: PathBuf,
    /// The run's id, for the mark.
    pub run: String,
    /// The node, for the mark.
    pub node: NodeId,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the runner's own environment.
    pub env: BTreeMap<String, String>,
    /// Standard output and error are appended here. Its folder must exist.
    pub log: PathBuf,
}

/// A process that was started. It is reaped when it ends, whether or not anyone asks.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id; also its session's and its process group's.
    pub pid: Pid,
    /// When it started, as in [`super::Stat`].
    pub started: u64,
    exit: watch::Receiver<Option<String>>,
}

impl Process {
    /// How it ended, in words (`exit code 1`, `signal 9`); `None` while it lives.
    pub fn ended(&self) -> Option<String> {
        self.exit.borrow().clone()
    }
    /// Waits until it has ended, and says how. Cancel-safe.
    pub async fn wait(&mut self) -> String {
        match self.exit.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_default(),
            Err(_) => "an end that nobody saw".to_string(),
        }
    }
}

type Request = (Launch, oneshot::Sender<Result<Process, AgentError>>);

/// The thread that starts processes.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread. It ends, and with it every process that it started, when the last clone
    /// of the spawner is dropped.
    pub fn start() -> io::Result<Spawner> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let serve = move || {
            for (launch, reply) in inbox {
                // Who asked may have gone, before or meanwhile: then nobody would end it.
                if reply.is_closed() {
                    continue;
                }
                if let Err(Ok(unwanted)) = reply.send(spawn(&launch)) {
                    let _ = kill_process(unwanted.pid, Signal::KILL);
                }
            }
        };
        thread::Builder::new().name("spawner".into()).spawn(serve)?;
        Ok(Spawner { requests })
    }

    /// Starts a process; returns when its guard runs.
    pub async fn launch(&self, launch: Launch) -> Result<Process, AgentError> {
        let gone = || AgentError::Launch {
            command: "firedrill guard".into(),
            why: "the thread that starts processes has ended".into(),
        };
        let (reply, answer) = oneshot::channel();
        self.requests.send((launch, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn spawn(launch: &Launch) -> Result<Process, AgentError> {
    let program = launch.argv.first().map(String::as_str).unwrap_or_default();
    let failed = |why: String| AgentError::Launch { command: program.to_string(), why };
    let mut command = guarded(&launch.guard, &launch.argv).map_err(failed)?;
    let log = OpenOptions::new().create(true).append(true).open(&launch.log);
    let log = log.map_err(|e| failed(format!("its log {}: {e}", launch.log.display())))?;
    let both = log.try_clone().map_err(|e| failed(format!("its log: {e}")))?;
    let child = command
        .envs(&launch.env)
        .env(RUN, &launch.run)
        .env(NODE, launch.node.as_str())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(both)
        .spawn()
        .map_err(|e| failed(format!("its guard {}: {e}", launch.guard.display())))?;
    watch_over(child, &launch.node).map_err(|e| failed(format!("no thread to wait for it: {e}")))
}

/// One sleeping thread a process: it is reaped at once when it ends, on any runtime, without
/// polling.
fn watch_over(mut child: Child, node: &NodeId) -> io::Result<Process> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("its process id is out of range"))?;
    let started = stat(pid).map_or(0, |s| s.started);
    let (told, exit) = watch::channel(None);
    let wait = move || {
        let how = child.wait().map_or_else(|e| format!("an unknown end: {e}"), in_words);
        told.send_replace(Some(how));
    };
    thread::Builder::new().name(format!("wait {node}")).stack_size(128 << 10).spawn(wait)?;
    Ok(Process { pid, started, exit })
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => status.to_string(),
    }
}

/// Says what is wrong with a program's name before a guard is started for it.
pub(super) fn find_program(program: &str) -> Result<(), String> {
    if program.is_empty() {
        return Err("the command is empty; name a program".into());
    }
    if program.contains('/') {
        return match Path::new(program).is_file() {
            true => Ok(()),
            false => Err("there is no such file; mind that the path counts from the folder \
                          that firedrill was started in"
                .into()),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        true => Ok(()),
        false => Err("there is no such program in PATH; install it, or write its full path".into()),
    }
}
