//! Why a register is not linearizable, in words and as a history as small as can be found in bounded time.

use super::prepared::{Action, Op, Value};
use super::search::Answer;
use super::shrink::shrink;
use super::{Register, judge, tell};
use crate::check::explanation::Explanation;
use crate::check::objects::Object;
use crate::check::{Budget, Finding};
use crate::history::{Key, Operation, Record};

/// The finding for a register that is not linearizable; `at` is the operation that nothing suits.
pub fn finding(
    record: &Record,
    key: Key,
    register: &Register,
    at: usize,
    budget: Budget,
) -> Finding {
    let small = proof(register, at, budget);
    let words = words(&small, register).or_else(|| came_back(&small, register));
    let (blamed, summary) = match words {
        Some((blamed, words)) => (blamed, words),
        None => {
            let last = small.operations.last().copied().unwrap_or(register.operations[at]);
            (last, "no order of its operations explains what they answered".to_string())
        }
    };
    let during = tell::during(record, blamed).map(|f| format!(", during {}", tell::fault(f)));
    let n = tell::count(small.operations.len(), "operation");
    Finding::fail(format!("register k{key}: {summary}{}", during.unwrap_or_default()))
        .with_evidence([format!("{n} that no order explains, out of {}:", register.ops.len())])
        .with_evidence(tell::operations(record, small.operations.iter().copied()))
        .with_explanations(drawn(record, &small))
}

fn drawn(record: &Record, small: &Register) -> Option<Explanation> {
    let calls: Vec<Action> = small.ops.iter().map(|op| op.action).collect();
    tell::drawn(record, &Cell, &calls, &small.operations)
}

/// A register, for the search for its longest partial linearization.
struct Cell;

impl Object for Cell {
    type State = Value;
    type Call = Action;

    fn first(&self) -> Value {
        0
    }
    fn apply(&self, state: &Value, call: &Action) -> Option<Value> {
        match call {
            Action::Read(value) => (value == state).then_some(*state),
            Action::Write(value) => Some(*value),
            Action::Swap(from, to) => (from == state).then_some(*to),
            Action::Missed(value) => (value != state).then_some(*state),
        }
    }
    fn observes(&self, call: &Action) -> bool {
        matches!(call, Action::Read(_) | Action::Missed(_))
    }
}

/// Operations of a register that nothing explains: as few as can be found, illegal by themselves.
pub(super) fn proof<'a>(register: &Register<'a>, at: usize, budget: Budget) -> Register<'a> {
    let begun = prefix(register, at);
    // What is shown must be wrong itself, whatever led to showing it: where it is not, all is shown.
    let shown = match judge(&begun.ops, &mut budget.clone()) {
        Answer::No(_) => begun,
        Answer::Yes | Answer::GaveUp(_) => register.clone(),
    };
    shrink(shown, budget)
}

/// What had been invoked when the operation at which the search ended returned.
fn prefix<'a>(register: &Register<'a>, at: usize) -> Register<'a> {
    let end = register.ops[at].returned.unwrap_or(u64::MAX);
    let mut kept = Register::default();
    for (op, o) in register.ops.iter().zip(&register.operations) {
        if op.invoked <= end {
            // What returned later has not been judged yet: it may still take effect, or not.
            let returned = op.returned.filter(|t| *t <= end);
            if returned.is_none() && matches!(op.action, Action::Read(_) | Action::Missed(_)) {
                continue;
            }
            kept.operations.push(o);
            kept.ops.push(Op { returned, ..*op });
        }
    }
    kept
}

/// The commonest stories: a value from nowhere, a value from before it was written, a stale read.
fn words<'a>(small: &Register<'a>, all: &Register) -> Option<(&'a Operation, String)> {
    let sets = |op: &Op, value| match op.action {
        Action::Write(v) | Action::Swap(_, v) => v == value,
        _ => false,
    };
    for (op, o) in small.ops.iter().zip(&small.operations) {
        let (Action::Read(value) | Action::Swap(value, _)) = op.action else { continue };
        let Some(end) = op.returned else { continue };
        let makers: Vec<_> = small.ops.iter().filter(|w| sets(w, value)).collect();
        let who = format!("process {}", o.process);
        let what = shown(o);
        if value != 0 && makers.iter().all(|w| w.invoked > end) {
            let why = match all.ops.iter().any(|w| sets(w, value)) {
                true => "before it was written",
                false => "which nobody ever wrote",
            };
            return Some((o, format!("{who} found {what}, {why}")));
        }
        // Stale: since the last write of that value ended, another one was acknowledged, or its
        // value read.
        let made = makers.iter().map(|w| w.returned.unwrap_or(u64::MAX)).max().unwrap_or(0);
        let other = |w: &Op| match w.action {
            Action::Read(v) => v != value,
            Action::Write(_) | Action::Swap(..) => !sets(w, value),
            Action::Missed(_) => false,
        };
        let over = small.ops.iter().zip(&small.operations).filter(|(w, _)| {
            other(w) && w.invoked >= made && w.returned.is_some_and(|t| t < op.invoked)
        });
        if let Some((w, by)) = over.max_by_key(|(w, _)| w.returned) {
            let ago = op.invoked.saturating_sub(w.returned.unwrap_or(0)) as f64 / 1e6;
            let ago = tell::millis(ago);
            let what_else = match w.action {
                Action::Read(_) => format!("process {} had read {}", by.process, shown(by)),
                _ => {
                    let call = tell::call(&by.call);
                    format!("`{call}` of process {} was acknowledged", by.process)
                }
            };
            return Some((o, format!("stale: {who} found {what}, {ago} after {what_else}")));
        }
    }
    None
}

/// A value that is found although another one, known to be the later of the two, was acknowledged
/// before: somebody read the one, and then somebody the other. Each was written once.
fn came_back<'a>(small: &Register<'a>, all: &Register) -> Option<(&'a Operation, String)> {
    let reads: Vec<_> = small
        .ops
        .iter()
        .zip(&small.operations)
        .filter_map(|(op, o)| match op.action {
            Action::Read(value) => Some((value, op.invoked, op.returned?, *o)),
            _ => None,
        })
        .collect();
    let once = |value| {
        let sets =
            |op: &&Op| matches!(op.action, Action::Write(v) | Action::Swap(_, v) if v == value);
        all.ops.iter().filter(sets).count() == 1
    };
    for (value, invoked, _, o) in &reads {
        for (op, by) in small.ops.iter().zip(&small.operations) {
            let (Action::Write(other), Some(end)) = (op.action, op.returned) else { continue };
            if other == *value || end >= *invoked || !once(*value) || !once(other) {
                continue;
            }
            let pairs = reads.iter().flat_map(|a| reads.iter().map(move |b| (a, b)));
            let mut ordered = pairs.filter(|(a, b)| a.0 == *value && b.0 == other && a.2 < b.1);
            let Some((first, then)) = ordered.next() else { continue };
            let ago = tell::millis((invoked - end) as f64 / 1e6);
            let words = format!(
                "stale: process {} found {}, {ago} after `{}` of process {} was acknowledged, and \
                 that came later: process {} had read {} before process {} read {}",
                o.process,
                shown(o),
                tell::call(&by.call),
                by.process,
                first.3.process,
                shown(first.3),
                then.3.process,
                shown(then.3),
            );
            return Some((o, words));
        }
    }
    None
}

fn shown(o: &Operation) -> String {
    use crate::history::{Call, Outcome, Reply};
    match (&o.call, &o.outcome) {
        (Call::Cas { from, .. }, _) => from.to_string(),
        (_, Outcome::Ok(Reply::Value(Some(v)))) => v.to_string(),
        _ => "nothing".into(),
    }
}
