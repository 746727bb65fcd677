//! The agent beside a node, on the real kernel: two network namespaces, a pair of devices between them, and the
//! agent in one of them.
//!
//! Needs root and iproute2. Without, each test says why it is skipped; as root in CI it fails instead. What is shaped
//! is shaped by what this machine's kernel has; `guest` runs all of it on netem. There too runs the agent within a
//! node, on control groups of version 2.

#[path = "agent/cuts.rs"]
mod cuts;
#[path = "agent/ends.rs"]
mod ends;
#[path = "agent/groups.rs"]
mod groups;
#[path = "agent/guest.rs"]
mod guest;
#[path = "agent/lab.rs"]
mod lab;
#[path = "agent/lanes.rs"]
mod lanes;
#[path = "agent/look_ups.rs"]
mod look_ups;
#[path = "agent/measured.rs"]
mod measured;
#[path = "agent/names.rs"]
mod names;
#[path = "agent/refusals.rs"]
mod refusals;
#[path = "agent/shaping.rs"]
mod shaping;
