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
use super::{Check, Finding, tell};
use crate::history::{Call, Key, Operation, Outcome, Record, Reply};

/// See the module.
#[derive(Debug)]
pub struct Linearizable {
    /// How many states may be visited for one register.
    pub steps: u64,
    /// What each register holds at first; whoever then reads nothing was not answered. `None`: nothing, and that can be
    /// read.
    pub initial: Option<i64>,
}

impl Default for Linearizable {
    fn default() -> Self {
        Linearizable { steps: 5_000_000, initial: None }
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
        let (mut n, mut registers, mut broken) = (0, 0, 0);
        let (mut first_broken, mut first_stuck) = (None, None);
        // As many at a time as there are processors, and no more: prepared for the search, operations are several times
        // as large.
        let gathered: Vec<_> = gather(record).into_iter().collect();
        let judged = gathered.into_par_iter().map(|(key, all)| (key, self.one(all)));
        for (key, judged) in judged.collect::<Vec<_>>() {
            n += judged.operations;
            registers += usize::from(judged.operations > 0);
            match judged.answer {
                Answer::Yes => {}
                Answer::No(at) => {
                    broken += 1;
                    let register = judged.register.unwrap_or_default();
                    first_broken.get_or_insert((key, register, at));
                }
                Answer::GaveUp(at) => {
                    let register = judged.register.unwrap_or_default();
                    let stuck = register.operations.get(at).copied();
                    first_stuck = first_stuck.or(stuck.map(|operation| (key, operation)));
                }
            }
        }
        if n == 0 {
            return Finding::inconclusive("no register was read or written");
        }
        let finding = match (first_broken, first_stuck) {
            (Some((key, register, at)), _) => {
                let mut finding = explain::finding(record, key, &register, at, self.steps);
                if broken > 1 {
                    let more = tell::count(broken - 1, "more register");
                    finding.summary += &format!(" (and {more} broken)");
                }
                finding
            }
            (None, Some((key, o))) => Finding::inconclusive(format!(
                "gave up on register k{key} after {} states; more keys make it easier",
                self.steps
            ))
            .with_evidence(["it got as far as:".to_string(), tell::operation(record, o)]),
            (None, None) => {
                let keys = tell::count(registers, "register");
                Finding::pass(format!("{} on {keys} are linearizable", tell::count(n, "operation")))
            }
        };
        finding
            .with_figure("operations", n as f64)
            .with_figure("registers", registers as f64)
            .with_figure("broken_registers", broken as f64)
    }
}

/// What came of one register.
struct Judged<'a> {
    operations: usize,
    answer: Answer,
    /// Where it is not linearizable, or nobody knows.
    register: Option<Register<'a>>,
}

impl Linearizable {
    fn one<'a>(&self, operations: Vec<&'a Operation>) -> Judged<'a> {
        let register = Register::of(operations, self.initial);
        let (operations, mut steps) = (register.ops.len(), self.steps);
        let answer = judge(&register.ops, &mut steps);
        let register = (!matches!(answer, Answer::Yes)).then_some(register);
        Judged { operations, answer, register }
    }
}

/// Whether the operations have a linearization; `steps` bounds what a search may cost, where one is needed.
fn judge(ops: &[Op], steps: &mut u64) -> Answer {
    match zones::judge(ops) {
        Zones::Linearizable => Answer::Yes,
        Zones::Broken(_) => Answer::No(zones::first_broken(ops)),
        Zones::Undecided => unset::judge(ops, steps).unwrap_or_else(|| search::search(ops, steps)),
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
