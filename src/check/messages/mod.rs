//! Logs of messages that others recorded, as Kafka's: what was acknowledged is read, once, by everybody in one order.
//! The anomalies are those of Jepsen's workload `jepsen.tests.kafka` (its source has their definitions; the reports on
//! Redpanda and Kafka at jepsen.io have what it found), but for cycles of transactions.
//!
//! Offsets need not be dense: a log's *places* are those offsets that a read tells of, or a send that happened. A send
//! happened if it was acknowledged, or if its outcome is unknown and somebody read one of the messages that were sent
//! with it.
//!
//! - `lost-write`: it happened, nobody read it, and a message at its place or behind was read.
//! - `aborted-read`: read, though its send failed.
//! - `phantom`: read, and never sent to this log.
//! - `precommitted-read`: one operation sends and reads it.
//! - `inconsistent-offsets`: several messages at one place.
//! - `duplicate`: one message at several places.
//! - `realtime-reorder`: its send began after another process's was acknowledged, and it stands before that one.
//! - `nonmonotonic-send`: a process's first message to a log by one operation is not behind its last one by the
//!   operation before; `int-nonmonotonic-send`: the same of two in a row by one operation.
//! - `poll-skip`: between the last message of a log that a process polled by one operation, and the first by its next
//!   one, is a place; `int-poll-skip`: the same of two in a row by one operation.
//! - `nonmonotonic-poll`, `int-nonmonotonic-poll`: the second of these is not behind the first.
//! - `unseen`: acknowledged, nobody read it, and nothing at its place or behind: told, and no violation.
//!
//! Who assigns logs to itself goes on where it was with those that it had; any others, and all after a crash or from
//! the beginning, it reads from anywhere. So it does, within an operation, with a log that changed hands meanwhile. Who
//! subscribes may lose a log and get it back: then `poll-skip` and `nonmonotonic-poll` between operations are told, and
//! no violation, as Jepsen has it. What a process sends has its order whatever it polls (Jepsen forgets it with the
//! logs that it no longer polls). A send of which the offset is unknown stands where it was read. A reader that asks
//! for an offset reads from there, whatever it read before.
//!
//! Messages to a log are unique, or nothing can be told. Nobody having read anything is undecided too.
//!
//! Bounds: n log n for `n` messages sent and read; memory linear: about 150 bytes for each message beside the history.

mod cases;
mod finding;
mod history;
mod order;
mod places;
mod polls;
pub mod read;

#[cfg(test)]
mod tests;

pub use finding::finding;
pub use history::{Act, Does, Messages, Name, Operation, Outcome, Turn, What};

/// What can be wrong with a log; the module says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the module says what each is")]
pub enum Anomaly {
    LostWrite,
    AbortedRead,
    Phantom,
    PrecommittedRead,
    InconsistentOffsets,
    Duplicate,
    RealtimeReorder,
    NonmonotonicSend,
    IntNonmonotonicSend,
    NonmonotonicPoll,
    IntNonmonotonicPoll,
    PollSkip,
    IntPollSkip,
    Unseen,
}

impl Anomaly {
    /// All of them, the worst first.
    pub const ALL: [Anomaly; 14] = [
        Anomaly::LostWrite,
        Anomaly::AbortedRead,
        Anomaly::Phantom,
        Anomaly::PrecommittedRead,
        Anomaly::InconsistentOffsets,
        Anomaly::Duplicate,
        Anomaly::RealtimeReorder,
        Anomaly::NonmonotonicSend,
        Anomaly::IntNonmonotonicSend,
        Anomaly::NonmonotonicPoll,
        Anomaly::IntNonmonotonicPoll,
        Anomaly::PollSkip,
        Anomaly::IntPollSkip,
        Anomaly::Unseen,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Anomaly::LostWrite => "lost-write",
            Anomaly::AbortedRead => "aborted-read",
            Anomaly::Phantom => "phantom",
            Anomaly::PrecommittedRead => "precommitted-read",
            Anomaly::InconsistentOffsets => "inconsistent-offsets",
            Anomaly::Duplicate => "duplicate",
            Anomaly::RealtimeReorder => "realtime-reorder",
            Anomaly::NonmonotonicSend => "nonmonotonic-send",
            Anomaly::IntNonmonotonicSend => "int-nonmonotonic-send",
            Anomaly::NonmonotonicPoll => "nonmonotonic-poll",
            Anomaly::IntNonmonotonicPoll => "int-nonmonotonic-poll",
            Anomaly::PollSkip => "poll-skip",
            Anomaly::IntPollSkip => "int-poll-skip",
            Anomaly::Unseen => "unseen",
        }
    }
}

/// How a history came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Valid,
    /// Something is.
    Violated,
    /// It cannot be said, and why.
    Undecided(String),
}

/// What was found of an anomaly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub anomaly: Anomaly,
    /// It is only told: no violation.
    pub excused: bool,
    /// How often.
    pub count: usize,
    /// The first few in words, with the lines of the operations.
    pub words: Vec<String>,
    /// These lines, ascending.
    pub lines: Vec<u32>,
}

/// What was found of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it came out.
    pub verdict: Verdict,
    /// The worst first; what is excused is behind what is not.
    pub found: Vec<Found>,
    /// How many messages were acknowledged.
    pub acknowledged: usize,
    /// How many different messages were read.
    pub read: usize,
}

/// So many cases of an anomaly are shown.
const SHOWN: usize = 8;

/// Judges a history of logs. Never panics.
pub fn check(history: &Messages) -> Report {
    let places = match places::Places::of(history) {
        Ok(places) => places,
        Err(why) => {
            let verdict = Verdict::Undecided(why);
            return Report { verdict, found: vec![], acknowledged: 0, read: 0 };
        }
    };
    let found = cases::of(history, &places);
    let (acknowledged, read) = places.counts(history);
    let verdict = if found.iter().any(|found| !found.excused) {
        Verdict::Violated
    } else if acknowledged > 0 && read == 0 {
        Verdict::Undecided("nobody read anything".into())
    } else {
        Verdict::Valid
    };
    Report { verdict, found, acknowledged, read }
}
