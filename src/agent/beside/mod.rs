//! The agent that stands beside a node in the node's own network namespace: in a container of its own, or in an
//! ephemeral container of a pod. It makes the node's network condition true by the kernel, and lets the kernel
//! take it back when the agent ends, however it ends. Of an agent that was killed devices may stay, through which
//! nothing goes any more, until [`sweep`] or the next agent removes them.
//!
//! It needs NET_ADMIN, and `/dev/net/tun` to shape; no shell, no `/proc`, no `/sys`. The
//! node's `/etc/resolv.conf` says whose look-ups it stands in for.
//! Deliberately absent: names of nodes and zones. It is told addresses.

pub mod connect;
mod destroy;
mod devices;
mod dns;
mod interfaces;
mod keeper;
mod netem;
mod netfilter;
mod netlink;
pub mod probe;
pub mod protocol;
mod serve;
mod shaper;

pub use keeper::sweep;
pub use netem::cannot as netem_cannot;
pub use serve::serve;
