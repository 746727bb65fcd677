//! The catalogue of faults: each is data that contributes to the conditions of some nodes. It never touches
//! a node. One file a family; a fault is made of parts that [`Condition`] already has.
//!
//! Pure: same fault, inventory, leader and draw, same [`Effect`]. Deliberately absent: when a fault strikes
//! (the plan), and how its condition is made true (targets).

mod at;
mod choice;
mod clients;
mod command;
mod datacenter;
mod draw;
mod link;
mod machine;
mod nodes;
mod packets;
mod partition;
mod process;
mod resources;
mod senses;
mod wiring;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use at::{At, PLACE, Place};
pub use choice::{FaultError, Scene};
pub use command::{Argv, Command};
pub use datacenter::{Clients, DatacenterLoss, DatacenterPartition, Loss};
pub use draw::Draw;
pub use link::{BandwidthLimit, Latency, LinkEnds, Refusal};
pub use machine::{RolloutRestart, Scale, TaintFault};
pub use nodes::{Nodes, Zone};
pub use packets::Packets;
pub use partition::{Partition, Shape};
pub use process::{Process, RollingRestart, Turn};
pub use resources::{CpuLimit, CpuStress, DiskFull, IoThrottle, MemoryLimit, MemoryStress};
pub use senses::{ClockFault, DnsFault};
pub use wiring::Direction;

use crate::catalogue::{Entry, entries};
use crate::condition::{Condition, Delivery, Life};
use crate::inventory::{Inventory, NodeId};
use machine::Of;
use resources::Toward;

/// What a fault comes to once it is known whom it strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// In words, with names: `kill n1, n2 (dc1)`.
    pub what: String,
    /// The nodes that it takes out or cuts off: what the blast radius counts.
    pub victims: Vec<NodeId>,
    /// What it contributes to each node's condition.
    pub conditions: BTreeMap<NodeId, Condition>,
}

/// A fault as a scenario writes it: `{kill: {nodes: one}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Spec {
    /// Kills processes (SIGKILL); they stay down until the heal starts them again.
    Kill(Process),
    /// Kills processes once (SIGKILL), and leaves them to whatever restarts them: a restart policy, a supervisor.
    Crash(Process),
    /// Asks processes to end (SIGTERM, then SIGKILL); they stay down until the heal starts them again.
    Stop(Process),
    /// Freezes processes (SIGSTOP): they exist, hold their connections, and do nothing.
    Pause(Process),
    /// Restarts processes in good order: ended as by stop, and started again after `for`.
    Restart(Process),
    /// Restarts nodes one after the other, as an upgrade does.
    RollingRestart(RollingRestart),
    /// Cuts nodes off from each other: nothing arrives, and nobody is told.
    Partition(Partition),
    /// Delays what nodes send or receive.
    Latency(Latency),
    /// Limits how much passes a second.
    Bandwidth(BandwidthLimit),
    /// Loses packets.
    Loss(packets::Loss),
    /// Lets packets arrive twice.
    Duplicate(packets::Duplicate),
    /// Flips a bit of packets: whoever has a checksum drops them.
    Corrupt(packets::Corrupt),
    /// Delays packets, and lets some overtake the others.
    Reorder(packets::Reorder),
    /// Resets connections: those that stand, and each new one.
    Reset(Refusal),
    /// Refuses all traffic and tells the sender, as a firewall that rejects: connections are reset.
    Reject(Refusal),
    /// Computes beside nodes, within their own limits.
    CpuStress(CpuStress),
    /// Holds memory beside nodes, within their own limits.
    MemoryStress(MemoryStress),
    /// Gives nodes fewer processors.
    CpuLimit(CpuLimit),
    /// Gives nodes less memory.
    MemoryLimit(MemoryLimit),
    /// Slows disks down.
    IoThrottle(IoThrottle),
    /// Fills a file system, and keeps it full.
    DiskFull(DiskFull),
    /// Sets clocks wrong; monotonic clocks stay right.
    ClockSkew(ClockFault),
    /// Spoils look-ups of names: they fail, are not answered, or are answered wrongly.
    Dns(DnsFault),
    /// Loses a whole datacenter.
    DatacenterLoss(DatacenterLoss),
    /// Cuts a datacenter off from the others; its nodes go on running.
    DatacenterPartition(DatacenterPartition),
    /// Asks the orchestrator to end nodes (Kubernetes: the eviction API), which a disruption budget may refuse: that is
    /// a result, and is told. Asked again until it is done. Whatever brings them back may.
    Evict(Process),
    /// Lets nothing more be placed onto the machines that these nodes stand on.
    Cordon(Process),
    /// Lets nothing more be placed onto the machines that these nodes stand on, and evicts these nodes.
    Drain(Process),
    /// Gives the machines that these nodes stand on a taint.
    Taint(TaintFault),
    /// Switches off the machines that these nodes stand on, by the target's `node_commands`.
    MachineOff(Process),
    /// Cuts off the machines that these nodes stand on from everybody, by the target's `node_commands`.
    MachineCut(Process),
    /// Lets the controller keep another number of nodes, and then as many as before.
    Scale(Scale),
    /// Lets the controller make all its nodes anew, as `kubectl rollout restart` does. The heal waits until it has.
    RolloutRestart(RolloutRestart),
    /// Runs commands of your own: one injects, one proves, one heals.
    Command(Command),
}

impl Spec {
    /// Its name in the catalogue.
    pub fn name(&self) -> &'static str {
        match self {
            Spec::Kill(_) => "kill",
            Spec::Crash(_) => "crash",
            Spec::Stop(_) => "stop",
            Spec::Pause(_) => "pause",
            Spec::Restart(_) => "restart",
            Spec::RollingRestart(_) => "rolling-restart",
            Spec::Partition(_) => "partition",
            Spec::Latency(_) => "latency",
            Spec::Bandwidth(_) => "bandwidth",
            Spec::Loss(_) => "loss",
            Spec::Duplicate(_) => "duplicate",
            Spec::Corrupt(_) => "corrupt",
            Spec::Reorder(_) => "reorder",
            Spec::Reset(_) => "reset",
            Spec::Reject(_) => "reject",
            Spec::CpuStress(_) => "cpu-stress",
            Spec::MemoryStress(_) => "memory-stress",
            Spec::CpuLimit(_) => "cpu-limit",
            Spec::MemoryLimit(_) => "memory-limit",
            Spec::IoThrottle(_) => "io-throttle",
            Spec::DiskFull(_) => "disk-full",
            Spec::ClockSkew(_) => "clock-skew",
            Spec::Dns(_) => "dns",
            Spec::DatacenterLoss(_) => "datacenter-loss",
            Spec::DatacenterPartition(_) => "datacenter-partition",
            Spec::Evict(_) => "evict",
            Spec::Cordon(_) => "cordon",
            Spec::Drain(_) => "drain",
            Spec::Taint(_) => "taint",
            Spec::MachineOff(_) => "machine-off",
            Spec::MachineCut(_) => "machine-cut",
            Spec::Scale(_) => "scale",
            Spec::RolloutRestart(_) => "rollout-restart",
            Spec::Command(_) => "command",
        }
    }

    /// Whether it can only be told whom it strikes when it is injected.
    pub fn needs_leader(&self) -> bool {
        match self {
            Spec::Kill(p) | Spec::Crash(p) | Spec::Stop(p) | Spec::Pause(p) | Spec::Restart(p) => {
                p.nodes.needs_leader()
            }
            Spec::Evict(p)
            | Spec::Cordon(p)
            | Spec::Drain(p)
            | Spec::MachineOff(p)
            | Spec::MachineCut(p) => p.nodes.needs_leader(),
            Spec::Taint(t) => t.nodes.needs_leader(),
            Spec::Scale(_) | Spec::RolloutRestart(_) => false,
            Spec::RollingRestart(r) => r.nodes.needs_leader(),
            Spec::Partition(p) => p.needs_leader(),
            Spec::Latency(l) => l.needs_leader(),
            Spec::Bandwidth(b) => b.nodes.needs_leader(),
            Spec::Loss(packets::Loss(p))
            | Spec::Duplicate(packets::Duplicate(p))
            | Spec::Corrupt(packets::Corrupt(p))
            | Spec::Reorder(packets::Reorder(p)) => p.needs_leader(),
            Spec::Reset(r) | Spec::Reject(r) => r.nodes.needs_leader(),
            Spec::CpuStress(s) => s.nodes.needs_leader(),
            Spec::MemoryStress(s) => s.nodes.needs_leader(),
            Spec::CpuLimit(s) => s.nodes.needs_leader(),
            Spec::MemoryLimit(s) => s.nodes.needs_leader(),
            Spec::IoThrottle(s) => s.nodes.needs_leader(),
            Spec::DiskFull(s) => s.nodes.needs_leader(),
            Spec::ClockSkew(s) => s.nodes.needs_leader(),
            Spec::Dns(s) => s.nodes.needs_leader(),
            Spec::DatacenterLoss(d) => d.zone == Zone::Leader,
            Spec::DatacenterPartition(d) => d.zone == Zone::Leader,
            Spec::Command(c) => c.nodes.as_ref().is_some_and(Nodes::needs_leader),
        }
    }

    /// What it does to whom. An error if it names a node or zone that is not there, or nobody can be chosen.
    pub fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let mut effect = self.of_nodes(scene)?;
        if let Some(zone) = scene.clients_in {
            clients::suffer_with(zone, scene.inventory, &mut effect);
        }
        Ok(effect)
    }

    fn of_nodes(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        match self {
            Spec::Kill(p) => p.effect(scene, "kill", Life::Killed),
            Spec::Crash(p) => p.effect(scene, "crash", Life::Crashed),
            Spec::Stop(p) => p.effect(scene, "stop", Life::Stopped),
            Spec::Pause(p) => p.effect(scene, "pause", Life::Paused),
            Spec::Restart(p) => p.effect(scene, "restart", Life::Stopped),
            Spec::RollingRestart(r) => r.effect(scene),
            Spec::Partition(p) => p.effect(scene),
            Spec::Latency(l) => l.effect(scene),
            Spec::Bandwidth(b) => b.effect(scene),
            Spec::Loss(packets::Loss(p))
            | Spec::Duplicate(packets::Duplicate(p))
            | Spec::Corrupt(packets::Corrupt(p))
            | Spec::Reorder(packets::Reorder(p)) => p.effect(scene),
            Spec::Reset(r) => r.effect(scene, Delivery::Reset),
            Spec::Reject(r) => r.effect(scene, Delivery::Reject),
            Spec::CpuStress(s) => s.effect(scene),
            Spec::MemoryStress(s) => s.effect(scene),
            Spec::CpuLimit(s) => s.effect(scene),
            Spec::MemoryLimit(s) => s.effect(scene),
            Spec::IoThrottle(s) => s.effect(scene),
            Spec::DiskFull(s) => s.effect(scene),
            Spec::ClockSkew(s) => s.effect(scene),
            Spec::Dns(s) => s.effect(scene),
            Spec::DatacenterLoss(d) => d.effect(scene),
            Spec::DatacenterPartition(d) => d.effect(scene),
            Spec::Evict(p) => p.effect(scene, "evict", Life::Evicted),
            Spec::Cordon(p) => Of::Cordon.effect(&p.nodes, scene),
            Spec::Drain(p) => Of::Drain.effect(&p.nodes, scene),
            Spec::MachineOff(p) => Of::Off.effect(&p.nodes, scene),
            Spec::MachineCut(p) => Of::Cut.effect(&p.nodes, scene),
            Spec::Taint(t) => t.effect(scene),
            Spec::Scale(s) => s.effect(scene),
            Spec::RolloutRestart(r) => Ok(r.effect(scene)),
            Spec::Command(c) => c.effect(scene),
        }
    }

    /// What it does, in words, before it is known whom it strikes.
    pub fn words(&self) -> String {
        match self {
            Spec::Kill(p) | Spec::Crash(p) | Spec::Stop(p) | Spec::Pause(p) | Spec::Restart(p) => {
                format!("{} {}", self.name(), p.nodes)
            }
            Spec::RollingRestart(r) => format!("restart {} one by one", r.nodes),
            Spec::Partition(p) => p.words(),
            Spec::Latency(l) => l.words(),
            Spec::Bandwidth(b) => b.words(&b.nodes.to_string()),
            Spec::Loss(packets::Loss(p))
            | Spec::Duplicate(packets::Duplicate(p))
            | Spec::Corrupt(packets::Corrupt(p))
            | Spec::Reorder(packets::Reorder(p)) => p.words(),
            Spec::Reset(r) => r.words(Delivery::Reset, &r.nodes.to_string()),
            Spec::Reject(r) => r.words(Delivery::Reject, &r.nodes.to_string()),
            Spec::CpuStress(s) => s.words(),
            Spec::MemoryStress(s) => s.words(),
            Spec::CpuLimit(s) => s.words(),
            Spec::MemoryLimit(s) => s.words(),
            Spec::IoThrottle(s) => s.words(),
            Spec::DiskFull(s) => s.words(),
            Spec::ClockSkew(s) => s.words(),
            Spec::Dns(s) => s.words(),
            Spec::DatacenterLoss(d) => d.words(&d.zone.to_string()),
            Spec::DatacenterPartition(d) => d.words(&d.zone.to_string()),
            Spec::Evict(p) => format!("evict {}", p.nodes),
            Spec::Cordon(p) => Of::Cordon.words(&p.nodes.to_string()),
            Spec::Drain(p) => Of::Drain.words(&p.nodes.to_string()),
            Spec::MachineOff(p) => Of::Off.words(&p.nodes.to_string()),
            Spec::MachineCut(p) => Of::Cut.words(&p.nodes.to_string()),
            Spec::Taint(t) => t.words(&t.nodes.to_string()),
            Spec::Scale(s) => s.words(),
            Spec::RolloutRestart(r) => r.words(),
            Spec::Command(c) => c.words(c.nodes.as_ref().map(Nodes::to_string)),
        }
    }
}

/// The faults that there are, with a summary and the parameters of each.
pub fn catalogue() -> Vec<Entry> {
    entries::<Spec>()
}

/// Nodes in words: `n1, n2 (dc1)` where they share a zone, `n1, n3` where they do not.
fn names(inventory: &Inventory, nodes: &[NodeId]) -> String {
    let list = nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ");
    let mut zones: Vec<&str> = nodes
        .iter()
        .filter_map(|n| inventory.get(n.as_str()))
        .map(|node| node.zone.as_str())
        .collect();
    zones.dedup();
    match zones[..] {
        [zone] if !zone.is_empty() => format!("{list} ({zone})"),
        _ => list,
    }
}

#[cfg(test)]
mod tests;
