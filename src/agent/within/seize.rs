//! Processes that are stopped or killed from within their own process namespace, where no signal of a neighbour's
//! does anything to the first of them: by ptrace(2), whose word holds for it too.
//!
//! Invariant: what is stopped goes on when the tracing thread ends, however it ends: the kernel lets go then.

use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;

use super::protocol::Standstill;

/// How long threads may take to stop: one in an uninterruptible system call does so when that returns.
const STOPPING: Duration = Duration::from_secs(2);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(5);
/// The state of a thread that stands in a tracing stop (proc(5)).
const TRACED: char = 't';

/// Processes that are stopped. Dropped, they go on.
#[derive(Debug)]
pub(super) struct Grip {
    threads: BTreeSet<i32>,
    /// Closed, it ends the tracing thread.
    release: Option<mpsc::Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

impl Grip {
    /// Stops each process that is chosen by its number.
    pub(super) fn of(chosen: impl Fn(i32) -> bool + Send + 'static) -> Result<Grip, String> {
        let (release, until) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        // Only the thread that seized them can let go of them.
        let tracer = std::thread::Builder::new().name("tracer".into()).spawn(move || {
            let seized = seize_all(&chosen);
            let stopped = seized.is_ok();
            if tell.send(seized).is_ok() && stopped {
                let _ = until.recv(); // nothing is ever sent: it ends with the other end
            }
        });
        let tracer = tracer.map_err(|e| format!("no thread to stop processes by: {e}"))?;
        let threads = told.recv().map_err(|_| "the tracing thread broke".to_string())??;
        Ok(Grip { threads, release: Some(release), tracer: Some(tracer) })
    }

    /// How many threads are stopped, as the kernel tells it.
    pub(super) fn measure(&self) -> Standstill {
        let stopped = self.threads.iter().filter(|thread| state(**thread) == Some(TRACED)).count();
        let there = self.threads.iter().filter(|thread| state(**thread).is_some()).count();
        Standstill { threads: there, stopped }
    }
}

impl Drop for Grip {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join(); // a thread that broke let go of them as well
        }
    }
}

/// Stops every thread of the chosen processes, those too that others begin meanwhile.
fn seize_all(chosen: &dyn Fn(i32) -> bool) -> Result<BTreeSet<i32>, String> {
    let mut seized = BTreeSet::new();
    loop {
        let new: Vec<i32> = threads(chosen).into_iter().filter(|t| !seized.contains(t)).collect();
        if new.is_empty() {
            break;
        }
        for thread in new {
            let pid = Pid::from_raw(thread);
            let stopped =
                ptrace::seize(pid, Options::empty()).and_then(|()| ptrace::interrupt(pid));
            match stopped {
                // It ended meanwhile.
                Err(nix::errno::Errno::ESRCH) => {}
                Err(e) => return Err(format!("process {thread} cannot be stopped: {e}")),
                Ok(()) => {}
            }
            seized.insert(thread);
        }
    }
    let deadline = Instant::now() + STOPPING;
    let runs = |thread: &&i32| state(**thread).is_some_and(|state| state != TRACED);
    while let Some(thread) = seized.iter().find(runs) {
        if Instant::now() >= deadline {
            return Err(format!("process {thread} does not stop within {STOPPING:?}"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(seized)
}

fn threads(chosen: &dyn Fn(i32) -> bool) -> Vec<i32> {
    let processes = numbers("/proc").into_iter().filter(|pid| chosen(*pid));
    processes.flat_map(|pid| numbers(&format!("/proc/{pid}/task"))).collect()
}

fn numbers(folder: &str) -> Vec<i32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The state of a thread, and its parent. `None`: it is gone.
fn status(thread: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    // The name before may contain anything.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

fn state(thread: i32) -> Option<char> {
    status(thread).map(|(state, _)| state).filter(|state| !matches!(state, 'Z' | 'X'))
}

/// Whether a process is neither this one nor one that it started.
pub(super) fn is_of_others(process: i32) -> bool {
    let own = std::process::id().cast_signed();
    let mut now = process;
    while now > 1 {
        if now == own {
            return false;
        }
        now = status(now).map_or(0, |(_, parent)| parent);
    }
    own != 1
}

/// Kills a process as by SIGKILL, the first of this namespace too: what happens to a process whose tracer is gone, if
/// that asked for it.
pub(super) fn kill(process: i32) -> Result<(), String> {
    let pid = Pid::from_raw(process);
    let tracer = std::thread::spawn(move || ptrace::seize(pid, Options::PTRACE_O_EXITKILL));
    let seized = tracer.join().map_err(|_| "the tracing thread broke".to_string())?;
    seized.map_err(|e| format!("process {process} cannot be killed: {e}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn busy() -> (Child, i32) {
        let mut child = Command::new("sh")
            .args(["-c", "while :; do echo line; sleep 0.01; done"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        (child, pid)
    }

    #[test]
    fn what_is_gripped_stands_still_and_goes_on_when_it_is_let_go() {
        let (mut child, pid) = busy();
        let grip = Grip::of(move |process| process == pid).unwrap();
        assert_eq!(grip.measure(), Standstill { threads: 1, stopped: 1 });
        assert_eq!(state(pid), Some(TRACED));
        drop(grip);
        assert!(state(pid).is_some_and(|state| state != TRACED));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_is_killed_dies_as_by_sigkill() {
        let (mut child, pid) = busy();
        kill(pid).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert!(kill(pid).is_err(), "it is gone");
    }

    #[test]
    fn own_processes_are_told_from_those_of_others() {
        let (mut child, pid) = busy();
        assert!(!is_of_others(std::process::id().cast_signed()));
        assert!(!is_of_others(pid), "what it started");
        assert!(is_of_others(1));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
