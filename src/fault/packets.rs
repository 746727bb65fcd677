//! Faults of single packets: each packet fares by chance. They need a target that sees packets.
//!
//! Names and parameters are those of Chaos Mesh's `NetworkChaos`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Effect;
use super::choice::{FaultError, Scene};
use super::link::{LinkEnds, sent};
use super::nodes::Nodes;
use super::wiring::Direction;
use crate::condition::Link;
use crate::quantity::{Ratio, Span};

/// Makes single packets fare badly, by chance. Give `nodes` (all their links, the clients' too) or `between`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packets {
    /// Whose links.
    pub links: LinkEnds,
    /// What befalls the packets of each.
    pub link: Link,
    /// Which way.
    pub direction: Direction,
}

impl Packets {
    pub(super) fn needs_leader(&self) -> bool {
        self.links.needs_leader()
    }

    pub(super) fn words(&self) -> String {
        self.links.words(&self.amount(), self.direction)
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        self.links.effect(scene, &self.amount(), self.direction, self.link)
    }

    fn amount(&self) -> String {
        let Link { loss, duplicate, corrupt, reorder, .. } = self.link;
        let shares =
            [("lose", loss), ("duplicate", duplicate), ("corrupt", corrupt), ("reorder", reorder)];
        let shares = shares.into_iter().filter(|(_, share)| *share != Ratio::NONE);
        let shares: Vec<String> = shares.map(|(what, share)| format!("{what} {share}")).collect();
        format!("{} of the packets of", shares.join(", "))
    }

    fn new(ends: Ends, link: Link, direction: Direction) -> Result<Packets, String> {
        if !link.draws_lots() {
            return Err("expected a share above 0%".into());
        }
        Ok(Packets { links: ends.try_into()?, link, direction })
    }
}

type Ends = (Option<Nodes>, Option<[Nodes; 2]>);

/// Loses packets. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawLoss", into = "RawLoss")]
pub struct Loss(pub Packets);

/// Loses packets. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "LossFault", deny_unknown_fields)]
struct RawLoss {
    /// Whose links: all of them, those to the clients too.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes>,
    /// Two sides: the links between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    between: Option<[Nodes; 2]>,
    /// The share of packets that is lost, such as 10%.
    loss: Ratio,
    /// How often a packet fares as the one before it: chance comes in bursts, the share stays. Default: 0%.
    #[serde(default)]
    correlation: Ratio,
    /// Which way. Default: to.
    #[serde(default = "sent")]
    direction: Direction,
}

impl TryFrom<RawLoss> for Loss {
    type Error = String;
    fn try_from(raw: RawLoss) -> Result<Self, String> {
        let link = Link { loss: raw.loss, correlation: raw.correlation, ..Link::default() };
        Packets::new((raw.nodes, raw.between), link, raw.direction).map(Loss)
    }
}

impl From<Loss> for RawLoss {
    fn from(Loss(Packets { links, link, direction }): Loss) -> Self {
        let (nodes, between) = links.into();
        RawLoss { nodes, between, loss: link.loss, correlation: link.correlation, direction }
    }
}

/// Lets packets arrive twice. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawDuplicate", into = "RawDuplicate")]
pub struct Duplicate(pub Packets);

/// Lets packets arrive twice. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "DuplicateFault", deny_unknown_fields)]
struct RawDuplicate {
    /// Whose links: all of them, those to the clients too.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes>,
    /// Two sides: the links between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    between: Option<[Nodes; 2]>,
    /// The share of packets that arrives twice, such as 10%.
    duplicate: Ratio,
    /// How often a packet fares as the one before it: chance comes in bursts, the share stays. Default: 0%.
    #[serde(default)]
    correlation: Ratio,
    /// Which way. Default: to.
    #[serde(default = "sent")]
    direction: Direction,
}

impl TryFrom<RawDuplicate> for Duplicate {
    type Error = String;
    fn try_from(raw: RawDuplicate) -> Result<Self, String> {
        let link =
            Link { duplicate: raw.duplicate, correlation: raw.correlation, ..Link::default() };
        Packets::new((raw.nodes, raw.between), link, raw.direction).map(Duplicate)
    }
}

impl From<Duplicate> for RawDuplicate {
    fn from(Duplicate(Packets { links, link, direction }): Duplicate) -> Self {
        let (nodes, between) = links.into();
        RawDuplicate {
            nodes,
            between,
            duplicate: link.duplicate,
            correlation: link.correlation,
            direction,
        }
    }
}

/// Flips a bit of packets: whoever has a checksum drops them. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawCorrupt", into = "RawCorrupt")]
pub struct Corrupt(pub Packets);

/// Flips a bit of packets: whoever has a checksum drops them. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "CorruptFault", deny_unknown_fields)]
struct RawCorrupt {
    /// Whose links: all of them, those to the clients too.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes>,
    /// Two sides: the links between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    between: Option<[Nodes; 2]>,
    /// The share of packets of which one bit is flipped, such as 10%.
    corrupt: Ratio,
    /// How often a packet fares as the one before it: chance comes in bursts, the share stays. Default: 0%.
    #[serde(default)]
    correlation: Ratio,
    /// Which way. Default: to.
    #[serde(default = "sent")]
    direction: Direction,
}

impl TryFrom<RawCorrupt> for Corrupt {
    type Error = String;
    fn try_from(raw: RawCorrupt) -> Result<Self, String> {
        let link = Link { corrupt: raw.corrupt, correlation: raw.correlation, ..Link::default() };
        Packets::new((raw.nodes, raw.between), link, raw.direction).map(Corrupt)
    }
}

impl From<Corrupt> for RawCorrupt {
    fn from(Corrupt(Packets { links, link, direction }): Corrupt) -> Self {
        let (nodes, between) = links.into();
        RawCorrupt {
            nodes,
            between,
            corrupt: link.corrupt,
            correlation: link.correlation,
            direction,
        }
    }
}

/// Delays packets, and lets some overtake the others. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawReorder", into = "RawReorder")]
pub struct Reorder(pub Packets);

/// Delays packets, and lets some overtake the others. Give `nodes` (all their
/// links, the clients' too) or `between` (two sides).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "ReorderFault", deny_unknown_fields)]
struct RawReorder {
    /// Whose links: all of them, those to the clients too.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes>,
    /// Two sides: the links between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    between: Option<[Nodes; 2]>,
    /// The share of packets that overtakes, such as 10%.
    reorder: Ratio,
    /// Added to the packets that do not overtake, one way. Without, there would be nothing to overtake.
    latency: Span,
    /// The most by which the added time varies to either side, uniformly. Default: 0s.
    #[serde(default)]
    jitter: Span,
    /// How often a packet fares as the one before it: chance comes in bursts, the share stays. Default: 0%.
    #[serde(default)]
    correlation: Ratio,
    /// Which way. Default: to.
    #[serde(default = "sent")]
    direction: Direction,
}

impl TryFrom<RawReorder> for Reorder {
    type Error = String;
    fn try_from(raw: RawReorder) -> Result<Self, String> {
        if raw.latency.0.is_zero() {
            return Err("expected a latency above 0s: without, there is nothing to overtake".into());
        }
        let link = Link {
            reorder: raw.reorder,
            correlation: raw.correlation,
            latency: raw.latency,
            jitter: raw.jitter,
            ..Link::default()
        };
        Packets::new((raw.nodes, raw.between), link, raw.direction).map(Reorder)
    }
}

impl From<Reorder> for RawReorder {
    fn from(Reorder(Packets { links, link, direction }): Reorder) -> Self {
        let (nodes, between) = links.into();
        RawReorder {
            nodes,
            between,
            reorder: link.reorder,
            correlation: link.correlation,
            latency: link.latency,
            jitter: link.jitter,
            direction,
        }
    }
}
