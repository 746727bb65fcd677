//! The operations that a consistency check judges, and the interval in which each took effect.

use crate::history::{Operation, Outcome, Record, Reply, Stage, Time};

/// After everything.
pub const NEVER: Time = Time(u64::MAX);

/// Operations through the system's ordinary path; reads of a single replica promise nothing of the
/// kind.
pub fn counted(record: &Record) -> impl Iterator<Item = &Operation> {
    record.operations.iter().filter(|o| !matches!(o.stage, Stage::Replica(_)))
}

/// The reply of an operation that took effect.
pub fn reply(o: &Operation) -> Option<&Reply> {
    match &o.outcome {
        Outcome::Ok(reply) => Some(reply),
        _ => None,
    }
}

/// Whether it took effect, or may have.
pub fn possible(o: &Operation) -> bool {
    !matches!(o.outcome, Outcome::Fail(_))
}

/// The last instant at which it may take effect: its return, or never if its outcome is unknown.
pub fn settled(o: &Operation) -> Time {
    match o.outcome {
        Outcome::Unknown(_) => NEVER,
        _ => o.returned.unwrap_or(NEVER),
    }
}
