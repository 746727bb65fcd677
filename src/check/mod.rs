//! Record to verdict. Each check is a pure function of a record; the worst verdict wins, and no
//! checks at all are inconclusive.
//!
//! [`Spec`] is what a scenario asks for, [`judge`] the whole judgement of a record. `service` and
//! `timeline` hold the definitions that the figures rest on. Only `exec` touches the world: it
//! starts the user's own program.
//!
//! # In tests of your own
//!
//! Whoever records what clients asked and were told can have it judged without a drill. A [`Check`] judges a
//! [`Record`]; one of nothing but operations will do:
//!
//! ```
//! use firedrill::check::{Check, Linearizable, Verdict};
//! use firedrill::history::{Call, Operation, Outcome, Record, Reply, Time};
//!
//! // Instants are nanoseconds of one clock. Process 0 writes 7 from 10 to 20; process 1 reads nothing from 30 on.
//! let write = Call::Write { key: 0, value: 7 };
//! let done = Outcome::Ok(Reply::Done);
//! let write = Operation::new(0, write, Time(10), Some(Time(20)), done);
//! let nothing = Outcome::Ok(Reply::Value(None));
//! let read = Operation::new(1, Call::Read { key: 0 }, Time(30), Some(Time(40)), nothing);
//! let record = Record::of_operations("register", vec![write, read]);
//!
//! let finding = Linearizable::default().check(&record);
//! assert_eq!(finding.verdict, Verdict::Fail);
//! assert!(finding.summary.contains("stale: process 1 found nothing"), "{}", finding.summary);
//! ```
//!
//! An operation of which nobody knows whether it took effect is [`Outcome::Unknown`](crate::history::Outcome): it may
//! take effect at any instant after its call, or never. One that certainly did not is `Fail`.
//!
//! Other objects are judged by their sequential models, yours too ([`objects::Object`]):
//!
//! ```
//! use firedrill::check::Budget;
//! use firedrill::check::objects::models::{Counter, CounterCall};
//! use firedrill::check::objects::{Answer, Op, search};
//!
//! let op = |call, invoked, returned| Op { call, invoked, returned: Some(returned) };
//! let history = [
//!     op(CounterCall::Add(2), 0, 9),
//!     op(CounterCall::Read(0), 1, 3), // before it took effect,
//!     op(CounterCall::Read(2), 4, 6), // and after
//!     op(CounterCall::Read(0), 7, 8),
//! ];
//! let mut budget = Budget::of_steps(1_000_000);
//! // Up to the return of operation 3 no order suits; what does not fit the budget is `GaveUp`.
//! assert_eq!(search(&Counter::default(), &history, &mut budget), Answer::No(3));
//! assert_eq!(search(&Counter::default(), &history[..3], &mut budget), Answer::Yes);
//! ```
//!
//! Transactions are judged by isolation level ([`isolation`]):
//!
//! ```
//! use firedrill::check::isolation::{self, Model, Options, Verdict, Workload};
//! use firedrill::history::transactions::Transactions;
//!
//! // Each reads the key that the other one writes, and neither sees the other: write skew.
//! let text = r#"
//! {"p":0,"t0":0,"t1":9,"s":"ok","txn":[["r",1,null],["w",2,1]]}
//! {"p":1,"t0":1,"t1":8,"s":"ok","txn":[["r",2,null],["w",1,1]]}
//! "#;
//! let history = Transactions::read(text.as_bytes(), None)?;
//! let judged = |model| {
//!     isolation::check(&history, Workload::RwRegister, &Options::model(model)).verdict
//! };
//! assert_eq!(judged(Model::SnapshotIsolation), Verdict::Valid);
//! assert_eq!(judged(Model::Serializable), Verdict::Invalid);
//! # Ok::<(), firedrill::history::foreign::Wrong>(())
//! ```

mod availability;
mod bank;
mod budget;
mod convergence;
mod counter;
mod credibility;
mod exec;
pub mod explanation;
mod fifo;
mod finding;
mod injection;
#[cfg(test)]
mod invented;
pub mod isolation;
mod judge;
#[cfg(test)]
mod judge_tests;
mod latency;
mod linearizable;
mod list_append;
mod load;
mod log;
mod lost_writes;
mod mask;
pub mod messages;
#[cfg(test)]
mod mutations;
mod node_deaths;
pub mod objects;
mod queue;
mod recovery;
mod redundancy;
#[cfg(test)]
mod redundancy_tests;
#[cfg(test)]
mod scripted;
mod service;
pub mod sessions;
mod set;
pub mod spec;
mod standings;
pub mod streaming;
mod tell;
mod timeline;
mod view;

pub use bank::{Bank, Total};
pub use budget::Budget;
pub use fifo::Fifo;
pub use finding::{Case, CaseKind, Finding, Judgement, Verdict};
pub use judge::{judge, judge_within};
pub use linearizable::Linearizable;
pub use spec::Spec;

use crate::catalogue::{Entry, entries};
use crate::history::Record;

/// Judges a record by one rule.
pub trait Check {
    /// The check's name in the catalogue.
    fn name(&self) -> &'static str;
    /// Judges. Never panics, whatever the record; what it cannot decide is inconclusive.
    fn check(&self, record: &Record) -> Finding;
}

/// Every check that there is, with what it takes.
pub fn catalogue() -> Vec<Entry> {
    entries::<Spec>()
}
