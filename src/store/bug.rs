//! The bugs that a drill can switch on: each one a real way in which replicated systems lose or
//! corrupt data.
//!
//! Invariant: a bug changes the system's own logic. No answer is faked and nothing is left to
//! chance.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to be wrong, switched on by `--bug`, or by `bugs` in a scenario. Give the same bugs to every node.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Bug {
    /// Any node answers reads from its own state, without asking whether it still leads. As etcd
    /// before 3.0 with `quorum=false`, and Consul in its `stale` mode: seen when a node is cut off,
    /// paused or lagging.
    StaleReads,
    /// The leader answers a write once it stands in its own log, before it is committed. As Redis
    /// and asynchronous PostgreSQL replication do: the write is lost when the leader is killed or
    /// cut off before it is replicated.
    EarlyAck,
    /// Appends are acknowledged while they are in the memory of the process only, and go to the
    /// file once a second. As a database with its log's synchronisation off: the tail is gone when
    /// all nodes are killed at once.
    LostFsync,
    /// A retried request is not recognised and takes effect again. As a producer without
    /// idempotence (Kafka before 0.11): seen when a connection or a leader is lost after a write
    /// took effect and before it was answered.
    DuplicateAppend,
    /// Each step of a transaction, and each half of a transfer, is committed by itself, so others
    /// see it half done. As a service that makes a transaction of several calls: seen by every
    /// concurrent reader.
    DirtyTransactions,
    /// A leader that lost its majority keeps answering: reads from its own state, writes into what
    /// it believes will be committed, all of it dropped when it learns of its successor. As
    /// Elasticsearch before 7 and RabbitMQ's mirrored queues without `pause_minority`: seen when
    /// the leader is parted from its peers, not its clients.
    SplitBrain,
}

impl Bug {
    /// Every bug there is.
    pub const ALL: [Bug; 6] = [
        Bug::StaleReads,
        Bug::EarlyAck,
        Bug::LostFsync,
        Bug::DuplicateAppend,
        Bug::DirtyTransactions,
        Bug::SplitBrain,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Bug::StaleReads => "stale-reads",
            Bug::EarlyAck => "early-ack",
            Bug::LostFsync => "lost-fsync",
            Bug::DuplicateAppend => "duplicate-append",
            Bug::DirtyTransactions => "dirty-transactions",
            Bug::SplitBrain => "split-brain",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_bug_is_known_by_its_name_on_the_command_line_and_in_a_scenario() {
        assert_eq!(Bug::value_variants(), Bug::ALL);
        for bug in Bug::ALL {
            assert_eq!(Bug::from_str(bug.name(), false), Ok(bug));
            assert_eq!(serde_json::to_value(bug).unwrap(), bug.name());
        }
    }
}
