//! What a drill tells while it goes: the interface between the drill and whoever shows it. Each event
//! carries all that a reporter needs, and no handle to anything.

use std::time::Duration;

use crate::history::{NodeEvent, Steady, Time};
use crate::inventory::Inventory;
use crate::quantity::Ratio;

/// An event and its instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamped {
    /// When, on the drill's clock.
    pub at: Time,
    /// What.
    pub event: Event,
}

/// Something worth telling. In a drill they come in the order in which they stand here, but for those
/// between `LoadBegan` and `LoadEnded`, which come as they come.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The drill begins: who it is, and what it plans.
    Began(Box<Began>),
    /// A command of the scenario's `setup` or `teardown` runs.
    Command {
        /// `setup` or `teardown`.
        stage: &'static str,
        /// Its arguments, as one line.
        command: String,
    },
    /// The nodes are up; where clients reach them.
    NodesReady(Inventory),
    /// The load begins: time zero of the plan.
    LoadBegan,
    /// The steady state was measured before the first fault.
    Steady(Steady),
    /// A fault is being injected.
    Injecting {
        /// Its place in the plan.
        id: u32,
        /// In words, with the names resolved by now.
        what: String,
    },
    /// Its injection is proven, or not.
    Injected {
        /// Its place in the plan.
        id: u32,
        /// In words.
        what: String,
        /// From the order to its full effect.
        took: Duration,
        /// When the plan wanted it, so that its lateness can be told.
        planned: Time,
        /// Why it is not proven. `None`: it is.
        unproven: Option<String>,
    },
    /// Its heal is proven, or not.
    Healed {
        /// Its place in the plan.
        id: u32,
        /// In words.
        what: String,
        /// From the order to its full effect.
        took: Duration,
        /// Why it is not proven. `None`: it is.
        unproven: Option<String>,
    },
    /// Something happened to a node's process.
    Node(NodeEvent),
    /// How the clients fare; several times a second while the load lasts.
    Progress(Progress),
    /// The drill ends before its plan is done: why.
    Aborting(String),
    /// No more operations start; those in flight end.
    LoadEnded,
    /// Not every member is back yet: they are given so much longer.
    MembersAwaited {
        /// At most.
        limit: Duration,
    },
    /// Everything is healed; the final reads begin.
    FinalReads {
        /// How many there will be.
        reads: usize,
    },
    /// The nodes are being taken down.
    Stopping,
    /// All is over. Whatever could not be restored, each with the command that restores it.
    Ended {
        /// Empty if all was restored.
        left_behind: Vec<String>,
    },
}

/// Who the drill is, and what it plans.
#[derive(Debug, Clone, PartialEq)]
pub struct Began {
    /// The run's name, which is the name of its folder.
    pub run: String,
    /// The scenario's name.
    pub scenario: String,
    /// The seed of its plan.
    pub seed: u64,
    /// `local`, `docker` or `kubernetes`.
    pub target: String,
    /// The nodes, without endpoints.
    pub inventory: Inventory,
    /// How long the load lasts.
    pub load: Duration,
    /// What is planned, in the order of time.
    pub faults: Vec<Planned>,
}

/// A fault as the plan has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its place in the plan.
    pub id: u32,
    /// The fault's name in the catalogue.
    pub fault: String,
    /// In words; `the leader` where that is not known yet.
    pub what: String,
    /// When, since the load began.
    pub at: Duration,
    /// How long.
    pub length: Duration,
}

/// How the clients fare.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Since the load began.
    pub elapsed: Duration,
    /// Operations that returned ok, in all.
    pub ok: u64,
    /// That failed for certain, in all.
    pub failed: u64,
    /// Of unknown outcome, in all.
    pub unknown: u64,
    /// Dropped because no worker was free, in all.
    pub dropped: u64,
    /// In flight now.
    pub in_flight: u64,
    /// Over the last second: operations that returned, a second.
    pub rate: f64,
    /// Over the last second: successful / all that ended or were dropped. `None`: nothing ended.
    pub success: Option<Ratio>,
    /// Over the last second: the median latency of successful operations.
    pub p50: Option<Duration>,
    /// Over the last second: the 99th percentile.
    pub p99: Option<Duration>,
}
