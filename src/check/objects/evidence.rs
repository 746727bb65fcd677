//! Why a history is not linearizable: as few of its operations as can be found in bounded time that no order explains
//! either (delta debugging: Zeller & Hildebrandt, "Simplifying and isolating failure-inducing input").
//!
//! What is left is a proof by itself. An observation may go at any time, for fewer of them never make a history
//! illegal. Of the others, only whole groups may go, of which the model says that legal histories are legal without
//! them ([`Object::group`]).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Answer, Budget, Object, Op, events};

/// Shrinking stops after this; what it has by then is a proof all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Clone)]
pub struct Evidence<C> {
    /// Those that no order explains, each with its place in the input, in the order of the input. What had not returned
    /// when it became impossible counts as unknown.
    pub culprits: Vec<(usize, Op<C>)>,
    /// How many operations had returned before, which some order explains: the longest linearizable prefix.
    pub explained: usize,
    /// Whether nothing more can be left out one by one; else time or steps were used up.
    pub is_minimal: bool,
}

/// What had been invoked up to the return of the operation at which the search ended, that one included; what returned
/// later may have taken effect or not. Also how many had returned before.
pub fn prefix<C: Clone>(ops: &[Op<C>], at: usize) -> (Vec<(usize, Op<C>)>, usize) {
    let (mut kept, mut returned): (BTreeMap<usize, Op<C>>, usize) = (BTreeMap::new(), 0);
    for (op, returns) in events(ops) {
        match (returns, kept.get_mut(&op)) {
            (false, _) => drop(kept.insert(op, Op { returned: None, ..ops[op].clone() })),
            (true, Some(known)) => {
                known.returned = ops[op].returned;
                if op == at {
                    break;
                }
                returned += 1;
            }
            (true, None) => {}
        }
    }
    (kept.into_iter().collect(), returned)
}

/// Looks for evidence, of a history that is impossible from the return of `at` on. `judge` judges parts of the history.
pub fn find<O: Object>(
    object: &O,
    ops: &[Op<O::Call>],
    at: usize,
    judge: impl Fn(&[Op<O::Call>], &mut Budget) -> Answer,
    budget: Budget,
) -> Evidence<O::Call> {
    let (mut left, explained) = prefix(ops, at);
    // An observation of unknown outcome says nothing.
    left.retain(|(_, op)| op.returned.is_some() || !object.observes(&op.call));
    let until = budget.proof_by(LONGEST);
    let mut shrinker = Shrinker { object, left, judge, until, budget };
    let is_minimal = shrinker.shrink();
    Evidence { culprits: shrinker.left, explained, is_minimal }
}

/// What may be left out at once: a group, or one observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Group(i64),
    One(usize),
}

struct Shrinker<'a, O: Object, J> {
    object: &'a O,
    left: Vec<(usize, Op<O::Call>)>,
    judge: J,
    until: Instant,
    budget: Budget,
}

impl<O: Object, J: Fn(&[Op<O::Call>], &mut Budget) -> Answer> Shrinker<'_, O, J> {
    fn shrink(&mut self) -> bool {
        let mut chunk = self.units().len().div_ceil(2).max(1);
        loop {
            let units = self.units();
            let before = units.len();
            for some in units.rchunks(chunk) {
                if self.budget.steps == 0 || Instant::now() >= self.until {
                    return false;
                }
                self.try_without(some);
            }
            if chunk == 1 && self.units().len() == before {
                return true;
            }
            chunk = (chunk / 2).max(1);
        }
    }

    fn units(&self) -> Vec<Unit> {
        let mut units: Vec<Unit> = vec![];
        for (at, op) in &self.left {
            units.extend(self.object.group(&op.call).map(Unit::Group));
            units.extend(self.object.observes(&op.call).then_some(Unit::One(*at)));
        }
        units.sort_unstable();
        units.dedup();
        units
    }

    /// Lets them go, if what is left is still impossible. `some` is ascending.
    fn try_without(&mut self, some: &[Unit]) {
        let goes = |unit: Unit| some.binary_search(&unit).is_ok();
        let stays = |(at, op): &&(usize, Op<O::Call>)| {
            !goes(Unit::One(*at))
                && !self.object.group(&op.call).is_some_and(|g| goes(Unit::Group(g)))
        };
        let less: Vec<_> = self.left.iter().filter(stays).cloned().collect();
        if less.len() == self.left.len() {
            return;
        }
        let own: Vec<Op<O::Call>> = less.iter().map(|(_, op)| op.clone()).collect();
        let mut budget = self.budget.up_to(1_000_000);
        let all = budget.steps;
        if matches!((self.judge)(&own, &mut budget), Answer::No(_)) {
            self.left = less;
        }
        let taken = (all - budget.steps).max(own.len() as u64);
        self.budget.steps = self.budget.steps.saturating_sub(taken);
    }
}
