//! What an agent is told and what it answers: one JSON object a line, over the container's attach stream.
//!
//! The agent begins with one [`Hello`]; then each request ([`Order`]) has one answer ([`Done`]) with its id, in any
//! order. The end of its input, or a lease without a line, ends the agent, and with it all that it held.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::conversation;
use crate::condition::{Dns, Link};

/// One line to the agent.
pub type Request = conversation::Request<Order>;
/// One line from the agent.
pub type Answer = conversation::Answer<Done>;

/// The first line that an agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// firedrill's version; another one than the runner's is refused.
    pub version: String,
    /// Where it hears the datagrams of probes, on every address of the namespace.
    pub probe_port: u16,
    /// Where it accepts TCP connections, and closes them at once.
    pub connect_port: u16,
    /// The namespace's own addresses, loopback left out.
    pub addresses: BTreeSet<IpAddr>,
    /// How the kernel and the container let it shape traffic.
    pub shaping: Shaping,
}

/// By what traffic is delayed, limited and spoilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shaping {
    /// The kernel's netem.
    Netem,
    /// The agent's own shaper behind a TAP device: why not netem.
    Tap(String),
    /// Not at all: why.
    Nothing(String),
}

/// What an agent can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Suffer exactly this from now on, in place of what was held. Idempotent; an empty list heals.
    Hold(Vec<HeldLink>),
    /// Renews the lease; every other order does, too.
    Beat,
    /// Sends datagrams to the probe port of another agent (or of the runner), which echoes them.
    Probe(Probe),
    /// Which datagrams of this probe arrived here.
    Heard {
        /// The probe's number.
        probe: u64,
    },
    /// Connects by TCP, to see whether that is accepted, refused, or not answered at all.
    Connect {
        /// Where to.
        to: SocketAddr,
        /// How long an answer is waited for.
        wait: Duration,
    },
    /// The addresses of a host, as any program of the node's comes by them: by its hosts file too.
    Addresses {
        /// The host's name.
        host: String,
    },
    /// Has look-ups suffer exactly this from now on, in place of what was held. Idempotent; the default heals.
    /// Links are not touched by it, nor this by [`Order::Hold`].
    Resolve(Dns),
    /// Looks a name up at the node's resolvers (resolv.conf(5)): the proof of what look-ups suffer.
    LookUp {
        /// With a dot at its end it is a full name, as patterns mean it; others are looked for in the search list.
        name: String,
        /// How long answers are waited for, all together.
        wait: Duration,
    },
    /// What is held, as the kernel tells it, with the packets that each rule dropped so far.
    Count,
}

/// What the traffic with some addresses suffers, one way.
///
/// Cuts and refusals may be told for both ways and at both ends; TCP is refused both ways, whichever is told. Loss
/// adds up where it is told twice, so it is told at one end; what is shaped ([`HeldLink::is_shaped`]) is told for
/// what is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldLink {
    /// The other end.
    pub peers: BTreeSet<IpAddr>,
    /// Which way.
    pub way: Way,
    /// The ports of whose TCP and UDP this is told, whoever of the two listens there; none: all traffic. Such
    /// traffic can be cut, and nothing else.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports: BTreeSet<u16>,
    /// What it suffers.
    pub link: Link,
}

impl HeldLink {
    /// Whether it takes more than the packet filter.
    pub fn is_shaped(&self) -> bool {
        self.link.is_shaped()
    }
}

/// Which way traffic goes, seen from the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// What arrives.
    In,
    /// What is sent.
    Out,
}

impl Way {
    /// The opposite one.
    pub fn other(self) -> Way {
        match self {
            Way::In => Way::Out,
            Way::Out => Way::In,
        }
    }
}

/// Datagrams to see whether they arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its number, which no other probe of this drill has.
    pub probe: u64,
    /// Where to.
    pub to: SocketAddr,
    /// How many.
    pub count: u32,
    /// By how many bytes each is longer than it must be.
    pub padding: u16,
    /// Between one and the next.
    pub every: Duration,
    /// How long the last echo is waited for.
    pub wait: Duration,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// The kernel holds it.
    Held,
    /// The lease is renewed.
    Beaten,
    /// The round trips of the echoes that came back in time, in nanoseconds.
    Probed {
        /// How many were sent.
        sent: u32,
        /// How long each echo took, second ones of the same datagram too.
        round_trips: Vec<u64>,
        /// From the first echo to the last.
        over: u64,
    },
    /// What arrived of a probe, and how long each datagram was on its way, in nanoseconds: true where sender and
    /// receiver share a kernel, whose clock it is.
    Heard {
        /// How long each took.
        one_way: Vec<u64>,
        /// From the first arrival to the last.
        over: u64,
    },
    /// What became of a connect.
    Connected {
        /// Its end.
        how: Connect,
        /// How long it took, in nanoseconds.
        took: u64,
    },
    /// The addresses of a host.
    Addresses(BTreeSet<IpAddr>),
    /// What became of a look-up.
    LookedUp {
        /// Its end.
        how: LookUp,
        /// How long it took, in nanoseconds.
        took: u64,
    },
    /// The rules, in the order in which they are held.
    Counted(Vec<Counted>),
}

/// How a TCP connect ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connect {
    /// It is accepted.
    Accepted,
    /// It is refused: by a reset, or by ICMP.
    Refused,
    /// Nobody says anything within the time.
    Silent,
}

/// How a look-up ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookUp {
    /// With these addresses, of both families; there may be none.
    Found(BTreeSet<IpAddr>),
    /// With a response code that is no success: 2 is SERVFAIL, 3 NXDOMAIN (RFC 1035, section 4.1.1).
    Refused(u8),
    /// No resolver says anything within the time.
    Silent,
    /// No resolver could be asked: why.
    Unreachable(String),
}

/// One rule as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The other end.
    pub peers: BTreeSet<IpAddr>,
    /// Which way.
    pub way: Way,
    /// Packets that it caught.
    pub packets: u64,
}
