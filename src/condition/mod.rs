//! What a node should be suffering now. A fault contributes to conditions; the drill hands each node its
//! whole new condition; applying is idempotent, and healing is applying `Condition::default()`.
//!
//! Invariant: [`Condition::join`] is commutative, associative and idempotent, has the default as its
//! neutral element, and is never weaker than either side, field by field. Property tests hold it.
//!
//! Pure. Deliberately absent: how a condition is made true (targets), who asked for it (faults).

mod clock;
mod dns;
mod links;
mod load;
mod machine;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use clock::ClockSkew;
pub use dns::{Dns, NamePattern, NotAPattern, Resolution};
pub use links::{Delivery, Link, Links, Peer, Port};
pub use load::{Disk, Load};
pub use machine::{Closed, Controller, Machine, Power, Taint, TaintEffect};

/// Everything a node suffers at one instant. The default is healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Whether its process lives.
    #[serde(default, skip_serializing_if = "Life::is_running")]
    pub life: Life,
    /// What its network traffic suffers.
    #[serde(default, skip_serializing_if = "Links::is_healthy")]
    pub links: Links,
    /// What its processors, memory and disks suffer.
    #[serde(default, skip_serializing_if = "Load::is_healthy")]
    pub load: Load,
    /// What its file systems suffer.
    #[serde(default, skip_serializing_if = "Disk::is_healthy")]
    pub disk: Disk,
    /// How far its wall clock is off.
    #[serde(default, skip_serializing_if = "ClockSkew::is_none")]
    pub clock: ClockSkew,
    /// What its look-ups of names suffer.
    #[serde(default, skip_serializing_if = "Dns::is_healthy")]
    pub dns: Dns,
    /// What becomes of the machine that it stands on.
    #[serde(default, skip_serializing_if = "Machine::is_healthy")]
    pub machine: Machine,
    /// What becomes of what keeps it at its place.
    #[serde(default, skip_serializing_if = "Controller::is_healthy")]
    pub controller: Controller,
    /// Commands of the user's own that hold for this node.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub commands: BTreeSet<UserCommand>,
}

/// Whether a node's process lives, from the mildest to the strongest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// It runs.
    #[default]
    Running,
    /// It was killed once (SIGKILL); whatever restarts it may.
    Crashed,
    /// It exists, and does nothing (SIGSTOP).
    Paused,
    /// It was asked to end through what guards how many of its kind may be down at once, which may refuse; whatever
    /// brings it back may.
    Evicted,
    /// It was asked to end (SIGTERM, then SIGKILL), and stays down.
    Stopped,
    /// It was killed (SIGKILL), and stays down.
    Killed,
}

impl Life {
    fn is_running(&self) -> bool {
        *self == Life::Running
    }
    /// Whether a process exists in this state, or may.
    pub fn has_process(self) -> bool {
        self <= Life::Paused
    }
}

/// A fault of the user's own: what injects it, what proves it, what heals it. Arguments, not shell lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCommand {
    /// Makes it so. Journaled before it runs.
    pub inject: Vec<String>,
    /// Exits with 0 while the fault is in effect, with anything else while it is not.
    pub prove: Vec<String>,
    /// Undoes it. Must tolerate that `inject` never ran, or ran half.
    pub heal: Vec<String>,
}

impl Condition {
    /// Everything that either side suffers.
    #[must_use]
    pub fn join(mut self, mut other: Condition) -> Condition {
        self.commands.append(&mut other.commands);
        Condition {
            life: self.life.max(other.life),
            links: self.links.join(other.links),
            load: self.load.join(other.load),
            disk: self.disk.join(other.disk),
            clock: self.clock.join(other.clock),
            dns: self.dns.join(other.dns),
            machine: self.machine.join(other.machine),
            controller: self.controller.join(other.controller),
            commands: self.commands,
        }
    }
    /// Whether it can be made true only where an orchestrator places nodes onto machines. Of a node that is down where
    /// nobody brings it back, the machine does not matter.
    pub fn wants_orchestrator(&self) -> bool {
        let placed = !self.machine.is_healthy() && self.life < Life::Stopped;
        placed || self.life == Life::Evicted || !self.controller.is_healthy()
    }
    /// Whether this is the default: nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        *self == Condition::default()
    }
}

#[cfg(test)]
mod tests;
