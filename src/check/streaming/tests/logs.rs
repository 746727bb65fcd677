//! Logs against the definitions, from the beginning at each event.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::cases;
use super::invented::{Op, events, failed, tell, unknown};
use crate::check::streaming::Streaming;
use crate::history::{Call, Message, Outcome, Reply};

/// What an append is known to have come to.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    InFlight,
    Failed,
    At(u64),
}

/// The first events of a history.
struct Prefix<'a> {
    ops: &'a [Op],
    events: &'a [(u64, bool, usize)],
}

impl Prefix<'_> {
    fn returned(&self, id: usize) -> Option<usize> {
        self.events.iter().position(|(_, returns, i)| *returns && *i == id)
    }

    fn called(&self, id: usize) -> Option<usize> {
        self.events.iter().position(|(_, returns, i)| !*returns && *i == id)
    }

    /// All appends: the message, when it was called, and what came of it when.
    fn appends(&self) -> Vec<(Message, usize, Known, usize)> {
        let appends = self.ops.iter().enumerate().filter_map(|(id, op)| {
            let Call::Append { message, .. } = op.call else { return None };
            let called = self.called(id)?;
            let known = match (self.returned(id), &op.outcome) {
                (Some(_), Outcome::Fail(_)) => Known::Failed,
                (Some(_), Outcome::Ok(Reply::Offset(at))) => Known::At(*at),
                _ => Known::InFlight,
            };
            Some((message, called, known, self.returned(id).unwrap_or(usize::MAX)))
        });
        appends.collect()
    }

    /// All reads: when called, from where on, and what they returned.
    fn reads(&self) -> Vec<(usize, u64, &[Message])> {
        let reads = self.ops.iter().enumerate().filter_map(|(id, op)| {
            let Call::ReadLog { from, .. } = op.call else { return None };
            let Outcome::Ok(Reply::Messages(messages)) = &op.outcome else { return None };
            self.returned(id)?;
            Some((self.called(id)?, from, &messages[..]))
        });
        reads.collect()
    }

    /// All that is said of what stands where.
    fn claims(&self) -> BTreeSet<(u64, Message)> {
        let acknowledged = self.appends().into_iter().filter_map(|(message, _, known, _)| {
            let Known::At(at) = known else { return None };
            Some((at, message))
        });
        let mut claims: BTreeSet<_> = acknowledged.collect();
        for (_, from, messages) in self.reads() {
            claims.extend((from..).zip(messages.iter().copied()));
        }
        claims
    }

    /// What is wrong, by the first word that tells it from the others.
    fn wrong(&self) -> BTreeSet<&'static str> {
        let (appends, claims) = (self.appends(), self.claims());
        let mut wrong = BTreeSet::new();
        for (at, message) in &claims {
            let sent = appends.iter().find(|(m, ..)| m == message);
            if sent.is_none_or(|(_, _, known, _)| *known == Known::Failed) {
                wrong.insert("phantom");
            }
            for (other_at, other) in &claims {
                if at == other_at && message != other {
                    wrong.insert("disagreement");
                }
                if at != other_at && message == other {
                    wrong.insert("duplicated");
                }
                let same = message.sender == other.sender;
                if at < other_at && same && message.sequence > other.sequence {
                    wrong.insert("reordered");
                }
                let acknowledged = appends.iter().find_map(|(m, _, known, returned)| {
                    (m == other && matches!(known, Known::At(_))).then_some(*returned)
                });
                let called =
                    appends.iter().find_map(|(m, called, ..)| (m == message).then_some(*called));
                if let (true, Some(before), Some(called)) = (at < other_at, acknowledged, called)
                    && before < called
                {
                    wrong.insert("before");
                }
            }
        }
        for (called, from, messages) in self.reads() {
            let missing = |(message, _, known, returned): &(Message, usize, Known, usize)| {
                let covered = matches!(known, Known::At(at) if *at >= from);
                covered && *returned < called && !messages.contains(message)
            };
            if appends.iter().any(missing) {
                wrong.insert("missing");
            }
        }
        wrong
    }
}

/// The first operation by whose return something is wrong, and what.
fn oracle(ops: &[Op]) -> Option<(u64, BTreeSet<&'static str>)> {
    let events = events(ops);
    (1..=events.len()).filter(|n| events[n - 1].1).find_map(|n| {
        let wrong = Prefix { ops, events: &events[..n] }.wrong();
        (!wrong.is_empty()).then_some((events[n - 1].2 as u64, wrong))
    })
}

/// What the words say.
fn kind(words: &str) -> &'static str {
    let kinds = [
        ("never sent", "phantom"),
        ("append failed", "phantom"),
        ("duplicated", "duplicated"),
        ("reordered", "reordered"),
        ("stands before", "before"),
        ("missing", "missing"),
        (" has ", "disagreement"),
    ];
    kinds.into_iter().find(|(part, _)| words.contains(part)).map_or("?", |(_, kind)| kind)
}

/// How one operation comes about.
#[derive(Debug, Clone)]
struct Plan {
    process: usize,
    after: u64,
    took: u64,
    effect: u64,
    append: bool,
    from: u64,
    fate: u8,
    lie: u8,
}

fn plan() -> impl Strategy<Value = Plan> {
    let times = (0..3usize, 0..4u64, 0..9u64, 0..=8u64);
    (times, prop::bool::weighted(0.6), 0..5u64, 0..10u8, 0..40u8).prop_map(
        |((process, after, took, effect), append, from, fate, lie)| Plan {
            process,
            after,
            took,
            effect,
            append,
            from,
            fate,
            lie,
        },
    )
}

/// A run of a correct log by these plans, with some answers made up.
fn run(plans: &[Plan]) -> Vec<Op> {
    let (mut free, mut sent) = ([0u64; 3], [0u32; 3]);
    let mut points = vec![];
    for (i, plan) in plans.iter().enumerate() {
        let invoked = free[plan.process] + plan.after;
        free[plan.process] = invoked + plan.took + 1;
        let message = Message { sender: plan.process as u32, sequence: sent[plan.process] };
        sent[plan.process] += u32::from(plan.append);
        let effect = invoked * 8 + plan.took * plan.effect;
        points.push((effect, i, invoked, invoked + plan.took, message));
    }
    points.sort_unstable();
    let (mut log, mut ops) = (vec![], vec![]);
    for (_, i, invoked, returned, message) in points {
        let Plan { append, from, fate, lie, .. } = plans[i];
        let key = 0;
        let call = match append {
            true => Call::Append { key, message },
            false => Call::ReadLog { key, from: from.min(log.len() as u64) },
        };
        let outcome = match fate {
            0 | 1 => unknown(),
            2 => failed(),
            _ => Outcome::Ok(answer(&call, from, &mut log, lie)),
        };
        if let (true, true, Call::Append { message, .. }) = (fate < 2, lie % 2 == 0, &call) {
            log.push(*message);
        }
        let op = Op { invoked, returned: (fate > 0).then_some(returned), call, outcome };
        ops.push((invoked, i, op));
    }
    ops.sort_by_key(|(invoked, i, _)| (*invoked, *i));
    ops.into_iter().map(|(.., op)| op).collect()
}

/// What the log answers; few of the lies are told.
fn answer(call: &Call, any: u64, log: &mut Vec<Message>, lie: u8) -> Reply {
    let end = log.len();
    match *call {
        Call::Append { message, .. } => {
            match lie {
                0 => {}
                1 => log.insert(0, message),
                2 => log.extend([message, message]),
                _ => log.push(message),
            }
            Reply::Offset(match lie {
                1 => 0,
                3 => end as u64 + 1,
                4 => end.saturating_sub(1) as u64,
                5..=9 => any,
                _ => end as u64,
            })
        }
        Call::ReadLog { from, .. } => {
            let mut messages = log[from as usize..].to_vec();
            match lie {
                0 | 1 => messages.truncate(messages.len().saturating_sub(1 + usize::from(lie))),
                2 => messages.reverse(),
                3 => messages.push(Message { sender: 7, sequence: 0 }),
                4 => messages.push(Message { sender: 0, sequence: 1 }),
                5 if end > from as usize => {
                    messages.remove(0);
                }
                6 => messages.extend(messages.clone().first()),
                _ => {}
            }
            Reply::Messages(messages)
        }
        _ => Reply::Done,
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn what_is_wrong_with_a_log_is_told_at_once(plans in prop::collection::vec(plan(), 1..=9)) {
        let ops = run(&plans);
        let violation = tell(&mut Streaming::default(), &ops);
        match oracle(&ops) {
            None => prop_assert_eq!(violation, None),
            Some((operation, wrong)) => {
                let violation = violation.ok_or_else(|| TestCaseError::fail(format!("{wrong:?}")))?;
                prop_assert_eq!(violation.operation, operation);
                prop_assert!(wrong.contains(kind(&violation.words)), "{wrong:?} {violation:?}");
            }
        }
    }
}
