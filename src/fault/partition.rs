//! Partitions, in the topologies that Jepsen names.
//!
//! Invariant: a partition cuts nodes from each other and leaves the clients alone, unless it is asked to
//! cut them from its victims too. With ports, it cuts the traffic of those alone.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::at::At;
use super::choice::{FaultError, Scene};
use super::nodes::{Nodes, Zone};
use super::wiring::{Direction, Suffering, Wiring};
use super::{Effect, names};
use crate::condition::{Link, Peer, Port};
use crate::inventory::NodeId;

/// Cuts nodes off from each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawPartition", into = "RawPartition")]
pub struct Partition {
    /// Along which lines.
    pub shape: Shape,
    /// Which way traffic is lost, seen from the first side (or from the isolated nodes).
    pub direction: Direction,
    /// Whether the clients are cut off from the victims too.
    pub clients: bool,
    /// The ports whose traffic is cut. None: all traffic is.
    pub ports: BTreeSet<Port>,
}

/// Along which lines a partition cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Two sides; nodes on neither side keep all their links.
    Halves([Nodes; 2]),
    /// Some nodes from all others; they keep each other.
    Isolate(Nodes),
    /// Some nodes from these hosts, which are no nodes of the system.
    Outside(Nodes, Vec<String>),
    /// Two halves that only see each other through these nodes.
    Bridge(Nodes),
    /// Every node sees a majority, and no two see the same.
    MajoritiesRing,
    /// Two zones from each other.
    Zones([At<String>; 2]),
}

/// Cuts nodes off from each other. Exactly one of halves, isolate, bridge, majorities-ring, zones.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Partition", rename_all = "kebab-case", deny_unknown_fields)]
struct RawPartition {
    /// Two sides, such as [minority, majority]; `all` on a side means all the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    halves: Option<[Nodes; 2]>,
    /// Nodes that are cut off from all others, and keep each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    isolate: Option<Nodes>,
    /// With isolate: what the nodes are cut off from in place of the other nodes: host names, as the nodes resolve
    /// them when the fault strikes, or addresses, of who is no node of the system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outside: Vec<String>,
    /// Nodes that see everyone, while the two halves of the others do not see each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<Nodes>,
    /// `all`: every node sees a majority, and no two see the same one. At least 4 nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    majorities_ring: Option<RingOf>,
    /// Two zones that do not see each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    zones: Option<[At<String>; 2]>,
    /// Which way traffic is lost: both; to (what the first side sends); from (what it receives).
    /// Default: both. Only with halves, isolate and zones.
    #[serde(default)]
    direction: Direction,
    /// Whether the clients are cut off from the victims too. Default: false.
    #[serde(default)]
    clients: bool,
    /// The ports whose traffic is cut, by number or by the target's names for them, whoever of the two listens
    /// there. Default: all traffic.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    ports: BTreeSet<Port>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RingOf {
    All,
}

impl TryFrom<RawPartition> for Partition {
    type Error = String;
    fn try_from(raw: RawPartition) -> Result<Self, String> {
        let RawPartition { halves, isolate, outside, bridge, majorities_ring, zones, .. } = raw;
        let RawPartition { direction, clients, ports, .. } = raw;
        if !outside.is_empty() && isolate.is_none() {
            return Err("`outside` says what `isolate` cuts its nodes off from: give both".into());
        }
        outside.iter().try_for_each(|host| is_host(host))?;
        let isolated = |nodes| match outside.is_empty() {
            true => Shape::Isolate(nodes),
            false => Shape::Outside(nodes, outside),
        };
        let mut shapes = [
            halves.map(Shape::Halves),
            isolate.map(isolated),
            bridge.map(Shape::Bridge),
            majorities_ring.map(|_| Shape::MajoritiesRing),
            zones.map(Shape::Zones),
        ]
        .into_iter()
        .flatten();
        let (Some(shape), None) = (shapes.next(), shapes.next()) else {
            let shapes = "`halves`, `isolate`, `bridge`, `majorities-ring` or `zones`";
            return Err(format!("expected exactly one of {shapes}"));
        };
        let whole = matches!(shape, Shape::Bridge(_) | Shape::MajoritiesRing);
        if whole && direction != Direction::Both {
            return Err("a bridge or ring has no direction: leave `direction` out".into());
        }
        if clients && shape == Shape::MajoritiesRing {
            return Err("a ring cuts off no node, so no clients: leave `clients` out".into());
        }
        if clients && matches!(shape, Shape::Outside(..)) {
            return Err("`outside` names whom nodes are cut off from: leave `clients` out".into());
        }
        Ok(Partition { shape, direction, clients, ports })
    }
}

/// Whether it can be a host's name or address (RFC 1123); whether there is one is seen when the fault strikes.
fn is_host(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(plain)
    };
    let name = text.len() <= 253 && text.trim_end_matches('.').split('.').all(label);
    match name || text.parse::<std::net::IpAddr>().is_ok() {
        true => Ok(()),
        false => Err(format!(
            "expected a host name or an address in `outside`, found `{text}`; \
             ports stand in `ports`"
        )),
    }
}

impl From<Partition> for RawPartition {
    fn from(spec: Partition) -> Self {
        let mut raw = RawPartition {
            direction: spec.direction,
            clients: spec.clients,
            ports: spec.ports,
            ..RawPartition::default()
        };
        match spec.shape {
            Shape::Halves(sides) => raw.halves = Some(sides),
            Shape::Isolate(nodes) => raw.isolate = Some(nodes),
            Shape::Outside(nodes, outside) => {
                (raw.isolate, raw.outside) = (Some(nodes), outside);
            }
            Shape::Bridge(nodes) => raw.bridge = Some(nodes),
            Shape::MajoritiesRing => raw.majorities_ring = Some(RingOf::All),
            Shape::Zones(zones) => raw.zones = Some(zones),
        }
        raw
    }
}

impl Partition {
    pub(super) fn needs_leader(&self) -> bool {
        match &self.shape {
            Shape::Halves(sides) => sides.iter().any(Nodes::needs_leader),
            Shape::Isolate(nodes) | Shape::Outside(nodes, _) | Shape::Bridge(nodes) => {
                nodes.needs_leader()
            }
            Shape::MajoritiesRing | Shape::Zones(_) => false,
        }
    }

    pub(super) fn words(&self) -> String {
        let shape = match &self.shape {
            Shape::Halves([a, b]) => format!("partition {a} | {b}"),
            Shape::Isolate(nodes) => format!("isolate {nodes}"),
            Shape::Outside(nodes, hosts) => format!("isolate {nodes} from {}", hosts.join(", ")),
            Shape::Bridge(nodes) => format!("partition with {nodes} as the bridge"),
            Shape::MajoritiesRing => "partition into a majorities ring".to_string(),
            Shape::Zones([a, b]) => format!("partition zone {a} | zone {b}"),
        };
        format!("{shape}{}", self.manner())
    }

    /// In which way, and for whom else.
    fn manner(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(Port::to_string).collect();
        let ports = match &ports[..] {
            [] => String::new(),
            [port] => format!(" (only port {port})"),
            _ => format!(" (only ports {})", ports.join(", ")),
        };
        let clients = if self.clients { ", also from the clients" } else { "" };
        format!("{}{ports}{clients}", self.direction.words())
    }

    fn suffering(&self) -> Suffering {
        match self.ports.is_empty() {
            true => Link::CUT.into(),
            false => Suffering::Ports(self.ports.clone()),
        }
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let everyone: Vec<NodeId> = scene.inventory.ids().cloned().collect();
        match &self.shape {
            Shape::Halves(sides) => {
                let sides = scene.choose_sides(sides)?;
                Ok(self.sides(scene, "partition", sides, None))
            }
            Shape::Zones(zones) => {
                let [a, b] = zones.clone().map(|zone| Nodes::Zone(Zone::Named(zone)));
                let sides = scene.choose_sides(&[a, b])?;
                Ok(self.sides(scene, "partition", sides, None))
            }
            Shape::Isolate(nodes) => {
                let inside = scene.choose(nodes)?;
                let rest = without(&everyone, &inside);
                if rest.is_empty() {
                    return Err(FaultError::new(format!("isolate {nodes} leaves no other node")));
                }
                let victims = inside.clone();
                Ok(self.sides(scene, "isolate", [inside, rest], Some(victims)))
            }
            Shape::Outside(nodes, hosts) => {
                let victims = scene.choose(nodes)?;
                let mut wiring = Wiring::default();
                for host in hosts {
                    let peer = Peer::Outside(host.clone());
                    wiring.with(&peer, &victims, self.direction, self.suffering());
                }
                let (who, hosts) = (names(scene.inventory, &victims), hosts.join(", "));
                let what = format!("isolate {who} from {hosts}{}", self.manner());
                Ok(Effect { what, victims, conditions: wiring.conditions() })
            }
            Shape::Bridge(nodes) => {
                let middle = scene.choose(nodes)?;
                let mut rest = without(&everyone, &middle);
                if rest.len() < 2 {
                    return Err(FaultError::new("a bridge needs at least two other nodes"));
                }
                scene.draw.shuffle(&mut rest);
                let mut second = rest.split_off(rest.len() / 2);
                rest.sort();
                second.sort();
                let mut effect = self.sides(scene, "partition", [rest, second], None);
                let through = names(scene.inventory, &middle);
                effect.what = format!("{}, {through} sees both", effect.what);
                Ok(effect)
            }
            Shape::MajoritiesRing => self.ring(scene, everyone),
        }
    }

    fn sides(
        &self,
        scene: &Scene,
        verb: &str,
        [a, b]: [Vec<NodeId>; 2],
        victims: Option<Vec<NodeId>>,
    ) -> Effect {
        let mut wiring = Wiring::default();
        wiring.between(&a, &b, self.direction, self.suffering());
        let (one, other) = (names(scene.inventory, &a), names(scene.inventory, &b));
        let what = format!("{verb} {one} | {other}{}", self.manner());
        let victims = victims.unwrap_or(if b.len() < a.len() { b } else { a });
        if self.clients {
            wiring.with_clients(&victims, self.direction, self.suffering());
        }
        Effect { what, victims, conditions: wiring.conditions() }
    }

    /// Every node keeps its neighbours on a ring in random order, just enough of them for a majority with itself.
    fn ring(&self, scene: &mut Scene, mut nodes: Vec<NodeId>) -> Result<Effect, FaultError> {
        let total = nodes.len();
        if total < 4 {
            return Err(FaultError::new(format!(
                "a majorities ring needs 4 nodes, there are {total}"
            ))
            .with_help("with 3 nodes or fewer, every node of such a ring sees every other"));
        }
        scene.draw.shuffle(&mut nodes);
        let reach = (total / 2).div_ceil(2); // a majority is total/2 + 1, one of it the node itself
        let mut wiring = Wiring::default();
        for (place, node) in nodes.iter().enumerate() {
            for (other_place, other) in nodes.iter().enumerate().skip(place + 1) {
                let apart = (other_place - place).min(total - (other_place - place));
                if apart > reach {
                    let (a, b) = (std::slice::from_ref(node), std::slice::from_ref(other));
                    wiring.between(a, b, Direction::Both, self.suffering());
                }
            }
        }
        let order = nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(" - ");
        let what = format!("partition into a majorities ring: {order}{}", self.manner());
        nodes.sort();
        Ok(Effect { what, victims: nodes, conditions: wiring.conditions() })
    }
}

pub(super) fn without(all: &[NodeId], some: &[NodeId]) -> Vec<NodeId> {
    all.iter().filter(|node| !some.contains(node)).cloned().collect()
}
