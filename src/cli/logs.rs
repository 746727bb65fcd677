//! Logs, by tracing: to standard error by `-q` and `-v` (or `FIREDRILL_LOG`, or `RUST_LOG`), and in full to
//! a file of the run's folder. Neither makes the drill wait: lines for the file go through a bounded queue
//! to a thread of their own, and what does not fit is counted, not waited for.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::args::Verbosity;

/// How many lines wait at most, for the file and for the live view.
const QUEUE: usize = 10_000;

/// Where log lines go now.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    /// Standard error while this is empty.
    people: Tap,
    /// Nowhere while this is empty.
    file: Tap,
}

/// Sets up logging for the whole program. To be called once; a second call changes nothing.
pub fn init(verbosity: Verbosity) -> Logs {
    let logs = Logs::default();
    let asked = ["FIREDRILL_LOG", "RUST_LOG"].iter().find_map(|name| std::env::var(name).ok());
    let _ = subscriber(&logs, verbosity, asked).try_init();
    logs
}

fn subscriber(logs: &Logs, verbosity: Verbosity, asked: Option<String>) -> impl Subscriber {
    let people = fmt::layer()
        .with_writer(Stderr(logs.people.clone()))
        .with_ansi(false)
        .with_target(verbosity.verbose > 0)
        .with_timer(fmt::time::uptime())
        .with_filter(filter(verbosity, asked));
    let in_full = Targets::new()
        .with_default(tracing::Level::INFO)
        .with_target("firedrill", tracing::Level::DEBUG);
    let file = fmt::layer().with_writer(logs.file.clone()).with_ansi(false).with_filter(in_full);
    tracing_subscriber::registry().with(people).with(file)
}

/// What was asked for by the environment, else by `-q` and `-v`.
fn filter(verbosity: Verbosity, asked: Option<String>) -> EnvFilter {
    let level = match (verbosity.quiet, verbosity.verbose) {
        // What a watch is not allowed is told by who watches.
        (true, _) => "error",
        (false, 0) => "warn,kube_runtime=error",
        (false, 1) => "warn,kube_runtime=error,firedrill=info",
        (false, 2) => "info,firedrill=debug",
        (false, _) => "debug,firedrill=trace",
    };
    let asked = asked.filter(|text| !text.trim().is_empty());
    // Of a filter with mistakes, the parts that can be read count: a typo must not stop a drill.
    asked.map_or_else(|| EnvFilter::new(level), EnvFilter::new)
}

impl Logs {
    /// Log lines go to this file as well, until the guard is dropped. Fails if it cannot be made.
    pub fn to_file(&self, path: &Path) -> io::Result<ToFile> {
        let mut out = BufWriter::new(File::create(path)?);
        let (sender, lines) = sync_channel::<Vec<u8>>(QUEUE);
        let writer = std::thread::Builder::new().name("logs".into()).spawn(move || {
            while let Ok(line) = lines.recv() {
                // A full disk must not end the drill; the history tells of it.
                let _ = out.write_all(&line);
                for line in lines.try_iter() {
                    let _ = out.write_all(&line);
                }
                let _ = out.flush();
            }
        })?;
        self.file.open(sender);
        Ok(ToFile { tap: self.file.clone(), writer: Some(writer) })
    }

    /// Log lines that would go to standard error come here instead, until [`Logs::restore`].
    pub fn divert(&self) -> Receiver<Vec<u8>> {
        let (sender, lines) = sync_channel(QUEUE);
        self.people.open(sender);
        lines
    }

    /// Log lines go to standard error again.
    pub fn restore(&self) {
        self.people.close();
    }
}

/// Keeps a log file open. Dropping it writes what waits, and closes the file.
#[derive(Debug)]
pub struct ToFile {
    tap: Tap,
    writer: Option<JoinHandle<()>>,
}

impl Drop for ToFile {
    fn drop(&mut self) {
        let lost = self.tap.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "log lines did not reach the file: its queue was full");
        }
        self.tap.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Where one kind of log line is picked up.
#[derive(Debug, Clone, Default)]
struct Tap {
    sender: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    lost: Arc<AtomicU64>,
}

impl Tap {
    fn open(&self, sender: SyncSender<Vec<u8>>) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }
    fn close(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    /// Whether somebody takes lines here; if so, this one was handed over, or counted as lost.
    fn put(&self, line: &[u8]) -> bool {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return false };
        match sender.try_send(line.to_vec()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// tracing hands over one whole event in one call.
impl Write for Tap {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Tap {
    type Writer = Tap;
    fn make_writer(&'a self) -> Tap {
        self.clone()
    }
}

/// Standard error, unless the live view takes the lines.
#[derive(Debug, Clone)]
struct Stderr(Tap);

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.0.put(line) {
            let _ = io::stderr().write_all(line); // a closed standard error must not stop a drill
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Stderr;
    fn make_writer(&'a self) -> Stderr {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What people and the file get of one line of each level.
    fn heard(verbosity: Verbosity, asked: Option<&str>) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firedrill.log");
        let logs = Logs::default();
        let lines = logs.divert();
        let file = logs.to_file(&path).unwrap();
        let subscriber = subscriber(&logs, verbosity, asked.map(String::from));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "firedrill::drill", "of-warn");
            tracing::info!(target: "firedrill::drill", "of-info");
            tracing::debug!(target: "firedrill::drill", "of-debug");
            tracing::debug!(target: "hyper", "of-others");
        });
        drop(file);
        let levels = ["of-warn", "of-info", "of-debug", "of-others"];
        let seen = |text: &str| {
            levels.iter().filter(|l| text.contains(**l)).map(|l| l.to_string()).collect()
        };
        let people: Vec<u8> = lines.try_iter().flatten().collect();
        let file = std::fs::read_to_string(&path).unwrap();
        (seen(&String::from_utf8(people).unwrap()), seen(&file))
    }

    #[test]
    fn people_hear_what_they_ask_for_and_the_file_has_everything_of_ours() {
        let (quiet, full) = heard(Verbosity { quiet: true, verbose: 0 }, None);
        assert_eq!((quiet.len(), full.len()), (0, 3));
        assert_eq!(heard(Verbosity::default(), None).0, ["of-warn"]);
        assert_eq!(heard(Verbosity { quiet: false, verbose: 1 }, None).0, ["of-warn", "of-info"]);
        assert_eq!(heard(Verbosity { quiet: false, verbose: 3 }, None).0.len(), 4);
        assert_eq!(heard(Verbosity::default(), Some("firedrill=debug")).0.len(), 3);
        assert_eq!(heard(Verbosity::default(), Some(" ")).0, ["of-warn"]);
    }

    #[test]
    fn everything_that_was_logged_is_in_the_file_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firedrill.log");
        let logs = Logs::default();
        let file = logs.to_file(&path).unwrap();
        let mut tap = logs.file.clone();
        for i in 0..1_000 {
            tap.write_all(format!("line {i}\n").as_bytes()).unwrap();
        }
        drop(file);
        tap.write_all(b"too late\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1_000);
        assert!(text.ends_with("line 999\n"));
    }

    #[test]
    fn a_reader_that_is_stuck_loses_lines_and_counts_them_but_holds_nobody_up() {
        let logs = Logs::default();
        let lines = logs.divert();
        for _ in 0..QUEUE + 5 {
            assert!(logs.people.put(b"x"));
        }
        assert_eq!(logs.people.lost.load(Ordering::Relaxed), 5);
        assert_eq!(lines.try_iter().count(), QUEUE);
        logs.restore();
        assert!(!logs.people.put(b"x"), "lines still go to the view");
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        assert!(Logs::default().to_file(Path::new("/dev/null/x/firedrill.log")).is_err());
    }
}
