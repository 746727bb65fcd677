//! Linearizable registers (Herlihy & Wing, "Linearizability: a correctness condition for concurrent
//! objects"): each operation takes effect at one instant between its call and its return.
//!
//! Linearizability is local, so each register is judged by itself. A register begins never written.
//! An operation that failed did not happen; an unknown read is no read; any other unknown operation
//! may take effect at any instant after its call, or never. A compare-and-set that found another
//! value is an observation.
//!
//! Where each value is set once (the workload of this project sees to that), zones decide in O(n log n), however many
//! operations are in flight or unknown; for the rest there is a search. Its time and memory are bounded: what does
//! not fit is inconclusive, and it is said where.

mod breadth;
mod depth;
mod explain;
mod flights;
mod numbers;
mod prepared;
mod search;
#[cfg(test)]
mod search_tests;
mod seen;
mod shrink;
mod space;
mod unset;
mod zones;

use std::collections::BTreeMap;

use numbers::Numbers;
use prepared::{Action, Op};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use search::Answer;
use zones::Zones;

use super::view::{counted, reply};
use super::{Budget, Check, Finding, tell};
use crate::history::{Call, Key, Operation, Outcome, Record, Reply};

/// See the module.
#[derive(Debug)]
pub struct Linearizable {
    /// What judging one register may take; a step visits a state.
    pub budget: Budget,
    /// What each register holds at first; whoever then reads nothing was not answered. `None`: nothing, and that can be
    /// read.
    pub initial: Option<i64>,
}

/// So many states are visited for one register, unless told otherwise.
const STEPS: u64 = 5_000_000;

impl Default for Linearizable {
    fn default() -> Self {
        Linearizable::within(Budget::default())
    }
}

impl Linearizable {
    /// By no more than this, for registers that hold nothing at first.
    pub fn within(budget: Budget) -> Linearizable {
        Linearizable { budget: budget.usually(STEPS), initial: None }
    }
}

/// The operations on one register that count, and what each does.
#[derive(Debug, Default, Clone)]
pub(crate) struct Register<'a> {
    operations: Vec<&'a Operation>,
    ops: Vec<Op>,
}

impl Check for Linearizable {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn check(&self, record: &Record) -> Finding {
        let (mut n, mut registers, mut broken, mut undecided) = (0, 0, 0, 0);
        let (mut first_broken, mut first_stuck) = (None, None);
        // As many at a time as there are processors, and no more: prepared for the search, operations are several times
        // as large.
        let gathered: Vec<_> = gather(record).into_iter().collect();
        let at_a_time = gathered.len().min(rayon::current_num_threads());
        let budget = self.budget.shared_by(at_a_time);
        let judged = gathered.into_par_iter().map(|(key, all)| (key, self.one(all, budget)));
        for (key, judged) in judged.collect::<Vec<_>>() {
            n += judged.operations;
            registers += usize::from(judged.operations > 0);
            match judged.answer {
                Answer::Yes => {}
                Answer::No(at) => {
                    broken += 1;
                    first_broken.get_or_insert((key, judged.register.unwrap_or_default(), at));
                }
                Answer::GaveUp(at) => {
                    undecided += 1;
                    first_stuck.get_or_insert((key, judged, at));
                }
            }
        }
        if n == 0 {
            return Finding::inconclusive("no register was read or written");
        }
        let finding = match (first_broken, first_stuck) {
            (Some((key, register, at)), _) => {
                let mut finding = explain::finding(record, key, &register, at, budget);
                if broken > 1 {
                    let more = tell::count(broken - 1, "more register");
                    finding.summary += &format!(" (and {more} broken)");
                }
                finding
            }
            (None, Some((key, judged, at))) => {
                let mut finding = stuck(record, key, &judged, at, budget);
                if registers > 1 {
                    let others = registers - undecided;
                    finding.summary += &format!("; {others} of {registers} are linearizable");
                }
                finding
            }
            (None, None) => {
                let keys = tell::count(registers, "register");
                Finding::pass(format!("{} on {keys} are linearizable", tell::count(n, "operation")))
            }
        };
        finding
            .with_figure("operations", n as f64)
            .with_figure("registers", registers as f64)
            .with_figure("broken_registers", broken as f64)
            .with_figure("undecided_registers", undecided as f64)
    }
}

/// What came of one register.
struct Judged<'a> {
    operations: usize,
    answer: Answer,
    /// Where it is not linearizable, or nobody knows.
    register: Option<Register<'a>>,
    /// What was not used up.
    left: Budget,
}

impl Linearizable {
    fn one<'a>(&self, operations: Vec<&'a Operation>, budget: Budget) -> Judged<'a> {
        let register = Register::of(operations, self.initial);
        let (operations, mut left) = (register.ops.len(), budget);
        let answer = judge(&register.ops, &mut left);
        let register = (!matches!(answer, Answer::Yes)).then_some(register);
        Judged { operations, answer, register, left }
    }
}

/// Of a register that nobody knows of: how far it is known to be linearizable.
fn stuck(record: &Record, key: Key, judged: &Judged, at: usize, budget: Budget) -> Finding {
    let why = budget.reached(&judged.left, "states");
    let finding = Finding::inconclusive(format!("gave up on register k{key} {why}"));
    let Some(register) = &judged.register else { return finding };
    let Some((op, o)) = register.ops.get(at).zip(register.operations.get(at)) else {
        return finding;
    };
    let end = (op.returned, at);
    let returned = register.ops.iter().map(|op| op.returned).enumerate();
    let before = returned.filter(|(i, t)| t.is_some() && (*t, *i) < end).count();
    let of = tell::count(register.ops.len(), "operation");
    finding.with_evidence([
        format!("{before} of its {of} had returned, and are linearizable, when this one returned:"),
        tell::operation(record, o),
        "more keys, or fewer clients for each, make it easier".to_string(),
    ])
}

/// Whether the operations have a linearization; `budget` bounds what a search may cost, where one is needed.
fn judge(ops: &[Op], budget: &mut Budget) -> Answer {
    match zones::judge(ops) {
        Zones::Linearizable => Answer::Yes,
        Zones::Broken(_) => Answer::No(zones::first_broken(ops)),
        Zones::Undecided => {
            unset::judge(ops, budget).unwrap_or_else(|| search::search(ops, budget))
        }
    }
}

/// The operations on each register, in the order of invocation.
fn gather(record: &Record) -> BTreeMap<Key, Vec<&Operation>> {
    let mut registers: BTreeMap<Key, Vec<&Operation>> = BTreeMap::new();
    for o in counted(record) {
        if let Call::Read { key } | Call::Write { key, .. } | Call::Cas { key, .. } = o.call {
            registers.entry(key).or_default().push(o);
        }
    }
    registers
}

impl<'a> Register<'a> {
    /// Those of one register's operations that count.
    fn of(mut operations: Vec<&'a Operation>, initial: Option<i64>) -> Register<'a> {
        let mut values = Numbers::after(initial);
        let mut ops = Vec::with_capacity(operations.len());
        operations.retain(|o| {
            let action = action(o, &mut values);
            let returned = o.returned.filter(|_| o.outcome.is_ok()).map(|t| t.0);
            ops.extend(action.map(|action| Op { action, invoked: o.invoked.0, returned }));
            action.is_some()
        });
        Register { operations, ops }
    }
}

/// What an operation does, if it counts.
fn action(o: &Operation, values: &mut Numbers) -> Option<Action> {
    Some(match (&o.call, reply(o)) {
        _ if matches!(o.outcome, Outcome::Fail(_)) => return None,
        (Call::Read { .. }, Some(Reply::Value(Some(value)))) => Action::Read(values.of(*value)),
        (Call::Read { .. }, Some(Reply::Value(None))) if values.unset => Action::Read(0),
        (Call::Write { value, .. }, _) => Action::Write(values.of(*value)),
        (Call::Cas { from, .. }, Some(Reply::Swapped(false))) => Action::Missed(values.of(*from)),
        (Call::Cas { from, to, .. }, _) => Action::Swap(values.of(*from), values.of(*to)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
