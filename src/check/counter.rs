//! Counters: each total must lie within what the additions allow (Jepsen's `checker/counter`).
//!
//! Additions that were acknowledged before a read was invoked count; those that were invoked before
//! it returned and are not known to have failed may count. With negative deltas the bounds swap
//! roles. Necessary, not sufficient: a total within bounds may still be stale.

use std::collections::BTreeMap;

use super::view::{counted, possible, reply, settled};
use super::{Check, Finding, tell};
use crate::history::{Call, Key, Operation, Record, Reply, Time};

/// See the module.
#[derive(Debug)]
pub struct Counter;

/// Sums of deltas by time.
#[derive(Default)]
struct Sums(Vec<(Time, i64)>);

impl Sums {
    fn settle(&mut self) {
        self.0.sort_unstable();
        let mut sum = 0i64;
        for (_, value) in &mut self.0 {
            sum = sum.saturating_add(*value);
            *value = sum;
        }
    }
    fn before(&self, at: Time, included: bool) -> i64 {
        let n = self.0.partition_point(|(t, _)| *t < at || (included && *t == at));
        n.checked_sub(1).map_or(0, |i| self.0[i].1)
    }
}

#[derive(Default)]
struct OneCounter<'a> {
    adds: Vec<&'a Operation>,
    reads: Vec<(&'a Operation, i64)>,
}

/// A total that cannot be.
pub struct Impossible<'a> {
    read: &'a Operation,
    found: i64,
    low: i64,
    high: i64,
}

impl Check for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn check(&self, record: &Record) -> Finding {
        let counters = gather(record);
        let reads: usize = counters.values().map(|c| c.reads.len()).sum();
        if reads == 0 {
            return Finding::inconclusive("no counter was ever read");
        }
        let bad: Vec<_> =
            counters.iter().flat_map(|(k, c)| judge(c).into_iter().map(move |b| (*k, b))).collect();
        let Some((key, first)) = bad.first() else {
            return Finding::pass(format!("{} within bounds", tell::count(reads, "read")))
                .with_figure("reads", reads as f64);
        };
        let Impossible { read, found, low, high } = first;
        let summary = format!(
            "counter k{key} was {found}, allowed {low} to {high} ({} of {reads} out of bounds)",
            tell::count(bad.len(), "read"),
        );
        let counter = &counters[key];
        let blamed = if found < low { acknowledged(counter, read) } else { vec![] };
        let blamed_words = match blamed.is_empty() {
            true => "the read:".to_string(),
            false => "the read, and the last additions acknowledged before it:".to_string(),
        };
        Finding::fail(summary)
            .with_evidence([blamed_words])
            .with_evidence(tell::operations(record, blamed.into_iter().chain([*read])))
            .with_figure("reads", reads as f64)
            .with_figure("reads_out_of_bounds", bad.len() as f64)
    }
}

fn gather(record: &Record) -> BTreeMap<Key, OneCounter<'_>> {
    let mut counters: BTreeMap<Key, OneCounter> = BTreeMap::new();
    for o in counted(record) {
        match (&o.call, reply(o)) {
            (Call::Add { key, .. }, _) if possible(o) => {
                counters.entry(*key).or_default().adds.push(o);
            }
            (Call::Total { key }, Some(Reply::Value(total))) => {
                let total = total.unwrap_or(0);
                counters.entry(*key).or_default().reads.push((o, total));
            }
            _ => {}
        }
    }
    counters
}

fn delta(o: &Operation) -> i64 {
    if let Call::Add { delta, .. } = o.call { delta } else { 0 }
}

fn judge<'a>(counter: &OneCounter<'a>) -> Vec<Impossible<'a>> {
    let (mut up_done, mut up_begun) = (Sums::default(), Sums::default());
    let (mut down_done, mut down_begun) = (Sums::default(), Sums::default());
    for add in &counter.adds {
        let (done, begun) = match delta(add) >= 0 {
            true => (&mut up_done, &mut up_begun),
            false => (&mut down_done, &mut down_begun),
        };
        begun.0.push((add.invoked, delta(add)));
        if add.outcome.is_ok() {
            done.0.push((settled(add), delta(add)));
        }
    }
    for sums in [&mut up_done, &mut up_begun, &mut down_done, &mut down_begun] {
        sums.settle();
    }
    let mut bad = vec![];
    for &(read, found) in &counter.reads {
        let end = settled(read);
        let low = up_done.before(read.invoked, false) + down_begun.before(end, true);
        let high = up_begun.before(end, true) + down_done.before(read.invoked, false);
        if found < low || found > high {
            bad.push(Impossible { read, found, low, high });
        }
    }
    bad
}

fn acknowledged<'a>(counter: &OneCounter<'a>, read: &Operation) -> Vec<&'a Operation> {
    let mut before: Vec<_> = counter.adds.to_vec();
    before.retain(|a| a.outcome.is_ok() && settled(a) < read.invoked);
    before.sort_by_key(|a| std::cmp::Reverse(settled(a)));
    before.truncate(5);
    before
}
