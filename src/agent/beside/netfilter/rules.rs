//! Which rules make which links true.

use std::net::IpAddr;

use super::batch::{Batch, Hook, Table};
use super::expression::{End, Expressions, Refusal, Transport, Version};
use crate::agent::beside::interfaces::Interface;
use crate::agent::beside::netem::loses_first;
use crate::agent::beside::protocol::{HeldLink, Way};
use crate::condition::Delivery;

/// What shaped frames carry on their second way through an interface, so that they are not shaped again: this, and the
/// interface's index, so that a lane gives each back to the one that it came from. It does not leave the namespace.
const MARK: u32 = 0x6669_7265;

const NOTE: &str = "firedrill link ";

/// An interface, and the shaper's device in front of it if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent::beside) struct Wire {
    pub(in crate::agent::beside) interface: Interface,
    pub(in crate::agent::beside) shaper: Option<Device>,
}

impl Wire {
    /// An interface with nothing in front of it.
    pub(in crate::agent::beside) fn bare(interface: Interface) -> Wire {
        Wire { interface, shaper: None }
    }
}

/// A device of the shaper's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent::beside) struct Device {
    pub(in crate::agent::beside) index: u32,
    pub(in crate::agent::beside) name: String,
}

/// A way through netem, for the frames of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent::beside) struct Lane {
    /// The link's place among those that are held; none, if frames only come out any more.
    pub(in crate::agent::beside) link: Option<usize>,
    /// The device that they are forwarded to.
    pub(in crate::agent::beside) entry: u32,
    /// The name of the device that they come out of.
    pub(in crate::agent::beside) exit: String,
}

fn mark(interface: &Interface) -> u32 {
    MARK.wrapping_add(interface.index)
}

fn note(link: usize) -> String {
    format!("{NOTE}{link}")
}

/// The number of the link that a rule is noted with.
pub(super) fn noted(comment: &str) -> Option<usize> {
    comment.strip_prefix(NOTE)?.parse().ok()
}

pub(super) fn write(batch: &mut Batch, links: &[HeldLink], wires: &[Wire], lanes: &[Lane]) {
    for way in [Way::In, Way::Out] {
        cuts(batch, links, way);
        refusals(batch, links, way);
    }
    for wire in wires {
        devices(batch, links, wire);
        match &wire.shaper {
            Some(tap) => through_tap(batch, links, wire, tap),
            None if wire.interface.ethernet.is_some() => into_lanes(batch, links, wire, lanes),
            None => {}
        }
    }
    for lane in lanes {
        out_of_lane(batch, wires, lane);
    }
}

/// What a packet of this way is called at.
fn chain(table: Table, way: Way) -> &'static str {
    match (table, way) {
        (Table::Device, Way::In) => "arriving",
        (Table::Device, Way::Out) => "leaving",
        (Table::Internet, Way::In) => "input",
        (Table::Internet, Way::Out) => "output",
    }
}

/// Where the other end's address stands.
fn far_end(way: Way) -> End {
    match way {
        Way::In => End::Source,
        Way::Out => End::Destination,
    }
}

/// Each link of this way with its number, and each address of it.
fn of(links: &[HeldLink], way: Way) -> impl Iterator<Item = (usize, &HeldLink, IpAddr)> {
    let links = links.iter().enumerate().filter(move |(_, held)| held.way == way);
    links.flat_map(|(number, held)| {
        let peers = held.peers.iter().map(|peer| peer.to_canonical());
        peers.map(move |peer| (number, held, peer))
    })
}

/// What is dropped, at any device.
fn cuts(batch: &mut Batch, links: &[HeldLink], way: Way) {
    let (table, name) = (Table::Device, chain(Table::Device, way));
    batch.empty_chain(table, name, None);
    // As ARP, which is not IP: who is where on the wire is no message between nodes.
    batch.rule(table, name, "", |e| {
        e.neighbour_discovery();
        e.accept();
    });
    for (number, held, peer) in of(links, way) {
        let share = match held.link.delivery {
            Delivery::Drop => 1.0,
            _ if held.is_shaped() => continue,
            _ => held.link.loss.fraction(),
        };
        if share == 0.0 {
            continue;
        }
        let mut rule = |only: Option<(Transport, End, u16)>| {
            batch.rule(table, name, &note(number), |e| {
                e.address(far_end(way), peer, true);
                if let Some((protocol, end, port)) = only {
                    e.port(protocol, end, port);
                }
                e.share(share);
                e.count();
                e.drop();
            });
        };
        if held.ports.is_empty() {
            rule(None);
        }
        for port in &held.ports {
            for protocol in [Transport::Tcp, Transport::Udp] {
                rule(Some((protocol, End::Source, *port)));
                rule(Some((protocol, End::Destination, *port)));
            }
        }
    }
}

/// What is refused. Refusals themselves pass: each may be the answer of a rule at the other hook, or at the other end.
fn refusals(batch: &mut Batch, links: &[HeldLink], way: Way) {
    let (table, name) = (Table::Internet, chain(Table::Internet, way));
    let hook = match way {
        Way::In => Hook::Input,
        Way::Out => Hook::Output,
    };
    batch.empty_chain(table, name, Some(hook));
    // Each at the hook of its own way first, so that it counts what it caught itself.
    let refused: Vec<_> = of(links, way)
        .chain(of(links, way.other()))
        .filter(|(_, held, _)| held.link.delivery.is_refusal())
        .collect();
    if refused.is_empty() {
        return;
    }
    let passing: [fn(&mut Expressions); 4] = [
        |e| e.reset(),
        |e| e.unreachable(Version::V4),
        |e| e.unreachable(Version::V6),
        |e| e.neighbour_discovery(),
    ];
    for only in passing {
        batch.rule(table, name, "", |e| {
            only(e);
            e.accept();
        });
    }
    for (number, held, peer) in refused {
        let mut refuse = |tcp, how| {
            batch.rule(table, name, &note(number), |e| {
                e.address(far_end(way), peer, false);
                e.tcp(tcp);
                e.count();
                e.refuse(how);
            });
        };
        // Whichever way was told: half a connection is none, and one whose answers alone were refused would hang.
        refuse(true, Refusal::Reset);
        if held.link.delivery == Delivery::Reject && held.way == way {
            refuse(false, Refusal::Unreachable);
        }
    }
}

/// What an interface sends, before it leaves.
fn leaving(device: &str) -> String {
    format!("to {device}")
}

/// The chains of one interface, and their hooks into the cuts.
fn devices(batch: &mut Batch, links: &[HeldLink], wire: &Wire) {
    let (table, device) = (Table::Device, wire.interface.name.as_str());
    let (from, to) = (format!("from {device}"), leaving(device));
    batch.empty_chain(table, &from, Some(Hook::Ingress(device)));
    batch.rule(table, &from, "", |e| e.jump(chain(table, Way::In)));
    batch.empty_chain(table, &to, Some(Hook::Egress(device)));
    batch.rule(table, &to, "", |e| e.jump(chain(table, Way::Out)));
    if links.iter().any(HeldLink::is_shaped) {
        batch.rule(table, &to, "", |e| {
            e.marked(mark(&wire.interface));
            e.accept();
        });
    }
}

/// The links that are shaped where their frames leave, with the addresses of each.
fn shaped(links: &[HeldLink]) -> impl Iterator<Item = (usize, &HeldLink, IpAddr)> {
    let passes = |held: &HeldLink| held.link.delivery != Delivery::Drop && held.is_shaped();
    of(links, Way::Out).filter(move |(_, held, _)| passes(held))
}

/// The way through the agent's own shaper, and back.
fn through_tap(batch: &mut Batch, links: &[HeldLink], wire: &Wire, tap: &Device) {
    let (table, Interface { index, name, .. }) = (Table::Device, &wire.interface);
    for (number, _, peer) in shaped(links) {
        batch.rule(table, &leaving(name), &note(number), |e| {
            e.address(End::Destination, peer, true);
            e.count();
            e.forward(tap.index);
        });
    }
    let back = format!("shaped {name}");
    batch.empty_chain(table, &back, Some(Hook::Ingress(&tap.name)));
    batch.rule(table, &back, "", |e| {
        e.mark(mark(&wire.interface));
        e.forward(*index);
    });
}

/// The ways into netem.
fn into_lanes(batch: &mut Batch, links: &[HeldLink], wire: &Wire, lanes: &[Lane]) {
    let (table, to) = (Table::Device, leaving(&wire.interface.name));
    for (number, held, peer) in shaped(links) {
        let Some(lane) = lanes.iter().find(|lane| lane.link == Some(number)) else { continue };
        if loses_first(&held.link) {
            batch.rule(table, &to, &note(number), |e| {
                e.address(End::Destination, peer, true);
                e.share(held.link.loss.fraction());
                e.count();
                e.drop();
            });
        }
        batch.rule(table, &to, &note(number), |e| {
            e.address(End::Destination, peer, true);
            e.count();
            e.mark(mark(&wire.interface));
            e.forward(lane.entry);
        });
    }
}

/// The way out of netem: each frame to the interface that it was about to leave by.
fn out_of_lane(batch: &mut Batch, wires: &[Wire], lane: &Lane) {
    let back = format!("shaped {}", lane.exit);
    batch.empty_chain(Table::Device, &back, Some(Hook::Ingress(&lane.exit)));
    for Wire { interface, .. } in wires.iter().filter(|wire| wire.interface.ethernet.is_some()) {
        batch.rule(Table::Device, &back, "", |e| {
            e.marked(mark(interface));
            e.forward(interface.index);
        });
    }
}
