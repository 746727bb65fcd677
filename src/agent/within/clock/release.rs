//! Ends a skew, and takes away what it left, to the byte.
//!
//! First the words say that the lease is over, and the functions are as the kernel made them: from then on nobody enters
//! the stub, and who is in it leaves with the true time. Its bytes are taken away once every thread was seen elsewhere:
//! asleep or stopped outside the vDSO, or executed for so long since that it cannot be in the stub any more (which takes
//! less than a microsecond). One is not seen: a thread that a signal took out of the stub, and whose handler does not
//! return. Where a thread shows neither in time, the bytes stay: nothing leads to them, and the next release tries again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::process::{self, Memory};
use super::stub::State;
use super::vdso::Vdso;
use super::{ClockError, Found, Skewer};
use crate::condition::ClockSkew;

/// How long a release takes at most, by default.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a thread must be executed to have left the stub, as the scheduler counts.
const LEFT: u64 = 20_000_000;
/// A process may fork between the look and the writing.
const ROUNDS: usize = 16;

/// What a release came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Released {
    /// How many processes have the kernel's own bytes again.
    pub exact: usize,
    /// Who reads the true clock, and still has the stub's bytes where nothing leads to them.
    pub inert: Vec<u32>,
    /// Who could not be written to: it reads the true clock when its lease ends.
    pub failed: Vec<u32>,
}

/// A process whose threads are waited for.
struct Leaving {
    pid: u32,
    folder: PathBuf,
    memory: Memory,
    /// The threads that may be in the stub: how long each had been executed when the functions were restored.
    inside: HashMap<u32, u64>,
}

impl Skewer {
    /// Gives every process the true clock back, at once, and then its bytes, as far as `patience` lasts. Idempotent;
    /// also ends what an earlier holder left behind.
    pub fn release(&self, patience: Duration) -> Result<Released, ClockError> {
        let end = Instant::now() + patience;
        let mut released = Released::default();
        for _ in 0..ROUNDS {
            let (mut leaving, failed) = self.restore()?;
            released.failed = failed;
            released.inert.clear();
            if leaving.is_empty() {
                break;
            }
            loop {
                leaving.iter_mut().for_each(|process| process.look_again(&self.vdso));
                // Two processes may share one memory (vfork): those at one address wait for each other.
                let inside = leaving.iter().filter(|process| !process.inside.is_empty());
                let held: Vec<u64> = inside.map(|process| process.memory.base()).collect();
                leaving.retain(|process| {
                    let waits = held.contains(&process.memory.base());
                    released.exact += usize::from(!waits && self.wipe(process));
                    waits
                });
                if leaving.is_empty() || Instant::now() >= end {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            released.inert.extend(leaving.iter().map(|process| process.pid));
            if Instant::now() >= end {
                break;
            }
        }
        Ok(released)
    }

    /// Restores the functions of each process that has anything of the stub.
    fn restore(&self) -> Result<(Vec<Leaving>, Vec<u32>), ClockError> {
        let (mut leaving, mut failed) = (vec![], vec![]);
        self.each(|found| {
            let Ok(Found { pid, folder, memory, state }) = found else { return };
            let turn = match state {
                State::Ours { turn, .. } => *turn,
                State::Unfinished => 0,
                State::Pristine | State::Foreign => return,
            };
            let over = self.stub.words(turn, ClockSkew::NONE, 0);
            let words = over.iter().map(|(at, bytes)| (*at, &bytes[..]));
            let switches = self.stub.switches.iter().map(|s| (s.at, &s.original[..]));
            let mut writings = words.chain(switches);
            match writings.try_for_each(|(at, bytes)| memory.write(at, bytes)) {
                Ok(()) => leaving.extend(Leaving::of(*pid, folder)),
                Err(_) => failed.push(*pid),
            }
        })?;
        Ok((leaving, failed))
    }

    /// Takes the stub's bytes away. The first to go are those that say that it is whole.
    fn wipe(&self, process: &Leaving) -> bool {
        let place = self.stub.place();
        let magic = place.start..place.start + self.stub.magic().1.len();
        let kernels = |part: std::ops::Range<usize>| self.vdso.bytes.get(part).unwrap_or_default();
        let writings =
            [magic.clone(), place].map(|part| process.memory.write(part.start, kernels(part)));
        let image = process.memory.read(self.vdso.bytes.len());
        writings.iter().all(Result::is_ok) && image.is_ok_and(|image| image == self.vdso.bytes)
    }
}

impl Leaving {
    fn of(pid: u32, folder: &std::path::Path) -> Option<Leaving> {
        let folder = folder.to_path_buf();
        let memory = Memory::open(&folder).ok()??; // else it is gone, or another program
        let threads = process::numbered(&folder.join("task")).ok()?;
        let inside = threads.into_iter().filter_map(|thread| {
            let so_far = process::executed(&folder.join(format!("task/{thread}")))?;
            Some((thread, so_far))
        });
        Some(Leaving { inside: inside.collect(), pid, folder, memory })
    }

    /// Looks again at the threads that may be in the stub.
    fn look_again(&mut self, vdso: &Vdso) {
        let Leaving { folder, memory, inside, .. } = self;
        inside.retain(|thread, before| {
            let thread = folder.join(format!("task/{thread}"));
            if process::is_elsewhere(&thread, memory, vdso.bytes.len()) {
                return false;
            }
            match process::executed(&thread) {
                Some(now) => now.saturating_sub(*before) < LEFT,
                None => thread.exists(),
            }
        });
    }
}
