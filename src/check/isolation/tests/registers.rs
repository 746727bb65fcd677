//! What is concluded of the order of versions, one conclusion each: without it, the history passes.

use super::super::*;
use crate::history::transactions::Outcome;
use crate::history::transactions::{Name, Transaction};

/// Process, begin, end, and what it did: `wx1`, `rx1`.
type Line<'a> = (u32, u64, u64, &'a str);

fn told(lines: &[Line<'_>], model: Model) -> String {
    let mut all = Transactions::new(true);
    for (process, from, to, text) in lines {
        for word in text.split(' ') {
            let mut chars = word.chars();
            let (f, key) = (chars.next().unwrap(), chars.next().unwrap());
            let key = all.intern(Name::Text(key.to_string().into()));
            let value = chars.next().and_then(|c| c.to_digit(10)).map(i64::from);
            let action = match value {
                Some(value) if f == 'w' => Action::Write(value),
                Some(value) => Action::Value(value),
                None => Action::Nil,
            };
            all.push(key, action);
        }
        all.add(Transaction::new(*process, *from, Some(*to), Outcome::Ok));
    }
    let report = check(&all, Workload::RwRegister, &Options::model(model));
    let names: Vec<_> = report.anomalies.iter().map(Anomaly::name).collect();
    names.join(" ")
}

const STRICT: Model = Model::StrongSerializable;

#[test]
fn a_version_that_is_read_after_another_was_written_is_the_later_one() {
    let lines = [(0, 0, 5, "wx1"), (1, 1, 2, "wx2 wy1"), (2, 6, 7, "rx2"), (3, 0, 20, "rx1 ry1")];
    assert_eq!(told(&lines, STRICT), "G-single-item-realtime");
    assert_eq!(told(&lines, Model::Serializable), "");
    let fine = [lines[0], lines[1], lines[2], (3, 0, 20, "rx2 ry1")];
    assert_eq!(told(&fine, STRICT), "");
}

#[test]
fn who_reads_and_writes_leaves_what_it_wrote() {
    let lines =
        [(0, 0, 1, "wx1"), (1, 2, 3, "rx1 wx2"), (2, 4, 5, "wx3 wy1"), (3, 0, 20, "rx2 ry1")];
    assert_eq!(told(&lines, STRICT), "G-single-item-realtime");
    assert_eq!(told(&lines, Model::Serializable), "");
}

#[test]
fn who_reads_and_writes_meets_what_it_read() {
    let lines =
        [(0, 0, 1, "wx5"), (1, 0, 10, "wx6 wy1"), (2, 2, 9, "rx6 wx7"), (3, 0, 20, "rx5 ry1")];
    assert_eq!(told(&lines, STRICT), "G-single-item-realtime");
    assert_eq!(told(&lines, Model::Serializable), "");
}

#[test]
fn a_process_meets_later_and_later_versions() {
    let lines =
        [(0, 0, 30, "wx1"), (1, 2, 3, "rx1 wx2"), (1, 4, 40, "wx3 wy1"), (3, 0, 20, "rx2 ry1")];
    assert_eq!(told(&lines, Model::StrongSessionSerializable), "G-single-item-process");
    assert_eq!(told(&lines, Model::Serializable), "");
}

#[test]
fn writes_follow_reads() {
    let lines = [(0, 0, 9, "wy1"), (1, 0, 9, "ry1 wx1 wy2"), (2, 0, 9, "rx1 ry1")];
    assert_eq!(told(&lines, Model::Serializable), "G-single-item");
    assert_eq!(told(&lines, Model::SnapshotIsolation), "G-single-item");
    assert_eq!(told(&lines, Model::ReadCommitted), "");
}

#[test]
fn versions_that_time_contradicts_have_no_order() {
    let lines = [(0, 0, 1, "wx1"), (0, 2, 3, "wx2"), (1, 4, 5, "rx1")];
    assert!(told(&lines, STRICT).starts_with("G-single-item-realtime"));
    assert_eq!(told(&lines, Model::Serializable), "");
}

/// All at once: nothing but data tells their order.
fn together(texts: &[&str]) -> String {
    let lines: Vec<Line> = texts.iter().enumerate().map(|(i, t)| (i as u32, 0, 9, *t)).collect();
    told(&lines, Model::Serializable)
}

#[test]
fn who_comes_before_a_reader_wrote_no_later_version() {
    assert_eq!(together(&["rx_ wx1", "rx1 ry3", "wx2 wy3"]), "G2-item");
    assert_eq!(together(&["rx_ wx1", "rx1 ry_", "wx2 wy3"]), "");
    assert_eq!(together(&["wx1 wb1", "wx2 wy3", "rx1 ry3", "rx2 rb1"]), "G2-item");
}

#[test]
fn versions_come_in_the_order_of_their_writers() {
    let writers = ["wx1 wa1", "ra1 wx2 wc1", "wy1 wb1", "rb1 wy2 wd1"];
    let with = |readers: [&'static str; 2]| together(&[&writers[..], &readers].concat());
    assert_eq!(with(["rx2 ry1", "ry2 rx1"]), "G2-item");
    // What the writers of the later versions wrote besides is read, and not these.
    assert_eq!(with(["rc1 ry1", "rd1 rx1"]), "G2-item");
    assert_eq!(with(["rx2 ry1", "ry2 rx2"]), "");
}
