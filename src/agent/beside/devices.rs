//! The agent's own devices. Their name tells whoever comes later whose they are: a TAP device goes with its process,
//! but a pair of veth stays when the agent is killed, and is swept by the next one.

use std::io;

use rustix::io::Errno;

use super::interfaces::all;
use super::netlink::{ACK, CREATE, EXCLUSIVE, Family, Netlink, REQUEST};

/// What the names of the agent's own devices begin with; the kernel allows 15 bytes.
pub(super) const OWN: &str = "firedrill";

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const UP: u32 = 0x1;
/// The attributes of a device: its name, its MTU, the length of its queue.
const NAME: u16 = 3;
const MTU: u16 = 4;
const QUEUE: u16 = 13;
/// What kind it is, and for a veth, what its peer is.
const LINK_INFO: u16 = 18;
const KIND: u16 = 1;
const DATA: u16 = 2;
const PEER: u16 = 1;
/// In which a device's IPv6 settings stand, and among them how it comes to a first address.
const AF_SPEC: u16 = 26;
const INET6: u16 = 10;
const ADDRESS_MODE: u16 = 8;
const NO_ADDRESS: u8 = 1;

/// Brings a device of the agent's own up: with the MTU of the interface whose frames it takes, a queue that holds
/// a burst, and no IPv6 address, so that it says nothing of its own.
pub(super) fn bring_up(index: u32, mtu: u32, queue: u32) -> io::Result<()> {
    let mut socket = Netlink::open(Family::Route)?;
    let mut request = socket.messages();
    request.message(NEW_LINK, REQUEST | ACK, &header(index, 0));
    request.nest(AF_SPEC, |r| r.nest(INET6, |r| r.attribute(ADDRESS_MODE, &[NO_ADDRESS])));
    // A kernel without IPv6 refuses, and gives no address either.
    let _ = socket.tell(request);
    let mut request = socket.messages();
    request.message(NEW_LINK, REQUEST | ACK, &header(index, UP));
    request.attribute(MTU, &mtu.to_ne_bytes());
    request.attribute(QUEUE, &queue.to_ne_bytes());
    socket.tell(request)
}

/// Makes two devices of which each receives what the other sends (veth(4)).
pub(super) fn make_pair(one: &str, other: &str) -> io::Result<()> {
    let mut socket = Netlink::open(Family::Route)?;
    let mut request = socket.messages();
    request.message(NEW_LINK, REQUEST | ACK | CREATE | EXCLUSIVE, &header(0, 0));
    request.text(NAME, one);
    request.nest(LINK_INFO, |r| {
        r.text(KIND, "veth");
        r.nest(DATA, |r| {
            r.nest(PEER, |r| {
                r.raw(&header(0, 0));
                r.text(NAME, other);
            });
        });
    });
    socket.tell(request)
}

/// Removes a device, and with it its peer and all that waits in it. One that is gone already is no error.
pub(super) fn remove(index: u32) -> io::Result<()> {
    let mut socket = Netlink::open(Family::Route)?;
    let mut request = socket.messages();
    request.message(DELETE_LINK, REQUEST | ACK, &header(index, 0));
    match socket.tell(request) {
        Err(why) if Errno::from_io_error(&why) == Some(Errno::NODEV) => Ok(()),
        told => told,
    }
}

/// Removes every device of this namespace that an agent made. How many there were.
///
/// Only for who has claimed the namespace: another agent may live.
pub(super) fn sweep() -> io::Result<usize> {
    let own: Vec<u32> =
        all()?.iter().filter(|i| i.name.starts_with(OWN)).map(|i| i.index).collect();
    own.iter().try_for_each(|index| remove(*index))?;
    Ok(own.len())
}

/// The index of a device by its name.
pub(super) fn index_of(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
}

/// The fixed part of a message about a device.
fn header(index: u32, flags: u32) -> Vec<u8> {
    let index = index.to_ne_bytes();
    [[0; 4], index, flags.to_ne_bytes(), flags.to_ne_bytes()].concat()
}
