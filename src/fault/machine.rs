//! Faults of the machines that nodes stand on, and of what keeps nodes there: what an orchestrator does to nodes, and
//! what happens to it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::{FaultError, Scene};
use super::nodes::Nodes;
use super::{Effect, names};
use crate::condition::{Closed, Condition, Controller, Life, Machine, Power, Taint, TaintEffect};
use crate::inventory::NodeId;

/// Gives machines a taint, which repels nodes that do not tolerate it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "TaintFault", deny_unknown_fields)]
pub struct TaintFault {
    /// Whose machines.
    pub nodes: Nodes,
    /// Its key, such as `maintenance` or `example.com/maintenance`.
    pub key: String,
    /// Its value. Default: none.
    #[serde(default)]
    pub value: String,
    /// What it does to those that do not tolerate it. Default: NoSchedule.
    #[serde(default = "no_schedule")]
    pub effect: TaintEffect,
}

fn no_schedule() -> TaintEffect {
    TaintEffect::NoSchedule
}

/// Lets the controller keep another number of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// How many.
    pub to: u32,
}

/// Lets the controller make all its nodes anew, one after the other as it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutRestart {}

/// What becomes of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Cordon,
    Drain,
    Off,
    Cut,
}

impl Of {
    pub(super) fn words(self, nodes: &str) -> String {
        match self {
            Of::Cordon => format!("cordon the machines of {nodes}"),
            Of::Drain => format!("drain the machines of {nodes}"),
            Of::Off => format!("switch off the machines of {nodes}"),
            Of::Cut => format!("cut off the machines of {nodes}"),
        }
    }

    fn condition(self) -> Condition {
        let mut machine = Machine::default();
        let mut life = Life::Running;
        match self {
            Of::Cordon => machine.closed = Closed::Machine,
            Of::Drain => (machine.closed, life) = (Closed::Machine, Life::Evicted),
            Of::Off => machine.power = Power::Off,
            Of::Cut => machine.power = Power::Cut,
        }
        Condition { life, machine, ..Condition::default() }
    }

    pub(super) fn effect(self, nodes: &Nodes, scene: &mut Scene) -> Result<Effect, FaultError> {
        let chosen = scene.choose(nodes)?;
        let what = self.words(&names(scene.inventory, &chosen));
        // Who is only kept from coming back is not lost.
        Ok(on(what, chosen, &self.condition(), self != Of::Cordon))
    }
}

fn on(what: String, nodes: Vec<NodeId>, condition: &Condition, lost: bool) -> Effect {
    let conditions = nodes.iter().map(|node| (node.clone(), condition.clone())).collect();
    Effect { what, victims: if lost { nodes } else { vec![] }, conditions }
}

impl TaintFault {
    fn taint(&self) -> Taint {
        Taint { key: self.key.clone(), value: self.value.clone(), effect: self.effect }
    }

    pub(super) fn words(&self, nodes: &str) -> String {
        format!("taint the machines of {nodes} with {}", self.taint())
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let chosen = scene.choose(&self.nodes)?;
        let what = self.words(&names(scene.inventory, &chosen));
        let machine = Machine { taints: BTreeSet::from([self.taint()]), ..Machine::default() };
        let lost = machine.evicts();
        Ok(on(what, chosen, &Condition { machine, ..Condition::default() }, lost))
    }
}

impl Scale {
    pub(super) fn words(&self) -> String {
        format!("scale to {}", self.to)
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let mut nodes: Vec<NodeId> = scene.inventory.ids().cloned().collect();
        // A controller takes away those of the highest numbers first, where they have any.
        nodes.sort_by_key(|node| number(node.as_str()));
        let keeps = usize::try_from(self.to).unwrap_or(usize::MAX);
        let lost: Vec<NodeId> = nodes.iter().skip(keeps).cloned().collect();
        let what = match lost.is_empty() {
            true => self.words(),
            false => format!("{}, without {}", self.words(), names(scene.inventory, &lost)),
        };
        let controller = Controller { replicas: Some(self.to), ..Controller::default() };
        let condition = Condition { controller, ..Condition::default() };
        Ok(Effect { victims: lost, ..on(what, nodes, &condition, false) })
    }
}

/// The number at a name's end.
fn number(name: &str) -> u64 {
    let digits = name.rsplit(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

impl RolloutRestart {
    pub(super) fn words(&self) -> String {
        "restart all by a rollout".into()
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Effect {
        let controller = Controller { rollout: true, ..Controller::default() };
        let condition = Condition { controller, ..Condition::default() };
        // Nobody says who is down when; how many at once is the controller's own care.
        on(self.words(), scene.inventory.ids().cloned().collect(), &condition, false)
    }
}
