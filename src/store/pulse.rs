//! When to send a heartbeat, and when to stand for election.
//!
//! A leader sends heartbeats four times in an election timeout. A node that has heard no leader for
//! one to two timeouts (drawn anew each time) asks its peers first whether they would vote for it
//! (Raft's pre-vote): a node that is cut off never raises its term, so its return disturbs nobody,
//! and a leader that others hear stays.
//!
//! A leader that a majority has not answered for two timeouts falls silent until one can be reached
//! again, so that its followers elect another (Raft's check-quorum): a leader that speaks and
//! cannot hear would hold them for ever.
//!
//! Invariant: no decision here can make the data wrong; the consensus guards that. It only costs
//! time.

use std::sync::Mutex;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use openraft::ServerState;
use rand::RngExt;
use tokio::time::Instant;

use super::peer::{self, Links, Poll};
use super::raft::{self, Raft};

/// What a node knows of its leader's life.
pub(crate) struct Pulse {
    election: Duration,
    heard: Mutex<Instant>,
}

impl Pulse {
    /// A node that has just heard its leader: it waits before it stands.
    pub(crate) fn new(election: Duration) -> Pulse {
        Pulse { election, heard: Mutex::new(Instant::now()) }
    }

    /// A leader spoke, or this node gave its vote away.
    pub(crate) fn heard(&self) {
        *self.heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
    }

    fn silence(&self) -> Duration {
        self.heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).elapsed()
    }

    /// Whether this node would vote for the asker: it hears no leader, and the asker's log is as
    /// long as its own.
    pub(crate) fn welcomes(&self, raft: &Raft, question: &Poll) -> bool {
        let last_log = raft.data_metrics().borrow().last_log;
        // A voter's lease is a moment longer than the timeout.
        let lease = self.election + Duration::from_millis(10);
        self.silence() >= lease && question.last_log >= last_log
    }

    /// Sends heartbeats while this node leads, and stands for election when nobody does. Never
    /// returns.
    pub(crate) async fn beat(&self, raft: &Raft, links: &Links, me: u64) {
        let mut ticks = tokio::time::interval(self.election / 4);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut stood, mut patience) = (Instant::now(), self.patience());
        let mut leads_since = None;
        loop {
            ticks.tick().await;
            let (state, unheard) = {
                let metrics = raft.metrics();
                let metrics = metrics.borrow();
                (metrics.state, metrics.millis_since_quorum_ack.map(Duration::from_millis))
            };
            if state == ServerState::Leader {
                let since = leads_since.get_or_insert_with(Instant::now).elapsed();
                let unheard = unheard.unwrap_or(since).min(since);
                if self.holds_majority(raft, links, me, unheard).await {
                    // Fails only when the consensus has stopped, and then the whole node stops.
                    let _ = raft.trigger().heartbeat().await;
                }
                continue;
            }
            leads_since = None;
            links.mute(false);
            let voter = matches!(state, ServerState::Follower | ServerState::Candidate);
            if voter && self.silence().min(stood.elapsed()) >= patience {
                if poll(raft, links, me, self.limit(), |welcome| welcome).await {
                    let _ = raft.trigger().elect().await;
                }
                (stood, patience) = (Instant::now(), self.patience());
            }
        }
    }

    /// Whether this leader may go on speaking.
    async fn holds_majority(&self, raft: &Raft, links: &Links, me: u64, unheard: Duration) -> bool {
        if unheard < self.election {
            self.heard();
        }
        let lost =
            unheard > self.election * 2 && !poll(raft, links, me, self.limit(), |_| true).await;
        links.mute(lost);
        !lost
    }

    /// The time limit of a poll is that of replication: what it reaches, replication reaches.
    fn limit(&self) -> Duration {
        raft::call_limit(self.election)
    }

    fn patience(&self) -> Duration {
        self.election.mul_f64(rand::rng().random_range(1.0..2.0))
    }
}

/// Whether a majority, this node among it, gives an answer that counts.
async fn poll(
    raft: &Raft,
    links: &Links,
    me: u64,
    limit: Duration,
    counts: impl Fn(bool) -> bool,
) -> bool {
    let question = Poll { last_log: raft.data_metrics().borrow().last_log };
    let polls = links.others(me).map(|link| peer::poll(link, question.clone(), limit));
    let mut answers: FuturesUnordered<_> = polls.collect();
    let (mut votes, members) = (1, answers.len() + 1);
    while votes <= members / 2 {
        match answers.next().await {
            Some(Some(answer)) if counts(answer) => votes += 1,
            Some(_) => {}
            None => return false,
        }
    }
    true
}
