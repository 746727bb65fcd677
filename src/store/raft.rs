//! The consensus library's types, bound to ours, and its settings.
//!
//! Heartbeats and elections are not left to the library's own timers, see [`super::pulse`]: its
//! heartbeat interval doubles as the time limit of a replication call, which must outlast a slow
//! link's round trip.

use std::io::Cursor;
use std::time::Duration;

use openraft::{BasicNode, Config, Entry, SnapshotPolicy};

use super::command::{Answers, Batch};

openraft::declare_raft_types!(
    /// The types of the consensus.
    pub(crate) TypeConfig:
        D = Batch,
        R = Answers,
        NodeId = u64,
        Node = BasicNode,
        Entry = Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
);

pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type LogEntry = Entry<TypeConfig>;
pub(crate) type StorageError = openraft::StorageError<u64>;

/// The time limit of a call between nodes: below the election timeout, above a slow link's round
/// trip.
pub(crate) fn call_limit(election: Duration) -> Duration {
    election * 5 / 6
}

/// Settings for this election timeout. Snapshots are never taken: a drill's log is minutes long.
pub(crate) fn settings(election: Duration) -> Config {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 4);
    let (election, limit) = (millis(election), millis(call_limit(election)));
    Config {
        cluster_name: "firedrill-store".into(),
        // The library takes the interval for the time limit of its calls.
        heartbeat_interval: limit,
        election_timeout_min: election,
        // The lease that a voter grants its leader.
        election_timeout_max: election + 1,
        enable_heartbeat: false,
        enable_elect: false,
        snapshot_policy: SnapshotPolicy::Never,
        replication_lag_threshold: u64::MAX,
        max_payload_entries: 300,
        ..Config::default()
    }
}
