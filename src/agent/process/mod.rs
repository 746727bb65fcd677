//! A node's processes: started through a guard that ends them with the runner, found again by a
//! mark in their environment, signalled together.
//!
//! Invariant: every process of a run carries [`RUN`] and its node's [`NODE`] in its environment
//! from its first instruction on, so that whoever knows the run's id can find and end all of them,
//! whoever started them and whatever session they fled to. The runner and its watchdog carry no
//! mark.
//!
//! Deliberately absent: when to start or kill what (targets), and containers.

mod census;
mod guard;
mod life;
mod spawner;

pub use census::{Member, Roster, Stat, marked, reap, stat};
pub use guard::{guard, guarded};
pub use life::{kill, pause, resume, stop, stopped_threads};
pub use spawner::{Launch, Process, Spawner};

/// The environment variable that holds the run's id.
pub const RUN: &str = "FIREDRILL_RUN";
/// The environment variable that holds the node's name.
pub const NODE: &str = "FIREDRILL_NODE";
/// The environment variable that tells a guard which process must be its parent; not handed on.
const RUNNER: &str = "FIREDRILL_GUARDED_BY";
