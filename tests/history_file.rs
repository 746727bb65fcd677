//! The history on disk: what was written is read back, whatever became of the writer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use firedrill::history::file::{self, HistoryError, Invocation, Writer};
use firedrill::history::{
    Call, End, FaultSpan, Header, LoadSpan, NodeEvent, NodeEventKind, Outcome, Record, Reply,
    Stage, Steady, Time, WorkloadFacts,
};
use firedrill::inventory::{Inventory, Node};
use firedrill::quantity::Ratio;

fn header() -> Header {
    let node = |id: &str| Node { id: id.into(), zone: "dc1".into(), endpoints: BTreeMap::new() };
    Header {
        run: "run-1".into(),
        scenario: "example".into(),
        file: "example.yaml".into(),
        labels: BTreeMap::new(),
        seed: 7,
        plan_digest: "d".into(),
        target: "local".into(),
        version: "0.1.0".into(),
        began: "2026-11-23T00:00:00Z".into(),
        inventory: Inventory::new(vec![node("n2"), node("n1")]),
        workload: WorkloadFacts {
            client: "store".into(),
            model: "register".into(),
            workers: 2,
            rate: "100/s".parse().unwrap(),
            keys: 3,
            timeout: "1s".parse().unwrap(),
        },
    }
}

fn write(key: u32, value: i64, at: u64) -> Invocation {
    Invocation {
        process: key,
        node: Some("n1".into()),
        intended: Time(at),
        invoked: Time(at + 1),
        stage: Stage::Load,
        call: Call::Write { key, value },
    }
}

#[test]
fn what_was_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let writer = Writer::create(&path, &header()).unwrap();
    let first = writer.invoked(write(1, 10, 5));
    let second = writer.invoked(write(2, 20, 6));
    let third = writer.invoked(Invocation { stage: Stage::Replica("n2".into()), ..write(3, 1, 7) });
    writer.returned(second, Time(9), Outcome::Unknown("time-out after 1s".into()));
    writer.returned(first, Time(8), Outcome::Ok(Reply::Done));
    writer.dropped(Time(11));
    let span = FaultSpan {
        id: 0,
        fault: "kill".into(),
        what: "kill the leader".into(),
        line: 12,
        nodes: vec![],
        planned_at: std::time::Duration::from_secs(1),
        planned_for: std::time::Duration::from_secs(2),
        injected: None,
        healed: None,
    };
    writer.fault(&span);
    let known = FaultSpan { what: "kill n1".into(), nodes: vec!["n1".into()], ..span };
    writer.fault(&known);
    let event =
        NodeEvent { at: Time(12), node: "n1".into(), kind: NodeEventKind::Died("signal 6".into()) };
    writer.node(&event);
    let load = LoadSpan { began: Time(1), ended: Some(Time(20)) };
    writer.load(load);
    let steady =
        Steady { from: Time(0), to: Time(4), success: Ratio::new(1.0), rate: 99.5, held: true };
    writer.steady(steady);
    let end = End { at: Time(30), aborted: None, left_behind: vec![] };
    writer.end(&end);
    assert!(writer.failure().is_none());

    let plain = file::read(&path).unwrap();
    let compressed = file::compress(&path).unwrap();
    assert!(!path.exists());
    let record = file::read(&compressed).unwrap();
    assert_eq!(record, plain);

    let outcomes: Vec<_> = record.operations.iter().map(|o| (o.id, o.returned)).collect();
    assert_eq!(outcomes, [(first, Some(Time(8))), (second, Some(Time(9))), (third, None)]);
    assert_eq!(record.operations[0].outcome, Outcome::Ok(Reply::Done));
    assert!(matches!(record.operations[2].outcome, Outcome::Unknown(_)));
    assert_eq!(record.operations[2].stage, Stage::Replica("n2".into()));
    let expected = Record {
        operations: record.operations.clone(),
        dropped: vec![Time(11)],
        faults: vec![known],
        nodes: vec![event],
        load: Some(load),
        steady: Some(steady),
        end: Some(end),
        ..Record::empty(header())
    };
    assert_eq!(record, expected);
}

#[test]
fn a_line_that_was_cut_by_the_runners_death_loses_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let writer = Writer::create(&path, &header()).unwrap();
    let id = writer.invoked(write(1, 10, 5));
    writer.returned(id, Time(8), Outcome::Ok(Reply::Done));
    drop(writer);
    let whole = fs::read(&path).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    for cut in last_line..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let record = file::read(&path).unwrap();
        assert_eq!(record.operations.len(), 1, "cut at byte {cut}");
        assert_eq!(record.operations[0].returned, None, "cut at byte {cut}");
    }
}

#[test]
fn nonsense_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let refused = |lines: &[&str]| {
        let _ = fs::remove_file(&path);
        drop(Writer::create(&path, &header()).unwrap());
        let mut file = fs::File::options().append(true).open(&path).unwrap();
        lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
        file::read(&path).unwrap_err().to_string()
    };
    let bad_json = refused(&["{\"i\":"]);
    assert!(bad_json.contains("history.jsonl:2: not a line of a history"), "{bad_json}");
    let unknown_id = refused(&[r#"{"r":{"id":4,"t":1,"o":{"ok":"done"}}}"#]);
    assert!(unknown_id.contains(":2: operation 4 returns, and was never invoked"), "{unknown_id}");
    let invoke = r#"{"i":{"id":0,"p":0,"s":0,"t":0,"c":{"f":"read","key":1}}}"#;
    assert!(refused(&[invoke, invoke]).contains(":3: operation 0 is invoked twice"));
    fs::write(&path, "{\"firedrill\":{\"version\":999}}\n").unwrap();
    assert!(matches!(file::read(&path), Err(HistoryError::Format { line: 1, .. })));
    fs::write(&path, "").unwrap();
    assert!(file::read(&path).unwrap_err().to_string().contains("the file is empty"));
}

#[test]
fn a_history_is_never_written_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    fs::write(&path, "somebody's evidence").unwrap();
    assert!(Writer::create(&path, &header()).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's evidence");
}
