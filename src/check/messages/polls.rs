//! What a process polls by one operation after the other.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::Anomaly;
use super::cases::Cases;
use super::history::{Act, Does, Operation, Outcome, Turn, What};
use super::places::Place;

/// Where a process is in the logs that it polls.
#[derive(Default)]
struct Position {
    last: HashMap<u32, Place, RandomState>,
    subscribed: bool,
}

impl Position {
    /// What changes where it is.
    fn turn(&mut self, turn: Turn, operation: &Operation, logs: &[Act]) {
        match (turn, operation.outcome) {
            (Turn::Restart, _) | (_, Outcome::Info) => self.last.clear(),
            (_, Outcome::Fail) => return,
            _ => {
                let kept: HashSet<u32, RandomState> = logs.iter().map(|act| act.key).collect();
                self.last.retain(|key, _| kept.contains(key));
            }
        }
        self.subscribed = turn == Turn::Subscribe;
    }
}

impl Cases<'_> {
    pub(super) fn polls(&mut self) {
        let view = self.view;
        let mut positions: HashMap<u32, Position, RandomState> = HashMap::default();
        for (at, operation) in view.history.operations().iter().enumerate() {
            let position = positions.entry(operation.process).or_default();
            match operation.does {
                Does::Turns(turn) => position.turn(turn, operation, view.history.acts(operation)),
                Does::Messages => self.poll(position, at as u32, operation),
            }
        }
    }

    fn poll(&mut self, position: &mut Position, by: u32, operation: &Operation) {
        let view = self.view;
        let mut last: HashMap<u32, Place, RandomState> = HashMap::default();
        for act in view.history.acts(operation) {
            match (act.what, act.offset) {
                (What::Turn, _) => drop(position.last.remove(&act.key)),
                (What::Read, Some(offset)) => {
                    let place = Place { key: act.key, offset, value: act.value, by };
                    let first = last.insert(act.key, place).is_none();
                    let before = position.last.get(&act.key).filter(|_| first);
                    if let Some(before) = before.copied() {
                        let kinds = (Anomaly::PollSkip, Anomaly::NonmonotonicPoll);
                        self.moved(kinds, before, place, position.subscribed);
                    }
                }
                _ => {}
            }
        }
        if operation.outcome == Outcome::Ok {
            position.last.extend(last);
        }
    }
}
