//! Chance as netem draws it, told so that each share is what was asked. Pure.
//!
//! netem has two ways for chance in bursts. For loss there is a two-state Markov chain, which is just what
//! [`Link::correlation`](crate::condition::Link::correlation) means. For the others it compares with a threshold the
//! average of a new random number and the last average, weighted by the correlation: such averages crowd around the
//! middle, so that a threshold at the share itself would meet the wrong share. The threshold is therefore the
//! share's quantile of these averages.

use crate::quantity::Ratio;

/// The strongest correlation that netem is told: at 1 the first packet would decide for all.
const CORRELATION_MAX: f64 = 0.95;
/// How finely the distribution of averages is computed.
const STEPS: usize = 2000;
/// When it has settled.
const SETTLED: f64 = 1e-7;

/// A chance as netem is told it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lot {
    /// It falls if the random number is at most this; 0 is never.
    pub(super) threshold: u32,
    /// How much of the last number is in the next.
    pub(super) correlation: u32,
}

/// Loss in bursts: the chance to begin to lose, and to end it, at each packet (`tc-netem`'s `gemodel`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bursts {
    pub(super) begin: u32,
    pub(super) end: u32,
}

impl Lot {
    pub(super) fn of(share: Ratio, correlation: Ratio) -> Lot {
        let correlation = correlation.fraction().min(CORRELATION_MAX);
        // What is certain needs no chance.
        if share == Ratio::NONE || share == Ratio::ALL || correlation == 0.0 {
            return Lot { threshold: whole(share.fraction()), correlation: 0 };
        }
        let threshold = quantile(share.fraction(), correlation);
        Lot { threshold: whole(threshold).max(1), correlation: whole(correlation) }
    }
}

impl Bursts {
    /// `None` where every packet has its own chance.
    pub(super) fn of(share: Ratio, correlation: Ratio) -> Option<Bursts> {
        let (share_of, again) = (share.fraction(), correlation.fraction());
        if share == Ratio::NONE || share == Ratio::ALL || again == 0.0 {
            return None;
        }
        let anew = 1.0 - again;
        Some(Bursts { begin: whole(anew * share_of), end: whole(anew * (1.0 - share_of)) })
    }
}

/// A fraction of all that a random number can be.
fn whole(fraction: f64) -> u32 {
    (fraction * f64::from(u32::MAX)).round() as u32
}

/// What averages `x = (1 - correlation) * uniform + correlation * x` are below with a chance of `share`, in the long
/// run: their distribution is iterated until it maps to itself.
fn quantile(share: f64, correlation: f64) -> f64 {
    let width = 1.0 - correlation;
    let at = |step: usize| step as f64 / STEPS as f64;
    let mut below: Vec<f64> = (0..=STEPS).map(at).collect();
    loop {
        let density = |step: usize| {
            let up_to = read(&below, at(step) / correlation);
            (up_to - read(&below, (at(step) - width) / correlation)) / width
        };
        let mut next = vec![0.0];
        let (mut sum, mut last) = (0.0, density(0));
        for step in 1..=STEPS {
            let here = density(step);
            sum += (last + here) / 2.0;
            last = here;
            next.push(sum);
        }
        next.iter_mut().for_each(|value| *value /= sum);
        let change = next.iter().zip(&below).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        below = next;
        if change < SETTLED {
            break;
        }
    }
    let above = below.partition_point(|value| *value < share).clamp(1, STEPS);
    let (Some(low), Some(high)) = (below.get(above - 1), below.get(above)) else { return share };
    let within = if high > low { (share - low) / (high - low) } else { 1.0 };
    (above as f64 - 1.0 + within.clamp(0.0, 1.0)) / STEPS as f64
}

/// A distribution at any place, between its steps too.
fn read(below: &[f64], at: f64) -> f64 {
    let at = at.clamp(0.0, 1.0) * STEPS as f64;
    let low = (at as usize).min(STEPS - 1);
    match (below.get(low), below.get(low + 1)) {
        (Some(a), Some(b)) => a + (b - a) * (at - low as f64),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const PACKETS: u32 = 400_000;

    /// The kernel's `get_crandom`.
    fn falls(lot: Lot, random: &mut ChaCha8Rng, last: &mut u32) -> bool {
        let fresh: u32 = random.random();
        let answer = if lot.correlation == 0 {
            fresh
        } else {
            let rho = u64::from(lot.correlation) + 1;
            ((u64::from(fresh) * ((1 << 32) - rho) + u64::from(*last) * rho) >> 32) as u32
        };
        *last = answer;
        lot.threshold != 0 && lot.threshold >= answer
    }

    fn drawn(share: f64, correlation: f64) -> Vec<bool> {
        let lot = Lot::of(Ratio::new(share), Ratio::new(correlation));
        let (mut random, mut last) = (ChaCha8Rng::seed_from_u64(7), 1 << 31);
        (0..PACKETS).map(|_| falls(lot, &mut random, &mut last)).collect()
    }

    fn share_of(all: &[bool]) -> f64 {
        all.iter().filter(|fell| **fell).count() as f64 / all.len() as f64
    }

    #[test]
    fn a_share_is_what_is_asked_whatever_the_correlation() {
        for share in [0.01, 0.1, 0.3, 0.5, 0.9] {
            for correlation in [0.0, 0.25, 0.5, 0.9] {
                let found = share_of(&drawn(share, correlation));
                let slack = 0.1 * share.min(1.0 - share) + 0.005;
                assert!((found - share).abs() < slack, "{found}: {share} at {correlation}");
            }
        }
    }

    #[test]
    fn with_correlation_packets_fare_alike() {
        let after_one = |correlation| {
            let all = drawn(0.3, correlation);
            let after: Vec<bool> = all.windows(2).filter(|w| w[0]).map(|w| w[1]).collect();
            share_of(&after)
        };
        assert!((0.28..0.32).contains(&after_one(0.0)));
        assert!(after_one(0.5) > 0.45, "{}", after_one(0.5));
        assert!(after_one(0.9) > 0.7, "{}", after_one(0.9));
    }

    #[test]
    fn what_is_certain_heeds_nothing() {
        for correlation in [0.0, 0.5, 1.0] {
            assert!(drawn(0.0, correlation).iter().all(|fell| !fell));
            assert!(drawn(1.0, correlation).iter().all(|fell| *fell));
            let certain = |share| Bursts::of(share, Ratio::new(correlation));
            assert_eq!((certain(Ratio::NONE), certain(Ratio::ALL)), (None, None));
        }
        assert_eq!(Bursts::of(Ratio::new(0.3), Ratio::NONE), None);
    }

    /// The kernel's `loss_gilb_ell`, where a state loses all and the other one nothing.
    #[test]
    fn bursts_of_loss_have_their_share_and_their_length() {
        for (share, correlation) in [(0.3, 0.5), (0.1, 0.25), (0.3, 0.9)] {
            let bursts = Bursts::of(Ratio::new(share), Ratio::new(correlation)).unwrap();
            let (mut random, mut loses) = (ChaCha8Rng::seed_from_u64(7), false);
            let all: Vec<bool> = (0..PACKETS)
                .map(|_| {
                    let lost = loses;
                    let turn = if loses { bursts.end } else { bursts.begin };
                    loses ^= random.random::<u32>() < turn;
                    lost
                })
                .collect();
            assert!((share_of(&all) - share).abs() < 0.02, "{}", share_of(&all));
            let after: Vec<bool> = all.windows(2).filter(|w| w[0]).map(|w| w[1]).collect();
            let expected = correlation + (1.0 - correlation) * share;
            assert!((share_of(&after) - expected).abs() < 0.02, "{}", share_of(&after));
        }
    }
}
