//! Why a register is not linearizable, in words and as a history as small as can be found in
//! bounded time.
//!
//! Shrinking keeps what is left a proof: an observation may go at any time (fewer observations
//! never make a history illegal), a write only when nobody who is left observed its value and no
//! compare-and-set is left that found another value than it expected.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::prepared::{Action, Op};
use super::search::Answer;
use super::zones::{self, Zones};
use super::{Register, judge, tell};
use crate::check::Finding;
use crate::history::{Key, Operation, Record};

/// Shrinking stops after this; what it has by then is a proof all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// The finding for a register that is not linearizable; `at` is the operation that nothing suits.
pub fn finding(record: &Record, key: Key, register: &Register, at: usize, steps: u64) -> Finding {
    let small = proof(register, at, steps);
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
}

/// Operations of a register that nothing explains: as few as can be found, illegal by themselves.
pub(super) fn proof<'a>(register: &Register<'a>, at: usize, steps: u64) -> Register<'a> {
    let begun = prefix(register, at);
    // What is shown must be wrong itself, whatever led to showing it: where it is not, all is shown.
    let shown = match judge(&begun.ops, &mut steps.clone()) {
        Answer::No(_) => begun,
        Answer::Yes | Answer::GaveUp(_) => register.clone(),
    };
    shrink(shown, steps)
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

/// Shrinks what it holds, within a budget of time and of states.
struct Shrinker<'a> {
    left: Register<'a>,
    until: Instant,
    steps: u64,
}

fn shrink<'a>(register: Register<'a>, steps: u64) -> Register<'a> {
    let mut shrinker =
        Shrinker { left: register, until: Instant::now() + LONGEST, steps: steps.min(2_000_000) };
    if let Zones::Broken(culprits) = zones::judge(&shrinker.left.ops) {
        let mut others = vec![true; shrinker.left.ops.len()];
        culprits.into_iter().for_each(|op| others[op] = false);
        shrinker.try_without(&others);
    }
    // As long as one compare-and-set that missed is there, no write may go: try without all of
    // them.
    let misses = |op: &Op| matches!(op.action, Action::Missed(_));
    let without: Vec<bool> = shrinker.left.ops.iter().map(misses).collect();
    shrinker.try_without(&without);
    let mut chunk = shrinker.left.ops.len().div_ceil(2).max(1);
    loop {
        let before = shrinker.left.ops.len();
        let mut end = before;
        while end > 0 && !shrinker.spent() {
            let start = end.saturating_sub(chunk);
            let inside: Vec<bool> =
                (0..shrinker.left.ops.len()).map(|i| (start..end).contains(&i)).collect();
            shrinker.try_without(&inside);
            end = start.min(shrinker.left.ops.len());
        }
        if shrinker.spent() || (chunk == 1 && shrinker.left.ops.len() == before) {
            return shrinker.left;
        }
        chunk = (chunk / 2).max(1);
    }
}

impl Shrinker<'_> {
    fn spent(&self) -> bool {
        self.steps == 0 || Instant::now() >= self.until
    }

    /// Lets those of the marked operations go that may, if what is left is still illegal.
    fn try_without(&mut self, marked: &[bool]) {
        let smaller = without(&self.left, marked);
        if smaller.ops.len() < self.left.ops.len() {
            let mut steps = self.steps.min(100_000);
            let (all, answer) = (steps, judge(&smaller.ops, &mut steps));
            self.steps -= all - steps;
            if matches!(answer, Answer::No(_)) {
                self.left = smaller;
            }
        }
    }
}

/// Without those of the marked operations that may go: all observations, then the writes that
/// nobody who stays needs, directly or through compare-and-sets.
fn without<'a>(register: &Register<'a>, marked: &[bool]) -> Register<'a> {
    let observes = |op: &Op| matches!(op.action, Action::Read(_) | Action::Missed(_));
    let mut stays: Vec<bool> = marked.iter().map(|m| !m).collect();
    let missed = register
        .ops
        .iter()
        .zip(&stays)
        .any(|(op, stays)| *stays && matches!(op.action, Action::Missed(_)));
    let mut setting: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut needed = vec![];
    for (i, op) in register.ops.iter().enumerate() {
        match op.action {
            Action::Write(v) | Action::Swap(_, v) if !stays[i] => {
                setting.entry(v).or_default().push(i);
            }
            Action::Read(v) | Action::Swap(v, _) if stays[i] => needed.push(v),
            _ => {}
        }
        if let (Action::Swap(v, _), true) = (op.action, stays[i]) {
            needed.push(v);
        }
        if missed && !stays[i] && !observes(op) {
            stays[i] = true;
            if let Action::Swap(v, _) = op.action {
                needed.push(v);
            }
        }
    }
    while let Some(value) = needed.pop() {
        for i in setting.remove(&value).unwrap_or_default() {
            stays[i] = true;
            if let Action::Swap(from, _) = register.ops[i].action {
                needed.push(from);
            }
        }
    }
    let mut kept = Register::default();
    for (i, (op, o)) in register.ops.iter().zip(&register.operations).enumerate() {
        if stays[i] {
            kept.operations.push(o);
            kept.ops.push(*op);
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
