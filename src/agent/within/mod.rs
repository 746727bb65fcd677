//! The agent within a node's process namespace: in a container of its own that sees the node's processes. It takes
//! processors, memory, disk and disk throughput away from the node, within the node's own limits, sets its clocks
//! wrong, and has its processes stand still or die.
//!
//! Invariant: what it takes goes back by itself when it ends, however it ends (processes that die with it, files
//! without a name, clocks whose skew runs out, threads that are let go), but for limits: whoever starts it knows them
//! from before ([`protocol::Order::Limits`]), and gives them back.
//!
//! Deliberately absent: names of nodes, and who decides. Its privileges are few, and for each order others
//! (each target's `within.rs` says which).

mod cgroup;
pub mod clock;
mod disk;
pub mod protocol;
mod reading;
mod seize;
mod serve;
mod stress;
mod time;

pub use cgroup::{Cgroup, Limits};
pub use reading::{Reads, read_here};
pub use serve::{CGROUPS, restore_here, serve};
pub use stress::stress_here;
