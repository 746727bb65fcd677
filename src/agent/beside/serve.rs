//! The agent's work: one order after the other, each answered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tokio::time::Instant;

use super::connect;
use super::dns::look_up;
use super::interfaces::addresses;
use super::keeper::Keeper;
use super::probe::Prober;
use super::protocol::{Done, Hello, Order};
use crate::agent::AgentError;
use crate::agent::conversation::{Ended, Manners, Obedient, Say, converse};

/// Serves until the end of input, of the lease, or SIGTERM. The caller ends the process then: that is what heals.
pub async fn serve(manners: Manners) -> Result<Ended, AgentError> {
    let system = |what| move |why| AgentError::Kernel { what, why };
    let prober = Prober::bind().map_err(system("listen for probes"))?;
    let connect_port = connect::accept_all().await.map_err(system("listen for connects"))?;
    let mut node = Node { keeper: Keeper::claim()?, prober, connect_port };
    let hello = node.hello()?;
    converse(manners, &hello, &mut node).await
}

struct Node {
    keeper: Keeper,
    prober: Prober,
    connect_port: u16,
}

impl Node {
    fn hello(&self) -> Result<Hello, AgentError> {
        let addresses = addresses();
        let system = |why| AgentError::Kernel { what: "list this namespace's addresses", why };
        Ok(Hello {
            version: env!("CARGO_PKG_VERSION").into(),
            probe_port: self.prober.port(),
            connect_port: self.connect_port,
            addresses: addresses.map_err(system)?,
            shaping: self.keeper.shaping().clone(),
        })
    }
}

impl Obedient for Node {
    type Order = Order;

    fn due(&self) -> Option<Instant> {
        self.keeper.due().map(Instant::from_std)
    }

    fn do_due(&mut self) {
        self.keeper.sweep();
    }

    fn obey(&mut self, id: u64, order: Order, say: &Say) {
        let result = match order {
            Order::Hold(links) => self.keeper.hold(links).map(|()| Done::Held),
            Order::Resolve(dns) => self.keeper.resolve(dns).map(|()| Done::Held),
            Order::Beat => self.keeper.refresh().map(|()| Done::Beaten),
            Order::Count => self.keeper.count().map(Done::Counted),
            Order::Heard { probe } => {
                let times = self.prober.heard(probe);
                Ok(Done::Heard { over: times.over(), one_way: times.each })
            }
            Order::Connect { to, wait } => {
                let say = say.clone();
                tokio::spawn(async move {
                    let (how, took) = connect::connect(to, wait).await;
                    say.answer(id, Ok(Done::Connected { how, took }));
                });
                return;
            }
            Order::Addresses { host } => {
                let say = say.clone();
                tokio::spawn(async move { say.answer(id, addresses_of(&host).await) });
                return;
            }
            Order::LookUp { name, wait } => {
                let say = say.clone();
                tokio::spawn(async move {
                    let result = look_up(&name, wait).await;
                    say.answer(id, result.map(|(how, took)| Done::LookedUp { how, took }));
                });
                return;
            }
            Order::Probe(probe) => {
                let (prober, say) = (self.prober.clone(), say.clone());
                tokio::spawn(async move {
                    let (sent, times) = prober.probe(&probe).await;
                    let (over, round_trips) = (times.over(), times.each);
                    let done = Done::Probed { sent, round_trips, over };
                    say.answer(id, Ok(done));
                });
                return;
            }
        };
        say.answer(id, result);
    }
}

/// The addresses of a host: the container shares the node's resolv.conf and hosts.
async fn addresses_of(host: &str) -> Result<Done, String> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|e| format!("`{host}` is not resolved: {e}"))?;
    let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
    match addresses.is_empty() {
        true => Err(format!("`{host}` has no address")),
        false => Ok(Done::Addresses(addresses)),
    }
}
