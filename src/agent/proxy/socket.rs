//! From a connection's addresses to the inode of its socket.
//!
//! The kernel is asked for that one socket (sock_diag(7)): some 10 us, however many there are.
//! Where it does not answer that, its table is read (`/proc/net/tcp`, and `tcp6` for programs that
//! dial IPv4 through an IPv6 socket): milliseconds, and more with each socket on the machine.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// The inode of the socket at `local` that is connected to `remote`, if somebody still holds it.
pub(super) fn inode(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    match ask(local, remote) {
        Some(inode) => (inode != 0).then_some(inode),
        None => look_up(local, remote),
    }
}

/// `SOCK_DIAG_BY_FAMILY`, the message's type.
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// Lengths and places in the answer: `nlmsghdr`, then `inet_diag_msg` (linux/inet_diag.h).
const ANSWER_LENGTH: usize = 16 + 72;
const PORTS_AT: usize = 16 + 4;
const INODE_AT: usize = 16 + 68;

/// Asks the kernel. `None`: it does not know the question, or not the socket.
fn ask(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let request = request(local, remote)?;
    let flags = SocketFlags::CLOEXEC;
    let netlink =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG)).ok()?;
    sendto(&netlink, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
    let mut answer = [0; 512];
    // The answer is there when the question was taken: nothing to wait for.
    let (read, _) = recv(&netlink, &mut answer[..], RecvFlags::DONTWAIT).ok()?;
    read_answer(answer.get(..read)?, local, remote)
}

fn request(local: SocketAddr, remote: SocketAddr) -> Option<Vec<u8>> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (local.ip(), remote.ip()) else { return None };
    let mut body = vec![AddressFamily::INET.as_raw() as u8, TCP, 0, 0];
    body.extend(u32::MAX.to_ne_bytes()); // in any state
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    for ip in [from, to] {
        body.extend(ip.octets());
        body.extend([0; 12]);
    }
    body.extend(0_u32.to_ne_bytes()); // on any interface
    body.extend([0xff; 8]); // with any cookie
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend(u32::try_from(16 + body.len()).ok()?.to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence and port: there is but one question
    message.extend(body);
    Some(message)
}

fn read_answer(answer: &[u8], local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let answer = answer.get(..ANSWER_LENGTH)?;
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let port = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    // It may have found a listener at that address instead.
    let same = port(PORTS_AT)? == local.port() && port(PORTS_AT + 2)? == remote.port();
    let inode = u32::from_ne_bytes(answer.get(INODE_AT..INODE_AT + 4)?.try_into().ok()?);
    (kind == BY_FAMILY && same).then_some(u64::from(inode))
}

fn look_up(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (local.ip(), remote.ip()) else { return None };
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        let six = table.ends_with('6');
        find(&text, &in_table(from, local.port(), six), &in_table(to, remote.port(), six))
    })
}

fn find(table: &str, local: &str, remote: &str) -> Option<u64> {
    let line = table.lines().skip(1).find_map(|line| {
        let rest = line.split_once(": ")?.1;
        rest.strip_prefix(local)?.strip_prefix(' ')?.strip_prefix(remote)?.strip_prefix(' ')
    })?;
    // state, queues, timer, retransmits, user, time-out, inode
    let inode = line.split_ascii_whitespace().nth(6)?.parse().ok()?;
    (inode != 0).then_some(inode)
}

/// An IPv4 address as the table writes it: each 32-bit word in the machine's own byte order.
fn in_table(ip: Ipv4Addr, port: u16, six: bool) -> String {
    let word = u32::from_ne_bytes(ip.octets());
    let mapped = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    match six {
        false => format!("{word:08X}:{port:04X}"),
        true => format!("0000000000000000{mapped:08X}{word:08X}:{port:04X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialer::has_open;
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:1F90 0200007F:1F91 01 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 0100007F:1F90 0200007F:1F92 06 00000000:00000000 00:00000000 00000000     0        0 0 1";

    #[test]
    fn a_socket_is_known_by_both_its_addresses() {
        let inode = |remote: &str| find(TABLE, "0100007F:1F90", remote);
        assert_eq!(inode("0200007F:1F91"), Some(222));
        assert_eq!(inode("0200007F:1F92"), None, "closed: nobody holds it");
        assert_eq!(inode("0200007F:1F93"), None);
    }

    #[test]
    fn the_own_socket_is_found_both_ways_over_ipv4_and_mapped() {
        for bind in ["127.0.0.1:0", "[::ffff:127.0.0.1]:0"] {
            let listener = std::net::TcpListener::bind(bind).unwrap();
            let dial = listener.local_addr().unwrap();
            let stream = std::net::TcpStream::connect(dial).unwrap();
            let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
            let (local, remote) = (at(stream.local_addr().unwrap().port()), at(dial.port()));
            let found = look_up(local, remote).unwrap();
            assert!(has_open(rustix::process::getpid(), &format!("socket:[{found}]")), "{bind}");
            // Some kernels lack the module; then there is only the table.
            if let Some(asked) = ask(local, remote) {
                assert_eq!(asked, found, "{bind}");
            }
        }
    }

    #[test]
    fn nobody_holds_a_socket_that_is_not_there_or_only_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = SocketAddr::from(([127, 0, 0, 1], 9));
        assert_eq!(inode(listener.local_addr().unwrap(), remote), None);
    }
}
