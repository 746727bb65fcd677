//! Objects that only grow, some in use at a time: each is left for a fresh one after a number of additions.
//! (Jepsen and Elle do the same, so that reads stay short and histories can be judged.)

use super::Chance;
use crate::history::Key;

pub(super) struct Rolling {
    in_use: Vec<Object>,
    next: Key,
    limit: u32,
}

struct Object {
    key: Key,
    additions: u32,
}

impl Rolling {
    /// `width` objects at a time, each with at most `limit` additions.
    pub(super) fn new(width: u32, limit: u32) -> Self {
        let in_use = (0..width).map(|key| Object { key, additions: 0 }).collect();
        Rolling { in_use, next: width, limit }
    }

    /// An object to read.
    pub(super) fn pick(&self, chance: &mut Chance) -> Key {
        self.in_use[chance.below(self.in_use.len() as u32) as usize].key
    }

    /// An object to add to, and how many additions it had before.
    pub(super) fn add(&mut self, chance: &mut Chance) -> (Key, u32) {
        let place = chance.below(self.in_use.len() as u32) as usize;
        let object = &mut self.in_use[place];
        if object.additions >= self.limit {
            *object = Object { key: self.next, additions: 0 };
            self.next += 1;
        }
        object.additions += 1;
        (object.key, object.additions - 1)
    }

    /// Every object that was ever in use.
    pub(super) fn used(&self) -> std::ops::Range<Key> {
        0..self.next
    }
}
