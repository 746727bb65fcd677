//! Linearizable reads without a log entry: Raft's read index (Ongaro's thesis, 6.4). Reads that
//! wait share one round of asking the majority; the round begins after the last of them came.

use std::time::Duration;

use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::raft::Raft;

/// Why a read cannot be answered here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotNow {
    /// This node does not lead.
    NotLeader,
    /// It leads, as far as it knows, and a majority did not confirm it in time.
    Unconfirmed,
}

/// Lets reads through when this node is known to lead and has applied what was committed before.
#[derive(Debug, Clone)]
pub(crate) struct ReadIndex(mpsc::Sender<oneshot::Sender<Result<(), NotNow>>>);

impl ReadIndex {
    /// Starts the rounds; each may take at most `limit`. They end with the last clone.
    pub(crate) fn start(raft: Raft, limit: Duration) -> ReadIndex {
        let (sender, mut queue) = mpsc::channel(1024);
        tokio::spawn(async move {
            let mut waiting: Vec<oneshot::Sender<_>> = vec![];
            while queue.recv_many(&mut waiting, 1024).await > 0 {
                let confirmed = confirm(&raft, limit).await;
                for reply in waiting.drain(..) {
                    // Nobody waits any more when the client has gone.
                    let _ = reply.send(confirmed.clone());
                }
            }
        });
        ReadIndex(sender)
    }

    /// Waits until this node's state is at least as new as all that was acknowledged before the
    /// call.
    pub(crate) async fn wait(&self) -> Result<(), NotNow> {
        let (reply, confirmed) = oneshot::channel();
        if self.0.send(reply).await.is_err() {
            return Err(NotNow::Unconfirmed);
        }
        confirmed.await.unwrap_or(Err(NotNow::Unconfirmed))
    }
}

async fn confirm(raft: &Raft, limit: Duration) -> Result<(), NotNow> {
    match tokio::time::timeout(limit, raft.ensure_linearizable()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_)))) => {
            Err(NotNow::NotLeader)
        }
        Ok(Err(_)) | Err(_) => Err(NotNow::Unconfirmed),
    }
}
