//! A cycle of transactions, as it is drawn.

use super::anomaly::Anomaly;
use super::cycles::Hop;
use super::graph::Label;
use super::who;
use crate::check::explanation::Explanation;
use crate::check::explanation::cycle::{self, Edge};
use crate::history::transactions::{Action, Transactions};

/// Longer ones are not drawn.
const LONGEST: usize = 24;

/// So many steps of a transaction are shown, and values of a list.
const STEPS: usize = 8;

/// Draws it; `hows`: why each comes before the next. `None`: it is too long, or something in it is no transaction.
pub(super) fn of(
    history: &Transactions,
    anomaly: Anomaly,
    hops: &[Hop],
    hows: &[String],
) -> Option<Explanation> {
    if hops.len() > LONGEST {
        return None;
    }
    let transactions = hops.iter().map(|hop| {
        let own = history.all().get(hop.txn as usize)?;
        Some(cycle::Transaction {
            name: who(history, hop.txn),
            steps: steps(history, hop.txn),
            invoked: own.invoked,
            returned: own.returned,
        })
    });
    let edges = hops.iter().zip(hows).enumerate().map(|(at, (hop, how))| {
        let next = (at + 1) % hops.len();
        let reason = format!("T{} {how} T{}", hop.txn, hops[next].txn);
        Edge { from: at, to: next, kind: kind(hop.label).into(), reason }
    });
    let transactions = transactions.collect::<Option<Vec<_>>>()?;
    cycle::cycle(anomaly.name(), transactions, edges.collect()).map(Explanation::Cycle)
}

fn kind(label: Label) -> &'static str {
    match label {
        Label::Ww => "ww",
        Label::Wr => "wr",
        Label::Rw => "rw",
        Label::Process => "process",
        Label::Time => "realtime",
        Label::Inner => "version",
    }
}

fn steps(history: &Transactions, txn: u32) -> Vec<String> {
    let Some(own) = history.all().get(txn as usize) else { return vec![] };
    let all: Vec<String> = history
        .steps(own)
        .map(|(key, action)| {
            let (key, value) = (history.key(key), |value| history.value(value).to_string());
            match action {
                Action::Append(own) => format!("append {key} {}", value(own)),
                Action::Write(own) => format!("write {key} {}", value(own)),
                Action::Asked => format!("read {key}: ?"),
                Action::Nil => format!("read {key}: nothing"),
                Action::Value(own) => format!("read {key}: {}", value(own)),
                Action::List(all) => {
                    let from = all.len().saturating_sub(STEPS);
                    let last: Vec<String> = all[from..].iter().map(|own| value(*own)).collect();
                    let more = if from > 0 { "... " } else { "" };
                    format!("read {key}: [{more}{}]", last.join(" "))
                }
            }
        })
        .collect();
    let hidden = all.len().saturating_sub(STEPS);
    let more = (hidden > 0).then(|| format!("... and {hidden} more"));
    all.into_iter().take(STEPS).chain(more).collect()
}
