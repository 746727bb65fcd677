//! The addresses of a run: three /24 networks of the loopback, taken at random, tried, and held.
//!
//! In each network a node has the same last byte, and each of its ports has the same number: its
//! own address (where it listens), its peer front (where the other nodes reach it), its client
//! front (where the workload does). Two runs on one machine do not meet: the fronts are bound for
//! as long as the run lasts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};

use super::Options;
use crate::agent::proxy::{Front, Fronts, Listening};
use crate::inventory::NodeId;
use crate::target::TargetError;

/// The most nodes that fit.
pub(super) const MOST_NODES: usize = 250;
/// The most ports a node that fit.
pub(super) const MOST_PORTS: usize = 16;
const TRIES: usize = 50;

/// The addresses of one port of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Port {
    /// Where the node itself listens.
    pub own: SocketAddr,
    /// Where the other nodes reach it.
    pub peer: SocketAddr,
    /// Where the clients reach it.
    pub client: SocketAddr,
}

/// The ports of each node by name.
pub(super) type Addresses = BTreeMap<NodeId, BTreeMap<String, Port>>;

/// Takes addresses for all nodes, and serves their fronts.
pub(super) fn take(options: &Options, fronts: &Fronts) -> Result<Addresses, TargetError> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let addresses = draw(options);
        match hold(&addresses, fronts) {
            Ok(listening) => {
                listening.into_iter().for_each(|l| fronts.serve(l));
                return Ok(addresses);
            }
            Err(why) => last = why,
        }
    }
    Err(TargetError::Other(format!(
        "no free addresses on the loopback after {TRIES} tries, the last: {last}; \
         is 127.0.0.0/8 there, and is the limit of open files high enough (`ulimit -n`)?"
    )))
}

fn draw(options: &Options) -> Addresses {
    // Not 127.0 (used by everyone), three networks in a row; ports below those the kernel hands
    // out.
    let (x, y) = (rand::random_range(1..=254u8), rand::random_range(0..=251u8));
    let base = rand::random_range(10_000..30_000u16);
    let address = |network: u8, node: usize, port: usize| {
        let host = u8::try_from(node + 1).unwrap_or(u8::MAX);
        let port = base.saturating_add(u16::try_from(port).unwrap_or(u16::MAX));
        SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, x, y + network, host), port))
    };
    let ports_of = |node: usize| {
        let ports = options.ports.iter().enumerate().map(|(p, name)| {
            let [own, peer, client] = [0, 1, 2].map(|network| address(network, node, p));
            (name.clone(), Port { own, peer, client })
        });
        ports.collect()
    };
    let nodes = options.nodes.iter().enumerate();
    nodes.map(|(i, (id, _))| (id.clone(), ports_of(i))).collect()
}

/// Binds every front, and tries every own address.
fn hold(addresses: &Addresses, fronts: &Fronts) -> Result<Vec<Listening>, String> {
    let mut listening = Vec::new();
    for (node, ports) in addresses {
        for port in ports.values() {
            TcpListener::bind(port.own).map_err(|e| format!("{}: {e}", port.own))?;
            for (address, for_clients) in [(port.peer, false), (port.client, true)] {
                let front = Front { address, node: node.clone(), backend: port.own, for_clients };
                listening.push(fronts.listen(&front).map_err(|e| e.to_string())?);
            }
        }
    }
    Ok(listening)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::agent::process::Roster;
    use crate::agent::proxy::{Dialers, Switchboard};

    fn options() -> Options {
        Options {
            run: "none".into(),
            folder: "/nowhere".into(),
            data: "/nowhere".into(),
            nodes: ["n1", "n2"].map(|n| (n.into(), "dc1".into())).into(),
            command: Vec::new(),
            env: BTreeMap::new(),
            ports: vec!["client".into(), "peer".into()],
            peers: "".parse().unwrap(),
            ready_port: "peer".into(),
            ready_timeout: Duration::ZERO,
            stop_timeout: Duration::ZERO,
            binary: "/nowhere".into(),
        }
    }

    #[tokio::test]
    async fn addresses_of_which_one_is_in_use_are_not_taken_and_none_is_kept() {
        let board = Arc::new(Switchboard::new(&["n1".into(), "n2".into()]));
        let dialers = Arc::new(Dialers::new(Arc::new(Roster::new("none"))));
        let fronts = Fronts::new(board, dialers);
        let addresses = draw(&options());
        let Port { own, peer, client } = addresses["n2"]["peer"];
        for taken in [own, peer, client] {
            let occupant = TcpListener::bind(taken).unwrap();
            let why = hold(&addresses, &fronts).unwrap_err();
            assert!(why.contains(&taken.to_string()), "{why}");
            drop(occupant);
        }
        assert_eq!(hold(&addresses, &fronts).unwrap().len(), 8);
    }
}
