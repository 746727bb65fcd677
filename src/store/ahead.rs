//! What a leader's state would be if all that it proposed were committed. Only the bugs `early-ack`
//! and `split-brain` answer from it; what the successor's log does not have is lost.
//!
//! Invariant: while this node leads, it is exact: it starts from a state that holds the whole log,
//! and applies what is proposed in the order of the log. Nothing is proposed past it when one of
//! the two bugs is on.

use openraft::ServerState;
use openraft::raft::ClientWriteResult;
use tokio::sync::{Mutex, oneshot};

use crate::history::Call;

use super::command::{Answer, Batch, Command};
use super::machine::Machine;
use super::propose::NotDone;
use super::raft::{Raft, TypeConfig};
use super::readindex::{NotNow, ReadIndex};
use super::replica::Replica;

/// When the proposal is committed, or is known not to be.
pub(crate) type Committed = oneshot::Receiver<ClientWriteResult<TypeConfig>>;

/// The state ahead of the commit.
pub(crate) struct Ahead {
    raft: Raft,
    replica: Replica,
    reads: ReadIndex,
    /// Whether it may start without a majority that confirms this node (the bug `split-brain`).
    alone: bool,
    state: Mutex<Option<Leading>>,
}

struct Leading {
    term: u64,
    machine: Machine,
}

impl Ahead {
    pub(crate) fn new(raft: Raft, replica: Replica, reads: ReadIndex, alone: bool) -> Ahead {
        Ahead { raft, replica, reads, alone, state: Mutex::new(None) }
    }

    /// The term that this node leads.
    fn term(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        (metrics.state == ServerState::Leader).then_some(metrics.current_term)
    }

    /// Proposes, and answers before it is committed.
    pub(crate) async fn propose(&self, command: Command) -> Result<(Answer, Committed), NotDone> {
        let mut state = self.state.lock().await;
        let machine = self.current(&mut state).await.map_err(|_| NotDone::NotLeader)?;
        let answer = machine.apply(&command);
        match self.raft.client_write_ff(Batch(vec![command])).await {
            Ok(committed) => Ok((answer, committed)),
            Err(stopped) => Err(NotDone::Lost(stopped.to_string())),
        }
    }

    /// Reads what was proposed, committed or not.
    pub(crate) async fn read(&self, drill: u32, call: &Call) -> Result<Answer, NotNow> {
        let mut state = self.state.lock().await;
        Ok(self.current(&mut state).await?.read(drill, call))
    }

    /// The state of the term that this node leads; that of a former term is dropped.
    async fn current<'a>(&self, state: &'a mut Option<Leading>) -> Result<&'a mut Machine, NotNow> {
        let term = self.term().ok_or(NotNow::NotLeader)?;
        if state.as_ref().is_none_or(|known| known.term != term) {
            *state = None;
            match self.reads.wait().await {
                // Alone from the first moment on: its own state is all that it has.
                Err(NotNow::Unconfirmed) if self.alone => {}
                confirmed => confirmed?,
            }
        }
        Ok(&mut state.get_or_insert_with(|| Leading { term, machine: self.replica.copy() }).machine)
    }
}
