//! Transactional isolation: which anomalies a history of transactions shows, and which consistency models they refute,
//! in the way of Elle (Kingsbury & Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB
//! 2020); and the weak levels of registers as AWDIT decides them (Møldrup & Pavlogiannis, PLDI 2025).
//!
//! Sound: what it refutes, no execution at that level explains. Bounds: see the parts; memory is linear in the
//! history, but for up to 256 MiB of who precedes whom (`closure`), and 512 MiB of clocks (`weak`).

mod anomaly;
mod closure;
mod cycles;
mod drawn;
mod facts;
mod finding;
mod graph;
mod list_append;
mod list_reads;
mod long_fork;
mod models;
mod order;
mod plain;
mod rw_register;
mod versions;
mod weak;
mod writes;

#[cfg(test)]
mod tests;

pub use anomaly::{Anomalies, Anomaly};
pub use facts::Fact;
pub use finding::{Wanted, finding};
pub use graph::Label;
pub use models::{Model, Models};
pub use versions::Assumptions;
pub use weak::Level;

use cycles::{About, Cycle, Found};
use facts::Facts;
use graph::{Edges, Graph};
use list_append::Lists;
use rw_register::Registers;
use versions::Versions;
use writes::{Twice, Writes};

use crate::check::Budget;
use crate::check::explanation::Explanation;
use crate::history::Time;
use crate::history::transactions::{Action, Transactions};

/// What transactions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// They append to lists and read them.
    ListAppend,
    /// They write and read registers.
    RwRegister,
}

/// What to look for, and what to rely on.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Models that ought to hold.
    pub models: Models,
    /// Anomalies that ought not to be there, beside what the models proscribe.
    pub anomalies: Anomalies,
    /// Of registers: what tells the order of versions.
    pub assumptions: Assumptions,
    /// Of registers: if nothing was found, look again with what the models themselves say of the order of versions.
    pub conclude: bool,
    /// Of registers: a value that nobody wrote is an anomaly. It may as well be the one before the history began.
    pub thin_air: bool,
    /// What judging may take.
    pub budget: Budget,
}

impl Options {
    /// Of one model, with all that can be concluded.
    pub fn model(model: Model) -> Options {
        let models = Models::from_iter([model]);
        Options { models, conclude: true, thin_air: true, ..Options::default() }
    }

    fn proscribed(&self) -> Anomalies {
        self.models.proscribed().or(self.anomalies.implying())
    }
}

/// Whether a history is as it ought to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing contradicts it.
    Valid,
    /// Something does.
    Invalid,
    /// Nothing can be said.
    Unknown,
}

/// What an anomaly was seen in.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Its name.
    pub anomaly: Anomaly,
    /// What it is, a line each: of a cycle, why each transaction comes before the next.
    pub words: Vec<String>,
    /// The transactions, by their numbers.
    pub txns: Vec<u32>,
    /// A cycle, to be drawn.
    pub drawn: Option<Explanation>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Anomalies that ought not to be there; and what kept from looking.
    pub anomalies: Anomalies,
    /// The weakest models that do not hold.
    pub not: Models,
    /// Models that do not hold since one of those does not.
    pub also_not: Models,
    /// A few examples of each anomaly, the shortest first.
    pub evidence: Vec<Evidence>,
    /// Why nothing can be said, or how far it was judged.
    pub why: Option<String>,
}

impl Report {
    fn unknown(why: String) -> Report {
        Report {
            verdict: Verdict::Unknown,
            anomalies: Anomalies::default(),
            not: Models::default(),
            also_not: Models::default(),
            evidence: vec![],
            why: Some(why),
        }
    }
}

/// Checks a history.
pub fn check(history: &Transactions, workload: Workload, options: &Options) -> Report {
    if let Some(why) = misfit(history, workload) {
        return Report::unknown(why);
    }
    let writes = match Writes::of(history) {
        Ok(writes) => writes,
        Err(twice) => return Report::unknown(written_twice(history, twice)),
    };
    let order = order_needed(history, options.proscribed());
    match workload {
        Workload::ListAppend => {
            let lists = Lists::of(history, &writes);
            let mut facts = Facts::default();
            lists.facts(&mut facts);
            let preferred = [Label::Ww, Label::Wr, Label::Rw];
            let data = |edges: &mut Edges| lists.edges(edges);
            let (found, empty) = cycles_of(history, order, options, preferred, data);
            let words = |a, b, label, key| lists.words(a, b, label, key);
            report(history, options, facts, found, empty, words)
        }
        Workload::RwRegister => registers(history, &writes, options, order),
    }
}

fn registers(
    history: &Transactions,
    writes: &Writes,
    options: &Options,
    order: Option<Label>,
) -> Report {
    let registers = Registers::of(history, writes);
    let preferred = [Label::Wr, Label::Ww, Label::Rw];
    let words = |a, b, label, key| registers.words(a, b, label, key);
    let mut facts = Facts::default();
    registers.facts(options.thin_air, &mut facts);
    let versions =
        Versions::of(&registers, &options.assumptions, Anomaly::CyclicVersions, &mut facts);
    let data = |edges: &mut Edges| registers.edges(&versions, edges);
    let (found, empty) = cycles_of(history, order, options, preferred, data);
    let first = report(history, options, facts, found, empty, words);
    if first.verdict == Verdict::Invalid || !options.conclude {
        return first;
    }
    for (name, assumptions, order) in conclusions(history, options) {
        let mut facts = Facts::default();
        let versions = Versions::of(&registers, &assumptions, name, &mut facts);
        let data = |edges: &mut Edges| registers.edges(&versions, edges);
        let (mut found, _) = cycles_of(history, order, options, preferred, data);
        if let Some(order) = order {
            found.by(order);
        }
        let second = report(history, options, facts, found, false, words);
        if second.verdict == Verdict::Invalid {
            return second;
        }
    }
    let found = saturated(&registers, options, preferred);
    if options.budget.clone().is_spent() && found.is_none() {
        return Report::unknown("the time was up before all was concluded".into());
    }
    found.unwrap_or(first)
}

/// With the order of versions that follows from that of transactions in any serial order, which has others follow.
/// `None`: nothing is wrong even so.
fn saturated(
    registers: &Registers<'_>,
    options: &Options,
    preferred: [Label; 3],
) -> Option<Report> {
    let history = registers.history;
    if !options.models.implied().has(Model::Serializable) {
        return None;
    }
    // The last one concludes the most: where it finds nothing, nor do the others; where it does, they may say it
    // better.
    let all = conclusions(history, options);
    let last = saturation(registers, options, preferred, all.last()?)?;
    let others = all.iter().take(all.len() - 1);
    let mut plainer = others.filter_map(|from| saturation(registers, options, preferred, from));
    Some(plainer.next().unwrap_or(last))
}

fn saturation(
    registers: &Registers<'_>,
    options: &Options,
    preferred: [Label; 3],
    (_, assumptions, order): &(Anomaly, Assumptions, Option<Label>),
) -> Option<Report> {
    let (history, order, budget) = (registers.history, *order, options.budget);
    let proscribed = options.proscribed();
    // Whatever is wrong is so in any serial order: the weakest name says no more.
    let name = match order {
        None => Anomaly::G2Item,
        Some(Label::Process) => Anomaly::G2ItemProcess,
        Some(_) => Anomaly::G2ItemRealtime,
    };
    let (mut known, mut count) = (vec![], 0);
    let rounds = if history.len() <= SMALL { ROUNDS } else { 2 };
    for round in 1..=rounds {
        let mut facts = Facts::default();
        let mut versions = Versions::of(registers, assumptions, name, &mut facts);
        versions.add(registers, &known, name, &mut facts);
        let data = |edges: &mut Edges| registers.edges(&versions, edges);
        let graph = graph_of(history, order, data);
        let about = About { history, order, proscribed, preferred, budget };
        let mut found = cycles::search(&graph, about);
        if !found.anomalies.is_empty() || !facts.anomalies.is_empty() {
            found.cycles.iter_mut().for_each(|cycle| cycle.anomaly = name);
            if !found.anomalies.is_empty() {
                found.anomalies = Anomalies::from_iter([name]);
            }
            let words = |a, b, label, key| registers.words(a, b, label, key);
            let report = report(history, options, facts, found, false, words);
            return Some(report).filter(|r| r.verdict == Verdict::Invalid);
        }
        if round == rounds {
            return None;
        }
        let (more, pairs) = closure::pairs(registers, &graph, &options.budget)?;
        if more <= count {
            return None;
        }
        (known, count) = (pairs, more);
    }
    None
}

/// At most so often is the order of versions told from that of transactions; once only, if there are more than so many.
const ROUNDS: usize = 16;
const SMALL: usize = 2000;

/// What the wanted models themselves say of the order of versions: what to assume, in which order, and what it is
/// called when that contradicts itself.
fn conclusions(
    history: &Transactions,
    options: &Options,
) -> Vec<(Anomaly, Assumptions, Option<Label>)> {
    let models = options.models.implied();
    // Whoever reads and then writes loses no update at these levels.
    if !models.has(Model::UpdateAtomic) && !models.has(Model::RepeatableRead) {
        return vec![];
    }
    let written_only = !options.thin_air;
    let wfr = Assumptions { wfr_keys: true, written_only, ..options.assumptions.clone() };
    let mut all = vec![(Anomaly::GSingleItem, wfr.clone(), None)];
    if models.has(Model::StrongSessionSnapshotIsolation) {
        let own = Assumptions { sequential_keys: true, ..wfr.clone() };
        all.push((Anomaly::GSingleItemProcess, own, Some(Label::Process)));
    }
    if models.has(Model::StrongSnapshotIsolation) && history.timed() {
        let own = Assumptions { linearizable_keys: true, ..wfr };
        all.push((Anomaly::GSingleItemRealtime, own, Some(Label::Time)));
    }
    all
}

impl Found {
    /// The order of versions was concluded from this order: so is whatever was found.
    fn by(&mut self, order: Label) {
        let suffix = if order == Label::Time { "-realtime" } else { "-process" };
        let renamed = |anomaly: Anomaly| {
            let base = anomaly.name().trim_end_matches("-process").trim_end_matches("-realtime");
            Anomaly::of(&format!("{base}{suffix}")).unwrap_or(anomaly)
        };
        self.anomalies = self.anomalies.iter().map(renamed).collect();
        self.cycles.iter_mut().for_each(|cycle| cycle.anomaly = renamed(cycle.anomaly));
    }
}

fn written_twice(history: &Transactions, twice: Twice) -> String {
    let [a, b] = twice.txns.map(|txn| who(history, txn));
    let (key, value) = (history.key(twice.key), history.value(twice.value));
    format!("{a} and {b} both write {value} to {key}")
}

/// Why a history is none of this workload.
fn misfit(history: &Transactions, workload: Workload) -> Option<String> {
    let fits = |action| match (action, workload) {
        (Action::Append(_) | Action::List(_), Workload::ListAppend) => true,
        (Action::Write(_) | Action::Value(_), Workload::RwRegister) => true,
        (action, _) => matches!(action, Action::Asked | Action::Nil),
    };
    let wrong = history.all().iter().find(|t| history.steps(t).any(|(_, action)| !fits(action)))?;
    let what = match workload {
        Workload::ListAppend => "appends to lists and reads of lists",
        Workload::RwRegister => "writes and reads of registers",
    };
    Some(format!("line {} has something else than {what}", wrong.line))
}

/// Which order beside that of data is asked for. Real time has that of processes within it.
fn order_needed(history: &Transactions, proscribed: Anomalies) -> Option<Label> {
    let asked = |suffix| proscribed.iter().any(|a| a.name().ends_with(suffix));
    match (asked("-realtime"), asked("-process")) {
        (true, _) if history.timed() => Some(Label::Time),
        // Without instants, sessions are all that is known of time.
        (true, _) | (_, true) => Some(Label::Process),
        _ => None,
    }
}

/// Cycles by data and an order; and whether there is no edge at all.
fn cycles_of(
    history: &Transactions,
    order: Option<Label>,
    options: &Options,
    preferred: [Label; 3],
    data: impl FnOnce(&mut Edges),
) -> (Found, bool) {
    let graph = graph_of(history, order, data);
    let (proscribed, budget) = (options.proscribed(), options.budget);
    let about = About { history, order, proscribed, preferred, budget };
    let found = cycles::search(&graph, about);
    let empty = found.anomalies.is_empty() && is_empty(&graph, history.len());
    (found, empty)
}

fn graph_of(history: &Transactions, order: Option<Label>, data: impl FnOnce(&mut Edges)) -> Graph {
    let mut edges = Edges::between(history.len());
    data(&mut edges);
    match order {
        Some(Label::Time) => order::real_time(history, &mut edges),
        Some(_) => order::processes(history, &mut edges),
        None => {}
    }
    edges.graph(history.len())
}

/// Whether no transaction leads to another.
fn is_empty(graph: &Graph, txns: usize) -> bool {
    let mut steps = 0;
    for txn in 0..txns as u32 {
        let mut stack: Vec<u32> = graph.arcs(txn).iter().map(|arc| arc.to).collect();
        while let Some(node) = stack.pop() {
            steps += 1;
            if steps > 1_000_000 {
                return false;
            }
            if !graph.is_txn(node) {
                stack.extend(graph.arcs(node).iter().map(|arc| arc.to));
            } else if node != txn {
                return false;
            }
        }
    }
    true
}

/// A transaction as people find it.
fn who(history: &Transactions, txn: u32) -> String {
    let Some(own) = history.all().get(txn as usize) else { return String::new() };
    // What was not read from a text has no line.
    match own.line {
        0 => format!("T{txn} (process {} at {})", own.process, Time(own.invoked)),
        line => format!("T{txn} (process {}, line {line})", own.process),
    }
}

fn report(
    history: &Transactions,
    options: &Options,
    facts: Facts,
    found: Found,
    empty: bool,
    words: impl Fn(u32, u32, Label, u32) -> String,
) -> Report {
    let all = facts.anomalies.or(found.anomalies);
    let bad = all.and(options.proscribed());
    let mut reportable = bad;
    let mut why = None;
    if empty {
        reportable.add(Anomaly::EmptyTransactionGraph);
        why = Some("no transaction depends on another: there is nothing to judge by".to_string());
    }
    if found.gave_up {
        reportable.add(Anomaly::CycleSearchTimeout);
        why = Some("the search for cycles gave up before its end".to_string());
    }
    let verdict = match (bad.is_empty(), reportable.is_empty()) {
        (false, _) => Verdict::Invalid,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Valid,
    };
    let (not, also_not) = match verdict {
        Verdict::Valid => Default::default(),
        _ => models::refuted(all),
    };
    let told = facts.shown.into_iter().filter(|f| bad.has(f.anomaly));
    let mut evidence: Vec<Evidence> = told
        .map(|f| {
            let own = f.txns.iter().map(|t| who(history, *t)).collect::<Vec<_>>().join(", ");
            let words = vec![format!("{} ({own})", f.words)];
            Evidence { anomaly: f.anomaly, words, txns: f.txns, drawn: None }
        })
        .collect();
    for Cycle { anomaly, hops } in found.cycles.iter().filter(|c| bad.has(c.anomaly)) {
        let (mut lines, mut hows) = (vec![], vec![]);
        for (i, hop) in hops.iter().enumerate() {
            let next = hops[(i + 1) % hops.len()].txn;
            let how: String = match hop.label {
                Label::Time => "had ended before the beginning of".into(),
                Label::Process => "was done by the same process before".into(),
                label => words(hop.txn, next, label, hop.key),
            };
            lines.push(format!("{} {how} {}", who(history, hop.txn), who(history, next)));
            hows.push(how);
        }
        let txns = hops.iter().map(|h| h.txn).collect();
        let drawn = drawn::of(history, *anomaly, hops, &hows);
        evidence.push(Evidence { anomaly: *anomaly, words: lines, txns, drawn });
    }
    evidence.sort_by_key(|e| (e.anomaly, e.txns.len()));
    let why = why.filter(|_| verdict == Verdict::Unknown);
    Report { verdict, anomalies: reportable, not, also_not, evidence, why }
}
