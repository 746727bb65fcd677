//! The clients' side of a drill: what is asked (generators), how often (an open loop at a constant arrival
//! rate), and by whom (clients). Everything that a client was told goes to the [`Sink`].
//!
//! Deliberately absent: faults, and any judgement of the answers.

pub mod client;
mod clock;
pub mod engine;
pub mod final_reads;
pub mod generate;
mod model;
mod session;

pub use clock::Clock;
pub use model::Model;

use crate::history::Outcome;
use crate::history::Time;
use crate::history::file::Invocation;

/// Where operations are written down, as they happen.
pub trait Sink: Send + Sync {
    /// An operation starts. Returns its id, unique in the drill.
    fn invoked(&self, start: Invocation) -> u64;
    /// Its outcome is known; `intended` is its intended start. Durable against the runner's death on return.
    fn returned(&self, id: u64, intended: Time, at: Time, outcome: Outcome);
    /// An operation was due and no worker was free to start it.
    fn dropped(&self, intended: Time);
}
