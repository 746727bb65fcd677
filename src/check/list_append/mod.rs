//! Strict serializability of a drill's transactions on append-only lists, in the way of Elle (`check::isolation`).

#[cfg(test)]
mod tests;

use super::isolation::{self, Evidence, Model, Options, Report, Workload};
use super::view::{counted, possible, reply, settled};
use super::{Budget, Check, Finding, tell};
use crate::history::transactions::{self, Action, Name, Transaction, Transactions};
use crate::history::{Call, Key, Operation, Record, Reply, Step};

/// See the module.
#[derive(Debug, Default)]
pub struct ListAppend {
    /// What judging may take.
    pub budget: Budget,
}

impl Check for ListAppend {
    fn name(&self) -> &'static str {
        "list-append"
    }

    fn check(&self, record: &Record) -> Finding {
        let txns = Txns::of(record);
        if txns.taken == 0 {
            return Finding::inconclusive("there was no transaction");
        }
        if !txns.reads {
            return Finding::inconclusive(
                "no transaction that is known to have happened read anything",
            );
        }
        let report = txns.judged(self.budget);
        let n = tell::count(txns.taken, "transaction");
        let finding = match report.evidence.first() {
            Some(first) => {
                let last = txns.operations(first).max_by_key(|o| o.invoked);
                let during = last.and_then(|o| tell::during(record, o));
                let during = during.map(|f| format!(", during {}", tell::fault(f)));
                let more = match report.evidence.len() - 1 {
                    0 => String::new(),
                    1 => " (and 1 more anomaly)".into(),
                    more => format!(" (and {more} more anomalies)"),
                };
                Finding::fail(format!("{}{}{more}", summed(first), during.unwrap_or_default()))
            }
            None => match report.why {
                Some(why) => Finding::inconclusive(why),
                None => Finding::pass(format!(
                    "{n} are strictly serializable as far as their reads tell"
                )),
            },
        };
        let lines = report.evidence.iter().take(4).flat_map(|anomaly| {
            let head = std::iter::once(format!("{}:", summed(anomaly)));
            let operations = tell::operations(record, txns.operations(anomaly));
            head.chain(anomaly.words.iter().cloned()).chain(operations)
        });
        let drawn = report.evidence.iter().filter_map(|evidence| evidence.drawn.clone());
        finding
            .with_explanations(drawn.take(4))
            .with_evidence(lines)
            .with_figure("transactions", txns.taken as f64)
            .with_figure("anomalies", report.evidence.len() as f64)
    }
}

/// An anomaly in a line.
fn summed(anomaly: &Evidence) -> String {
    let Evidence { anomaly, words, txns, .. } = anomaly;
    let name = anomaly.told();
    match words.as_slice() {
        [] => name,
        [only] => format!("{name}: {only}"),
        [first, ..] => {
            let n = tell::count(txns.len(), "transaction");
            format!("{name}: {first}, and so on in a cycle of {n}, which no serial order explains")
        }
    }
}

/// A drill's transactions, as the checker of isolation takes them.
struct Txns<'a> {
    history: Transactions,
    /// By the transaction's number.
    operations: Vec<&'a Operation>,
    /// How many took effect, or may have.
    taken: usize,
    /// Whether any of them is known to have read anything.
    reads: bool,
}

impl<'a> Txns<'a> {
    fn of(record: &'a Record) -> Txns<'a> {
        let history = Transactions::new(true);
        let mut all = Txns { history, operations: vec![], taken: 0, reads: false };
        for o in counted(record) {
            let Call::Txn { steps } = &o.call else { continue };
            let saw = if let Some(Reply::Txn(saw)) = reply(o) { saw.as_slice() } else { &[] };
            for (at, step) in steps.iter().enumerate() {
                all.push(step, saw.get(at).and_then(Option::as_deref));
            }
            let outcome = match (possible(o), o.outcome.is_ok()) {
                (false, _) => transactions::Outcome::Fail,
                (true, true) => transactions::Outcome::Ok,
                (true, false) => transactions::Outcome::Info,
            };
            let returned = o.outcome.is_ok().then(|| settled(o).0);
            all.history.add(Transaction::new(o.process, o.invoked.0, returned, outcome));
            all.taken += usize::from(possible(o));
            all.operations.push(o);
        }
        all
    }

    fn push(&mut self, step: &Step, saw: Option<&[i64]>) {
        let (Step::Append { key, .. } | Step::Read { key }) = step;
        let key = self.key(*key);
        let action = match (step, saw) {
            (Step::Append { value, .. }, _) => Action::Append(*value),
            (Step::Read { .. }, Some(values)) => Action::List(values),
            (Step::Read { .. }, None) => Action::Asked,
        };
        self.reads |= matches!(action, Action::List(_));
        self.history.push(key, action);
    }

    /// A list is called as everywhere else.
    fn key(&mut self, key: Key) -> u32 {
        self.history.intern(Name::Text(format!("k{key}").into()))
    }

    fn judged(&self, budget: Budget) -> Report {
        let strict = Options { budget, ..Options::model(Model::StrongSerializable) };
        isolation::check(&self.history, Workload::ListAppend, &strict)
    }

    fn operations(&self, anomaly: &Evidence) -> impl Iterator<Item = &'a Operation> {
        anomaly.txns.iter().filter_map(|txn| self.operations.get(*txn as usize).copied())
    }
}
