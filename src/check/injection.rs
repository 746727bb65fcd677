//! Whether each fault's injection and heal were proven. A fault that was not injected proves
//! nothing of the system: it is inconclusive, never a pass.

use super::{Case, CaseKind, Finding};
use crate::history::{Change, FaultSpan};

/// The two cases of a fault: its injection and its heal.
pub fn cases(fault: &FaultSpan) -> [Case; 2] {
    let name = format!("fault {} {}", fault.number(), fault.fault);
    let injected = case(fault, format!("{name}: injected"), CaseKind::Injection, &fault.injected);
    let healed = case(fault, format!("{name}: healed"), CaseKind::Heal, &fault.healed);
    [injected, healed]
}

fn case(fault: &FaultSpan, name: String, kind: CaseKind, change: &Option<Change>) -> Case {
    let verb = if kind == CaseKind::Heal { "healed" } else { "injected" };
    let finding = match change {
        None if kind == CaseKind::Heal && fault.injected.is_none() => {
            Finding::inconclusive(format!("{}: never injected, so never healed", fault.what))
        }
        None => Finding::inconclusive(format!("{}: it was never {verb}", fault.what)),
        Some(change) => proof(fault, change, verb),
    };
    let seconds = change.as_ref().map_or(0.0, |c| c.measured.since(c.issued).as_secs_f64());
    Case { name, kind, line: Some(fault.line), finding, seconds }
}

fn proof(fault: &FaultSpan, change: &Change, verb: &str) -> Finding {
    let took = change.effective.since(change.issued).as_secs_f64() * 1e3;
    let finding = match &change.unproven {
        Some(why) => Finding::inconclusive(format!("{}: not proven: {why}", fault.what)),
        None if change.evidence.is_empty() => {
            Finding::inconclusive(format!("{}: nothing was measured", fault.what))
        }
        None => Finding::pass(format!("{}: {verb} in {took:.1} ms", fault.what)),
    };
    finding
        .with_evidence(change.evidence.iter().map(|e| format!("{}: {}", e.node, e.measured)))
        .with_figure(format!("{verb}_in_ms"), took)
}
