//! With `fail_fast`, a drill ends as soon as clients were told what is wrong, and says when that was.

use crate::drill::{Drilled, at_once, conclusive};
use crate::{DRILLS, ROWS, Row};

/// The rows whose check can be followed while the drill goes.
fn rows() -> Vec<&'static Row> {
    let followed =
        |row: &&Row| ["stale-reads", "split-brain", "duplicate-append"].contains(&row.bug);
    ROWS.iter().filter(followed).collect()
}

fn ended(drilled: &Drilled) -> String {
    let cases = drilled.cases();
    let case = cases.into_iter().find(|case| case.name == "drill ran to its end");
    case.map(|case| case.summary).unwrap_or_default()
}

#[test]
fn a_drill_ends_at_once_when_what_clients_were_told_is_wrong() {
    let rows = rows();
    assert_eq!(rows.len(), 3);
    let told = at_once(&rows, |row| {
        for seed in 1..=DRILLS {
            let scenario = row.scenario() + "fail_fast: true\nduration: 40s\n";
            let drilled = conclusive(&scenario, seed, &[]);
            let told = ended(&drilled);
            if drilled.code == Some(1) && told.contains("fail fast, at ") {
                let check = row.caught_by[0];
                let fails = drilled.cases().iter().any(|c| c.name == check && c.status == "fail");
                assert!(fails, "{check} of the record says something else: {}", drilled.story());
                drilled.forget();
                return Some(told);
            }
            // By the record, nothing was wrong either.
            assert_eq!(drilled.code, Some(0), "{}", drilled.story());
            drilled.forget();
        }
        None
    });
    for (row, told) in rows.iter().zip(told) {
        let told = told.unwrap_or_else(|| panic!("{}: not caught in {DRILLS} drills", row.bug));
        println!("{}: {told}", row.bug);
    }
}
