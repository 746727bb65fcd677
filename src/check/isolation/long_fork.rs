//! Long forks (Sovran et al., "Transactional storage for geo-replicated systems", SOSP 2011; Jepsen's workload of that
//! name): each key is written once, and transactions read groups of keys. Of two readers of a group, one must have seen
//! all that the other one saw. Parallel snapshot isolation lets them differ; snapshot isolation does not.
//!
//! Bounds: O(n log n) comparisons of readers, each in the size of its group.

use std::collections::BTreeMap;

use super::who;
use crate::check::{Finding, tell};
use crate::history::transactions::{Action, Outcome, Transactions};

/// Who read, and which keys of the group were written then.
type Reader = (u32, Vec<bool>);

/// Judges a history.
pub(super) fn finding(history: &Transactions) -> Finding {
    let mut written: BTreeMap<u32, i64> = BTreeMap::new();
    let mut groups: BTreeMap<Vec<u32>, Vec<Reader>> = BTreeMap::new();
    for (number, txn) in history.all().iter().enumerate() {
        let mut read: Vec<(u32, bool)> = vec![];
        for (key, action) in history.steps(txn) {
            let value = match action {
                Action::Write(value) if txn.outcome != Outcome::Fail => Some(value),
                Action::Value(value) if txn.outcome == Outcome::Ok => Some(value),
                _ => None,
            };
            if value.is_some_and(|value| *written.entry(key).or_insert(value) != value) {
                let who = who(history, number as u32);
                let key = history.key(key);
                let why = format!("{who} has another value of {key} than was met before");
                return Finding::inconclusive(format!("{why}: each key must be written once"));
            }
            if txn.outcome == Outcome::Ok {
                match action {
                    Action::Value(_) => read.push((key, true)),
                    Action::Nil => read.push((key, false)),
                    _ => {}
                }
            }
        }
        read.sort_unstable();
        read.dedup_by_key(|(key, _)| *key);
        if read.len() > 1 {
            let (keys, seen) = read.into_iter().unzip();
            groups.entry(keys).or_default().push((number as u32, seen));
        }
    }
    if groups.is_empty() {
        return Finding::inconclusive("nobody read several keys at once");
    }
    let readers = groups.values().map(Vec::len).sum::<usize>();
    let all_groups = tell::count(groups.len(), "group");
    let forks = groups.iter_mut().filter_map(|(keys, readers)| Some((keys, fork(readers)?)));
    let forks: Vec<_> = forks.collect();
    let n = tell::count(readers, "reader");
    let finding = match forks.first() {
        None => {
            Finding::pass(format!("{n} of {all_groups} of keys saw what was written in one order"))
        }
        Some((keys, pair)) => {
            let names: Vec<String> = keys.iter().map(|key| history.key(*key).to_string()).collect();
            let lines = pair.iter().map(|(txn, seen)| {
                let seen = names.iter().zip(seen).filter(|(_, seen)| **seen);
                let seen: Vec<&str> = seen.map(|(name, _)| name.as_str()).collect();
                let seen = if seen.is_empty() { "none".into() } else { seen.join(", ") };
                format!("{} saw written, of {}: {seen}", who(history, *txn), names.join(", "))
            });
            let what = "long-fork: two readers of the same keys each miss what the other one saw";
            Finding::fail(what).with_evidence(lines)
        }
    };
    finding.with_figure("readers", readers as f64).with_figure("forks", forks.len() as f64)
}

/// Two of which neither saw all that the other one did. Of readers by how much they saw, it is enough to compare
/// neighbours: each sees all that those before it do, or one of them does not.
fn fork(readers: &mut [Reader]) -> Option<[Reader; 2]> {
    readers.sort_by_key(|(_, seen)| seen.iter().filter(|seen| **seen).count());
    let pairs = readers.windows(2).map(|pair| [pair[0].clone(), pair[1].clone()]);
    pairs.into_iter().find(|[less, more]| less.1.iter().zip(&more.1).any(|(a, b)| *a && !*b))
}
