//! Ends TCP connections that stand: the kernel resets both ends (`SOCK_DESTROY`, see sock_diag(7)).

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use super::netlink::{ACK, DUMP, Family, Netlink, REQUEST, Reply};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const TCP: u8 = 6;
const FAMILIES: [u8; 2] = [2, 10];
/// Every state but those without another end: LISTEN, and CLOSE.
const WITH_PEER: u32 = !(1 << 10 | 1 << 7);
/// The size of what names a socket: ports, addresses, interface, cookie.
const IDENTITY: usize = 48;

/// Ends every TCP connection with these addresses. A kernel that cannot (`CONFIG_INET_DIAG_DESTROY`) leaves it to
/// the rules, which reset a connection as soon as it says something.
pub(super) fn connections(peers: &BTreeSet<IpAddr>) -> io::Result<()> {
    let mut socket = Netlink::open(Family::SocketDiagnosis)?;
    let mut found = vec![];
    for family in FAMILIES {
        let mut request = socket.messages();
        request.message(BY_FAMILY, REQUEST | DUMP, &body(family, &[0; IDENTITY]));
        let dumped = socket.dump(request, |reply| {
            found.extend(identity(reply, peers).map(|identity| (family, identity)));
        });
        match dumped.as_ref().err().and_then(Errno::from_io_error) {
            Some(Errno::NOENT) => return Ok(()),
            _ => dumped?,
        }
    }
    for (family, identity) in found {
        let mut order = socket.messages();
        order.message(DESTROY, REQUEST | ACK, &body(family, &identity));
        let destroyed = socket.tell(order);
        match destroyed.as_ref().err().and_then(Errno::from_io_error) {
            Some(Errno::OPNOTSUPP) => return Ok(()),
            // It ended by itself in between.
            Some(Errno::NOENT) => {}
            _ => destroyed?,
        }
    }
    Ok(())
}

fn body(family: u8, identity: &[u8; IDENTITY]) -> Vec<u8> {
    let mut body = vec![family, TCP, 0, 0];
    body.extend(WITH_PEER.to_ne_bytes());
    body.extend(identity);
    body
}

/// What names this socket, if its other end is one of these addresses.
fn identity(reply: &Reply, peers: &BTreeSet<IpAddr>) -> Option<[u8; IDENTITY]> {
    let family = *reply.body.first()?;
    let identity: [u8; IDENTITY] = reply.body.get(4..4 + IDENTITY)?.try_into().ok()?;
    let far = identity.get(20..36)?;
    let far = match family {
        2 => IpAddr::from(<[u8; 4]>::try_from(far.get(..4)?).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(far).ok()?),
    };
    peers.contains(&far.to_canonical()).then_some(identity)
}
