//! Faults of resources: processors, memory and disks that others take, or of which there are fewer.
//!
//! Names are those of Chaos Mesh's `StressChaos` where it has them. All of it stays within the node's own limits: what
//! a fault takes, it takes from the node and not from its neighbours.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::choice::{FaultError, Scene};
use super::nodes::Nodes;
use super::{Effect, names};
use crate::condition::{Condition, Disk, Load};
use crate::quantity::{Bytes, Cpus, Ratio, Throughput};

/// Computes beside a node, within its own limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuStress {
    /// Whose processors.
    pub nodes: Nodes,
    /// Threads that compute, 1 to 1024.
    #[serde(deserialize_with = "some_workers")]
    #[schemars(range(min = 1, max = 1024))]
    pub workers: u32,
    /// The share of the time for which each of them computes, above 0%. Default: 100%.
    #[serde(default = "all", deserialize_with = "some_load")]
    pub load: Ratio,
}

fn all() -> Ratio {
    Ratio::ALL
}

fn some_workers<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    match u32::deserialize(d)? {
        n @ 1..=1024 => Ok(n),
        n => Err(D::Error::custom(format!("expected 1 to 1024 workers, found {n}"))),
    }
}

fn some_load<'de, D: Deserializer<'de>>(d: D) -> Result<Ratio, D::Error> {
    match Ratio::deserialize(d)? {
        Ratio::NONE => Err(D::Error::custom("expected a load above 0%, found 0%")),
        load => Ok(load),
    }
}

/// Holds memory beside a node, within its own limit. Without a limit it is the machine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryStress {
    /// Whose memory.
    pub nodes: Nodes,
    /// How much is held. What holds it is the first to go when memory runs out.
    pub size: Bytes,
}

/// Gives a node fewer processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuLimit {
    /// Who gets fewer.
    pub nodes: Nodes,
    /// The most processors that it gets, all its threads together.
    pub cpus: Cpus,
}

/// Gives a node less memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryLimit {
    /// Who gets less.
    pub nodes: Nodes,
    /// The most that it may use. Below what the kernel can take from it, the kernel refuses (version 1 of control
    /// groups), or kills processes of the node (version 2).
    pub limit: Bytes,
}

/// Slows a node's disks down. At least one of `read` and `write`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawIoThrottle", into = "RawIoThrottle")]
pub struct IoThrottle {
    /// Whose disks.
    pub nodes: Nodes,
    /// The most that is read from each disk.
    pub read: Option<Throughput>,
    /// The most that is written to each disk.
    pub write: Option<Throughput>,
}

/// Slows a node's disks down. At least one of `read` and `write`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "IoThrottleFault", deny_unknown_fields)]
struct RawIoThrottle {
    /// Whose disks.
    nodes: Nodes,
    /// The most that is read from each disk. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Throughput>,
    /// The most that is written to each disk. On a machine with version 1 of control groups, only what is written
    /// past the page cache (O_DIRECT) is slowed down. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write: Option<Throughput>,
}

impl TryFrom<RawIoThrottle> for IoThrottle {
    type Error = String;
    fn try_from(raw: RawIoThrottle) -> Result<Self, String> {
        let RawIoThrottle { nodes, read, write } = raw;
        match (read, write) {
            (None, None) => Err("expected `read`, `write` or both".into()),
            _ => Ok(IoThrottle { nodes, read, write }),
        }
    }
}

impl From<IoThrottle> for RawIoThrottle {
    fn from(spec: IoThrottle) -> Self {
        RawIoThrottle { nodes: spec.nodes, read: spec.read, write: spec.write }
    }
}

/// Fills a file system of a node's, and keeps it full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawDiskFull", into = "RawDiskFull")]
pub struct DiskFull {
    /// Whose.
    pub nodes: Nodes,
    /// A folder on it, as the node sees it.
    pub path: String,
    /// The most that may be filled.
    pub at_most: Bytes,
}

/// Fills a file system of a node's, and keeps it full.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "DiskFullFault", deny_unknown_fields)]
struct RawDiskFull {
    /// Whose.
    nodes: Nodes,
    /// A folder on it, as the node sees it, such as /var/lib/etcd.
    path: String,
    /// The most that may be filled: a file system with more room is left alone, since others may live on it.
    /// Default: 1GiB.
    #[serde(default = "one_gibibyte")]
    at_most: Bytes,
}

fn one_gibibyte() -> Bytes {
    Bytes::mebibytes(1024)
}

impl TryFrom<RawDiskFull> for DiskFull {
    type Error = String;
    fn try_from(raw: RawDiskFull) -> Result<Self, String> {
        let RawDiskFull { nodes, path, at_most } = raw;
        match path.starts_with('/') && !path.split('/').any(|part| part == "..") {
            true => Ok(DiskFull { nodes, path, at_most }),
            false => Err(format!("expected a `path` from the root, found `{path}`")),
        }
    }
}

impl From<DiskFull> for RawDiskFull {
    fn from(spec: DiskFull) -> Self {
        RawDiskFull { nodes: spec.nodes, path: spec.path, at_most: spec.at_most }
    }
}

/// A fault of each node by itself: whom it strikes, and what they suffer.
pub(super) trait Toward {
    fn nodes(&self) -> &Nodes;
    /// What it does to these, in words.
    fn of(&self, who: &str) -> String;
    fn condition(&self) -> Condition;

    fn words(&self) -> String {
        self.of(&self.nodes().to_string())
    }

    fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let victims = scene.choose(self.nodes())?;
        let what = self.of(&names(scene.inventory, &victims));
        let condition = self.condition();
        let conditions = victims.iter().map(|node| (node.clone(), condition.clone())).collect();
        Ok(Effect { what, victims, conditions })
    }
}

fn loaded(load: Load) -> Condition {
    Condition { load, ..Condition::default() }
}

impl Toward for CpuStress {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        let threads = if self.workers == 1 { "thread" } else { "threads" };
        format!("stress {who} with {} {threads} at {}", self.workers, self.load)
    }
    fn condition(&self) -> Condition {
        let (cpu_workers, cpu_share) = (self.workers, self.load);
        loaded(Load { cpu_workers, cpu_share, ..Load::default() })
    }
}

impl Toward for MemoryStress {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        format!("hold {} of the memory of {who}", self.size)
    }
    fn condition(&self) -> Condition {
        loaded(Load { memory: Some(self.size), ..Load::default() })
    }
}

impl Toward for CpuLimit {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        format!("limit {who} to {} processors", self.cpus)
    }
    fn condition(&self) -> Condition {
        loaded(Load { cpu_limit: Some(self.cpus), ..Load::default() })
    }
}

impl Toward for MemoryLimit {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        format!("limit {who} to {} of memory", self.limit)
    }
    fn condition(&self) -> Condition {
        loaded(Load { memory_limit: Some(self.limit), ..Load::default() })
    }
}

impl Toward for IoThrottle {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        let limit = |what: &str, limit: Option<Throughput>| limit.map(|l| format!("{what} {l}"));
        let limits: Vec<String> = [limit("reading", self.read), limit("writing", self.write)]
            .into_iter()
            .flatten()
            .collect();
        format!("slow the disks of {who} to {}", limits.join(" and "))
    }
    fn condition(&self) -> Condition {
        loaded(Load { read_limit: self.read, write_limit: self.write, ..Load::default() })
    }
}

impl Toward for DiskFull {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        format!("fill {} of {who}", self.path)
    }
    fn condition(&self) -> Condition {
        let disk = Disk { full: BTreeMap::from([(self.path.clone(), self.at_most)]) };
        Condition { disk, ..Condition::default() }
    }
}
