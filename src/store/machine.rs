//! The state machine: what the committed commands made of the objects. Pure and deterministic: the
//! same commands in the same order give the same state and the same answers on every node.
//!
//! Deliberately absent: time, chance, and any knowledge of who leads.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::history::{Call, Key, Message, Reply, Step};

use super::command::{Answer, Command, Op, Origin};

/// Every object, and what each client was answered last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    registers: HashMap<Key, i64>,
    counters: HashMap<Key, i64>,
    sets: HashMap<Key, BTreeSet<i64>>,
    queues: HashMap<Key, VecDeque<i64>>,
    logs: HashMap<Key, Vec<Message>>,
    accounts: BTreeMap<Key, i64>,
    lists: HashMap<Key, Vec<i64>>,
    sessions: HashMap<u64, Session>,
}

/// The last request of a client, with the answer to each of its parts.
#[derive(Debug, Clone)]
struct Session {
    seq: u64,
    answers: Vec<(u32, Answer)>,
}

impl Machine {
    /// Applies a command, once: a repeat changes nothing and is answered as the first time.
    pub(crate) fn apply(&mut self, command: &Command) -> Answer {
        let Some(from) = command.from else { return self.perform(&command.op) };
        match self.recall(from) {
            Some(answer) => answer,
            None => {
                let answer = self.perform(&command.op);
                self.remember(from, answer.clone());
                answer
            }
        }
    }

    fn recall(&self, from: Origin) -> Option<Answer> {
        let session = self.sessions.get(&from.client)?;
        if session.seq > from.seq {
            return Some(Answer::Superseded);
        }
        let known = session.answers.iter().find(|(part, _)| *part == from.part);
        known.filter(|_| session.seq == from.seq).map(|(_, answer)| answer.clone())
    }

    fn remember(&mut self, from: Origin, answer: Answer) {
        let session = self
            .sessions
            .entry(from.client)
            .or_insert_with(|| Session { seq: from.seq, answers: vec![] });
        if session.seq != from.seq {
            *session = Session { seq: from.seq, answers: vec![] };
        }
        session.answers.push((from.part, answer));
    }

    fn perform(&mut self, op: &Op) -> Answer {
        match op {
            Op::Call(call) => self.call(call),
            Op::Open { accounts, balance } => {
                for account in 0..*accounts {
                    self.accounts.entry(account).or_insert(*balance);
                }
                Answer::Ok(Reply::Done)
            }
            Op::Withdraw { account, amount } => match self.withdraw(*account, *amount) {
                Ok(()) => Answer::Ok(Reply::Done),
                Err(why) => Answer::Refused(why),
            },
            Op::Deposit { account, amount } => match self.deposit(*account, *amount) {
                Ok(()) => Answer::Ok(Reply::Done),
                Err(why) => Answer::Refused(why),
            },
        }
    }

    fn call(&mut self, call: &Call) -> Answer {
        let reply = match call {
            Call::Write { key, value } => {
                self.registers.insert(*key, *value);
                Reply::Done
            }
            Call::Cas { key, from, to } => match self.registers.get_mut(key) {
                Some(value) if value == from => {
                    *value = *to;
                    Reply::Swapped(true)
                }
                _ => Reply::Swapped(false),
            },
            Call::Add { key, delta } => return self.add(*key, *delta),
            Call::Insert { key, element } => {
                self.sets.entry(*key).or_default().insert(*element);
                Reply::Done
            }
            Call::Enqueue { key, element } => {
                self.queues.entry(*key).or_default().push_back(*element);
                Reply::Done
            }
            Call::Dequeue { key } => {
                Reply::Value(self.queues.get_mut(key).and_then(VecDeque::pop_front))
            }
            Call::Append { key, message } => {
                let log = self.logs.entry(*key).or_default();
                log.push(*message);
                Reply::Offset(log.len() as u64 - 1)
            }
            Call::Transfer { from, to, amount } => return self.transfer(*from, *to, *amount),
            Call::Txn { steps } => Reply::Txn(steps.iter().map(|step| self.step(step)).collect()),
            read => return self.read(read),
        };
        Answer::Ok(reply)
    }

    fn add(&mut self, key: Key, delta: i64) -> Answer {
        let total = self.counters.entry(key).or_default();
        match total.checked_add(delta) {
            Some(sum) => {
                *total = sum;
                Answer::Ok(Reply::Done)
            }
            None => Answer::Refused(format!("counter {key} is {total}: adding {delta} overflows")),
        }
    }

    fn step(&mut self, step: &Step) -> Option<Vec<i64>> {
        match step {
            Step::Append { key, value } => {
                self.lists.entry(*key).or_default().push(*value);
                None
            }
            Step::Read { key } => Some(self.lists.get(key).cloned().unwrap_or_default()),
        }
    }

    fn transfer(&mut self, from: Key, to: Key, amount: i64) -> Answer {
        if !self.accounts.contains_key(&to) {
            return Answer::Refused(format!("there is no account {to}"));
        }
        let moved = self.withdraw(from, amount).and_then(|()| self.deposit(to, amount));
        match moved {
            Ok(()) => Answer::Ok(Reply::Done),
            Err(why) => Answer::Refused(why),
        }
    }

    fn withdraw(&mut self, account: Key, amount: i64) -> Result<(), String> {
        if amount <= 0 {
            return Err(format!("an amount is positive, not {amount}"));
        }
        let balance = self
            .accounts
            .get_mut(&account)
            .ok_or_else(|| format!("there is no account {account}"))?;
        if *balance < amount {
            return Err(format!("account {account} has {balance}, less than {amount}"));
        }
        *balance -= amount;
        Ok(())
    }

    fn deposit(&mut self, account: Key, amount: i64) -> Result<(), String> {
        let balance = self
            .accounts
            .get_mut(&account)
            .ok_or_else(|| format!("there is no account {account}"))?;
        *balance = balance.saturating_add(amount);
        Ok(())
    }

    /// Answers a read. A call that would change something is refused.
    pub(crate) fn read(&self, call: &Call) -> Answer {
        let reply = match call {
            Call::Read { key } => Reply::Value(self.registers.get(key).copied()),
            Call::Total { key } => Reply::Value(Some(self.counters.get(key).copied().unwrap_or(0))),
            Call::Elements { key } => {
                Reply::Values(self.sets.get(key).into_iter().flatten().copied().collect())
            }
            Call::ReadLog { key, from } => {
                let log = self.logs.get(key).map(Vec::as_slice).unwrap_or_default();
                let from = usize::try_from(*from).unwrap_or(usize::MAX);
                Reply::Messages(log.get(from..).unwrap_or_default().to_vec())
            }
            Call::Balances => Reply::Balances(self.accounts.clone()),
            Call::Txn { steps } if call.is_read() => {
                let list = |key: &Key| self.lists.get(key).cloned().unwrap_or_default();
                let read = |step: &Step| match step {
                    Step::Read { key } => Some(list(key)),
                    Step::Append { .. } => None,
                };
                Reply::Txn(steps.iter().map(read).collect())
            }
            _ => return Answer::Refused("not a read".into()),
        };
        Answer::Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(seq: u64, part: u32, op: Op) -> Command {
        Command { from: Some(Origin { client: 1, seq, part }), op }
    }
    fn add(delta: i64) -> Op {
        Op::Call(Call::Add { key: 1, delta })
    }
    fn total(machine: &Machine) -> Answer {
        machine.read(&Call::Total { key: 1 })
    }
    fn value(value: i64) -> Answer {
        Answer::Ok(Reply::Value(Some(value)))
    }
    const DONE: Answer = Answer::Ok(Reply::Done);

    #[test]
    fn a_repeat_takes_effect_once_and_gets_the_first_answer() {
        let mut machine = Machine::default();
        let cas = |to| Op::Call(Call::Cas { key: 1, from: 0, to });
        machine.apply(&command(1, 0, Op::Call(Call::Write { key: 1, value: 0 })));
        let first = machine.apply(&command(2, 0, cas(5)));
        assert_eq!(first, Answer::Ok(Reply::Swapped(true)));
        assert_eq!(machine.apply(&command(2, 0, cas(5))), first);
        assert_eq!(machine.read(&Call::Read { key: 1 }), value(5));
    }

    #[test]
    fn a_refusal_is_remembered_too() {
        let mut machine = Machine::default();
        machine.apply(&command(1, 0, Op::Open { accounts: 2, balance: 10 }));
        let transfer = Op::Call(Call::Transfer { from: 0, to: 1, amount: 11 });
        let refused = machine.apply(&command(2, 0, transfer.clone()));
        assert_eq!(refused, Answer::Refused("account 0 has 10, less than 11".into()));
        machine.apply(&Command { from: None, op: Op::Deposit { account: 0, amount: 5 } });
        assert_eq!(machine.apply(&command(2, 0, transfer)), refused);
    }

    #[test]
    fn a_request_that_comes_after_a_later_one_does_nothing() {
        let mut machine = Machine::default();
        assert_eq!(machine.apply(&command(2, 0, add(1))), DONE);
        assert_eq!(machine.apply(&command(1, 0, add(10))), Answer::Superseded);
        assert_eq!(total(&machine), value(1));
    }

    #[test]
    fn the_parts_of_a_request_are_told_apart() {
        let mut machine = Machine::default();
        for (part, sum) in [(0, 1), (1, 2), (1, 2), (0, 2)] {
            machine.apply(&command(1, part, add(1)));
            assert_eq!(total(&machine), value(sum));
        }
    }

    #[test]
    fn without_an_origin_every_repeat_takes_effect() {
        let mut machine = Machine::default();
        let anonymous = Command { from: None, op: add(1) };
        machine.apply(&anonymous);
        machine.apply(&anonymous);
        assert_eq!(total(&machine), value(2));
    }

    #[test]
    fn an_account_is_opened_once() {
        let mut machine = Machine::default();
        let open = Command { from: None, op: Op::Open { accounts: 2, balance: 10 } };
        machine.apply(&open);
        machine.apply(&Command { from: None, op: Op::Withdraw { account: 0, amount: 3 } });
        machine.apply(&open);
        let balances = Reply::Balances(BTreeMap::from([(0, 7), (1, 10)]));
        assert_eq!(machine.read(&Call::Balances), Answer::Ok(balances));
    }

    #[test]
    fn money_is_neither_made_nor_lost_by_odd_transfers() {
        let mut machine = Machine::default();
        machine.apply(&Command { from: None, op: Op::Open { accounts: 2, balance: 10 } });
        for (from, to, amount, refused) in [
            (0, 0, 4, false),
            (0, 1, 10, false),
            (0, 1, 1, true),
            (1, 0, -5, true),
            (1, 0, 0, true),
            (1, 9, 5, true),
            (9, 1, 5, true),
        ] {
            let transfer = Op::Call(Call::Transfer { from, to, amount });
            let answer = machine.apply(&Command { from: None, op: transfer });
            assert_eq!(answer != DONE, refused, "{amount} from {from} to {to}: {answer:?}");
        }
        let balances = Reply::Balances(BTreeMap::from([(0, 0), (1, 20)]));
        assert_eq!(machine.read(&Call::Balances), Answer::Ok(balances));
    }

    #[test]
    fn a_counter_does_not_overflow_in_silence() {
        let mut machine = Machine::default();
        machine.apply(&command(1, 0, add(i64::MAX)));
        assert!(matches!(machine.apply(&command(2, 0, add(1))), Answer::Refused(_)));
        assert_eq!(total(&machine), value(i64::MAX));
    }

    #[test]
    fn a_read_changes_nothing_and_a_change_is_no_read() {
        let machine = Machine::default();
        let write = Call::Txn { steps: Box::new([Step::Append { key: 1, value: 1 }]) };
        assert_eq!(machine.read(&write), Answer::Refused("not a read".into()));
        assert_eq!(machine.read(&Call::Dequeue { key: 1 }), Answer::Refused("not a read".into()));
    }
}
