//! Data loss: acknowledged writes absent from the final reads, how many, and how old the oldest
//! was.
//!
//! Set, queue, log and list-append: what was acknowledged and is not there, one by one. Register:
//! the final value must be one that was written, and no acknowledged write may have begun after the
//! last write of that value had ended; those that did are lost. Counter: as many of the largest
//! acknowledged additions as it takes to explain what is missing from the final total. A write's
//! age is the time from its acknowledgement to the final read that misses it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::view::{NEVER, counted, possible, reply, settled};
use super::{Check, Finding, log, queue, spec, tell};
use crate::history::{Call, Key, Operation, Record, Reply, Stage, Step, Time};

/// See the module.
#[derive(Debug)]
pub struct LostWrites(pub spec::LostWrites);

/// What the final reads say.
#[derive(Default)]
struct Loss<'a> {
    /// Lost writes, each with when the final read that misses it was invoked.
    lost: Vec<(&'a Operation, Time)>,
    /// The final reads that miss them.
    reads: Vec<&'a Operation>,
    /// Objects that were written, and that no final read tells of.
    unread: Vec<Key>,
    acknowledged: usize,
}

impl Check for LostWrites {
    fn name(&self) -> &'static str {
        "lost-writes"
    }

    fn check(&self, record: &Record) -> Finding {
        let loss = match record.header.workload.model.as_str() {
            "register" => registers(record),
            "counter" => counters(record),
            "set" => sets(record),
            "queue" => queues(record),
            "log" => logs(record),
            "list-append" => lists(record),
            other => {
                return Finding::inconclusive(format!("writes of model `{other}` cannot be told"));
            }
        };
        self.judge(record, loss)
    }
}

impl LostWrites {
    fn judge(&self, record: &Record, mut loss: Loss) -> Finding {
        loss.lost.sort_by_key(|(o, _)| (settled(o), o.id));
        let n = loss.lost.len();
        let age = |(o, read): &(&Operation, Time)| read.since(settled(o)).as_secs_f64() * 1e3;
        let oldest = loss.lost.iter().map(age).fold(0.0, f64::max);
        let writes = tell::count(loss.acknowledged, "acknowledged write");
        let max = self.0.max;
        let mut summary = format!("{n} of {writes} lost, allowed {max}");
        if let Some((first, _)) = loss.lost.first() {
            let place = tell::place(record, settled(first));
            summary +=
                &format!("; the oldest {} before the final read, {place}", tell::millis(oldest));
        }
        let finding = if n as u64 > max {
            Finding::fail(summary)
        } else if loss.acknowledged == 0 {
            Finding::inconclusive("no write was acknowledged")
        } else if let Some(key) = loss.unread.first() {
            let more = loss.unread.len();
            let keys = tell::count(more, "object");
            Finding::inconclusive(format!("{keys} written and not read at the end (k{key} first)"))
        } else {
            Finding::pass(summary)
        };
        let shown = loss.lost.iter().map(|(o, _)| *o).take(20);
        let shown = shown.chain(loss.reads.iter().copied().take(4));
        finding
            .with_evidence(if n > 0 { tell::operations(record, shown) } else { vec![] })
            .with_figure("lost_writes", n as f64)
            .with_figure("oldest_lost_ms", oldest)
            .with_figure("acknowledged_writes", loss.acknowledged as f64)
    }
}

/// The last successful final read of each object.
fn last_reads(record: &Record) -> HashMap<Key, &Operation> {
    let finals = record.operations.iter().filter(|o| o.stage == Stage::Final && o.outcome.is_ok());
    let mut last = HashMap::new();
    for o in finals {
        match &o.call {
            Call::Read { key } | Call::Total { key } | Call::Elements { key } => {
                last.insert(*key, o);
            }
            _ => {}
        }
    }
    last
}

impl<'a> Loss<'a> {
    fn add(&mut self, read: &'a Operation, lost: Vec<&'a Operation>) {
        if !lost.is_empty() {
            self.reads.push(read);
        }
        self.lost.extend(lost.into_iter().map(|o| (o, read.invoked)));
    }
}

fn registers(record: &Record) -> Loss<'_> {
    let mut writes: BTreeMap<Key, Vec<(&Operation, i64)>> = BTreeMap::new();
    for o in counted(record).filter(|o| possible(o)) {
        match (&o.call, reply(o)) {
            (Call::Cas { .. }, Some(Reply::Swapped(false))) => {}
            (Call::Write { key, value }, _) | (Call::Cas { key, to: value, .. }, _) => {
                writes.entry(*key).or_default().push((o, *value));
            }
            _ => {}
        }
    }
    let reads = last_reads(record);
    let mut loss = Loss::default();
    for (key, writes) in &writes {
        let acked: Vec<_> = writes.iter().map(|w| w.0).filter(|o| o.outcome.is_ok()).collect();
        loss.acknowledged += acked.len();
        let Some(read) = reads.get(key) else {
            loss.unread.push(*key);
            continue;
        };
        let value = if let Some(Reply::Value(v)) = reply(read) { *v } else { None };
        let made = writes.iter().filter(|(_, v)| Some(*v) == value).map(|(o, _)| settled(o)).max();
        let lost = match (made, value) {
            // Overwritten by something that nobody wrote: what stood there last is gone.
            (None, Some(_)) => acked.into_iter().max_by_key(|o| settled(o)).into_iter().collect(),
            (made, _) => {
                let after = |o: &&Operation| made.is_none_or(|made| o.invoked > made);
                acked.into_iter().filter(after).filter(|o| settled(o) < read.invoked).collect()
            }
        };
        loss.add(read, lost);
    }
    loss
}

fn counters(record: &Record) -> Loss<'_> {
    let mut adds: BTreeMap<Key, Vec<(&Operation, i64)>> = BTreeMap::new();
    for o in counted(record).filter(|o| possible(o)) {
        if let Call::Add { key, delta } = o.call {
            adds.entry(key).or_default().push((o, delta));
        }
    }
    let reads = last_reads(record);
    let mut loss = Loss::default();
    for (key, adds) in &adds {
        let mut acked: Vec<_> = adds.iter().filter(|(o, _)| o.outcome.is_ok()).collect();
        loss.acknowledged += acked.len();
        let Some(read) = reads.get(key) else {
            loss.unread.push(*key);
            continue;
        };
        let total = if let Some(Reply::Value(v)) = reply(read) { v.unwrap_or(0) } else { 0 };
        let unknown = adds.iter().filter(|(o, _)| !o.outcome.is_ok()).map(|(_, d)| *d);
        let least =
            acked.iter().map(|a| a.1).sum::<i64>() + unknown.filter(|d| *d < 0).sum::<i64>();
        let mut missing = least.saturating_sub(total);
        acked.sort_by_key(|(o, delta)| (std::cmp::Reverse(*delta), settled(o)));
        let mut lost = vec![];
        for (o, delta) in acked.into_iter().filter(|a| a.1 > 0) {
            if missing <= 0 {
                break;
            }
            missing -= delta;
            lost.push(*o);
        }
        loss.add(read, lost);
    }
    loss
}

fn sets(record: &Record) -> Loss<'_> {
    let reads = last_reads(record);
    let there: HashMap<Key, HashSet<i64>> = reads
        .iter()
        .filter_map(|(key, o)| match reply(o) {
            Some(Reply::Values(values)) => Some((*key, values.iter().copied().collect())),
            _ => None,
        })
        .collect();
    let mut lost: BTreeMap<Key, Vec<&Operation>> = BTreeMap::new();
    let mut loss = Loss::default();
    for o in counted(record).filter(|o| o.outcome.is_ok()) {
        let Call::Insert { key, element } = o.call else { continue };
        loss.acknowledged += 1;
        let gone = lost.entry(key).or_default();
        if there.get(&key).is_some_and(|there| !there.contains(&element)) {
            gone.push(o);
        }
    }
    for (key, gone) in lost {
        match reads.get(&key) {
            Some(read) => loss.add(read, gone),
            None => loss.unread.push(key),
        }
    }
    loss
}

fn queues(record: &Record) -> Loss<'_> {
    let mut loss = Loss::default();
    let enqueued = |o: &&Operation| matches!(o.call, Call::Enqueue { .. }) && o.outcome.is_ok();
    loss.acknowledged = counted(record).filter(enqueued).count();
    for (key, queue) in queue::gather(record) {
        let missing = queue.missing();
        let gone = missing.enqueues.len() - missing.excused;
        match missing.drained {
            Some(empty) => loss.add(empty, missing.enqueues.into_iter().take(gone).collect()),
            None if gone > 0 => loss.unread.push(key),
            None => {}
        }
    }
    loss
}

fn logs(record: &Record) -> Loss<'_> {
    let mut loss = Loss::default();
    let sent = |o: &&Operation| matches!(o.call, Call::Append { .. }) && o.outcome.is_ok();
    loss.acknowledged = counted(record).filter(sent).count();
    for (key, log) in log::gather(record) {
        let (lost, _) = log.missing();
        if !log.read_at_end() {
            loss.unread.push(key);
        }
        for (_, operations) in lost {
            if let [append, read] = operations[..] {
                loss.add(read, vec![append]);
            }
        }
    }
    loss.reads.dedup_by_key(|o| o.id);
    loss
}

fn lists(record: &Record) -> Loss<'_> {
    let mut there: HashMap<Key, (&Operation, HashSet<i64>)> = HashMap::new();
    let finals = record.operations.iter().filter(|o| o.stage == Stage::Final);
    for o in finals {
        let (Call::Txn { steps }, Some(Reply::Txn(answers))) = (&o.call, reply(o)) else {
            continue;
        };
        for (step, answer) in steps.iter().zip(answers) {
            if let (Step::Read { key }, Some(values)) = (step, answer) {
                there.insert(*key, (o, values.iter().copied().collect()));
            }
        }
    }
    let mut loss = Loss::default();
    let mut unread = HashSet::new();
    for o in counted(record).filter(|o| o.outcome.is_ok() && settled(o) < NEVER) {
        let Call::Txn { steps } = &o.call else { continue };
        let mut missed_by = None;
        let mut appends = 0;
        for step in steps {
            let Step::Append { key, value } = step else { continue };
            appends += 1;
            match there.get(key) {
                None if unread.insert(*key) => loss.unread.push(*key),
                Some((read, values)) if !values.contains(value) => missed_by = Some(*read),
                _ => {}
            }
        }
        loss.acknowledged += usize::from(appends > 0);
        if let Some(read) = missed_by {
            loss.add(read, vec![o]);
        }
    }
    loss
}
