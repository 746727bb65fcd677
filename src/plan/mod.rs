//! Scenario + inventory + seed = plan, byte for byte. Pure.
//!
//! Invariant: what chance decides is drawn from the seed, one stream for each step and purpose, so that a
//! step added at the end changes nothing of what was planned before. What only the drill can know (who
//! leads) is left open as [`Binding::Late`], and [`PlannedFault::bind`] closes it.

mod blast;
mod build;
mod conceivable;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::fault::{Draw, Effect, Scene, Spec};
use crate::inventory::{Inventory, NodeId};

pub use build::{FAULTS_MAX, build};
pub use conceivable::{Conceivable, conceivable};

/// What happens to whom and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// The seed that it was drawn with.
    pub seed: u64,
    /// `local`, `docker` or `kubernetes`.
    pub target: String,
    /// The nodes that it was drawn for, without endpoints.
    pub inventory: Inventory,
    /// How long the load lasts, from time zero of the plan (the load's beginning).
    pub load: Duration,
    /// In the order of their times; `id` is the place here.
    pub faults: Vec<PlannedFault>,
    /// Faults that chance asked for and the blast radius did not allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<Omitted>,
}

/// One injection of one fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedFault {
    /// Its place in the plan, from 0.
    pub id: u32,
    /// The fault's name in the catalogue.
    pub fault: String,
    /// The line of the scenario that asks for it, from 1.
    pub line: u32,
    /// When it is injected, since the load began.
    pub at: Duration,
    /// How long it lasts, from its confirmed injection.
    pub length: Duration,
    /// What its own choices are drawn from, should they be made only at its time.
    #[serde(default)]
    pub draw: u64,
    /// What it does to whom: known now, or only at its time (`leader`).
    pub effect: Binding,
}

/// A drawn fault that was left out, because with what was planned before it the blast radius would not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Omitted {
    /// The fault's name in the catalogue.
    pub fault: String,
    /// The line of the scenario that asks for it, from 1.
    pub line: u32,
    /// When it would have been injected, since the load began.
    pub at: Duration,
    /// Why it was left out.
    pub why: String,
}

/// What is known of a fault's effect while planning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// All.
    Known(Effect),
    /// It depends on who leads at that time: in words, `kill the leader`.
    Late {
        /// In words.
        what: String,
        /// The fault as it was written (serialized `fault::Spec`), for `PlannedFault::bind`.
        fault: serde_json::Value,
        /// The zone that the clients stand in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clients_in: Option<String>,
    },
}

/// A fault whose nodes cannot be told at its time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BindError(pub String);

impl PlannedFault {
    /// The fault's effect, given who leads now. Deterministic: same plan, inventory and leader, same effect.
    pub fn bind(
        &self,
        inventory: &Inventory,
        leader: Option<&NodeId>,
    ) -> Result<Effect, BindError> {
        let (fault, clients_in) = match &self.effect {
            Binding::Known(effect) => return Ok(effect.clone()),
            Binding::Late { fault, clients_in, .. } => (fault, clients_in.as_deref()),
        };
        let spec: Spec = serde_json::from_value(fault.clone())
            .map_err(|error| BindError(format!("fault {}: not readable: {error}", self.id)))?;
        let mut scene = Scene { inventory, leader, clients_in, draw: Draw::new(self.draw, BIND) };
        spec.effect(&mut scene)
            .map_err(|error| BindError(format!("fault {} ({}): {error}", self.id, self.what())))
    }

    /// What it does, in words: with names where they are known.
    pub fn what(&self) -> &str {
        match &self.effect {
            Binding::Known(effect) => &effect.what,
            Binding::Late { what, .. } => what,
        }
    }

    /// When it is healed, if all goes by the plan.
    pub fn end(&self) -> Duration {
        self.at + self.length
    }
}

/// The purpose of the stream that late choices are drawn from.
const BIND: &str = "bind";

impl Plan {
    /// The condition of a node at a time since the load began, if all goes by the plan: what all faults that
    /// are active then contribute, joined. Faults that bind late contribute nothing here.
    pub fn condition(&self, node: &NodeId, at: Duration) -> Condition {
        let active = self.faults.iter().filter(|fault| (fault.at..fault.end()).contains(&at));
        active
            .filter_map(|fault| match &fault.effect {
                Binding::Known(effect) => effect.conditions.get(node).cloned(),
                Binding::Late { .. } => None,
            })
            .fold(Condition::default(), Condition::join)
    }

    /// All that each node may suffer at any time of the drill, joined, whoever leads: what a target can get ready for.
    pub fn foreseen(&self) -> BTreeMap<NodeId, Condition> {
        let mut all: BTreeMap<NodeId, Condition> = BTreeMap::new();
        let mut add = |effect: Effect| {
            for (node, condition) in effect.conditions {
                let known = all.remove(&node).unwrap_or_default();
                all.insert(node, known.join(condition));
            }
        };
        for fault in &self.faults {
            match &fault.effect {
                Binding::Known(effect) => add(effect.clone()),
                Binding::Late { .. } => {
                    let leaders = self.inventory.ids();
                    let bound = leaders.map(|leader| fault.bind(&self.inventory, Some(leader)));
                    bound.flatten().for_each(&mut add);
                }
            }
        }
        all
    }

    /// A digest of the whole plan, 16 hexadecimal digits: same plan, same digest. FNV-1a of its JSON: it
    /// tells plans apart, and does not withstand somebody who wants two to look alike.
    pub fn digest(&self) -> String {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// The instants at which a planned condition changes, in order, since the load began.
    pub fn changes(&self) -> Vec<Duration> {
        let ends = self.faults.iter().flat_map(|fault| [fault.at, fault.end()]);
        let sorted: BTreeMap<Duration, ()> = ends.map(|at| (at, ())).collect();
        sorted.into_keys().collect()
    }
}

#[cfg(test)]
mod tests;
