//! Weak isolation of registers with unique values: read committed, read atomic, causal consistency (the axioms are
//! those of Biswas & Enea, "On the Complexity of Checking Transactional Consistency", OOPSLA 2019; the way is that of
//! Møldrup & Pavlogiannis, "AWDIT: An Optimal Weak Database Isolation Tester", PLDI 2025).
//!
//! Sound and complete for these three: each axiom says of some pairs which of both must have committed first, and the
//! history is at that level exactly if these, the sessions and the reads together have no cycle. Only the pairs that
//! imply all others are collected. Bounds: for `n` micro-operations, n^1.5 for the first two; n times the number of
//! sessions for the third, and one clock for each transaction that is still to be read from.
//!
//! Snapshot isolation is refuted, never proven, from these and from what is known of the order of versions.

mod axioms;

use super::anomaly::{Anomalies, Anomaly};
use super::cycles::{self, Hop};
use super::drawn;
use super::facts::Facts;
use super::graph::{Edges, Label, Labels};
use super::models::{Model, Models};
use super::rw_register::Registers;
use super::writes::{NONE, Writes};
use super::{Assumptions, Evidence, Options, Report, Verdict, Workload, who};
use crate::check::Budget;
use crate::history::transactions::{Action, Outcome, Transactions};

/// A weak level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Whoever reads sees no older version than the transactions that it read from before had overwritten.
    ReadCommitted,
    /// A transaction is seen as a whole or not at all.
    ReadAtomic,
    /// What is seen includes all that those who wrote it had seen.
    Causal,
    /// Everything is read of one instant, and of two that write the same at once, one fails.
    SnapshotIsolation,
}

impl Level {
    /// By its name.
    pub fn of(name: &str) -> Option<Level> {
        Some(match name {
            "read-committed" => Level::ReadCommitted,
            "read-atomic" => Level::ReadAtomic,
            "causal" | "causal-consistency" => Level::Causal,
            "snapshot-isolation" => Level::SnapshotIsolation,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::ReadCommitted => "read-committed",
            Level::ReadAtomic => "read-atomic",
            Level::Causal => "causal",
            Level::SnapshotIsolation => "snapshot-isolation",
        }
    }

    fn model(self) -> Model {
        match self {
            Level::ReadCommitted => Model::ReadCommitted,
            Level::ReadAtomic => Model::ReadAtomic,
            Level::Causal => Model::CausalCerone,
            Level::SnapshotIsolation => Model::StrongSessionSnapshotIsolation,
        }
    }
}

/// A read of what another transaction wrote.
#[derive(Debug, Clone, Copy)]
struct Read {
    key: u32,
    /// Who wrote it. [`Checker::init`]: nobody did.
    from: u32,
}

/// Whoever comes before: who, whom, on which key, and whose read says so.
type Before = (u32, u32, u32, u32);

struct Checker<'a> {
    history: &'a Transactions,
    /// Stands for the transaction that wrote all keys before all others.
    init: u32,
    /// Of each transaction, where its external reads begin.
    offsets: Vec<u32>,
    reads: Vec<Read>,
    /// Of each transaction, where the keys that it wrote begin, which are sorted.
    written_offsets: Vec<u32>,
    written: Vec<u32>,
    /// Sessions, each in its order.
    sessions: Vec<Vec<u32>>,
    /// It counts: it committed, or somebody read from it.
    counts: Vec<bool>,
    before: Vec<Before>,
}

/// Checks a history of registers at a weak level.
pub fn check(history: &Transactions, level: Level, budget: &Budget) -> Report {
    if let Some(why) = super::misfit(history, Workload::RwRegister) {
        return Report::unknown(why);
    }
    let writes = match Writes::of(history) {
        Ok(writes) => writes,
        Err(twice) => return Report::unknown(super::written_twice(history, twice)),
    };
    let mut facts = Facts::default();
    Registers::of(history, &writes).facts(true, &mut facts);
    // Reads that differ are wrong from read atomic on, by its own axiom; an update may be lost up to causal
    // consistency.
    let plain = [Anomaly::G1a, Anomaly::G1b, Anomaly::FutureRead, Anomaly::ThinAirRead].into_iter();
    let bad = facts.anomalies.and(plain.collect());
    let (mut evidence, mut before) = (vec![], vec![]);
    for fact in facts.shown.into_iter().filter(|f| bad.has(f.anomaly)) {
        let words = vec![fact.words];
        evidence.push(Evidence { anomaly: fact.anomaly, words, txns: fact.txns, drawn: None });
    }
    if bad.is_empty() {
        let mut checker = Checker::of(history, &writes);
        if let Some(own) = checker.own_reads() {
            evidence.push(own);
        } else {
            match checker.check(level, budget) {
                Ok(found) => evidence.extend(found),
                Err(why) => return Report::unknown(why),
            }
            before = checker.before;
        }
    }
    if evidence.is_empty() {
        if level == Level::SnapshotIsolation {
            return snapshot(history, &before, *budget);
        }
        return Report { verdict: Verdict::Valid, why: None, ..Report::unknown(String::new()) };
    }
    let anomalies: Anomalies = evidence.iter().map(|e| e.anomaly).collect();
    Report {
        verdict: Verdict::Invalid,
        anomalies,
        not: Models::from_iter([level.model()]),
        also_not: Models::default(),
        evidence,
        why: None,
    }
}

/// Snapshot isolation, of which causal consistency is a part that was checked before: in the same order do versions
/// come.
fn snapshot(history: &Transactions, before: &[Before], budget: Budget) -> Report {
    let committed = before.iter().map(|(a, b, key, _)| (*a, *b, *key)).collect();
    let assumptions = Assumptions { committed, sequential_keys: true, ..Assumptions::default() };
    let model = Options::model(Level::SnapshotIsolation.model());
    let options = Options { assumptions, budget, ..model };
    let mut report = super::check(history, Workload::RwRegister, &options);
    if report.verdict == Verdict::Valid {
        report.why = Some("as far as the order of versions is known".into());
    }
    report
}

impl<'a> Checker<'a> {
    fn of(history: &'a Transactions, writes: &Writes) -> Checker<'a> {
        let all = history.all();
        let mut counts: Vec<bool> = all.iter().map(|t| t.outcome == Outcome::Ok).collect();
        let (mut offsets, mut reads) = (vec![0], vec![]);
        let (mut written_offsets, mut written) = (vec![0], vec![]);
        let init = all.len() as u32;
        let mut own = vec![NONE; history.keys()];
        for (number, txn) in all.iter().enumerate() {
            let number = number as u32;
            if txn.outcome != Outcome::Fail {
                for (key, action) in history.steps(txn) {
                    let from = match action {
                        Action::Write(_) => {
                            if own[key as usize] != number {
                                own[key as usize] = number;
                                written.push(key);
                            }
                            continue;
                        }
                        Action::Value(value) => match writes.find(key, value) {
                            Some(write) => writes.all[write].txn,
                            None => continue,
                        },
                        Action::Nil => init,
                        _ => continue,
                    };
                    if own[key as usize] == number {
                        continue;
                    }
                    if from != init {
                        counts[from as usize] = true;
                    }
                    reads.push(Read { key, from });
                }
            }
            let from = written_offsets.last().map_or(0, |from| *from as usize);
            written[from..].sort_unstable();
            offsets.push(reads.len() as u32);
            written_offsets.push(written.len() as u32);
        }
        let mut order: Vec<u32> = (0..all.len() as u32).collect();
        order.retain(|i| counts[*i as usize]);
        order.sort_by_key(|i| (all[*i as usize].process, all[*i as usize].invoked, *i));
        let same = |a: &u32, b: &u32| all[*a as usize].process == all[*b as usize].process;
        let sessions = order.chunk_by(same).map(<[u32]>::to_vec).collect();
        let before = vec![];
        Checker {
            history,
            init,
            offsets,
            reads,
            written_offsets,
            written,
            sessions,
            counts,
            before,
        }
    }

    fn reads(&self, txn: u32) -> &[Read] {
        let txn = txn as usize;
        &self.reads[self.offsets[txn] as usize..self.offsets[txn + 1] as usize]
    }

    /// The keys that a transaction wrote; the first one of all wrote every key.
    fn written(&self, txn: u32) -> &[u32] {
        if txn == self.init {
            return &[];
        }
        let txn = txn as usize;
        &self.written[self.written_offsets[txn] as usize..self.written_offsets[txn + 1] as usize]
    }

    /// Behind an own write, nothing else is read.
    fn own_reads(&self) -> Option<Evidence> {
        let mut own: Vec<(u32, i64)> = vec![(NONE, 0); self.history.keys()];
        for (number, txn) in self.history.all().iter().enumerate() {
            let number = number as u32;
            for (key, action) in self.history.steps(txn) {
                let wrong = match action {
                    Action::Write(value) => {
                        own[key as usize] = (number, value);
                        false
                    }
                    Action::Value(value) => {
                        own[key as usize].0 == number && own[key as usize].1 != value
                    }
                    Action::Nil => own[key as usize].0 == number,
                    _ => false,
                };
                if wrong {
                    let (name, who) = (self.history.key(key), who(self.history, number));
                    let words = vec![format!("{who} did not read what it had written to {name}")];
                    let anomaly = Anomaly::Internal;
                    return Some(Evidence { anomaly, words, txns: vec![number], drawn: None });
                }
            }
        }
        None
    }

    fn check(&mut self, level: Level, budget: &Budget) -> Result<Option<Evidence>, String> {
        // A cycle of sessions and reads alone is wrong at each level, and leaves no order to walk in.
        if let Some(cycle) = self.cycle() {
            return Ok(Some(cycle));
        }
        self.before = match level {
            Level::ReadCommitted => self.read_committed(),
            Level::ReadAtomic => self.read_atomic(),
            Level::Causal | Level::SnapshotIsolation => self.causal(budget)?,
        };
        Ok(self.cycle())
    }

    /// A cycle of all that is known.
    fn cycle(&self) -> Option<Evidence> {
        let nodes = self.init as usize + 1;
        let mut edges = Edges::between(nodes);
        for own in &self.sessions {
            edges.add(self.init, own[0], Label::Process, NONE);
            own.windows(2).for_each(|pair| edges.add(pair[0], pair[1], Label::Process, NONE));
        }
        for txn in 0..self.init {
            for read in self.reads(txn) {
                edges.add(read.from, txn, Label::Wr, read.key);
            }
        }
        for (a, b, key, _) in &self.before {
            edges.add(*a, *b, Label::Ww, *key);
        }
        let graph = edges.graph(nodes);
        let labels = Labels(0).or(Label::Process.set()).or(Label::Wr.set()).or(Label::Ww.set());
        let hops = cycles::shortest(&graph, labels)?;
        Some(self.tell(&hops))
    }

    fn name(&self, txn: u32) -> String {
        if txn == self.init { "the beginning".into() } else { who(self.history, txn) }
    }

    fn tell(&self, hops: &[Hop]) -> Evidence {
        let (mut words, mut hows) = (vec![], vec![]);
        for (i, hop) in hops.iter().enumerate() {
            let next = hops[(i + 1) % hops.len()].txn;
            let key = || self.history.key(hop.key);
            let how: String = match hop.label {
                Label::Process => "came in its session before".into(),
                Label::Wr => format!("wrote the {} that was read by", key()),
                _ => {
                    let same = |b: &&Before| (b.0, b.1, b.2) == (hop.txn, next, hop.key);
                    let reader = self.before.iter().find(same).map(|(.., reader)| *reader);
                    let reader = reader.map_or_else(String::new, |txn| self.name(txn));
                    format!("wrote {}, known to {reader}, which read the later one of", key())
                }
            };
            words.push(format!("{} {how} {}", self.name(hop.txn), self.name(next)));
            hows.push(how);
        }
        let data = hops.iter().any(|h| h.label == Label::Ww);
        let anomaly = if data { Anomaly::CommitOrderCycle } else { Anomaly::G1cProcess };
        let txns = hops.iter().map(|h| h.txn).filter(|txn| *txn != self.init).collect();
        let drawn = drawn::of(self.history, anomaly, hops, &hows);
        Evidence { anomaly, words, txns, drawn }
    }
}
