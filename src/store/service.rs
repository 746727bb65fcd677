//! Who may be answered what: the rules of linearizability, and where each bug breaks them.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::ServerState;

use crate::history::{Call, Reply};

use super::Bug;
use super::ahead::{Ahead, Committed};
use super::command::{Answer, Command, Op, Origin};
use super::options::Cluster;
use super::propose::{NotDone, Proposer, leads, lost};
use super::protocol::{Redirect, Request, Response, Status, drill};
use super::raft::Raft;
use super::readindex::{NotNow, ReadIndex};
use super::replica::Replica;

/// How long a node waits for a commit before it says that it does not know.
const COMMIT: Duration = Duration::from_secs(5);

/// Answers clients.
pub(crate) struct Service {
    pub(crate) cluster: Cluster,
    pub(crate) raft: Raft,
    pub(crate) replica: Replica,
    pub(crate) proposer: Proposer,
    pub(crate) reads: ReadIndex,
    pub(crate) ahead: Ahead,
    pub(crate) bugs: BTreeSet<Bug>,
    pub(crate) election: Duration,
}

impl Service {
    /// Answers a request that is not about the status.
    pub(crate) async fn respond(&self, request: Request) -> Response {
        match request {
            Request::Ask { client, call, local: true, .. } => {
                response(self.replica.read(drill(client), &call))
            }
            Request::Ask { client, seq, call, .. } if call.is_read() => {
                self.read(client, seq, call).await
            }
            Request::Ask { client, seq, call, .. } => {
                self.write(client, seq, split(call, self.has(Bug::DirtyTransactions))).await
            }
            Request::Open { client, seq, open } => {
                let op = Op::Open { accounts: open.accounts, balance: open.balance };
                self.write(client, seq, vec![op]).await
            }
            Request::Status { .. } => Response::Fail("a status is not an operation".into()),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }

    async fn read(&self, client: u64, seq: u64, call: Call) -> Response {
        if self.has(Bug::DirtyTransactions) && matches!(call, Call::Txn { .. }) {
            return self.write(client, seq, split(call, true)).await;
        }
        let drill = drill(client);
        if self.has(Bug::StaleReads) {
            return response(self.replica.read(drill, &call));
        }
        if self.has(Bug::SplitBrain) && self.lost_majority() {
            return self.read_ahead(drill, &call).await;
        }
        match self.reads.wait().await {
            Ok(()) if self.has(Bug::EarlyAck) => self.read_ahead(drill, &call).await,
            Ok(()) => response(self.replica.read(drill, &call)),
            Err(NotNow::Unconfirmed) if self.has(Bug::SplitBrain) => {
                self.read_ahead(drill, &call).await
            }
            Err(_) => self.redirect(),
        }
    }

    async fn read_ahead(&self, drill: u32, call: &Call) -> Response {
        self.ahead.read(drill, call).await.map_or_else(|_| self.redirect(), response)
    }

    async fn write(&self, client: u64, seq: u64, ops: Vec<Op>) -> Response {
        let known = !self.has(Bug::DuplicateAppend);
        let mut replies = vec![];
        for (part, op) in (0..).zip(ops) {
            let from = known.then_some(Origin { client, seq, part });
            match self.commit(Command { drill: drill(client), from, op }).await {
                Ok(Answer::Ok(reply)) => replies.push(reply),
                Ok(answer) => return response(answer),
                // What came before it may stand.
                Err(NotDone::NotLeader) if part > 0 => {
                    return Response::Unknown("the leader changed in the middle".into());
                }
                Err(NotDone::NotLeader) => return self.redirect(),
                Err(NotDone::Lost(why)) => return Response::Unknown(why),
            }
        }
        Response::Ok(join(replies))
    }

    async fn commit(&self, command: Command) -> Result<Answer, NotDone> {
        if !leads(&self.raft) {
            return Err(NotDone::NotLeader);
        }
        let work = async {
            if self.has(Bug::EarlyAck) {
                Ok(self.ahead.propose(command).await?.0)
            } else if self.has(Bug::SplitBrain) {
                let (answer, committed) = self.ahead.propose(command).await?;
                self.committed_or_alone(answer, committed).await
            } else {
                self.proposer.propose(command).await
            }
        };
        let late = || NotDone::Lost(format!("not committed within {} s", COMMIT.as_secs()));
        tokio::time::timeout(COMMIT, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// The bug `split-brain`: a leader that has lost its majority answers as if it had committed.
    async fn committed_or_alone(
        &self,
        answer: Answer,
        committed: Committed,
    ) -> Result<Answer, NotDone> {
        let alone = async {
            while !self.lost_majority() {
                tokio::time::sleep(self.election / 10).await;
            }
        };
        tokio::select! {
            biased;
            written = committed => match written {
                Ok(Ok(written)) => Ok(written.data.0.into_iter().next().unwrap_or(answer)),
                Ok(Err(error)) => Err(lost(&error)),
                Err(error) => Err(lost(&error)),
            },
            () = alone => Ok(answer),
        }
    }

    /// Whether this node leads and has heard nothing of a majority for an election timeout.
    fn lost_majority(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let unheard = metrics.millis_since_quorum_ack.map(Duration::from_millis);
        metrics.state == ServerState::Leader && unheard.is_some_and(|t| t > self.election)
    }

    fn name_of(&self, id: Option<u64>) -> Option<String> {
        let place = usize::try_from(id?).ok()?;
        self.cluster.members.get(place).map(|(name, _)| name.clone())
    }

    fn redirect(&self) -> Response {
        let leader = self.raft.metrics().borrow().current_leader;
        // A node that has just refused is no address to send anybody to.
        let leader = self.name_of(leader.filter(|id| *id != self.cluster.me));
        let address = leader.as_ref().and_then(|name| self.cluster.clients.get(name).cloned());
        Response::NotLeader(Redirect { leader, address })
    }

    /// How this node is.
    pub(crate) fn status(&self) -> Status {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        Status {
            name: self.name_of(Some(self.cluster.me)).unwrap_or_default(),
            role: role(metrics.state).into(),
            leader: self.name_of(metrics.current_leader),
            term: metrics.current_term,
            applied: metrics.last_applied.map(|id| id.index),
            last_log: metrics.last_log_index,
        }
    }
}

fn role(state: ServerState) -> &'static str {
    match state {
        ServerState::Leader => "leader",
        ServerState::Follower => "follower",
        ServerState::Candidate => "candidate",
        ServerState::Learner | ServerState::Shutdown => "learner",
    }
}

fn response(answer: Answer) -> Response {
    match answer {
        Answer::Ok(reply) => Response::Ok(reply),
        Answer::Refused(why) => Response::Fail(why),
        Answer::Superseded => {
            Response::Unknown("a later request of this client was applied before".into())
        }
    }
}

/// The commands of a call: one, unless the bug `dirty-transactions` tears it into its steps.
fn split(call: Call, dirty: bool) -> Vec<Op> {
    match call {
        Call::Txn { steps } if dirty && !steps.is_empty() => {
            steps.into_iter().map(|step| Op::Call(Call::Txn { steps: Box::new([step]) })).collect()
        }
        Call::Transfer { from, to, amount } if dirty => {
            vec![Op::Withdraw { account: from, amount }, Op::Deposit { account: to, amount }]
        }
        call => vec![Op::Call(call)],
    }
}

/// One reply of those of a torn call; of a whole one it is the reply itself.
fn join(replies: Vec<Reply>) -> Reply {
    let mut joined: Option<Reply> = None;
    for reply in replies {
        joined = Some(match (joined, reply) {
            (Some(Reply::Txn(mut steps)), Reply::Txn(more)) => {
                steps.extend(more);
                Reply::Txn(steps)
            }
            (_, reply) => reply,
        });
    }
    joined.unwrap_or(Reply::Done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::machine::Machine;
    use super::*;
    use crate::history::Step;

    fn apply(machine: &mut Machine, op: &Op) -> Reply {
        match machine.apply(&Command { drill: 0, from: None, op: op.clone() }) {
            Answer::Ok(reply) => reply,
            other => panic!("{op:?}: {other:?}"),
        }
    }

    #[test]
    fn a_transfer_is_one_command_and_a_dirty_one_shows_its_half() {
        let transfer = Call::Transfer { from: 0, to: 1, amount: 4 };
        let mut machine = Machine::default();
        apply(&mut machine, &Op::Open { accounts: 2, balance: 10 });
        let whole = split(transfer.clone(), false);
        assert_eq!(whole, [Op::Call(transfer.clone())]);
        let halves = split(transfer, true);
        assert_eq!(halves.len(), 2);
        apply(&mut machine, &halves[0]);
        let half = Reply::Balances(BTreeMap::from([(0, 6), (1, 10)]));
        assert_eq!(machine.read(0, &Call::Balances), Answer::Ok(half));
        apply(&mut machine, &halves[1]);
        let done = Reply::Balances(BTreeMap::from([(0, 6), (1, 14)]));
        assert_eq!(machine.read(0, &Call::Balances), Answer::Ok(done));
    }

    #[test]
    fn a_torn_transaction_answers_as_a_whole_one() {
        let steps: Box<[Step]> =
            [Step::Append { key: 1, value: 7 }, Step::Read { key: 1 }, Step::Read { key: 2 }]
                .into();
        let whole = split(Call::Txn { steps: steps.clone() }, false);
        let torn = split(Call::Txn { steps }, true);
        assert_eq!((whole.len(), torn.len()), (1, 3));
        let run = |ops: Vec<Op>| {
            let mut machine = Machine::default();
            join(ops.iter().map(|op| apply(&mut machine, op)).collect())
        };
        assert_eq!(run(torn), run(whole));
    }

    #[test]
    fn a_transaction_without_steps_has_an_answer_in_either_way() {
        for dirty in [false, true] {
            let ops = split(Call::Txn { steps: Box::new([]) }, dirty);
            assert_eq!(apply(&mut Machine::default(), &ops[0]), Reply::Txn(vec![]));
        }
    }
}
