//! The consensus' log storage over the journal and the vote file.

use std::fmt::Debug;
use std::fs::{File, TryLockError};
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock, mpsc};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, EntryPayload, LogState, OptionalSend, RaftLogReader, RaftTypeConfig, StorageIOError,
};
use tokio::sync::oneshot;

use crate::store::raft::{LogEntry, LogId, StorageError, TypeConfig, Vote};

use super::journal::{self, JournalError, Record};
use super::writer::{self, Done, Job, Writer};

/// The most entries that one replication call carries.
const REACH: u64 = 100;

/// The log of one node. Clones share it.
#[derive(Clone)]
pub(crate) struct DiskLog(Arc<Shared>);

struct Shared {
    entries: RwLock<Vec<LogEntry>>,
    vote: Mutex<Option<Vote>>,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    _lock: File,
}

impl DiskLog {
    /// Opens the folder, creates it if need be, and locks it against other processes. `lazy` is the
    /// bug `lost-fsync`.
    pub(crate) fn open(folder: &Path, me: u64, lazy: bool) -> Result<DiskLog, JournalError> {
        let io = |source| JournalError::Io { path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let lock = File::create(folder.join("lock")).map_err(io)?;
        lock.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => JournalError::Locked { path: folder.to_path_buf() },
            TryLockError::Error(source) => io(source),
        })?;
        let (entries, file) = journal::open(&folder.join("log"))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        let path = folder.join("vote");
        let vote = super::vote::read(&path)?.map(|vote| step_down(vote, me));
        let (jobs, thread) = writer::start(Writer { file, vote: path, lazy }).map_err(io)?;
        Ok(DiskLog(Arc::new(Shared {
            entries: RwLock::new(entries),
            vote: Mutex::new(vote),
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            _lock: lock,
        })))
    }

    /// Writes what is left and stops the writing thread. Later writes fail.
    pub(crate) fn close(&self) {
        drop(self.0.jobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take());
        let mut thread = self.0.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the disk thread panicked");
        }
    }

    fn send(&self, job: Job) -> Result<(), AnyError> {
        let jobs = self.0.jobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(()) } else { Err(AnyError::error("the disk thread has stopped")) }
    }

    async fn durable(&self, job: impl FnOnce(Done) -> Job) -> Result<(), AnyError> {
        let (reply, done) = oneshot::channel();
        self.send(job(Done::Reply(reply)))?;
        match done.await {
            Ok(result) => result.map_err(|e| AnyError::new(&e)),
            Err(_) => Err(AnyError::error("the disk thread has stopped")),
        }
    }

    fn slice<R: RangeBounds<u64>>(&self, range: &R) -> Vec<LogEntry> {
        let entries = self.0.entries.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let place = |index: u64| usize::try_from(index).unwrap_or(usize::MAX).min(entries.len());
        let from = match range.start_bound() {
            Bound::Included(from) => place(*from),
            Bound::Excluded(before) => place(before.saturating_add(1)),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => place(last.saturating_add(1)),
            Bound::Excluded(to) => place(*to),
            Bound::Unbounded => entries.len(),
        };
        entries.get(from..to).unwrap_or_default().to_vec()
    }
}

/// A leader that restarts does not go on leading its term: the consensus library would let it serve
/// reads before it knows again what it had committed. A vote for oneself may be forgotten to have
/// won; it stays cast.
fn step_down(mut vote: Vote, me: u64) -> Vote {
    if vote.leader_id.voted_for() == Some(me) {
        vote.committed = false;
    }
    vote
}

impl RaftLogReader<TypeConfig> for DiskLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        Ok(self.slice(&range))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<LogEntry>, StorageError> {
        // A follower far behind catches up in calls that fit the time limit of one.
        Ok(self.slice(&(start..end.min(start.saturating_add(REACH)))))
    }
}

impl RaftLogStorage<TypeConfig> for DiskLog {
    type LogReader = DiskLog;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let entries = self.0.entries.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let last_log_id = entries.last().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: None, last_log_id })
    }

    async fn get_log_reader(&mut self) -> DiskLog {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.durable(|done| Job::Vote { vote: *vote, done })
            .await
            .map_err(|e| StorageError::from(StorageIOError::write_vote(e)))?;
        *self.0.vote.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(*self.0.vote.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = <TypeConfig as RaftTypeConfig>::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let failed = |e: AnyError| StorageError::from(StorageIOError::write_logs(e));
        let (mut lines, mut urgent, mut added) = (vec![], false, vec![]);
        for entry in entries {
            urgent |= matches!(entry.payload, EntryPayload::Membership(_));
            let record = Record::Entry(entry);
            lines.extend(record.line().map_err(|e| failed(AnyError::new(&e)))?);
            if let Record::Entry(entry) = record {
                added.push(entry);
            }
        }
        self.0.entries.write().unwrap_or_else(|poisoned| poisoned.into_inner()).extend(added);
        self.send(Job::Append { lines, done: Done::Flushed(callback), urgent }).map_err(failed)
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let failed = |e: AnyError| StorageError::from(StorageIOError::write_logs(e));
        let line = Record::Truncate(log_id.index).line();
        let lines = line.map_err(|e| failed(AnyError::new(&e)))?;
        let length = usize::try_from(log_id.index).unwrap_or(usize::MAX);
        self.0.entries.write().unwrap_or_else(|poisoned| poisoned.into_inner()).truncate(length);
        self.durable(|done| Job::Append { lines, done, urgent: false }).await.map_err(failed)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let why = AnyError::error(format!("this log is never purged (asked up to {log_id})"));
        Err(StorageIOError::write_logs(why).into())
    }
}

#[cfg(test)]
mod tests {
    use openraft::storage::RaftLogStorageExt;
    use openraft::{CommittedLeaderId, Membership};

    use super::*;

    fn id(index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(1, 0), index)
    }
    fn blank(index: u64) -> LogEntry {
        LogEntry { log_id: id(index), payload: EntryPayload::Blank }
    }

    /// What the file has while the process still runs: what a SIGKILL now would leave.
    fn left(folder: &Path) -> Vec<LogEntry> {
        journal::open(&folder.join("log")).unwrap().0
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_in_the_file_unless_its_synchronisation_is_lost() {
        for (lazy, expected) in [(false, vec![blank(0), blank(1)]), (true, vec![])] {
            let folder = tempfile::tempdir().unwrap();
            let mut log = DiskLog::open(folder.path(), 0, lazy).unwrap();
            log.blocking_append([blank(0), blank(1)]).await.unwrap();
            assert_eq!(left(folder.path()), expected, "lazy: {lazy}");
            log.close();
            assert_eq!(left(folder.path()), [blank(0), blank(1)], "a clean end writes everything");
        }
    }

    #[tokio::test]
    async fn even_then_the_membership_is_kept_so_that_the_cluster_comes_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = DiskLog::open(folder.path(), 0, true).unwrap();
        let membership = Membership::new(vec![[0].into()], None);
        let first = LogEntry { log_id: id(0), payload: EntryPayload::Membership(membership) };
        log.blocking_append([first.clone()]).await.unwrap();
        log.blocking_append([blank(1)]).await.unwrap();
        assert_eq!(left(folder.path()), [first]);
    }

    #[tokio::test]
    async fn a_truncation_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = DiskLog::open(folder.path(), 0, false).unwrap();
        log.blocking_append([blank(0), blank(1), blank(2)]).await.unwrap();
        log.truncate(id(1)).await.unwrap();
        log.blocking_append([blank(1)]).await.unwrap();
        log.close();
        drop(log);
        let mut log = DiskLog::open(folder.path(), 0, false).unwrap();
        assert_eq!(log.try_get_log_entries(..).await.unwrap(), [blank(0), blank(1)]);
        assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(id(1)));
        log.close();
    }

    #[tokio::test]
    async fn a_restarted_leader_has_to_be_elected_again_and_a_follower_keeps_its_leader() {
        for (voted_for, committed) in [(0, false), (1, true)] {
            let folder = tempfile::tempdir().unwrap();
            let mut log = DiskLog::open(folder.path(), 0, false).unwrap();
            log.save_vote(&Vote::new_committed(3, voted_for)).await.unwrap();
            log.close();
            drop(log);
            let mut log = DiskLog::open(folder.path(), 0, false).unwrap();
            let vote = log.read_vote().await.unwrap().unwrap();
            assert_eq!((vote.leader_id.term, vote.committed), (3, committed));
            log.close();
        }
    }

    #[tokio::test]
    async fn a_vote_that_cannot_be_read_is_an_error_and_no_fresh_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vote"), "{").unwrap();
        let error = DiskLog::open(folder.path(), 0, false).err().unwrap().to_string();
        assert!(error.contains("vote: corrupt record at byte 0"), "{error}");
    }
}
