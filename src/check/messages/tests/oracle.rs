//! The definitions as they stand, case by case.

use std::collections::BTreeMap;

use super::super::{Act, Anomaly, Does, Messages, Operation, Outcome, Turn, What};

pub type Counts = BTreeMap<(Anomaly, bool), usize>;

struct All<'a> {
    history: &'a Messages,
    acts: Vec<(usize, Act)>,
}

impl All<'_> {
    fn operation(&self, at: usize) -> &Operation {
        &self.history.operations()[at]
    }
    fn sends(&self, key: u32, value: i64) -> Vec<usize> {
        let own = |(_, a): &&(usize, Act)| (a.what, a.key, a.value) == (What::Send, key, value);
        self.acts.iter().filter(own).map(|(at, _)| *at).collect()
    }
    fn reads(&self, key: u32, value: i64) -> Vec<usize> {
        let own = |(_, a): &&(usize, Act)| (a.what, a.key, a.value) == (What::Read, key, value);
        self.acts.iter().filter(own).map(|(at, _)| *at).collect()
    }
    fn happened(&self, at: usize) -> bool {
        let o = self.operation(at);
        let sent = self.acts.iter().filter(|(by, a)| *by == at && a.what == What::Send);
        match o.outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => sent.into_iter().any(|(_, a)| !self.reads(a.key, a.value).is_empty()),
        }
    }
    /// All that stands somewhere: log, offset, message.
    fn stands(&self) -> Vec<(u32, u64, i64)> {
        let counts =
            |at: usize, what| what == What::Read || what == What::Send && self.happened(at);
        let own = self.acts.iter().filter(|(at, a)| counts(*at, a.what));
        let mut all: Vec<_> = own.filter_map(|(_, a)| Some((a.key, a.offset?, a.value))).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
    fn offsets(&self, key: u32, value: i64) -> Vec<u64> {
        let own = |(k, _, v): &&(u32, u64, i64)| (*k, *v) == (key, value);
        self.stands().iter().filter(own).map(|(_, offset, _)| *offset).collect()
    }
    /// How a move from one offset to another is wrong.
    fn step(&self, key: u32, from: Option<u64>, to: Option<u64>) -> Option<bool> {
        let (from, to) = (from?, to?);
        let between = |(k, o, _): &(u32, u64, i64)| *k == key && from < *o && *o < to;
        if to <= from {
            return Some(false);
        }
        self.stands().iter().any(between).then_some(true)
    }
}

pub fn counts(history: &Messages) -> Counts {
    let operations = history.operations().iter().enumerate();
    let acts = operations.flat_map(|(at, o)| history.acts(o).iter().map(move |act| (at, *act)));
    let all = All { history, acts: acts.collect() };
    let mut counts = Counts::new();
    let mut add = |anomaly, excused| *counts.entry((anomaly, excused)).or_default() += 1;
    for (key, value) in messages(&all) {
        of_message(&all, key, value, &mut add);
    }
    let stands = all.stands();
    let mut places: Vec<(u32, u64)> =
        stands.iter().map(|(key, offset, _)| (*key, *offset)).collect();
    places.dedup();
    for (key, offset) in places {
        if stands.iter().filter(|(k, o, _)| (*k, *o) == (key, offset)).count() > 1 {
            add(Anomaly::InconsistentOffsets, false);
        }
    }
    for (at, act) in all.acts.iter().filter(|(_, act)| act.what == What::Read) {
        // Who did not fail, or else the first who did.
        let sends = all.sends(act.key, act.value);
        let failed = |at: &&usize| all.operation(**at).outcome == Outcome::Fail;
        let sender = sends.iter().find(|at| !failed(at)).or(sends.first());
        if sender == Some(at) {
            add(Anomaly::PrecommittedRead, false);
        }
    }
    of_sends(&all, &mut add);
    of_polls(&all, &mut add);
    counts
}

fn messages(all: &All) -> Vec<(u32, i64)> {
    let own = all.acts.iter().filter(|(_, a)| a.what != What::Turn);
    let mut messages: Vec<(u32, i64)> = own.map(|(_, a)| (a.key, a.value)).collect();
    messages.sort_unstable();
    messages.dedup();
    messages
}

fn of_message(all: &All, key: u32, value: i64, add: &mut impl FnMut(Anomaly, bool)) {
    let sends = all.sends(key, value);
    let reads = all.reads(key, value);
    let ok_read =
        |value| all.reads(key, value).iter().any(|at| all.operation(*at).outcome == Outcome::Ok);
    let offsets = all.offsets(key, value);
    if offsets.len() > 1 {
        add(Anomaly::Duplicate, false);
    }
    if ok_read(value) && sends.is_empty() {
        add(Anomaly::Phantom, false);
    }
    let failed = |at: &usize| all.operation(*at).outcome == Outcome::Fail;
    if ok_read(value) && !sends.is_empty() && sends.iter().all(failed) {
        add(Anomaly::AbortedRead, false);
    }
    let Some(sender) = sends.iter().find(|at| all.happened(**at)) else { return };
    if !reads.is_empty() {
        return;
    }
    let read = messages(all).into_iter().filter(|(k, v)| *k == key && ok_read(*v));
    let bound = read.filter_map(|(_, v)| all.offsets(key, v).into_iter().min()).max();
    match offsets.last() {
        Some(last) if bound.is_some_and(|bound| *last <= bound) => add(Anomaly::LostWrite, false),
        _ if all.operation(*sender).outcome == Outcome::Ok => add(Anomaly::Unseen, true),
        _ => {}
    }
}

fn of_sends(all: &All, add: &mut impl FnMut(Anomaly, bool)) {
    let sends = all.acts.iter().filter(|(at, a)| a.what == What::Send && all.happened(*at));
    let mut sent: Vec<(usize, Act)> = sends.copied().collect();
    for (_, act) in &mut sent {
        if let (None, [only]) = (act.offset, all.offsets(act.key, act.value).as_slice()) {
            act.offset = Some(*only);
        }
    }
    sent.retain(|(_, act)| act.offset.is_some());
    for (i, (at, act)) in sent.iter().enumerate() {
        let process = all.operation(*at).process;
        let own =
            |(by, a): &&(usize, Act)| a.key == act.key && all.operation(*by).process == process;
        if let Some((by, before)) = sent[..i].iter().rev().find(own)
            && act.offset <= before.offset
        {
            let inside = by == at;
            let kinds = [Anomaly::NonmonotonicSend, Anomaly::IntNonmonotonicSend];
            add(kinds[usize::from(inside)], false);
        }
        let early = |(by, a): &&(usize, Act)| {
            let o = all.operation(*by);
            a.key == act.key
                && o.process != process
                && a.offset > act.offset
                && o.returned.is_some_and(|end| end < all.operation(*at).invoked)
        };
        if sent.iter().any(|other| early(&other)) {
            add(Anomaly::RealtimeReorder, false);
        }
    }
}

fn of_polls(all: &All, add: &mut impl FnMut(Anomaly, bool)) {
    for (at, operation) in all.history.operations().iter().enumerate() {
        let acts = all.history.acts(operation);
        if operation.does != Does::Messages {
            continue;
        }
        for (i, act) in acts.iter().enumerate().filter(|(_, act)| act.what == What::Read) {
            let own = |a: &&Act| a.what == What::Read && a.key == act.key;
            let turned = |a: &Act| a.what == What::Turn && a.key == act.key;
            let before = acts[..i].iter().rev().find(own);
            if acts.iter().any(turned) {
                continue;
            }
            if let Some(before) = before {
                match all.step(act.key, before.offset, act.offset) {
                    Some(true) => add(Anomaly::IntPollSkip, false),
                    Some(false) => add(Anomaly::IntNonmonotonicPoll, false),
                    None => {}
                }
            }
            if acts[..i].iter().filter(own).any(|a| a.offset.is_some()) || act.offset.is_none() {
                continue;
            }
            let (from, subscribed) = position(all, at, act.key);
            match all.step(act.key, from, act.offset) {
                Some(true) => add(Anomaly::PollSkip, subscribed),
                Some(false) => add(Anomaly::NonmonotonicPoll, subscribed),
                None => {}
            }
        }
    }
}

/// Where a process is in a log before an operation, and whether it has subscribed.
fn position(all: &All, at: usize, key: u32) -> (Option<u64>, bool) {
    let process = all.operation(at).process;
    let mut subscribed = None;
    let mut known = true;
    let mut from = None;
    for operation in all.history.operations()[..at].iter().rev().filter(|o| o.process == process) {
        let acts = all.history.acts(operation);
        let named = acts.iter().any(|a| a.key == key && a.what == What::Turn);
        let ok = operation.outcome == Outcome::Ok;
        match operation.does {
            Does::Turns(turn) => {
                if turn == Turn::Restart || operation.outcome != Outcome::Fail {
                    subscribed = subscribed.or(Some(turn == Turn::Subscribe));
                }
                let forgets = turn == Turn::Restart || operation.outcome == Outcome::Info;
                known &= !(forgets || ok && !named);
            }
            Does::Messages => {
                let mut reads = acts.iter().rev().filter(|a| a.key == key && a.what == What::Read);
                let last = reads.find_map(|a| a.offset);
                if known && ok && from.is_none() {
                    from = last;
                }
                known &= from.is_none() && !named;
            }
        }
    }
    (from, subscribed.unwrap_or(false))
}
