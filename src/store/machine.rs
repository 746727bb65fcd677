//! The state machine: what the committed commands made of the objects. Pure and deterministic: the
//! same commands in the same order give the same state and the same answers on every node.
//!
//! Each drill has objects of its own, so that one after another may drill the same store, and what
//! the first wrote is not taken for the second one's.
//!
//! Deliberately absent: time, chance, and any knowledge of who leads.

use std::collections::HashMap;

use crate::history::Call;

use super::command::{Answer, Command, Origin};
use super::objects::Objects;

/// Every drill's objects, and what each client was answered last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    drills: HashMap<u32, Objects>,
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
        let known = command.from.and_then(|from| self.recall(from));
        known.unwrap_or_else(|| {
            let answer = self.drills.entry(command.drill).or_default().perform(&command.op);
            if let Some(from) = command.from {
                self.remember(from, answer.clone());
            }
            answer
        })
    }

    /// Answers a read of a drill's. A call that would change something is refused.
    pub(crate) fn read(&self, drill: u32, call: &Call) -> Answer {
        match self.drills.get(&drill) {
            Some(objects) => objects.read(call),
            None => Objects::default().read(call),
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
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::{Reply, Step};
    use crate::store::command::Op;

    fn command(seq: u64, part: u32, op: Op) -> Command {
        Command { drill: 0, from: Some(Origin { client: 1, seq, part }), op }
    }
    fn add(delta: i64) -> Op {
        Op::Call(Call::Add { key: 1, delta })
    }
    fn total(machine: &Machine) -> Answer {
        machine.read(0, &Call::Total { key: 1 })
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
        assert_eq!(machine.read(0, &Call::Read { key: 1 }), value(5));
    }

    #[test]
    fn a_refusal_is_remembered_too() {
        let mut machine = Machine::default();
        machine.apply(&command(1, 0, Op::Open { accounts: 2, balance: 10 }));
        let transfer = Op::Call(Call::Transfer { from: 0, to: 1, amount: 11 });
        let refused = machine.apply(&command(2, 0, transfer.clone()));
        assert_eq!(refused, Answer::Refused("account 0 has 10, less than 11".into()));
        machine.apply(&Command { drill: 0, from: None, op: Op::Deposit { account: 0, amount: 5 } });
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
        let anonymous = Command { drill: 0, from: None, op: add(1) };
        machine.apply(&anonymous);
        machine.apply(&anonymous);
        assert_eq!(total(&machine), value(2));
    }

    #[test]
    fn an_account_is_opened_once() {
        let mut machine = Machine::default();
        let open = Command { drill: 0, from: None, op: Op::Open { accounts: 2, balance: 10 } };
        machine.apply(&open);
        machine.apply(&Command {
            drill: 0,
            from: None,
            op: Op::Withdraw { account: 0, amount: 3 },
        });
        machine.apply(&open);
        let balances = Reply::Balances(BTreeMap::from([(0, 7), (1, 10)]));
        assert_eq!(machine.read(0, &Call::Balances), Answer::Ok(balances));
    }

    #[test]
    fn money_is_neither_made_nor_lost_by_odd_transfers() {
        let mut machine = Machine::default();
        machine.apply(&Command { drill: 0, from: None, op: Op::Open { accounts: 2, balance: 10 } });
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
            let answer = machine.apply(&Command { drill: 0, from: None, op: transfer });
            assert_eq!(answer != DONE, refused, "{amount} from {from} to {to}: {answer:?}");
        }
        let balances = Reply::Balances(BTreeMap::from([(0, 0), (1, 20)]));
        assert_eq!(machine.read(0, &Call::Balances), Answer::Ok(balances));
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
        assert_eq!(machine.read(0, &write), Answer::Refused("not a read".into()));
        assert_eq!(
            machine.read(0, &Call::Dequeue { key: 1 }),
            Answer::Refused("not a read".into())
        );
    }

    #[test]
    fn drills_do_not_see_each_other() {
        let mut machine = Machine::default();
        let write = |drill, value| Command {
            drill,
            from: None,
            op: Op::Call(Call::Write { key: 1, value }),
        };
        machine.apply(&write(1, 5));
        assert_eq!(machine.read(2, &Call::Read { key: 1 }), Answer::Ok(Reply::Value(None)));
        machine.apply(&write(2, 6));
        assert_eq!(machine.read(1, &Call::Read { key: 1 }), value(5));
        assert_eq!(machine.read(2, &Call::Read { key: 1 }), value(6));
    }
}
