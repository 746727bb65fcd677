//! Who is there: the processes of a run, as `/proc` tells (proc(5)).
//!
//! A process belongs to a node if its environment says so, or if its parent or its session's leader
//! belongs to it: some programs (PostgreSQL, Redis) write their title over their own environment.
//! What cleared its environment, left its process group and was orphaned is not found.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{NODE, RUN};
use crate::inventory::NodeId;

/// What `/proc/PID/stat` tells of a process or thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R` running, `S` asleep, `T` stopped by a signal, `Z` dead and unreaped, and so on.
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// Its session's leader.
    pub session: i32,
    /// How many threads it has, the dead leader of living ones included.
    pub threads: u32,
    /// When it started, in ticks since boot: with the pid, what names a process for good.
    pub started: u64,
}

impl Stat {
    pub(super) fn parse(text: &str) -> Option<Stat> {
        // The command's name stands in parentheses and may hold some itself: what counts follows
        // the last.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Stat {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            threads: fields.get(17)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
    /// Whether it is dead, all its threads, reaped or not. While one lives its sockets are open.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }
}

/// What `/proc` tells of a process; `None` if it is gone.
pub fn stat(pid: Pid) -> Option<Stat> {
    let raw = pid.as_raw_nonzero();
    Stat::parse(&fs::read_to_string(format!("/proc/{raw}/stat")).ok()?)
}

/// A living process of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub pid: Pid,
    /// When it started, as in [`Stat`].
    pub started: u64,
    /// Whose it is.
    pub node: NodeId,
}

impl Member {
    /// Sends a signal, unless the id has passed to another process meanwhile.
    pub fn signal(&self, signal: Signal) {
        if stat(self.pid).is_some_and(|s| s.started == self.started) {
            // It may have ended since: then there is nobody to tell.
            let _ = kill_process(self.pid, signal);
        }
    }
}

/// Finds the processes of a run's nodes.
#[derive(Debug)]
pub struct Roster {
    run: String,
    /// The processes that firedrill started itself: known even if they wrote over their
    /// environment.
    roots: Mutex<HashMap<Pid, (u64, NodeId)>>,
}

impl Roster {
    /// A roster of this run.
    pub fn new(run: impl Into<String>) -> Roster {
        Roster { run: run.into(), roots: Mutex::default() }
    }
    /// Makes a process known that was started for a node.
    pub fn add(&self, pid: Pid, started: u64, node: &NodeId) {
        let mut roots = self.roots.lock().unwrap_or_else(|p| p.into_inner());
        roots.retain(|_, (_, owner)| owner != node);
        roots.insert(pid, (started, node.clone()));
    }
    /// The living processes of all nodes.
    pub fn members(&self) -> Vec<Member> {
        let roots = self.roots.lock().unwrap_or_else(|p| p.into_inner()).clone();
        census(&self.run, &roots)
    }
    /// The living processes of one node.
    pub fn of(&self, node: &NodeId) -> Vec<Member> {
        let mut members = self.members();
        members.retain(|m| m.node == *node);
        members
    }
}

/// Every process on this machine that carries the run's mark, but the caller.
pub fn marked(run: &str) -> Vec<Pid> {
    census(run, &HashMap::new()).into_iter().map(|m| m.pid).collect()
}

/// Kills every process that carries the run's mark, until none is left or the time is over. Blocks.
/// Returns those that are left. The caller itself is spared.
pub fn reap(run: &str, within: Duration) -> Vec<Pid> {
    let end = Instant::now() + within;
    loop {
        let members = census(run, &HashMap::new());
        if members.is_empty() || Instant::now() >= end {
            return members.into_iter().map(|m| m.pid).collect();
        }
        members.iter().for_each(|m| m.signal(Signal::KILL));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn census(run: &str, roots: &HashMap<Pid, (u64, NodeId)>) -> Vec<Member> {
    let own = rustix::process::getpid();
    let mut owners: HashMap<i32, NodeId> = HashMap::new();
    let mut others: Vec<(Pid, Stat)> = Vec::new();
    let mut members = Vec::new();
    for pid in pids().filter(|pid| *pid != own) {
        let Some(stat) = stat(pid).filter(|s| !s.is_dead()) else { continue };
        let root = roots.get(&pid).filter(|(started, _)| *started == stat.started);
        let node = root.map(|(_, node)| node.clone()).or_else(|| mark(pid, run));
        match node {
            Some(node) => {
                owners.insert(pid.as_raw_nonzero().get(), node.clone());
                members.push(Member { pid, started: stat.started, node });
            }
            None => others.push((pid, stat)),
        }
    }
    // Inherited from parent or session, however deep: until nobody new is found.
    loop {
        let before = members.len();
        others.retain(|(pid, stat)| {
            let owner = owners.get(&stat.parent).or_else(|| owners.get(&stat.session)).cloned();
            let Some(node) = owner else { return true };
            owners.insert(pid.as_raw_nonzero().get(), node.clone());
            members.push(Member { pid: *pid, started: stat.started, node });
            false
        });
        if members.len() == before {
            return members;
        }
    }
}

fn pids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| Pid::from_raw(e.file_name().to_str()?.parse().ok()?))
}

/// The node that a process's environment names, if it names this run too.
fn mark(pid: Pid, run: &str) -> Option<NodeId> {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    marks(&environment, run)
}

fn marks(environment: &[u8], run: &str) -> Option<NodeId> {
    let value = |name: &str| {
        environment.split(|b| *b == 0).find_map(|entry| {
            std::str::from_utf8(entry).ok()?.strip_prefix(name)?.strip_prefix('=')
        })
    };
    (value(RUN)? == run).then(|| NodeId::new(value(NODE).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_confuse_the_reading() {
        let text = "7 (a) b (c)) T 3 7 5 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { state: 'T', parent: 3, session: 5, threads: 1, started: 4711 });
        assert_eq!(Stat::parse("7 (cut"), None);
    }

    #[test]
    fn a_dead_leader_of_living_threads_is_not_dead() {
        let stat = Stat { state: 'Z', parent: 1, session: 1, threads: 2, started: 1 };
        assert!(!stat.is_dead());
        assert!(Stat { threads: 1, ..stat }.is_dead());
    }

    #[test]
    fn only_the_mark_of_this_very_run_counts() {
        let node = |env: &str| marks(env.replace(' ', "\0").as_bytes(), "r1");
        assert_eq!(node("A=1 FIREDRILL_RUN=r1 FIREDRILL_NODE=n2"), Some(NodeId::new("n2")));
        assert_eq!(node("FIREDRILL_RUN=r12 FIREDRILL_NODE=n2"), None);
        assert_eq!(node("XFIREDRILL_RUN=r1 FIREDRILL_NODE=n2"), None);
        assert_eq!(node(""), None);
    }

    #[test]
    fn the_caller_is_found_by_stat_and_is_not_marked() {
        let own = rustix::process::getpid();
        assert!(!stat(own).unwrap().is_dead());
        assert!(!marked("no such run").contains(&own));
    }
}
