//! Makes a history that no order explains as small as can be in bounded time (delta debugging: Zeller & Hildebrandt,
//! "Simplifying and isolating failure-inducing input"), such that what is left is a proof for the whole.
//!
//! An operation may go if a linearization of what there was, without it, is one of what is left. Observations may
//! always go. What sets a value may go if nobody who stays can have observed it: for each observer that stays, whatever
//! may have been the last to set the value before it stays, too. That is what was invoked before the observer returned,
//! and was not certainly overwritten: no other operation that set a value was invoked after it had returned, and
//! returned before the observer was invoked. Unknown writes of one value are interchangeable, the earlier the better:
//! as many of them stay as there are observers.
//!
//! So that a reader sees why, what overwrote the rest stays, too; and where nothing else could have been observed, the
//! last that was overwritten.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::prepared::{Action, Op};
use super::search::Answer;
use super::zones::{self, Zones};
use super::{Register, judge};
use crate::check::Budget;

/// Shrinking stops after this; what it has by then is a proof all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// Shrinks what it holds.
struct Shrinker<'a> {
    left: Register<'a>,
    until: Instant,
    budget: Budget,
}

pub(super) fn shrink<'a>(register: Register<'a>, budget: Budget) -> Register<'a> {
    let (until, budget) = (budget.proof_by(LONGEST), budget.up_to(2_000_000));
    let mut shrinker = Shrinker { left: register, until, budget };
    if let Zones::Broken(culprits) = zones::judge(&shrinker.left.ops) {
        let mut others = vec![true; shrinker.left.ops.len()];
        culprits.into_iter().for_each(|op| others[op] = false);
        shrinker.try_without(&others);
    }
    shrinker.try_the_last();
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
        self.budget.steps == 0 || Instant::now() >= self.until
    }

    /// What became impossible last is mostly so for what was shortly before: the last few to return are tried alone,
    /// with what they need.
    fn try_the_last(&mut self) {
        let all = self.left.ops.len();
        let mut order: Vec<usize> =
            (0..all).filter(|i| self.left.ops[*i].returned.is_some()).collect();
        order.sort_by_key(|i| std::cmp::Reverse((self.left.ops[*i].returned, *i)));
        let mut few = 1;
        while few < all / 2 && !self.spent() && self.left.ops.len() == all {
            let mut others = vec![true; all];
            order.iter().take(few).for_each(|i| others[*i] = false);
            self.try_without(&others);
            few *= 4;
        }
    }

    /// Lets those of the marked operations go that may, if what is left is still illegal.
    fn try_without(&mut self, marked: &[bool]) {
        let stays = stays(&self.left.ops, marked);
        if stays.iter().all(|stays| *stays) {
            return;
        }
        let mut smaller = Register::default();
        for (i, (op, o)) in self.left.ops.iter().zip(&self.left.operations).enumerate() {
            if stays[i] {
                smaller.operations.push(o);
                smaller.ops.push(*op);
            }
        }
        let mut own = self.budget.up_to(100_000);
        let (all, answer) = (own.steps, judge(&smaller.ops, &mut own));
        self.budget.steps -= all - own.steps;
        if matches!(answer, Answer::No(_)) {
            self.left = smaller;
        }
    }
}

/// What an operation must have found: this value, or another one.
#[derive(Clone, Copy)]
enum Needs {
    Value(u32),
    Other(u32),
}

impl Needs {
    fn of(action: Action) -> Option<Needs> {
        match action {
            Action::Read(value) | Action::Swap(value, _) => Some(Needs::Value(value)),
            Action::Missed(value) => Some(Needs::Other(value)),
            Action::Write(_) => None,
        }
    }
    fn is_met_by(self, value: u32) -> bool {
        match self {
            Needs::Value(needed) => value == needed,
            Needs::Other(not) => value != not,
        }
    }
}

fn sets(op: &Op) -> Option<u32> {
    match op.action {
        Action::Write(value) | Action::Swap(_, value) => Some(value),
        Action::Read(_) | Action::Missed(_) => None,
    }
}

/// What sets values, as observers ask for it.
#[derive(Default)]
struct Setters {
    /// Of known outcome, by their return; with the one of the latest invocation up to there, and the earliest
    /// invocation from there on.
    known: Vec<(u64, usize, usize, u64)>,
    /// The same by their value, by their return.
    by_value: HashMap<u32, Vec<usize>>,
    /// Writes of unknown outcome, by their value, the earliest first; and how many of them stay.
    unknown: HashMap<u32, (Vec<usize>, usize)>,
    /// Compare-and-sets of unknown outcome.
    swaps: Vec<usize>,
}

impl Setters {
    fn of(ops: &[Op]) -> Setters {
        let mut all = Setters::default();
        for (i, op) in ops.iter().enumerate() {
            match (sets(op), op.returned, op.action) {
                (None, ..) => {}
                (Some(_), Some(returned), _) => {
                    all.known.push((returned, i, i, op.invoked));
                }
                (Some(value), None, Action::Write(_)) => {
                    all.unknown.entry(value).or_default().0.push(i);
                }
                (Some(_), None, _) => all.swaps.push(i),
            }
        }
        all.known.sort_unstable();
        let (mut latest, mut earliest) = (None::<usize>, u64::MAX);
        for known in &mut all.known {
            let newest = latest.filter(|i| ops[*i].invoked > ops[known.1].invoked);
            known.2 = *latest.insert(newest.unwrap_or(known.1));
            let value = sets(&ops[known.1]);
            all.by_value.entry(value.unwrap_or(0)).or_default().push(known.1);
        }
        for known in all.known.iter_mut().rev() {
            earliest = earliest.min(known.3);
            known.3 = earliest;
        }
        for (own, _) in all.unknown.values_mut() {
            own.sort_by_key(|i| ops[*i].invoked);
        }
        all
    }

    /// Has those stay that this observer may have observed; `keep` is told of each.
    fn observed(&mut self, ops: &[Op], observer: &Op, mut stay: impl FnMut(usize)) {
        let Some(needs) = Needs::of(observer.action) else { return };
        let end = observer.returned.unwrap_or(u64::MAX);
        let meets = |i: usize| sets(&ops[i]).is_some_and(|v| needs.is_met_by(v));
        // Whatever returned before this was overwritten before the observer began.
        let before = self.known.partition_point(|known| known.0 < observer.invoked);
        let newest = before.checked_sub(1).map(|last| self.known[last].2);
        let overwritten = newest.map_or(0, |newest| ops[newest].invoked);
        let from = self.known.partition_point(|known| known.0 < overwritten);
        let mut is_explained = false;
        let mut keep = |i| {
            is_explained = true;
            stay(i);
        };
        for (_, i, _, earliest) in &self.known[from..] {
            if *earliest > end {
                break;
            }
            if ops[*i].invoked <= end && meets(*i) {
                keep(*i);
            }
        }
        for i in self.swaps.iter().filter(|i| ops[**i].invoked <= end && meets(**i)) {
            keep(*i);
        }
        for (value, (own, kept)) in &mut self.unknown {
            if needs.is_met_by(*value)
                && let Some(next) = own.get(*kept).filter(|next| ops[**next].invoked <= end)
            {
                *kept += 1;
                keep(*next);
            }
        }
        newest.into_iter().for_each(&mut stay);
        if let Needs::Value(value) = needs
            && !is_explained
            && let Some(own) = self.by_value.get(&value)
        {
            let gone = own.partition_point(|i| ops[*i].returned < Some(overwritten));
            own[..gone].last().into_iter().for_each(|i| stay(*i));
        }
    }
}

/// Which operations stay if the marked ones are to go.
pub(super) fn stays(ops: &[Op], marked: &[bool]) -> Vec<bool> {
    let mut stays: Vec<bool> = marked.iter().map(|marked| !marked).collect();
    let mut setters = Setters::of(ops);
    let mut observers: Vec<usize> = (0..ops.len()).filter(|i| stays[*i]).collect();
    while let Some(observer) = observers.pop() {
        setters.observed(ops, &ops[observer], |i| {
            if !std::mem::replace(&mut stays[i], true) {
                observers.push(i);
            }
        });
    }
    stays
}
