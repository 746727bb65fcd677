//! Seeded chance: ChaCha8 by name, one stream for each purpose, so that a fault that is added at the end of a
//! scenario changes none of the earlier choices.
//!
//! Invariant: the same seed and purpose give the same draws for ever. So the sampling is spelled out here
//! and not left to rand's distributions, which may change between its releases.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::quantity::{Span, SpanRange};

/// One stream of seeded choices.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of this seed for this purpose.
    pub fn new(seed: u64, purpose: &str) -> Draw {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(fnv1a_64(purpose.as_bytes()));
        Draw(rng)
    }

    /// A seed for a stream of its own.
    pub fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number from 0 to below `bound`, each as likely; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        // Rejects the incomplete last copy of the range, so that no number is favoured.
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.0.next_u64();
            if number < limit {
                return number % bound;
            }
        }
    }

    /// One of these; `None` of none.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Puts these into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// A span of the range, to the millisecond; both ends may be drawn.
    pub fn span(&mut self, range: SpanRange) -> Span {
        if range.low == range.high {
            return range.low;
        }
        let (low, high) = (range.low.0.as_millis() as u64, range.high.0.as_millis() as u64);
        Span::millis(low + self.below(high - low + 1)).clamp(range.low, range.high)
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): stable, short, not meant against an adversary.
fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choices_of_a_seed_are_the_same_in_every_release() {
        let mut draw = Draw::new(7, "fault/0/nodes");
        let drawn: Vec<u64> = (0..6).map(|_| draw.below(100)).collect();
        assert_eq!(drawn, [97, 30, 49, 30, 97, 84]);
    }

    #[test]
    fn purposes_do_not_share_a_stream() {
        let (mut a, mut b) = (Draw::new(7, "a"), Draw::new(7, "b"));
        assert_ne!(a.seed(), b.seed());
    }

    #[test]
    fn a_span_stays_in_its_range_and_reaches_both_ends() {
        let range = SpanRange { low: Span::millis(5), high: Span::millis(8) };
        let mut draw = Draw::new(1, "span");
        let drawn: std::collections::BTreeSet<u128> =
            (0..200).map(|_| draw.span(range).0.as_millis()).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8]);
    }
}
