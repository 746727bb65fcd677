//! How a packet fares: what chance does to it, by the shares of its link.

use rand::{Rng, RngExt};

use crate::condition::Link;
use crate::quantity::{Ratio, Span};

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fate {
    /// It arrives at all.
    pub(super) arrives: bool,
    /// It arrives twice.
    pub(super) twice: bool,
    /// At which share of its bits one is flipped.
    pub(super) flipped: Option<f64>,
    /// It is spared the added time.
    pub(super) overtakes: bool,
}

/// The chances of one link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chances {
    loss: Lot,
    duplicate: Lot,
    corrupt: Lot,
    reorder: Lot,
}

impl Chances {
    pub(super) fn draw(&mut self, link: &Link, random: &mut impl Rng) -> Fate {
        let bursts = link.correlation;
        let flipped = self.corrupt.draw(link.corrupt, bursts, random);
        Fate {
            arrives: !self.loss.draw(link.loss, bursts, random),
            twice: self.duplicate.draw(link.duplicate, bursts, random),
            flipped: flipped.then(|| random.random_range(0.0..1.0)),
            overtakes: self.reorder.draw(link.reorder, bursts, random),
        }
    }
}

/// A chance that remembers how it fell. A two-state Markov chain: with the chance of `correlation` it falls as
/// before, else anew. So one packet's fate correlates with the next one's by just that, and the share stays what it
/// is in the long run. (The average of a new and an old random number, as some have it, distorts the share.)
#[derive(Debug, Clone, Copy, Default)]
struct Lot {
    last: Option<bool>,
}

impl Lot {
    fn draw(&mut self, share: Ratio, correlation: Ratio, random: &mut impl Rng) -> bool {
        // What is certain is so at once, whatever became of the packet before it under another share.
        if share == Ratio::NONE || share == Ratio::ALL {
            self.last = None;
            return share == Ratio::ALL;
        }
        let again = self.last.filter(|_| random.random_bool(correlation.fraction()));
        let fell = again.unwrap_or_else(|| random.random_bool(share.fraction()));
        self.last = Some(fell);
        fell
    }
}

/// The time that is added to a packet.
pub(super) fn added(link: &Link, random: &mut impl Rng) -> std::time::Duration {
    let (Span(latency), Span(jitter)) = (link.latency, link.jitter);
    if jitter.is_zero() {
        return latency;
    }
    (latency + jitter.mul_f64(random.random_range(0.0..=2.0))).saturating_sub(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const PACKETS: u32 = 200_000;

    fn fates(loss: f64, correlation: f64) -> Vec<bool> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let (loss, correlation) = (Ratio::new(loss), Ratio::new(correlation));
        let link = Link { loss, correlation, ..Link::default() };
        let mut chances = Chances::default();
        (0..PACKETS).map(|_| !chances.draw(&link, &mut random).arrives).collect()
    }

    #[test]
    fn the_share_is_what_is_asked_whatever_the_correlation() {
        for correlation in [0.0, 0.25, 0.9] {
            let lost = fates(0.3, correlation).iter().filter(|lost| **lost).count();
            let share = lost as f64 / f64::from(PACKETS);
            assert!((0.28..0.32).contains(&share), "{share} at {correlation}");
        }
    }

    #[test]
    fn what_is_certain_heeds_no_packet_of_before() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..100 {
            let mut lot = Lot::default();
            let bursts = Ratio::new(0.5);
            lot.draw(Ratio::new(0.1), bursts, &mut random);
            assert!(lot.draw(Ratio::ALL, bursts, &mut random));
            assert!(!lot.draw(Ratio::NONE, bursts, &mut random));
        }
    }

    #[test]
    fn with_correlation_a_packet_fares_as_the_one_before_it() {
        let after_a_loss = |correlation| {
            let fates = fates(0.3, correlation);
            let after: Vec<bool> = fates.windows(2).filter(|w| w[0]).map(|w| w[1]).collect();
            after.iter().filter(|lost| **lost).count() as f64 / after.len() as f64
        };
        // In a Markov chain: correlation + (1 - correlation) x share.
        assert!((0.28..0.32).contains(&after_a_loss(0.0)));
        assert!((0.63..0.67).contains(&after_a_loss(0.5)));
    }

    #[test]
    fn no_share_is_never_and_a_whole_share_always() {
        assert!(fates(0.0, 0.5).iter().all(|lost| !lost));
        assert!(fates(1.0, 0.5).iter().all(|lost| *lost));
    }

    #[test]
    fn jitter_varies_the_time_to_both_sides_and_never_below_nothing() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let link = |latency, jitter| Link {
            latency: Span::millis(latency),
            jitter: Span::millis(jitter),
            ..Link::default()
        };
        let mut times = |link: Link| -> Vec<u128> {
            (0..1000).map(|_| added(&link, &mut random).as_millis()).collect()
        };
        let around = times(link(50, 20));
        assert!(around.iter().all(|ms| (30..=70).contains(ms)));
        assert!(around.iter().any(|ms| *ms < 35) && around.iter().any(|ms| *ms > 65));
        assert!(times(link(5, 20)).iter().all(|ms| *ms <= 25));
        assert!(times(link(50, 0)).iter().all(|ms| *ms == 50));
    }
}
