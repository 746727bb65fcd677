//! The embedded demo system: a small replicated store whose purpose is to be drilled. One process
//! is one node.
//!
//! It is an honest one: linearizable reads and writes over Raft, log and vote on disk and
//! synchronised, writes that may be retried. And it has switchable [`Bug`]s, each a real way in
//! which systems lose data.
//!
//! The way of a request: [`protocol`] (what clients say) to `service` (who may answer) to `propose`
//! or `readindex` (the consensus) to `machine` (what it does). `peer` carries the consensus between
//! nodes, `disk` keeps it, `pulse` times it. Deliberately absent: snapshots, log compaction and
//! changes of the membership; a drill takes minutes, and a restart applies the whole log again.

mod accept;
mod ahead;
mod bug;
mod command;
mod disk;
mod listen;
mod machine;
mod node;
mod objects;
mod options;
mod peer;
mod propose;
pub mod protocol;
mod pulse;
mod raft;
mod readindex;
mod replica;
mod service;

/// What a node should log, as a `tracing` filter: the consensus library reports each lost
/// connection as an error.
pub const LOG_FILTER: &str = "warn,firedrill=info,openraft=off";

pub use bug::Bug;
pub use node::{StoreError, serve};
pub use options::{Address, Options};
