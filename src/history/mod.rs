//! The record of a drill: what was asked and answered, what was injected, when. Facts, no judgement.
//!
//! [`Record`] is in memory, [`file`] on disk. Deliberately absent: any opinion about what is right.

pub mod file;
pub mod foreign;
mod noticed;
mod operation;
mod packed;
mod record;
mod time;
mod told;
pub mod transactions;

pub use noticed::Noticed;
pub use operation::{
    Call, Key, Message, OPENING_BALANCE, Operation, Outcome, Process, Reply, Stage, Step,
};
pub use record::{
    Change, End, Evidence, FaultSpan, Header, LoadSpan, NodeEvent, NodeEventKind, Record, Standing,
    Steady, WorkloadFacts,
};
pub use time::Time;
