//! Whether the drill itself can be believed: the steady state held, it ran to its end, no node died
//! of something else, and the clients did enough work before, during and after each fault.

use std::time::Duration;

use super::Finding;
use super::load::{Load, issued};
use super::tell;
use crate::history::{NodeEventKind, Record, Time};

/// Fewer successful operations than this in a phase are not enough work, where the rate offers as
/// many.
const ENOUGH: usize = 10;

/// Whether the steady state held before the first fault.
pub fn steady(record: &Record) -> Finding {
    let Some(steady) = &record.steady else {
        return Finding::inconclusive(
            "the steady state was never measured: it did not come to that",
        );
    };
    let summary = format!(
        "{} of the operations succeeded, {:.1} returned a second, from {} to {}",
        steady.success.rounded(),
        steady.rate,
        steady.from,
        steady.to
    );
    let finding = match steady.held {
        true => Finding::pass(summary),
        false => Finding::inconclusive(format!("the steady state did not hold: {summary}")),
    };
    finding
        .with_figure("steady_success_percent", steady.success.fraction() * 100.0)
        .with_figure("steady_rate_per_s", steady.rate)
}

/// Whether the drill ran to its end and left nothing behind.
pub fn ended(record: &Record) -> Finding {
    let Some(end) = &record.end else {
        return Finding::inconclusive(
            "the record has no end: the runner died before the drill was over",
        );
    };
    let finding = match &end.aborted {
        Some(why) => Finding::inconclusive(format!("broken off at {}: {why}", end.at)),
        None if end.left_behind.is_empty() => Finding::pass(format!("ended at {}", end.at)),
        None => {
            let n = end.left_behind.len();
            Finding::inconclusive(format!("{} could not be restored", tell::count(n, "thing")))
        }
    };
    finding.with_evidence(end.left_behind.iter().map(|l| format!("not restored: {l}")))
}

/// Whether nodes died of something that firedrill did not do; `allowed` if a check judges that
/// itself.
pub fn nodes(record: &Record, allowed: bool) -> Finding {
    let deaths = deaths(record);
    let finding = match (deaths.first(), allowed) {
        (None, _) => Finding::pass("no node died but by firedrill"),
        (Some(_), true) => {
            let n = tell::count(deaths.len(), "node death");
            Finding::pass(format!("{n}, which the check `node-deaths` judges"))
        }
        (Some(first), false) => Finding::inconclusive(first.clone()),
    };
    finding.with_evidence(deaths)
}

/// Deaths that firedrill did not cause, one a line: which node, when, how, during which fault.
pub fn deaths(record: &Record) -> Vec<String> {
    let died = record.nodes.iter().filter_map(|e| match &e.kind {
        NodeEventKind::Died(how) => Some((e, how)),
        _ => None,
    });
    died.map(|(e, how)| {
        format!("node {} died at {} of {how}, {}", e.node, e.at, tell::place(record, e.at))
    })
    .collect()
}

/// Whether enough operations succeeded before the first fault and after each, and were asked during
/// each.
pub fn work(record: &Record) -> Finding {
    let Some(load) = Load::of(record) else {
        return Finding::inconclusive("the clients invoked no operation");
    };
    let ok = load.answers().len();
    if ok == 0 {
        let n = tell::count(load.points.len(), "operation");
        return Finding::inconclusive(format!("none of {n} succeeded"));
    }
    let mut missing = vec![];
    let mut lines = vec![];
    let mut need = |name: String, from: Time, to: Time, success: bool| {
        let points = load.between(from, to);
        let ok = points.iter().filter(|p| p.ok()).count();
        let offered = (to.since(from).as_secs_f64() * load.rate) as usize;
        let have = if success { ok } else { points.len() };
        lines.push(format!("{name}: {ok} of {} succeeded", points.len()));
        if have < ENOUGH.min(offered / 2) {
            let what = if success { "succeeded" } else { "were asked" };
            missing.push(format!("{name}: {have} operations {what}, about {offered} were offered"));
        }
    };
    need("before the first fault".into(), load.began, load.first_fault, true);
    for fault in &record.faults {
        let Some(from) = issued(fault) else { continue };
        let healed = fault.healed.as_ref().map(|h| h.effective);
        let to = healed.unwrap_or(load.ended).min(load.ended);
        need(format!("during {}", tell::fault(fault)), from, to, false);
        if let Some(healed) = healed {
            let next = load.next_fault(healed);
            if next.since(healed) >= Duration::from_secs(1) || next >= load.ended {
                need(format!("after {}", tell::fault(fault)), healed, next, true);
            }
        }
    }
    let finding = match missing.first() {
        None => Finding::pass(format!("{ok} of {} operations succeeded", load.points.len())),
        Some(first) => Finding::inconclusive(format!("not enough work: {first}")),
    };
    finding.with_evidence(lines).with_figure("operations", load.points.len() as f64)
}
