//! What is in flight at a place in the history.

use super::state::{Mask, Value, bit, slots};

/// What an operation does to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Action {
    /// It found this value.
    Read(Value),
    /// It set this value.
    Write(i64),
    /// It found the first value and set the second one.
    Swap(i64, i64),
    /// A compare-and-set that did not find this value.
    Missed(i64),
}

impl Action {
    /// The value that it sets.
    pub fn sets(self) -> Option<i64> {
        match self {
            Action::Write(to) | Action::Swap(_, to) => Some(to),
            Action::Read(_) | Action::Missed(_) => None,
        }
    }

    /// The value that it asks for.
    pub fn asks(self) -> Option<i64> {
        match self {
            Action::Read(Value::Is(value)) | Action::Swap(value, _) | Action::Missed(value) => {
                Some(value)
            }
            Action::Read(_) | Action::Write(_) => None,
        }
    }

    /// The value after it, where it can take effect and sets one.
    pub fn applied(self, before: Value) -> Option<Value> {
        match self {
            Action::Write(to) => Some(Value::Is(to)),
            Action::Swap(from, to) => (before == Value::Is(from)).then_some(Value::Is(to)),
            Action::Read(_) | Action::Missed(_) => None,
        }
    }
}

/// Operations in flight, as far as it is known what they do.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights {
    actions: Vec<Option<Action>>,
    pub writes: Mask,
    pub swaps: Mask,
}

impl Flights {
    pub fn enter(&mut self, slot: u32, action: Action) {
        let place = slot as usize;
        if self.actions.len() <= place {
            self.actions.resize(place + 1, None);
        }
        self.actions[place] = Some(action);
        match action {
            Action::Write(_) => self.writes |= bit(slot),
            Action::Swap(..) => self.swaps |= bit(slot),
            Action::Read(_) | Action::Missed(_) => {}
        }
    }

    pub fn leave(&mut self, slot: u32) {
        if let Some(action) = self.actions.get_mut(slot as usize) {
            *action = None;
        }
        self.writes &= !bit(slot);
        self.swaps &= !bit(slot);
    }

    pub fn action(&self, slot: u32) -> Option<Action> {
        self.actions.get(slot as usize).copied().flatten()
    }

    /// All that is known to be in flight.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.actions.iter().copied().flatten()
    }

    /// Without those whose observation the value suits.
    pub fn suit(&self, owed: Mask, value: Value) -> Mask {
        let observers = owed & !self.writes & !self.swaps;
        let suited = slots(observers).filter(|slot| match self.action(*slot) {
            Some(Action::Read(found)) => found == value,
            Some(Action::Missed(other)) => Value::Is(other) != value,
            _ => false,
        });
        suited.fold(owed, |owed, slot| owed & !bit(slot))
    }

    /// Whether some of them must not find the value.
    pub fn must_change(&self, owed: Mask, value: Value) -> bool {
        slots(owed).any(|slot| match self.action(slot) {
            Some(Action::Missed(other)) => Value::Is(other) == value,
            _ => false,
        })
    }
}
