//! Queues: what goes in comes out once, in order (Jepsen's `checker/total-queue`; order after
//! Herlihy & Wing, "Linearizability", section on queues).
//!
//! *Lost*: acknowledged and never taken, in a queue that was drained (some process found it empty
//! after the last enqueue). Each dequeue of unknown outcome may have taken one element, so it
//! excuses one. *Duplicated*: taken twice. *Phantom*: taken, and never enqueued, or not yet. *Out
//! of order*: enqueued for certain before another, and taken for certain after it. A queue that was
//! not drained is inconclusive.

use std::collections::{BTreeMap, HashMap};

use super::view::{NEVER, counted, possible, reply, settled};
use super::{Check, Finding, tell};
use crate::history::{Call, Key, Operation, Record, Reply, Time};

/// See the module.
#[derive(Debug)]
pub struct Queue;

/// So many findings are said in the summary, and so many are shown with their operations.
const SAID: usize = 3;
const SHOWN: usize = 8;

/// All that happened to one queue.
#[derive(Default)]
pub struct OneQueue<'a> {
    enqueues: HashMap<i64, &'a Operation>,
    dequeues: HashMap<i64, Vec<&'a Operation>>,
    empties: Vec<&'a Operation>,
    unknown: usize,
}

/// Elements acknowledged and never taken.
pub struct Missing<'a> {
    /// Their enqueues, in the order of acknowledgement.
    pub enqueues: Vec<&'a Operation>,
    /// How many of them dequeues of unknown outcome may have taken.
    pub excused: usize,
    /// A process found the queue empty after the last enqueue.
    pub drained: Option<&'a Operation>,
}

/// The queues of a record.
pub fn gather(record: &Record) -> BTreeMap<Key, OneQueue<'_>> {
    let mut queues: BTreeMap<Key, OneQueue> = BTreeMap::new();
    for o in counted(record) {
        match (&o.call, reply(o)) {
            (Call::Enqueue { key, element }, _) => {
                queues.entry(*key).or_default().enqueues.insert(*element, o);
            }
            (Call::Dequeue { key }, Some(Reply::Value(Some(element)))) => {
                let queue = queues.entry(*key).or_default();
                queue.dequeues.entry(*element).or_default().push(o);
            }
            (Call::Dequeue { key }, Some(Reply::Value(None))) => {
                queues.entry(*key).or_default().empties.push(o);
            }
            (Call::Dequeue { key }, None) if possible(o) => {
                queues.entry(*key).or_default().unknown += 1;
            }
            _ => {}
        }
    }
    queues
}

impl<'a> OneQueue<'a> {
    /// What is missing at the end.
    pub fn missing(&self) -> Missing<'a> {
        let acked = self.enqueues.iter().filter(|(_, o)| o.outcome.is_ok());
        let last = acked.clone().map(|(_, o)| settled(o)).max().unwrap_or(Time::ZERO);
        let drained =
            self.empties.iter().copied().filter(|o| o.invoked > last).max_by_key(|o| o.id);
        let gone = acked.filter(|(element, _)| !self.dequeues.contains_key(element));
        let mut enqueues: Vec<_> = gone.map(|(_, o)| *o).collect();
        enqueues.sort_by_key(|o| (settled(o), o.id));
        let excused = self.unknown.min(enqueues.len());
        Missing { enqueues, excused, drained }
    }

    fn duplicated(&self) -> Option<(i64, Vec<&'a Operation>)> {
        let mut twice: Vec<_> = self.dequeues.iter().filter(|(_, d)| d.len() > 1).collect();
        twice.sort_by_key(|(element, _)| **element);
        twice.first().map(|(element, d)| (**element, d.to_vec()))
    }

    fn phantom(&self) -> Option<(i64, Vec<&'a Operation>)> {
        let mut all: Vec<_> = self
            .dequeues
            .iter()
            .filter_map(|(element, d)| {
                let dequeue = *d.first()?;
                let enqueue = self.enqueues.get(element).copied();
                let real = enqueue.is_some_and(|e| possible(e) && e.invoked <= settled(dequeue));
                (!real).then(|| (*element, enqueue.into_iter().chain([dequeue]).collect()))
            })
            .collect();
        all.sort_by_key(|(element, _): &(i64, Vec<_>)| *element);
        all.into_iter().next()
    }

    /// An element, or an answer "empty", that overtook another element.
    fn out_of_order(&self) -> Option<Vec<&'a Operation>> {
        let mut before: Vec<(Time, Time, &Operation, &Operation)> = vec![];
        let mut after: Vec<(Time, Time, Vec<&Operation>)> = vec![];
        for (element, d) in &self.dequeues {
            let (Some(e), Some(d)) = (self.enqueues.get(element), d.first()) else { continue };
            if settled(e) < NEVER {
                before.push((settled(e), d.invoked, e, d));
            }
            after.push((e.invoked, settled(d), vec![e, d]));
        }
        after.extend(self.empties.iter().map(|o| (o.invoked, settled(o), vec![*o])));
        before.sort_unstable_by_key(|b| (b.0, b.1, b.2.id));
        after.sort_unstable_by_key(|a| (a.0, a.1, a.2[0].id));
        let (mut next, mut latest) = (0, None::<&(Time, Time, &Operation, &Operation)>);
        for (begun, taken, operations) in after {
            while before.get(next).is_some_and(|b| b.0 < begun) {
                latest = latest.into_iter().chain(&before[next..=next]).max_by_key(|b| b.1);
                next += 1;
            }
            if let Some(b) = latest.filter(|b| b.1 > taken) {
                return Some([vec![b.2, b.3], operations].concat());
            }
        }
        None
    }
}

impl Check for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn check(&self, record: &Record) -> Finding {
        let queues = gather(record);
        if queues.values().all(|q| q.enqueues.is_empty() && q.dequeues.is_empty()) {
            return Finding::inconclusive("nothing was ever enqueued");
        }
        let (mut wrong, mut lines, mut undrained) = (vec![], vec![], vec![]);
        let (mut lost, mut excused) = (0, 0);
        let mut add = |words: String, operations: Vec<&Operation>| {
            if wrong.len() < SHOWN {
                lines.push(format!("{words}:"));
                lines.extend(tell::operations(record, operations));
            }
            wrong.push(words);
        };
        for (key, queue) in &queues {
            let missing = queue.missing();
            excused += missing.excused;
            let gone = missing.enqueues.len() - missing.excused;
            match missing.drained {
                Some(empty) if gone > 0 => {
                    lost += gone;
                    let n = tell::count(gone, "element");
                    let shown = missing.enqueues.iter().copied().take(gone).chain([empty]);
                    add(format!("{n} of k{key} acknowledged and lost"), shown.collect());
                }
                None if !missing.enqueues.is_empty() => undrained.push(*key),
                _ => {}
            }
            if let Some((element, operations)) = queue.duplicated() {
                add(format!("element {element} of k{key} was taken more than once"), operations);
            }
            if let Some((element, operations)) = queue.phantom() {
                add(
                    format!("element {element} of k{key} was taken, and never enqueued"),
                    operations,
                );
            }
            if let Some(operations) = queue.out_of_order() {
                add(format!("k{key} was taken out of order"), operations);
            }
        }
        let taken: usize = queues.values().map(|q| q.dequeues.len()).sum();
        let finding = match (wrong.is_empty(), undrained.first()) {
            (false, _) => {
                let hidden = wrong.len().saturating_sub(SAID);
                let more = if hidden > 0 { format!("; and {hidden} more") } else { String::new() };
                wrong.truncate(SAID);
                Finding::fail(wrong.join("; ") + &more)
            }
            (true, Some(key)) => Finding::inconclusive(format!(
                "queue k{key} was not drained: what is missing may still be in it"
            )),
            (true, None) => {
                let words = tell::count(taken, "element");
                Finding::pass(format!("{words} came out once and in order, and nothing is missing"))
            }
        };
        finding
            .with_evidence(lines)
            .with_figure("lost_elements", lost as f64)
            .with_figure("excused_elements", excused as f64)
    }
}
