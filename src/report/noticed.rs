//! How long an orchestrator took to notice what happened to whom, fault by fault. Pure.

use crate::history::{FaultSpan, NodeEventKind, Record, Time};

/// What was noticed of whom a fault struck, and how long after it was asked for, or after its heal was; each once.
pub(super) fn of_fault(record: &Record, fault: &FaultSpan) -> Vec<String> {
    let Some(injected) = &fault.injected else { return vec![] };
    let healed = fault.healed.as_ref().map(|healed| healed.issued);
    let next = record.faults.iter().filter_map(|other| Some(other.injected.as_ref()?.issued));
    // After the heal, what the next fault does is its own.
    let until = next.filter(|at| healed.is_some_and(|healed| *at > healed)).min();
    let mut told: Vec<String> = vec![];
    let mut seen = vec![];
    for event in &record.nodes {
        let NodeEventKind::Noticed(noticed) = &event.kind else { continue };
        let concerns = fault.nodes.is_empty() || fault.nodes.contains(&event.node);
        let in_time = event.at >= injected.issued && until.is_none_or(|until| event.at < until);
        let after_heal = healed.is_some_and(|healed| event.at >= healed);
        let same = (&event.node, noticed, after_heal);
        if !concerns || !in_time || seen.contains(&same) {
            continue;
        }
        seen.push(same);
        told.push(match (healed, after_heal) {
            (Some(healed), true) => said(event.at, healed, "after the heal", &event.node, noticed),
            _ => said(event.at, injected.issued, "after it was injected", &event.node, noticed),
        });
    }
    told
}

fn said(
    at: Time,
    since: Time,
    of: &str,
    node: &crate::inventory::NodeId,
    noticed: &crate::history::Noticed,
) -> String {
    let seconds = at.since(since).as_secs_f64();
    format!("{node} {}: {seconds:.3} s {of}", noticed.words())
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;
    use crate::history::{Change, NodeEvent, Noticed};

    fn change(at: u64) -> Change {
        let at = Time(at * 1_000_000);
        Change { issued: at, effective: at, measured: at, evidence: vec![], unproven: None }
    }

    #[test]
    fn what_is_noticed_of_whom_a_fault_struck_is_told_once_with_how_long_it_took() {
        let mut record = specimen::record();
        record.faults.truncate(1);
        record.faults[0].nodes = vec!["n1".into()];
        record.faults[0].injected = Some(change(1_000));
        record.faults[0].healed = Some(change(5_000));
        let noticed = |at: u64, node: &str, noticed: Noticed| NodeEvent {
            at: Time(at * 1_000_000),
            node: node.into(),
            kind: NodeEventKind::Noticed(noticed),
        };
        record.nodes = vec![
            noticed(900, "n1", Noticed::Ready),
            noticed(1_250, "n1", Noticed::NotReady),
            noticed(1_300, "n2", Noticed::NotReady),
            noticed(1_400, "n1", Noticed::NotReady),
            noticed(6_500, "n1", Noticed::Ready),
        ];
        let told = of_fault(&record, &record.faults[0]);
        let expected = [
            "n1 is not ready for the cluster: 0.250 s after it was injected",
            "n1 is ready for the cluster: 1.500 s after the heal",
        ];
        assert_eq!(told, expected);
        record.faults[0].injected = None;
        assert!(of_fault(&record, &record.faults[0]).is_empty());
    }
}
