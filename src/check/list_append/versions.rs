//! The versions of each list, told from its longest read, and what is wrong with single reads.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Anomaly, Txn};
use crate::history::{Call, Key, Operation, Step};

/// What is known of one list.
#[derive(Debug, Default)]
pub struct List {
    /// Its values in order, as the longest read saw them.
    pub order: Vec<i64>,
    /// Which transaction appended each value.
    pub writer: HashMap<i64, usize>,
}

/// What is known of all lists.
#[derive(Debug, Default)]
pub struct Lists(pub BTreeMap<Key, List>);

impl Lists {
    /// Reads the versions off, and adds what is wrong with single reads to `found`.
    pub fn of<'a>(
        txns: &[Txn<'a>],
        failed: &[&'a Operation],
        found: &mut Vec<Anomaly<'a>>,
    ) -> Lists {
        let mut lists = Lists::default();
        let mut longest: HashMap<Key, usize> = HashMap::new();
        for (i, txn) in txns.iter().enumerate() {
            for (key, value) in txn.appends() {
                lists.0.entry(key).or_default().writer.insert(value, i);
            }
            for (_, key, values) in txn.reads() {
                let list = lists.0.entry(key).or_default();
                if values.len() > list.order.len() {
                    list.order = values.to_vec();
                    longest.insert(key, i);
                }
            }
        }
        let aborted = aborted(failed);
        for txn in txns {
            internal(txn, found);
            for (_, key, values) in txn.reads() {
                let list = &lists.0[&key];
                let other = longest.get(&key).map(|i| txns[*i].operation);
                prefix(txn, key, values, list, other, found);
                origins(txns, txn, key, values, list, &aborted, found);
                intermediate(txns, txn, key, values, list, found);
            }
        }
        // One of a kind for each list is enough for anybody; the plainest are those with fewest
        // operations.
        let mut told = HashSet::new();
        found.retain(|a| told.insert(a.words.split(',').next().unwrap_or_default().to_string()));
        lists
    }
}

fn aborted<'a>(failed: &[&'a Operation]) -> HashMap<(Key, i64), &'a Operation> {
    let mut all = HashMap::new();
    for o in failed {
        let Call::Txn { steps } = &o.call else { continue };
        for step in steps {
            if let Step::Append { key, value } = step {
                all.insert((*key, *value), *o);
            }
        }
    }
    all
}

fn anomaly<'a>(words: String, operations: Vec<&'a Operation>) -> Anomaly<'a> {
    Anomaly { words, because: vec![], operations }
}

/// A transaction sees its own appends, and the same list twice.
fn internal<'a>(txn: &Txn<'a>, found: &mut Vec<Anomaly<'a>>) {
    let mut own: HashMap<Key, Vec<i64>> = HashMap::new();
    let mut base: HashMap<Key, &[i64]> = HashMap::new();
    for (i, step) in txn.steps.iter().enumerate() {
        match (step, txn.saw.get(i)) {
            (Step::Append { key, value }, _) => own.entry(*key).or_default().push(*value),
            (Step::Read { key }, Some(Some(values))) => {
                let mine = own.get(key).map(Vec::as_slice).unwrap_or_default();
                let before = values.strip_suffix(mine);
                let same = |b: &[i64]| base.get(key).is_none_or(|known| *known == b);
                match before.filter(|b| same(b)) {
                    Some(b) => {
                        base.insert(key.to_owned(), b);
                    }
                    None => {
                        let why = match before {
                            None => "a read does not end with its transaction's own appends",
                            Some(_) => "two reads of one transaction saw different lists",
                        };
                        found.push(anomaly(
                            format!("internal inconsistency on k{key}, {why}"),
                            vec![txn.operation],
                        ));
                    }
                }
            }
            _ => {}
        }
    }
}

fn prefix<'a>(
    txn: &Txn<'a>,
    key: Key,
    values: &[i64],
    list: &List,
    longest: Option<&'a Operation>,
    found: &mut Vec<Anomaly<'a>>,
) {
    if !list.order.starts_with(values) {
        let both = longest.into_iter().chain([txn.operation]).collect();
        found.push(anomaly(
            format!("incompatible orders of k{key}, neither read continues the other"),
            both,
        ));
    }
    let mut seen = HashSet::new();
    if let Some(value) = values.iter().find(|v| !seen.insert(**v)) {
        let words = format!("duplicate element in k{key}, {value} stands there twice");
        found.push(anomaly(words, vec![txn.operation]));
    }
}

#[allow(clippy::too_many_arguments)]
fn origins<'a>(
    txns: &[Txn<'a>],
    txn: &Txn<'a>,
    key: Key,
    values: &[i64],
    list: &List,
    aborted: &HashMap<(Key, i64), &'a Operation>,
    found: &mut Vec<Anomaly<'a>>,
) {
    for value in values {
        let end = txn.returned.unwrap_or(crate::history::Time(u64::MAX));
        match (list.writer.get(value), aborted.get(&(key, *value))) {
            (Some(writer), _) if txns[*writer].invoked <= end => {}
            (Some(writer), _) => found.push(anomaly(
                format!("read from the future in k{key}, {value} had not been appended yet"),
                vec![txns[*writer].operation, txn.operation],
            )),
            (None, Some(failed)) => found.push(anomaly(
                format!("aborted read (G1a) of k{key}, {value} is of a transaction that failed"),
                vec![*failed, txn.operation],
            )),
            (None, None) => found.push(anomaly(
                format!("phantom element in k{key}, nobody ever appended {value}"),
                vec![txn.operation],
            )),
        }
    }
}

/// The last value that a read saw must be its transaction's last append to that list.
fn intermediate<'a>(
    txns: &[Txn<'a>],
    txn: &Txn<'a>,
    key: Key,
    values: &[i64],
    list: &List,
    found: &mut Vec<Anomaly<'a>>,
) {
    let Some(last) = values.last() else { return };
    let Some(writer) = list.writer.get(last).map(|w| &txns[*w]) else { return };
    if writer.operation.id == txn.operation.id {
        return;
    }
    let final_append = writer.appends().filter(|(k, _)| *k == key).last();
    if let Some((_, value)) = final_append.filter(|(_, value)| value != last) {
        let words = format!(
            "intermediate read (G1b) of k{key}, {last} was seen without the {value} that the same \
             transaction appended"
        );
        found.push(anomaly(words, vec![writer.operation, txn.operation]));
    }
}
