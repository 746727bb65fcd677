//! Why a history has no linearization: how far one gets, where it became impossible, and which faults were near.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::Limits;
use super::partial::{end, longest};
use super::units::{instant, span};
use crate::check::objects::{Object, Op};

/// An operation as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Operation {
    /// Whose it is.
    pub process: u64,
    /// What it did.
    pub label: String,
    /// When it was invoked, in nanoseconds.
    pub invoked: u64,
    /// When it returned; `None`: its outcome is unknown.
    pub returned: Option<u64>,
    /// Its line in the history.
    pub line: Option<usize>,
}

/// A fault as it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fault {
    /// What it is called.
    pub name: String,
    /// Since when, in nanoseconds.
    pub from: u64,
    /// Until when; `None`: it was not healed.
    pub to: Option<u64>,
}

/// An operation's place in the partial linearization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// Which operation, by its place in the input.
    pub operation: usize,
    /// An instant within it, in nanoseconds; ascending.
    pub at: u64,
}

/// Where it became impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interval {
    /// The last event up to which there is a linearization, in nanoseconds.
    pub from: u64,
    /// The return up to which there is none.
    pub to: u64,
    /// What returned.
    pub operation: usize,
}

/// A fault near the interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Near {
    /// Which, by its place in the input.
    pub fault: usize,
    /// How long before the interval it ended, in nanoseconds; 0: it overlaps.
    pub before: u64,
}

/// The explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timeline {
    /// One sentence.
    pub sentence: String,
    /// The operations, in the order of the input.
    pub operations: Vec<Operation>,
    /// Operations by process, in the order of their calls.
    pub rows: BTreeMap<u64, Vec<usize>>,
    /// The longest partial linearization.
    pub order: Vec<Point>,
    /// Operations of known outcome without a place, though nothing that returned before them lacks one.
    pub stuck: Vec<usize>,
    /// Operations of known outcome without a place, because they come after others without one.
    pub later: Vec<usize>,
    /// Where it became impossible; `None`: there is a linearization.
    pub interval: Option<Interval>,
    /// The faults given.
    pub faults: Vec<Fault>,
    /// Those that overlap the interval, or else the last before it.
    pub near: Vec<Near>,
    /// Whether the search was complete: else there may be a longer one, and it may have become impossible later.
    pub exact: bool,
}

/// Explains a history. `calls` are those of `operations`, in the same order; what has no counterpart is left out.
pub fn timeline<O: Object>(
    object: &O,
    calls: &[O::Call],
    mut operations: Vec<Operation>,
    faults: Vec<Fault>,
    limits: Limits,
) -> Timeline {
    operations.truncate(calls.len());
    let given = calls.iter().zip(&operations);
    let ops: Vec<Op<O::Call>> = given
        .map(|(call, op)| Op { call: call.clone(), invoked: op.invoked, returned: op.returned })
        .collect();
    let found = longest(object, &ops, limits);
    let order = points(&ops, &found.order);
    let (stuck, later) = unplaced(&ops, &found.order);
    let interval = found.broken.map(|at| interval(&ops, at));
    let near = interval.map_or_else(Vec::new, |interval| near(&faults, interval));
    let mut rows: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, op) in operations.iter().enumerate() {
        rows.entry(op.process).or_default().push(at);
    }
    for row in rows.values_mut() {
        row.sort_by_key(|at| (operations[*at].invoked, *at));
    }
    let exact = found.exact;
    let sentence = String::new();
    let mut told =
        Timeline { sentence, operations, rows, order, stuck, later, interval, faults, near, exact };
    told.sentence = sentence_of(&told);
    told
}

/// The earliest instants: all that came before was invoked by then, and what has no place yet has not returned.
fn points<C>(ops: &[Op<C>], order: &[usize]) -> Vec<Point> {
    let mut now = 0;
    let mut place = |operation: usize| {
        now = ops[operation].invoked.max(now);
        Point { operation, at: now }
    };
    order.iter().map(|at| place(*at)).collect()
}

fn unplaced<C>(ops: &[Op<C>], order: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut has = vec![false; ops.len()];
    order.iter().for_each(|at| has[*at] = true);
    let left: Vec<usize> =
        (0..ops.len()).filter(|at| !has[*at] && ops[*at].returned.is_some()).collect();
    let barrier = left.iter().filter_map(|at| end(&ops[*at])).min().unwrap_or(u64::MAX);
    left.into_iter().partition(|at| ops[*at].invoked <= barrier)
}

/// At equal instants calls come before returns, and returns in the order of the input.
fn interval<C>(ops: &[Op<C>], operation: usize) -> Interval {
    let to = end(&ops[operation]).unwrap_or(u64::MAX);
    let calls = ops.iter().map(|op| op.invoked).filter(|t| *t <= to);
    let returns = ops.iter().enumerate().filter_map(|(at, op)| Some((end(op)?, at)));
    let returns = returns.filter(|event| *event < (to, operation)).map(|(t, _)| t);
    Interval { from: calls.chain(returns).max().unwrap_or(to), to, operation }
}

fn near(faults: &[Fault], interval: Interval) -> Vec<Near> {
    let ended = |fault: &Fault| fault.to.unwrap_or(u64::MAX).max(fault.from);
    let begun = faults.iter().enumerate().filter(|(_, fault)| fault.from <= interval.to);
    let before =
        begun.map(|(at, f)| Near { fault: at, before: interval.from.saturating_sub(ended(f)) });
    let (over, past): (Vec<Near>, Vec<Near>) = before.partition(|near| near.before == 0);
    if over.is_empty() {
        past.into_iter().min_by_key(|n| n.before).into_iter().collect()
    } else {
        over
    }
}

fn name(op: &Operation) -> String {
    let line = op.line.map_or_else(String::new, |line| format!(", line {line}"));
    format!("`{}` (process {}{line})", op.label, op.process)
}

fn sentence_of(told: &Timeline) -> String {
    let Some(interval) = told.interval else {
        return "there is a linearization of all operations".to_owned();
    };
    let known = told.operations.iter().filter(|op| op.returned.is_some()).count();
    let placed =
        told.order.iter().filter(|p| told.operations[p.operation].returned.is_some()).count();
    let mut text = format!(
        "at most {placed} of {known} operations of known outcome have a place in one order; \
        it became impossible when \
         {} returned",
        name(&told.operations[interval.operation])
    );
    if !told.exact {
        text = text.replacen("at most", "at least", 1);
        text += " or later: the search was cut short";
    }
    for near in &told.near {
        let fault = &told.faults[near.fault].name;
        let _ = match near.before {
            0 => write!(text, "; during {fault}"),
            ns => write!(text, "; {} after {fault} ended", span(ns)),
        };
    }
    text
}

/// The explanation as text, a line for each operation of the partial linearization.
pub fn text(told: &Timeline) -> String {
    let start = told.operations.iter().map(|op| op.invoked).min().unwrap_or(0);
    let mut text = format!("{}\n", told.sentence);
    for (place, point) in told.order.iter().enumerate() {
        let op = name(&told.operations[point.operation]);
        let _ = writeln!(text, "  {:>3}. +{}: {op}", place + 1, instant(point.at - start));
    }
    for (word, list) in [("no place for", &told.stuck), ("not reached", &told.later)] {
        for at in list {
            let _ = writeln!(text, "  {word}: {}", name(&told.operations[*at]));
        }
    }
    text
}
