//! What stands in the replicated log, and what applying it answers.

use serde::{Deserialize, Serialize};

use crate::history::{Call, Key, Reply};

/// Whose request a command is. A repeat carries the same one, and is answered with the first
/// answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The client, unique for ever.
    pub client: u64,
    /// Its request; a client counts upwards and has one request at a time.
    pub seq: u64,
    /// The part of the request, where one is split (only by the bug `dirty-transactions`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A change, applied as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command {
    /// Whose objects it is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drill: u32,
    /// `None`: repeats are not recognised (the bug `duplicate-append`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// What to do.
    pub op: Op,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Op {
    /// What a client asked.
    Call(Call),
    /// Opens the accounts `0..accounts` with this balance; accounts that there are keep theirs.
    Open { accounts: u32, balance: i64 },
    /// The first half of a transfer (only by the bug `dirty-transactions`).
    Withdraw { account: Key, amount: i64 },
    /// The second half.
    Deposit { account: Key, amount: i64 },
}

/// Several commands that share one entry of the log, and so one synchronisation and one round trip.
/// Each of them is atomic; they are applied in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch(pub Vec<Command>);

/// The answers to a batch, in its order. Empty for entries that carry no batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers(pub Vec<Answer>);

/// What applying a command answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// It took effect.
    Ok(Reply),
    /// It did not, and never will: why.
    Refused(String),
    /// A later request of the same client was applied before this one, so nobody waits for the
    /// answer.
    Superseded,
}
