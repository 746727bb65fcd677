//! The network interfaces of the namespace and their addresses, as rtnetlink(7) tells: there may be no `/sys`.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use super::devices::OWN;
use super::netlink::{DUMP, Family, Netlink, REQUEST, Reply};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

const ETHERNET: u16 = 1;
const LOOPBACK: u32 = 0x8;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mtu: u32,
    /// Its hardware address, if it is Ethernet: only then are its frames known.
    pub(super) ethernet: Option<[u8; 6]>,
}

/// All interfaces but loopback and the agent's own.
pub(super) fn interfaces() -> io::Result<Vec<Interface>> {
    Ok(all()?.into_iter().filter(|interface| !interface.name.starts_with(OWN)).collect())
}

/// All interfaces but loopback.
pub(super) fn all() -> io::Result<Vec<Interface>> {
    let mut socket = Netlink::open(Family::Route)?;
    let mut request = socket.messages();
    request.message(GET_LINK, REQUEST | DUMP, &[0; 16]);
    let mut found = vec![];
    socket.dump(request, |reply| found.extend(interface(reply)))?;
    Ok(found)
}

fn interface(reply: &Reply) -> Option<Interface> {
    let flags = number(reply.body.get(8..)?)?;
    if reply.kind != NEW_LINK || flags & LOOPBACK != 0 {
        return None;
    }
    let attributes = reply.attributes(16);
    let name = attributes.text(3)?.to_string();
    let kind = u16::from_ne_bytes(reply.body.get(2..4)?.try_into().ok()?);
    let address = attributes.get(1).and_then(|bytes| bytes.try_into().ok());
    Some(Interface {
        index: number(reply.body.get(4..)?)?,
        name,
        mtu: attributes.get(4).and_then(number).unwrap_or(1500),
        ethernet: address.filter(|_| kind == ETHERNET),
    })
}

/// The namespace's own addresses; loopback and what holds on one link only left out.
pub(super) fn addresses() -> io::Result<BTreeSet<IpAddr>> {
    let mut socket = Netlink::open(Family::Route)?;
    let mut request = socket.messages();
    request.message(GET_ADDRESS, REQUEST | DUMP, &[0; 8]);
    let mut found = BTreeSet::new();
    socket.dump(request, |reply| found.extend(address(reply)))?;
    Ok(found)
}

fn address(reply: &Reply) -> Option<IpAddr> {
    if reply.kind != NEW_ADDRESS {
        return None;
    }
    let attributes = reply.attributes(8);
    // On a point-to-point link the first is the peer's, the second one's own.
    let bytes = attributes.get(2).or_else(|| attributes.get(1))?;
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    let local = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    (!local).then_some(address)
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}
