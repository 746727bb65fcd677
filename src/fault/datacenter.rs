//! Faults of whole datacenters (zones): lost, or cut off from the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Effect;
use super::choice::{FaultError, Scene};
use super::nodes::Zone;
use super::partition::without;
use super::process::end;
use super::wiring::{Direction, Wiring};
use crate::condition::{Closed, Life, Link, Machine, Power};
use crate::inventory::NodeId;

/// Loses a whole datacenter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatacenterLoss {
    /// Which.
    pub zone: Zone,
    /// What becomes of its nodes. Default: kill.
    #[serde(default)]
    pub how: Loss,
}

/// What becomes of the nodes of a lost datacenter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// They are killed: the power failed.
    #[default]
    Kill,
    /// They run on, and reach neither the other datacenters nor the clients: the uplink failed.
    Cut,
    /// They are frozen.
    Pause,
    /// They are killed, and none comes back there before the heal, whatever would bring it back: Kubernetes closes
    /// every machine of the datacenter, and switches off those that nodes stand on where the target has
    /// `node_commands`.
    Nodes,
}

impl DatacenterLoss {
    pub(super) fn words(&self, zone: &str) -> String {
        match self.how {
            Loss::Kill => format!("lose {zone}"),
            Loss::Cut => format!("cut off {zone}, also from the clients"),
            Loss::Pause => format!("freeze {zone}"),
            Loss::Nodes => format!("lose {zone} with its machines"),
        }
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let (zone, victims) = scene.zone(&self.zone)?;
        let what = self.words(&in_words(&zone, &victims));
        Ok(match self.how {
            Loss::Kill => end(what, victims, Life::Killed),
            Loss::Pause => end(what, victims, Life::Paused),
            Loss::Nodes => {
                let mut effect = end(what, victims, Life::Killed);
                for condition in effect.conditions.values_mut() {
                    condition.machine =
                        Machine { closed: Closed::Zone, power: Power::Off, ..Machine::default() };
                }
                effect
            }
            Loss::Cut => {
                let mut wiring = Wiring::default();
                let rest = others(scene, &victims);
                wiring.between(&victims, &rest, Direction::Both, Link::CUT);
                if scene.clients_in != Some(zone.as_str()) {
                    wiring.with_clients(&victims, Direction::Both, Link::CUT);
                }
                Effect { what, victims, conditions: wiring.conditions() }
            }
        })
    }
}

/// Cuts a datacenter off from the others; its nodes go on running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatacenterPartition {
    /// Which.
    pub zone: Zone,
    /// Where the clients stand. Default: everywhere.
    #[serde(default)]
    pub clients: Clients,
}

/// Where the clients stand while a datacenter is cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clients {
    /// On both sides: they still reach every node.
    #[default]
    Everywhere,
    /// In the datacenter: they reach no other one.
    Inside,
    /// In the other datacenters: they do not reach this one.
    Outside,
}

impl DatacenterPartition {
    pub(super) fn words(&self, zone: &str) -> String {
        match self.clients {
            Clients::Everywhere => format!("partition {zone} | the others"),
            Clients::Inside => format!("partition {zone} and the clients | the others"),
            Clients::Outside => format!("partition {zone} | the others and the clients"),
        }
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let (zone, victims) = scene.zone(&self.zone)?;
        let rest = others(scene, &victims);
        if rest.is_empty() {
            return Err(FaultError::new(format!("zone `{zone}` is the only one"))
                .with_help("a datacenter can be cut off only from another one"));
        }
        let mut wiring = Wiring::default();
        wiring.between(&victims, &rest, Direction::Both, Link::CUT);
        match self.clients {
            Clients::Everywhere => {}
            Clients::Inside => wiring.with_clients(&rest, Direction::Both, Link::CUT),
            Clients::Outside => wiring.with_clients(&victims, Direction::Both, Link::CUT),
        }
        let what = self.words(&in_words(&zone, &victims));
        Ok(Effect { what, victims, conditions: wiring.conditions() })
    }
}

fn in_words(zone: &str, nodes: &[NodeId]) -> String {
    let nodes = nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ");
    format!("{zone} ({nodes})")
}

fn others(scene: &Scene, nodes: &[NodeId]) -> Vec<NodeId> {
    without(&scene.inventory.ids().cloned().collect::<Vec<_>>(), nodes)
}
