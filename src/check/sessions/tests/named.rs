//! Violations that are known by name, and which guarantees each violates.

use super::{oracle, parse};
use crate::check::sessions::Guarantee::{self, *};
use crate::check::sessions::{Outcome, check};

/// The words of the violation of the first that is violated, after all have been compared.
fn told(text: &str, violated: &[Guarantee]) -> String {
    let operations = parse(text);
    let all: Vec<_> = operations.iter().collect();
    let judged = |g: &Guarantee| check(&all, *g);
    let found: Vec<Guarantee> =
        Guarantee::ALL.into_iter().filter(|g| judged(g) != Outcome::Holds).collect();
    assert_eq!(found, violated, "{text}");
    for guarantee in Guarantee::ALL {
        assert_eq!(oracle::keeps(&operations, guarantee), !violated.contains(&guarantee));
    }
    match violated.first().map(judged) {
        Some(Outcome::Violated { words, .. }) => words,
        _ => String::new(),
    }
}

#[test]
fn an_older_write_of_ones_own_violates_read_your_writes_alone() {
    let words = told("1 w x 1; 1 w x 2; 1 r x 1", &[ReadYourWrites, Pram, Causal]);
    assert_eq!(
        words,
        "process 1 read k0 = 1 although it had written k0 = 2 before, so k0 = 2 came before \
         k0 = 1; process 1 wrote k0 = 1 before it wrote k0 = 2"
    );
    let words = told("1 w x 1; 1 r x -", &[ReadYourWrites, Pram, Causal]);
    assert_eq!(words, "process 1 read nothing from k0 although it had written k0 = 1 before");
    told("1 w x 5; 2 w x 7; 2 r x 5; 1 r x 7", &[ReadYourWrites, Pram, Causal]);
    // Somebody else's value may be the later one.
    told("1 w x 5; 2 w x 7; 2 r x 5", &[]);
}

#[test]
fn reads_that_go_back_violate_monotonic_reads_alone() {
    let words = told("1 w x 1; 1 w x 2; 2 r x 2; 2 r x 1", &[MonotonicReads, Pram, Causal]);
    assert_eq!(
        words,
        "process 2 read k0 = 1 although it had read k0 = 2 before, so k0 = 2 came before k0 = 1; \
         process 1 wrote k0 = 1 before it wrote k0 = 2"
    );
    told("1 w x 1; 2 w x 2; 3 r x 1; 3 r x 2; 3 r x 1", &[MonotonicReads, Pram, Causal]);
    told("1 w x 1; 2 r x 1; 2 r x -", &[MonotonicReads, Pram, Causal]);
    let apart = "1 w x 1; 2 w x 2; 3 r x 1; 3 r x 2; 4 r x 2; 4 r x 1";
    told(apart, &[MonotonicReads, Pram, Causal]);
}

#[test]
fn a_write_without_its_writers_earlier_one_violates_monotonic_writes_alone() {
    let words = told("1 w x 1; 1 w y 2; 2 r y 2; 2 r x -", &[MonotonicWrites, Pram, Causal]);
    assert_eq!(
        words,
        "process 2 read nothing from k0 although it had read k1 = 2 before, which process 1 wrote \
         after k0 = 1"
    );
    let words =
        told("1 w x 1; 1 w x 2; 1 w y 3; 2 r y 3; 2 r x 1", &[MonotonicWrites, Pram, Causal]);
    assert_eq!(
        words,
        "process 2 read k0 = 1 although it had read k1 = 3 before, which process 1 wrote after \
         k0 = 2, so k0 = 2 came before k0 = 1; process 1 wrote k0 = 1 before it wrote k0 = 2"
    );
}

#[test]
fn a_write_without_what_its_writer_had_read_violates_writes_follow_reads_alone() {
    let words = told("1 w x 1; 2 r x 1; 2 w y 2; 3 r y 2; 3 r x -", &[WritesFollowReads, Causal]);
    assert_eq!(
        words,
        "process 3 read nothing from k0 although it had read k1 = 2 before, which process 2 wrote \
         after it read k0 = 1"
    );
    told(
        "1 w x 1; 2 r x 1; 2 w y 2; 3 r y 2; 3 w z 3; 4 r z 3; 4 r x -",
        &[WritesFollowReads, Causal],
    );
    // What the second found last before it wrote, comes before what the third found.
    told(
        "1 w x 1; 1 w x 2; 2 r x 1; 2 r x 2; 2 w y 3; 3 r y 3; 3 r x 1",
        &[WritesFollowReads, Causal],
    );
    let circle = told("1 r x 1; 1 w y 2; 2 r y 2; 2 w x 1", &[WritesFollowReads, Causal]);
    assert_eq!(
        circle,
        "process 1 read k0 = 1 before it wrote k1 = 2; process 2 read k1 = 2 before it wrote k0 = 1"
    );
    // What the second found before it wrote, in whatever order, comes before what the third found of the two.
    told(
        "1 w x 1; 1 w x 2; 2 r x 2; 2 r x 1; 2 w y 3; 3 r y 3; 3 r x 1",
        &[MonotonicReads, WritesFollowReads, Pram, Causal],
    );
}

#[test]
fn guarantees_that_each_hold_may_not_hold_together() {
    // Read-your-writes puts each later write before the other's earlier one; monotonic-writes closes the circle.
    let words = told("1 w x 1; 1 w y 2; 2 w y 3; 2 w x 4; 1 r y 3; 2 r x 1", &[Pram, Causal]);
    assert!(words.contains("process 1 wrote k0 = 1 before it wrote k1 = 2"), "{words}");
    // What came by the second session's read, the third gets from the first session's order.
    let words = told("1 w x 1; 1 w y 2; 2 r y 2; 2 w z 3; 3 r z 3; 3 r x -", &[Causal]);
    assert_eq!(
        words,
        "process 3 read nothing from k0 although it had read k2 = 3 before, which process 2 wrote \
         after it read k1 = 2, which process 1 wrote after k0 = 1"
    );
}

#[test]
fn what_was_found_before_counts_whatever_is_found_later() {
    told("1 w y 1; 1 w x 2; 1 w z 3; 2 r z 3; 2 r y 1; 2 r x -", &[MonotonicWrites, Pram, Causal]);
    told("1 w x 1; 2 w x 2; 3 w x 3; 1 r x 2; 4 r x 1; 4 r x 3; 3 r x 1", &[Pram, Causal]);
}

#[test]
fn writes_follow_reads_leaves_the_order_of_writes_alone() {
    told("1 w x 1; 1 w y 2; 2 r y 2; 2 w x 3; 3 r x 3; 3 w z 4; 4 r z 4; 4 r x 1", &[Causal]);
}

#[test]
fn convergence_is_asked_of_all_from_pram_on() {
    // Two sessions that see each other's write after their own: memories that never agree.
    let apart = "1 w x 1; 2 w x 2; 1 r x 2; 2 r x 1";
    told(apart, &[ReadYourWrites, Pram, Causal]);
    let agree = "1 w x 1; 2 w x 2; 1 r x 2; 2 r x 2";
    told(agree, &[]);
}

#[test]
fn names_are_found_again() {
    for guarantee in Guarantee::ALL {
        assert_eq!(Guarantee::of(guarantee.name()), Some(guarantee));
    }
    assert_eq!(Guarantee::of("linearizable"), None);
}
