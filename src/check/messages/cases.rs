//! The cases of each anomaly, and those of single messages and places.

use std::collections::BTreeMap;

use super::history::{Messages, Outcome, What};
use super::places::{Message, NOBODY, Place, Places};
use super::{Anomaly, Found, SHOWN};

/// What is judged.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub history: &'a Messages,
    pub places: &'a Places,
}

/// What is judged, and what was found of it.
pub struct Cases<'a> {
    pub view: View<'a>,
    /// What is excused is behind what is not.
    found: BTreeMap<(bool, Anomaly), Found>,
}

/// Collects the cases of all anomalies.
pub fn of(history: &Messages, places: &Places) -> Vec<Found> {
    let mut cases = Cases { view: View { history, places }, found: BTreeMap::new() };
    let messages = cases.view.messages();
    cases.unread(&messages);
    cases.unsent(&messages);
    cases.crowded();
    cases.several();
    cases.own();
    cases.reorders();
    cases.inside();
    cases.sends();
    cases.polls();
    let mut found: Vec<Found> = cases.found.into_values().collect();
    for own in &mut found {
        own.lines.sort_unstable();
        own.lines.dedup();
    }
    found
}

impl View<'_> {
    fn line(&self, operation: u32) -> String {
        let operation = self.history.operations().get(operation as usize);
        operation.map_or_else(String::new, |operation| format!("line {}", operation.line))
    }

    /// `5 at offset 3 (line 7)`.
    pub fn at(&self, place: Place) -> String {
        let value = self.history.value(place.value);
        format!("{value} at offset {} ({})", place.offset, self.line(place.by))
    }

    /// Of two in a row.
    pub fn followed(&self, before: Place, next: Place) -> String {
        let (log, before, next) = (self.history.key(before.key), self.at(before), self.at(next));
        format!("log {log}: {before} was followed by {next}")
    }

    /// Messages in an order that does not depend on chance.
    fn messages(&self) -> Vec<(u32, i64, Message)> {
        let all = self.places.messages.iter();
        let mut all: Vec<_> = all.map(|((key, value), m)| (*key, *value, *m)).collect();
        all.sort_unstable_by_key(|(key, value, message)| (*key, message.first, *value));
        all
    }

    /// Of each log, the message that was read furthest behind: up to there everything is to be read.
    fn bounds(&self, messages: &[(u32, i64, Message)]) -> Vec<Option<Place>> {
        let mut bounds: Vec<Option<Place>> = vec![None; self.history.keys()];
        for (key, value, message) in messages {
            if message.reader != NOBODY && message.stands() {
                let (offset, by) = (message.first, message.reader);
                let own = &mut bounds[*key as usize];
                *own = (*own).max(Some(Place { key: *key, offset, value: *value, by }));
            }
        }
        bounds
    }
}

impl Cases<'_> {
    /// Adds a case.
    pub fn add(
        &mut self,
        anomaly: Anomaly,
        excused: bool,
        operations: &[u32],
        words: impl FnOnce() -> String,
    ) {
        let empty = Found { anomaly, excused, count: 0, words: vec![], lines: vec![] };
        let all = self.view.history.operations();
        let lines = operations.iter().filter_map(|at| Some(all.get(*at as usize)?.line));
        let own = self.found.entry((excused, anomaly)).or_insert(empty);
        own.count += 1;
        if own.words.len() < SHOWN {
            own.words.push(words());
            own.lines.extend(lines);
        }
    }

    /// Lost, or not seen yet.
    fn unread(&mut self, messages: &[(u32, i64, Message)]) {
        let view = self.view;
        let bounds = view.bounds(messages);
        for (key, value, message) in messages.iter().filter(|(.., message)| !message.is_read) {
            let (key, value, by) = (*key, *value, message.sender);
            let Some(sender) = view.places.sender(view.history, message) else { continue };
            // What did not happen for certain has no place.
            let bound = bounds[key as usize].filter(|_| message.stands());
            match bound.filter(|bound| message.last <= bound.offset) {
                Some(bound) => {
                    let words = || {
                        let own = view.at(Place { key, offset: message.last, value, by });
                        let (log, other) = (view.history.key(key), view.at(bound));
                        format!("log {log}: {own} was never read, though {other} was")
                    };
                    self.add(Anomaly::LostWrite, false, &[by, bound.by], words);
                }
                None if sender.outcome == Outcome::Ok => {
                    let (log, own) = (view.history.key(key), view.history.value(value));
                    let words = || format!("log {log}: {own} ({}) was not read yet", view.line(by));
                    self.add(Anomaly::Unseen, true, &[by], words);
                }
                None => {}
            }
        }
    }

    /// Read, though never sent for certain.
    fn unsent(&mut self, messages: &[(u32, i64, Message)]) {
        let view = self.view;
        for (key, value, message) in messages.iter().filter(|(.., m)| m.reader != NOBODY) {
            let (log, own) = (view.history.key(*key), view.history.value(*value));
            let (reader, sender) = (message.reader, message.sender);
            let read = || format!("log {log}: {own} was read ({})", view.line(reader));
            match view.places.sender(view.history, message).map(|sender| sender.outcome) {
                None => {
                    let words = || format!("{}, and never sent", read());
                    self.add(Anomaly::Phantom, false, &[reader], words);
                }
                Some(Outcome::Fail) => {
                    let words =
                        || format!("{}, and failed to be sent ({})", read(), view.line(sender));
                    self.add(Anomaly::AbortedRead, false, &[reader, sender], words);
                }
                Some(_) => {}
            }
        }
    }

    /// Several messages at a place.
    fn crowded(&mut self) {
        let view = self.view;
        let places = &view.places.places;
        for own in places.chunk_by(|a, b| (a.key, a.offset) == (b.key, b.offset)) {
            let [first, second, ..] = own else { continue };
            let words = || {
                let (log, first) = (view.history.key(first.key), view.at(*first));
                format!("log {log}: {first}, and {}", view.at(*second))
            };
            self.add(Anomaly::InconsistentOffsets, false, &[first.by, second.by], words);
        }
    }

    /// Several places of a message.
    fn several(&mut self) {
        let view = self.view;
        let mut places = view.places.places.clone();
        places.retain(|place| {
            let message = view.places.messages.get(&(place.key, place.value));
            message.is_some_and(|message| message.first < message.last)
        });
        places.sort_unstable_by_key(|place| (place.key, place.value, place.offset));
        for own in places.chunk_by(|a, b| (a.key, a.value) == (b.key, b.value)) {
            let [first, .., last] = own else { continue };
            let words = || {
                let (log, first) = (view.history.key(first.key), view.at(*first));
                format!("log {log}: {first}, and {}", view.at(*last))
            };
            self.add(Anomaly::Duplicate, false, &[first.by, last.by], words);
        }
    }

    /// Polled by the operation that sends it, before that ended.
    fn own(&mut self) {
        let view = self.view;
        for (at, operation) in view.history.operations().iter().enumerate() {
            let by = at as u32;
            for act in view.history.acts(operation).iter().filter(|act| act.what == What::Read) {
                let message = view.places.messages.get(&(act.key, act.value));
                if message.is_some_and(|message| message.sender == by) {
                    let (log, own) = (view.history.key(act.key), view.history.value(act.value));
                    let words =
                        || format!("log {log}: {own} was sent and read ({})", view.line(by));
                    self.add(Anomaly::PrecommittedRead, false, &[by], words);
                }
            }
        }
    }
}
