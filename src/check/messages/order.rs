//! What was sent, or is polled, in another order than it stands.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::Anomaly;
use super::cases::{Cases, View};
use super::history::{Act, Does, What};
use super::places::Place;

/// An acknowledged send: when it was, by which process, and where it stands.
type Sent = (u64, u32, Place);

impl View<'_> {
    /// Sends that happened and of which the place is known.
    fn sent(&self) -> Vec<Place> {
        let mut sent = vec![];
        for (at, operation) in self.history.operations().iter().enumerate() {
            let sends = self.history.acts(operation).iter().filter(|act| act.what == What::Send);
            sent.extend(sends.filter_map(|act| self.place(act, at as u32)));
        }
        sent
    }

    /// Where it stands, if that is known and it happened.
    fn place(&self, act: &Act, by: u32) -> Option<Place> {
        let offset = match act.what {
            What::Send if !self.places.happened(by) => None,
            What::Send => self.places.offset(act),
            _ => act.offset,
        };
        offset.map(|offset| Place { key: act.key, offset, value: act.value, by })
    }

    /// Pairs of sends: the first was acknowledged to another process before the second began, and stands behind it.
    fn reordered(&self) -> Vec<(Place, Place)> {
        let mut sent = self.sent();
        sent.sort_unstable_by_key(|place| (place.key, Reverse(place.offset)));
        let operation = |place: &Place| self.history.operations().get(place.by as usize);
        let mut pairs = vec![];
        for own in sent.chunk_by(|a, b| a.key == b.key) {
            // Of those further behind: who was acknowledged first, and who of the other processes.
            let mut first: [Option<Sent>; 2] = [None; 2];
            for same in own.chunk_by(|a, b| a.offset == b.offset) {
                for place in same {
                    let Some(o) = operation(place) else { continue };
                    let other =
                        first.iter().flatten().find(|(_, process, _)| *process != o.process);
                    let early = other.filter(|(end, ..)| *end < o.invoked);
                    pairs.extend(early.map(|(.., early)| (*early, *place)));
                }
                for place in same {
                    let end = operation(place).and_then(|o| Some((o.returned?, o.process)));
                    if let Some((end, process)) = end {
                        keep(&mut first, (end, process, *place));
                    }
                }
            }
        }
        pairs
    }
}

/// Keeps the first of all, and the first of the other processes.
fn keep([one, two]: &mut [Option<Sent>; 2], new: Sent) {
    let earlier = |old: &Option<Sent>| old.is_none_or(|(end, ..)| new.0 < end);
    let same = |old: &Option<Sent>| old.is_some_and(|(_, process, _)| process == new.1);
    if earlier(one) {
        if !same(one) {
            *two = *one;
        }
        *one = Some(new);
    } else if !same(one) && earlier(two) {
        *two = Some(new);
    }
}

impl Cases<'_> {
    /// Sent after another was acknowledged, and before it in the log.
    pub(super) fn reorders(&mut self) {
        let view = self.view;
        for (early, late) in view.reordered() {
            let words = || {
                let (log, early, late) =
                    (view.history.key(early.key), view.at(early), view.at(late));
                format!("log {log}: {early} was acknowledged before {late} was sent")
            };
            self.add(Anomaly::RealtimeReorder, false, &[early.by, late.by], words);
        }
    }

    /// What one operation does in a row.
    pub(super) fn inside(&mut self) {
        let view = self.view;
        for (at, operation) in view.history.operations().iter().enumerate() {
            let acts = view.history.acts(operation);
            if operation.does != Does::Messages || acts.len() < 2 {
                continue;
            }
            let turned: HashSet<u32, RandomState> =
                acts.iter().filter(|act| act.what == What::Turn).map(|act| act.key).collect();
            let mut last: HashMap<(What, u32), Option<Place>, RandomState> = HashMap::default();
            for act in acts.iter().filter(|act| act.what != What::Turn) {
                let place = view.place(act, at as u32);
                let before = last.insert((act.what, act.key), place).flatten();
                let (Some(before), Some(place)) = (before, place) else { continue };
                let kinds = (Anomaly::IntPollSkip, Anomaly::IntNonmonotonicPoll);
                match act.what {
                    What::Send => self.sent_back(Anomaly::IntNonmonotonicSend, before, place),
                    _ if turned.contains(&act.key) => {}
                    _ => self.moved(kinds, before, place, false),
                }
            }
        }
    }

    /// What a process sends by one operation after the other.
    pub(super) fn sends(&mut self) {
        let view = self.view;
        let mut last: HashMap<(u32, u32), Place, RandomState> = HashMap::default();
        for place in view.sent() {
            let process = view.history.operations()[place.by as usize].process;
            let before = last.insert((process, place.key), place);
            if let Some(before) = before.filter(|before| before.by != place.by) {
                self.sent_back(Anomaly::NonmonotonicSend, before, place);
            }
        }
    }

    fn sent_back(&mut self, anomaly: Anomaly, before: Place, next: Place) {
        if next.offset <= before.offset {
            self.backwards(anomaly, before, next, false);
        }
    }

    /// Two reads in a row.
    pub(super) fn moved(
        &mut self,
        (skip, back): (Anomaly, Anomaly),
        before: Place,
        next: Place,
        excused: bool,
    ) {
        let view = self.view;
        if next.offset <= before.offset {
            return self.backwards(back, before, next, excused);
        }
        let between = view.places.between(next.key, before.offset, next.offset);
        let Some(between) = between.copied() else { return };
        let words = || format!("{}, without {}", view.followed(before, next), view.at(between));
        self.add(skip, excused, &[before.by, next.by, between.by], words);
    }

    fn backwards(&mut self, anomaly: Anomaly, before: Place, next: Place, excused: bool) {
        let view = self.view;
        self.add(anomaly, excused, &[before.by, next.by], || view.followed(before, next));
    }
}
