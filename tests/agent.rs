//! The agent beside a node, on the real kernel: two network namespaces, a pair of devices between them, and the
//! agent in one of them.
//!
//! Needs root and iproute2. Without, each test says why it is skipped; as root in CI it fails instead.

#[path = "agent/cuts.rs"]
mod cuts;
#[path = "agent/ends.rs"]
mod ends;
#[path = "agent/lab.rs"]
mod lab;
#[path = "agent/look_ups.rs"]
mod look_ups;
#[path = "agent/names.rs"]
mod names;
#[path = "agent/refusals.rs"]
mod refusals;
#[path = "agent/shaping.rs"]
mod shaping;
