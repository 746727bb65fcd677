//! Metamorphic relations of all checkers of histories: what may be done to a history without its verdict changing, what
//! keeps a valid one valid and an invalid one invalid, and what makes any invalid.
//!
//! No oracle is needed: a checker is compared with itself. Valid histories are made by running the sequential model,
//! others by exchanging calls of valid ones. `FIREDRILL_CASES=N` makes N of each object instead of [`CASES`].

mod history;
mod objects;
mod operations;
mod relations;
mod transactions;

use firedrill::check::Verdict;
use firedrill::check::isolation::Level;

use history::{Chance, End, Event, History, Subject, valid, with};
use relations::{Keeps, relations};

const CASES: u64 = 60;

/// Two calls change their places: mostly, nothing explains what they answer there.
fn exchanged<C: Clone>(chance: &mut Chance, history: &[Event<C>]) -> History<C> {
    let mut history = history.to_vec();
    let (a, b) = (chance.place(history.len()), chance.place(history.len()));
    let (one, other) = (history[a].call.clone(), history[b].call.clone());
    (history[a].call, history[b].call) = (other, one);
    // What did not happen may have had to, now.
    let unknown = |e: &&mut Event<C>| matches!(e.end, End::Unknown { .. });
    history.iter_mut().filter(unknown).for_each(|e| e.end = End::Unknown { happened: true });
    history
}

/// An operation a line.
fn told<C: std::fmt::Debug>(history: &[Event<C>]) -> String {
    let one = |e: &Event<C>| {
        let Event { client, call, from, to, end } = e;
        format!("\n  {from} to {to}, client {client}: {call:?}, {end:?}")
    };
    history.iter().map(one).collect()
}

/// One answer that is known becomes such that no order explains it.
fn spoiled<S: Subject>(
    subject: &S,
    chance: &mut Chance,
    history: &[Event<S::Call>],
) -> Option<History<S::Call>> {
    let from = chance.place(history.len());
    let mut places = (0..history.len()).map(|i| (from + i) % history.len());
    places.find_map(|at| {
        let call = subject.spoiled(&history[at].call).filter(|_| history[at].end == End::Ok)?;
        let mut history = history.to_vec();
        history[at].call = call;
        Some(history)
    })
}

/// Puts every relation to some histories of a subject.
#[track_caller]
fn holds<S: Subject>(subject: &S) {
    let cases = std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok());
    let (mut passed, mut failed, mut spoilt, mut undecided) = (0, 0, 0, 0);
    let cases = cases.unwrap_or(CASES);
    for case in 0..cases {
        let mut chance = Chance(case);
        let base = valid(subject, &mut chance);
        assert_ne!(subject.judge(&base), Verdict::Fail, "case {case}: valid:{}", told(&base));
        if let Some(bad) = spoiled(subject, &mut chance, &base) {
            assert_eq!(subject.judge(&bad), Verdict::Fail, "case {case}: spoiled:{}", told(&bad));
            related(subject, &mut chance, case, &bad, &mut undecided);
            spoilt += 1;
        }
        for calls in subject.wrong() {
            let bad = with(&base, &calls);
            assert_eq!(subject.judge(&bad), Verdict::Fail, "case {case}: wrong:{}", told(&bad));
            related(subject, &mut chance, case, &bad, &mut undecided);
        }
        let other = exchanged(&mut chance, &base);
        for history in [&base, &other] {
            match related(subject, &mut chance, case, history, &mut undecided) {
                Verdict::Pass => passed += 1,
                Verdict::Fail => failed += 1,
                Verdict::Inconclusive => {}
            }
        }
    }
    // What is nearly always inconclusive would show nothing. A search may give up on a history that became larger, and
    // what is left of another may say nothing.
    assert!(undecided <= 1 + cases / 100, "{undecided} became inconclusive, or ceased to be");
    assert!(passed > cases / 2, "{passed} of {} passed", 2 * cases);
    assert!(failed > cases / 10 || !subject.is_exact(), "{failed} of {} failed", 2 * cases);
    assert!(spoilt > cases / 2, "{spoilt} of {cases} were spoiled");
}

fn related<S: Subject>(
    subject: &S,
    chance: &mut Chance,
    case: u64,
    history: &[Event<S::Call>],
    undecided: &mut u64,
) -> Verdict {
    let verdict = subject.judge(history);
    for (name, keeps, change) in relations::<S>() {
        let relevant = match keeps {
            Keeps::Verdict => true,
            Keeps::Valid => verdict == Verdict::Pass,
            Keeps::Invalid => verdict == Verdict::Fail,
        };
        let Some(other) = change(subject, chance, history).filter(|_| relevant) else { continue };
        let after = subject.judge(&other);
        if after != verdict && [after, verdict].contains(&Verdict::Inconclusive) {
            *undecided += u64::from(keeps != Keeps::Valid);
            continue;
        }
        let holds = after == verdict || keeps == Keeps::Valid && after != Verdict::Fail;
        assert!(
            holds,
            "case {case}: {name}: {verdict:?} became {after:?}:{}\nby{}",
            told(history),
            told(&other)
        );
    }
    verdict
}

macro_rules! subjects {
    ($($name:ident: $subject:expr;)*) => { $(#[test] fn $name() { holds(&$subject); })* };
}

subjects! {
    registers: operations::Registers { values: i64::MAX };
    registers_whose_values_recur: operations::Registers { values: 3 };
    locks: operations::Lock;
    queues: operations::Fifo;
    banks: operations::Bank;
    counters_of_a_drill: operations::Counter;
    sets_of_a_drill: operations::Set;
    queues_of_a_drill: operations::Queue;
    logs_of_a_drill: operations::Log;
    stacks: objects::Stack;
    priority_queues: objects::Priority;
    sets: objects::Set;
    growing_sets: objects::Grown;
    counters: objects::Counter;
    texts_by_key: objects::Store;
    several_registers: objects::Registers;
    lists: transactions::Lists;
    lists_of_a_drill: transactions::DrilledLists;
    registers_of_transactions: transactions::Registers { level: None };
    read_committed: transactions::Registers { level: Some(Level::ReadCommitted) };
    read_atomic: transactions::Registers { level: Some(Level::ReadAtomic) };
    causal: transactions::Registers { level: Some(Level::Causal) };
    snapshot_isolation: transactions::Registers { level: Some(Level::SnapshotIsolation) };
}
