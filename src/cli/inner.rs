//! What firedrill starts of itself: a node of the embedded store, a guard before a node, the watchdog,
//! the agent beside a node, a witness of the time inside one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::{CliError, terminal};
use crate::agent::AgentError;
use crate::agent::conversation::{Ended, Manners};
use crate::drill::watchdog;
use crate::quantity::Span;
use crate::target::docker;
use crate::{agent, store};

#[derive(Debug, Parser)]
#[command(name = "firedrill store", about = "A node of the embedded store")]
struct Store {
    #[command(flatten)]
    options: store::Options,
}

/// A node of the embedded store, until SIGTERM.
pub(super) fn store(args: Vec<OsString>) -> Result<Exit, CliError> {
    let Store { options } = Store::parse_from(with_name("firedrill store", args));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| CliError::Failed(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let failed = |e: std::io::Error| CliError::Failed(format!("no signals: {e}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let shutdown = CancellationToken::new();
        let told = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            told.cancel();
        });
        store::serve(options, shutdown).await.map_err(|e| CliError::Invalid(e.to_string()))
    })?;
    Ok(Exit::Pass)
}

/// Becomes another program, tied to the runner's life. Returns only if it cannot.
pub(super) fn guard(args: Vec<OsString>) -> Result<Exit, CliError> {
    Err(CliError::Failed(agent::process::guard(args).to_string()))
}

/// Kills one process: what a helper container does that sees the host's processes.
pub(super) fn agent_kill(args: Vec<OsString>) -> Result<Exit, CliError> {
    let pid = args.first().and_then(|pid| pid.to_str()).and_then(|pid| pid.parse().ok());
    let pid = pid.ok_or_else(|| CliError::Invalid("expected one process id".into()))?;
    docker::kill_here(pid).map_err(CliError::Failed)?;
    Ok(Exit::Pass)
}

/// Removes what an agent that was killed left in this network namespace, and says so if there was anything.
pub(super) fn agent_sweep() -> Result<Exit, CliError> {
    let swept = agent::beside::sweep().map_err(|e| CliError::Failed(e.to_string()))?;
    if swept > 0 {
        terminal::say(&format!("removed {swept} network devices"));
    }
    Ok(Exit::Pass)
}

#[derive(Debug, Parser)]
#[command(name = "firedrill watchdog", about = "Outlives the runner and heals what it left behind")]
struct Watchdog {
    /// The run's folder.
    folder: PathBuf,
    /// How long silence may last.
    #[arg(long)]
    lease_ms: u64,
}

/// The watchdog of a run, until the run is over.
pub(super) fn watchdog(args: Vec<OsString>) -> Result<Exit, CliError> {
    let Watchdog { folder, lease_ms } = Watchdog::parse_from(with_name("firedrill watchdog", args));
    let left = watchdog::serve(&folder, Duration::from_millis(lease_ms))
        .map_err(|e| CliError::Failed(e.to_string()))?;
    for what in &left {
        terminal::say(&format!("could not be restored: {what}"));
    }
    if !left.is_empty() {
        let folder = folder.display();
        terminal::say(&format!("to try again: firedrill heal {folder}; or do it by hand"));
    }
    Ok(if left.is_empty() { Exit::Pass } else { Exit::NotRestored })
}

#[derive(Debug, Parser)]
#[command(name = "firedrill agent", about = "Stands beside a node, in its network namespace")]
struct Agent {
    /// How long its input may be silent.
    #[arg(long)]
    lease: Span,
    /// Say hello only after a first line.
    #[arg(long)]
    after_a_line: bool,
}

impl Agent {
    fn manners(&self) -> Manners {
        Manners { lease: self.lease.0, after_a_line: self.after_a_line }
    }
}

/// The agent beside a node, until its input or its lease ends. The end of the process is what heals.
pub(super) fn agent(args: Vec<OsString>) -> Result<Exit, CliError> {
    let told = Agent::parse_from(with_name("firedrill agent", args));
    serve(told.lease, agent::beside::serve(told.manners()))
}

/// The agent within a node, until its input or its lease ends.
pub(super) fn agent_within(args: Vec<OsString>) -> Result<Exit, CliError> {
    let told = Agent::parse_from(with_name("firedrill agent-within", args));
    serve(told.lease, agent::within::serve(told.manners()))
}

fn serve(
    lease: Span,
    agent: impl Future<Output = Result<Ended, AgentError>>,
) -> Result<Exit, CliError> {
    let failed = |e: &dyn std::fmt::Display| CliError::Failed(e.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed(&e))?;
    let ended = runtime.block_on(agent).map_err(|e| failed(&e));
    // A read of the input may be under way, and would be waited for.
    runtime.shutdown_background();
    if ended? == Ended::LeaseExpired {
        terminal::say(&format!("no line for {lease}: this agent ends, and what it held with it"));
    }
    Ok(Exit::Pass)
}

/// Takes processors and memory from a node, in a process of its own: workers, the share of the time for which each
/// computes, bytes.
pub(super) fn agent_stress(args: &[OsString]) -> Result<Exit, CliError> {
    let stress = || {
        let mut words = args.iter().map(|word| word.to_str());
        let workers = words.next()??.parse().ok()?;
        let share = words.next()??.parse().ok()?;
        Some((workers, share, words.next()??.parse().ok()?))
    };
    let expected = || CliError::Invalid("expected workers, a share, and bytes".into());
    let (workers, share, memory) = stress().ok_or_else(expected)?;
    agent::within::stress_here(workers, share, memory).map_err(CliError::Failed)?;
    Ok(Exit::Pass)
}

/// Reads this program past the page cache, in a process of its own: bytes at a time, bytes in all.
pub(super) fn agent_reads(args: &[OsString]) -> Result<Exit, CliError> {
    let told = || {
        let mut words = args.iter().map(|word| word.to_str());
        let piece = words.next()??.parse().ok()?;
        Some((piece, words.next()??.parse().ok()?))
    };
    let expected = || CliError::Invalid("expected bytes at a time, and bytes in all".into());
    let (piece, bytes) = told().ok_or_else(expected)?;
    agent::within::read_here(piece, bytes).map_err(CliError::Failed)?;
    Ok(Exit::Pass)
}

/// Gives a node its limits back: the limits, and for how many milliseconds it is seen to that they stay.
pub(super) fn agent_limits(args: &[OsString]) -> Result<Exit, CliError> {
    let told = || {
        let mut words = args.iter().map(|word| word.to_str());
        let own = serde_json::from_str(words.next()??).ok()?;
        Some((own, Duration::from_millis(words.next()??.parse().ok()?)))
    };
    let expected = || CliError::Invalid("expected limits as JSON, and milliseconds".into());
    let (own, patience) = told().ok_or_else(expected)?;
    agent::within::restore_here(&own, patience).map_err(CliError::Failed)?;
    Ok(Exit::Pass)
}

/// Says what time it is for each line of its input, until that ends.
pub(super) fn clock_witness() -> Result<Exit, CliError> {
    let said = agent::within::clock::testify(std::io::stdin().lock(), std::io::stdout().lock());
    said.map_err(|e| CliError::Failed(format!("the time cannot be said: {e}")))?;
    Ok(Exit::Pass)
}

fn with_name(name: &str, args: Vec<OsString>) -> Vec<OsString> {
    std::iter::once(OsString::from(name)).chain(args).collect()
}
