//! Operations in words, for a tired engineer: who, when, what, the outcome, and during which fault.

use std::fmt::Write;

use super::explanation::{self, Explanation, timeline};
use super::objects::Object;
use crate::history::{Call, FaultSpan, Operation, Outcome, Record, Reply, Stage, Step, Time};

/// At most this many operations are shown; the rest is counted.
const SHOWN: usize = 24;

/// Operations, one a line, in the order of invocation. A fault is described where it is first met.
pub fn operations<'a>(
    record: &'a Record,
    operations: impl IntoIterator<Item = &'a Operation>,
) -> Vec<String> {
    let mut all: Vec<_> = operations.into_iter().collect();
    all.sort_by_key(|o| (o.invoked, o.id));
    all.dedup_by_key(|o| o.id);
    let hidden = all.len().saturating_sub(SHOWN);
    let mut met = None;
    let mut lines = vec![];
    for o in all.iter().take(SHOWN) {
        let fault = during(record, o);
        let known = fault.is_some() && fault.map(|f| f.id) == met;
        lines.push(line(o, fault, known));
        met = fault.map(|f| f.id).or(met);
    }
    if hidden > 0 {
        lines.push(format!("... and {hidden} more"));
    }
    lines
}

/// One operation: `12.345 s .. 12.350 s  process 3 via n2  write k5 = 42: ok  (during fault 1: kill
/// n1)`.
pub fn operation(record: &Record, o: &Operation) -> String {
    line(o, during(record, o), false)
}

fn line(o: &Operation, fault: Option<&FaultSpan>, known: bool) -> String {
    let mut text = format!("{} .. ", o.invoked);
    match o.returned {
        Some(at) => write!(text, "{at}"),
        None => write!(text, "never"),
    }
    .unwrap_or_default();
    text += &format!("  process {}", o.process);
    if let Some(node) = &o.node {
        text += &format!(" via {node}");
    }
    match &o.stage {
        Stage::Load => {}
        Stage::Final => text += " (final read)",
        Stage::Replica(node) => text += &format!(" (replica of {node})"),
    }
    text += &format!("  {}: {}", call(&o.call), outcome(&o.outcome));
    match fault {
        Some(fault) if known => text += &format!("  (fault {})", fault.number()),
        Some(fault) => text += &format!("  (during {})", self::fault(fault)),
        None => {}
    }
    text
}

/// A fault with its number: `fault 1: kill n1, n2`.
pub fn fault(fault: &FaultSpan) -> String {
    format!("fault {}: {}", fault.number(), fault.what)
}

/// The first fault that was in effect at some instant of the operation.
pub fn during<'a>(record: &'a Record, o: &Operation) -> Option<&'a FaultSpan> {
    overlapping(record, o.invoked, o.returned.unwrap_or(Time(u64::MAX)))
}

/// The first fault that was in effect at some instant between the two, both included.
pub fn overlapping(record: &Record, from: Time, to: Time) -> Option<&FaultSpan> {
    record.faults.iter().find(|f| {
        let began = f.injected.as_ref().map(|c| c.issued);
        let ended = f.healed.as_ref().map_or(Time(u64::MAX), |c| c.effective);
        began.is_some_and(|began| began <= to && ended >= from)
    })
}

/// Where an instant stands among the faults: `during fault 1: kill n1`, `120 ms before fault 1:
/// ...`.
pub fn place(record: &Record, at: Time) -> String {
    if let Some(f) = overlapping(record, at, at) {
        return format!("during {}", fault(f));
    }
    let begun = |f: &&FaultSpan| f.injected.as_ref().is_some_and(|c| c.issued > at);
    let next =
        record.faults.iter().filter(begun).min_by_key(|f| f.injected.as_ref().map(|c| c.issued));
    match next.and_then(|f| f.injected.as_ref().map(|c| (f, c.issued.since(at)))) {
        Some((f, before)) => format!("{} before {}", millis(before.as_secs_f64() * 1e3), fault(f)),
        None if record.faults.is_empty() => "no fault".into(),
        None => "after the last fault".into(),
    }
}

/// Operations that no order of this object explains, to be drawn; `None`: there are too many. `calls`: what each does.
pub fn drawn<O: Object>(
    record: &Record,
    object: &O,
    calls: &[O::Call],
    operations: &[&Operation],
) -> Option<Explanation> {
    let shown = |o: &&Operation| timeline::Operation {
        process: o.process.into(),
        label: label(o),
        invoked: o.invoked.0,
        returned: o.returned.filter(|_| o.outcome.is_ok()).map(|t| t.0),
        line: None,
    };
    let faults = record.faults.iter().filter_map(|f| {
        let from = f.injected.as_ref()?.effective.0;
        let to = f.healed.as_ref().map(|healed| healed.effective.0);
        Some(timeline::Fault { name: fault(f), from, to })
    });
    let all = operations.iter().map(shown).collect();
    explanation::drawn(object, calls, all, faults.collect())
}

/// An operation in a few words: `read: 5`, `write 5`.
fn label(o: &Operation) -> String {
    let found = |what: &str| match &o.outcome {
        Outcome::Ok(Reply::Value(Some(value))) => format!("{what}: {value}"),
        Outcome::Ok(Reply::Value(None)) => format!("{what}: nothing"),
        _ => format!("{what}: ?"),
    };
    match &o.call {
        Call::Read { .. } => found("read"),
        Call::Dequeue { .. } => found("dequeue"),
        Call::Write { value, .. } => format!("write {value}"),
        Call::Enqueue { element, .. } => format!("enqueue {element}"),
        Call::Cas { from, to, .. } => match o.outcome {
            Outcome::Ok(Reply::Swapped(false)) => format!("set {to} if {from}: it was not"),
            _ => format!("set {to} if {from}"),
        },
        call => self::call(call),
    }
}

/// Milliseconds in words, seconds from 1 s on.
pub fn millis(ms: f64) -> String {
    match ms {
        ms if ms >= 1000.0 => format!("{:.3} s", ms / 1e3),
        ms if ms >= 10.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

/// A count with its noun: `1 write`, `3 writes`.
pub fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// A call in words: `write k5 = 42`.
pub fn call(call: &Call) -> String {
    match call {
        Call::Read { key } => format!("read k{key}"),
        Call::Write { key, value } => format!("write k{key} = {value}"),
        Call::Cas { key, from, to } => format!("compare-and-set k{key} from {from} to {to}"),
        Call::Add { key, delta } => format!("add {delta} to k{key}"),
        Call::Total { key } => format!("total of k{key}"),
        Call::Insert { key, element } => format!("insert {element} into k{key}"),
        Call::Elements { key } => format!("elements of k{key}"),
        Call::Enqueue { key, element } => format!("enqueue {element} into k{key}"),
        Call::Dequeue { key } => format!("dequeue from k{key}"),
        Call::Append { key, message } => {
            format!("append message {}.{} to k{key}", message.sender, message.sequence)
        }
        Call::ReadLog { key, from } => format!("read log k{key} from {from}"),
        Call::Transfer { from, to, amount } => format!("transfer {amount} from a{from} to a{to}"),
        Call::Balances => "balances".into(),
        Call::Txn { steps } => {
            let steps: Vec<_> = steps
                .iter()
                .map(|s| match s {
                    Step::Append { key, value } => format!("append k{key} {value}"),
                    Step::Read { key } => format!("read k{key}"),
                })
                .collect();
            format!("transaction [{}]", steps.join(", "))
        }
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(reply) => self::reply(reply),
        Outcome::Fail(why) => format!("failed ({why})"),
        Outcome::Unknown(why) => format!("outcome unknown ({why})"),
    }
}

/// A reply in words; long lists show their end.
pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Done => "ok".into(),
        Reply::Value(None) => "nothing".into(),
        Reply::Value(Some(v)) => v.to_string(),
        Reply::Values(vs) => tail(vs, i64::to_string),
        Reply::Swapped(true) => "swapped".into(),
        Reply::Swapped(false) => "not swapped".into(),
        Reply::Offset(at) => format!("at offset {at}"),
        Reply::Messages(ms) => tail(ms, |m| format!("{}.{}", m.sender, m.sequence)),
        Reply::Balances(b) => {
            let all: Vec<_> = b.iter().map(|(k, v)| format!("a{k}={v}")).collect();
            tail(&all, String::clone)
        }
        Reply::Txn(reads) => {
            let reads: Vec<_> = reads
                .iter()
                .map(|r| r.as_ref().map_or("ok".into(), |vs| tail(vs, i64::to_string)))
                .collect();
            reads.join(", ")
        }
    }
}

fn tail<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let skipped = items.len().saturating_sub(12);
    let shown: Vec<_> = items[skipped..].iter().map(show).collect();
    match skipped {
        0 => format!("[{}]", shown.join(" ")),
        n => format!("[{n} more ... {}]", shown.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::invented::{add, done, kill, ms, record};

    #[test]
    fn a_fault_is_described_where_it_is_first_met_and_has_its_number_from_then_on() {
        let mut record = record("register");
        record.faults = vec![kill(0, ms(10.0), ms(20.0)), kill(1, ms(30.0), ms(40.0))];
        for at in [5.0, 11.0, 13.0, 31.0] {
            let call = Call::Write { key: 1, value: at as i64 };
            add(&mut record, 1, call, ms(at), ms(at + 1.0), done());
        }
        let lines = operations(&record, &record.operations);
        let ends =
            [": ok", "  (during fault 1: kill n1)", "  (fault 1)", "  (during fault 2: kill n1)"];
        for (line, end) in lines.iter().zip(ends) {
            assert!(line.ends_with(end), "{line}");
        }
        assert_eq!(lines.len(), ends.len());
    }
}
