//! The watchdog: a process that outlives the runner and undoes what the runner can no longer undo.
//!
//! The runner holds a pipe to it and writes a beat several times a lease. The end of the pipe without a
//! `bye` means that the runner died; silence for a whole lease means that it hangs (a lease is a timer, not
//! an open connection). In both cases the watchdog replays the journal and leaves; a runner that comes back
//! finds the pipe closed, and must abort.
//!
//! It needs no runtime, allocates little, and has a process group of its own, so that the terminal's Ctrl-C
//! does not reach it, nor does the terminal's end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::journal;

const BEAT: &[u8] = b"beat\n";
const BYE: &[u8] = b"bye\n";

/// The runner's end.
#[derive(Debug)]
pub struct Watchdog {
    child: Child,
    pipe: Arc<Mutex<ChildStdin>>,
    lost: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts the watchdog of the run in this folder. `binary` is firedrill itself.
    pub fn start(binary: &Path, folder: &Path, lease: Duration) -> std::io::Result<Watchdog> {
        let log = std::fs::File::create(folder.join("watchdog.log"))?;
        let mut command = Command::new(binary);
        command.arg("watchdog").arg(folder).arg("--lease-ms").arg(lease.as_millis().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).process_group(0);
        let mut child = command.spawn()?;
        let Some(stdin) = child.stdin.take() else {
            return Err(std::io::Error::other("the watchdog has no pipe"));
        };
        let pipe = Arc::new(Mutex::new(stdin));
        let (lost, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let beat = {
            let (pipe, lost, ended) = (pipe.clone(), lost.clone(), ended.clone());
            move || {
                while !ended.load(Ordering::Relaxed) && !lost.load(Ordering::Relaxed) {
                    let mut pipe = pipe.lock().unwrap_or_else(|p| p.into_inner());
                    lost.fetch_or(pipe.write_all(BEAT).is_err(), Ordering::Relaxed);
                    drop(pipe);
                    std::thread::park_timeout(lease / 5);
                }
            }
        };
        // A thread of its own: the beat says that the process runs, however busy its runtime is.
        std::thread::Builder::new().name("watchdog-beat".into()).spawn(beat)?;
        Ok(Watchdog { child, pipe, lost, ended })
    }

    /// Whether the watchdog is gone: it died, or it took this runner for dead and healed everything.
    pub fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes it for the heir: it hears no more, and undoes what is still open. Not waited for.
    pub fn leave_to_it(self) {
        self.ended.store(true, Ordering::Relaxed); // the pipe closes with the last who holds it
    }

    /// Sends it away: all is undone. Waits for its end, so that no process is left.
    pub fn dismiss(mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let mut pipe = self.pipe.lock().unwrap_or_else(|p| p.into_inner());
        let _ = pipe.write_all(BYE); // if it is gone, it is gone
        drop(pipe);
        let _ = self.child.wait();
    }
}

/// The watchdog's own life, in a process of its own. Returns what could not be undone.
pub fn serve(folder: &Path, lease: Duration) -> Result<Vec<String>, journal::JournalError> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        let mut line = vec![];
        loop {
            line.clear();
            let read = input.read_until(b'\n', &mut line);
            let heard = match read {
                Ok(0) | Err(_) => Heard::End,
                Ok(_) if line == BYE => Heard::Bye,
                Ok(_) => Heard::Beat,
            };
            if tell.send(heard).is_err() || heard != Heard::Beat {
                return;
            }
        }
    });
    loop {
        match told.recv_timeout(lease) {
            Ok(Heard::Beat) => {}
            Ok(Heard::Bye) => return Ok(vec![]),
            Ok(Heard::End) | Err(_) => break,
        }
    }
    journal::replay(folder, journal::REPLAY_LIMIT).map(|replayed| replayed.left)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Beat,
    Bye,
    End,
}
