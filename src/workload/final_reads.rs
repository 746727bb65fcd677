//! The final reads: once all is healed and quiet, everything that was ever written is read back, first
//! through the system's ordinary read path, then from each node's own replica.
//!
//! Each attempt is recorded as an operation of its own. Deliberately absent: waiting for quiet (the drill
//! does), and judging whether replicas agree (a check does).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use super::client::Driver;
use super::session::{Session, Sessions};
use super::{Clock, Sink};
use crate::history::file::Invocation;
use crate::history::{Call, Outcome, Process, Reply, Stage, Time};
use crate::inventory::NodeId;

/// How many reads are in flight at once.
const AT_ONCE: usize = 16;

/// How long to wait after a read that was not answered.
const PAUSE: Duration = Duration::from_millis(50);

/// What to read, and for how long to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The nodes whose replicas are read.
    pub nodes: Vec<NodeId>,
    /// What to read. A [`Call::Dequeue`] is repeated until its queue is empty.
    pub calls: Vec<Call>,
    /// The first process number that nobody has had.
    pub process: Process,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// When to give up: no attempt starts after it.
    pub deadline: Time,
}

/// What became of the final reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many of the calls were answered.
    pub answered: u64,
    /// The calls that were not answered before the deadline: what they would have read is not known.
    pub unanswered: Vec<Call>,
    /// How many replica reads were answered.
    pub replicas: u64,
    /// The replica reads that were not answered before the deadline.
    pub unanswered_replicas: Vec<(NodeId, Call)>,
    /// How many replica reads the driver says that its system does not have.
    pub without_replica_read: u64,
    /// The first process number that nobody has had.
    pub next_process: Process,
}

/// Reads everything back. Returns when all is answered, or at the deadline and one attempt.
pub async fn run(
    options: Options,
    driver: Arc<dyn Driver>,
    sink: Arc<dyn Sink>,
    clock: Clock,
) -> Summary {
    let Options { nodes, calls, process, timeout, deadline } = options;
    // A queue has no read that leaves it as it is, so its replicas are not asked.
    let readable: Vec<Call> = calls.iter().filter(|call| call.is_read()).cloned().collect();
    let replicas = readable.iter().flat_map(|call| {
        nodes.iter().map(move |node| Job::Replica { node: node.clone(), call: call.clone() })
    });
    let replicas: VecDeque<Job> = replicas.collect();
    let reader = Arc::new(Reader {
        sessions: Arc::new(Sessions::new(driver, timeout, process)),
        sink,
        clock,
        deadline,
        jobs: Mutex::new(calls.into_iter().map(Job::Final).collect()),
        summary: Mutex::new(Summary::default()),
    });
    // One after the other: a replica must not be read before what the final reads may bring forth.
    Arc::clone(&reader).work_off().await;
    *reader.jobs.lock().unwrap_or_else(|p| p.into_inner()) = replicas;
    Arc::clone(&reader).work_off().await;
    let summary = reader.summary.lock().unwrap_or_else(|p| p.into_inner()).clone();
    Summary { next_process: reader.sessions.next_process(), ..summary }
}

enum Job {
    Final(Call),
    Replica { node: NodeId, call: Call },
}

struct Reader {
    sessions: Arc<Sessions>,
    sink: Arc<dyn Sink>,
    clock: Clock,
    deadline: Time,
    jobs: Mutex<VecDeque<Job>>,
    summary: Mutex<Summary>,
}

impl Reader {
    fn next_job(&self) -> Option<Job> {
        self.jobs.lock().unwrap_or_else(|p| p.into_inner()).pop_front()
    }
    fn note(&self, write: impl FnOnce(&mut Summary)) {
        write(&mut self.summary.lock().unwrap_or_else(|p| p.into_inner()));
    }
    fn may_try(&self) -> bool {
        self.clock.now() < self.deadline
    }

    async fn work_off(self: Arc<Self>) {
        let jobs = self.jobs.lock().unwrap_or_else(|p| p.into_inner()).len();
        let mut tasks = JoinSet::new();
        for _ in 0..jobs.min(AT_ONCE) {
            let reader = Arc::clone(&self);
            tasks.spawn(async move {
                let mut session = Session::open(&reader.sessions);
                while let Some(job) = reader.next_job() {
                    match job {
                        Job::Final(call) => reader.read(&mut session, call).await,
                        Job::Replica { node, call } => {
                            reader.read_replica(session.process(), node, call).await;
                        }
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(e) = ended {
                tracing::error!("a final reader ended before its time: {e}");
            }
        }
    }

    async fn read(&self, session: &mut Session, call: Call) {
        while self.may_try() {
            let outcome = self.attempt(session, &call).await;
            session.renew(&outcome);
            match (&call, outcome) {
                // There may be more in this queue.
                (Call::Dequeue { .. }, Outcome::Ok(Reply::Value(Some(_)))) => {}
                (_, Outcome::Ok(_)) => return self.note(|s| s.answered += 1),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        self.note(|s| s.unanswered.push(call));
    }

    async fn attempt(&self, session: &mut Session, call: &Call) -> Outcome {
        let now = self.clock.now();
        let node = session.node(call);
        let id = self.sink.invoked(invocation(session.process(), node, now, Stage::Final, call));
        let outcome = session.invoke(call).await;
        self.sink.returned(id, now, self.clock.now(), outcome.clone());
        outcome
    }

    async fn read_replica(&self, process: Process, node: NodeId, call: Call) {
        while self.may_try() {
            let now = self.clock.now();
            let answer = async { self.sessions.driver().read_replica(&node, &call).await };
            let Some(outcome) = self.sessions.patiently(answer, Duration::ZERO, Some).await else {
                return self.note(|s| s.without_replica_read += 1);
            };
            // Written down only now: before, nobody knew whether the system has such a read.
            let stage = Stage::Replica(node.clone());
            let start = invocation(process, Some(node.clone()), now, stage, &call);
            let id = self.sink.invoked(start);
            self.sink.returned(id, now, self.clock.now(), outcome.clone());
            if outcome.is_ok() {
                return self.note(|s| s.replicas += 1);
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.note(|s| s.unanswered_replicas.push((node, call)));
    }
}

fn invocation(
    process: Process,
    node: Option<NodeId>,
    at: Time,
    stage: Stage,
    call: &Call,
) -> Invocation {
    Invocation { process, node, intended: at, invoked: at, stage, call: call.clone() }
}

#[cfg(test)]
mod tests;
