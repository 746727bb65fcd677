//! The objects of one drill: what its committed calls made of them. Pure and deterministic.
//!
//! Deliberately absent: who asked, and whether it is a repeat.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::history::{Call, Key, Message, Reply, Step};

use super::command::{Answer, Op};

/// Every object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects {
    registers: HashMap<Key, i64>,
    counters: HashMap<Key, i64>,
    sets: HashMap<Key, BTreeSet<i64>>,
    queues: HashMap<Key, VecDeque<i64>>,
    logs: HashMap<Key, Vec<Message>>,
    accounts: BTreeMap<Key, i64>,
    lists: HashMap<Key, Vec<i64>>,
}

impl Objects {
    /// Does it, each time it is told.
    pub(crate) fn perform(&mut self, op: &Op) -> Answer {
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
