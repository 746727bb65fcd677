//! Invented operations, and their events in the order of time.

use std::sync::Arc;

use crate::check::streaming::{Streaming, Violation};
use crate::history::{Call, Outcome, Time};

/// An operation, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Op {
    pub invoked: u64,
    /// `None`: it is in flight when all ends.
    pub returned: Option<u64>,
    pub call: Call,
    pub outcome: Outcome,
}

pub fn unknown() -> Outcome {
    Outcome::Unknown(Arc::from("timed out"))
}

pub fn failed() -> Outcome {
    Outcome::Fail(Arc::from("refused"))
}

/// Calls and returns (`true`), in the order of time; at equal instants calls first.
pub fn events(ops: &[Op]) -> Vec<(u64, bool, usize)> {
    let calls = ops.iter().enumerate().map(|(id, op)| (op.invoked, false, id));
    let returns = ops.iter().enumerate().filter_map(|(id, op)| Some((op.returned?, true, id)));
    let mut events: Vec<_> = calls.chain(returns).collect();
    events.sort_unstable();
    events
}

/// Tells all events; the first violation.
pub fn tell(streaming: &mut Streaming, ops: &[Op]) -> Option<Violation> {
    events(ops).into_iter().find_map(|(at, returns, id)| {
        if returns {
            return streaming.returned(id as u64, Time(at), &ops[id].outcome);
        }
        streaming.invoked(id as u64, 0, Time(at), &ops[id].call);
        None
    })
}
