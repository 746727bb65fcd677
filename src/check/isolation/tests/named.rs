//! Each anomaly by its name, in histories of a few words: `ax1` appends, `wx1` writes, `rx12` reads a list, `rx_`
//! nothing.

use super::super::*;
use crate::history::transactions::Outcome;
use crate::history::transactions::{Name, Transaction};

/// A process, how its transaction ended, and what it did. Each ends before the next begins.
pub(super) type Line<'a> = (u32, Outcome, &'a str);

pub(super) fn ok(process: u32, text: &str) -> Line<'_> {
    (process, Outcome::Ok, text)
}

pub(super) fn history(lines: &[Line<'_>], workload: Workload) -> Transactions {
    let mut all = Transactions::new(true);
    for (at, (process, outcome, text)) in lines.iter().enumerate() {
        for word in text.split(' ') {
            let mut chars = word.chars();
            let (f, key) = (chars.next().unwrap(), chars.next().unwrap());
            let key = all.intern(Name::Text(key.to_string().into()));
            let values: Vec<i64> = chars.filter_map(|c| c.to_digit(10)).map(i64::from).collect();
            let action = match (f, workload) {
                ('a', _) => Action::Append(values[0]),
                ('w', _) => Action::Write(values[0]),
                _ if *outcome != Outcome::Ok => Action::Asked,
                (_, Workload::ListAppend) => Action::List(&values),
                (_, Workload::RwRegister) => {
                    values.last().map_or(Action::Nil, |v| Action::Value(*v))
                }
            };
            all.push(key, action);
        }
        let at = at as u64 * 2;
        let returned = (*outcome != Outcome::Info).then_some(at + 1);
        all.add(Transaction::new(*process, at, returned, *outcome));
    }
    all
}

fn names(report: &Report) -> String {
    let mut all: Vec<_> = report.anomalies.iter().map(Anomaly::name).collect();
    all.sort_unstable();
    let not: Vec<_> = report.not.iter().map(Model::name).collect();
    format!("{:?} {} not {}", report.verdict, all.join(" "), not.join(" "))
}

fn by(models: &str, anomalies: &str) -> Options {
    let split = |text: &'static str| text.split(' ').filter(|word| !word.is_empty());
    let (models, anomalies) = (models.to_string().leak(), anomalies.to_string().leak());
    Options {
        models: split(models).map(|name| Model::of(name).unwrap()).collect(),
        anomalies: split(anomalies).map(|name| Anomaly::of(name).unwrap()).collect(),
        ..Options::default()
    }
}

fn lists(lines: &[Line<'_>], models: &str, anomalies: &str) -> String {
    let workload = Workload::ListAppend;
    names(&check(&history(lines, workload), workload, &by(models, anomalies)))
}

fn registers(lines: &[Line<'_>], options: &Options) -> String {
    let workload = Workload::RwRegister;
    names(&check(&history(lines, workload), workload, options))
}

#[test]
fn cycles_of_lists_have_their_names() {
    let g0 = [ok(0, "ax1 ay1"), ok(1, "ax2 ay2"), ok(2, "rx12 ry21")];
    assert_eq!(lists(&g0, "", "G1"), "Invalid G0 not read-uncommitted");
    assert_eq!(lists(&g0, "", "G2"), "Valid  not ");
    let g1c = [ok(0, "ax1 ry1"), ok(1, "ax2 ay1"), ok(2, "rx12 ry1")];
    assert_eq!(lists(&g1c, "", "G0"), "Valid  not ");
    assert_eq!(lists(&g1c, "serializable", ""), "Invalid G1c not read-committed");
    let single = [ok(0, "ax1 ay1"), ok(1, "ax2 ry"), ok(2, "rx12")];
    assert_eq!(
        lists(&single, "", "G-single"),
        "Invalid G-single-item not consistent-view repeatable-read"
    );
    assert_eq!(lists(&single, "read-committed", ""), "Valid  not ");
    let skew = [ok(0, "ax1 ry"), ok(1, "ay1 rx")];
    assert_eq!(lists(&skew, "read-committed", ""), "Valid  not ");
    assert_eq!(lists(&skew, "snapshot-isolation", ""), "Valid  not ");
    assert_eq!(lists(&skew, "repeatable-read", ""), "Invalid G2-item not repeatable-read");
    let fork = [ok(0, "ax1"), ok(1, "rx1 ry"), ok(2, "ay1"), ok(3, "ry1 rx")];
    assert_eq!(
        lists(&fork, "serializable", ""),
        "Invalid G-nonadjacent-item not repeatable-read snapshot-isolation"
    );
    assert_eq!(lists(&fork, "consistent-view", ""), "Valid  not ");
}

#[test]
fn one_anomaly_does_not_hide_another_beside_it() {
    // Who writes in a cycle is read as well.
    let read = [ok(0, "ax1 ay1"), ok(1, "ax2 ay2"), ok(2, "rx12 ry21"), ok(3, "rx1")];
    assert_eq!(lists(&read, "serializable", ""), "Invalid G-single-item G0 not read-uncommitted");
    // Write skew within a long fork.
    let both = [ok(0, "ax1"), ok(1, "rx1 ry az1 ru"), ok(2, "ay1"), ok(3, "ry1 rx au1 rz")];
    let told = lists(&both, "snapshot-isolation", "");
    assert_eq!(told, "Invalid G-nonadjacent-item not repeatable-read snapshot-isolation");
}

#[test]
fn cycles_by_process_and_by_time_have_their_names() {
    let stale = [ok(0, "ax1"), ok(1, "ax2"), ok(2, "rx1"), ok(3, "rx12")];
    assert_eq!(lists(&stale, "serializable", ""), "Valid  not ");
    assert_eq!(lists(&stale, "strong-session-serializable", ""), "Valid  not ");
    assert_eq!(
        lists(&stale, "strict-serializable", ""),
        "Invalid G-single-item-realtime not strong-snapshot-isolation"
    );
    let own = [ok(0, "ax1"), ok(1, "ax2"), ok(1, "rx1"), ok(3, "rx12")];
    assert_eq!(
        lists(&own, "strong-session-snapshot-isolation", ""),
        "Invalid G-single-item-process not strong-session-snapshot-isolation"
    );
    let reversed = [ok(0, "ax2"), ok(1, "ax1"), ok(2, "rx12")];
    assert_eq!(
        lists(&reversed, "strict-serializable", ""),
        "Invalid G0-realtime not strong-read-uncommitted"
    );
    let early = [ok(0, "rx1"), ok(0, "ax1")];
    assert_eq!(
        lists(&early, "strong-session-read-committed", ""),
        "Invalid G1c-process not strong-session-read-committed"
    );
    let passed = [ok(1, "rx1 ay1"), ok(2, "ry1"), ok(2, "ax1")];
    assert_eq!(
        lists(&passed, "strong-session-snapshot-isolation", ""),
        "Invalid G1c-process not strong-session-read-committed"
    );
    let both = [ok(0, "rx ax1 ax2"), ok(0, "rx12")];
    assert_eq!(lists(&both, "strict-serializable", ""), "Valid  not ");
    // Nobody knows when it happened.
    let late = [(0, Outcome::Info, "ax2"), ok(1, "ax1"), ok(2, "rx1"), ok(2, "rx12")];
    assert_eq!(lists(&late, "strict-serializable", ""), "Valid  not ");
    // By data it is G2-item; and no more than that is told.
    let lost = [ok(0, "ax1"), ok(0, "rx1 ax2"), ok(0, "rx1 ax3")];
    assert_eq!(
        lists(&lost, "strict-serializable", ""),
        "Invalid G2-item lost-update not cursor-stability update-atomic"
    );
}

#[test]
fn single_reads_of_lists_have_their_names() {
    let fail = |text| (0, Outcome::Fail, text);
    let aborted = [fail("ax1"), ok(1, "rx1")];
    assert_eq!(
        lists(&aborted, "read-uncommitted", ""),
        "Unknown empty-transaction-graph not read-committed"
    );
    assert_eq!(
        lists(&aborted, "read-committed", ""),
        "Invalid G1a empty-transaction-graph not read-committed"
    );
    let between = [ok(0, "ax1 ax2"), ok(1, "rx1")];
    assert_eq!(lists(&between, "", "G0"), "Valid  not ");
    assert_eq!(lists(&between, "", "G1"), "Invalid G1b not read-committed");
    assert_eq!(lists(&between, "", "G2"), "Invalid G-single-item not read-committed");
    let strict = "Invalid G-single-item G1b not read-committed";
    assert_eq!(lists(&between, "strict-serializable", ""), strict);
    // What a transaction itself has in between is its own business.
    assert_eq!(lists(&[ok(0, "ax1 rx1 ax2"), ok(1, "rx12")], "serializable", ""), "Valid  not ");
    let dirty = [fail("ax1"), (1, Outcome::Info, "ax2"), ok(2, "ax3"), ok(3, "rx123")];
    assert_eq!(lists(&dirty, "", "dirty-update"), "Invalid dirty-update not read-committed");
    let unknown = [(0, Outcome::Info, "ax1"), ok(2, "ax3"), ok(3, "rx13")];
    assert_eq!(lists(&unknown, "serializable", ""), "Valid  not ");
    let future = [ok(0, "rx1 ax1"), ok(1, "rx1")];
    assert_eq!(lists(&future, "read-committed", ""), "Invalid future-read not read-committed");
    assert_eq!(
        lists(&[ok(0, "ax1 rx12 ax2"), ok(1, "rx12")], "", "future-read internal"),
        "Invalid future-read internal not read-committed"
    );
    let twice = [ok(0, "ax1"), ok(1, "ax2"), ok(2, "rx121")];
    assert_eq!(
        lists(&twice, "read-uncommitted", ""),
        "Invalid duplicate-elements not read-uncommitted"
    );
    let torn = [ok(0, "ax1"), ok(1, "ax2"), ok(2, "ax3"), ok(3, "rx13"), ok(4, "rx123")];
    assert_eq!(lists(&torn, "read-committed", ""), "Invalid incompatible-order not read-committed");
    assert_eq!(
        lists(&[ok(0, "ax1"), ok(1, "rx19")], "read-committed", ""),
        "Invalid empty-transaction-graph thin-air-read not read-committed"
    );
    for inside in ["rx1 ax2 rx1", "rx1 ax2 rx2", "rx1 rx", "rx1 rx13", "rx rx1", "rx1 ax2 rx123"] {
        let lines = [ok(0, "ax1"), ok(1, inside), ok(2, "ax3")];
        let told = lists(&lines, "", "internal");
        assert!(told.starts_with("Invalid internal"), "{inside}: {told}");
    }
    assert_eq!(lists(&[ok(0, "ax1"), ok(1, "ax1")], "serializable", ""), "Unknown  not ");
}

#[test]
fn what_registers_show_depends_on_what_is_known_of_their_versions() {
    let plain = |model| by(model, "");
    let assume = |model: &str, anomalies: &str, which: &str| Options {
        assumptions: Assumptions {
            wfr_keys: which.contains('f'),
            sequential_keys: which.contains('s'),
            linearizable_keys: which.contains('l'),
            ..Assumptions::default()
        },
        ..by(model, anomalies)
    };
    let blind = [ok(0, "wx1 wy2"), ok(1, "wx2 wy1"), ok(0, "rx2"), ok(1, "ry2")];
    assert_eq!(registers(&blind, &assume("", "G0", "s")), "Invalid G0 not read-uncommitted");
    assert_eq!(
        registers(&blind[..2], &assume("", "G0", "")),
        "Unknown empty-transaction-graph not "
    );
    let back = [ok(0, "wx1"), ok(0, "wx2"), ok(0, "rx1")];
    let cyclic = "Invalid cyclic-versions not read-uncommitted";
    assert_eq!(registers(&back, &assume("strict-serializable", "", "s")), cyclic);
    assert_eq!(registers(&back, &assume("strict-serializable", "", "l")), cyclic);
    assert_eq!(registers(&back, &plain("strict-serializable")), "Valid  not ");
    // What the model itself says of the order of versions is enough.
    let concluded = Options { conclude: true, ..plain("strict-serializable") };
    assert!(registers(&back, &concluded).starts_with("Invalid G-single-item"));
    let skew = [ok(0, "rx_ wy2"), ok(1, "ry_ wx2")];
    assert_eq!(registers(&skew, &plain("serializable")), "Invalid G2-item not repeatable-read");
    assert_eq!(registers(&skew, &plain("snapshot-isolation")), "Valid  not ");
    let wfr = [ok(0, "ry1 wx1 wy2"), ok(1, "rx1 ry1")];
    assert_eq!(registers(&wfr, &plain("serializable")), "Valid  not ");
    assert_eq!(
        registers(&wfr, &assume("serializable", "", "f")),
        "Invalid G-single-item not consistent-view repeatable-read"
    );
    assert_eq!(
        registers(&[ok(0, "rx0 wx1"), ok(1, "rx0 wx2")], &plain("strict-serializable")),
        "Invalid lost-update not cursor-stability update-atomic"
    );
    let nil = [ok(0, "wx1 wy1"), ok(1, "rx_ ry1")];
    assert_eq!(
        registers(&nil, &plain("serializable")),
        "Invalid G-single-item not consistent-view repeatable-read"
    );
    assert_eq!(
        registers(&[ok(0, "wx1 wx2"), ok(1, "rx1")], &by("", "G0")),
        "Unknown empty-transaction-graph not read-committed"
    );
    let thin = [ok(0, "wx1"), ok(1, "rx2")];
    let nothing = "Unknown empty-transaction-graph not ";
    assert_eq!(registers(&thin, &plain("serializable")), nothing);
    let strict = Options { thin_air: true, ..plain("serializable") };
    assert!(registers(&thin, &strict).contains(" thin-air-read"));
    // One's own write is read: that is as it should be.
    let own = [ok(0, "wx1 rx1 wx2 rx2"), ok(1, "rx2 wx3 rx3")];
    assert_eq!(registers(&own, &Options::model(Model::StrongSerializable)), "Valid  not ");
}

/// A strictly serializable history in which versions are met out of their order by transactions that overlap.
#[test]
fn overlapping_reads_of_a_linearizable_key_contradict_nothing() {
    let mut all = Transactions::new(true);
    let key = all.intern(Name::Number(0));
    let mut add = |action, from, to, outcome| {
        all.push(key, action);
        all.add(Transaction::new(from as u32, from, to, outcome));
    };
    add(Action::Write(1), 0, Some(10), Outcome::Ok);
    add(Action::Write(2), 1, Some(9), Outcome::Ok);
    add(Action::Value(2), 11, Some(12), Outcome::Ok);
    add(Action::Write(3), 13, None, Outcome::Info);
    add(Action::Value(2), 14, Some(30), Outcome::Ok);
    add(Action::Value(3), 15, Some(16), Outcome::Ok);
    add(Action::Write(4), 17, Some(18), Outcome::Ok);
    add(Action::Value(4), 19, Some(20), Outcome::Ok);
    for wfr_keys in [false, true] {
        let linearizable_keys = true;
        let assumptions = Assumptions { wfr_keys, linearizable_keys, ..Assumptions::default() };
        let options = Options { assumptions, ..Options::model(Model::StrongSerializable) };
        assert_eq!(check(&all, Workload::RwRegister, &options).verdict, Verdict::Valid);
    }
}
