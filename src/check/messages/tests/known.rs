//! What Jepsen's own checker is known to find in such histories (the cases of its `kafka_test`).

use super::super::Anomaly::{self, *};
use super::{found, judged};

/// How often each of these is found; what else is found does not matter.
fn counts(lines: &str, of: &[Anomaly]) -> Vec<usize> {
    let all = found(&judged(lines));
    let count = |anomaly: &Anomaly| all.iter().filter(|f| f.0 == *anomaly).map(|f| f.2).sum();
    of.iter().map(count).collect()
}

fn count(lines: &str, of: Anomaly) -> usize {
    counts(lines, &[of])[0]
}

#[test]
fn offsets_conflict_once_it_is_known_that_both_happened() {
    let sent = "0 t? s x 1 0 s y 1; 1 s x 2 0";
    assert_eq!(count(sent, InconsistentOffsets), 0);
    assert_eq!(count(&format!("{sent}; 2 p y 5:1"), InconsistentOffsets), 1);
}

#[test]
fn lost_writes_are_those_up_to_what_was_read() {
    let consistent = "0 s x 1 0; 0 t s x 2 1 s x 4 3; 1 s? x 3; 2 p x 2:3";
    assert_eq!(count(consistent, LostWrite), 2);
    let overwritten = "0 s x 1 0; 0 t s x 2 0 s x 3 2; 2 p x 0:2 2:3";
    assert_eq!(count(overwritten, LostWrite), 1);
    let parts = "0 t? s x 1 s y 2 0; 1 s? y 3";
    assert_eq!(count(&format!("{parts}; 3 p y 1:3"), LostWrite), 0);
    assert_eq!(count(&format!("{parts}; 2 p x 0:1; 3 p y 1:3"), LostWrite), 1);
}

#[test]
fn skips_are_over_what_is_known_to_be_there() {
    let with = |one: &str, two: &str| {
        format!(
            "3 t? s x 1 s x 2 s x 3 s x 4 s x 7; 0 p x 1:1 2:2; 1 p x 3:3; {one} 0 p x 4:4; \
             {two} 2 s x 6 6; 0 p x 7:7"
        )
    };
    assert_eq!(count(&with("", ""), PollSkip), 2);
    assert_eq!(count(&with("0 u y;", "0 a? y;"), PollSkip), 0);
    assert_eq!(count(&with("0 u x y;", "0 a x y;"), PollSkip), 2);
}

#[test]
fn who_fails_goes_back_to_where_it_was() {
    let sent =
        "0 t s x 10 0 s x 11 1 s x 12 2 s x 13 3 s x 14 4 s x 15 5; 1 p x 0:10; 1 p! x 1:11 2:12";
    assert_eq!(judged(&format!("{sent}; 1 p? x 1:11 2:12; 2 p x 0:10 1:11")).found.len(), 1);
    assert_eq!(count(&format!("{sent}; 1 p! x 3:13 4:14; 1 p x 5:15"), PollSkip), 2);
    assert_eq!(count(&format!("{sent}; 1 p? x 3:13 4:14"), PollSkip), 1);
}

#[test]
fn going_back_is_found_while_a_log_is_kept() {
    let with = |turn: &str| {
        format!("0 t s x 1 s x 2 s x 3 s x 4; 0 p x 1:1 2:2 3:3; {turn} 0 p x 2:2 3:3 4:4")
    };
    assert_eq!(["", "0 u x y;", "0 a x y;"].map(|t| count(&with(t), NonmonotonicPoll)), [1, 1, 1]);
    assert_eq!(["0 u y;", "0 a y;"].map(|t| count(&with(t), NonmonotonicPoll)), [0, 0]);
}

#[test]
fn sends_go_back_by_their_answers_or_by_what_was_read() {
    let sent = "0 t s x 3 3 s x 4 4; 0 t s x 1 1 s x 2 2";
    assert_eq!(counts(sent, &[NonmonotonicSend, IntNonmonotonicSend]), [1, 0]);
    let inside = "0 t s x 3 3 s x 1 1; 0 t? s y 4 s y 2; 1 s? y 3; 2 p y 2:2 3:3 4:4";
    assert_eq!(count(inside, IntNonmonotonicSend), 2);
}

#[test]
fn polls_inside_one_operation_go_on() {
    let sent = "1 t? s x 1 s x 2 s x 4";
    let skips = format!("{sent}; 0 p x 1:1 4:4; 0 t p x 1:1 p x 4:4; 0 p x 2:2");
    assert_eq!(count(&skips, IntPollSkip), 2);
    let back = "0 t? s x 1 s x 2 s x 3; 0 p x 3:3 1:1; 0 t p x 2:2 3:3 p x 3:3";
    assert_eq!(count(back, IntNonmonotonicPoll), 2);
}

#[test]
fn duplicates_are_told_whatever_else_is_wrong() {
    assert_eq!(count("0 s x 1 1; 1 s? x 2; 2 p x 2:2 3:1", Duplicate), 1);
    let lines: Vec<String> = (10..20).map(|v| format!("0 s x {v} 0; 1 p x 1:{v}")).collect();
    assert_eq!(counts(&lines.join(";"), &[Duplicate, InconsistentOffsets]), [10, 2]);
    // A poll that failed tells of places, a send that failed does not.
    assert_eq!(count("0 s x 10 1; 0 s! x 11 2; 1 p! x 11:10 12:11", Duplicate), 1);
}

#[test]
fn what_failed_is_not_read() {
    assert_eq!(count("0 t! s x 2 s y 3; 1 p x 0:2", AbortedRead), 1);
}
