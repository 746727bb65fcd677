//! Kills, stops, pauses and resumes all processes of a node, and returns when it is so.
//!
//! Each is idempotent, and looks again after each round: a process may fork between the look and
//! the signal.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::census::{Member, Roster, Stat};
use crate::agent::AgentError;
use crate::inventory::NodeId;

/// How long a signal that cannot be refused may take. Only a process stuck in the kernel takes
/// longer.
const PROMPT: Duration = Duration::from_secs(5);

/// Kills every process of a node (SIGKILL). Returns when none is left.
pub async fn kill(roster: &Roster, node: &NodeId, root: Option<Pid>) -> Result<(), AgentError> {
    if let Some(root) = root {
        // First the whole group at once; the census below takes those that left it.
        let _ = kill_process_group(root, Signal::KILL);
    }
    let look = |m: &Member| {
        m.signal(Signal::KILL);
        false
    };
    repeat(roster, node, PROMPT, "still alive", look).await
}

/// Asks every process of a node to end (SIGTERM), and kills what is left after `patience`.
pub async fn stop(
    roster: &Roster,
    node: &NodeId,
    root: Option<Pid>,
    patience: Duration,
) -> Result<(), AgentError> {
    for member in roster.of(node) {
        member.signal(Signal::TERM);
        member.signal(Signal::CONT); // what is paused would not hear
    }
    match repeat(roster, node, patience, "still alive", |_| false).await {
        Ok(()) => Ok(()),
        Err(_) => kill(roster, node, root).await,
    }
}

/// Stops every thread of a node's processes (SIGSTOP). Returns when all are stopped.
pub async fn pause(roster: &Roster, node: &NodeId) -> Result<(), AgentError> {
    let look = |m: &Member| {
        let (stopped, all) = stopped_threads(m.pid);
        if stopped < all {
            m.signal(Signal::STOP);
        }
        stopped == all
    };
    repeat(roster, node, PROMPT, "not stopped", look).await
}

/// Lets a node's processes go on (SIGCONT). Returns when none is stopped.
pub async fn resume(roster: &Roster, node: &NodeId) -> Result<(), AgentError> {
    let look = |m: &Member| {
        let (stopped, _) = stopped_threads(m.pid);
        if stopped > 0 {
            m.signal(Signal::CONT);
        }
        stopped == 0
    };
    repeat(roster, node, PROMPT, "still stopped", look).await
}

/// How many threads of a process are stopped by a signal, and how many there are.
pub fn stopped_threads(pid: Pid) -> (usize, usize) {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let states = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("stat")).ok()?;
        Stat::parse(&text)
    });
    states
        .filter(|s| !s.is_dead())
        .fold((0, 0), |(stopped, all), s| (stopped + usize::from(s.state == 'T'), all + 1))
}

/// Looks at each process of the node until every one is settled (or gone), or the time is over.
async fn repeat(
    roster: &Roster,
    node: &NodeId,
    within: Duration,
    what: &'static str,
    settled: impl Fn(&Member) -> bool,
) -> Result<(), AgentError> {
    let end = Instant::now() + within;
    let mut wait = Duration::from_micros(500);
    loop {
        let unsettled: Vec<Member> = roster.of(node).into_iter().filter(|m| !settled(m)).collect();
        if unsettled.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            let pids: Vec<String> =
                unsettled.iter().map(|m| m.pid.as_raw_nonzero().to_string()).collect();
            return Err(AgentError::Signal { what, after: within, pids: pids.join(", ") });
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(10));
    }
}
