//! Transactions on lists and on registers, and the levels at which they may be.

use std::collections::BTreeMap;

use firedrill::check::Budget;
use firedrill::check::Verdict;
use firedrill::check::isolation::{self, Level, Model, Options, Wanted, Workload};
use firedrill::history::transactions::{Action, Name, Outcome, Transaction, Transactions};
use firedrill::history::{self, Reply};

use crate::history::{Chance, End, Event, Rename, Subject};
use crate::operations::by_name;

/// What nobody ever wrote.
const NEVER: i64 = 77_777;

/// A micro-operation: what is read of a register is none or one.
#[derive(Debug, Clone)]
pub enum Step {
    Read(i64, Vec<i64>),
    Set(i64, i64),
}

type Call = Vec<Step>;
type State = BTreeMap<i64, Vec<i64>>;

fn call(chance: &mut Chance, state: &mut State, n: i64, set: impl Fn(&mut Vec<i64>, i64)) -> Call {
    let only_reads = chance.one_in(3);
    let mut all = vec![];
    for part in 0..=chance.below(3) as i64 {
        let key = chance.below(3) as i64;
        let own = state.entry(key).or_default();
        if only_reads || chance.one_in(2) {
            all.push(Step::Read(key, own.clone()));
        } else {
            set(own, 10 * n + part);
            all.push(Step::Set(key, 10 * n + part));
        }
    }
    all
}

/// Half of a transaction is seen, whether or not its outcome is known; and what was there before it, after it.
fn wrong() -> Vec<Vec<(Call, End)>> {
    let (both, half) = (
        vec![Step::Set(40, 900_001), Step::Set(41, 900_002)],
        vec![Step::Read(40, vec![900_001]), Step::Read(41, vec![])],
    );
    let back = vec![Step::Read(40, vec![900_001]), Step::Read(40, vec![])];
    let unknown = End::Unknown { happened: true };
    vec![
        vec![(both.clone(), End::Ok), (half.clone(), End::Ok)],
        vec![(both.clone(), unknown), (half, End::Ok)],
        vec![(both, End::Ok), (back, End::Ok)],
    ]
}

fn reads(call: &Call) -> bool {
    call.iter().all(|step| matches!(step, Step::Read(..)))
}

fn renamed(call: &Call, key: Rename, value: Rename) -> Option<Call> {
    let one = |step: &Step| match step {
        Step::Read(k, found) => Step::Read(key(*k), found.iter().map(|v| value(*v)).collect()),
        Step::Set(k, v) => Step::Set(key(*k), value(*v)),
    };
    Some(call.iter().map(one).collect())
}

fn spoiled(call: &Call, change: impl Fn(&mut Vec<i64>)) -> Option<Call> {
    let at = call.iter().position(|step| matches!(step, Step::Read(..)))?;
    let mut call = call.clone();
    if let Step::Read(_, found) = &mut call[at] {
        change(found);
    }
    Some(call)
}

/// `lists`: whether what is set and read are lists.
fn transactions(history: &[Event<Call>], lists: bool) -> Transactions {
    let mut all = Transactions::new(true);
    for e in history {
        for step in &e.call {
            let (Step::Read(key, _) | Step::Set(key, _)) = step;
            let key = all.intern(Name::Number(*key));
            let action = match (step, lists) {
                (Step::Set(_, value), true) => Action::Append(*value),
                (Step::Set(_, value), false) => Action::Write(*value),
                (Step::Read(..), _) if e.end != End::Ok => Action::Asked,
                (Step::Read(_, found), true) => Action::List(found),
                (Step::Read(_, found), false) => {
                    found.last().map_or(Action::Nil, |v| Action::Value(*v))
                }
            };
            all.push(key, action);
        }
        let outcome = match e.end {
            End::Ok => Outcome::Ok,
            End::Fail => Outcome::Fail,
            End::Unknown { .. } => Outcome::Info,
        };
        all.add(Transaction::new(e.client, e.from, e.returned(), outcome));
    }
    all
}

/// Lists that are appended to, strictly serializable.
pub struct Lists;

impl Subject for Lists {
    type Call = Call;
    type State = State;

    fn call(&self, chance: &mut Chance, state: &mut State, n: i64) -> Call {
        call(chance, state, n, Vec::push)
    }
    fn last(&self, state: &mut State) -> Vec<Call> {
        vec![state.iter().map(|(key, own)| Step::Read(*key, own.clone())).collect()]
    }
    fn judge(&self, history: &[Event<Call>]) -> Verdict {
        let strict = Options::model(Model::StrongSerializable);
        let wanted = Wanted::Models(Workload::ListAppend, strict);
        isolation::finding(&transactions(history, true), &wanted).verdict
    }
    fn reads(&self, call: &Call) -> bool {
        reads(call)
    }
    fn wrong(&self) -> Vec<Vec<(Call, End)>> {
        wrong()
    }
    fn spoiled(&self, call: &Call) -> Option<Call> {
        spoiled(call, |found| found.push(NEVER))
    }
    fn renamed(&self, call: &Call, key: Rename, value: Rename) -> Option<Call> {
        renamed(call, key, value)
    }
}

/// The same as the operations of a drill.
pub struct DrilledLists;

impl Subject for DrilledLists {
    type Call = Call;
    type State = State;

    fn call(&self, chance: &mut Chance, state: &mut State, n: i64) -> Call {
        Lists.call(chance, state, n)
    }
    fn last(&self, state: &mut State) -> Vec<Call> {
        Lists.last(state)
    }
    fn judge(&self, history: &[Event<Call>]) -> Verdict {
        let key = |key: &i64| u32::try_from(*key).unwrap();
        let step = |step: &Step| match step {
            Step::Read(k, _) => history::Step::Read { key: key(k) },
            Step::Set(k, value) => history::Step::Append { key: key(k), value: *value },
        };
        let found = |step: &Step| match step {
            Step::Read(_, found) => Some(found.clone()),
            Step::Set(..) => None,
        };
        let asked = |e: &Event<Call>| {
            let asked = history::Call::Txn { steps: e.call.iter().map(step).collect() };
            let call = (asked, Reply::Txn(e.call.iter().map(found).collect()));
            Event { client: e.client, call, from: e.from, to: e.to, end: e.end }
        };
        by_name("list-append", &history.iter().map(asked).collect::<Vec<_>>())
    }
    fn reads(&self, call: &Call) -> bool {
        reads(call)
    }
    fn wrong(&self) -> Vec<Vec<(Call, End)>> {
        wrong()
    }
    fn spoiled(&self, call: &Call) -> Option<Call> {
        Lists.spoiled(call)
    }
    fn renamed(&self, call: &Call, key: Rename, value: Rename) -> Option<Call> {
        renamed(call, key, value)
    }
}

/// Registers, strictly serializable or at a weak level.
pub struct Registers {
    pub level: Option<Level>,
}

impl Subject for Registers {
    type Call = Call;
    type State = State;

    fn call(&self, chance: &mut Chance, state: &mut State, n: i64) -> Call {
        call(chance, state, n, |own, value| *own = vec![value])
    }
    fn last(&self, state: &mut State) -> Vec<Call> {
        vec![state.iter().map(|(key, own)| Step::Read(*key, own.clone())).collect()]
    }
    fn judge(&self, history: &[Event<Call>]) -> Verdict {
        let wanted = match self.level {
            Some(level) => Wanted::Level(level, Budget::default()),
            None => Wanted::Models(Workload::RwRegister, Options::model(Model::StrongSerializable)),
        };
        isolation::finding(&transactions(history, false), &wanted).verdict
    }
    fn reads(&self, call: &Call) -> bool {
        reads(call)
    }
    fn wrong(&self) -> Vec<Vec<(Call, End)>> {
        wrong()
    }
    fn spoiled(&self, call: &Call) -> Option<Call> {
        spoiled(call, |found| *found = vec![NEVER])
    }
    fn renamed(&self, call: &Call, key: Rename, value: Rename) -> Option<Call> {
        renamed(call, key, value)
    }
}
