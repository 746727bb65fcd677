//! A cycle of transactions that depend on each other (Adya, "Weak Consistency", 1999): an anomaly.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A transaction as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transaction {
    /// What it is called.
    pub name: String,
    /// What it did.
    pub steps: Vec<String>,
    /// When it was invoked, in nanoseconds.
    pub invoked: u64,
    /// When it returned; `None`: its outcome is unknown.
    pub returned: Option<u64>,
}

/// Why one comes before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Edge {
    /// Which comes first, by its place.
    pub from: usize,
    /// Which comes later, by its place.
    pub to: usize,
    /// `ww`, `wr`, `rw`, `process`, `realtime`, ...
    pub kind: String,
    /// Why, in words.
    pub reason: String,
}

/// The explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cycle {
    /// One sentence.
    pub sentence: String,
    /// Such as `G-single`.
    pub anomaly: String,
    /// The transactions, in the order of the input.
    pub transactions: Vec<Transaction>,
    /// The edges, each beginning where the one before ends; the last ends where the first begins.
    pub edges: Vec<Edge>,
}

/// Explains a cycle; `None`: the edges are not one cycle, each transaction at most once in it.
pub fn cycle(anomaly: &str, transactions: Vec<Transaction>, edges: Vec<Edge>) -> Option<Cycle> {
    let mut leaves: Vec<Option<usize>> = vec![None; transactions.len()];
    for (place, edge) in edges.iter().enumerate() {
        let slot = leaves.get_mut(edge.from)?;
        if slot.replace(place).is_some() {
            return None;
        }
    }
    let start = edges.first()?.from;
    let (mut at, mut order) = (start, Vec::new());
    while order.len() < edges.len() {
        let edge = edges.get((*leaves.get(at)?)?)?;
        order.push(edge.clone());
        at = edge.to;
        if at == start {
            break;
        }
    }
    if at != start || order.len() != edges.len() {
        return None;
    }
    let names: Vec<&str> = order.iter().map(|e| transactions[e.from].name.as_str()).collect();
    let sentence = format!(
        "{anomaly}: {} must each come before the next, and the last before the first",
        names.join(", ")
    );
    Some(Cycle { sentence, anomaly: anomaly.to_owned(), transactions, edges: order })
}

/// The explanation as text, a line for each edge.
pub fn text(told: &Cycle) -> String {
    let mut text = format!("{}\n", told.sentence);
    for edge in &told.edges {
        let (from, to) = (&told.transactions[edge.from], &told.transactions[edge.to]);
        let _ = writeln!(text, "  {} -{}-> {}: {}", from.name, edge.kind, to.name, edge.reason);
    }
    text
}
