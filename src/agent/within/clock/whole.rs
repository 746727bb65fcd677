//! Whether this machine writes a word of another process's memory in one store, as `entry` relies on. Processors do;
//! emulated ones may copy byte by byte.
//!
//! Invariant: only this process's own memory is written to. A trial: it can show that words are written in pieces, and
//! that they are not it makes likely only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::entry::WORD;

/// No byte of one is that of the other.
const ONE: u64 = 0x0123_4567_89ab_cdef;
const OTHER: u64 = !ONE;
const TRIAL: Duration = Duration::from_millis(20);
/// At least so many writings, however slow they are.
const WRITINGS: u32 = 2000;

/// Writes a word again and again, and reads it meanwhile. False: half a writing was read.
pub fn words_are_written_whole() -> io::Result<bool> {
    trial(WORD)
}

/// The same with this many bytes a call.
fn trial(at_once: usize) -> io::Result<bool> {
    let memory = File::options().write(true).open("/proc/self/mem")?;
    let (word, over) = (AtomicU64::new(ONE), AtomicBool::new(false));
    let address = (&raw const word).addr() as u64;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut whole = true;
            while !over.load(Ordering::Relaxed) {
                whole &= [ONE, OTHER].contains(&word.load(Ordering::Relaxed));
            }
            whole
        });
        let began = Instant::now();
        let mut written = Ok(());
        for n in 0.. {
            if n >= WRITINGS && began.elapsed() >= TRIAL || written.is_err() {
                break;
            }
            let value = if n % 2 == 0 { OTHER } else { ONE }.to_ne_bytes();
            let mut parts = value.chunks(at_once).zip((address..).step_by(at_once));
            written = parts.try_for_each(|(part, at)| memory.write_all_at(part, at));
        }
        over.store(true, Ordering::Relaxed);
        let whole = reader.join().map_err(|_| io::Error::other("a thread was lost"))?;
        written.map(|()| whole)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_halves_is_seen() {
        // On a machine with one processor the reader must be put in between: again until it was.
        assert!((0..100).any(|_| !trial(WORD / 2).unwrap()));
    }
}
