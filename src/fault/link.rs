//! Faults of links: latency, bandwidth, connection resets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::{FaultError, Scene};
use super::nodes::Nodes;
use super::wiring::{Direction, Wiring};
use super::{Effect, names};
use crate::condition::{Delivery, Link};
use crate::inventory::NodeId;
use crate::quantity::{Bandwidth, Span};

/// Delays what passes. Give `nodes` (all their links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawLatency", into = "RawLatency")]
pub struct Latency {
    /// Whose links.
    pub links: LinkEnds,
    /// Added one way.
    pub latency: Span,
    /// The most by which the added time varies to either side.
    pub jitter: Span,
    /// Which way.
    pub direction: Direction,
}

/// Which links a fault of links means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnds {
    /// All links of these nodes: to every other node, and to the clients.
    Of(Nodes),
    /// The links between two sides.
    Between([Nodes; 2]),
}

/// Delays what passes. Give `nodes` (all their links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "LatencyFault", deny_unknown_fields)]
struct RawLatency {
    /// Whose links: all of them, those to the clients too.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes>,
    /// Two sides: the links between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    between: Option<[Nodes; 2]>,
    /// Added to what passes, one way.
    latency: Span,
    /// The most by which the added time varies to either side, uniformly. Default: 0s.
    #[serde(default)]
    jitter: Span,
    /// Which way. Default: to, so that a round trip grows by `latency` once.
    #[serde(default = "sent")]
    direction: Direction,
}

pub(super) fn sent() -> Direction {
    Direction::To
}

impl TryFrom<RawLatency> for Latency {
    type Error = String;
    fn try_from(raw: RawLatency) -> Result<Self, String> {
        let links = (raw.nodes, raw.between).try_into()?;
        if raw.latency.0.is_zero() && raw.jitter.0.is_zero() {
            return Err("expected a latency above 0s".into());
        }
        let (latency, jitter, direction) = (raw.latency, raw.jitter, raw.direction);
        Ok(Latency { links, latency, jitter, direction })
    }
}

impl From<Latency> for RawLatency {
    fn from(spec: Latency) -> Self {
        let (nodes, between) = spec.links.into();
        let Latency { latency, jitter, direction, .. } = spec;
        RawLatency { nodes, between, latency, jitter, direction }
    }
}

impl Latency {
    pub(super) fn needs_leader(&self) -> bool {
        self.links.needs_leader()
    }

    fn amount(&self) -> String {
        match self.jitter.0.is_zero() {
            true => format!("delay by {}", self.latency),
            false => format!("delay by {} ± {}", self.latency, self.jitter),
        }
    }

    pub(super) fn words(&self) -> String {
        self.links.words(&self.amount(), self.direction)
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let link = Link { latency: self.latency, jitter: self.jitter, ..Link::default() };
        self.links.effect(scene, &self.amount(), self.direction, link)
    }
}

impl TryFrom<(Option<Nodes>, Option<[Nodes; 2]>)> for LinkEnds {
    type Error = String;
    fn try_from(given: (Option<Nodes>, Option<[Nodes; 2]>)) -> Result<Self, String> {
        match given {
            (Some(nodes), None) => Ok(LinkEnds::Of(nodes)),
            (None, Some(sides)) => Ok(LinkEnds::Between(sides)),
            _ => Err("expected either `nodes` or `between`".into()),
        }
    }
}

impl From<LinkEnds> for (Option<Nodes>, Option<[Nodes; 2]>) {
    fn from(ends: LinkEnds) -> Self {
        match ends {
            LinkEnds::Of(nodes) => (Some(nodes), None),
            LinkEnds::Between(sides) => (None, Some(sides)),
        }
    }
}

impl LinkEnds {
    pub(super) fn needs_leader(&self) -> bool {
        match self {
            LinkEnds::Of(nodes) => nodes.needs_leader(),
            LinkEnds::Between(sides) => sides.iter().any(Nodes::needs_leader),
        }
    }

    /// `what` befalls these links, in words.
    pub(super) fn words(&self, what: &str, direction: Direction) -> String {
        let links = match self {
            LinkEnds::Of(nodes) => nodes.to_string(),
            LinkEnds::Between([a, b]) => format!("{a} | {b}"),
        };
        format!("{what} {links}{}", direction.words())
    }

    pub(super) fn effect(
        &self,
        scene: &mut Scene,
        what: &str,
        direction: Direction,
        link: Link,
    ) -> Result<Effect, FaultError> {
        let way = direction.words();
        match self {
            LinkEnds::Of(nodes) => {
                all_links(scene, nodes, direction, link, |who| format!("{what} {who}{way}"))
            }
            LinkEnds::Between(sides) => {
                let [a, b] = scene.choose_sides(sides)?;
                let mut wiring = Wiring::default();
                wiring.between(&a, &b, direction, link);
                let (one, other) = (names(scene.inventory, &a), names(scene.inventory, &b));
                let what = format!("{what} {one} | {other}{way}");
                let victims = if b.len() < a.len() { b } else { a };
                Ok(Effect { what, victims, conditions: wiring.conditions() })
            }
        }
    }
}

/// Limits how much passes a second on all links of some nodes, those to the clients too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandwidthLimit {
    /// Whose links.
    pub nodes: Nodes,
    /// The most that passes each link, each way.
    pub rate: Bandwidth,
    /// Which way. Default: both.
    #[serde(default)]
    pub direction: Direction,
}

impl BandwidthLimit {
    pub(super) fn words(&self, who: &str) -> String {
        format!("limit {who} to {}{}", self.rate, self.direction.words())
    }
    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let link = Link { bandwidth: Some(self.rate), ..Link::default() };
        all_links(scene, &self.nodes, self.direction, link, |who| self.words(who))
    }
}

/// Refuses traffic of some nodes: with every other node, and with the clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Whose traffic.
    pub nodes: Nodes,
}

impl Refusal {
    pub(super) fn words(&self, delivery: Delivery, who: &str) -> String {
        match delivery {
            Delivery::Reset => format!("reset the connections of {who}"),
            _ => format!("reject the traffic of {who}"),
        }
    }

    pub(super) fn effect(
        &self,
        scene: &mut Scene,
        delivery: Delivery,
    ) -> Result<Effect, FaultError> {
        let link = Link { delivery, ..Link::default() };
        let what = |who: &str| self.words(delivery, who);
        all_links(scene, &self.nodes, Direction::Both, link, what)
    }
}

fn all_links(
    scene: &mut Scene,
    nodes: &Nodes,
    direction: Direction,
    link: Link,
    what: impl Fn(&str) -> String,
) -> Result<Effect, FaultError> {
    let victims = scene.choose(nodes)?;
    let everyone: Vec<NodeId> = scene.inventory.ids().cloned().collect();
    let mut wiring = Wiring::default();
    wiring.between(&victims, &everyone, direction, link);
    wiring.with_clients(&victims, direction, link);
    let what = what(&names(scene.inventory, &victims));
    Ok(Effect { what, victims, conditions: wiring.conditions() })
}
