//! What an agent within a node is told and what it answers, one JSON object a line.
//!
//! As with the agent beside a node, the end of its input, or a lease without a line, ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cgroup::Limits;
use super::reading::Reads;
use crate::condition::{ClockSkew, Disk, Load};

/// The first line that it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// firedrill's version; another one than the runner's is refused.
    pub version: String,
}

/// What it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Renews the lease; every other order does, too.
    Beat,
    /// What limits the node has now.
    Limits,
    /// Load the node with exactly this from now on. Idempotent; the default heals.
    Load {
        /// What it suffers.
        load: Load,
        /// The limits that it has of its own.
        own: Limits,
    },
    /// Keep exactly these of the node's file systems full from now on. Idempotent; the default heals.
    Disk(Disk),
    /// Have the node's processes read a wall clock that is off by exactly this from now on. Idempotent; the default
    /// heals.
    Clock(ClockSkew),
    /// Have the node's processes stand still, or go on. Idempotent.
    Halt(bool),
    /// Kill the node's first process as by SIGKILL. The agent ends with it, and may not answer.
    Crash,
    /// Measure what holds.
    Measure {
        /// Folders whose room is measured, full or not.
        folders: BTreeSet<String>,
    },
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// The lease is renewed.
    Beaten,
    /// The limits that there are.
    Limits(Limits),
    /// It holds.
    Held {
        /// What did not hold all the while since it was told last, in words.
        lapses: Vec<String>,
        /// The room on each disk that is full, measured at once: the node may end for want of it, and its agent with
        /// it.
        #[serde(default)]
        rooms: BTreeMap<String, Room>,
    },
    /// What was measured.
    Measured(Measured),
}

/// What holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// The limits, as the kernel tells them, if any were told; ...
    pub limits: Option<Limits>,
    /// ... and as they should be.
    pub asked: Option<Limits>,
    /// How many processors' worth the stress computed while it was measured.
    pub stress_cpus: Option<f64>,
    /// How much memory the stress holds, in bytes.
    pub stress_memory: Option<u64>,
    /// What was read past the page cache, where reading is limited; or why that says nothing of the limit.
    pub reads: Option<Result<Reads, String>>,
    /// The room on the file system of each folder.
    pub rooms: BTreeMap<String, Room>,
    /// The clocks, if any skew was told.
    pub clocks: Option<Clocks>,
    /// The node's processes, if they were told to stand still.
    pub standstill: Option<Standstill>,
}

/// Processes that were told to stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// How many threads there are.
    pub threads: usize,
    /// How many of them are stopped, as the kernel tells it.
    pub stopped: usize,
}

/// What clocks the node's processes read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// How many processes there are.
    pub processes: usize,
    /// Those whose clock is off by something else than what was told, in words.
    pub odd: Vec<String>,
    /// By how many nanoseconds the clock was off that a process read, which was started for this; ...
    pub wall: i64,
    /// ... known to so much.
    pub width: Duration,
    /// Whether that is what was told.
    pub as_asked: bool,
}

/// What room there is on a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// What was filled, in bytes.
    pub filled: u64,
    /// What can still be written, in bytes, as the kernel tells it.
    pub available: u64,
    /// Whether writing one more block was refused for lack of room.
    pub refused: bool,
}
