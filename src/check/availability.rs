//! Availability: successful / invoked operations of the load, where one that no worker was free to
//! start counts as invoked and not successful; over the run and for each phase of it.
//!
//! The count is exact; what is not is which side of a phase's edge an operation in flight belongs
//! to. The resolution says by how much the operations that were in flight at the edges may move the
//! figure.

use super::load::Load;
use super::spec::{self, When};
use super::timeline::{Timeline, words};
use super::{Check, Finding};
use crate::history::{Record, Time};

/// See the module.
#[derive(Debug)]
pub struct Availability(pub spec::Availability);

const PHASES: [When; 4] = [When::All, When::Steady, When::Faulted, When::Recovered];

impl Check for Availability {
    fn name(&self) -> &'static str {
        "availability"
    }

    fn check(&self, record: &Record) -> Finding {
        let Some(load) = Load::of(record) else {
            return Finding::inconclusive("the clients invoked no operation");
        };
        let counts = count(&load);
        let (all, ok) = of(&counts, self.0.when);
        let phase = match self.0.when {
            When::All => String::new(),
            when => format!(" in the {} phase", words(when)),
        };
        if all == 0 {
            return Finding::inconclusive(format!("no operation was invoked{phase}"));
        }
        let ratio = ok as f64 / all as f64;
        let allowed = self.0.at_least;
        let summary = format!(
            "availability {}%{phase} ({ok} of {all}), required {allowed}",
            floor_percent(ratio)
        );
        let finding = match ratio >= allowed.fraction() {
            true => Finding::pass(summary),
            false => Finding::fail(summary),
        };
        let finding = finding.with_evidence(evidence(&load, &counts));
        figures(finding, &load, &counts)
            .with_figure("availability_percent", ratio * 100.0)
            .with_figure(
                "availability_resolution_percent",
                at_edges(&load) as f64 / all as f64 * 1e2,
            )
    }
}

type Counts = [(When, usize, usize); 4];

fn count(load: &Load) -> Counts {
    let timeline = Timeline::of(load);
    let mut counts = PHASES.map(|when| (when, 0, 0));
    for p in &load.points {
        let phase = timeline.phase(p.at());
        for (_, all, ok) in counts.iter_mut().filter(|c| c.0 == phase || c.0 == When::All) {
            *all += 1;
            *ok += usize::from(p.ok());
        }
    }
    counts
}

fn of(counts: &Counts, when: When) -> (usize, usize) {
    counts.iter().find(|c| c.0 == when).map_or((0, 0), |c| (c.1, c.2))
}

fn figures(mut finding: Finding, load: &Load, counts: &Counts) -> Finding {
    for &(when, all, ok) in counts.iter().filter(|c| c.0 != When::All && c.1 > 0) {
        let name = format!("availability_{}_percent", words(when));
        finding = finding.with_figure(name, ok as f64 / all as f64 * 100.0);
    }
    let (all, ok) = of(counts, When::All);
    let dropped = load.points.iter().filter(|p| p.dropped()).count();
    finding
        .with_figure("operations", all as f64)
        .with_figure("successful", ok as f64)
        .with_figure("dropped", dropped as f64)
}

fn evidence(load: &Load, counts: &Counts) -> Vec<String> {
    let mut lines = vec![];
    for &(when, all, ok) in counts.iter().filter(|c| c.0 != When::All && c.1 > 0) {
        let ratio = floor_percent(ok as f64 / all as f64);
        lines.push(format!("{}: {ratio}% ({ok} of {all})", words(when)));
    }
    let dropped = load.points.iter().filter(|p| p.dropped()).count();
    if dropped > 0 {
        lines.push(format!("{dropped} could not be started: no worker was free"));
    }
    lines
}

/// How many operations were in flight at, or stand next to, an edge of a fault.
fn at_edges(load: &Load) -> usize {
    let changes = load.record.faults.iter().flat_map(|f| [f.injected.as_ref(), f.healed.as_ref()]);
    let edges: Vec<(Time, Time)> = changes.flatten().map(|c| (c.issued, c.effective)).collect();
    let across = |from: Time, to: Time| edges.iter().any(|e| from <= e.1 && to >= e.0);
    let crossing = load.points.iter().filter(|p| !p.dropped() && across(p.at(), p.returned()));
    (crossing.count() + 2 * edges.len()).min(load.points.len())
}

/// Down, so that 98.996 % never reads as 99 %.
fn floor_percent(ratio: f64) -> f64 {
    (ratio * 1e5 + 1e-6).floor() / 1e3
}
