//! Numbers for values, from 1 on, as they turn up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Numbers that were given out.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<i64, u32, BuildHasherDefault<Mix>>);

impl Numbers {
    /// The number of this value.
    pub fn of(&mut self, value: i64) -> u32 {
        let next = self.0.len() as u32 + 1;
        *self.0.entry(value).or_insert(next)
    }
}

/// A value is one word: a multiplication and a fold spread it well enough (Knuth, "The Art of Computer Programming",
/// volume 3, section 6.4). Whoever makes a history that collides makes himself wait.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_number_and_no_other_has_it() {
        let mut numbers = Numbers::default();
        let values: Vec<i64> = (0..1000).map(|n| (n - 500) << 40).collect();
        let given: Vec<u32> = values.iter().map(|value| numbers.of(*value)).collect();
        assert_eq!(given, (1..=1000).collect::<Vec<_>>());
        assert_eq!(values.iter().map(|value| numbers.of(*value)).collect::<Vec<_>>(), given);
    }
}
