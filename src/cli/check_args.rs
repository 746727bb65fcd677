//! The arguments of `firedrill check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::check::Budget;
use crate::quantity::{Bytes, Span};

/// `firedrill check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Folders of runs, or histories
    #[arg(value_name = "RUN-OR-HISTORY", required = true)]
    pub records: Vec<PathBuf>,
    /// Histories that others recorded, of this kind of object; each file is judged by itself
    #[arg(long, value_enum, conflicts_with = "scenario")]
    pub model: Option<HistoryModel>,
    /// How they are written
    #[arg(long, value_enum, default_value = "auto", requires = "model")]
    pub format: HistoryFormat,
    /// What should hold of transactions, from read-uncommitted to strict-serializable, by Elle's or Adya's names
    /// [default: strict-serializable; of txn: causal]. Of registers: read-your-writes, monotonic-reads,
    /// monotonic-writes, writes-follow-reads, pram, causal [default: linearizable]
    #[arg(long, value_name = "MODEL", requires = "model", value_delimiter = ',')]
    pub consistency_model: Vec<String>,
    /// What should not be seen of transactions, by Elle's names, such as G2-item; with no --consistency-model, nothing
    /// else
    #[arg(long, value_name = "ANOMALY", requires = "model", value_delimiter = ',')]
    pub anomaly: Vec<String>,
    /// What is known of rw-register's versions beside what the consistency models say
    #[arg(long, value_enum, requires = "model", value_delimiter = ',')]
    pub assume: Vec<Assumption>,
    /// Of rw-register: in which order transactions wrote, where that is known from elsewhere; transactions by their
    /// places in the history from 0, such as 0=2,1=1
    #[arg(long, value_name = "TRANSACTION=RANK", requires = "model")]
    #[arg(value_delimiter = ',', value_parser = ranked)]
    pub transaction_order: Vec<(u32, i64)>,
    /// What each register holds at first; a read of nil then tells nothing, as in Knossos [default: nothing, which
    /// reads as nil]. Of a bank, what all accounts hold together [default: what the first reading found]
    #[arg(long, value_name = "NUMBER", requires = "model", allow_negative_numbers = true)]
    pub initial: Option<i64>,
    /// How long judging a file may take, such as 30s; what is not decided by then is inconclusive [default: searches
    /// are bounded by how much they look at, which is some seconds, and the same everywhere]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Span>,
    /// How much searches may remember, such as 500MB; the history itself comes on top [default: up to 1 GB]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// Judge by the checks of this scenario [default: the one in the run's folder]
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Draw what is wrong: a page (HTML) and pictures (SVG) for each check that failed, into this folder
    #[arg(long, value_name = "FOLDER")]
    pub explain: Option<PathBuf>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a JSON report to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl CheckArgs {
    /// What judging may take. The time runs from now on.
    pub(super) fn budget(&self) -> Budget {
        let budget =
            self.timeout.map_or_else(Budget::default, |time| Budget::default().within(time.0));
        let bytes = |memory: Bytes| usize::try_from(memory.count()).unwrap_or(usize::MAX);
        self.memory.map(bytes).map_or(budget, |bytes| budget.remembering(bytes))
    }
}

/// What the operations of a history work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryModel {
    /// Registers: read, write, compare-and-set; linearizable
    Register,
    /// The same
    CasRegister,
    /// A lock: acquire, release; linearizable
    #[value(alias = "mutex")]
    Lock,
    /// A first-in-first-out queue, whose elements are enqueued once each; linearizable
    Queue,
    /// A bank: the total of all accounts never changes, and none is overdrawn
    Bank,
    /// A stack: push, pop; linearizable
    Stack,
    /// A priority queue: insert, remove the least or the greatest; linearizable
    PriorityQueue,
    /// A set: add, remove, contains, or read as a whole; linearizable
    Set,
    /// A counter: add, read; linearizable
    Counter,
    /// A semaphore; linearizable
    Semaphore,
    /// A register that is read and written in one; linearizable
    Rmw,
    /// Several registers, of which one operation reads and writes some; linearizable
    MultiRegister,
    /// Texts by key: get, put, append; linearizable
    Kv,
    /// Transactions that append to lists and read them; --consistency-model says what should hold
    ListAppend,
    /// Transactions that write and read registers, each value once; --consistency-model says what should hold
    RwRegister,
    /// The same at the weak levels read-committed, read-atomic, causal or snapshot-isolation, by the axioms of Biswas
    /// and Enea, in which read committed is stronger than Adya's
    Txn,
    /// Transactions that write a register, each once, or read several: of two that read the same ones, one sees all
    /// that the other one does
    LongFork,
    /// Message logs, as Kafka's: nothing acknowledged is lost, doubled or reordered
    Log,
}

fn ranked(text: &str) -> Result<(u32, i64), String> {
    let both =
        text.split_once('=').and_then(|(txn, rank)| Some((txn.parse().ok()?, rank.parse().ok()?)));
    both.ok_or_else(|| "a transaction and its rank, such as 3=1".into())
}

/// What tells the order in which the versions of a register came, by Elle's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Assumption {
    /// Who reads a key and writes it later in the same transaction writes a later version
    #[value(name = "wfr-keys")]
    Wfr,
    /// Each process meets later and later versions of a key
    #[value(name = "sequential-keys")]
    Sequential,
    /// Each key is linearizable
    #[value(name = "linearizable-keys")]
    Linearizable,
}

/// How a history of somebody else's is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryFormat {
    /// As its first letters say
    Auto,
    /// A drill's own record
    Firedrill,
    /// Jepsen's EDN
    Jepsen,
    /// JSON lines
    Jsonl,
    /// A line for each call and each return: `[2] call enq(7)`, `[2] return`; of transactions
    /// `w(key,value,session,txn)`
    Calls,
    /// An operation a line with its interval, under a line that names the object: `# stack`
    Intervals,
    /// Transactions divided by `-----`, sessions by `=====`: `w key value`, `r key value`
    Sessions,
}
