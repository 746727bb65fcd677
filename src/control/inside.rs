//! What an agent within a node says and is told: [`crate::agent::within`] is its other end.

use std::time::Duration;

use super::attached::{Attached, Speech};
use crate::agent::within::protocol::{Done, Hello, Order};

/// How long a load may take to stand: its memory has to be there.
const LOADING: Duration = Duration::from_secs(70);
/// How long a measurement may take.
const MEASURING: Duration = Duration::from_secs(5);

/// What an agent within a node says and is told.
#[derive(Debug)]
pub struct Inside;

impl Speech for Inside {
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
            Order::Load { .. } => LOADING,
            Order::Measure { .. } | Order::Clock(_) | Order::Halt(_) => MEASURING,
            Order::Beat | Order::Limits | Order::Disk(_) | Order::Crash => Duration::ZERO,
        }
    }
}

/// An agent within a node.
pub type Insider = Attached<Inside>;
