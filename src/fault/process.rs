//! Faults of processes: kill, crash, stop, pause, restart, and restarts one after the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::{FaultError, Scene};
use super::nodes::Nodes;
use super::{Effect, names};
use crate::condition::{Condition, Life};
use crate::inventory::NodeId;
use crate::quantity::Span;

/// A fault that strikes processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Whose.
    pub nodes: Nodes,
}

impl Process {
    pub(super) fn effect(
        &self,
        scene: &mut Scene,
        verb: &str,
        life: Life,
    ) -> Result<Effect, FaultError> {
        let victims = scene.choose(&self.nodes)?;
        let what = format!("{verb} {}", names(scene.inventory, &victims));
        Ok(end(what, victims, life))
    }
}

pub(super) fn end(what: String, victims: Vec<NodeId>, life: Life) -> Effect {
    let condition = Condition { life, ..Condition::default() };
    let conditions = victims.iter().map(|node| (node.clone(), condition.clone())).collect();
    Effect { what, victims, conditions }
}

/// Restarts nodes one after the other. `for` must hold all the turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollingRestart {
    /// Whose, in the order of their names. They must be known while planning.
    pub nodes: Nodes,
    /// How long each stays down.
    pub down: Span,
    /// How long to wait after a node was started again, before the next one. Default: 5s.
    #[serde(default = "default_pause")]
    pub pause: Span,
}

fn default_pause() -> Span {
    Span::secs(5)
}

/// One node's turn in a rolling restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// How long after the first turn's beginning.
    pub after: Span,
    /// How long the node is down.
    pub down: Span,
    /// What it comes to.
    pub effect: Effect,
}

impl RollingRestart {
    /// The turns, in order. An error if the nodes cannot be known while planning.
    pub fn turns(&self, scene: &mut Scene) -> Result<Vec<Turn>, FaultError> {
        if self.nodes.needs_leader() {
            let message = format!("a rolling restart of {} cannot be planned", self.nodes);
            return Err(FaultError::new(message)
                .with_help("name nodes that are known beforehand: all, a zone, or names"));
        }
        let nodes = scene.choose(&self.nodes)?;
        let step = self.down.0 + self.pause.0;
        let count = nodes.len();
        let turn = |(place, node): (usize, NodeId)| {
            let what = format!(
                "restart {}, {} of {count}",
                names(scene.inventory, std::slice::from_ref(&node)),
                place + 1
            );
            let after = Span(step.saturating_mul(place as u32));
            Turn { after, down: self.down, effect: end(what, vec![node], Life::Stopped) }
        };
        Ok(nodes.into_iter().enumerate().map(turn).collect())
    }

    /// All turns at once: the worst that it can do, should it be asked for as one fault.
    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let process = Process { nodes: self.nodes.clone() };
        process.effect(scene, "restart", Life::Stopped)
    }
}
