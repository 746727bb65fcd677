//! One node's copy of the state machine, fed by the consensus with committed entries.
//!
//! It lives in memory: a restart applies the log again. Deliberately absent: snapshots.

use std::io::Cursor;
use std::sync::{Arc, RwLock};

use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, BasicNode, EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder,
    Snapshot, SnapshotMeta, StorageIOError, StoredMembership,
};

use crate::history::Call;

use super::command::{Answer, Answers};
use super::machine::Machine;
use super::raft::{LogEntry, LogId, StorageError, TypeConfig};

/// Shared by the consensus, which writes, and the client service, which reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replica(Arc<RwLock<Applied>>);

#[derive(Debug, Default)]
struct Applied {
    machine: Machine,
    upto: Option<LogId>,
    membership: StoredMembership<u64, BasicNode>,
}

impl Replica {
    /// Reads what this node has applied, whatever the others have.
    pub(crate) fn read(&self, drill: u32, call: &Call) -> Answer {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).machine.read(drill, call)
    }
    /// The state as it is now.
    pub(crate) fn copy(&self) -> Machine {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).machine.clone()
    }
}

fn no_snapshots(verb: ErrorVerb) -> StorageError {
    let why = AnyError::error("this store takes no snapshots");
    StorageIOError::new(ErrorSubject::Snapshot(None), verb, why).into()
}

impl RaftSnapshotBuilder<TypeConfig> for Replica {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        Err(no_snapshots(ErrorVerb::Write))
    }
}

impl RaftStateMachine<TypeConfig> for Replica {
    type SnapshotBuilder = Replica;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId>, StoredMembership<u64, BasicNode>), StorageError> {
        let applied = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok((applied.upto, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answers>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let applied = &mut *applied;
        let mut answers = vec![];
        for entry in entries {
            applied.upto = Some(entry.log_id);
            answers.push(Answers(match entry.payload {
                EntryPayload::Blank => vec![],
                EntryPayload::Normal(batch) => {
                    batch.0.iter().map(|command| applied.machine.apply(command)).collect()
                }
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                    vec![]
                }
            }));
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Replica {
        self.clone()
    }
    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Err(no_snapshots(ErrorVerb::Write))
    }
    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta<u64, BasicNode>,
        _snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        Err(no_snapshots(ErrorVerb::Write))
    }
    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        Ok(None)
    }
}
