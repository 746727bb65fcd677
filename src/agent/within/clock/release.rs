//! Ends a skew, and takes away what it left, to the byte.
//!
//! First the words say that the lease is over, and the functions are as the kernel made them: from then on nobody
//! enters the stub, and who is in it leaves with the true time. Its bytes are taken away once every thread was seen
//! elsewhere since then: asleep or stopped, and not in the vDSO. A thread that never sleeps is not seen, and then the
//! bytes stay (`Released::inert`): nothing leads to them, and the next release tries again. How long a thread was
//! executed meanwhile is no proof: a virtual processor that its host takes away counts that time too, and a thread may
//! have stood in the stub all the while. What cannot be seen either: a thread that a signal took out of the stub, and
//! that sleeps in the signal's handler.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::process::{self, Memory};
use super::stub::State;
use super::vdso::Vdso;
use super::{ClockError, Skewer};
use crate::condition::ClockSkew;

/// How long a release takes at most, by default.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
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
    /// The threads that may be in the stub: there when the functions were restored, and not seen elsewhere since.
    inside: Vec<u32>,
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

    /// Restores the functions of each process that has anything of the stub; until nobody is found who still has one
    /// that leads to it, for a child may have been forked between the look and the writing.
    fn restore(&self) -> Result<(Vec<Leaving>, Vec<u32>), ClockError> {
        let (mut leaving, mut failed) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..ROUNDS {
            let mut led = false;
            for (pid, folder) in self.wanted()? {
                let Ok(Some((memory, state))) = self.look(&folder) else { continue };
                let (turn, leads) = match state {
                    State::Ours { turn, diverted, .. } => (turn, diverted > 0),
                    State::Unfinished => (0, false),
                    State::Pristine | State::Foreign => continue,
                };
                if !leads && leaving.contains_key(&pid) {
                    continue;
                }
                match self.restore_one(&memory, turn) {
                    Ok(()) => {
                        led |= leads;
                        leaving.extend(Leaving::of(pid, folder, memory).map(|one| (pid, one)));
                    }
                    Err(_) if process::lives(&folder) => {
                        failed.insert(pid);
                    }
                    Err(_) => {}
                }
            }
            if !led {
                break;
            }
        }
        Ok((leaving.into_values().collect(), failed.into_iter().collect()))
    }

    fn restore_one(&self, memory: &Memory, turn: u8) -> io::Result<()> {
        for (at, bytes) in self.stub.words(turn, ClockSkew::NONE, 0) {
            memory.write(at, &bytes)?;
        }
        self.stub.switches.iter().try_for_each(|s| memory.write(s.at, &s.original))
    }

    /// Takes the stub's bytes away. The first to go are those that say that it is whole.
    fn wipe(&self, process: &Leaving) -> bool {
        let place = self.stub.place();
        let magic = place.start..place.start + self.stub.magic().1.len();
        let kernels = |part: Range<usize>| self.vdso.bytes.get(part).unwrap_or_default();
        let writings =
            [magic.clone(), place].map(|part| process.memory.write(part.start, kernels(part)));
        let image = process.memory.read(self.vdso.bytes.len());
        writings.iter().all(Result::is_ok) && image.is_ok_and(|image| image == self.vdso.bytes)
    }
}

impl Leaving {
    /// `None`: it is gone.
    fn of(pid: u32, folder: PathBuf, memory: Memory) -> Option<Leaving> {
        let inside = process::numbered(&folder.join("task")).ok()?;
        Some(Leaving { pid, folder, memory, inside })
    }

    /// Looks again at the threads that may be in the stub.
    fn look_again(&mut self, vdso: &Vdso) {
        let Leaving { folder, memory, inside, .. } = self;
        inside.retain(|thread| {
            let thread = folder.join(format!("task/{thread}"));
            thread.exists() && !process::is_elsewhere(&thread, memory, vdso.bytes.len())
        });
    }
}
