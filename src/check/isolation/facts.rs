//! What is wrong with single reads: collected by name, with a few examples of each.

use super::anomaly::{Anomalies, Anomaly};

/// Something that an anomaly consists in, other than a cycle.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Its name.
    pub anomaly: Anomaly,
    /// In words.
    pub words: String,
    /// The transactions that prove it, by their numbers.
    pub txns: Vec<u32>,
}

/// At most so many of each name are kept.
const SHOWN: usize = 8;

/// Collects them.
#[derive(Debug, Default)]
pub struct Facts {
    /// A few of each name.
    pub shown: Vec<Fact>,
    /// All names.
    pub anomalies: Anomalies,
}

impl Facts {
    /// Adds one; its words are asked for only if they are kept.
    pub fn add(&mut self, anomaly: Anomaly, txns: &[u32], words: impl FnOnce() -> String) {
        if self.anomalies.has(anomaly)
            && self.shown.iter().filter(|f| f.anomaly == anomaly).count() >= SHOWN
        {
            return;
        }
        self.anomalies.add(anomaly);
        self.shown.push(Fact { anomaly, words: words(), txns: txns.to_vec() });
    }
}
