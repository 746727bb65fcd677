//! After the heal every node's own replica holds the same, and what a final read through the system
//! says.
//!
//! For each object the last successful [`Stage::Replica`] read of each node counts. Elements of a
//! set have no order. A node that could not be read is inconclusive.
//!
//! [`Stage::Replica`]: crate::history::Stage::Replica

use std::collections::BTreeMap;

use super::view::reply;
use super::{Check, Finding, tell};
use crate::history::{Call, Operation, Outcome, Record, Reply, Stage};

/// See the module.
#[derive(Debug)]
pub struct Convergence;

/// For each call, what each node said last, and what the system said last (`None`).
type Said<'a> = BTreeMap<String, BTreeMap<Option<&'a str>, &'a Operation>>;

impl Check for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn check(&self, record: &Record) -> Finding {
        let mut said: Said = BTreeMap::new();
        for o in &record.operations {
            let node = match &o.stage {
                Stage::Load => continue,
                Stage::Final => None,
                Stage::Replica(node) => Some(node.as_str()),
            };
            if !o.call.is_read() {
                continue;
            }
            let nodes = said.entry(object(&o.call)).or_default();
            let last = nodes.entry(node).or_insert(o);
            if o.outcome.is_ok() || !last.outcome.is_ok() {
                *last = o;
            }
        }
        let objects: Vec<_> = said.values().filter(|n| n.keys().any(Option::is_some)).collect();
        if objects.is_empty() {
            return Finding::inconclusive("no node's own replica was read at the end");
        }
        let differing: Vec<_> = objects.iter().filter_map(|nodes| differ(nodes)).collect();
        let n = objects.len();
        let finding = match (differing.first(), unread(record, &objects)) {
            (Some(pair), _) => {
                let words = format!(
                    "replicas differ after the heal in {} of {}: {} says {}, {} says {}",
                    differing.len(),
                    tell::count(n, "object"),
                    who(pair[0]),
                    says(pair[0]),
                    who(pair[1]),
                    says(pair[1]),
                );
                let shown = differing.iter().take(5).flatten().copied();
                Finding::fail(words).with_evidence(tell::operations(record, shown))
            }
            (None, Some(why)) => Finding::inconclusive(why),
            (None, None) => {
                let nodes = record.header.inventory.nodes().len();
                let (n, nodes) = (tell::count(n, "object"), tell::count(nodes, "node"));
                Finding::pass(format!("{n} the same on {nodes}"))
            }
        };
        finding.with_figure("diverged_objects", differing.len() as f64)
    }
}

fn object(call: &Call) -> String {
    serde_json::to_string(call).unwrap_or_default()
}

fn who(o: &Operation) -> String {
    match &o.stage {
        Stage::Replica(node) => node.to_string(),
        _ => "the final read".into(),
    }
}

fn says(o: &Operation) -> String {
    reply(o).map_or_else(|| "nothing".into(), tell::reply)
}

fn differ<'a>(nodes: &BTreeMap<Option<&str>, &'a Operation>) -> Option<[&'a Operation; 2]> {
    let mut known = nodes.values().filter(|o| o.outcome.is_ok());
    let first = known.next()?;
    known.find(|o| !same(&first.outcome, &o.outcome)).map(|other| [*first, *other])
}

fn same(a: &Outcome, b: &Outcome) -> bool {
    match (a, b) {
        (Outcome::Ok(Reply::Values(a)), Outcome::Ok(Reply::Values(b))) => {
            let (mut a, mut b) = (a.clone(), b.clone());
            a.sort_unstable();
            b.sort_unstable();
            a == b
        }
        _ => a == b,
    }
}

fn unread(record: &Record, objects: &[&BTreeMap<Option<&str>, &Operation>]) -> Option<String> {
    for nodes in objects {
        for node in record.header.inventory.ids() {
            let read = nodes.get(&Some(node.as_str()));
            if read.is_none_or(|o| !o.outcome.is_ok()) {
                return Some(format!("the replica of {node} could not be read at the end"));
            }
        }
    }
    None
}
