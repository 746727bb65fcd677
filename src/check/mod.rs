//! Record to verdict. Each check is a pure function of a record; the worst verdict wins, and no
//! checks at all are inconclusive.
//!
//! [`Spec`] is what a scenario asks for, [`judge`] the whole judgement of a record. `service` and
//! `timeline` hold the definitions that the figures rest on. Only `exec` touches the world: it
//! starts the user's own program.

mod availability;
mod bank;
mod convergence;
mod counter;
mod credibility;
mod exec;
mod fifo;
mod finding;
mod injection;
#[cfg(test)]
mod invented;
pub mod isolation;
mod judge;
#[cfg(test)]
mod judge_tests;
mod latency;
mod linearizable;
mod list_append;
mod load;
mod log;
mod lost_writes;
mod mask;
#[cfg(test)]
mod mutations;
mod node_deaths;
pub mod objects;
mod queue;
mod recovery;
mod redundancy;
#[cfg(test)]
mod redundancy_tests;
#[cfg(test)]
mod scripted;
mod service;
mod set;
pub mod spec;
mod standings;
mod tell;
mod timeline;
mod view;

pub use bank::{Bank, Total};
pub use fifo::Fifo;
pub use finding::{Case, CaseKind, Finding, Judgement, Verdict};
pub use judge::judge;
pub use linearizable::Linearizable;
pub use spec::Spec;

use crate::catalogue::{Entry, entries};
use crate::history::Record;

/// Judges a record by one rule.
pub trait Check {
    /// The check's name in the catalogue.
    fn name(&self) -> &'static str;
    /// Judges. Never panics, whatever the record; what it cannot decide is inconclusive.
    fn check(&self, record: &Record) -> Finding;
}

/// Every check that there is, with what it takes.
pub fn catalogue() -> Vec<Entry> {
    entries::<Spec>()
}
