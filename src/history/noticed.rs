//! What an orchestrator noticed of a node, in its own time.

use serde::{Deserialize, Serialize};

/// What an orchestrator noticed of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noticed {
    /// It takes the node for one that does not serve.
    NotReady,
    /// It takes the node for one that serves, again.
    Ready,
    /// It tells clients of this service of it no more: it is not among the endpoints that are ready.
    Unlisted(String),
    /// It tells clients of this service of it again.
    Listed(String),
    /// It placed what takes the node's place onto this machine.
    Placed(String),
    /// It takes the node's machine, of this name, for lost.
    MachineLost(String),
    /// The node's machine, of this name, is back.
    MachineBack(String),
}

impl Noticed {
    /// What it noticed, behind the node's name.
    pub fn words(&self) -> String {
        match self {
            Noticed::NotReady => "is not ready for the cluster".into(),
            Noticed::Ready => "is ready for the cluster".into(),
            Noticed::Unlisted(service) => format!("is out of the endpoints of {service}"),
            Noticed::Listed(service) => format!("is among the endpoints of {service}"),
            Noticed::Placed(machine) => format!("is placed onto {machine}"),
            Noticed::MachineLost(machine) => format!("stands on {machine}, which is not ready"),
            Noticed::MachineBack(machine) => format!("stands on {machine}, which is ready again"),
        }
    }
}
