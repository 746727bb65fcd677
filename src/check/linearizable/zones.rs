//! Registers whose values are set once each, judged in O(n log n) by zones (Gibbons & Korach, "Testing shared
//! memories", extended to compare-and-set and to unknown outcomes).
//!
//! Each value is set by one operation, so who found it tells whom it followed. A write, the reads of its value, the
//! compare-and-set that replaced it, the reads of that one's value, and so on, are a *block*: nothing else takes
//! effect inside it, and its order is known. Let `f` be the earliest return in a block and `s` the latest call. With
//! `f < s` the block is in effect from `f` to `s` at the least (a *forward* zone); else all of it can take effect
//! at any one instant from `s` to `f` (a *backward* zone). There is a linearization if and only if each block is
//! possible by itself, no two forward zones overlap, and no backward zone lies inside a forward one.
//!
//! An unknown operation took effect if a value that only it sets was found; every other one may be left out, since
//! nobody would see it. A compare-and-set that found another value only has to find a place in the linearization;
//! where it finds none, others are held back for it ([`misses`]).
//!
//! Invariant: [`Zones::Linearizable`] is said of an order that was built and walked through, operation by operation;
//! [`Zones::Broken`] only of a conflict. What neither proves (a value that is set twice, a miss that finds no place
//! in the order that was built) is left to the search.

mod misses;

use std::collections::HashSet;

use super::prepared::{Action, Op, Value};

/// What the zones say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Zones {
    /// There is a linearization.
    Linearizable,
    /// There is none: these operations suffice to show it, with those that set the values which they found.
    Broken(Vec<usize>),
    /// It is not to be told this way.
    Undecided,
}

/// Judges the operations of one register.
pub(super) fn judge(ops: &[Op]) -> Zones {
    judge_until(ops, None)
}

/// Of operations that are broken, the first at whose return they are.
pub(super) fn first_broken(ops: &[Op]) -> usize {
    let mut returns: Vec<(u64, usize)> =
        ops.iter().enumerate().filter_map(|(i, op)| Some((op.returned?, i))).collect();
    returns.sort_unstable();
    let broken = |end: &(u64, usize)| matches!(judge_until(ops, Some(*end)), Zones::Broken(_));
    let at = returns.partition_point(|end| !broken(end)).min(returns.len().saturating_sub(1));
    returns.get(at).map_or(0, |(_, i)| *i)
}

/// When an operation was in flight. Time 0 is before all of them.
#[derive(Debug, Clone, Copy)]
struct Interval {
    invoked: u64,
    returned: u64,
}

const NEVER: u64 = u64::MAX;

/// An operation that took effect.
#[derive(Debug, Clone, Copy)]
struct Effect {
    op: usize,
    during: Interval,
    /// The register's value after it.
    value: Value,
}

/// Effects that nothing else comes between, in the order in which they must stand.
#[derive(Debug, Clone, Copy)]
struct Block {
    from: usize,
    to: usize,
    earliest_return: u64,
    latest_call: u64,
}

impl Block {
    fn is_forward(&self) -> bool {
        self.earliest_return < self.latest_call
    }
}

/// Those of the operations that were invoked before the end; what returned after it is unknown yet.
fn judge_until(ops: &[Op], end: Option<(u64, usize)>) -> Zones {
    let returned = |i: usize, op: &Op| {
        op.returned.map(|t| t.max(op.invoked)).filter(|t| end.is_none_or(|end| (*t, i) <= end))
    };
    let seen = ops.iter().enumerate().filter(|(_, op)| end.is_none_or(|end| op.invoked <= end.0));
    let mut settled: Vec<(usize, Action, Interval)> = seen
        .map(|(i, op)| {
            let returned = returned(i, op).map_or(NEVER, |t| t.saturating_add(1));
            (i, op.action, Interval { invoked: op.invoked.saturating_add(1), returned })
        })
        .collect();
    for round in 0..ROUNDS {
        let lined_up = effects(&settled).and_then(|(effects, blocks)| line_up(effects, blocks));
        let lined_up = match lined_up {
            Ok(lined_up) => lined_up,
            Err(zones) if round == 0 => return zones,
            Err(_) => return Zones::Undecided,
        };
        let homeless = homeless(&settled, &lined_up.values);
        if homeless.is_empty() {
            return Zones::Linearizable;
        }
        if !misses::make_room(&mut settled, &lined_up, &homeless) {
            return Zones::Undecided;
        }
    }
    Zones::Undecided
}

/// How often operations are held back for compare-and-sets that missed.
const ROUNDS: usize = 16;

/// For each value, the place of one operation, if any. Values are numbered in a row, so that a vector will do.
struct ByValue(Vec<u32>);

/// No operation. Histories have fewer.
const NONE: u32 = u32::MAX;

impl ByValue {
    fn of(seen: &[(usize, Action, Interval)]) -> ByValue {
        let highest = seen.iter().map(|(_, action, _)| match action {
            Action::Read(value) | Action::Write(value) | Action::Missed(value) => *value,
            Action::Swap(from, to) => (*from).max(*to),
        });
        ByValue(vec![NONE; highest.max().unwrap_or(0) as usize + 1])
    }
    fn get(&self, value: Value) -> Option<usize> {
        let at = self.0.get(value as usize).copied().filter(|at| *at != NONE)?;
        Some(at as usize)
    }
    /// What stood there before.
    fn insert(&mut self, value: Value, at: usize) -> Option<usize> {
        let before = self.get(value);
        if let Some(place) = self.0.get_mut(value as usize) {
            *place = at as u32;
        }
        before
    }
    fn all(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter(|at| **at != NONE).map(|at| *at as usize)
    }
}

/// What took effect, block by block.
fn effects(seen: &[(usize, Action, Interval)]) -> Result<(Vec<Effect>, Vec<Block>), Zones> {
    let mut setters = ByValue::of(seen);
    for (at, (_, action, _)) in seen.iter().enumerate() {
        if let Action::Write(value) | Action::Swap(_, value) = action
            && (*value == 0 || setters.insert(*value, at).is_some())
        {
            return Err(Zones::Undecided);
        }
    }
    let Certain { certain, finders } = certain(seen, &setters)?;
    // Some operations, and those but for which nobody could tell that they took effect.
    let proven = |some: &mut dyn Iterator<Item = usize>| {
        let all = some.flat_map(|at| finders_of(&finders, at));
        Zones::Broken(all.map(|at| seen[at].0).collect())
    };
    let mut reads: Vec<(Value, u64, usize)> = vec![];
    let mut replaced = ByValue::of(seen);
    for (at, (_, action, during)) in seen.iter().enumerate().filter(|(at, _)| certain[*at]) {
        match action {
            Action::Read(value) => reads.push((*value, during.invoked, at)),
            Action::Swap(from, _) => {
                if let Some(other) = replaced.insert(*from, at) {
                    return Err(proven(&mut [other, at].into_iter()));
                }
            }
            Action::Write(_) | Action::Missed(_) => {}
        }
    }
    reads.sort_unstable();
    let readers = |value: Value| {
        let from = reads.partition_point(|(v, ..)| *v < value);
        reads[from..].iter().take_while(move |(v, ..)| *v == value).map(|(_, _, at)| *at)
    };
    let (mut all, mut blocks) = (Vec::with_capacity(seen.len() + 1), vec![]);
    let never_written = Interval { invoked: 0, returned: 0 };
    let writes = seen.iter().enumerate().filter(|(at, _)| certain[*at]);
    let writes = writes.filter_map(|(_, (i, action, during))| match action {
        Action::Write(value) => Some((*i, *value, *during)),
        _ => None,
    });
    let mut swaps = replaced.all().count();
    for (op, mut value, during) in std::iter::once((usize::MAX, 0, never_written)).chain(writes) {
        let from = all.len();
        all.push(Effect { op, during, value });
        loop {
            all.extend(readers(value).map(|at| Effect {
                op: seen[at].0,
                during: seen[at].2,
                value,
            }));
            let Some(swap) = replaced.get(value) else { break };
            let (op, Action::Swap(_, to), during) = seen[swap] else { break };
            value = to;
            all.push(Effect { op, during, value });
            swaps -= 1;
        }
        blocks.push(block(&all, from)?);
    }
    if swaps > 0 {
        // Each found what another one of them set: none can have been the first.
        let placed: HashSet<usize> = all.iter().map(|effect| effect.op).collect();
        let rest = replaced.all().filter(|at| !placed.contains(&seen[*at].0));
        return Err(proven(&mut rest.into_iter()));
    }
    Ok((all, blocks))
}

/// Which operations took effect for certain; and of those whose outcome is unknown, who found what they set.
struct Certain {
    certain: Vec<bool>,
    /// By the place of who set it.
    finders: Vec<u32>,
}

/// What is known to have taken effect, and whoever set what that found, and so on. Fails where nobody did.
fn certain(seen: &[(usize, Action, Interval)], setters: &ByValue) -> Result<Certain, Zones> {
    let mut certain: Vec<bool> =
        seen.iter().map(|(_, _, during)| during.returned != NEVER).collect();
    let mut finders = vec![NONE; seen.len()];
    let mut found: Vec<(Value, usize)> = vec![];
    for (at, (_, action, _)) in seen.iter().enumerate().filter(|(at, _)| certain[*at]) {
        if let Action::Read(value) | Action::Swap(value, _) = action {
            found.push((*value, at));
        }
    }
    while let Some((value, by)) = found.pop() {
        if value == 0 {
            continue;
        }
        let Some(at) = setters.get(value) else {
            return Err(Zones::Broken(finders_of(&finders, by).map(|at| seen[at].0).collect()));
        };
        if !std::mem::replace(&mut certain[at], true) {
            finders[at] = by as u32;
            if let Action::Swap(from, _) = seen[at].1 {
                found.push((from, at));
            }
        }
    }
    Ok(Certain { certain, finders })
}

/// An operation, who found what it set, who found what that one set, and so on.
fn finders_of(finders: &[u32], at: usize) -> impl Iterator<Item = usize> {
    let finder = |at: &usize| finders.get(*at).filter(|by| **by != NONE).map(|by| *by as usize);
    std::iter::successors(Some(at), finder)
}

/// The block of the last effects. Fails if they are not possible in their order.
fn block(all: &[Effect], from: usize) -> Result<Block, Zones> {
    let effects = &all[from..];
    let mut now = 0;
    for effect in effects {
        now = effect.during.invoked.max(now);
        if now > effect.during.returned {
            return Err(Zones::Broken(operations(effects)));
        }
    }
    Ok(Block {
        from,
        to: all.len(),
        earliest_return: effects.iter().map(|e| e.during.returned).min().unwrap_or(NEVER),
        latest_call: effects.iter().map(|e| e.during.invoked).max().unwrap_or(0),
    })
}

fn operations(effects: &[Effect]) -> Vec<usize> {
    effects.iter().map(|effect| effect.op).filter(|op| *op != usize::MAX).collect()
}

/// A linearization: everything as early as can be.
struct LinedUp {
    effects: Vec<Effect>,
    /// In their order.
    blocks: Vec<Block>,
    /// From when on the register had which value.
    values: Vec<(u64, Value)>,
}

/// Orders the blocks; or tells those that exclude each other.
fn line_up(effects: Vec<Effect>, mut blocks: Vec<Block>) -> Result<LinedUp, Zones> {
    let conflict = |a: &Block, b: &Block| {
        let both = [&effects[a.from..a.to], &effects[b.from..b.to]];
        Zones::Broken(both.into_iter().flat_map(operations).collect())
    };
    let mut forward: Vec<Block> = blocks.iter().copied().filter(Block::is_forward).collect();
    forward.sort_unstable_by_key(|b| (b.earliest_return, b.latest_call));
    for pair in forward.windows(2) {
        if pair[0].latest_call > pair[1].earliest_return {
            return Err(conflict(&pair[0], &pair[1]));
        }
    }
    for block in blocks.iter().filter(|block| !block.is_forward()) {
        let before = forward.partition_point(|zone| zone.earliest_return < block.latest_call);
        let around = before.checked_sub(1).map(|at| &forward[at]);
        if let Some(zone) = around.filter(|zone| block.earliest_return < zone.latest_call) {
            return Err(conflict(zone, block));
        }
    }
    // Each as early as it can be. One that could begin inside a forward zone comes after it.
    blocks.sort_by_key(|block| match block.is_forward() {
        true => (block.earliest_return, true),
        false => (block.latest_call, false),
    });
    let (mut now, mut values) = (0, Vec::<(u64, Value)>::with_capacity(effects.len()));
    for effect in blocks.iter().flat_map(|block| &effects[block.from..block.to]) {
        now = effect.during.invoked.max(now);
        if now > effect.during.returned {
            return Err(Zones::Undecided);
        }
        if values.last().is_none_or(|(_, value)| *value != effect.value) {
            values.push((now, effect.value));
        }
    }
    Ok(LinedUp { effects, blocks, values })
}

/// The compare-and-sets that missed and find no moment at which there was another value: the value, and when.
fn homeless(seen: &[(usize, Action, Interval)], values: &[(u64, Value)]) -> Vec<(Value, Interval)> {
    let missed = seen.iter().filter(|(_, _, during)| during.returned != NEVER);
    let missed = missed.filter_map(|(_, action, during)| match action {
        Action::Missed(value) => Some((*value, *during)),
        _ => None,
    });
    let homeless = missed.filter(|(value, during)| {
        // The first value that still stands at its call, and the last one that is there by its return. No value
        // comes twice, so two are different ones.
        let ended = values.partition_point(|(since, _)| *since < during.invoked);
        let begun = values.partition_point(|(since, _)| *since <= during.returned);
        matches!(&values[ended.saturating_sub(1)..begun], [(_, only)] if only == value)
    });
    homeless.collect()
}
