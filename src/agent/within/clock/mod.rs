//! Clock skew: processes see a wall clock that is off by so much, and it reverts by itself.
//!
//! Programs do not ask the kernel for the time; they call code that the kernel maps into each of them (the vDSO). Its
//! pages are private to the process once written to, and can be written through `/proc/PID/mem` by whoever may trace
//! the process (CAP_SYS_PTRACE, or the same user). So a jump near the entry of each function leads to a stub in the
//! room behind the image (`entry` argues why no thread need be stopped; `stub` is what it does). Nothing is attached,
//! no signal is sent, no system call is interrupted: it works on the first process of a namespace as on any other.
//!
//! Children inherit the written pages at fork, with words of their own; a program that is executed anew starts clean.
//! So [`Skewer::hold`] is to be called again and again, more often than the lease ends: it looks who is there, reaches
//! who is new, and renews the deadline of all. When nobody renews it, the kernel's time is back after the lease.
//!
//! Reached: whatever calls the vDSO, static programs and those of Go included. What it cannot do:
//! - a program that makes the system call itself, or reads the time-stamp counter, sees the true time;
//! - timers on the wall clock (`timerfd`, `clock_nanosleep`, time-outs given as a wall time) expire by the true one,
//!   and time stamps that the kernel makes (files, sockets) are of the true one;
//! - a process is reached at the next look, so one that starts reads the true clock for so long;
//! - programs for 32 bits, and those in a time namespace of their own, are refused by name;
//! - clocks before 1970 stand still at 1970;
//! - after a holder's death the jump stays, at a cost of some tens of nanoseconds a reading, until the process ends or
//!   another `release` comes by; the time is right.
//!
//! Invariant: what is written to is, byte for byte, the machine's own vDSO, or one that this very program wrote to.

mod entry;
mod process;
mod release;
mod stub;
mod vdso;
mod whole;
mod witness;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use self::process::Memory;
use self::stub::{State, Stub};
use self::vdso::Vdso;
use crate::condition::ClockSkew;

pub use self::release::Released;
pub use self::witness::{Measured, Witness, testify};

/// Why no clock can be skewed here at all.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// Only x86-64 has a stub so far.
    #[error("clocks can be skewed on x86_64 only, not on {0}: run this fault on nodes of x86_64")]
    Architecture(&'static str),
    /// The kernel's time functions are not as they were known.
    #[error("clocks cannot be skewed on this kernel: {why}; it is Linux {release}")]
    Kernel {
        /// What is missing or odd.
        why: String,
        /// The kernel's release, to be reported with it.
        release: String,
    },
    /// `/proc` does not answer.
    #[error("{path} cannot be read: {source}; is it a procfs of these processes' own namespace?")]
    Proc {
        /// What was read.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A process whose clock was not skewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its id.
    pub pid: u32,
    /// What it is called.
    pub name: String,
    /// Why not, and the remedy.
    pub why: String,
}

/// What one look came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Held {
    /// How many processes are skewed now.
    pub skewed: usize,
    /// How many of them were not when the look began.
    pub fresh: usize,
    /// Who is not. Kernel threads and the dead are not among them: they read no clock.
    pub refused: Vec<Refusal>,
}

/// What one process has, read back from its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Its id.
    pub pid: u32,
    /// What it is called.
    pub name: String,
    /// Whether every one of its time functions leads to the stub.
    pub patched: bool,
    /// By how much its clock is off now.
    pub offset: ClockSkew,
}

/// Skews the clocks of processes.
pub struct Skewer {
    proc: PathBuf,
    whom: Box<dyn Fn(u32) -> bool + Send + Sync>,
    vdso: Vdso,
    stub: Stub,
}

/// How often a process is tried.
const TRIES: usize = 3;

impl Skewer {
    /// For the processes under `proc` (a procfs, such as `/proc`) that `whom` wants. The caller itself is always left
    /// alone: it must know the true time. Reads this process's own vDSO, which nobody may have written to, and tries
    /// for some 20 ms whether this machine writes words whole.
    pub fn new(
        proc: impl Into<PathBuf>,
        whom: impl Fn(u32) -> bool + Send + Sync + 'static,
    ) -> Result<Skewer, ClockError> {
        if !cfg!(target_arch = "x86_64") {
            return Err(ClockError::Architecture(std::env::consts::ARCH));
        }
        let vdso = own_vdso()?;
        let stub = Stub::new(&vdso).map_err(on_this_kernel)?;
        let whole = whole::words_are_written_whole().map_err(|e| unread("/proc/self/mem", e))?;
        if !whole {
            let why = "it writes words in pieces, and threads could execute half a jump";
            return Err(on_this_kernel(why.into()));
        }
        Ok(Skewer { proc: proc.into(), whom: Box::new(whom), vdso, stub })
    }

    /// Makes it so: each process reads a wall clock that is off by `skew`, for `lease` from now unless this is called
    /// again. Whole and idempotent; no skew is a [`Skewer::release`]. Blocks for some 0.1 ms a process.
    pub fn hold(&self, skew: ClockSkew, lease: Duration) -> Result<Held, ClockError> {
        if skew.is_none() {
            self.release(release::PATIENCE)?;
            return Ok(Held::default());
        }
        let mut held = Held::default();
        for (pid, folder) in self.wanted()? {
            match self.reach(&folder, skew, lease) {
                Ok(None) => {}
                Ok(Some(fresh)) => {
                    held.skewed += 1;
                    held.fresh += usize::from(fresh);
                }
                Err(why) => {
                    held.refused.push(Refusal { pid, name: process::name(&folder), why });
                }
            }
        }
        Ok(held)
    }

    /// What each process that can be reached has, read back from its memory.
    pub fn measure(&self) -> Result<Vec<Reading>, ClockError> {
        let mut readings = vec![];
        let now = monotonic();
        for (pid, folder) in self.wanted()? {
            let Ok(Some((_, state))) = self.look(&folder) else { continue };
            let all = self.stub.switches.len();
            let (patched, offset) = match state {
                State::Ours { diverted, offset, deadline, .. } => {
                    let holds = diverted > 0 && now < deadline;
                    (diverted == all, if holds { offset } else { ClockSkew::NONE })
                }
                _ => (false, ClockSkew::NONE),
            };
            readings.push(Reading { pid, name: process::name(&folder), patched, offset });
        }
        Ok(readings)
    }

    /// The processes that are wanted, and their folders.
    fn wanted(&self) -> Result<Vec<(u32, PathBuf)>, ClockError> {
        let here = |source| ClockError::Proc { path: self.proc.display().to_string(), source };
        let mut pids = process::numbered(&self.proc).map_err(here)?;
        // A procfs of another namespace does not know this process, and so does not list it either.
        let own = fs::read_link(self.proc.join("self")).ok();
        let own = own.and_then(|own| own.to_str()?.parse::<u32>().ok());
        pids.retain(|pid| Some(*pid) != own && (self.whom)(*pid));
        Ok(pids.into_iter().map(|pid| (pid, self.proc.join(pid.to_string()))).collect())
    }

    /// Skews one process. `None`: there is nobody. True: it was not skewed before. What fails is tried again: the
    /// process may have become another program in between.
    fn reach(
        &self,
        folder: &Path,
        skew: ClockSkew,
        lease: Duration,
    ) -> Result<Option<bool>, String> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let tried = match self.look(folder) {
                Ok(None) => return Ok(None),
                Ok(Some((memory, state))) => self.skew(folder, &memory, &state, skew, lease),
                Err(why) => Err(why),
            };
            match tried {
                Ok(fresh) => return Ok(Some(fresh)),
                Err(_) if !process::lives(folder) => return Ok(None),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// What one process has. `None`: no vDSO.
    fn look(&self, folder: &Path) -> Result<Option<(Memory, State)>, String> {
        let Some(memory) = Memory::open(folder).map_err(|e| in_words(&e))? else { return Ok(None) };
        let image = memory.read(self.vdso.bytes.len()).map_err(|e| in_words(&e))?;
        let state = self.stub.state(&self.vdso, &image);
        Ok(Some((memory, state)))
    }

    /// Writes what makes it so. True: it was not skewed before.
    fn skew(
        &self,
        folder: &Path,
        memory: &Memory,
        state: &State,
        skew: ClockSkew,
        lease: Duration,
    ) -> Result<bool, String> {
        let (turn, diverted) = match state {
            State::Foreign => {
                return Err("its vDSO is another one, or was changed by somebody else".into());
            }
            State::Pristine | State::Unfinished => (0, 0),
            State::Ours { turn, diverted, .. } => (*turn, *diverted),
        };
        if process::time_namespace(folder) != process::time_namespace(&self.proc.join("self")) {
            return Err("it has a time namespace of its own".into());
        }
        let written = || -> io::Result<()> {
            if !matches!(state, State::Ours { .. }) {
                let (at, magic) = self.stub.magic();
                let body = self.stub.bytes.get(magic.len()..).unwrap_or_default();
                memory.write(at + magic.len(), body)?;
                memory.write(at, magic)?;
            }
            let lease = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
            for (at, bytes) in self.stub.words(turn, skew, monotonic().saturating_add(lease)) {
                memory.write(at, &bytes)?;
            }
            if diverted < self.stub.switches.len() {
                for switch in &self.stub.switches {
                    memory.write(switch.at, &switch.diverted)?;
                }
            }
            Ok(())
        };
        written().map_err(|e| in_words(&e))?;
        Ok(diverted == 0)
    }
}

impl std::fmt::Debug for Skewer {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Skewer").field("proc", &self.proc).finish_non_exhaustive()
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("its memory may not be opened ({error}): add CAP_SYS_PTRACE, or be its user")
        }
        _ => format!("its memory cannot be read and written: {error}"),
    }
}

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

fn on_this_kernel(why: String) -> ClockError {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    ClockError::Kernel { why, release }
}

fn unread(path: &str, source: io::Error) -> ClockError {
    ClockError::Proc { path: path.into(), source }
}

/// The vDSO of this process.
fn own_vdso() -> Result<Vdso, ClockError> {
    let maps = "/proc/self/maps";
    let text = fs::read_to_string(maps).map_err(|source| unread(maps, source))?;
    let missing = || on_this_kernel("it maps no vDSO into processes".into());
    let line = text.lines().find(|line| line.ends_with("[vdso]")).ok_or_else(missing)?;
    let address = |hex: &str| usize::from_str_radix(hex, 16).ok();
    let range = line.split(' ').next().and_then(|range| range.split_once('-'));
    let range = range.and_then(|(start, end)| address(start).zip(address(end)));
    let length = range.and_then(|(start, end)| end.checked_sub(start)).ok_or_else(missing)?;
    let read = Memory::open(Path::new("/proc/self")).and_then(|memory| match memory {
        Some(memory) => memory.read(length),
        None => Err(io::ErrorKind::NotFound.into()),
    });
    let bytes = read.map_err(|source| unread("/proc/self/mem", source))?;
    Vdso::parse(bytes).map_err(on_this_kernel)
}

#[cfg(test)]
mod tests;
