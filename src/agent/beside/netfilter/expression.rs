//! What a rule is made of, as `linux/netfilter/nf_tables.h` has it: each loads into a register, compares one, or acts.

use std::net::IpAddr;

use crate::agent::beside::netlink::Messages;

/// The register that all work with.
const REGISTER: u32 = 1;
/// The register of verdicts.
const VERDICT: u32 = 0;
/// One in this many is the finest share of packets.
const SHARES: u32 = 1_000_000;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// Where the checksum of an IPv4 header stands.
const IPV4_CHECKSUM: u32 = 10;
/// The bit of TCP's flags that resets.
const RST: u8 = 0x04;

/// What `meta` tells of a packet.
#[derive(Debug, Clone, Copy)]
enum Meta {
    /// The protocol in the Ethernet header.
    Protocol = 1,
    Mark = 3,
    /// IPv4 or IPv6, in a table of both.
    Family = 15,
    /// TCP, UDP and so on.
    Transport = 16,
}

#[derive(Debug, Clone, Copy)]
enum Compare {
    Equal = 0,
    NotEqual = 1,
    Less = 2,
    AtMost = 3,
    AtLeast = 5,
}

#[derive(Debug, Clone, Copy)]
enum Header {
    Network = 1,
    Transport = 2,
}

/// Which IP.
#[derive(Debug, Clone, Copy)]
pub(super) enum Version {
    V4,
    V6,
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Source,
    Destination,
}

/// Which protocol has ports.
#[derive(Debug, Clone, Copy)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    fn number(self) -> u8 {
        match self {
            Transport::Tcp => TCP,
            Transport::Udp => UDP,
        }
    }
    /// Where its checksum stands.
    fn checksum(self) -> u32 {
        match self {
            Transport::Tcp => 16,
            Transport::Udp => 6,
        }
    }
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// A reset, to TCP.
    Reset,
    /// ICMP: port unreachable.
    Unreachable,
}

/// The expressions of one rule, as they are written.
pub(super) struct Expressions<'a>(pub(super) &'a mut Messages);

impl Expressions<'_> {
    fn one(&mut self, name: &str, fill: impl FnOnce(&mut Messages)) {
        self.0.nest(1, |m| {
            m.text(1, name);
            m.nest(2, fill);
        });
    }

    fn meta(&mut self, key: Meta) {
        self.one("meta", |m| {
            m.number(1, REGISTER);
            m.number(2, key as u32);
        });
    }

    fn compare(&mut self, how: Compare, with: &[u8]) {
        self.one("cmp", |m| {
            m.number(1, REGISTER);
            m.number(2, how as u32);
            m.nest(3, |m| m.attribute(1, with));
        });
    }

    fn payload(&mut self, header: Header, offset: u32, length: u32) {
        self.one("payload", |m| {
            m.number(1, REGISTER);
            m.number(2, header as u32);
            m.number(3, offset);
            m.number(4, length);
        });
    }

    /// Only packets with this address at this end; `in_frame`: the rule sees Ethernet frames.
    pub(super) fn address(&mut self, end: End, address: IpAddr, in_frame: bool) {
        let (protocol, family) = match address {
            IpAddr::V4(_) => (0x0800_u16, 2),
            IpAddr::V6(_) => (0x86dd, 10),
        };
        match in_frame {
            true => {
                self.meta(Meta::Protocol);
                self.compare(Compare::Equal, &protocol.to_be_bytes());
            }
            false => {
                self.meta(Meta::Family);
                self.compare(Compare::Equal, &[family]);
            }
        }
        let (offset, bytes) = place(end, address);
        self.payload(Header::Network, offset, bytes.len() as u32);
        self.compare(Compare::Equal, &bytes);
    }

    /// Only packets of this protocol with this port at this end.
    pub(super) fn port(&mut self, transport: Transport, end: End, port: u16) {
        self.transport(transport.number());
        self.payload(Header::Transport, port_place(end), 2);
        self.compare(Compare::Equal, &port.to_be_bytes());
    }

    /// Gives a packet another address at one end; of the family that it is of.
    pub(super) fn set_address(&mut self, end: End, address: IpAddr) {
        let (offset, bytes) = place(end, address);
        // IPv6's header has no checksum; the one of what it carries counts its addresses in.
        let checksum = address.is_ipv4().then_some(IPV4_CHECKSUM);
        self.set_payload(Header::Network, offset, &bytes, checksum);
    }

    /// Gives a packet of this protocol another port at one end.
    pub(super) fn set_port(&mut self, transport: Transport, end: End, port: u16) {
        let checksum = Some(transport.checksum());
        self.set_payload(Header::Transport, port_place(end), &port.to_be_bytes(), checksum);
    }

    fn set_payload(&mut self, header: Header, offset: u32, value: &[u8], checksum: Option<u32>) {
        self.load(value);
        self.one("payload", |m| {
            m.number(5, REGISTER);
            m.number(2, header as u32);
            m.number(3, offset);
            m.number(4, value.len() as u32);
            m.number(6, u32::from(checksum.is_some()));
            m.number(7, checksum.unwrap_or(0));
            // The pseudo-header of the transport's checksum changes with an address.
            m.number(8, u32::from(matches!(header, Header::Network)));
        });
    }

    /// No connection is tracked for this packet, and so no address of it translated.
    pub(super) fn untracked(&mut self) {
        self.one("notrack", |_| {});
    }

    /// Only IPv6's neighbour discovery.
    pub(super) fn neighbour_discovery(&mut self) {
        self.transport(ICMPV6);
        self.payload(Header::Transport, 0, 1);
        self.compare(Compare::AtLeast, &[133]);
        self.compare(Compare::AtMost, &[137]);
    }

    /// Only ICMP that says that something is unreachable, of IPv4 or IPv6.
    pub(super) fn unreachable(&mut self, version: Version) {
        let (protocol, kind) = match version {
            Version::V4 => (ICMP, 3),
            Version::V6 => (ICMPV6, 1),
        };
        self.transport(protocol);
        self.payload(Header::Transport, 0, 1);
        self.compare(Compare::Equal, &[kind]);
    }

    /// Only TCP's resets.
    pub(super) fn reset(&mut self) {
        self.transport(TCP);
        self.payload(Header::Transport, 13, 1);
        self.one("bitwise", |m| {
            m.number(1, REGISTER);
            m.number(2, REGISTER);
            m.number(3, 1);
            m.nest(4, |m| m.attribute(1, &[RST]));
            m.nest(5, |m| m.attribute(1, &[0]));
        });
        self.compare(Compare::NotEqual, &[0]);
    }

    /// Only TCP, or only what is no TCP.
    pub(super) fn tcp(&mut self, is: bool) {
        self.meta(Meta::Transport);
        self.compare(if is { Compare::Equal } else { Compare::NotEqual }, &[TCP]);
    }

    fn transport(&mut self, protocol: u8) {
        self.meta(Meta::Transport);
        self.compare(Compare::Equal, &[protocol]);
    }

    /// Only packets that carry the agent's mark.
    pub(super) fn marked(&mut self, mark: u32) {
        self.meta(Meta::Mark);
        self.compare(Compare::Equal, &mark.to_ne_bytes());
    }

    /// Only this share of packets, each by its own chance.
    pub(super) fn share(&mut self, fraction: f64) {
        if fraction >= 1.0 {
            return;
        }
        self.one("numgen", |m| {
            m.number(1, REGISTER);
            m.number(2, SHARES);
            m.number(3, 1);
            m.number(4, 0);
        });
        // Comparison goes byte by byte: the number must have its highest first.
        self.one("byteorder", |m| {
            m.number(1, REGISTER);
            m.number(2, REGISTER);
            m.number(3, 1);
            m.number(4, 4);
            m.number(5, 4);
        });
        let bound = (fraction * f64::from(SHARES)).round() as u32;
        self.compare(Compare::Less, &bound.to_be_bytes());
    }

    /// Counts what came this far.
    pub(super) fn count(&mut self) {
        self.one("counter", |_| {});
    }

    /// Drops, and tells nobody.
    pub(super) fn drop(&mut self) {
        self.verdict(0, None);
    }
    /// No further rule of this hook's.
    pub(super) fn accept(&mut self) {
        self.verdict(1, None);
    }
    /// Goes through another chain first.
    pub(super) fn jump(&mut self, chain: &str) {
        self.verdict(-3, Some(chain));
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        self.one("immediate", |m| {
            m.number(1, VERDICT);
            m.nest(2, |m| {
                m.nest(2, |m| {
                    m.attribute(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        m.text(2, chain);
                    }
                });
            });
        });
    }

    /// Refuses, and tells the sender.
    pub(super) fn refuse(&mut self, how: Refusal) {
        let (kind, code) = match how {
            Refusal::Reset => (1, 0),
            Refusal::Unreachable => (2, 1),
        };
        self.one("reject", |m| {
            m.number(1, kind);
            m.attribute(2, &[code]);
        });
    }

    /// Marks a packet.
    pub(super) fn mark(&mut self, mark: u32) {
        self.load(&mark.to_ne_bytes());
        self.one("meta", |m| {
            m.number(2, Meta::Mark as u32);
            m.number(3, REGISTER);
        });
    }

    /// Sends a frame out of another device instead.
    pub(super) fn forward(&mut self, device: u32) {
        self.load(&device.to_ne_bytes());
        self.one("fwd", |m| m.number(1, REGISTER));
    }

    fn load(&mut self, value: &[u8]) {
        self.one("immediate", |m| {
            m.number(1, REGISTER);
            m.nest(2, |m| m.attribute(1, value));
        });
    }
}

/// Where an address stands in its header, and its bytes.
fn place(end: End, address: IpAddr) -> (u32, Vec<u8>) {
    let ([source, destination], bytes) = match address {
        IpAddr::V4(v4) => ([12, 16], v4.octets().to_vec()),
        IpAddr::V6(v6) => ([8, 24], v6.octets().to_vec()),
    };
    match end {
        End::Source => (source, bytes),
        End::Destination => (destination, bytes),
    }
}

/// Where a port stands, of TCP as of UDP.
fn port_place(end: End) -> u32 {
    match end {
        End::Source => 0,
        End::Destination => 2,
    }
}
