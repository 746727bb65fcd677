//! What a node should be suffering now. A fault contributes to conditions; the drill hands each node its
//! whole new condition; applying is idempotent, and healing is applying `Condition::default()`.
//!
//! Invariant: [`Condition::join`] is commutative, associative and idempotent, has the default as its
//! neutral element, and is never weaker than either side, field by field. Property tests hold it.
//!
//! Pure. Deliberately absent: how a condition is made true (targets), who asked for it (faults). Load,
//! clock, disk and DNS conditions come with the targets that can make them true.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::inventory::NodeId;
use crate::quantity::{Bandwidth, Ratio, Span};

mod dns;

pub use dns::{Dns, NamePattern, NotAPattern, Resolution};

/// Everything a node suffers at one instant. The default is healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Whether its process lives.
    #[serde(default, skip_serializing_if = "Life::is_running")]
    pub life: Life,
    /// What its network traffic suffers.
    #[serde(default, skip_serializing_if = "Links::is_healthy")]
    pub links: Links,
    /// Commands of the user's own that hold for this node.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub commands: BTreeSet<UserCommand>,
}

/// Whether a node's process lives, from the mildest to the strongest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// It runs.
    #[default]
    Running,
    /// It was killed once (SIGKILL); whatever restarts it may.
    Crashed,
    /// It exists, and does nothing (SIGSTOP).
    Paused,
    /// It was asked to end (SIGTERM, then SIGKILL), and stays down.
    Stopped,
    /// It was killed (SIGKILL), and stays down.
    Killed,
}

impl Life {
    fn is_running(&self) -> bool {
        *self == Life::Running
    }
    /// Whether a process exists in this state, or may.
    pub fn has_process(self) -> bool {
        self <= Life::Paused
    }
}

/// The other end of a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Peer {
    /// Another node of the system.
    Node(NodeId),
    /// The clients of the workload.
    Clients,
}

const CLIENTS: &str = "(clients)";

impl From<String> for Peer {
    fn from(name: String) -> Self {
        match name.as_str() {
            CLIENTS => Peer::Clients,
            name => Peer::Node(NodeId::new(name)),
        }
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Peer::Node(id) => f.pad(id.as_str()),
            Peer::Clients => f.pad(CLIENTS),
        }
    }
}

/// What a node's traffic suffers, by the other end. A peer that is not named is healthy; no entry is.
///
/// A cut between `a` and `b` stands at both: in `a` toward `b`, and in `b` from `a`. So it holds while
/// either of them is made anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// What arrives from this peer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<Peer, Link>,
    /// What is sent to this peer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub to: BTreeMap<Peer, Link>,
}

impl Links {
    /// Whether nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        self.from.is_empty() && self.to.is_empty()
    }
    fn join(self, other: Links) -> Links {
        Links { from: join_links(self.from, other.from), to: join_links(self.to, other.to) }
    }
}

fn join_links(mut a: BTreeMap<Peer, Link>, b: BTreeMap<Peer, Link>) -> BTreeMap<Peer, Link> {
    for (peer, link) in b {
        let joined = a.remove(&peer).unwrap_or_default().join(link);
        a.insert(peer, joined);
    }
    a.retain(|_, link| *link != Link::default());
    a
}

/// What one direction of one link suffers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What becomes of the traffic at all.
    #[serde(default, skip_serializing_if = "Delivery::passes")]
    pub delivery: Delivery,
    /// Time added to each packet or chunk, one way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub latency: Span,
    /// The most by which the added time varies to either side, uniformly.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter: Span,
    /// The most that passes; `None` is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// The share of packets that is lost.
    #[serde(default, skip_serializing_if = "is_none")]
    pub loss: Ratio,
    /// The share of packets that arrives twice.
    #[serde(default, skip_serializing_if = "is_none")]
    pub duplicate: Ratio,
    /// The share of packets of which one bit is flipped.
    #[serde(default, skip_serializing_if = "is_none")]
    pub corrupt: Ratio,
    /// The share of packets that the added time spares, so that they overtake others.
    #[serde(default, skip_serializing_if = "is_none")]
    pub reorder: Ratio,
    /// How often a packet fares as the one before it did, in each of the shares above: chance comes in
    /// bursts, and each share stays what it is.
    #[serde(default, skip_serializing_if = "is_none")]
    pub correlation: Ratio,
}

fn is_zero(span: &Span) -> bool {
    span.0 == Duration::ZERO
}

fn is_none(share: &Ratio) -> bool {
    share.fraction() == 0.0
}

impl Link {
    /// A link on which nothing arrives, and nobody is told.
    pub const CUT: Link = Link {
        delivery: Delivery::Drop,
        latency: Span::millis(0),
        jitter: Span::millis(0),
        bandwidth: None,
        loss: Ratio::NONE,
        duplicate: Ratio::NONE,
        corrupt: Ratio::NONE,
        reorder: Ratio::NONE,
        correlation: Ratio::NONE,
    };

    /// Only whether traffic passes at all: what can be suffered at both ends of a link without being suffered twice.
    #[must_use]
    pub fn delivery_alone(self) -> Link {
        Link { delivery: self.delivery, ..Link::default() }
    }

    /// Whether it is nothing.
    pub fn is_healthy(&self) -> bool {
        *self == Link::default()
    }

    /// What the answers suffer so that whoever asks sees both directions' delays: for peers where nobody can delay
    /// what they send.
    #[must_use]
    pub fn answering(self, asked: Link) -> Link {
        let sum = |a: Span, b: Span| Span(a.0 + b.0);
        Link {
            delivery: self.delivery,
            latency: sum(self.latency, asked.latency),
            jitter: sum(self.jitter, asked.jitter),
            ..self.join(asked)
        }
    }

    /// Both at once, in each field the stronger one: the larger delay, the smaller bandwidth.
    pub fn join(self, other: Link) -> Link {
        Link {
            delivery: self.delivery.max(other.delivery),
            latency: self.latency.max(other.latency),
            jitter: self.jitter.max(other.jitter),
            bandwidth: match (self.bandwidth, other.bandwidth) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            loss: self.loss.max(other.loss),
            duplicate: self.duplicate.max(other.duplicate),
            corrupt: self.corrupt.max(other.corrupt),
            reorder: self.reorder.max(other.reorder),
            correlation: self.correlation.max(other.correlation),
        }
    }

    /// Whether it takes more than a packet filter: time, a limit, packets changed, or chance in bursts.
    pub fn is_shaped(&self) -> bool {
        let Link { latency, jitter, bandwidth, duplicate, corrupt, reorder, .. } = self;
        let timed = !is_zero(latency) || !is_zero(jitter) || bandwidth.is_some();
        let bursts = !is_none(&self.loss) && !is_none(&self.correlation);
        timed || bursts || [duplicate, corrupt, reorder].into_iter().any(|share| !is_none(share))
    }

    /// Whether single packets fare differently from others, which takes somebody who sees packets.
    pub fn draws_lots(&self) -> bool {
        let shares = [self.loss, self.duplicate, self.corrupt, self.reorder];
        shares.iter().any(|share| !is_none(share))
    }
}

/// What becomes of traffic, from the mildest to the strongest: each lets pass no more than the one before.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// It passes.
    #[default]
    Pass,
    /// TCP connections are reset: those that stand, and each new one. What is no TCP passes.
    Reset,
    /// As `Reset`; and what is no TCP is refused, too, and its sender told by ICMP.
    Reject,
    /// It is dropped in silence, as in a partition.
    Drop,
}

impl Delivery {
    fn passes(&self) -> bool {
        *self == Delivery::Pass
    }
    /// Whether the sender is told that its traffic does not pass.
    pub fn is_refusal(self) -> bool {
        matches!(self, Delivery::Reset | Delivery::Reject)
    }
}

/// A fault of the user's own: what injects it, what proves it, what heals it. Arguments, not shell lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCommand {
    /// Makes it so. Journaled before it runs.
    pub inject: Vec<String>,
    /// Exits with 0 while the fault is in effect, with anything else while it is not.
    pub prove: Vec<String>,
    /// Undoes it. Must tolerate that `inject` never ran, or ran half.
    pub heal: Vec<String>,
}

impl Condition {
    /// Everything that either side suffers.
    #[must_use]
    pub fn join(mut self, mut other: Condition) -> Condition {
        self.commands.append(&mut other.commands);
        Condition {
            life: self.life.max(other.life),
            links: self.links.join(other.links),
            commands: self.commands,
        }
    }
    /// Whether this is the default: nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        *self == Condition::default()
    }
}

#[cfg(test)]
mod tests;
