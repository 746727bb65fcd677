//! What becomes of the machine that a node stands on, and of what keeps the node there: only where an orchestrator
//! places nodes onto machines.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of the machine that a node stands on. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Whether anything more is placed there.
    #[serde(default, skip_serializing_if = "Closed::is_open")]
    pub closed: Closed,
    /// What repels those that do not tolerate it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taints: BTreeSet<Taint>,
    /// Whether it works.
    #[serde(default, skip_serializing_if = "Power::is_on")]
    pub power: Power,
}

/// Whether anything more is placed onto a machine, from the mildest to the strongest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Closed {
    /// Yes.
    #[default]
    Open,
    /// Nothing onto this machine (cordoned).
    Machine,
    /// Nothing onto any machine of its zone.
    Zone,
}

/// Whether a machine works, from the mildest to the strongest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// It works.
    #[default]
    On,
    /// It works, and nobody reaches it: its cable is pulled.
    Cut,
    /// It is off.
    Off,
}

impl Closed {
    fn is_open(&self) -> bool {
        *self == Closed::Open
    }
}

impl Power {
    fn is_on(&self) -> bool {
        *self == Power::On
    }
}

/// What repels whoever does not tolerate it, as Kubernetes has it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// Its key, such as `maintenance` or `example.com/maintenance`.
    pub key: String,
    /// Its value. Default: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What it does to those that do not tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to those that do not tolerate it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TaintEffect {
    /// They are placed elsewhere where that is possible.
    PreferNoSchedule,
    /// No more of them are placed there.
    NoSchedule,
    /// Those that are there are evicted.
    NoExecute,
}

impl fmt::Display for Taint {
    /// As `kubectl taint` writes it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Taint { key, value, effect } = self;
        match value.is_empty() {
            true => write!(f, "{key}:{effect:?}"),
            false => write!(f, "{key}={value}:{effect:?}"),
        }
    }
}

impl Machine {
    /// Whether nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        *self == Machine::default()
    }

    /// Whether those that are there are driven out.
    pub fn evicts(&self) -> bool {
        self.taints.iter().any(|taint| taint.effect == TaintEffect::NoExecute)
    }

    /// Both at once.
    #[must_use]
    pub fn join(mut self, mut other: Machine) -> Machine {
        self.taints.append(&mut other.taints);
        Machine {
            closed: self.closed.max(other.closed),
            taints: self.taints,
            power: self.power.max(other.power),
        }
    }
}

/// What becomes of what keeps nodes at their places: a StatefulSet, a Deployment. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// How many nodes it keeps; `None`: as many as it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Whether it was told to make all of them anew, one after the other as it does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rollout: bool,
}

fn is_false(rollout: &bool) -> bool {
    !rollout
}

impl Controller {
    /// Whether nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        *self == Controller::default()
    }

    /// Both at once: the fewer nodes.
    #[must_use]
    pub fn join(self, other: Controller) -> Controller {
        Controller {
            replicas: super::load::smaller(self.replicas, other.replicas),
            rollout: self.rollout || other.rollout,
        }
    }
}
