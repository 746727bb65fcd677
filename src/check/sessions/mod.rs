//! Session guarantees of registers: what a client may rely on that goes on working through replicas (Terry, Demers,
//! Petersen, Spreitzer, Theimer & Welch, "Session Guarantees for Weakly Consistent Replicated Data", PDIS 1994; in the
//! frame of Burckhardt, "Principles of Eventual Consistency", 2014, and of Viotti & Vukolić, "Consistency in
//! Non-Transactional Distributed Storage Systems", ACM Computing Surveys 49(1), 2016).
//!
//! # The frame
//!
//! A process is a session, its operations in the order of invocation. A read *finds* the write of its value. A history
//! keeps a guarantee if there are an *arbitration*, one total order of all writes that happened, and for each read a
//! set of *visible* writes, such that the read finds the last of the visible writes of its key by arbitration, or
//! nothing where none is visible. A guarantee says what must be visible to a read, and what arbitration must keep to.
//!
//! - `read-your-writes`. Visible: what its session wrote before.
//! - `monotonic-reads`. Visible: what its session's reads before had found.
//! - `monotonic-writes`. Visible: of each write that its session has found, all that the writer wrote before.
//!   Arbitration keeps the order of each session's writes.
//! - `writes-follow-reads`. Visible: of each write that its session has found, all that the writer's reads before had
//!   found, and so on for these. Arbitration puts a write that was found before all that its finder wrote later.
//! - `pram`: the first three together.
//! - `causal`: all four together. Visible: all that comes before the read by sessions and by finding, however far.
//!   Arbitration keeps to the same.
//!
//! In all of them arbitration also keeps the order in which one session wrote to one key, and puts a compare-and-set
//! that swapped after what it found.
//!
//! # Why so
//!
//! *The order of a session's writes to a key* is an assumption: Terry et al. leave it to monotonic-writes. Taken
//! literally, a session that wrote 1, then 2, and then reads 1 keeps read-your-writes, since 2 may be the older one.
//! Nobody who tests a store means that. Who measures what clients see numbers versions as the client wrote them, and
//! asks whoever wrote or read version `n` to read no version below it (Bermbach & Kuhlenkamp, "Consistency in
//! Distributed Storage Systems", NETYS 2013); Bailis et al. ("Highly Available Transactions", VLDB 2014) ask for the
//! written value or one that overwrote it. Nothing is lost: whatever violates a guarantee in the literal sense does so
//! here too.
//!
//! *What a session has found* stands in monotonic-writes and writes-follow-reads because Terry et al. define both by
//! servers: one that holds a write holds what belongs before it. A history does not tell which server answered; and the
//! formal definitions, which only order arbitration, no history of single reads violates by itself. What a client sees
//! is what is judged: who has found a write finds no key in the state before what that write brings along. What was
//! found itself need not stay visible: that is monotonic-reads.
//!
//! *Together*: Brzeziński, Sobaniec & Wawrzyniak ("From Session Causality to Causal Consistency", PDP 2004) show that
//! the first three are PRAM and all four are causal consistency, so there is no further name for these. One arbitration
//! for everybody makes both the convergent kinds, as stores by last writer are. `causal` is causal convergence (CCv of
//! Bouajjani, Enea, Guerraoui & Hamza, "On Verifying Causal Consistency", POPL 2017), and what `causal` asks of
//! transactions, were each operation one. It implies their weak causal consistency (CC); causal memory (CM), where each
//! process may see concurrent writes in an order of its own, neither implies it nor is implied. Likewise `pram` and the
//! memory of Lipton & Sandberg (1988).
//!
//! # What counts
//!
//! A read of what was never written, what failed, or what its own session wrote later violates every guarantee. A write
//! of unknown outcome happened if somebody found it; whatever its process did afterwards is another session, since it
//! may take effect at any time (firedrill retires such a process). A compare-and-set that swapped is a read and then a
//! write; that nothing came between them is not asked. One that did not swap, and a read of unknown outcome, tell
//! nothing. A value that may have been written twice to a key makes it undecided, as does a process that does two
//! things at once. A register holds nothing at first.
//!
//! # Bounds
//!
//! Sound and complete for this frame. Each guarantee requires of some pairs of writes that one comes before the other,
//! and of some reads that they find something; only the pairs that imply the others are collected, and the history
//! keeps the guarantee exactly if they have no cycle. Time: linear for the first two, else `n` operations times the
//! number of sessions that wrote a key, times a logarithm for searching. Memory: 16 bytes a pair, of which there are at
//! worst as many as steps of time; for `causal` and `writes-follow-reads` also a clock of as many entries as there are
//! sessions for each write that is still to be found. Beyond 1 GiB of pairs or 512 MiB of clocks it is undecided. No
//! recursion.

mod clocks;
mod cover;
mod cycle;
mod explain;
mod finding;
mod require;
mod steps;

#[cfg(test)]
mod tests;

pub use finding::Sessions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::Operation;

/// A guarantee that a history may keep; the module says what each means.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// A session sees what it wrote.
    ReadYourWrites,
    /// A session sees what it has seen.
    MonotonicReads,
    /// Who sees a write sees what its writer wrote before.
    MonotonicWrites,
    /// Who sees a write sees what its writer had seen before.
    WritesFollowReads,
    /// The first three together.
    Pram,
    /// All four together.
    Causal,
}

impl Guarantee {
    /// All of them, the single ones first.
    pub const ALL: [Guarantee; 6] = [
        Guarantee::ReadYourWrites,
        Guarantee::MonotonicReads,
        Guarantee::MonotonicWrites,
        Guarantee::WritesFollowReads,
        Guarantee::Pram,
        Guarantee::Causal,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Guarantee::ReadYourWrites => "read-your-writes",
            Guarantee::MonotonicReads => "monotonic-reads",
            Guarantee::MonotonicWrites => "monotonic-writes",
            Guarantee::WritesFollowReads => "writes-follow-reads",
            Guarantee::Pram => "pram",
            Guarantee::Causal => "causal",
        }
    }

    /// By its name.
    pub fn of(name: &str) -> Option<Guarantee> {
        Guarantee::ALL.into_iter().find(|guarantee| guarantee.name() == name)
    }
}

/// How a history came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It keeps the guarantee.
    Holds,
    /// It does not.
    Violated {
        /// Why, as fragments joined by semicolons.
        words: String,
        /// What these speak of: places in the given operations, ascending.
        operations: Vec<usize>,
    },
    /// It cannot be said, and why.
    Undecided(String),
}

impl Outcome {
    /// How much there is to read.
    fn size(&self) -> usize {
        match self {
            Outcome::Violated { operations, .. } => operations.len(),
            _ => 0,
        }
    }
}

/// Judges the reads, writes and compare-and-sets among these operations. Others count for nothing. Never panics.
pub fn check(operations: &[&Operation], guarantee: Guarantee) -> Outcome {
    let history = match steps::History::of(operations) {
        Ok(history) => history,
        Err(outcome) => return outcome,
    };
    let found = match require::of(&history, guarantee) {
        Ok(found) => found,
        Err(why) => return Outcome::Undecided(why),
    };
    if let Some(violation) = explain::missed(&history, guarantee, &found.missed) {
        return violation;
    }
    let cycles = cycle::shortest(found.nodes, &found.edges, &history);
    let told = cycles.iter().map(|cycle| explain::cycle(&history, guarantee, cycle));
    told.min_by_key(Outcome::size).unwrap_or(Outcome::Holds)
}
