//! Sets: every acknowledged element is in every later read (Jepsen's `checker/set-full`,
//! linearizable).
//!
//! *Lost*: acknowledged, and missing in the last read that began after that. *Stale*: missing in a
//! read that began after the acknowledgement or after another read that had it returned, and there
//! again later. *Phantom*: read, and never inserted, or its insertion failed for certain, or it had
//! not begun yet. *Doubled*: twice in one read.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::view::{NEVER, counted, possible, reply, settled};
use super::{Check, Finding, tell};
use crate::history::{Call, Key, Operation, Record, Reply, Time};

/// See the module.
#[derive(Debug)]
pub struct Set;

#[derive(Default)]
struct OneSet<'a> {
    inserts: HashMap<i64, &'a Operation>,
    reads: Vec<(&'a Operation, &'a [i64])>,
}

/// What is wrong, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Lost,
    Phantom,
    Doubled,
    Stale,
}

struct Bad<'a> {
    wrong: Wrong,
    key: Key,
    element: i64,
    operations: Vec<&'a Operation>,
}

impl Check for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn check(&self, record: &Record) -> Finding {
        let mut sets: BTreeMap<Key, OneSet> = BTreeMap::new();
        for o in counted(record) {
            match (&o.call, reply(o)) {
                (Call::Insert { key, element }, _) => {
                    sets.entry(*key).or_default().inserts.insert(*element, o);
                }
                (Call::Elements { key }, Some(Reply::Values(values))) => {
                    sets.entry(*key).or_default().reads.push((o, values));
                }
                _ => {}
            }
        }
        let unread = sets.iter().find(|(_, s)| {
            let acked = s.inserts.values().filter(|o| o.outcome.is_ok()).map(|o| settled(o)).min();
            acked.is_some_and(|t| s.reads.iter().all(|(r, _)| r.invoked <= t))
        });
        let unread = unread.map(|(key, _)| *key);
        let mut bad: Vec<_> = sets.iter_mut().flat_map(|(key, set)| judge(*key, set)).collect();
        let begun = |b: &Bad| b.operations.first().map(|o| (o.invoked, o.id));
        bad.sort_by_key(|b| (b.wrong, begun(b), b.key, b.element));
        let reads: usize = sets.values().map(|s| s.reads.len()).sum();
        match (bad.is_empty(), unread) {
            (true, _) if reads == 0 => Finding::inconclusive("no set was ever read"),
            (true, Some(key)) => {
                Finding::inconclusive(format!("set k{key} was never read after its insertions"))
            }
            (true, None) => {
                let n: usize = sets.values().map(|s| s.inserts.len()).sum();
                let reads = tell::count(reads, "read");
                Finding::pass(format!("{} and {reads} agree", tell::count(n, "insertion")))
            }
            (false, _) => explain(record, &bad),
        }
        .with_figure("lost_elements", number(&bad, Wrong::Lost) as f64)
    }
}

fn number(bad: &[Bad], wrong: Wrong) -> usize {
    bad.iter().filter(|b| b.wrong == wrong).count()
}

fn explain(record: &Record, bad: &[Bad]) -> Finding {
    let kinds = [
        (Wrong::Lost, "acknowledged and lost"),
        (Wrong::Phantom, "read and never inserted"),
        (Wrong::Doubled, "twice in one read"),
        (Wrong::Stale, "missed by a later read, and there again (stale)"),
    ];
    let counts = kinds.iter().map(|(wrong, words)| (number(bad, *wrong), words));
    let parts: Vec<_> = counts
        .filter(|(n, _)| *n > 0)
        .map(|(n, words)| format!("{} {words}", tell::count(n, "element")))
        .collect();
    let mut finding = Finding::fail(parts.join("; ") + &first(record, bad));
    for (wrong, words) in kinds {
        if let Some(b) = bad.iter().find(|b| b.wrong == wrong) {
            finding = finding
                .with_evidence([format!("element {} of k{}: {words}", b.element, b.key)])
                .with_evidence(tell::operations(record, b.operations.iter().copied()));
        }
    }
    finding
}

/// The worst of them, of those the earliest: which it is, when, and during which fault.
fn first(record: &Record, bad: &[Bad]) -> String {
    let Some((b, o)) = bad.first().and_then(|b| b.operations.first().map(|o| (b, *o))) else {
        return String::new();
    };
    let place = tell::place(record, o.invoked);
    format!(
        "; the first: element {} of k{}, {} at {}, {place}",
        b.element,
        b.key,
        sent(o),
        o.invoked
    )
}

fn sent(o: &Operation) -> &'static str {
    if matches!(o.call, Call::Insert { .. }) { "inserted" } else { "read" }
}

fn judge<'a>(key: Key, set: &mut OneSet<'a>) -> Vec<Bad<'a>> {
    set.reads.sort_by_key(|(r, _)| (r.invoked, r.id));
    let mut bad = vec![];
    let mut seen: HashMap<i64, HashSet<usize>> = HashMap::new();
    let mut known: HashMap<i64, (Time, &Operation)> = HashMap::new();
    let mut told: HashSet<i64> = HashSet::new();
    for (i, (read, values)) in set.reads.iter().enumerate() {
        for element in *values {
            if !seen.entry(*element).or_default().insert(i) {
                let operations = vec![*read];
                bad.push(Bad { wrong: Wrong::Doubled, key, element: *element, operations });
            }
            let end = settled(read);
            let since = known.entry(*element).or_insert((end, read));
            *since = (*since).min_by_time((end, read));
            let insert = set.inserts.get(element);
            if insert.is_none_or(|o| !possible(o) || o.invoked > end) && told.insert(*element) {
                let operations = insert.copied().into_iter().chain([*read]).collect();
                bad.push(Bad { wrong: Wrong::Phantom, key, element: *element, operations });
            }
        }
    }
    for (element, insert) in &set.inserts {
        if insert.outcome.is_ok() {
            let since = known.entry(*element).or_insert((NEVER, insert));
            *since = (*since).min_by_time((settled(insert), insert));
        }
    }
    let none = HashSet::new();
    for (element, (since, proof)) in known {
        let had = seen.get(&element).unwrap_or(&none);
        let first = set.reads.partition_point(|(r, _)| r.invoked <= since);
        let missing = (first..set.reads.len()).filter(|i| !had.contains(i));
        let (one, last) = missing.fold((None, None), |(a, _), i| (a.or(Some(i)), Some(i)));
        let (Some(one), Some(last)) = (one, last) else { continue };
        let wrong = match had.iter().any(|i| *i > last) {
            true => Wrong::Stale,
            false => Wrong::Lost,
        };
        let shown = if wrong == Wrong::Stale { one } else { last };
        let insert = set.inserts.get(&element).copied();
        let operations = insert.into_iter().chain([proof, set.reads[shown].0]).collect();
        bad.push(Bad { wrong, key, element, operations });
    }
    bad
}

trait Earlier {
    fn min_by_time(self, other: Self) -> Self;
}

impl Earlier for (Time, &Operation) {
    fn min_by_time(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}
