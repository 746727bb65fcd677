//! The way of a write into the log: writes that wait share an entry, and with it one
//! synchronisation.
//!
//! Invariant: `NotLeader` means that nothing was proposed. Whatever else goes wrong once a command
//! may stand in somebody's log is `Lost`: it may be committed yet.

use std::sync::Arc;

use openraft::ServerState;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::command::{Answer, Batch, Command};
use super::raft::Raft;

/// The most commands that share an entry.
const BATCH: usize = 64;
/// How many entries may wait for their commit at once; what comes meanwhile gathers into the next
/// one.
const IN_FLIGHT: usize = 2;

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// It was not proposed: this node does not lead.
    NotLeader,
    /// It may have been proposed: what is known.
    Lost(String),
}

/// Proposes commands. Clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct Proposer(mpsc::Sender<Waiting>);

#[derive(Debug)]
struct Waiting {
    command: Command,
    reply: oneshot::Sender<Result<Answer, NotDone>>,
}

/// Whether this node believes that it leads.
pub(crate) fn leads(raft: &Raft) -> bool {
    raft.metrics().borrow().state == ServerState::Leader
}

impl Proposer {
    /// Starts the queue. It ends with the last clone.
    pub(crate) fn start(raft: Raft) -> Proposer {
        let (sender, queue) = mpsc::channel(1024);
        tokio::spawn(run(raft, queue));
        Proposer(sender)
    }

    /// Proposes a command and waits until it is applied, however long that takes.
    pub(crate) async fn propose(&self, command: Command) -> Result<Answer, NotDone> {
        let (reply, answer) = oneshot::channel();
        let stopped = || NotDone::Lost("the node is stopping".into());
        self.0.send(Waiting { command, reply }).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

async fn run(raft: Raft, mut queue: mpsc::Receiver<Waiting>) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut waiting = vec![];
    while let Ok(slot) = slots.clone().acquire_owned().await {
        if queue.recv_many(&mut waiting, BATCH).await == 0 {
            return;
        }
        // Whoever has given up has been told that nothing is known; proposing it now would only be
        // late.
        waiting.retain(|w: &Waiting| !w.reply.is_closed());
        let (commands, replies): (Vec<_>, Vec<_>) =
            waiting.drain(..).map(|w| (w.command, w.reply)).unzip();
        if commands.is_empty() {
            continue;
        }
        if !leads(&raft) {
            tell(replies, &NotDone::NotLeader);
            continue;
        }
        let raft = raft.clone();
        tokio::spawn(async move {
            match raft.client_write(Batch(commands)).await {
                Ok(written) => {
                    replies.into_iter().zip(written.data.0).for_each(|(reply, answer)| {
                        // Nobody waits any more when the client has gone.
                        let _ = reply.send(Ok(answer));
                    })
                }
                Err(error) => tell(replies, &lost(&error)),
            }
            drop(slot);
        });
    }
}

fn tell(replies: Vec<oneshot::Sender<Result<Answer, NotDone>>>, why: &NotDone) {
    for reply in replies {
        let _ = reply.send(Err(why.clone()));
    }
}

/// The consensus refuses in the same words before and after an entry stood in the log, so nothing
/// is known.
pub(crate) fn lost(error: &impl std::fmt::Display) -> NotDone {
    NotDone::Lost(format!("the leader lost its leadership before the commit: {error}"))
}
