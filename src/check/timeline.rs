//! The phases of a drill, that availability and latency are told by.
//!
//! *Steady*: from the load's beginning until the first injection is begun. *Faulted*: from when a
//! fault's injection is begun until service is back after its heal (by the default rule of
//! `service`), or until the next fault or the load's end where it is not back. *Recovered*: what is
//! left. Faulted wins where faults overlap.

use super::load::Load;
use super::service::{self, Return, Rule};
use super::spec::When;
use crate::history::Time;

/// The phases of one load.
#[derive(Debug)]
pub struct Timeline {
    first_fault: Time,
    /// Disjoint, in the order of time.
    faulted: Vec<(Time, Time)>,
}

impl Timeline {
    /// The phases of this load.
    pub fn of(load: &Load) -> Timeline {
        let rule = Rule::default();
        let outages = service::outages(load, rule.window);
        let mut spans = vec![];
        for fault in &load.record.faults {
            let Some(injected) = &fault.injected else { continue };
            let end = fault.healed.as_ref().map_or(load.ended, |healed| {
                let next = load.next_fault(healed.effective);
                match service::back(load, &outages, healed.effective, next, &rule) {
                    Return::Back { at, .. } => at,
                    Return::NotBack { .. } | Return::NoOperations => next,
                    Return::TooShort => next.max(healed.effective),
                }
            });
            spans.push((injected.issued, end));
        }
        spans.sort_unstable();
        let mut faulted: Vec<(Time, Time)> = vec![];
        for (from, to) in spans {
            match faulted.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => faulted.push((from, to)),
            }
        }
        Timeline { first_fault: load.first_fault, faulted }
    }

    /// The phase of this instant; never [`When::All`].
    pub fn phase(&self, at: Time) -> When {
        if at < self.first_fault {
            return When::Steady;
        }
        let after = self.faulted.partition_point(|(from, _)| *from <= at);
        match after.checked_sub(1).map(|i| self.faulted[i]) {
            Some((_, to)) if at < to => When::Faulted,
            _ => When::Recovered,
        }
    }

    /// Whether this instant belongs to what a check asks about.
    pub fn belongs(&self, at: Time, when: When) -> bool {
        when == When::All || self.phase(at) == when
    }
}

/// A phase in words.
pub fn words(when: When) -> &'static str {
    match when {
        When::Steady => "steady",
        When::Faulted => "faulted",
        When::Recovered => "recovered",
        When::All => "all",
    }
}
