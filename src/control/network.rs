//! What an agent beside a node says and is told: [`crate::agent::beside`] is its other end.

use std::time::Duration;

use super::attached::{Attached, Speech};
use crate::agent::beside::protocol::{Done, Hello, Order};

/// What an agent of the network says and is told.
#[derive(Debug)]
pub struct Network;

impl Speech for Network {
    type Hello = Hello;
    type Order = Order;
    type Done = Done;

    fn version(hello: &Hello) -> &str {
        &hello.version
    }
    fn beat() -> Order {
        Order::Beat
    }
    fn takes(order: &Order) -> Duration {
        match order {
            Order::Probe(probe) => probe.every * probe.count + probe.wait,
            Order::Connect { wait, .. } | Order::LookUp { wait, .. } => *wait,
            _ => Duration::ZERO,
        }
    }
}

/// An agent of the network.
pub type Agent = Attached<Network>;
