//! What clients and a node say to each other: JSON, one a line, one request at a time a connection.
//!
//! - `{"client": 7, "seq": 1, "call": {"f": "write", "key": 1, "value": 5}}`: an operation. With
//!   `"local": true` a read is answered by this node's own replica, which asks nobody.
//! - `{"client": 7, "seq": 1, "open": {"accounts": 5, "balance": 100}}`: opens bank accounts; those
//!   that exist stay as they are.
//! - `{"status": true}`: answered by a [`Status`].
//!
//! `client` is unique for ever, and its upper 32 bits name its drill: each drill has objects of its
//! own. `seq` counts upwards; a repeat carries the same client and `seq`, and takes effect once. The
//! answer is one of `{"ok": REPLY}`, `{"fail": "why"}` (it did not happen and never will),
//! `{"unknown": "why"}` (it may have happened, or may happen yet; ask again with the same `client`
//! and `seq`), and `{"not-leader": {"leader": "n2", "address": "HOST:PORT"}}` (this
//! node has done nothing; `null` where it does not know). Calls and replies are written as in a
//! history. A line may have up to 1 MiB.

use serde::{Deserialize, Serialize};

use crate::history::{Call, Reply};

/// The longest line, in bytes.
pub const LINE: usize = 1 << 20;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// An operation.
    Ask {
        /// Who asks; unique for ever.
        client: u64,
        /// Counts this client's requests upwards.
        seq: u64,
        /// What is asked.
        call: Call,
        /// Whether this node's own replica will do.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        local: bool,
    },
    /// Bank accounts to open. Idempotent.
    Open {
        /// Who asks; unique for ever.
        client: u64,
        /// Counts this client's requests upwards.
        seq: u64,
        /// Which.
        open: Accounts,
    },
    /// How this node is.
    Status {
        /// Always `true`.
        status: bool,
    },
}

/// The drill of a client: whose objects it asks about.
pub fn drill(client: u64) -> u32 {
    (client >> 32) as u32
}

/// The accounts `0..accounts`, each with this balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// How many.
    pub accounts: u32,
    /// The balance of each.
    pub balance: i64,
}

/// What a node answers to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It took effect.
    Ok(Reply),
    /// It did not happen, and never will.
    Fail(String),
    /// It may have happened, or may happen yet.
    Unknown(String),
    /// Nothing was done: another node leads.
    NotLeader(Redirect),
}

/// Where the leader is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Its name, where it is known.
    pub leader: Option<String>,
    /// Where clients reach it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// `leader`, `follower`, `candidate` or `learner`.
    pub role: String,
    /// Who leads, as this node believes.
    pub leader: Option<String>,
    /// The term that it is in.
    pub term: u64,
    /// The index of the last entry that it applied.
    pub applied: Option<u64>,
    /// The index of the last entry of its log.
    pub last_log: Option<u64>,
}
