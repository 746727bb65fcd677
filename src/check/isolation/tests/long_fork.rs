//! Long forks, in histories of a few words.

use super::named::{Line, history, ok};
use crate::check::isolation::{Wanted, Workload, finding};
use crate::check::{Finding, Verdict};
use crate::history::transactions::Outcome;

fn judged(lines: &[Line<'_>]) -> Finding {
    finding(&history(lines, Workload::RwRegister), &Wanted::NoLongFork)
}

#[test]
fn two_readers_who_each_miss_what_the_other_saw_are_a_long_fork() {
    let writes = [ok(0, "wx1"), ok(1, "wy1")];
    let with = |more: &[Line<'_>]| judged(&[&writes[..], more].concat());
    let fork = with(&[ok(2, "rx1 ry_"), ok(3, "ry1 rx_")]);
    assert_eq!(fork.verdict, Verdict::Fail);
    assert!(fork.evidence[0].ends_with("saw written, of x, y: x"), "{:?}", fork.evidence);
    assert!(fork.evidence[1].ends_with("saw written, of x, y: y"), "{:?}", fork.evidence);
    let readers = [ok(2, "rx1 ry1"), ok(3, "ry1 rx_"), ok(4, "rx_ ry_"), ok(5, "rx1 ry1")];
    assert_eq!(with(&readers).verdict, Verdict::Pass);
    // In between stands one who saw as much as the first, and something else.
    let between = [ok(2, "rx1 ry_ rz_"), ok(3, "rx1 ry1 rz1"), ok(4, "rx_ ry_ rz1")];
    assert_eq!(with(&between).verdict, Verdict::Fail);
    // Of other groups, and of readers of whom nobody knows.
    assert_eq!(with(&[ok(2, "rx1 ry_"), ok(3, "ry1 rz_")]).verdict, Verdict::Pass);
    assert_eq!(with(&[ok(2, "rx1 ry_"), (3, Outcome::Info, "ry1 rx_")]).verdict, Verdict::Pass);
}

#[test]
fn what_cannot_tell_is_inconclusive() {
    assert_eq!(judged(&[ok(0, "wx1"), ok(1, "rx1")]).verdict, Verdict::Inconclusive);
    let twice = judged(&[ok(0, "wx1"), ok(1, "wx2"), ok(2, "rx1 ry_")]);
    assert_eq!(twice.verdict, Verdict::Inconclusive);
    assert!(twice.summary.ends_with("each key must be written once"), "{}", twice.summary);
    // What did not happen does not count.
    let failed = [ok(0, "wx1"), (1, Outcome::Fail, "wx2"), ok(2, "rx1 ry_")];
    assert_eq!(judged(&failed).verdict, Verdict::Pass);
}
