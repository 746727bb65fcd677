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

/// Any number of slots. The last word is never 0, so that equal sets are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Wide(Vec<u64>);

impl Wide {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl Mask for Wide {
    fn has(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 != 0)
    }
    fn set(&mut self, slot: u32) {
        let at = slot as usize / 64;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (slot % 64);
    }
    fn clear(&mut self, slot: u32) {
        if let Some(word) = self.0.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
            self.trim();
        }
    }
    fn join(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }
    fn remove(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own &= !other);
        self.trim();
    }
    fn common(&self, other: &Self) -> Self {
        let mut common = Wide(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect());
        common.trim();
        common
    }
    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }
    fn within(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }
    fn next(&self, from: u32) -> Option<u32> {
        let first = from as usize / 64;
        let mut word = self.0.get(first)? & (u64::MAX << (from % 64));
        let mut at = first;
        while word == 0 {
            at += 1;
            word = *self.0.get(at)?;
        }
        Some(at as u32 * 64 + word.trailing_zeros())
    }
    fn bytes(&self) -> usize {
        self.0.capacity() * 8
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
