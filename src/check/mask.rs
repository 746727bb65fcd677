//! Sets of slots, each the place of an operation in flight: one machine word where that is wide enough, two, or as
//! many as it takes.

use std::fmt::Debug;
use std::hash::Hash;

/// A set of slots.
pub(super) trait Mask: Clone + Eq + Hash + Default + Debug {
    fn has(&self, slot: u32) -> bool;
    fn set(&mut self, slot: u32);
    fn clear(&mut self, slot: u32);
    /// Adds all of the others.
    fn join(&mut self, other: &Self);
    /// Takes all of the others away.
    fn remove(&mut self, other: &Self);
    fn common(&self, other: &Self) -> Self;
    fn meets(&self, other: &Self) -> bool;
    fn within(&self, other: &Self) -> bool;
    /// The lowest slot from this one on.
    fn next(&self, from: u32) -> Option<u32>;
    /// What it takes besides itself, in bytes.
    fn bytes(&self) -> usize;
}

/// All slots of a set, ascending.
pub(super) fn slots<M: Mask>(mask: &M) -> impl Iterator<Item = u32> {
    std::iter::successors(mask.next(0), |slot| mask.next(slot + 1))
}

macro_rules! word {
    ($word:ty) => {
        impl Mask for $word {
            fn has(&self, slot: u32) -> bool {
                self >> slot & 1 != 0
            }
            fn set(&mut self, slot: u32) {
                *self |= 1 << slot;
            }
            fn clear(&mut self, slot: u32) {
                *self &= !(1 << slot);
            }
            fn join(&mut self, other: &Self) {
                *self |= other;
            }
            fn remove(&mut self, other: &Self) {
                *self &= !other;
            }
            fn common(&self, other: &Self) -> Self {
                self & other
            }
            fn meets(&self, other: &Self) -> bool {
                self & other != 0
            }
            fn within(&self, other: &Self) -> bool {
                self & !other == 0
            }
            fn next(&self, from: u32) -> Option<u32> {
                let left = self & <$word>::MAX.checked_shl(from)?;
                (left != 0).then(|| left.trailing_zeros())
            }
            fn bytes(&self) -> usize {
                0
            }
        }
    };
}

word!(u64);
word!(u128);

/// Any number of slots; the first 64 take no memory besides. The last of the words behind them is never 0, so that
/// equal sets are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Wide {
    low: u64,
    high: Vec<u64>,
}

impl Wide {
    fn words(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.low).chain(self.high.iter().copied())
    }
    fn trim(&mut self) {
        while self.high.last() == Some(&0) {
            self.high.pop();
        }
    }
    fn word(&mut self, slot: u32) -> Option<&mut u64> {
        match (slot / 64) as usize {
            0 => Some(&mut self.low),
            word => self.high.get_mut(word - 1),
        }
    }
}

impl Mask for Wide {
    fn has(&self, slot: u32) -> bool {
        self.words().nth((slot / 64) as usize).is_some_and(|word| word.has(slot % 64))
    }
    fn set(&mut self, slot: u32) {
        let words = (slot / 64) as usize;
        if self.high.len() < words {
            self.high.resize(words, 0);
        }
        if let Some(word) = self.word(slot) {
            word.set(slot % 64);
        }
    }
    fn clear(&mut self, slot: u32) {
        if let Some(word) = self.word(slot) {
            word.clear(slot % 64);
            self.trim();
        }
    }
    fn join(&mut self, other: &Self) {
        self.low |= other.low;
        if self.high.len() < other.high.len() {
            self.high.resize(other.high.len(), 0);
        }
        self.high.iter_mut().zip(&other.high).for_each(|(own, other)| *own |= other);
    }
    fn remove(&mut self, other: &Self) {
        self.low &= !other.low;
        self.high.iter_mut().zip(&other.high).for_each(|(own, other)| *own &= !other);
        self.trim();
    }
    fn common(&self, other: &Self) -> Self {
        let high = self.high.iter().zip(&other.high).map(|(a, b)| a & b).collect();
        let mut common = Wide { low: self.low & other.low, high };
        common.trim();
        common
    }
    fn meets(&self, other: &Self) -> bool {
        self.words().zip(other.words()).any(|(a, b)| a & b != 0)
    }
    fn within(&self, other: &Self) -> bool {
        let fits = self.high.len() <= other.high.len();
        fits && self.words().zip(other.words()).all(|(a, b)| a & !b == 0)
    }
    fn next(&self, from: u32) -> Option<u32> {
        let first = from / 64;
        let words = (0u32..).zip(self.words()).skip(first as usize);
        words
            .map(|(at, word)| {
                (at, if at == first { word & (u64::MAX << (from % 64)) } else { word })
            })
            .find(|(_, word)| *word != 0)
            .map(|(at, word)| at * 64 + word.trailing_zeros())
    }
    fn bytes(&self) -> usize {
        self.high.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of<M: Mask>(all: &BTreeSet<u32>) -> M {
        let mut mask = M::default();
        all.iter().for_each(|slot| mask.set(*slot));
        mask
    }

    fn agrees<M: Mask>(a: &BTreeSet<u32>, b: &BTreeSet<u32>, slot: u32) {
        let (x, y): (M, M) = (of(a), of(b));
        assert_eq!(slots(&x).collect::<BTreeSet<_>>(), *a);
        assert_eq!(x.has(slot), a.contains(&slot));
        assert_eq!(x.within(&y), a.is_subset(b));
        assert_eq!(x.meets(&y), !a.is_disjoint(b));
        assert_eq!(x.next(slot), a.range(slot..).next().copied());
        assert_eq!(x.common(&y), of(&(a & b)));
        let mut z = x.clone();
        z.join(&y);
        assert_eq!(z, of(&(a | b)));
        z.remove(&y);
        assert_eq!(z, of(&(a - b)));
        z.set(slot);
        z.clear(slot);
        assert!(!z.has(slot));
        assert_eq!(x == y, a == b);
    }

    proptest! {
        #[test]
        fn masks_are_sets(
            a in proptest::collection::btree_set(0u32..64, 0..9),
            b in proptest::collection::btree_set(0u32..64, 0..9),
            slot in 0u32..64,
        ) {
            agrees::<u64>(&a, &b, slot);
            agrees::<u128>(&a.iter().map(|s| s * 2).collect(), &b.iter().map(|s| s * 2).collect(), slot);
            agrees::<Wide>(&a.iter().map(|s| s * 5).collect(), &b.iter().map(|s| s * 5).collect(), slot);
        }
    }
}
