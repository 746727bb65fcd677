//! Linearizable first-in-first-out queues whose elements are enqueued once each: judged in O(n log n) by the four ways
//! in which such a queue can be wrong (Henzinger, Sezgin and Vafeiadis, "Aspect-oriented linearizability proofs";
//! Bouajjani, Emmi, Enea and Hamza, "On reducing linearizability to state reachability"): an element that nobody
//! enqueued, one that is dequeued twice, two whose order is turned round, and a queue found empty that cannot have
//! been.
//!
//! A queue begins empty, and each one is judged by itself. An operation that failed did not happen. An enqueue of
//! unknown outcome happened if its element was dequeued, and need not have otherwise. Where an element may have been
//! taken by a dequeue of unknown outcome, what rests on its not being taken is inconclusive; all else is exact.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::objects::Object;
use super::objects::models::{ContainerCall, Found};
use super::view::{counted, reply, settled};
use super::{Check, Finding, tell};
use crate::history::{Call, Key, Operation, Outcome, Record, Reply};

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fifo;

const NEVER: u64 = u64::MAX;

impl Check for Fifo {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn check(&self, record: &Record) -> Finding {
        let mut queues: BTreeMap<Key, Vec<&Operation>> = BTreeMap::new();
        for o in counted(record).filter(|o| !matches!(o.outcome, Outcome::Fail(_))) {
            if let Call::Enqueue { key, .. } | Call::Dequeue { key } = o.call {
                queues.entry(key).or_default().push(o);
            }
        }
        let operations: usize = queues.values().map(Vec::len).sum();
        if operations == 0 {
            return Finding::inconclusive("no queue was used");
        }
        let (mut broken, mut undecided) = (None, None);
        for (key, queue) in &queues {
            match judge(queue) {
                Judged::Linearizable => {}
                Judged::Broken(why, culprits) => drop(broken.get_or_insert((key, why, culprits))),
                Judged::Undecided(why) => drop(undecided.get_or_insert((key, why))),
            }
        }
        let finding = match (broken, undecided) {
            (Some((key, why, mut culprits)), _) => {
                culprits.sort_by_key(|o| (o.invoked, o.id));
                let n = tell::count(culprits.len(), "operation");
                let calls: Vec<ContainerCall> = culprits.iter().filter_map(|o| call(o)).collect();
                let drawn = match calls.len() == culprits.len() {
                    true => tell::drawn(record, &Line, &calls, &culprits),
                    false => None,
                };
                Finding::fail(format!("queue k{key}: {why}"))
                    .with_evidence([format!("{n} that no order explains, out of {operations}:")])
                    .with_evidence(tell::operations(record, culprits))
                    .with_explanations(drawn)
            }
            (None, Some((key, why))) => Finding::inconclusive(format!("queue k{key}: {why}")),
            (None, None) => {
                let n = tell::count(operations, "operation");
                let queues = tell::count(queues.len(), "queue");
                Finding::pass(format!("{n} on {queues} are linearizable"))
            }
        };
        finding.with_figure("operations", operations as f64)
    }
}

/// A queue, for the search for its longest partial linearization.
struct Line;

impl Object for Line {
    type State = VecDeque<i64>;
    type Call = ContainerCall;

    fn first(&self) -> VecDeque<i64> {
        VecDeque::new()
    }
    fn apply(&self, state: &VecDeque<i64>, call: &ContainerCall) -> Option<VecDeque<i64>> {
        let mut after = state.clone();
        let front = match call {
            ContainerCall::Put(element) => {
                after.push_back(*element);
                return Some(after);
            }
            ContainerCall::Peek(_) => state.front().copied(),
            ContainerCall::Take(_) => after.pop_front(),
        };
        match call {
            ContainerCall::Take(Found::Value(value)) | ContainerCall::Peek(Found::Value(value)) => {
                (front == Some(*value)).then_some(after)
            }
            ContainerCall::Take(Found::Nothing) | ContainerCall::Peek(Found::Nothing) => {
                front.is_none().then_some(after)
            }
            _ => Some(after),
        }
    }
    fn observes(&self, call: &ContainerCall) -> bool {
        matches!(call, ContainerCall::Peek(_) | ContainerCall::Take(Found::Nothing))
    }
}

fn call(o: &Operation) -> Option<ContainerCall> {
    Some(match (&o.call, reply(o)) {
        (Call::Enqueue { element, .. }, _) => ContainerCall::Put(*element),
        (Call::Dequeue { .. }, Some(Reply::Value(Some(value)))) => {
            ContainerCall::Take(Found::Value(*value))
        }
        (Call::Dequeue { .. }, Some(Reply::Value(None))) => ContainerCall::Take(Found::Nothing),
        (Call::Dequeue { .. }, None) => ContainerCall::Take(Found::Unknown),
        _ => return None,
    })
}

enum Judged<'a> {
    Linearizable,
    /// Why, and the operations that suffice to show it.
    Broken(String, Vec<&'a Operation>),
    Undecided(String),
}

/// An element, and when it came and went.
#[derive(Clone, Copy)]
struct Element<'a> {
    value: i64,
    enqueue: Option<&'a Operation>,
    dequeue: Option<&'a Operation>,
}

impl Element<'_> {
    /// It was there from this instant on at the latest, ...
    fn there_by(&self) -> u64 {
        self.enqueue.map_or(NEVER, |o| match (settled(o).0, self.dequeue) {
            // Whoever took it shows that it was there.
            (NEVER, Some(taken)) => settled(taken).0,
            (returned, _) => returned,
        })
    }
    /// ... and until this one at the least.
    fn there_until(&self) -> u64 {
        self.dequeue.map_or(NEVER, |o| o.invoked.0)
    }
    fn is_certain(&self) -> bool {
        self.dequeue.is_some() || self.enqueue.is_some_and(|o| settled(o).0 != NEVER)
    }
}

fn judge<'a>(operations: &[&'a Operation]) -> Judged<'a> {
    let mut places: HashMap<i64, usize> = HashMap::with_capacity(operations.len());
    let mut elements: Vec<Element> = Vec::with_capacity(operations.len());
    let (mut empty, mut unknown) = (vec![], 0);
    let mut at = |elements: &mut Vec<Element<'a>>, value: i64| {
        *places.entry(value).or_insert_with(|| {
            elements.push(Element { value, enqueue: None, dequeue: None });
            elements.len() - 1
        })
    };
    for o in operations {
        match (&o.call, &o.outcome) {
            (Call::Enqueue { element, .. }, _) => {
                let place = at(&mut elements, *element);
                if elements[place].enqueue.replace(o).is_some() {
                    return Judged::Undecided(format!("{element} is enqueued more than once"));
                }
            }
            (_, Outcome::Ok(Reply::Value(Some(value)))) => {
                let place = at(&mut elements, *value);
                if let Some(before) = elements[place].dequeue.replace(o) {
                    return Judged::Broken(format!("{value} is dequeued twice"), vec![before, o]);
                }
            }
            (_, Outcome::Ok(_)) => empty.push(*o),
            (_, _) => unknown += 1,
        }
    }
    for element in &elements {
        let (Some(taken), value) = (element.dequeue, element.value) else { continue };
        match element.enqueue {
            None => {
                let why = format!("{value} is dequeued, which nobody enqueued");
                return Judged::Broken(why, vec![taken]);
            }
            Some(put) if settled(taken) < put.invoked => {
                let why = format!("{value} is dequeued before anybody enqueued it");
                return Judged::Broken(why, vec![put, taken]);
            }
            Some(_) => {}
        }
    }
    elements.retain(Element::is_certain);
    // What was taken for certain is judged first: what that shows does not rest on who took the others.
    let taken: Vec<Element> = elements.iter().copied().filter(|e| e.dequeue.is_some()).collect();
    if unknown > 0
        && let Some((why, culprits)) = wrong(&taken, &empty)
    {
        return Judged::Broken(why, culprits);
    }
    match wrong(&elements, &empty) {
        None => Judged::Linearizable,
        Some((why, culprits)) if unknown == 0 => Judged::Broken(why, culprits),
        Some((why, _)) => {
            let unknown = tell::count(unknown, "dequeue");
            Judged::Undecided(format!(
                "{why}; or one of {unknown} of unknown outcome took what was before"
            ))
        }
    }
}

fn wrong<'a>(
    elements: &[Element<'a>],
    empty: &[&'a Operation],
) -> Option<(String, Vec<&'a Operation>)> {
    turned_round(elements).or_else(|| found_empty(elements, empty))
}

/// Two elements, one enqueued before the other and dequeued after it.
fn turned_round<'a>(elements: &[Element<'a>]) -> Option<(String, Vec<&'a Operation>)> {
    let mut earlier: Vec<&Element> = elements.iter().collect();
    earlier.sort_unstable_by_key(|element| element.there_by());
    let called = |element: &&Element| element.enqueue.map_or(NEVER, |o| o.invoked.0);
    let mut later: Vec<&Element> = elements.iter().filter(|e| e.dequeue.is_some()).collect();
    later.sort_unstable_by_key(called);
    let (mut next, mut longest): (usize, Option<&Element>) = (0, None);
    for second in later {
        // Those that were there before it can have come; of them, the one that stays longest.
        while let Some(first) = earlier.get(next).filter(|e| e.there_by() < called(&second)) {
            next += 1;
            if longest.is_none_or(|known| known.there_until() < first.there_until()) {
                longest = Some(first);
            }
        }
        let gone = second.dequeue.map_or(NEVER, |o| settled(o).0);
        if let Some(first) = longest.filter(|first| gone < first.there_until()) {
            let (one, other) = (first.value, second.value);
            let why = match first.dequeue {
                Some(_) => format!("{other} is dequeued before {one}, which came before it"),
                None => format!("{other} is dequeued, and {one} never, which came before it"),
            };
            let all = [first.enqueue, first.dequeue, second.enqueue, second.dequeue];
            return Some((why, all.into_iter().flatten().collect()));
        }
    }
    None
}

/// A queue that was found empty while, one after the other, some element was there all the time.
fn found_empty<'a>(
    elements: &[Element<'a>],
    empty: &[&'a Operation],
) -> Option<(String, Vec<&'a Operation>)> {
    let mut there: Vec<&Element> =
        elements.iter().filter(|e| e.there_by() < e.there_until()).collect();
    there.sort_unstable_by_key(|element| element.there_by());
    // Spans without a gap. Between two that only touch there is an instant at which nothing need be there.
    let mut spans: Vec<(u64, u64)> = vec![];
    for element in &there {
        let (from, until) = (element.there_by(), element.there_until());
        match spans.last_mut() {
            Some((_, end)) if from < *end => *end = until.max(*end),
            _ => spans.push((from, until)),
        }
    }
    empty.iter().find_map(|o| {
        let (call, end) = (o.invoked.0, settled(o).0);
        let span = spans.partition_point(|(from, _)| *from < call).checked_sub(1)?;
        let (from, until) = spans.get(span).filter(|(_, until)| end < *until)?;
        let of_span = |e: &&&Element| *from <= e.there_by() && e.there_by() < *until;
        let around = relay(there.iter().copied().filter(|e| of_span(&e)), call, end);
        let names: Vec<String> = around.iter().map(|e| e.value.to_string()).collect();
        let names = match names.as_slice() {
            [first, .., last] if names.len() > 4 => {
                format!("{first}, then {} others, then {last}", names.len() - 2)
            }
            _ => names.join(", then "),
        };
        let why = format!("it is found empty while {names} was in it");
        let all = around.iter().flat_map(|e| [e.enqueue, e.dequeue]).flatten();
        Some((why, all.chain([*o]).collect()))
    })
}

/// The fewest elements of which one was always there from one instant to another: each comes before the one before it
/// has gone. They are given in the order in which they came.
fn relay<'e, 'a>(
    elements: impl Iterator<Item = &'e Element<'a>>,
    from: u64,
    until: u64,
) -> Vec<&'e Element<'a>> {
    let (mut chosen, mut covered): (Vec<&Element>, _) = (vec![], from);
    let mut best: Option<&Element> = None;
    for element in elements {
        // The first one must be there when it begins, each other one before the one before it goes.
        let late = |e: &Element| match chosen.is_empty() {
            true => e.there_by() >= from,
            false => e.there_by() >= covered,
        };
        if late(element)
            && let Some(next) = best.take()
        {
            covered = next.there_until();
            chosen.push(next);
            if covered > until {
                return chosen;
            }
        }
        if best.is_none_or(|known| known.there_until() < element.there_until()) {
            best = Some(element);
        }
    }
    chosen.extend(best);
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::check::invented::cases;
    use crate::history::{Stage, Time};

    #[derive(Debug, Clone, Copy)]
    enum What {
        Enqueue,
        Take(i64),
        Empty,
    }

    /// What is done, from when to when, and whether the outcome is known.
    type Op = (What, u64, u64, bool);

    fn operations(ops: &[Op]) -> Vec<Operation> {
        let one = |(id, (what, call, length, known)): (usize, &Op)| {
            let (call_of, reply) = match what {
                What::Enqueue => (Call::Enqueue { key: 0, element: id as i64 }, Reply::Done),
                What::Take(value) => (Call::Dequeue { key: 0 }, Reply::Value(Some(*value))),
                What::Empty => (Call::Dequeue { key: 0 }, Reply::Value(None)),
            };
            Operation {
                id: id as u64,
                process: id as u32,
                node: None,
                intended: Time(*call),
                invoked: Time(*call),
                returned: known.then_some(Time(call + length)),
                stage: Stage::Load,
                call: call_of,
                outcome: match known {
                    true => Outcome::Ok(reply),
                    false => Outcome::Unknown("lost".into()),
                },
            }
        };
        ops.iter().enumerate().map(one).collect()
    }

    /// Tries every order. At equal instants a call comes before a return.
    fn oracle(ops: &[Operation], left: u32, queue: &VecDeque<i64>) -> bool {
        let known = |i: &usize| left & (1 << i) != 0 && ops[*i].outcome.is_ok();
        if !(0..ops.len()).any(|i| known(&i)) {
            return true;
        }
        let first = (0..ops.len()).filter(known).map(|i| settled(&ops[i])).min();
        let may = |i: &usize| left & (1 << i) != 0 && Some(ops[*i].invoked) <= first;
        (0..ops.len()).filter(may).any(|i| {
            let mut after = queue.clone();
            let fits = match (&ops[i].call, &ops[i].outcome) {
                (Call::Enqueue { element, .. }, _) => {
                    after.push_back(*element);
                    true
                }
                (_, Outcome::Ok(Reply::Value(value))) => after.pop_front() == *value,
                _ => {
                    after.pop_front();
                    true
                }
            };
            fits && oracle(ops, left & !(1 << i), &after)
        })
    }

    fn any_op() -> impl Strategy<Value = Op> {
        let what = prop_oneof![
            4 => Just(What::Enqueue),
            4 => (0..6_i64).prop_map(What::Take),
            1 => Just(What::Empty),
        ];
        (what, 0..14_u64, 0..6_u64, prop::bool::weighted(0.9))
    }

    proptest! {
        #![proptest_config(cases(20_000))]

        #[test]
        fn it_agrees_with_trying_every_order(ops in proptest::collection::vec(any_op(), 1..8)) {
            let operations = operations(&ops);
            let truth = oracle(&operations, (1 << ops.len()) - 1, &VecDeque::new());
            let unknown = |o: &Operation| matches!(o.call, Call::Dequeue { .. }) && !o.outcome.is_ok();
            match judge(&operations.iter().collect::<Vec<_>>()) {
                Judged::Linearizable => prop_assert!(truth, "{ops:?}"),
                Judged::Broken(why, culprits) => {
                    prop_assert!(!truth, "{why}: {ops:?}");
                    let shown: Vec<Operation> = culprits.into_iter().cloned().collect();
                    let alone = oracle(&shown, (1 << shown.len()) - 1, &VecDeque::new());
                    prop_assert!(!alone, "{why}, by {shown:?}: {ops:?}");
                }
                Judged::Undecided(why) => {
                    prop_assert!(operations.iter().any(unknown), "{why}: {ops:?}");
                }
            }
        }
    }

    fn told(ops: &[Op]) -> String {
        match judge(&operations(ops).iter().collect::<Vec<_>>()) {
            Judged::Linearizable => "fine".into(),
            Judged::Broken(why, _) => why,
            Judged::Undecided(why) => format!("?? {why}"),
        }
    }

    #[test]
    fn each_way_to_be_wrong_is_told_for_what_it_is() {
        let put = |at| (What::Enqueue, at, 1, true);
        let take = |value, at| (What::Take(value), at, 1, true);
        let two = [put(0), put(2)];
        let with = |more: &[Op]| told(&[&two[..], more].concat());
        assert_eq!(with(&[take(0, 4), take(1, 6)]), "fine");
        assert_eq!(with(&[take(1, 4), take(0, 6)]), "1 is dequeued before 0, which came before it");
        assert_eq!(with(&[take(1, 4)]), "1 is dequeued, and 0 never, which came before it");
        assert_eq!(with(&[take(0, 4), take(0, 6)]), "0 is dequeued twice");
        assert_eq!(with(&[take(9, 4)]), "9 is dequeued, which nobody enqueued");
        assert_eq!(
            told(&[(What::Enqueue, 5, 1, true), take(0, 1)]),
            "0 is dequeued before anybody enqueued it"
        );
        let empty = (What::Empty, 4, 1, true);
        assert_eq!(with(&[empty]), "it is found empty while 0 was in it");
        let long = (What::Empty, 2, 6, true);
        assert_eq!(with(&[take(0, 4), long]), "it is found empty while 0, then 1 was in it");
        let others = [(What::Enqueue, 4, 1, true), (What::Enqueue, 6, 1, true)];
        let taken = [take(0, 4), take(1, 6), take(2, 8)];
        let (all, long) = ([two, others].concat(), (What::Empty, 2, 10, true));
        assert_eq!(
            told(&[&all[..], &taken, &[long]].concat()),
            "it is found empty while 0, then 1, then 2, then 3 was in it"
        );
        // One goes at the very instant at which the other comes: between the two it is empty.
        let touching = [put(0), (What::Enqueue, 3, 1, true), take(0, 4), (What::Empty, 3, 2, true)];
        assert_eq!(told(&touching), "fine");
        // Somebody whose answer was lost may have taken the first one.
        let lost = (What::Empty, 3, 1, false);
        assert!(with(&[lost, take(1, 6)]).starts_with("?? 1 is dequeued, and 0 never"));
        assert_eq!(
            with(&[lost, take(1, 6), take(0, 8)]),
            "1 is dequeued before 0, which came before it"
        );
    }
}
