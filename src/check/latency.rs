//! Latency of successful operations, from the intended start of each (Tene, "How NOT to measure
//! latency": no coordinated omission), in an HDR histogram of three significant digits.
//!
//! Operations that did not succeed have no latency: they are left out, and it is said how many.
//! They are what `availability` is for.

use hdrhistogram::Histogram;

use super::load::Load;
use super::spec::{self, When};
use super::tell::millis;
use super::timeline::{Timeline, words};
use super::{Check, Finding};
use crate::history::{Record, Stage};
use crate::quantity::Span;

/// See the module.
#[derive(Debug)]
pub struct Latency(pub spec::Latency);

/// From 1 microsecond to 24 hours.
const HIGHEST_US: u64 = 24 * 3600 * 1_000_000;

impl Check for Latency {
    fn name(&self) -> &'static str {
        "latency"
    }

    fn check(&self, record: &Record) -> Finding {
        let Some(load) = Load::of(record) else {
            return Finding::inconclusive("the clients invoked no operation");
        };
        if self.bounds().all(|b| b.2.is_none()) {
            return Finding::inconclusive("no bound was given; give p50, p90, p99, p999 or max");
        }
        let timeline = Timeline::of(&load);
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, HIGHEST_US, 3) else {
            return Finding::inconclusive("no histogram could be made");
        };
        let mut left_out = 0;
        let of_phase = record
            .operations
            .iter()
            .filter(|o| o.stage == Stage::Load && timeline.belongs(o.invoked, self.0.when));
        for o in of_phase {
            match (o.outcome.is_ok(), o.returned) {
                (true, Some(at)) => {
                    let micros = at.since(o.intended).as_nanos().div_ceil(1000);
                    histogram.saturating_record(u64::try_from(micros).unwrap_or(HIGHEST_US));
                }
                _ => left_out += 1,
            }
        }
        self.judge(&histogram, left_out)
    }
}

impl Latency {
    fn bounds(&self) -> impl Iterator<Item = (&'static str, f64, Option<Span>)> {
        let s = &self.0;
        [("p50", 0.5, s.p50), ("p90", 0.9, s.p90), ("p99", 0.99, s.p99)]
            .into_iter()
            .chain([("p999", 0.999, s.p999), ("max", 1.0, s.max)])
    }

    fn judge(&self, histogram: &Histogram<u64>, left_out: usize) -> Finding {
        let phase = match self.0.when {
            When::All => String::new(),
            when => format!(" in the {} phase", words(when)),
        };
        if histogram.is_empty() {
            return Finding::inconclusive(format!("no operation succeeded{phase}"));
        }
        let took = |q: f64| histogram.value_at_quantile(q) as f64 / 1e3;
        let (mut broken, mut kept) = (vec![], vec![]);
        for (name, quantile, bound) in self.bounds() {
            let Some(bound) = bound else { continue };
            let ms = took(quantile);
            let words = format!("{name} {}, allowed {bound}", millis(ms));
            match ms <= bound.0.as_secs_f64() * 1e3 {
                true => kept.push(words),
                false => broken.push(words),
            }
        }
        let mut finding = match broken.is_empty() {
            true => Finding::pass(format!("latency {}{phase}", kept.join("; "))),
            false => Finding::fail(format!("latency {}{phase}", broken.join("; "))),
        };
        for (name, quantile, _) in self.bounds() {
            finding = finding.with_figure(format!("latency_{name}_ms"), took(quantile));
        }
        let out = format!(
            "of {} successful operations, from their intended start, without {left_out} others",
            histogram.len()
        );
        finding
            .with_evidence([out])
            .with_figure("latency_operations", histogram.len() as f64)
            .with_figure("latency_left_out", left_out as f64)
    }
}
