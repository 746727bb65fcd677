//! Objects of a drill's operations: registers, locks, queues, banks, counters, sets, logs.

use std::collections::{BTreeMap, VecDeque};

use firedrill::check::{self, Check, Linearizable, Spec, Total, Verdict};
use firedrill::history::{Call, Message, Operation, Outcome, Record, Reply, Stage, Time};

use crate::history::{Chance, End, Event, Rename, Subject};

type Asked = (Call, Reply);

fn record(model: &str, history: &[Event<Asked>]) -> Record {
    let one = |(id, e): (usize, &Event<Asked>)| Operation {
        id: id as u64,
        process: e.client,
        node: None,
        intended: Time(e.from),
        invoked: Time(e.from),
        returned: e.returned().map(Time),
        stage: Stage::Load,
        call: e.call.0.clone(),
        outcome: match e.end {
            End::Ok => Outcome::Ok(e.call.1.clone()),
            End::Fail => Outcome::Fail("refused".into()),
            End::Unknown { .. } => Outcome::Unknown("timed out".into()),
        },
    };
    Record::of_operations(model, history.iter().enumerate().map(one).collect())
}

/// By a check of a drill.
pub fn by_name(name: &str, history: &[Event<Asked>]) -> Verdict {
    let spec: Spec = serde_json::from_value(name.into()).unwrap();
    spec.build().check(&record(name, history)).verdict
}

fn key_of(chance: &mut Chance) -> u32 {
    chance.below(2) as u32
}

fn of(key: Rename, from: u32) -> u32 {
    u32::try_from(key(i64::from(from))).unwrap()
}

fn found(reply: &Reply, value: Rename) -> Reply {
    match reply {
        Reply::Value(found) => Reply::Value(found.map(value)),
        Reply::Values(all) => Reply::Values(all.iter().map(|v| value(*v)).collect()),
        Reply::Messages(all) => {
            Reply::Messages(all.iter().map(|m| message(value(i64::from(m.sender)))).collect())
        }
        other => other.clone(),
    }
}

fn message(sender: i64) -> Message {
    Message { sender: u32::try_from(sender).unwrap(), sequence: 0 }
}

/// Calls and answers with other names.
fn renamed((call, reply): &Asked, key: Rename, value: Rename) -> Asked {
    let call = match *call {
        Call::Read { key: k } => Call::Read { key: of(key, k) },
        Call::Write { key: k, value: v } => Call::Write { key: of(key, k), value: value(v) },
        Call::Cas { key: k, from, to } => {
            Call::Cas { key: of(key, k), from: value(from), to: value(to) }
        }
        Call::Insert { key: k, element } => {
            Call::Insert { key: of(key, k), element: value(element) }
        }
        Call::Elements { key: k } => Call::Elements { key: of(key, k) },
        Call::Enqueue { key: k, element } => {
            Call::Enqueue { key: of(key, k), element: value(element) }
        }
        Call::Dequeue { key: k } => Call::Dequeue { key: of(key, k) },
        Call::Append { key: k, message: m } => {
            Call::Append { key: of(key, k), message: message(value(i64::from(m.sender))) }
        }
        Call::ReadLog { key: k, from } => Call::ReadLog { key: of(key, k), from },
        Call::Add { key: k, delta } => Call::Add { key: of(key, k), delta },
        Call::Total { key: k } => Call::Total { key: of(key, k) },
        ref other => panic!("{other:?}"),
    };
    (call, found(reply, value))
}

/// What nobody ever put anywhere.
const NEVER: i64 = 77_777;

fn spoiled((call, reply): &Asked) -> Option<Asked> {
    let reply = match (call, reply) {
        (Call::Read { .. } | Call::Dequeue { .. } | Call::Total { .. }, _) => {
            Reply::Value(Some(NEVER))
        }
        (_, Reply::Values(all)) => Reply::Values(all.iter().copied().chain([NEVER]).collect()),
        (_, Reply::Messages(all)) => {
            Reply::Messages(all.iter().copied().chain([message(NEVER)]).collect())
        }
        _ => return None,
    };
    Some((call.clone(), reply))
}

/// Registers; how many values there are. Where each is set once, zones decide, else a search.
pub struct Registers {
    pub values: i64,
}

impl Subject for Registers {
    type Call = Asked;
    type State = BTreeMap<u32, i64>;

    fn call(&self, chance: &mut Chance, state: &mut Self::State, n: i64) -> Asked {
        let key = key_of(chance);
        let own = state.get(&key).copied();
        let value = n % self.values;
        match (chance.below(5), own) {
            (0 | 1, _) => (Call::Read { key }, Reply::Value(own)),
            (2, Some(from)) => {
                state.insert(key, value);
                (Call::Cas { key, from, to: value }, Reply::Swapped(true))
            }
            (3, _) => (Call::Cas { key, from: NEVER + 1, to: value }, Reply::Swapped(false)),
            _ => {
                state.insert(key, value);
                (Call::Write { key, value }, Reply::Done)
            }
        }
    }
    /// What was overwritten is read.
    fn wrong(&self) -> Vec<Vec<(Asked, End)>> {
        let key = 40;
        let write = |value| ((Call::Write { key, value }, Reply::Done), End::Ok);
        let read = |found| ((Call::Read { key }, Reply::Value(found)), End::Ok);
        vec![
            vec![write(900_001), read(None)],
            vec![write(900_001), write(900_002), read(Some(900_001))],
        ]
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        Linearizable::default().check(&record("register", history)).verdict
    }
    fn reads(&self, call: &Asked) -> bool {
        call.0.is_read() || call.1 == Reply::Swapped(false)
    }
    fn spoiled(&self, call: &Asked) -> Option<Asked> {
        spoiled(call)
    }
    fn renamed(&self, call: &Asked, key: Rename, value: Rename) -> Option<Asked> {
        Some(renamed(call, key, value))
    }
}

/// A lock, which is a register that holds 0 or 1.
pub struct Lock;

impl Subject for Lock {
    type Call = Asked;
    type State = BTreeMap<u32, bool>;

    fn call(&self, chance: &mut Chance, state: &mut Self::State, _: i64) -> Asked {
        let key = key_of(chance);
        let held = state.entry(key).or_default();
        let (from, to) = (i64::from(*held), i64::from(!*held));
        *held = !*held;
        (Call::Cas { key, from, to }, Reply::Swapped(true))
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        let check = Linearizable { initial: Some(0), ..Linearizable::default() };
        check.check(&record("register", history)).verdict
    }
    fn reads(&self, _: &Asked) -> bool {
        false
    }
    /// Nobody ever took it so.
    fn spoiled(&self, (call, reply): &Asked) -> Option<Asked> {
        let Call::Cas { key, .. } = *call else { return None };
        Some((Call::Cas { key, from: NEVER, to: 1 }, reply.clone()))
    }
    fn renamed(&self, call: &Asked, key: Rename, _: Rename) -> Option<Asked> {
        // Free is 0: its values are no mere names.
        Some(renamed(call, key, &|same| same))
    }
}

type Queues = BTreeMap<u32, VecDeque<i64>>;

fn queue_call(chance: &mut Chance, state: &mut Queues, n: i64) -> Asked {
    let key = key_of(chance);
    let own = state.entry(key).or_default();
    if chance.one_in(2) {
        own.push_back(n);
        return (Call::Enqueue { key, element: n }, Reply::Done);
    }
    (Call::Dequeue { key }, Reply::Value(own.pop_front()))
}

/// First in, first out, to the letter.
pub struct Fifo;

impl Subject for Fifo {
    type Call = Asked;
    type State = Queues;

    fn call(&self, chance: &mut Chance, state: &mut Queues, n: i64) -> Asked {
        queue_call(chance, state, n)
    }
    /// The second comes first, or the first one twice; or none, though one is there.
    fn wrong(&self) -> Vec<Vec<(Asked, End)>> {
        let key = 40;
        let put = |element| ((Call::Enqueue { key, element }, Reply::Done), End::Ok);
        let take = |found| ((Call::Dequeue { key }, Reply::Value(found)), End::Ok);
        vec![
            vec![put(900_001), put(900_002), take(Some(900_002)), take(Some(900_001))],
            vec![put(900_001), take(Some(900_001)), take(Some(900_001))],
            vec![put(900_001), take(None), take(Some(900_001))],
        ]
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        check::Fifo.check(&record("queue", history)).verdict
    }
    fn reads(&self, call: &Asked) -> bool {
        call.1 == Reply::Value(None)
    }
    fn only_asks(&self, _: &Asked) -> bool {
        false
    }
    fn spoiled(&self, call: &Asked) -> Option<Asked> {
        spoiled(call)
    }
    fn renamed(&self, call: &Asked, key: Rename, value: Rename) -> Option<Asked> {
        Some(renamed(call, key, value))
    }
}

/// What a drill asks of a queue: it is drained at the end.
pub struct Queue;

impl Subject for Queue {
    type Call = Asked;
    type State = Queues;

    fn call(&self, chance: &mut Chance, state: &mut Queues, n: i64) -> Asked {
        queue_call(chance, state, n)
    }
    fn last(&self, state: &mut Queues) -> Vec<Asked> {
        let one = |key, found| (Call::Dequeue { key }, Reply::Value(found));
        let drained = |(key, own): (&u32, &mut VecDeque<i64>)| {
            own.drain(..).map(Some).chain([None]).map(|found| one(*key, found)).collect::<Vec<_>>()
        };
        state.iter_mut().flat_map(drained).collect()
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        by_name("queue", history)
    }
    fn reads(&self, call: &Asked) -> bool {
        call.1 == Reply::Value(None)
    }
    fn only_asks(&self, _: &Asked) -> bool {
        false
    }
    fn spoiled(&self, call: &Asked) -> Option<Asked> {
        spoiled(call)
    }
    fn renamed(&self, call: &Asked, key: Rename, value: Rename) -> Option<Asked> {
        Some(renamed(call, key, value))
    }
}

/// Three accounts.
pub struct Bank;

/// What each account has gained.
#[derive(Default, Clone)]
pub struct Accounts([i64; 3]);

impl Subject for Bank {
    type Call = Asked;
    type State = Accounts;

    fn call(&self, chance: &mut Chance, state: &mut Accounts, _: i64) -> Asked {
        let (from, to) = (chance.place(3), chance.place(3));
        let amount = 1 + chance.below(3) as i64;
        if chance.one_in(2) {
            state.0[from] -= amount;
            state.0[to] += amount;
            return (Call::Transfer { from: from as u32, to: to as u32, amount }, Reply::Done);
        }
        let balances = (0..).zip(state.0.map(|gained| 100 + gained)).collect();
        (Call::Balances, Reply::Balances(balances))
    }
    fn last(&self, state: &mut Accounts) -> Vec<Asked> {
        let balances = (0..).zip(state.0.map(|gained| 100 + gained)).collect();
        vec![(Call::Balances, Reply::Balances(balances))]
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        let bank = check::Bank { total: Total::Known(300) };
        bank.check(&record("bank", history)).verdict
    }
    fn reads(&self, call: &Asked) -> bool {
        call.0.is_read()
    }
    fn spoiled(&self, (call, reply): &Asked) -> Option<Asked> {
        let Reply::Balances(all) = reply else { return None };
        let mut all = all.clone();
        *all.values_mut().next()? += 1;
        Some((call.clone(), Reply::Balances(all)))
    }
    fn has_keys(&self) -> bool {
        false
    }
    /// At whatever instant, the total is the same.
    fn is_exact(&self) -> bool {
        false
    }
    fn renamed(&self, (call, reply): &Asked, key: Rename, _: Rename) -> Option<Asked> {
        let call = match *call {
            Call::Transfer { from, to, amount } => {
                Call::Transfer { from: of(key, from), to: of(key, to), amount }
            }
            ref other => other.clone(),
        };
        let reply = match reply {
            Reply::Balances(all) => {
                Reply::Balances(all.iter().map(|(k, v)| (of(key, *k), *v)).collect())
            }
            other => other.clone(),
        };
        Some((call, reply))
    }
}

/// Counters, by their bounds.
pub struct Counter;

impl Subject for Counter {
    type Call = Asked;
    type State = BTreeMap<u32, i64>;

    fn call(&self, chance: &mut Chance, state: &mut Self::State, _: i64) -> Asked {
        let key = key_of(chance);
        let own = state.entry(key).or_default();
        if chance.one_in(2) {
            return (Call::Total { key }, Reply::Value(Some(*own)));
        }
        let delta = chance.below(9) as i64 - 3;
        *own += delta;
        (Call::Add { key, delta }, Reply::Done)
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        by_name("counter", history)
    }
    fn reads(&self, call: &Asked) -> bool {
        call.0.is_read()
    }
    fn spoiled(&self, call: &Asked) -> Option<Asked> {
        spoiled(call)
    }
    fn renamed(&self, call: &Asked, key: Rename, _: Rename) -> Option<Asked> {
        // Numbers that are added up are no mere names.
        Some(renamed(call, key, &|same| same))
    }
}

/// Sets that only grow.
pub struct Set;

impl Subject for Set {
    type Call = Asked;
    type State = BTreeMap<u32, Vec<i64>>;

    fn call(&self, chance: &mut Chance, state: &mut Self::State, n: i64) -> Asked {
        let key = key_of(chance);
        let own = state.entry(key).or_default();
        if chance.one_in(2) {
            return (Call::Elements { key }, Reply::Values(own.clone()));
        }
        own.push(n);
        (Call::Insert { key, element: n }, Reply::Done)
    }
    fn last(&self, state: &mut Self::State) -> Vec<Asked> {
        let read = |(key, own): (&u32, &Vec<i64>)| {
            (Call::Elements { key: *key }, Reply::Values(own.clone()))
        };
        state.iter().map(read).collect()
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        by_name("set", history)
    }
    fn reads(&self, call: &Asked) -> bool {
        call.0.is_read()
    }
    fn spoiled(&self, call: &Asked) -> Option<Asked> {
        spoiled(call)
    }
    fn renamed(&self, call: &Asked, key: Rename, value: Rename) -> Option<Asked> {
        Some(renamed(call, key, value))
    }
}

/// Logs of messages, each of a sender of its own.
pub struct Log;

impl Subject for Log {
    type Call = Asked;
    type State = BTreeMap<u32, Vec<Message>>;

    fn call(&self, chance: &mut Chance, state: &mut Self::State, n: i64) -> Asked {
        let key = key_of(chance);
        let own = state.entry(key).or_default();
        if chance.one_in(2) {
            return (Call::ReadLog { key, from: 0 }, Reply::Messages(own.clone()));
        }
        own.push(message(n));
        (Call::Append { key, message: message(n) }, Reply::Offset(own.len() as u64 - 1))
    }
    fn last(&self, state: &mut Self::State) -> Vec<Asked> {
        let read = |(key, own): (&u32, &Vec<Message>)| {
            (Call::ReadLog { key: *key, from: 0 }, Reply::Messages(own.clone()))
        };
        state.iter().map(read).collect()
    }
    fn judge(&self, history: &[Event<Asked>]) -> Verdict {
        by_name("log", history)
    }
    fn reads(&self, call: &Asked) -> bool {
        call.0.is_read()
    }
    fn spoiled(&self, call: &Asked) -> Option<Asked> {
        spoiled(call)
    }
    fn renamed(&self, call: &Asked, key: Rename, value: Rename) -> Option<Asked> {
        Some(renamed(call, key, value))
    }
}
