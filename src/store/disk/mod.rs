//! A node's memory across restarts: the replicated log and the vote, on disk and synchronised.
//!
//! Invariant: what was reported as flushed survives SIGKILL and power loss (unless the bug
//! `lost-fsync` is on). The log is held in memory too: it is never purged, so an entry's index is
//! its place.

mod journal;
mod log;
mod vote;
mod writer;

pub(crate) use journal::JournalError;
pub(crate) use log::DiskLog;
