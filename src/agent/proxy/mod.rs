//! Links between nodes, and from the clients to nodes, as user-space proxies: every connection runs
//! through a front of firedrill's, which finds out who dials and passes, delays, holds or resets
//! the bytes of each direction as the link's state says *now*, on standing connections too.
//!
//! What is modelled, and how it differs from a cut wire:
//! - A dropped direction holds its bytes, in order, and delivers them after the heal, as TCP's
//!   retransmission would. No end of stream and no reset crosses it. The other direction still
//!   passes: on a real one-way cut the acknowledgements of that other direction would be lost too,
//!   and it would stall after one window. So a one-way cut here is the milder one, that of messages
//!   and not of segments.
//! - A new connection needs both directions, as TCP's handshake does; its first byte waits for one
//!   round trip of the configured latency. But the dialer sees its connect succeed at once, and
//!   then silence, where a cut wire would leave it connecting. A dialer that gives up meanwhile
//!   (closes) is forgotten, and what it wrote is not delivered after the heal.
//! - A node that is down resets the connection, right after it was accepted.
//! - At most 1 MiB a direction waits in the proxy (and what the kernel's socket buffers hold); then
//!   the sender feels back-pressure. So latency bounds the throughput of one connection to 1 MiB a
//!   delay.
//! - Timers are tokio's: a delay is up to a millisecond longer than asked, never shorter.
//!
//! Deliberately absent: loss, duplication and corruption of packets, which a byte stream does not
//! have; UDP.

mod connection;
mod delay;
mod dialer;
mod front;
mod pump;
mod socket;
mod switchboard;

pub use dialer::{Claim, Claimed, Dialers};
pub use front::{Backend, Front, Fronts, Listening};
pub use switchboard::Switchboard;
