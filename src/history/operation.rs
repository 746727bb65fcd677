//! What a client asked, what it was told, and when. The vocabulary is Jepsen's: an operation is invoked,
//! then returns ok, fail (it did not happen) or unknown (it may have happened, or may happen yet).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Time;
use crate::inventory::NodeId;

/// One object of the system: a register, a counter, a log, an account.
pub type Key = u32;

/// An identity that invokes one operation at a time. It is retired after an unknown outcome, and never reused.
pub type Process = u32;

/// A message of a log: who sent it, and its place among all that this sender sent to this log, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Message {
    /// The process that sent it.
    pub sender: Process,
    /// 0 for the sender's first message to the log, 1 for its next one, whatever became of the first.
    pub sequence: u32,
}

/// What is asked. `key` is the object asked of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Call {
    /// Register: its value. Answer: [`Reply::Value`].
    Read { key: Key },
    /// Register: set it. Answer: [`Reply::Done`].
    Write { key: Key, value: i64 },
    /// Register: set it to `to` if it is `from`. Answer: [`Reply::Swapped`].
    Cas { key: Key, from: i64, to: i64 },
    /// Counter: add to it (`delta` may be negative). Answer: [`Reply::Done`].
    Add { key: Key, delta: i64 },
    /// Counter: its total; a counter begins at 0. Answer: [`Reply::Value`].
    Total { key: Key },
    /// Set: insert an element; elements are unique over the drill. Answer: [`Reply::Done`].
    Insert { key: Key, element: i64 },
    /// Set: all its elements. Answer: [`Reply::Values`].
    Elements { key: Key },
    /// Queue: add at the tail; elements are unique over the drill. Answer: [`Reply::Done`].
    Enqueue { key: Key, element: i64 },
    /// Queue: take from the head. Answer: [`Reply::Value`], `None` when the queue is empty.
    Dequeue { key: Key },
    /// Log: append a message. Answer: [`Reply::Offset`], its place in the log.
    Append { key: Key, message: Message },
    /// Log: the messages from this offset on. Answer: [`Reply::Messages`].
    ReadLog { key: Key, from: u64 },
    /// Bank: move money between accounts; refused (fail) where it would overdraw. Answer: [`Reply::Done`].
    Transfer { from: Key, to: Key, amount: i64 },
    /// Bank: the balance of every account, at one instant. Answer: [`Reply::Balances`].
    Balances,
    /// List-append: several steps as one transaction. Answer: [`Reply::Txn`]. A boxed slice, so that the
    /// calls of other models are no longer than they need be: a long history is mostly calls.
    Txn { steps: Box<[Step]> },
}

/// A step of a list-append transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Step {
    /// Append a value to the list; values are unique for each key over the drill.
    Append { key: Key, value: i64 },
    /// Read the list.
    Read { key: Key },
}

impl Call {
    /// Whether the call can change nothing. An unknown read is no read at all.
    pub fn is_read(&self) -> bool {
        match self {
            Call::Read { .. } | Call::Total { .. } | Call::Elements { .. } => true,
            Call::ReadLog { .. } | Call::Balances => true,
            Call::Txn { steps } => steps.iter().all(|s| matches!(s, Step::Read { .. })),
            _ => false,
        }
    }
}

/// What each account of a bank holds before the load, so that a check knows the total.
pub const OPENING_BALANCE: i64 = 100;

/// What an operation that took effect answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Done,
    /// A register's, counter's or queue's value; `None` where there is none (never written, empty).
    Value(Option<i64>),
    /// The elements of a set, or a list.
    Values(Vec<i64>),
    /// Whether a compare-and-set found what it expected, and set.
    Swapped(bool),
    /// Where in the log the message stands, from 0.
    Offset(u64),
    /// Messages of a log, each at its offset: the first at the offset that was asked for.
    Messages(Vec<Message>),
    /// The balance of each account.
    Balances(BTreeMap<Key, i64>),
    /// For each step of the transaction in order: what a read saw, `None` for an append.
    Txn(Vec<Option<Vec<i64>>>),
}

/// What is known of an operation. Reasons are for people: a lower-case fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It took effect between invocation and return.
    Ok(Reply),
    /// It did not take effect, and never will.
    Fail(Arc<str>),
    /// It may have taken effect, or may yet (a time-out, a lost connection).
    Unknown(Arc<str>),
}

impl Outcome {
    /// Whether it took effect for certain.
    pub fn is_ok(&self) -> bool {
        matches!(self, Outcome::Ok(_))
    }
}

/// Why an operation was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Load, while faults come and go. Only this counts for recovery, availability and latency.
    #[default]
    Load,
    /// A final read through the system's ordinary, consistent read path, after all is healed.
    Final,
    /// A final read of one node's own replica. Never part of a linearizable history.
    Replica(NodeId),
}

/// One operation, from its intended start to what is known of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its place in the order of invocation, from 0.
    pub id: u64,
    /// Who asked.
    pub process: Process,
    /// The node that it was sent to first, where the client knows.
    pub node: Option<NodeId>,
    /// When the arrival rate wanted it to start; never after `invoked`. Latency counts from here.
    pub intended: Time,
    /// When it started.
    pub invoked: Time,
    /// When its outcome was known. `None`: it had none when the record ended (its outcome is unknown).
    pub returned: Option<Time>,
    /// Why it was asked.
    pub stage: Stage,
    /// What was asked.
    pub call: Call,
    /// What is known of it.
    pub outcome: Outcome,
}

impl Operation {
    /// One that a client asked of the system itself, for those who record histories in their own tests. Where the
    /// outcome is unknown, `returned` says nothing about when it took effect.
    pub fn new(
        process: Process,
        call: Call,
        invoked: Time,
        returned: Option<Time>,
        outcome: Outcome,
    ) -> Operation {
        Operation {
            id: 0,
            process,
            node: None,
            intended: invoked,
            invoked,
            returned,
            stage: Stage::Load,
            call,
            outcome,
        }
    }
}

// A long history is mostly this: every 8 bytes are 5 MB of a drill of ten minutes at 1,000 operations a second.
const _: () = assert!(size_of::<Operation>() <= 128, "an operation has grown");
