//! What an agent is told and what it answers: one JSON object a line, over the container's attach stream.
//!
//! The agent begins with one [`Hello`]; then each [`Request`] has one [`Answer`] with its id, in any order. The
//! end of its input, or a lease without a line, ends the agent, and with it all that it held.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::condition::Link;

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

/// One line to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Comes back in the answer; from 1.
    pub id: u64,
    /// What to do.
    pub order: Order,
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

/// One line from the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's; 0 if the line had none that could be read.
    pub id: u64,
    /// What came of it.
    pub result: Result<Done, String>,
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
