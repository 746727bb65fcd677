//! Why a history is wrong, in a picture and a sentence: as data, and as SVG and HTML. Nothing here reads or writes
//! files.

pub mod cycle;
pub mod html;
mod partial;
pub mod svg;
pub mod timeline;
mod units;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::objects::Object;

/// Why a history is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Explanation {
    /// Operations that no order explains.
    Timeline(timeline::Timeline),
    /// Transactions each of which comes before the next, and the last one before the first.
    Cycle(cycle::Cycle),
}

impl Explanation {
    /// In a sentence.
    pub fn sentence(&self) -> &str {
        match self {
            Explanation::Timeline(told) => &told.sentence,
            Explanation::Cycle(told) => &told.sentence,
        }
    }

    /// As a picture that stands by itself.
    pub fn svg(&self) -> String {
        match self {
            Explanation::Timeline(told) => svg::timeline(told),
            Explanation::Cycle(told) => svg::cycle(told),
        }
    }
}

/// More operations than these are not drawn: nobody would see anything.
const DRAWN_MAX: usize = 120;

/// Operations that no order explains, unless they are too many to be drawn.
pub(super) fn drawn<O: Object>(
    object: &O,
    calls: &[O::Call],
    operations: Vec<timeline::Operation>,
    faults: Vec<timeline::Fault>,
) -> Option<Explanation> {
    (operations.len() <= DRAWN_MAX).then(|| {
        let limits = Limits { steps: 500_000, bytes: 64 << 20 };
        Explanation::Timeline(timeline::timeline(object, calls, operations, faults, limits))
    })
}

/// What a search may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Steps: calls applied to a state.
    pub steps: u64,
    /// Memory for what has been visited, in bytes, about.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 2_000_000, bytes: 256 << 20 }
    }
}
