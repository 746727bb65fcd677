//! Processes that take processors and memory from a node: children of the agent's in the node's own control groups,
//! so that what they take is missing there and nowhere else; where those are not seen, in those of the agent.
//!
//! Invariant: they end with the agent, however it ends: by a death signal, and by the end of their input.

use std::io::{BufRead, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::cgroup::Cgroup;
use crate::condition::Load;
use crate::quantity::Ratio;

/// How long the stress may take to hold its memory.
const HOLDING: Duration = Duration::from_secs(60);
/// Over how long it is measured how much it computes.
const SAMPLE: Duration = Duration::from_millis(300);
/// How often a thread that does not compute all the time begins to.
const PERIOD: Duration = Duration::from_millis(20);
/// Clock ticks of `/proc/PID/stat` in a second: 100 on every architecture that Rust knows.
const TICKS: f64 = 100.0;
const PAGE: usize = 4096;

/// What the child says once it holds what it should.
const READY: &str = "ready";

/// A stress under way.
#[derive(Debug)]
pub(super) struct Stress {
    child: Child,
    pid: u32,
    load: Load,
}

/// Whether a load takes a process of its own.
pub(super) fn is_stress(load: &Load) -> bool {
    load.cpu_workers > 0 || load.memory.is_some()
}

impl Stress {
    /// Starts one in these groups, or where the agent is, and waits until it holds what it should.
    pub(super) async fn start(load: &Load, group: Option<&Cgroup>) -> Result<Stress, String> {
        let own = std::env::current_exe().map_err(|e| format!("no way to itself: {e}"))?;
        let mut command = Command::new(own);
        command.arg("agent-stress").arg(load.cpu_workers.to_string());
        command.arg(load.cpu_share.fraction().to_string());
        command.arg(load.memory.map_or(0, |memory| memory.count()).to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| format!("the stress does not start: {e}"))?;
        let pid = child.id().ok_or("the stress ended at once")?;
        group.map_or(Ok(()), |group| group.take_in(pid))?;
        let (Some(input), Some(output)) = (child.stdin.as_mut(), child.stdout.take()) else {
            return Err("the stress has no streams".into());
        };
        input.write_all(b"go\n").await.map_err(|e| format!("the stress ended: {e}"))?;
        let mut line = String::new();
        let mut output = BufReader::new(output);
        let said = timeout(HOLDING, output.read_line(&mut line)).await;
        match said {
            Ok(Ok(_)) if line.trim() == READY => Ok(Stress { child, pid, load: load.clone() }),
            Ok(_) => Err(match child.wait().await.map(|status| status.to_string()) {
                Ok(how) => format!("the stress ended ({how}): the node's limit leaves it no room"),
                Err(why) => format!("the stress ended: {why}"),
            }),
            Err(_) => Err(format!("the stress does not hold its memory within {HOLDING:?}")),
        }
    }

    /// How it ended, if it did, in words.
    pub(super) fn ended(&mut self) -> Option<String> {
        let how = self.child.try_wait().ok()??;
        Some(format!(
            "the stress ended before its time ({how}): memory ran out, or somebody killed it"
        ))
    }

    /// How many processors it computed on, and how many bytes it holds.
    pub(super) async fn measure(&self) -> (Option<f64>, Option<u64>) {
        let cpus = match self.load.cpu_workers {
            0 => None,
            _ => {
                let (began, before) = (Instant::now(), ticks(self.pid));
                sleep(SAMPLE).await;
                let (took, after) = (began.elapsed(), ticks(self.pid));
                let used = after.zip(before).map(|(a, b)| a.saturating_sub(b) as f64 / TICKS);
                Some(used.unwrap_or_default() / took.as_secs_f64())
            }
        };
        (cpus, self.load.memory.map(|_| resident(self.pid).unwrap_or_default()))
    }

    /// Ends it, and waits until what it held is free.
    pub(super) async fn stop(mut self) {
        // It fails only where it ended already.
        let _ = self.child.kill().await;
    }
}

/// What a process computed so far, in ticks (proc_pid_stat(5): utime and stime).
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// The memory that a process holds, in bytes (proc_pid_statm(5)).
fn resident(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages = statm.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The stress's own life, in a process of its own, until its input or its parent ends.
pub fn stress_here(workers: u32, share: f64, memory: usize) -> Result<(), String> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string())?;
    // Its parent may have ended in between.
    if getppid() != parent {
        return Ok(());
    }
    let mut input = std::io::stdin().lock();
    input.read_line(&mut String::new()).map_err(|e| e.to_string())?;
    // When memory runs out, it is the one to go.
    std::fs::write("/proc/self/oom_score_adj", "1000").map_err(|e| e.to_string())?;
    let mut held = vec![0u8; memory];
    for page in held.iter_mut().step_by(PAGE) {
        *page = 1; // until it is written to, it is not there
    }
    for _ in 0..workers {
        let share = Ratio::new(share).fraction();
        std::thread::spawn(move || compute(share));
    }
    let mut output = std::io::stdout().lock();
    writeln!(output, "{READY}").and_then(|()| output.flush()).map_err(|e| e.to_string())?;
    let _ = input.read_to_end(&mut vec![]);
    drop(std::hint::black_box(held));
    Ok(())
}

fn compute(share: f64) {
    loop {
        let began = Instant::now();
        let busy = PERIOD.mul_f64(share);
        while began.elapsed() < busy {
            std::hint::spin_loop();
        }
        if share < 1.0 {
            std::thread::sleep(PERIOD.saturating_sub(began.elapsed()));
        }
    }
}
