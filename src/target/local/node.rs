//! One node: its process, from one life to the next.
//!
//! Invariant: `life` is what firedrill last brought about. A node that died by itself keeps its
//! life, and is not started again before firedrill has taken it down: its death is a finding, not
//! something to repair.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::agent::AgentError;
use crate::agent::process::{self, Launch, Process, Roster, Spawner};
use crate::condition::Life;
use crate::history::NodeEventKind;
use crate::target::{Notice, TargetError};

/// How many lines of a log's end an error shows.
const LOG_LINES: usize = 8;
/// How long a process that has ended may take to be reaped.
const REAPED: Duration = Duration::from_secs(5);
/// How long to wait for a node to get ready whose links suffer: it may not be able to.
const READY_WHILE_CUT: Duration = Duration::from_secs(1);

/// One node of the run.
#[derive(Debug)]
pub(super) struct LocalNode {
    pub launch: Launch,
    /// Where it accepts connections when it is ready.
    pub ready: SocketAddr,
    /// The name of that port.
    pub ready_port: String,
    pub ready_timeout: Duration,
    pub stop_timeout: Duration,
    pub spawner: Spawner,
    pub roster: Arc<Roster>,
    pub notices: mpsc::UnboundedSender<Notice>,
    /// Set when the run ends: nothing is started or waited for any more.
    pub ending: CancellationToken,
    pub state: Mutex<State>,
}

/// What firedrill made of a node.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    /// The life that was brought about last; `None` before the first start.
    pub life: Option<Life>,
    pub process: Option<Process>,
    /// Whether the process was seen to be ready.
    ready: bool,
    /// Whether firedrill means the process to end.
    meant: Arc<AtomicBool>,
    /// How long the log was when the process was started.
    log_from: u64,
}

impl State {
    fn root(&self) -> Option<rustix::process::Pid> {
        self.process.as_ref().filter(|p| p.ended().is_none()).map(|p| p.pid)
    }
}

impl LocalNode {
    /// Brings about a life; idempotent. `linked`: all its links are healthy, so it can get ready.
    pub async fn live(&self, life: Life, linked: bool) -> Result<(), TargetError> {
        let mut state = self.state.lock().await;
        // A node that could not get ready while it was cut off is waited for once it can.
        let waits = life == Life::Running && linked && !state.ready;
        if state.life == Some(life) && !waits {
            return Ok(());
        }
        match life {
            Life::Running | Life::Paused => self.up(&mut state, life, linked).await?,
            Life::Crashed | Life::Evicted | Life::Stopped | Life::Killed => {
                self.down(&mut state, life).await?;
            }
        }
        state.life = Some(life);
        Ok(())
    }

    /// Waits for a running node that could not get ready before: its links are healthy now.
    pub async fn settle(&self) -> Result<(), TargetError> {
        let mut state = self.state.lock().await;
        match state.life == Some(Life::Running) && !state.ready {
            true => self.await_ready(&mut state, true).await,
            false => Ok(()),
        }
    }

    /// Starts the process if it is down, and pauses or resumes it.
    async fn up(&self, state: &mut State, life: Life, linked: bool) -> Result<(), TargetError> {
        let was_down = !state.life.is_some_and(Life::has_process);
        // What an interrupted start left runs already.
        if was_down && state.root().is_none() {
            self.start(state).await?;
        }
        let node = &self.launch.node;
        if life == Life::Paused {
            if was_down {
                self.await_ready(state, linked).await?;
            }
            return process::pause(&self.roster, node).await.map_err(|e| self.failed(e));
        }
        process::resume(&self.roster, node).await.map_err(|e| self.failed(e))?;
        // One that died by itself was ready once, and is not waited for.
        match state.ready {
            true => Ok(()),
            false => self.await_ready(state, linked).await,
        }
    }

    async fn start(&self, state: &mut State) -> Result<(), TargetError> {
        self.go_on()?;
        state.meant = Arc::new(AtomicBool::new(false));
        state.ready = false;
        state.log_from = fs::metadata(&self.launch.log).map_or(0, |m| m.len());
        let process = self.spawner.launch(self.launch.clone()).await.map_err(|e| self.failed(e))?;
        self.roster.add(process.pid, process.started, &self.launch.node);
        self.notice(NodeEventKind::Started);
        self.watch(process.clone(), state.meant.clone());
        state.process = Some(process);
        Ok(())
    }

    /// Tells of the process's end, whenever it comes.
    fn watch(&self, mut process: Process, meant: Arc<AtomicBool>) {
        let (notices, node) = (self.notices.clone(), self.launch.node.clone());
        tokio::spawn(async move {
            let how = process.wait().await;
            let kind = match meant.load(Ordering::Acquire) {
                true => NodeEventKind::Ended(how),
                false => NodeEventKind::Died(how),
            };
            // Nobody may listen any more.
            let _ = notices.send(Notice { at: Instant::now(), node, kind });
        });
    }

    async fn await_ready(&self, state: &mut State, linked: bool) -> Result<(), TargetError> {
        let began = Instant::now();
        let patience =
            if linked { self.ready_timeout } else { self.ready_timeout.min(READY_WHILE_CUT) };
        let mut pause = Duration::from_millis(1);
        loop {
            self.go_on()?;
            if let Some(how) = state.process.as_ref().and_then(Process::ended) {
                let why = format!("ended ({how}) before it was ready");
                return Err(self.not_up(state, &why, "see what it says, and mend its command"));
            }
            let left = patience.saturating_sub(began.elapsed());
            if let Ok(Ok(_)) = timeout(left, TcpStream::connect(self.ready)).await {
                state.ready = true;
                self.notice(NodeEventKind::Ready);
                return Ok(());
            }
            if left.is_zero() && !linked {
                return Ok(()); // the proof will say whether it is
            }
            if left.is_zero() {
                let port = &self.ready_port;
                let why = format!(
                    "runs, but accepted no connection on its port `{port}` ({}) \
                     within {patience:?}",
                    self.ready
                );
                let remedy = format!("let it listen on {{listen.{port}}}, or raise ready_timeout");
                return Err(self.not_up(state, &why, &remedy));
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    async fn down(&self, state: &mut State, life: Life) -> Result<(), TargetError> {
        state.meant.store(true, Ordering::Release);
        let (roster, node, root) = (&self.roster, &self.launch.node, state.root());
        match life {
            Life::Evicted | Life::Stopped => {
                process::stop(roster, node, root, self.stop_timeout).await
            }
            _ => process::kill(roster, node, root).await,
        }
        .map_err(|e| self.failed(e))?;
        // Reaped, too: only then is its end known, and its id free.
        match state.process.as_mut() {
            Some(process) => timeout(REAPED, process.wait()).await.map(drop).map_err(|_| {
                let why = "its process ended, but cannot be reaped".into();
                TargetError::Node { node: node.clone(), why }
            }),
            None => Ok(()),
        }
    }

    fn go_on(&self) -> Result<(), TargetError> {
        let node = self.launch.node.clone();
        match self.ending.is_cancelled() {
            true => Err(TargetError::Node { node, why: "the run is ending".into() }),
            false => Ok(()),
        }
    }

    fn notice(&self, kind: NodeEventKind) {
        let node = self.launch.node.clone();
        let _ = self.notices.send(Notice { at: Instant::now(), node, kind });
    }

    fn failed(&self, why: AgentError) -> TargetError {
        TargetError::Node { node: self.launch.node.clone(), why: why.to_string() }
    }

    fn not_up(&self, state: &State, why: &str, remedy: &str) -> TargetError {
        let log = &self.launch.log;
        let end = match log_end(log, state.log_from) {
            end if end.is_empty() => format!("its log {} is empty", log.display()),
            end => format!("the end of its log {}:\n{end}", log.display()),
        };
        let command = self.launch.argv.join(" ");
        let why = format!("`{command}` {why}; {remedy}; {end}");
        TargetError::Node { node: self.launch.node.clone(), why }
    }
}

/// The last lines that were written to a log since `from`, indented.
fn log_end(log: &Path, from: u64) -> String {
    const MOST: u64 = 4096;
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(log) {
        let length = file.metadata().map_or(0, |m| m.len());
        let start = from.max(length.saturating_sub(MOST));
        // A log that cannot be read is shown as empty.
        let _ =
            file.seek(SeekFrom::Start(start)).and_then(|_| file.take(MOST).read_to_end(&mut bytes));
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}
