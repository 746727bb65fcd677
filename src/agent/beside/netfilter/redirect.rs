//! Which rules have the agent asked in a resolver's place: questions to the resolver's port 53 go to where the agent
//! listens, on loopback, and what the agent says from there comes from the resolver's address and port 53.
//!
//! Invariant: packets are rewritten one by one, and no connection is tracked. A translation that the kernel remembers
//! would outlive the agent, and hold a socket that is used again captive.

use std::net::{IpAddr, SocketAddr};

use super::batch::{Batch, Hook, Table};
use super::expression::{End, Transport};

/// What the agent's own questions carry, which go to the resolver itself.
pub(in crate::agent::beside) const OWN_QUESTION: u32 = 0x6669_7264;

const CHAIN: &str = "resolving";
const DNS: u16 = 53;

/// One resolver in whose place the agent is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent::beside) struct Redirection {
    pub(in crate::agent::beside) resolver: IpAddr,
    /// Where the agent listens in its place: on loopback, and of the same family.
    pub(in crate::agent::beside) agent: SocketAddr,
    /// Whether questions come to the agent; if not, only what it still has to say goes out.
    pub(in crate::agent::beside) asked: bool,
}

pub(super) fn write(batch: &mut Batch, redirections: &[Redirection]) {
    let table = Table::Internet;
    batch.empty_chain(table, CHAIN, Some(Hook::Reroute));
    if redirections.is_empty() {
        return;
    }
    batch.rule(table, CHAIN, "", |e| {
        e.marked(OWN_QUESTION);
        e.accept();
    });
    for Redirection { resolver, agent, asked } in redirections {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut turn = |end, from: SocketAddr, to: SocketAddr| {
                batch.rule(table, CHAIN, "", |e| {
                    e.address(end, from.ip(), false);
                    e.port(transport, end, from.port());
                    e.set_address(end, to.ip());
                    e.set_port(transport, end, to.port());
                    e.untracked();
                    e.accept();
                });
            };
            let resolver = SocketAddr::new(*resolver, DNS);
            if *asked {
                turn(End::Destination, resolver, *agent);
            }
            turn(End::Source, *agent, resolver);
        }
    }
}
