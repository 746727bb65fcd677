//! The runner's end of the agents, wherever they stand: the conversation with one over a stream, what one beside a
//! node is told of the node's network, and the measuring whether that holds.
//!
//! Invariant: nothing is believed that an agent was told, only what was measured after it.
//! Deliberately absent: how an agent comes to its place, and what else a target knows of a node.

mod attached;
mod flank;
mod inside;
pub mod judge;
mod names;
mod network;
mod ports;
mod prove;
pub mod resources;
mod shaping;

pub use attached::{Attached, Input, Lines, NODE_LABEL, RUN_LABEL, Speech, lines};
pub use flank::{Flank, Place, Proven};
pub use inside::{Inside, Insider};
pub use network::{Agent, Network};
pub use prove::{Field, Standing};
pub use shaping::{cannot_shape, is_shaped};
