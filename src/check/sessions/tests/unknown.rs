//! What may have happened, what did not, and what cannot be judged.

use super::random::judged;
use super::{oracle, parse};
use crate::check::sessions::{Guarantee, Outcome};
use crate::history::Time;

fn all(text: &str) -> Vec<bool> {
    let operations = parse(text);
    let judged: Vec<bool> =
        Guarantee::ALL.iter().map(|g| judged(&operations, *g) == Outcome::Holds).collect();
    let expected: Vec<bool> =
        Guarantee::ALL.iter().map(|g| oracle::keeps(&operations, *g)).collect();
    assert_eq!(judged, expected, "{text}");
    judged
}

fn kept(text: &str) {
    assert_eq!(all(text), [true; 6], "{text}");
}

fn violated(text: &str, guarantee: Guarantee) -> String {
    match judged(&parse(text), guarantee) {
        Outcome::Violated { words, .. } => words,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn an_unknown_write_counts_once_it_was_found() {
    kept("1 w? x 1; 2 r x -; 2 r x -");
    kept("1 w? x 1; 2 r x -; 2 r x 1");
    violated("1 w? x 1; 2 r x 1; 2 r x -", Guarantee::MonotonicReads);
    // It brings along what came before it.
    violated("1 w x 1; 1 w? y 2; 2 r y 2; 2 r x -", Guarantee::MonotonicWrites);
}

#[test]
fn an_unknown_write_may_take_effect_after_what_its_process_does_next() {
    kept("1 w? x 1; 1 r x -; 1 w x 3; 2 r x 3; 2 r x 1");
}

#[test]
fn an_unknown_compare_and_set_found_what_it_asked_for_if_it_happened() {
    kept("1 c? x 5 6; 2 r x -");
    assert_eq!(all("1 c? x 5 6; 2 r x 6"), [false; 6]);
    let words = violated("1 w x 5; 2 c? x 5 6; 3 r x 6; 3 r x 5", Guarantee::MonotonicReads);
    assert_eq!(
        words,
        "process 3 read k0 = 5 although it had read k0 = 6 before, so k0 = 6 came before k0 = 5; \
         process 2 swapped k0 = 5 for k0 = 6"
    );
    // Its own finding makes another unknown write happen.
    let chain = "1 w? x 5; 2 c? x 5 6; 3 r x 6; 3 r x -";
    assert_eq!(all(chain), [true, false, true, false, false, false]);
}

#[test]
fn who_found_an_unknown_write_is_part_of_the_evidence() {
    let operations = parse("1 w x 5; 1 w x 7; 1 c? x 5 6; 2 r y -; 2 r x 6");
    let Outcome::Violated { operations, words } = judged(&operations, Guarantee::ReadYourWrites)
    else {
        panic!()
    };
    assert_eq!(operations, [0, 1, 2, 4], "{words}");
}

#[test]
fn what_failed_or_was_never_written_cannot_be_read() {
    for guarantee in Guarantee::ALL {
        let words = violated("1 w! x 1; 2 r x 1", guarantee);
        assert_eq!(words, "process 2 read k0 = 1, whose write by process 1 had failed");
        let words = violated("1 w y 1; 2 r x 1", guarantee);
        assert_eq!(words, "process 2 read k0 = 1, which nobody wrote");
        let words = violated("1 r x 1; 1 w x 1", guarantee);
        assert_eq!(words, "process 1 read k0 = 1 before it wrote it");
    }
    kept("1 w! x 1; 1 w x 1; 2 r x 1");
}

#[test]
fn a_value_that_was_written_twice_is_undecided() {
    let twice = parse("1 w x 1; 2 w? x 1; 2 w y 1");
    for guarantee in Guarantee::ALL {
        let Outcome::Undecided(why) = judged(&twice, guarantee) else { panic!() };
        assert!(why.starts_with("k0 = 1 was written more than once"), "{why}");
    }
}

#[test]
fn a_process_that_does_two_things_at_once_is_undecided() {
    let mut operations = parse("1 w x 1; 2 w x 2; 1 r x 1");
    operations[0].returned = Some(Time(25));
    let Outcome::Undecided(why) = judged(&operations, Guarantee::Causal) else { panic!() };
    assert_eq!(why, "process 1 invoked at 0.000 s before it had its answer");
}

#[test]
fn the_order_is_that_of_invocation_and_places_are_those_given() {
    let mut operations = parse("1 w x 1; 1 w x 2; 1 r x 1");
    operations.reverse();
    let Outcome::Violated { operations, .. } = judged(&operations, Guarantee::ReadYourWrites)
    else {
        panic!()
    };
    assert_eq!(operations, [0, 1, 2]);
    let mut swapped = parse("1 r x 1; 1 w x 2; 1 w x 1");
    swapped.reverse();
    (swapped[0].invoked, swapped[2].invoked) = (Time(0), Time(20));
    (swapped[0].returned, swapped[2].returned) = (Some(Time(1)), Some(Time(21)));
    violated_of(&swapped);
}

fn violated_of(operations: &[crate::history::Operation]) {
    let judged = judged(operations, Guarantee::ReadYourWrites);
    assert!(matches!(judged, Outcome::Violated { .. }), "{judged:?}");
}

#[test]
fn nothing_is_kept_by_nothing() {
    assert_eq!(judged(&[], Guarantee::Causal), Outcome::Holds);
}
