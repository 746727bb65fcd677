//! Single cases: what is said, what is forgotten, what is given up.

use std::collections::VecDeque;

use super::invented::{Op, failed, tell, unknown};
use crate::check::streaming::{Limits, Streaming, Violation};
use crate::history::{Call, Message, Outcome, Reply, Time};

const KEY: u32 = 3;

fn op(invoked: u64, returned: u64, call: Call, outcome: Outcome) -> Op {
    Op { invoked, returned: Some(returned), call, outcome }
}

fn write(invoked: u64, returned: u64, value: i64) -> Op {
    op(invoked, returned, Call::Write { key: KEY, value }, Outcome::Ok(Reply::Done))
}

fn read(invoked: u64, returned: u64, value: Option<i64>) -> Op {
    op(invoked, returned, Call::Read { key: KEY }, Outcome::Ok(Reply::Value(value)))
}

fn cas(invoked: u64, returned: u64, from: i64, to: i64, swapped: bool) -> Op {
    let outcome = Outcome::Ok(Reply::Swapped(swapped));
    op(invoked, returned, Call::Cas { key: KEY, from, to }, outcome)
}

fn told(ops: &[Op]) -> Option<u64> {
    tell(&mut Streaming::default(), ops).map(|violation| violation.operation)
}

#[test]
fn a_stale_read_is_told_with_its_time_and_key() {
    let ops = [write(0, 1, 1), write(2, 3, 2), read(4, 9, Some(1)), read(10, 11, Some(1))];
    let mut streaming = Streaming::default();
    let words = "register k3 is not linearizable: by now no order suits what is known".to_string();
    let expected = Violation { at: Time(9), operation: 2, key: KEY, words };
    assert_eq!(tell(&mut streaming, &ops), Some(expected));
    assert_eq!(streaming.kept, 0, "nothing is kept of what is judged no further");
    assert_eq!(tell(&mut streaming, &ops), None, "once is enough");
}

#[test]
fn a_write_that_fails_after_it_was_seen_is_told_at_its_return() {
    let mut ops = vec![write(0, 9, 1), read(2, 3, Some(1)), write(4, 5, 2)];
    assert_eq!(told(&ops), None);
    ops[0].outcome = failed();
    assert_eq!(told(&ops), Some(0));
    ops[0].outcome = unknown();
    assert_eq!(told(&ops), None);
}

#[test]
fn an_unknown_write_may_be_seen_long_after_and_only_once() {
    let mut ops = vec![unknown_write(0, 1, 100), write(2, 3, 1)];
    for i in 0..200 {
        let at = 10 * i + 10;
        ops.push(write(at, at + 1, i as i64 + 200));
        ops.push(Op { outcome: unknown(), ..write(at + 2, at + 3, i as i64 + 1000) });
    }
    ops.extend([read(5000, 5001, Some(100)), read(5002, 5003, Some(1003)), write(5004, 5005, 2)]);
    assert_eq!(told(&ops), None);
    ops.push(read(5006, 5007, Some(100)));
    assert_eq!(told(&ops), Some(ops.len() as u64 - 1));
}

/// Old unknown writes that nobody ever saw explain misses, one each.
#[test]
fn a_miss_uses_up_an_old_unknown_write() {
    for many in [1, 3, 8, 30] {
        let mut ops: Vec<Op> = vec![];
        for i in 0..many {
            ops.push(Op { outcome: unknown(), ..write(i, i, i as i64 + 1) });
        }
        for i in 0..many {
            let (at, value) = (1000 + 10 * i, 500 + i as i64);
            ops.push(write(at, at + 1, value));
            ops.push(cas(at + 2, at + 3, value, -1, false));
        }
        assert_eq!(told(&ops), None, "{many}");
        // Another miss has nothing left that explains it; nor has a read of what was used up.
        let more = [write(9000, 9001, 900), cas(9002, 9003, 900, -1, false)];
        let all: Vec<Op> = ops.iter().cloned().chain(more).collect();
        assert_eq!(told(&all), Some(all.len() as u64 - 1), "{many}");
        ops.extend([write(9000, 9001, 900), read(9002, 9003, Some(1))]);
        assert_eq!(told(&ops), Some(ops.len() as u64 - 1), "{many}");
    }
}

/// What a miss used up is told as late as can be: one of two writes, and then the other one.
#[test]
fn one_of_two_unknown_writes_explains_a_miss_and_the_other_one_may_be_read() {
    let mut ops = vec![
        read(0, 100, Some(9)),
        write(1, 2, 8),
        unknown_write(3, 4, 1),
        unknown_write(5, 6, 2),
        cas(7, 8, 8, -1, false),
        write(9, 10, 9),
        unknown_write(101, 102, 77),
        read(103, 104, None),
    ];
    for (one, other) in [(1, 2), (2, 1)] {
        ops.truncate(7);
        ops.push(read(103, 104, Some(one)));
        assert_eq!(told(&ops), None, "{one}");
        ops.push(read(105, 106, Some(other)));
        assert_eq!(told(&ops), Some(8), "{one}");
    }
}

fn unknown_write(invoked: u64, returned: u64, value: i64) -> Op {
    Op { outcome: unknown(), ..write(invoked, returned, value) }
}

/// Two misses need two of four writes; two are found, and so the other two are used up.
#[test]
fn what_misses_need_is_not_there_to_be_read() {
    let needs = |at, value| [write(at, at + 1, value), cas(at + 2, at + 3, value, -1, false)];
    let mut ops = [1, 3, 5].map(|i| unknown_write(i as u64, i as u64, i)).to_vec();
    ops.extend(needs(10, 500));
    ops.push(unknown_write(20, 20, 6));
    ops.extend(needs(30, 501));
    for (at, value) in [(40, 5), (50, 6)] {
        ops.extend([write(at, at + 1, 510 + value), unknown_write(at + 2, at + 2, 600 + value)]);
        ops.push(read(at + 3, at + 4, Some(value)));
    }
    ops.extend([write(60, 61, 520), unknown_write(62, 62, 521)]);
    assert_eq!(told(&ops), None);
    for value in [1, 3] {
        let last = read(70, 71, Some(value));
        let all: Vec<Op> = ops.iter().cloned().chain([last]).collect();
        assert_eq!(told(&all), Some(ops.len() as u64), "{value}");
    }
}

/// That somebody asks for a value does not mean that it was not used up.
#[test]
fn what_a_miss_used_up_may_be_asked_for() {
    let mut ops = vec![unknown_write(0, 0, 1), write(1, 2, 500), cas(3, 4, 500, -1, false)];
    ops.extend([write(5, 6, 501), unknown_write(7, 7, 2), cas(8, 9, 1, -1, false)]);
    assert_eq!(told(&ops), None);
    ops.push(read(10, 11, Some(1)));
    assert_eq!(told(&ops), Some(6));
}

/// 1 was missed, so it was 3 that stood before: it is used up.
#[test]
fn what_was_missed_did_not_stand() {
    let mut ops = vec![unknown_write(0, 0, 1), write(1, 1, 2), unknown_write(1, 1, 3)];
    ops.extend([cas(2, 2, 2, 4, false), cas(2, 3, 2, 5, false), cas(4, 4, 1, 6, false)]);
    ops.extend([write(5, 5, 7), read(6, 6, Some(3))]);
    let told = |ops: &[Op]| {
        let mut streaming = Streaming::default();
        streaming.limits.tidy = 1;
        tell(&mut streaming, ops).map(|violation| violation.operation)
    };
    assert_eq!(told(&ops), Some(7));
    ops[7] = read(6, 6, Some(1));
    assert_eq!(told(&ops), None);
}

/// A write that may explain a miss is seen, overwritten, and must not be seen again.
#[test]
fn what_stands_is_used_up() {
    let mut ops = vec![write(0, 1, 500), unknown_write(2, 3, 1)];
    ops.push(Op { outcome: unknown(), ..read(10, 100, None) });
    ops.extend([unknown_write(11, 12, 2), cas(13, 14, 500, -1, false)]);
    ops.extend([read(101, 102, Some(2)), write(103, 104, 501)]);
    assert_eq!(told(&ops), None);
    ops.push(read(105, 106, Some(2)));
    assert_eq!(told(&ops), Some(7));
}

/// An unknown compare-and-set of a value that is being set.
#[test]
fn a_swap_of_what_is_in_flight_is_not_forgotten() {
    let ops = [
        Op { outcome: unknown(), ..read(0, 50, None) },
        write(1, 2, 9),
        Op { outcome: unknown(), ..cas(3, 4, 5, 6, true) },
        write(40, 100, 5),
        read(101, 102, Some(6)),
    ];
    let mut streaming = Streaming::default();
    assert_eq!(tell(&mut streaming, &ops), None);
    assert_eq!(streaming.undecided(), &[]);
}

/// A write of what is there already may stand before a compare-and-set, so that it does not end it.
#[test]
fn a_value_may_be_set_once_more_before_it_is_replaced() {
    let ops = [cas(0, 4, 8, 1, true), write(1, 3, 8), write(4, 4, 8), read(8, 8, Some(1))];
    assert_eq!(told(&ops), None);
    let ops = [
        write(0, 1, 8),
        Op { outcome: unknown(), ..cas(2, 3, 8, 1, true) },
        write(10, 20, 8),
        cas(10, 15, 8, 5, false),
        read(21, 22, Some(1)),
    ];
    assert_eq!(told(&ops), None);
}

/// A write that came to be unknown after a miss explains it only if it was called before.
#[test]
fn an_unknown_write_explains_no_miss_before_its_call() {
    let early = |invoked| {
        let mut ops = vec![write(0, 1, 1)];
        ops.push(Op { outcome: unknown(), ..write(invoked, 300, 2) });
        ops.push(cas(100, 200, 1, -1, false));
        told(&ops)
    };
    assert_eq!(early(50), None);
    assert_eq!(early(250), Some(2));
}

#[test]
fn what_a_register_holds_at_first_is_believed() {
    let with = |initial, ops: &[Op]| {
        let mut streaming = Streaming::within(Limits { initial, ..Limits::default() });
        tell(&mut streaming, ops).map(|violation| violation.operation)
    };
    let ops = [read(0, 1, Some(7)), read(2, 3, None)];
    assert_eq!(with(Some(7), &ops), None, "whoever reads nothing was not answered");
    assert_eq!(with(None, &ops), Some(0));
    assert_eq!(with(Some(8), &ops), Some(0));
}

#[test]
fn what_does_not_fit_is_undecided_and_the_others_are_not() {
    let limits = Limits { states: 20, ..Limits::default() };
    let mut streaming = Streaming::within(limits);
    let many: Vec<Op> = (0..30).map(|i| write(i, 100 + i, i as i64)).collect();
    let mut ops = many.clone();
    ops.push(op(200, 201, Call::Read { key: 9 }, Outcome::Ok(Reply::Value(Some(1)))));
    let violation = tell(&mut streaming, &ops).map(|violation| violation.key);
    assert_eq!(violation, Some(9));
    let undecided = streaming.undecided();
    assert_eq!((undecided.len(), undecided[0].key), (1, KEY));
    assert_eq!(undecided[0].words, "too much is possible at a time");

    let mut streaming = Streaming::within(Limits { all_states: 20, ..Limits::default() });
    assert_eq!(tell(&mut streaming, &many), None);
    assert_eq!(streaming.undecided()[0].words, "too much is possible in all registers");
    assert_eq!(streaming.kept, 0);

    let mut streaming = Streaming::within(Limits { steps: 3, ..Limits::default() });
    let mut reads = many;
    reads.extend((0..9).map(|i| read(40, 90 + i, Some(i as i64 * 2))));
    assert_eq!(tell(&mut streaming, &reads), None);
    assert_eq!(streaming.undecided()[0].words, "too many orders are possible");
}

#[test]
fn more_in_flight_than_can_be_told_apart_are_undecided() {
    for (n, undecided) in [(128, 0), (129, 1)] {
        let mut streaming = Streaming::default();
        let ops: Vec<Op> = (0..n).map(|i| write(i, 1000 + i, i as i64)).collect();
        assert_eq!(tell(&mut streaming, &ops), None);
        assert_eq!(streaming.undecided().len(), undecided);
    }
}

/// A correct register under load, one client in twenty without an answer: what is kept does not grow.
#[test]
fn what_has_returned_is_forgotten() {
    let mut streaming = Streaming::default();
    let (mut most, mut value, mut waiting) = (0, 0, VecDeque::new());
    for i in 0..3000u64 {
        let fresh = i as i64 + 1;
        let ok = |reply| Outcome::Ok(reply);
        let (call, outcome) = match i % 20 {
            0 => (Call::Write { key: KEY, value: fresh }, unknown()),
            3 => (Call::Cas { key: KEY, from: value, to: fresh }, unknown()),
            k if k % 3 == 0 => (Call::Write { key: KEY, value: fresh }, ok(Reply::Done)),
            k if k % 7 == 0 => {
                (Call::Cas { key: KEY, from: value, to: fresh }, ok(Reply::Swapped(true)))
            }
            _ => (Call::Read { key: KEY }, ok(Reply::Value((value > 0).then_some(value)))),
        };
        if outcome.is_ok() && !call.is_read() {
            value = fresh;
        }
        streaming.invoked(i, 0, Time(10 * i), &call);
        // Three are in flight at a time; each took effect at its call.
        waiting.push_back((i, outcome));
        if waiting.len() == 3
            && let Some((i, outcome)) = waiting.pop_front()
        {
            assert_eq!(streaming.returned(i, Time(10 * i + 25), &outcome), None, "{i}");
        }
        most = most.max(streaming.kept);
    }
    assert!(most <= 12, "{most}");
    assert_eq!(streaming.undecided(), &[]);
    assert_eq!(streaming.in_flight.len(), 2);
}

/// As long as one is in flight, what returned since is kept, but not what was possible in between.
#[test]
fn a_long_read_costs_little_and_not_without_end() {
    let mut ops = vec![Op { returned: None, ..read(0, 0, None) }];
    ops.extend((1..=500).map(|i| write(10 * i, 10 * i + 1, i as i64)));
    let mut streaming = Streaming::default();
    assert_eq!(tell(&mut streaming, &ops), None);
    assert!((500..510).contains(&streaming.kept), "{}", streaming.kept);
    let mut streaming = Streaming::within(Limits { states: 400, ..Limits::default() });
    assert_eq!(tell(&mut streaming, &ops), None);
    assert_eq!(streaming.undecided().len(), 1);
    // What it found decides about what was found since: 3 stood at 35, but not after 41.
    let at_last = |value| {
        let found = Op { returned: Some(6000), ..read(35, 0, Some(value)) };
        told(&ops[1..].iter().cloned().chain([found]).collect::<Vec<_>>())
    };
    assert_eq!((at_last(3), at_last(400)), (None, None));
    assert_eq!(at_last(2), Some(500));
}

fn message(sender: u32, sequence: u32) -> Message {
    Message { sender, sequence }
}

fn append(invoked: u64, returned: u64, message: Message, at: u64) -> Op {
    op(invoked, returned, Call::Append { key: KEY, message }, Outcome::Ok(Reply::Offset(at)))
}

fn read_log(invoked: u64, returned: u64, from: u64, messages: &[Message]) -> Op {
    let reply = Reply::Messages(messages.to_vec());
    op(invoked, returned, Call::ReadLog { key: KEY, from }, Outcome::Ok(reply))
}

#[test]
fn what_is_wrong_with_a_log_is_told_in_words() {
    let words = |last: Op| {
        let first = [append(0, 1, message(1, 0), 0), append(2, 3, message(1, 1), 5)];
        let ops: Vec<Op> = first.into_iter().chain([last]).collect();
        tell(&mut Streaming::default(), &ops).map(|violation| violation.words)
    };
    let is = |last: Op, expected: &str| {
        assert_eq!(words(last), Some(format!("log k3: {expected}")));
    };
    let (first, second) = (message(1, 0), message(1, 1));
    is(read_log(4, 5, 5, &[first]), "offset 5 has message 1.1 and message 1.0");
    is(read_log(4, 5, 3, &[first]), "message 1.0 is duplicated, at offsets 0 and 3");
    is(read_log(4, 5, 1, &[message(2, 0)]), "message 2.0 was read, and never sent");
    let missing = "message 1.1 is missing: acknowledged at 5, and the read ends at 1";
    is(read_log(4, 5, 0, &[first]), missing);
    is(append(4, 5, message(1, 2), 4), "messages of sender 1 are reordered at message 1.2");
    let before = "message 2.0 stands before message 1.1, which was acknowledged before it was sent";
    is(append(4, 5, message(2, 0), 4), before);
    for fine in [
        read_log(4, 5, 5, &[second]),
        read_log(3, 5, 0, &[first]),
        read_log(4, 5, 6, &[]),
        append(4, 5, message(2, 0), 6),
        append(3, 5, message(2, 0), 4),
    ] {
        assert_eq!(words(fine), None);
    }
}

#[test]
fn an_append_that_fails_after_it_was_read_is_told_at_its_return() {
    let mut ops = vec![append(0, 9, message(1, 0), 0), read_log(2, 3, 0, &[message(1, 0)])];
    assert_eq!(told(&ops), None);
    ops[0].outcome = failed();
    assert_eq!(told(&ops), Some(0));
    ops[1].outcome = Outcome::Ok(Reply::Messages(vec![]));
    assert_eq!(told(&ops), None);
}
