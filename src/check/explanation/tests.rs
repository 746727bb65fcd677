//! Against brute force, and the structure of what is drawn.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::cycle::{Cycle, Edge, Transaction, cycle};
use super::html::html;
use super::timeline::{Fault, Operation, Timeline, text, timeline};
use super::{Explanation, Limits, oracle, svg};
use crate::check::objects::{Object, Op};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    Add(u8),
    Take(u8),
}

struct Register;
struct Stack;

impl Object for Register {
    type State = u8;
    type Call = Call;
    fn first(&self) -> u8 {
        0
    }
    fn apply(&self, state: &u8, call: &Call) -> Option<u8> {
        match call {
            Call::Add(v) => Some(*v),
            Call::Take(v) => (v == state).then_some(*v),
        }
    }
    fn observes(&self, call: &Call) -> bool {
        matches!(call, Call::Take(_))
    }
}

impl Object for Stack {
    type State = Vec<u8>;
    type Call = Call;
    fn first(&self) -> Vec<u8> {
        Vec::new()
    }
    fn apply(&self, state: &Vec<u8>, call: &Call) -> Option<Vec<u8>> {
        let mut next = state.clone();
        match call {
            Call::Add(v) => next.push(*v),
            Call::Take(v) => return (next.pop() == Some(*v)).then_some(next),
        }
        Some(next)
    }
    fn observes(&self, _: &Call) -> bool {
        false
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn calls(most: usize, span: u64) -> impl Strategy<Value = Vec<Op<Call>>> {
    let call = prop_oneof![(0..3u8).prop_map(Call::Add), (0..3u8).prop_map(Call::Take)];
    let took = proptest::option::weighted(0.85, 0..=span / 3);
    let op = (call, 0..span, took).prop_map(|(call, invoked, took)| Op {
        call,
        invoked,
        returned: took.map(|t| invoked + t),
    });
    proptest::collection::vec(op, 1..=most)
}

fn shown(ops: &[Op<Call>]) -> Vec<Operation> {
    let one = |(at, op): (usize, &Op<Call>)| Operation {
        process: at as u64 % 4,
        label: format!("{:?} <{at}>", op.call),
        invoked: op.invoked,
        returned: op.returned,
        line: Some(at + 1),
    };
    ops.iter().enumerate().map(one).collect()
}

fn explain<O: Object<Call = Call>>(object: &O, ops: &[Op<Call>], limits: Limits) -> Timeline {
    let calls: Vec<Call> = ops.iter().map(|op| op.call).collect();
    let fault = Fault { name: "cut <net> & \u{1}".into(), from: 3, to: Some(8) };
    timeline(object, &calls, shown(ops), vec![fault], limits)
}

/// The order is legal, in the order of time, and complete before each operation.
fn legal<O: Object<Call = Call>>(
    object: &O,
    ops: &[Op<Call>],
    told: &Timeline,
) -> Result<(), TestCaseError> {
    let (mut state, mut now) = (object.first(), 0);
    for point in &told.order {
        let op = &ops[point.operation];
        prop_assert!(point.at >= now && point.at >= op.invoked);
        prop_assert!(op.returned.is_none_or(|t| point.at <= t));
        now = point.at;
        let next = object.apply(&state, &op.call);
        prop_assert!(next.is_some());
        state = next.unwrap();
    }
    let mut places: Vec<usize> = told.order.iter().map(|p| p.operation).collect();
    places.sort_unstable();
    places.dedup();
    prop_assert_eq!(places.len(), told.order.len());
    Ok(())
}

fn agrees<O: Object<Call = Call>>(object: &O, ops: &[Op<Call>]) -> Result<(), TestCaseError> {
    let told = explain(object, ops, Limits::default());
    prop_assert!(told.exact);
    legal(object, ops, &told)?;
    let known = told.order.iter().filter(|p| ops[p.operation].returned.is_some()).count();
    prop_assert_eq!(known, oracle::most(object, ops, &[]).0);
    prop_assert_eq!(told.interval.map(|i| i.operation), oracle::first_broken(object, ops));
    let all = ops.iter().filter(|op| op.returned.is_some()).count();
    prop_assert_eq!(known + told.stuck.len() + told.later.len(), all);
    let short = explain(object, ops, Limits { steps: 3, bytes: 1_000 });
    legal(object, ops, &short)?;
    prop_assert!(!short.exact || short.interval == told.interval);
    Ok(())
}

/// Elements are closed in order, and no `<` or `&` stands alone.
fn well_formed(xml: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml.trim_start_matches("<!DOCTYPE html>");
    while let Some(at) = rest.find('<') {
        let Some(close) = rest[at..].find('>') else { return false };
        let tag = &rest[at + 1..at + close];
        rest = &rest[at + close + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split([' ', '\n']).next().unwrap());
        }
    }
    let clean = xml.chars().all(|c| c == '\n' || !c.is_control());
    let entities = ["amp;", "lt;", "gt;", "quot;", "#39;"];
    open.is_empty()
        && clean
        && xml.split('&').skip(1).all(|after| entities.iter().any(|e| after.starts_with(e)))
}

fn ring(steps: &[Vec<String>]) -> Cycle {
    let count = steps.len();
    let one = |(at, steps): (usize, &Vec<String>)| Transaction {
        name: format!("T{at} (process 1, line {at})"),
        steps: steps.clone(),
        invoked: 0,
        returned: None,
    };
    let transactions = steps.iter().enumerate().map(one).collect();
    let edge = |from: usize| Edge {
        from,
        to: (from + 1) % count,
        kind: "rw".into(),
        reason: format!("T{from} read x before it was written: {}", "why ".repeat(from * 5)),
    };
    cycle("G2 <item>", transactions, (0..count).rev().map(edge).collect()).unwrap()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_register_as_by_brute_force(ops in calls(7, 20)) {
        agrees(&Register, &ops)?;
    }

    #[test]
    fn a_stack_as_by_brute_force(ops in calls(6, 20)) {
        agrees(&Stack, &ops)?;
    }

    #[test]
    fn a_timeline_is_drawn_whole(ops in calls(25, 300)) {
        let told = explain(&Stack, &ops, Limits { steps: 10_000, bytes: 1 << 20 });
        let drawn = svg::timeline(&told);
        prop_assert!(well_formed(&drawn));
        for op in &told.operations {
            let label = format!(">{}</text>", svg::escaped(&op.label));
            prop_assert!(drawn.contains(&label));
        }
        prop_assert!(svg::draw_timeline(&told).clash().is_none());
        let page = html("a & b", "<why>", &[Explanation::Timeline(told)]);
        prop_assert!(!page.contains("<script") && page.matches("http").count() == 1);
    }

    #[test]
    fn a_cycle_is_drawn_whole(
        steps in proptest::collection::vec(proptest::collection::vec(".{0,90}", 0..4), 2..9)
    ) {
        let told = ring(&steps);
        prop_assert!(well_formed(&svg::cycle(&told)));
        prop_assert!(svg::draw_cycle(&told).clash().is_none());
    }
}

fn op(call: Call, invoked: u64, returned: u64) -> Op<Call> {
    Op { call, invoked, returned: Some(returned) }
}

#[test]
fn a_stale_read_is_explained() {
    let ops = [op(Call::Add(1), 0, 2), op(Call::Add(2), 9, 10), op(Call::Take(1), 18, 25)];
    let told = explain(&Register, &ops, Limits::default());
    assert_eq!((told.stuck.clone(), told.order.len()), (vec![2], 2));
    assert_eq!(told.interval.map(|i| (i.from, i.to)), Some((18, 25)));
    assert_eq!(told.near.first().map(|n| (n.fault, n.before)), Some((0, 10)));
    assert!(told.sentence.contains("10 ns after"), "{}", told.sentence);
    assert!(text(&told).contains("no place for: `Take(1) <2>` (process 2, line 3)"));
}

#[test]
fn only_faults_that_had_begun_are_near_and_the_last_of_them_if_all_were_over() {
    let ops = [op(Call::Add(1), 0, 10), op(Call::Add(2), 20, 30), op(Call::Take(1), 40, 50)];
    let calls: Vec<Call> = ops.iter().map(|op| op.call).collect();
    let near = |spans: &[(u64, Option<u64>)]| {
        let fault =
            |(from, to): &(u64, Option<u64>)| Fault { name: "f".into(), from: *from, to: *to };
        let faults = spans.iter().map(fault).collect();
        let told = timeline(&Register, &calls, shown(&ops), faults, Limits::default());
        told.near.iter().map(|near| (near.fault, near.before)).collect::<Vec<_>>()
    };
    assert_eq!(near(&[(0, Some(5)), (10, Some(25)), (60, None)]), [(1, 15)]);
    assert_eq!(near(&[(0, Some(5)), (45, None), (50, Some(60)), (51, None)]), [(1, 0), (2, 0)]);
    assert_eq!(near(&[(51, Some(60))]), []);
}

#[test]
fn what_nobody_knows_to_have_been_seen_has_no_place_and_who_began_at_the_last_instant_is_stuck() {
    let unknown = Op { call: Call::Take(1), invoked: 5, returned: None };
    let ops = [
        op(Call::Add(1), 0, 10),
        unknown,
        op(Call::Add(2), 12, 18),
        op(Call::Take(7), 20, 30),
        op(Call::Take(8), 30, 40),
    ];
    let told = explain(&Register, &ops, Limits::default());
    assert_eq!(told.order.iter().map(|point| point.operation).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((told.stuck, told.later), (vec![3, 4], vec![]));
}

#[test]
fn edges_that_are_no_cycle_are_refused() {
    let t = ring(&[Vec::new(), Vec::new(), Vec::new()]);
    assert_eq!(t.edges.iter().map(|e| e.from).collect::<Vec<_>>(), [2, 0, 1]);
    let mut open = t.edges.clone();
    open.pop();
    assert!(cycle("G0", t.transactions.clone(), open).is_none());
    assert!(cycle("G0", t.transactions, Vec::new()).is_none());
}
