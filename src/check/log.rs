//! Message logs: nothing acknowledged is lost, nothing is doubled or reordered, all readers agree
//! (after Jepsen's `kafka` workload).
//!
//! What stands at an offset is told by acknowledgements and by reads; two that differ are a
//! *disagreement*. *Lost*: acknowledged, and missing in the last read that began after that and
//! covers its place (a read returns everything from its offset on). *Missed*: missing in such a
//! read, and there again later. *Duplicated*: at two offsets. *Phantom*: read and never sent.
//! *Reordered*: a sender's later message, or one that began after another was acknowledged, stands
//! before it.

use std::collections::{BTreeMap, HashMap};

use super::view::{NEVER, counted, possible, reply, settled};
use super::{Check, Finding, tell};
use crate::history::{Call, Key, Message, Operation, Record, Reply, Time};

/// See the module.
#[derive(Debug)]
pub struct Log;

/// All that happened to one log.
#[derive(Default)]
pub struct OneLog<'a> {
    appends: HashMap<Message, (&'a Operation, Option<u64>)>,
    reads: Vec<(&'a Operation, u64, &'a [Message])>,
}

/// So many findings are said in the summary, and so many are shown with their operations.
const SAID: usize = 3;
const SHOWN: usize = 8;

type Bad<'a> = (String, Vec<&'a Operation>);

/// The logs of a record, the reads in the order of invocation.
pub fn gather(record: &Record) -> BTreeMap<Key, OneLog<'_>> {
    let mut logs: BTreeMap<Key, OneLog> = BTreeMap::new();
    for o in counted(record) {
        match (&o.call, reply(o)) {
            (Call::Append { key, message }, answer) => {
                let offset = if let Some(Reply::Offset(at)) = answer { Some(*at) } else { None };
                logs.entry(*key).or_default().appends.insert(*message, (o, offset));
            }
            (Call::ReadLog { key, from }, Some(Reply::Messages(messages))) => {
                logs.entry(*key).or_default().reads.push((o, *from, messages));
            }
            _ => {}
        }
    }
    for log in logs.values_mut() {
        log.reads.sort_by_key(|(o, ..)| (o.invoked, o.id));
    }
    logs
}

impl<'a> OneLog<'a> {
    /// Acknowledged appends missing in the last read that should have them, with that read; and
    /// those that a read missed although a later one has them.
    pub fn missing(&self) -> (Vec<Bad<'a>>, Vec<Bad<'a>>) {
        let index: Vec<HashMap<Message, usize>> = self
            .reads
            .iter()
            .map(|(.., ms)| ms.iter().enumerate().map(|(i, m)| (*m, i)).collect())
            .collect();
        let (mut lost, mut missed) = (vec![], vec![]);
        let mut appends: Vec<_> =
            self.appends.iter().filter(|(_, a)| a.0.outcome.is_ok()).collect();
        appends.sort_by_key(|(m, a)| (settled(a.0), **m));
        for (message, (append, offset)) in appends {
            let begun = self.reads.partition_point(|(o, ..)| o.invoked <= settled(append));
            let covers = |i: &usize| self.reads[*i].1 <= offset.unwrap_or(0);
            let mut absent: Option<(usize, bool)> = None;
            for i in (begun..self.reads.len()).filter(covers) {
                match index[i].contains_key(message) {
                    false => absent = Some((i, false)),
                    true => absent = absent.map(|(i, _)| (i, true)),
                }
            }
            let Some((i, back)) = absent else { continue };
            let words = format!("message {}.{}", message.sender, message.sequence);
            if back { &mut missed } else { &mut lost }
                .push((words, vec![*append, self.reads[i].0]));
        }
        (lost, missed)
    }

    /// Whether any read began after the last acknowledgement.
    pub fn read_at_end(&self) -> bool {
        let acked = self.appends.values().filter(|(o, _)| o.outcome.is_ok());
        let last = acked.map(|(o, _)| settled(o)).max().unwrap_or(Time::ZERO);
        self.appends.is_empty() || self.reads.iter().any(|(o, ..)| o.invoked > last)
    }

    /// Every claim that a message stands at an offset: of several, the one that was made first.
    fn claims(&self) -> Vec<(u64, Message, &'a Operation)> {
        let acks = self.appends.iter().filter_map(|(m, (o, at))| at.map(|at| (at, *m, *o)));
        let mut all: Vec<_> = acks.collect();
        for (read, from, messages) in &self.reads {
            let at = |i: usize| from.saturating_add(i as u64);
            all.extend(messages.iter().enumerate().map(|(i, m)| (at(i), *m, *read)));
        }
        all.sort_unstable_by_key(|(at, m, o)| (*at, *m, settled(o), o.id));
        all.dedup_by_key(|(at, m, _)| (*at, *m));
        all
    }

    fn wrong(&self) -> Vec<Bad<'a>> {
        let claims = self.claims();
        let mut bad = vec![];
        if let Some(pair) = claims.windows(2).find(|p| p[0].0 == p[1].0) {
            let words = format!("readers disagree on offset {}", pair[0].0);
            bad.push((words, vec![pair[0].2, pair[1].2]));
        }
        let mut place: HashMap<Message, (u64, &Operation)> = HashMap::new();
        let (mut doubled, mut n) = (None, 0);
        for (at, message, o) in &claims {
            if let Some((first, other)) = place.insert(*message, (*at, o)) {
                let Message { sender, sequence } = message;
                let words = format!(
                    "message {sender}.{sequence} is duplicated, at offsets {first} and {at}"
                );
                doubled = doubled.or(Some((words, vec![other, *o])));
                n += 1;
            }
        }
        bad.extend(doubled.map(|(words, operations)| match n {
            1 => (words, operations),
            n => (format!("{words} (the first of {n})"), operations),
        }));
        bad.extend(claims.iter().find_map(|(_, m, o)| self.phantom(*m, o)));
        bad.extend(self.reordered(&claims));
        bad
    }

    fn phantom(&self, m: Message, seen: &'a Operation) -> Option<Bad<'a>> {
        let sent = self.appends.get(&m).map(|(o, _)| *o);
        let real = sent.is_some_and(|o| possible(o) && o.invoked <= settled(seen));
        let words = format!("message {}.{} was read, and never sent", m.sender, m.sequence);
        (!real).then(|| (words, sent.into_iter().chain([seen]).collect()))
    }

    fn reordered(&self, claims: &[(u64, Message, &'a Operation)]) -> Option<Bad<'a>> {
        // By offset; the earliest acknowledgement among what stands behind must not precede what
        // stands here.
        let mut newest: HashMap<u32, (u32, &Operation)> = HashMap::new();
        for (_, m, o) in claims {
            let last = newest.entry(m.sender).or_insert((m.sequence, o));
            if m.sequence < last.0 {
                let (later, sender) = (last.0, m.sender);
                let words = format!(
                    "messages of sender {sender} are reordered: {later} before {}",
                    m.sequence
                );
                return Some((words, vec![last.1, o]));
            }
            *last = (m.sequence, o);
        }
        let mut earliest: Option<(Time, &Operation)> = None;
        for (_, m, _) in claims.iter().rev() {
            let Some((append, _)) = self.appends.get(m) else { continue };
            if let Some((_, other)) = earliest.filter(|(acked, _)| *acked < append.invoked) {
                let words = "a message stands before one that was acknowledged before it was sent";
                return Some((words.into(), vec![other, append]));
            }
            let settled = if append.outcome.is_ok() { settled(append) } else { NEVER };
            if earliest.is_none_or(|(acked, _)| settled < acked) {
                earliest = Some((settled, append));
            }
        }
        None
    }
}

impl Check for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn check(&self, record: &Record) -> Finding {
        let logs = gather(record);
        let reads: usize = logs.values().map(|l| l.reads.len()).sum();
        let (mut bad, mut lost_messages, mut unread) = (vec![], 0, None);
        for (key, log) in &logs {
            let (lost, missed) = log.missing();
            lost_messages += lost.len();
            unread = unread.or((!log.read_at_end()).then_some(*key));
            let many = |list: &[Bad], words: &str| {
                let n = tell::count(list.len(), "message");
                format!("{n} of log k{key} {words}")
            };
            if let Some((_, operations)) = lost.first() {
                bad.push((many(&lost, "acknowledged and lost"), operations.clone()));
            }
            if let Some((_, operations)) = missed.first() {
                bad.push((many(&missed, "missed by a later read"), operations.clone()));
            }
            bad.extend(log.wrong().into_iter().map(|(w, o)| (format!("log k{key}: {w}"), o)));
        }
        let finding = match (bad.is_empty(), unread) {
            (false, _) => {
                let hidden = bad.len().saturating_sub(SAID);
                let more = if hidden > 0 { format!("; and {hidden} more") } else { String::new() };
                let words: Vec<_> = bad.iter().take(SAID).map(|b| b.0.as_str()).collect();
                Finding::fail(words.join("; ") + &more)
            }
            (true, _) if reads == 0 => Finding::inconclusive("no log was ever read"),
            (true, Some(key)) => {
                Finding::inconclusive(format!("log k{key} was not read after its last message"))
            }
            (true, None) => {
                let n: usize = logs.values().map(|l| l.appends.len()).sum();
                Finding::pass(format!(
                    "{} in order and complete in {}",
                    tell::count(n, "message"),
                    tell::count(reads, "read")
                ))
            }
        };
        let lines = bad.into_iter().take(SHOWN).flat_map(|(words, operations)| {
            std::iter::once(format!("{words}:")).chain(tell::operations(record, operations))
        });
        finding.with_evidence(lines).with_figure("lost_messages", lost_messages as f64)
    }
}
