//! Objects that the general search and its monitors judge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill::check::objects::models::{
    self, Access, ContainerCall, CounterCall, Found, SetCall, TextCall,
};
use firedrill::check::objects::recorded::History;
use firedrill::check::objects::{Answer, Op};
use firedrill::check::{Budget, Verdict};

use crate::history::{Chance, End, Event, Rename, Subject};

const STEPS: u64 = 1_000_000;

/// What nobody ever put anywhere.
const NEVER: i64 = 77_777;

/// What failed did not happen. `unknown`: what is known of a call whose outcome is not; `None`: nothing at all.
fn ops<C: Clone>(history: &[Event<C>], unknown: impl Fn(&C) -> Option<C>) -> Vec<Op<C>> {
    let one = |e: &Event<C>| {
        let call = match e.end {
            End::Ok => Some(e.call.clone()),
            End::Fail => None,
            End::Unknown { .. } => unknown(&e.call),
        };
        Some(Op { call: call?, invoked: e.from, returned: e.returned() })
    };
    history.iter().filter_map(one).collect()
}

fn verdict(history: History) -> Verdict {
    match history.judge(&mut Budget::of_steps(STEPS)) {
        Answer::Yes => Verdict::Pass,
        Answer::No(_) => Verdict::Fail,
        Answer::GaveUp(_) => Verdict::Inconclusive,
    }
}

fn found(value: Option<i64>) -> Found {
    value.map_or(Found::Nothing, Found::Value)
}

fn container_ops(history: &[Event<ContainerCall>]) -> Vec<Op<ContainerCall>> {
    ops(history, |call| match call {
        ContainerCall::Put(value) => Some(ContainerCall::Put(*value)),
        ContainerCall::Take(_) => Some(ContainerCall::Take(Found::Unknown)),
        ContainerCall::Peek(_) => None,
    })
}

fn container_reads(call: &ContainerCall) -> bool {
    matches!(call, ContainerCall::Peek(_) | ContainerCall::Take(Found::Nothing))
}

fn container_spoiled(call: &ContainerCall) -> Option<ContainerCall> {
    match call {
        ContainerCall::Put(_) => None,
        ContainerCall::Take(_) => Some(ContainerCall::Take(Found::Value(NEVER))),
        ContainerCall::Peek(_) => Some(ContainerCall::Peek(Found::Value(NEVER))),
    }
}

fn container_renamed(call: &ContainerCall, value: Rename) -> Option<ContainerCall> {
    let of = |found: &Found| match found {
        Found::Value(v) => Found::Value(value(*v)),
        other => *other,
    };
    Some(match call {
        ContainerCall::Put(v) => ContainerCall::Put(value(*v)),
        ContainerCall::Take(found) => ContainerCall::Take(of(found)),
        ContainerCall::Peek(found) => ContainerCall::Peek(of(found)),
    })
}

/// Last in, first out.
pub struct Stack;

impl Subject for Stack {
    type Call = ContainerCall;
    type State = Vec<i64>;

    fn call(&self, chance: &mut Chance, state: &mut Vec<i64>, n: i64) -> ContainerCall {
        match chance.below(5) {
            0 | 1 => {
                state.push(n);
                ContainerCall::Put(n)
            }
            2 | 3 => ContainerCall::Take(found(state.pop())),
            _ => ContainerCall::Peek(found(state.last().copied())),
        }
    }
    fn judge(&self, history: &[Event<ContainerCall>]) -> Verdict {
        verdict(History::Stack(container_ops(history)))
    }
    fn reads(&self, call: &ContainerCall) -> bool {
        container_reads(call)
    }
    fn only_asks(&self, call: &ContainerCall) -> bool {
        matches!(call, ContainerCall::Peek(_))
    }
    fn spoiled(&self, call: &ContainerCall) -> Option<ContainerCall> {
        container_spoiled(call)
    }
    fn renamed(&self, call: &ContainerCall, _: Rename, value: Rename) -> Option<ContainerCall> {
        container_renamed(call, value)
    }
    fn has_keys(&self) -> bool {
        false
    }
}

/// The largest first.
pub struct Priority;

impl Subject for Priority {
    type Call = ContainerCall;
    type State = BTreeSet<i64>;

    fn call(&self, chance: &mut Chance, state: &mut BTreeSet<i64>, n: i64) -> ContainerCall {
        match chance.below(5) {
            0 | 1 => {
                // Unique, and in no order.
                let value = (n * 7919) % 100_003;
                state.insert(value);
                ContainerCall::Put(value)
            }
            2 | 3 => ContainerCall::Take(found(state.pop_last())),
            _ => ContainerCall::Peek(found(state.last().copied())),
        }
    }
    fn judge(&self, history: &[Event<ContainerCall>]) -> Verdict {
        let queue = models::Priority { smallest_first: false };
        verdict(History::Priority(queue, container_ops(history)))
    }
    fn reads(&self, call: &ContainerCall) -> bool {
        container_reads(call)
    }
    fn only_asks(&self, call: &ContainerCall) -> bool {
        matches!(call, ContainerCall::Peek(_))
    }
    fn spoiled(&self, call: &ContainerCall) -> Option<ContainerCall> {
        container_spoiled(call)
    }
    fn renamed(&self, call: &ContainerCall, _: Rename, value: Rename) -> Option<ContainerCall> {
        container_renamed(call, value)
    }
    fn has_keys(&self) -> bool {
        false
    }
    fn is_ordered(&self) -> bool {
        true
    }
}

fn set_call(chance: &mut Chance, state: &mut BTreeSet<i64>, element: i64, kinds: u64) -> SetCall {
    match chance.below(kinds) {
        0 => SetCall::Add(element, Some(state.insert(element))),
        1 => SetCall::Contains(element, state.contains(&element)),
        _ => SetCall::Remove(element, Some(state.remove(&element))),
    }
}

/// Elements are added, removed and asked for: each is a set of its own, and so a key.
pub struct Set;

impl Subject for Set {
    type Call = SetCall;
    type State = BTreeSet<i64>;

    fn call(&self, chance: &mut Chance, state: &mut BTreeSet<i64>, _: i64) -> SetCall {
        let element = chance.below(3) as i64;
        set_call(chance, state, element, 3)
    }
    fn judge(&self, history: &[Event<SetCall>]) -> Verdict {
        verdict(History::Set(ops(history, |call| match call {
            SetCall::Add(element, _) => Some(SetCall::Add(*element, None)),
            SetCall::Remove(element, _) => Some(SetCall::Remove(*element, None)),
            SetCall::Contains(..) | SetCall::All(_) => None,
        })))
    }
    fn reads(&self, call: &SetCall) -> bool {
        matches!(
            call,
            SetCall::Contains(..) | SetCall::Add(_, Some(false)) | SetCall::Remove(_, Some(false))
        )
    }
    fn only_asks(&self, call: &SetCall) -> bool {
        matches!(call, SetCall::Contains(..))
    }
    fn spoiled(&self, call: &SetCall) -> Option<SetCall> {
        matches!(call, SetCall::Contains(..)).then_some(SetCall::Contains(NEVER, true))
    }
    fn renamed(&self, call: &SetCall, key: Rename, _: Rename) -> Option<SetCall> {
        Some(match call {
            SetCall::Add(element, new) => SetCall::Add(key(*element), *new),
            SetCall::Remove(element, new) => SetCall::Remove(key(*element), *new),
            SetCall::Contains(element, is_in) => SetCall::Contains(key(*element), *is_in),
            SetCall::All(_) => return None,
        })
    }
}

/// Elements are added, and all are read.
pub struct Grown;

impl Subject for Grown {
    type Call = SetCall;
    type State = BTreeSet<i64>;

    fn call(&self, chance: &mut Chance, state: &mut BTreeSet<i64>, n: i64) -> SetCall {
        if chance.one_in(2) {
            return SetCall::All(state.iter().copied().collect());
        }
        state.insert(n);
        SetCall::Add(n, None)
    }
    fn judge(&self, history: &[Event<SetCall>]) -> Verdict {
        verdict(History::Set(ops(history, |call| match call {
            SetCall::Add(element, _) => Some(SetCall::Add(*element, None)),
            _ => None,
        })))
    }
    fn reads(&self, call: &SetCall) -> bool {
        matches!(call, SetCall::All(_))
    }
    fn spoiled(&self, call: &SetCall) -> Option<SetCall> {
        match call {
            SetCall::All(all) => Some(SetCall::All(all.iter().copied().chain([NEVER]).collect())),
            _ => None,
        }
    }
    fn renamed(&self, call: &SetCall, _: Rename, value: Rename) -> Option<SetCall> {
        Some(match call {
            SetCall::Add(element, new) => SetCall::Add(value(*element), *new),
            SetCall::All(all) => {
                let mut all: Vec<i64> = all.iter().map(|v| value(*v)).collect();
                all.sort_unstable();
                SetCall::All(all)
            }
            _ => return None,
        })
    }
    fn has_keys(&self) -> bool {
        false
    }
}

/// One counter.
pub struct Counter;

impl Subject for Counter {
    type Call = CounterCall;
    type State = i64;

    fn call(&self, chance: &mut Chance, state: &mut i64, _: i64) -> CounterCall {
        let by = chance.below(9) as i64 - 3;
        match chance.below(4) {
            0 | 1 => CounterCall::Read(*state),
            2 => {
                *state += by;
                CounterCall::Add(by)
            }
            _ => {
                *state += by;
                CounterCall::AddAndGet(by, *state)
            }
        }
    }
    fn judge(&self, history: &[Event<CounterCall>]) -> Verdict {
        let unknown = |call: &CounterCall| match call {
            CounterCall::Add(by) | CounterCall::AddAndGet(by, _) => Some(CounterCall::Add(*by)),
            CounterCall::Read(_) => None,
        };
        verdict(History::Counter(models::Counter::default(), ops(history, unknown)))
    }
    fn reads(&self, call: &CounterCall) -> bool {
        matches!(call, CounterCall::Read(_))
    }
    fn spoiled(&self, call: &CounterCall) -> Option<CounterCall> {
        match call {
            CounterCall::Read(_) => Some(CounterCall::Read(NEVER)),
            CounterCall::AddAndGet(by, _) => Some(CounterCall::AddAndGet(*by, NEVER)),
            CounterCall::Add(_) => None,
        }
    }
    fn renamed(&self, _: &CounterCall, _: Rename, _: Rename) -> Option<CounterCall> {
        None
    }
    fn has_keys(&self) -> bool {
        false
    }
}

/// Texts by key, which are got, put and appended to. Each word is appended once.
pub struct Store;

type Texts = BTreeMap<i64, Vec<i64>>;

/// A call on the text of a key; its words are numbers.
#[derive(Debug, Clone)]
pub enum Words {
    Get(Vec<i64>),
    Put(i64),
    Append(i64),
}

fn text(words: &[i64]) -> Arc<str> {
    words.iter().map(|word| format!("{word}.")).collect::<String>().into()
}

impl Subject for Store {
    type Call = (i64, Words);
    type State = Texts;

    fn call(&self, chance: &mut Chance, state: &mut Texts, n: i64) -> (i64, Words) {
        let key = chance.below(2) as i64;
        let own = state.entry(key).or_default();
        let call = match chance.below(5) {
            0 | 1 => Words::Get(own.clone()),
            2 => {
                *own = vec![n];
                Words::Put(n)
            }
            _ => {
                own.push(n);
                Words::Append(n)
            }
        };
        (key, call)
    }
    fn judge(&self, history: &[Event<(i64, Words)>]) -> Verdict {
        let own = ops(history, |call| Some(call.clone()).filter(|call| !self.reads(call)));
        let one = |op: Op<(i64, Words)>| {
            let call = match &op.call.1 {
                Words::Get(words) => TextCall::Get(text(words)),
                Words::Put(word) => TextCall::Put(text(&[*word])),
                Words::Append(word) => TextCall::Append(text(&[*word])),
            };
            let key: Arc<str> = format!("k{}", op.call.0).into();
            Op { call: (key, call), invoked: op.invoked, returned: op.returned }
        };
        verdict(History::Store(own.into_iter().map(one).collect()))
    }
    fn reads(&self, (_, call): &(i64, Words)) -> bool {
        matches!(call, Words::Get(_))
    }
    fn spoiled(&self, (key, call): &(i64, Words)) -> Option<(i64, Words)> {
        match call {
            Words::Get(words) => {
                Some((*key, Words::Get(words.iter().copied().chain([NEVER]).collect())))
            }
            _ => None,
        }
    }
    fn renamed(&self, call: &(i64, Words), key: Rename, value: Rename) -> Option<(i64, Words)> {
        let words = match &call.1 {
            Words::Get(words) => Words::Get(words.iter().map(|word| value(*word)).collect()),
            Words::Put(word) => Words::Put(value(*word)),
            Words::Append(word) => Words::Append(value(*word)),
        };
        Some((key(call.0), words))
    }
}

/// Registers of which an operation reads and writes some.
pub struct Registers;

impl Subject for Registers {
    type Call = Vec<Access>;
    type State = BTreeMap<i64, i64>;

    fn call(&self, chance: &mut Chance, state: &mut Self::State, n: i64) -> Vec<Access> {
        let only_reads = chance.one_in(3);
        let mut all = vec![];
        for part in 0..=chance.below(3) as i64 {
            let key = chance.below(3) as i64;
            if only_reads || chance.one_in(2) {
                all.push(Access::Read(key, state.get(&key).copied()));
            } else {
                state.insert(key, 10 * n + part);
                all.push(Access::Write(key, 10 * n + part));
            }
        }
        all
    }
    fn judge(&self, history: &[Event<Vec<Access>>]) -> Verdict {
        let unknown = |call: &Vec<Access>| {
            let writes = call.iter().filter(|access| matches!(access, Access::Write(..)));
            let all: Vec<Access> = writes.copied().collect();
            (!all.is_empty()).then_some(all)
        };
        verdict(History::Registers(models::Registers::default(), ops(history, unknown)))
    }
    fn reads(&self, call: &Vec<Access>) -> bool {
        call.iter().all(|access| matches!(access, Access::Read(..)))
    }
    fn spoiled(&self, call: &Vec<Access>) -> Option<Vec<Access>> {
        let at = call.iter().position(|access| matches!(access, Access::Read(..)))?;
        let mut call = call.clone();
        if let Access::Read(_, found) = &mut call[at] {
            *found = Some(NEVER);
        }
        Some(call)
    }
    fn renamed(&self, call: &Vec<Access>, key: Rename, value: Rename) -> Option<Vec<Access>> {
        let one = |access: &Access| match access {
            Access::Read(k, found) => Access::Read(key(*k), found.map(value)),
            Access::Write(k, v) => Access::Write(key(*k), value(*v)),
        };
        Some(call.iter().map(one).collect())
    }
}
