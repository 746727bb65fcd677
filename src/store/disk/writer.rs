//! The one thread that writes: in order, as many waiting jobs as there are under one
//! synchronisation.

use std::fs::File;
use std::io::{Error, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use openraft::storage::LogFlushed;
use tokio::sync::oneshot;

use crate::store::raft::{TypeConfig, Vote};

use super::vote;

/// How long the bug `lost-fsync` keeps appends in memory.
const LAZY: Duration = Duration::from_secs(1);

/// Something to be made durable.
pub(super) enum Job {
    /// Lines for the log file.
    Append { lines: Vec<u8>, done: Done, urgent: bool },
    /// A vote.
    Vote { vote: Vote, done: Done },
}

/// Who is told that it is durable, or why it is not.
pub(super) enum Done {
    Flushed(LogFlushed<TypeConfig>),
    Reply(oneshot::Sender<std::io::Result<()>>),
}

impl Done {
    fn tell(self, result: std::io::Result<()>) {
        match self {
            Done::Flushed(callback) => callback.log_io_completed(result),
            // Nobody waits any more when the node is shutting down.
            Done::Reply(sender) => drop(sender.send(result)),
        }
    }
}

/// What the thread works on.
pub(super) struct Writer {
    pub(super) file: File,
    pub(super) vote: PathBuf,
    /// The bug `lost-fsync`.
    pub(super) lazy: bool,
}

/// Starts the thread. It ends, with everything written, when the sender is dropped.
pub(super) fn start(
    writer: Writer,
) -> std::io::Result<(mpsc::Sender<Job>, std::thread::JoinHandle<()>)> {
    let (sender, jobs) = mpsc::channel();
    let thread =
        std::thread::Builder::new().name("disk".into()).spawn(move || match writer.lazy {
            true => writer.run_lazily(&jobs),
            false => writer.run(&jobs),
        })?;
    Ok((sender, thread))
}

impl Writer {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        let mut broken = None;
        while let Ok(first) = jobs.recv() {
            let (mut lines, mut waiting, mut next) = (vec![], vec![], Some(first));
            let mut ballot = None;
            while let Some(job) = next.take() {
                match job {
                    Job::Append { lines: more, done, .. } => {
                        lines.extend_from_slice(&more);
                        waiting.push(done);
                        next = jobs.try_recv().ok();
                    }
                    // Jobs must not overtake each other: the lines before the vote go first.
                    Job::Vote { vote, done } => ballot = Some((vote, done)),
                }
            }
            let result = self.flush(&mut lines, &mut broken);
            waiting.into_iter().for_each(|done| done.tell(copy(&result)));
            if let Some((vote, done)) = ballot {
                done.tell(result.and_then(|()| vote::write(&self.vote, &vote)));
            }
        }
    }

    /// The bug: everybody is told that it is durable while it is in memory.
    fn run_lazily(mut self, jobs: &mpsc::Receiver<Job>) {
        let (mut lines, mut broken, mut flushed) = (vec![], None, Instant::now());
        loop {
            let wait = LAZY.saturating_sub(flushed.elapsed());
            match jobs.recv_timeout(wait) {
                Ok(Job::Append { lines: more, done, urgent }) => {
                    lines.extend_from_slice(&more);
                    let result = match urgent {
                        true => self.flush(&mut lines, &mut broken),
                        false => Ok(()),
                    };
                    done.tell(result);
                }
                Ok(Job::Vote { vote, done }) => done.tell(vote::write(&self.vote, &vote)),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.flush(&mut lines, &mut broken) {
                        tracing::error!(%error, "the log cannot be written");
                    }
                    flushed = Instant::now();
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    if let Err(error) = self.flush(&mut lines, &mut broken) {
                        tracing::error!(%error, "the log cannot be written");
                    }
                    return;
                }
            }
        }
    }

    /// Writes and synchronises. After a failure nothing is written any more: what follows a torn
    /// record would make the file corrupt in the middle.
    fn flush(
        &mut self,
        lines: &mut Vec<u8>,
        broken: &mut Option<ErrorKind>,
    ) -> std::io::Result<()> {
        if let Some(kind) = *broken {
            return Err(kind.into());
        }
        if lines.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        *broken = result.as_ref().err().map(Error::kind);
        lines.clear();
        result
    }
}

fn copy(result: &std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(e) => Err(Error::new(e.kind(), e.to_string())),
    }
}
