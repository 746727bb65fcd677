//! How many nodes died of something that firedrill did not do. The default, without this check, is
//! that any such death makes the drill inconclusive (`credibility`).

use super::credibility::deaths;
use super::tell::count;
use super::{Check, Finding, spec};
use crate::history::Record;

/// See the module.
#[derive(Debug)]
pub struct NodeDeaths(pub spec::NodeDeaths);

impl Check for NodeDeaths {
    fn name(&self) -> &'static str {
        "node-deaths"
    }

    fn check(&self, record: &Record) -> Finding {
        let deaths = deaths(record);
        let (n, max) = (deaths.len(), self.0.max);
        let summary = format!("{} not of firedrill's doing, allowed {max}", count(n, "node death"));
        let finding = match n as u64 <= max {
            true => Finding::pass(summary),
            false => Finding::fail(summary),
        };
        finding.with_evidence(deaths).with_figure("node_deaths", n as f64)
    }
}
