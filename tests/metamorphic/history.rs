//! Histories of any object, valid by the way they are made: a sequential model is run, and around the instant at which
//! each operation took effect stands an interval.

use std::fmt::Debug;

use firedrill::check::Verdict;

/// A small generator of numbers (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }
    pub fn place(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Ok,
    /// It did not happen.
    Fail,
    /// Nobody knows; whether it did.
    Unknown {
        happened: bool,
    },
}

/// An operation: its call with the answer, and when it was called, took effect and returned.
#[derive(Debug, Clone)]
pub struct Event<C> {
    pub client: u32,
    pub call: C,
    pub from: u64,
    pub to: u64,
    pub end: End,
}

impl<C> Event<C> {
    /// When it returned, if it is known to have.
    pub fn returned(&self) -> Option<u64> {
        (!matches!(self.end, End::Unknown { .. })).then_some(self.to)
    }
}

pub type History<C> = Vec<Event<C>>;

/// What can be done to a call's names.
pub type Rename<'a> = &'a dyn Fn(i64) -> i64;

/// An object, and a checker of its histories.
pub trait Subject {
    /// What is called, with what is answered where it is known.
    type Call: Clone + Debug;
    type State: Default + Clone;

    /// Calls something, whose answer is the model's. `n`: a number that no call had before, from 1.
    fn call(&self, chance: &mut Chance, state: &mut Self::State, n: i64) -> Self::Call;
    /// What is called at the end, when all has taken effect, so that a checker has enough to judge by.
    fn last(&self, state: &mut Self::State) -> Vec<Self::Call> {
        let _ = state;
        vec![]
    }
    /// The checker.
    fn judge(&self, history: &[Event<Self::Call>]) -> Verdict;
    /// Whether the call, answered so, changed nothing.
    fn reads(&self, call: &Self::Call) -> bool;
    /// Whether it changes nothing, whatever it is answered.
    fn only_asks(&self, call: &Self::Call) -> bool {
        self.reads(call)
    }
    /// The same call with an answer that no order explains.
    fn spoiled(&self, call: &Self::Call) -> Option<Self::Call>;
    /// Calls which are wrong one after the other, whatever was done to other keys before.
    fn wrong(&self) -> Vec<Vec<(Self::Call, End)>> {
        vec![]
    }
    /// The call with other keys and values. `None`: they are no mere names there.
    fn renamed(&self, call: &Self::Call, key: Rename, value: Rename) -> Option<Self::Call>;
    /// Whether what is done to other keys is independent.
    fn has_keys(&self) -> bool {
        true
    }
    /// Whether a history goes wrong where two calls change their places.
    fn is_exact(&self) -> bool {
        true
    }
    /// Whether only the order of values matters, and not which they are.
    fn is_ordered(&self) -> bool {
        false
    }
}

/// The instants between which operations take effect are this far apart.
const APART: u64 = 1000;

/// A valid history.
pub fn valid<S: Subject>(subject: &S, chance: &mut Chance) -> History<S::Call> {
    let mut state = S::State::default();
    let (mut history, mut clients): (History<S::Call>, Vec<u64>) = (vec![], vec![]);
    let (count, long) = (4 + chance.below(16), 1 + chance.below(5 * APART));
    let (unknown, failed) = (4 + chance.below(8), 6 + chance.below(12));
    for n in 1..=count {
        let at = 10 * APART + n * APART;
        let (from, to) = (at - chance.below(long), at + chance.below(long));
        let end = match () {
            () if chance.one_in(unknown) => End::Unknown { happened: chance.one_in(2) },
            () if chance.one_in(failed) => End::Fail,
            () => End::Ok,
        };
        let call = match end {
            End::Ok | End::Unknown { happened: true } => subject.call(chance, &mut state, n as i64),
            _ => subject.call(chance, &mut state.clone(), n as i64),
        };
        // Whoever is free; nobody goes on after an unknown outcome.
        let free = clients.iter().position(|until| *until < from);
        let client = free.unwrap_or(clients.len());
        clients.resize(clients.len().max(client + 1), 0);
        clients[client] = if matches!(end, End::Unknown { .. }) { u64::MAX } else { to };
        history.push(Event { client: client as u32, call, from, to, end });
    }
    let mut at = 10 * APART + count * APART + long + APART;
    for call in subject.last(&mut state) {
        let client = clients.len() as u32;
        history.push(Event { client, call, from: at, to: at + 1, end: End::Ok });
        at += 2;
    }
    history
}

/// A history, and behind it these calls by clients of their own.
pub fn with<C: Clone>(history: &[Event<C>], calls: &[(C, End)]) -> History<C> {
    let mut all = history.to_vec();
    for (call, end) in calls {
        let from = all.iter().map(|e| e.to).max().unwrap_or(0) + 1;
        let client = 2000 + all.len() as u32;
        all.push(Event { client, call: call.clone(), from, to: from + 1, end: *end });
    }
    all
}
