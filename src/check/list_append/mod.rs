//! Strict serializability of transactions on append-only lists, by cycles (Kingsbury & Alvaro,
//! "Elle: Inferring Isolation Anomalies from Experimental Observations"; the anomalies are Adya's).
//!
//! Since values are unique and lists only grow, the longest read of a list tells the order of its
//! versions. From it follow who wrote over whom (ww), who read whom (wr), and who wrote what a
//! reader had not seen yet (rw). With the edges of real time (one ended before the other began) a
//! cycle proves that no serial order exists. Before that: reads that are no prefix of each other, a
//! value twice, from nowhere or from a transaction that failed (G1a), a value in the middle of
//! another's transaction (G1b), and a transaction that does not see its own appends.
//!
//! Sound, and complete for what the reads tell; an order of appends that nobody read is not
//! guessed.

mod graph;
mod versions;

#[cfg(test)]
mod tests;

use graph::Graph;

use super::view::{counted, possible, reply, settled};
use super::{Check, Finding, tell};
use crate::history::{Call, Key, Operation, Record, Reply, Step, Time};

/// See the module.
#[derive(Debug)]
pub struct ListAppend;

/// One transaction that took effect, or may have.
#[derive(Debug)]
pub(crate) struct Txn<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// When it was invoked.
    pub invoked: Time,
    /// When it had taken effect at the latest; `None`: its outcome is unknown.
    pub returned: Option<Time>,
    /// Its steps.
    pub steps: &'a [Step],
    /// What its reads saw, step by step. Empty: unknown.
    pub saw: &'a [Option<Vec<i64>>],
}

/// Something that no serial execution allows.
#[derive(Debug)]
pub(crate) struct Anomaly<'a> {
    /// In words, with the name that the literature gives it.
    pub words: String,
    /// How it follows, a line a step.
    pub because: Vec<String>,
    /// The operations that prove it.
    pub operations: Vec<&'a Operation>,
}

impl<'a> Txn<'a> {
    /// Its appends in their order.
    pub fn appends(&self) -> impl Iterator<Item = (Key, i64)> + use<'a> {
        self.steps.iter().filter_map(|s| match s {
            Step::Append { key, value } => Some((*key, *value)),
            Step::Read { .. } => None,
        })
    }
    /// Its reads in their order: the step, the list, what it saw.
    pub fn reads(&self) -> impl Iterator<Item = (usize, Key, &'a [i64])> + use<'a> {
        let both = self.steps.iter().zip(self.saw).enumerate();
        both.filter_map(|(i, (step, saw))| match (step, saw) {
            (Step::Read { key }, Some(values)) => Some((i, *key, values.as_slice())),
            _ => None,
        })
    }
}

impl Check for ListAppend {
    fn name(&self) -> &'static str {
        "list-append"
    }

    fn check(&self, record: &Record) -> Finding {
        let (txns, failed) = gather(record);
        if txns.is_empty() {
            return Finding::inconclusive("there was no transaction");
        }
        if !txns.iter().any(|t| t.reads().next().is_some()) {
            return Finding::inconclusive(
                "no transaction that is known to have happened read anything",
            );
        }
        let anomalies = anomalies(&txns, &failed);
        let n = tell::count(txns.len(), "transaction");
        let finding = match anomalies.first() {
            None => {
                Finding::pass(format!("{n} are strictly serializable as far as their reads tell"))
            }
            Some(first) => {
                let last = first.operations.iter().max_by_key(|o| o.invoked);
                let during = last.and_then(|o| tell::during(record, o));
                let during = during.map(|f| format!(", during {}", tell::fault(f)));
                let more = match anomalies.len() - 1 {
                    0 => String::new(),
                    1 => " (and 1 more anomaly)".into(),
                    more => format!(" (and {more} more anomalies)"),
                };
                Finding::fail(format!("{}{}{more}", first.words, during.unwrap_or_default()))
            }
        };
        let lines = anomalies.iter().take(4).flat_map(|a| {
            let head = std::iter::once(format!("{}:", a.words)).chain(a.because.iter().cloned());
            head.chain(tell::operations(record, a.operations.iter().copied()))
        });
        finding
            .with_evidence(lines)
            .with_figure("transactions", txns.len() as f64)
            .with_figure("anomalies", anomalies.len() as f64)
    }
}

/// What took effect or may have, and what failed.
fn gather(record: &Record) -> (Vec<Txn<'_>>, Vec<&Operation>) {
    let (mut txns, mut failed) = (vec![], vec![]);
    for o in counted(record) {
        let Call::Txn { steps } = &o.call else { continue };
        if !possible(o) {
            failed.push(o);
            continue;
        }
        let saw = if let Some(Reply::Txn(saw)) = reply(o) { saw.as_slice() } else { &[] };
        let returned = o.outcome.is_ok().then(|| settled(o));
        txns.push(Txn { operation: o, invoked: o.invoked, returned, steps, saw });
    }
    (txns, failed)
}

/// Everything wrong, the plainest first. Cycles are looked for even where values are wrong.
fn anomalies<'a>(txns: &[Txn<'a>], failed: &[&'a Operation]) -> Vec<Anomaly<'a>> {
    let mut found = vec![];
    let lists = versions::Lists::of(txns, failed, &mut found);
    Graph::of(txns, &lists).cycles(txns, &mut found);
    found
}
