//! Numbers for values, as they turn up: 0 for what a register holds at first, and from 1 on for the others.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Numbers that were given out.
#[derive(Debug)]
pub(super) struct Numbers {
    given: HashMap<i64, u32, RandomState>,
    next: u32,
    /// Whether a register holds nothing at first.
    pub unset: bool,
}

impl Numbers {
    /// None given out yet but that of what a register holds at first, if that is a value.
    pub fn after(initial: Option<i64>) -> Numbers {
        let given = initial.map(|value| (value, 0)).into_iter().collect();
        Numbers { given, next: 1, unset: initial.is_none() }
    }

    /// The number of this value.
    pub fn of(&mut self, value: i64) -> u32 {
        *self.given.entry(value).or_insert_with(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_number_and_no_other_has_it() {
        let mut numbers = Numbers::after(None);
        let values: Vec<i64> = (0..1000).map(|n| (n - 500) << 40).collect();
        let given: Vec<u32> = values.iter().map(|value| numbers.of(*value)).collect();
        assert_eq!(given, (1..=1000).collect::<Vec<_>>());
        assert_eq!(values.iter().map(|value| numbers.of(*value)).collect::<Vec<_>>(), given);
        let mut numbers = Numbers::after(Some(7));
        assert_eq!([7, 8, 7, 9].map(|value| numbers.of(value)), [0, 1, 0, 2]);
    }
}
