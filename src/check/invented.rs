//! Invented records, for the tests of this room.

use std::time::Duration;

use crate::history::{
    Call, Change, End, Evidence, FaultSpan, Header, LoadSpan, Operation, Outcome, Process, Record,
    Reply, Stage, Steady, Time, WorkloadFacts,
};
use crate::inventory::{Inventory, Node, NodeId};
use crate::quantity::{Rate, Ratio, Span};

/// A record of a drill of this model in which nothing has happened yet: three nodes, 100 operations
/// a second.
pub fn record(model: &str) -> Record {
    let node = |id: &str| Node { id: id.into(), zone: "dc1".into(), endpoints: Default::default() };
    let rate = Rate::per_second_of(100.0).unwrap();
    Record::empty(Header {
        run: "invented".into(),
        scenario: "invented".into(),
        file: "invented.yaml".into(),
        labels: Default::default(),
        seed: 1,
        plan_digest: "0".into(),
        target: "local".into(),
        version: "0".into(),
        began: "2026-11-23T00:00:00Z".into(),
        inventory: Inventory::new(["n1", "n2", "n3"].map(node).to_vec()),
        workload: WorkloadFacts {
            client: "store".into(),
            model: model.into(),
            workers: 10,
            rate,
            keys: 1,
            timeout: Span::secs(1),
        },
    })
}

/// Milliseconds since the drill began.
pub fn ms(ms: f64) -> Time {
    Time((ms * 1e6) as u64)
}

/// Adds an operation of the load.
pub fn add(
    record: &mut Record,
    process: Process,
    call: Call,
    from: Time,
    to: Time,
    outcome: Outcome,
) {
    put(record, process, Stage::Load, call, from, Some(to), outcome);
}

/// Adds an operation of any stage.
pub fn put(
    record: &mut Record,
    process: Process,
    stage: Stage,
    call: Call,
    invoked: Time,
    returned: Option<Time>,
    outcome: Outcome,
) {
    let id = record.operations.len() as u64;
    let intended = invoked;
    let operation =
        Operation { id, process, node: None, intended, invoked, returned, stage, call, outcome };
    record.operations.push(operation);
}

/// It is done.
pub fn done() -> Outcome {
    Outcome::Ok(Reply::Done)
}

/// It answered this value.
pub fn value(v: Option<i64>) -> Outcome {
    Outcome::Ok(Reply::Value(v))
}

/// A time-out.
pub fn unknown() -> Outcome {
    Outcome::Unknown("timed out".into())
}

/// A proven change.
pub fn change(issued: Time, effective: Time) -> Change {
    let evidence = vec![Evidence { node: NodeId::new("n1"), measured: "connect refused".into() }];
    Change { issued, effective, measured: effective, evidence, unproven: None }
}

/// A fault that kills n1 between two instants.
pub fn kill(id: u32, from: Time, to: Time) -> FaultSpan {
    FaultSpan {
        id,
        fault: "kill".into(),
        what: "kill n1".into(),
        line: 10 + id,
        nodes: vec![NodeId::new("n1")],
        planned_at: Duration::from_nanos(from.0),
        planned_for: to.since(from),
        injected: Some(change(from, from)),
        healed: Some(change(to, to)),
    }
}

/// A drill that ran to its end, with a load of these bounds and a steady state that held.
pub fn whole(record: &mut Record, load_ms: f64) {
    record.load = Some(LoadSpan { began: Time::ZERO, ended: Some(ms(load_ms)) });
    let success = Ratio::new(1.0);
    record.steady =
        Some(Steady { from: Time::ZERO, to: ms(1000.0), success, rate: 100.0, held: true });
    record.end = Some(End { at: ms(load_ms + 1000.0), aborted: None, left_behind: vec![] });
}

/// So many cases, and no file of past failures beside the source.
pub fn cases(n: u32) -> proptest::prelude::ProptestConfig {
    proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::with_cases(n)
    }
}
