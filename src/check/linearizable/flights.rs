//! What is in flight at a place in the history. It moves from event to event, forwards and back, at O(1) each, so that
//! no copy of it need be kept for each return: O(width + values) in memory.

use super::prepared::{Action, Event, JUNK_CLASS, Prepared, Value};
use crate::check::mask::Mask;

/// See the module.
pub(super) struct Flights<'a, M> {
    pub of: &'a Prepared,
    /// How many events are behind.
    at: u32,
    /// The operation in each slot; what has returned stays there until the next one comes.
    occupant: Vec<u32>,
    /// By value, who found it; and who did not find it.
    reads: Vec<M>,
    missed: Vec<M>,
    all_missed: M,
    pub writes: M,
    pub swaps: M,
    /// By class, how many were invoked.
    pub invoked: Vec<u32>,
}

/// The next return, and what is called before it.
pub(super) struct Next<M> {
    pub event: u32,
    pub slot: u32,
    pub op: u32,
    /// Those that set something, and those that only observe.
    pub setters: M,
    pub observers: M,
}

impl<'a, M: Mask> Flights<'a, M> {
    pub fn new(of: &'a Prepared) -> Flights<'a, M> {
        let values = of.setting.len();
        Flights {
            of,
            at: 0,
            occupant: vec![0; of.width as usize],
            reads: vec![M::default(); values],
            missed: vec![M::default(); values],
            all_missed: M::default(),
            writes: M::default(),
            swaps: M::default(),
            invoked: vec![0; of.classes.len()],
        }
    }

    pub fn action(&self, slot: u32) -> Action {
        self.of.actions[self.occupant[slot as usize] as usize]
    }

    /// Goes to the next return, not past it. `None`: there is none.
    pub fn next(&mut self) -> Option<Next<M>> {
        let (mut setters, mut observers) = (M::default(), M::default());
        while let Some(event) = self.of.events.get(self.at as usize) {
            match *event {
                Event::Call { slot, op } => match self.of.actions[op as usize] {
                    Action::Write(_) | Action::Swap(..) => setters.set(slot),
                    Action::Read(_) | Action::Missed(_) => observers.set(slot),
                },
                Event::Return { slot, op } => {
                    return Some(Next { event: self.at, slot, op, setters, observers });
                }
                Event::Unknown { .. } | Event::Retire { .. } => {}
            }
            self.forwards(*event);
        }
        None
    }

    /// Goes past one event.
    pub fn pass(&mut self) {
        if let Some(event) = self.of.events.get(self.at as usize) {
            self.forwards(*event);
        }
    }

    /// Goes to where so many events are behind.
    pub fn seek(&mut self, at: u32) {
        while self.at < at {
            self.pass();
        }
        while self.at > at {
            self.at -= 1;
            match self.of.events[self.at as usize] {
                Event::Call { slot, op } => self.leave(slot, op),
                Event::Return { slot, op } => self.enter(slot, op),
                Event::Unknown { class } => self.invoked[class as usize] -= 1,
                Event::Retire { class, count } => {
                    self.invoked[class as usize] += count;
                    self.invoked[JUNK_CLASS as usize] -= count;
                }
            }
        }
    }

    fn forwards(&mut self, event: Event) {
        self.at += 1;
        match event {
            Event::Call { slot, op } => self.enter(slot, op),
            Event::Return { slot, op } => self.leave(slot, op),
            Event::Unknown { class } => self.invoked[class as usize] += 1,
            Event::Retire { class, count } => {
                self.invoked[class as usize] -= count;
                self.invoked[JUNK_CLASS as usize] += count;
            }
        }
    }

    fn enter(&mut self, slot: u32, op: u32) {
        self.occupant[slot as usize] = op;
        match self.of.actions[op as usize] {
            Action::Read(value) => self.reads[value as usize].set(slot),
            Action::Missed(value) => {
                self.missed[value as usize].set(slot);
                self.all_missed.set(slot);
            }
            Action::Write(_) => self.writes.set(slot),
            Action::Swap(..) => self.swaps.set(slot),
        }
    }

    fn leave(&mut self, slot: u32, op: u32) {
        match self.of.actions[op as usize] {
            Action::Read(value) => self.reads[value as usize].clear(slot),
            Action::Missed(value) => {
                self.missed[value as usize].clear(slot);
                self.all_missed.clear(slot);
            }
            Action::Write(_) => self.writes.clear(slot),
            Action::Swap(..) => self.swaps.clear(slot),
        }
    }

    /// Takes those away whose observation the value suits.
    pub fn suit(&self, owed: &mut M, value: Value) {
        let reads = &self.reads[value as usize];
        owed.remove(reads);
        if owed.meets(&self.all_missed) {
            let missed = owed.common(&self.missed[value as usize]);
            owed.remove(&self.all_missed);
            owed.join(&missed);
        }
    }

    /// Whether some of them must not find the value.
    pub fn must_change(&self, owed: &M, value: Value) -> bool {
        owed.meets(&self.missed[value as usize])
    }
}
