//! What a drill leaves: facts only, with their instants. A record can be judged again years later.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::noticed::Noticed;
use super::{Operation, Time};
use crate::inventory::{Inventory, NodeId};
use crate::quantity::{Rate, Ratio, Span};

/// Everything that was seen in one drill.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What was drilled, and how.
    pub header: Header,
    /// In the order of invocation.
    pub operations: Vec<Operation>,
    /// The intended starts of operations that no free worker could start. They count against availability.
    pub dropped: Vec<Time>,
    /// What was injected, in the order of the plan.
    pub faults: Vec<FaultSpan>,
    /// What became of the nodes' processes, in the order of time.
    pub nodes: Vec<NodeEvent>,
    /// The bounds of the load. `None`: there was none.
    pub load: Option<LoadSpan>,
    /// Whether the steady state held before the first fault; `None`: it did not come to that.
    pub steady: Option<Steady>,
    /// How the drill ended. `None`: the runner died, and the record with it.
    pub end: Option<End>,
}

impl Record {
    /// A record of nothing but operations of this model (`register`, `queue`, ...): of no drill. They are numbered in
    /// the order of invocation.
    pub fn of_operations(model: &str, mut operations: Vec<Operation>) -> Record {
        if !operations.is_sorted_by_key(|o| o.invoked) {
            operations.sort_by_key(|o| o.invoked);
        }
        operations.iter_mut().zip(0..).for_each(|(operation, id)| operation.id = id);
        let workload = WorkloadFacts {
            client: String::new(),
            model: model.to_string(),
            workers: 0,
            rate: Rate::ONE,
            keys: 0,
            timeout: Span::default(),
        };
        let header = Header {
            run: String::new(),
            scenario: String::new(),
            file: String::new(),
            labels: BTreeMap::new(),
            seed: 0,
            plan_digest: String::new(),
            target: String::new(),
            version: String::new(),
            began: String::new(),
            inventory: Inventory::default(),
            workload,
        };
        Record { operations, ..Record::empty(header) }
    }

    /// A record of a drill in which nothing has happened yet.
    pub fn empty(header: Header) -> Record {
        Record {
            header,
            operations: vec![],
            dropped: vec![],
            faults: vec![],
            nodes: vec![],
            load: None,
            steady: None,
            end: None,
        }
    }
}

/// What was drilled, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The run's name: unique, and the name of its folder.
    pub run: String,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's file, as it was given.
    pub file: String,
    /// The user's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The seed that the plan was drawn with.
    pub seed: u64,
    /// A digest of the plan: the same plan has the same digest.
    pub plan_digest: String,
    /// `local`, `docker` or `kubernetes`.
    pub target: String,
    /// The version of firedrill.
    pub version: String,
    /// When the drill began (its time zero) by the wall clock, RFC 3339 in UTC.
    pub began: String,
    /// The nodes.
    pub inventory: Inventory,
    /// The clients' work.
    pub workload: WorkloadFacts,
}

/// What the clients were to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadFacts {
    /// The client's name (`store`, `etcd`, `exec`).
    pub client: String,
    /// The model's name (`register`, `counter`, ...).
    pub model: String,
    /// How many operations may be in flight at once.
    pub workers: u32,
    /// The offered rate.
    pub rate: Rate,
    /// How many objects there are.
    pub keys: u32,
    /// How long a client waits for an answer.
    pub timeout: Span,
}

/// One fault of the plan and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultSpan {
    /// Its place in the plan, from 0. Unique in a drill.
    pub id: u32,
    /// The fault's name in the catalogue (`datacenter-loss`).
    pub fault: String,
    /// What it did to whom, in words (`kill n1, n2`). Names are those resolved at its time.
    pub what: String,
    /// The line of the scenario that asks for it, from 1.
    pub line: u32,
    /// The nodes it makes suffer.
    pub nodes: Vec<NodeId>,
    /// When the plan wanted it, since the load began.
    pub planned_at: Duration,
    /// How long the plan wanted it.
    pub planned_for: Duration,
    /// What became of the injection. `None`: it did not come to it.
    pub injected: Option<Change>,
    /// What became of the heal. `None`: it did not come to it.
    pub healed: Option<Change>,
}

impl FaultSpan {
    /// Its place in the plan as people count, from 1.
    pub fn number(&self) -> u64 {
        u64::from(self.id) + 1
    }
}

/// A change of conditions, measured: an injection or a heal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When the change was begun: before this instant, nothing of it was in effect.
    pub issued: Time,
    /// When the change was complete on every node. The fault's clock starts here, if `proof` holds.
    pub effective: Time,
    /// When the measurements were done.
    pub measured: Time,
    /// What was measured at each node, in words.
    pub evidence: Vec<Evidence>,
    /// Why it is not proven. `None`: it is.
    pub unproven: Option<String>,
}

/// What was measured at one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where.
    pub node: NodeId,
    /// What, in words with figures (`connect refused after 0.2 ms`).
    pub measured: String,
}

/// Something that happened to a node's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// When it was seen.
    pub at: Time,
    /// Where.
    pub node: NodeId,
    /// What.
    pub kind: NodeEventKind,
}

/// What happened to a node's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeEventKind {
    /// It was started.
    Started,
    /// It accepts connections.
    Ready,
    /// It ended, as firedrill meant it to.
    Ended(String),
    /// It ended, and not by firedrill: how, in words (`exit code 1`, `signal 6`).
    Died(String),
    /// It was seen to be the leader.
    Leads,
    /// What the orchestrator noticed of it, in its own time.
    Noticed(Noticed),
    /// How it was found to stand among its peers: told when that changed, and once more when it was
    /// asked the last time.
    Stands {
        /// What it came to.
        standing: Standing,
        /// The ask before began here, so the change is not older; of the first ask, its own beginning.
        after: Time,
    },
}

/// How a member takes part in its system, as the system itself says to a client. Reasons are for
/// people: a lower-case fragment, which says what the member said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Healthy, and caught up: the system is as redundant as this member can make it.
    Full,
    /// It answers, and is ill or not caught up: why.
    Behind(String),
    /// It does not answer, or its peers do not know it: why.
    Absent(String),
    /// Nobody can tell: why.
    Unknown(String),
}

impl Standing {
    /// `full`, `behind: why`, `absent: why`, `unknown: why`.
    pub fn words(&self) -> String {
        match self {
            Standing::Full => "full".into(),
            Standing::Behind(why) => format!("behind: {why}"),
            Standing::Absent(why) => format!("absent: {why}"),
            Standing::Unknown(why) => format!("unknown: {why}"),
        }
    }
    /// Whether both say the same, whatever the figures in their reasons.
    pub fn says_as(&self, other: &Standing) -> bool {
        let bare = |s: &Standing| s.words().replace(|c: char| c.is_ascii_digit(), "");
        bare(self) == bare(other)
    }
}

/// The bounds of the load: operations of [`super::Stage::Load`] start in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadSpan {
    /// Time zero of the plan.
    pub began: Time,
    /// When the last operation was let start. `None`: the record ended before.
    pub ended: Option<Time>,
}

/// The steady state before the first fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// The window that was measured: its first instant.
    pub from: Time,
    /// Its last.
    pub to: Time,
    /// Successful / intended operations in it (dropped ones are intended).
    pub success: Ratio,
    /// Operations that returned, a second.
    pub rate: f64,
    /// Whether that was enough.
    pub held: bool,
}

/// How a drill ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Time,
    /// Why it ended before its plan was done. `None`: the plan was done.
    pub aborted: Option<String>,
    /// What could not be restored, each with the command that restores it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<String>,
}
