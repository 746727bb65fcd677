//! What a node's network traffic suffers, by the other end of each link.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::load::smaller;
use crate::inventory::NodeId;
use crate::quantity::{Bandwidth, Ratio, Span};

/// The other end of a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Peer {
    /// Another node of the system.
    Node(NodeId),
    /// The clients of the workload.
    Clients,
    /// Somebody who is no node: a host name, as the node itself resolves it when the fault strikes, or an address.
    Outside(String),
}

const CLIENTS: &str = "(clients)";
const OUTSIDE: &str = "(outside) ";

impl From<String> for Peer {
    fn from(name: String) -> Self {
        match name.strip_prefix(OUTSIDE) {
            Some(host) => Peer::Outside(host.to_string()),
            None if name == CLIENTS => Peer::Clients,
            None => Peer::Node(NodeId::new(name)),
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
            Peer::Outside(host) => f.pad(&format!("{OUTSIDE}{host}")),
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
    /// Ports of whose traffic nothing arrives from this peer, whoever of the two listens on them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports_from: BTreeMap<Peer, BTreeSet<Port>>,
    /// Ports of whose traffic nothing sent to this peer arrives there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports_to: BTreeMap<Peer, BTreeSet<Port>>,
}

impl Links {
    /// Whether nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        *self == Links::default()
    }
    /// Whether anything is suffered between it and this peer.
    pub fn names(&self, peer: &Peer) -> bool {
        let ports = self.ports_from.contains_key(peer) || self.ports_to.contains_key(peer);
        ports || self.from.contains_key(peer) || self.to.contains_key(peer)
    }
    /// What is sent to this peer suffers this, too.
    pub fn send(&mut self, to: Peer, link: Link) {
        add_link(&mut self.to, to, link);
    }
    /// What arrives from this peer suffers this, too.
    pub fn receive(&mut self, from: Peer, link: Link) {
        add_link(&mut self.from, from, link);
    }
    pub(super) fn join(self, other: Links) -> Links {
        Links {
            from: join_links(self.from, other.from),
            to: join_links(self.to, other.to),
            ports_from: join_ports(self.ports_from, other.ports_from),
            ports_to: join_ports(self.ports_to, other.ports_to),
        }
    }
}

type Ports = BTreeMap<Peer, BTreeSet<Port>>;

fn join_ports(mut a: Ports, b: Ports) -> Ports {
    for (peer, mut ports) in b {
        a.entry(peer).or_default().append(&mut ports);
    }
    a.retain(|_, ports| !ports.is_empty());
    a
}

/// A port, by its number or by the name that the target gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// From 1 to 65535.
    Number(NonZeroU16),
    /// One of the target's `ports`.
    Name(String),
}

const PORT: &str = "a port from 1 to 65535, or the name of one of the target's ports";

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Port::Number(number) => s.serialize_u16(number.get()),
            Port::Name(name) => s.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Ports;
        impl de::Visitor<'_> for Ports {
            type Value = Port;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(PORT)
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Port, E> {
                let number = u16::try_from(n).ok().and_then(NonZeroU16::new);
                let wrong = || E::invalid_value(de::Unexpected::Unsigned(n), &self);
                number.map(Port::Number).ok_or_else(wrong)
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Port, E> {
                match u64::try_from(n) {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(n), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Port, E> {
                match (name.parse(), name.trim().is_empty()) {
                    (Ok(n), _) => self.visit_u64(n),
                    (Err(_), false) => Ok(Port::Name(name.to_string())),
                    (Err(_), true) => Err(E::invalid_value(de::Unexpected::Str(name), &self)),
                }
            }
        }
        d.deserialize_any(Ports)
    }
}

impl JsonSchema for Port {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Port".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": PORT,
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "minLength": 1},
            ],
        })
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Port::Number(number) => number.fmt(f),
            Port::Name(name) => name.fmt(f),
        }
    }
}

fn join_links(mut a: BTreeMap<Peer, Link>, b: BTreeMap<Peer, Link>) -> BTreeMap<Peer, Link> {
    b.into_iter().for_each(|(peer, link)| add_link(&mut a, peer, link));
    a.retain(|_, link| *link != Link::default());
    a
}

fn add_link(links: &mut BTreeMap<Peer, Link>, peer: Peer, link: Link) {
    if !link.is_healthy() {
        let held = links.entry(peer).or_default();
        *held = held.join(link);
    }
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
            bandwidth: smaller(self.bandwidth, other.bandwidth),
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
