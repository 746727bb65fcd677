//! What a node's processors, memory and disks suffer: load beside it within its own limits, and tighter limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Cpus, Ratio, Throughput};

/// What competes with a node for its resources, and how much of them it has. The default is no load, and its own
/// limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Threads that compute beside it, within its own limits. 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cpu_workers: u32,
    /// The share of the time for which each of them computes.
    #[serde(default, skip_serializing_if = "is_none")]
    pub cpu_share: Ratio,
    /// Memory that is held beside it, within its own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// The most processors that it gets, all its threads together; `None`: what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Cpus>,
    /// The most memory that it gets; `None`: what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<Bytes>,
    /// The most that it reads from each disk; `None`: what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_limit: Option<Throughput>,
    /// The most that it writes to each disk; `None`: what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_limit: Option<Throughput>,
}

fn is_zero(workers: &u32) -> bool {
    *workers == 0
}

fn is_none(share: &Ratio) -> bool {
    share.fraction() == 0.0
}

impl Load {
    /// Whether nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        *self == Load::default()
    }

    /// Whether any limit is tighter than the node's own.
    pub fn has_limits(&self) -> bool {
        let stress = Load {
            cpu_workers: self.cpu_workers,
            cpu_share: self.cpu_share,
            memory: self.memory,
            ..Load::default()
        };
        *self != stress
    }

    /// Both at once, in each field the stronger one: the larger load, the smaller limit.
    #[must_use]
    pub fn join(self, other: Load) -> Load {
        Load {
            cpu_workers: self.cpu_workers.max(other.cpu_workers),
            cpu_share: self.cpu_share.max(other.cpu_share),
            memory: self.memory.max(other.memory),
            cpu_limit: smaller(self.cpu_limit, other.cpu_limit),
            memory_limit: smaller(self.memory_limit, other.memory_limit),
            read_limit: smaller(self.read_limit, other.read_limit),
            write_limit: smaller(self.write_limit, other.write_limit),
        }
    }
}

/// The tighter of two limits; `None` is unlimited.
pub(super) fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What a node's file systems suffer. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Disk {
    /// The file systems that are full, each by a folder on it as the node sees it; and the most that may be
    /// filled to make it so: what has more room is left alone, and the fault is not proven.
    pub full: BTreeMap<String, Bytes>,
}

impl Disk {
    /// Whether nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        self.full.is_empty()
    }

    /// Both at once; of the same folder, the larger room may be filled.
    #[must_use]
    pub fn join(mut self, other: Disk) -> Disk {
        for (folder, at_most) in other.full {
            let known = self.full.entry(folder).or_insert(at_most);
            *known = at_most.max(*known);
        }
        self
    }
}
