//! Systems that keep a guarantee by construction are never accused.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::random::{Plan, judged};
use super::{cases, history};
use crate::check::sessions::{Guarantee, Outcome};
use crate::history::{Call, Operation, Outcome as End, Reply};

/// A write as replicas pass it on: its stamp, key and value, and how much of each replica it has seen.
type Write = (u32, u32, i64, Vec<usize>);

/// Replicas of a store by last writer, each the home of a session, that apply writes in an order that keeps causes.
#[derive(Default)]
struct Replica {
    clock: u32,
    seen: Vec<usize>,
    values: BTreeMap<u32, (u32, u32, i64)>,
}

impl Replica {
    fn apply(&mut self, from: u32, write: &Write) {
        let (stamp, key, value, _) = write;
        self.clock = self.clock.max(*stamp);
        self.seen[from as usize] += 1;
        let own = self.values.entry(*key).or_insert((0, 0, 0));
        *own = (*own).max((*stamp, from, *value));
    }
}

/// Each plan writes, reads, or takes one more write over from another replica.
pub fn causal(plans: &[Plan]) -> Vec<Operation> {
    let replica = || Replica { seen: vec![0; 3], ..Replica::default() };
    let mut replicas: Vec<Replica> = (0..3).map(|_| replica()).collect();
    let mut logs: Vec<Vec<Write>> = vec![vec![]; 3];
    let mut all = vec![];
    for (i, (process, what, key, which)) in plans.iter().enumerate() {
        let own = &mut replicas[*process as usize];
        match what % 3 {
            0 => {
                let value = i as i64;
                let write = (own.clock + 1, *key, value, own.seen.clone());
                own.apply(*process, &write);
                logs[*process as usize].push(write);
                all.push((*process, Call::Write { key: *key, value }, End::Ok(Reply::Done)));
            }
            1 => {
                let value = own.values.get(key).map(|(.., value)| *value);
                all.push((*process, Call::Read { key: *key }, End::Ok(Reply::Value(value))));
            }
            _ => {
                let from = *which % 3;
                let Some(write) = logs[from].get(own.seen[from]) else { continue };
                if write.3.iter().zip(&own.seen).all(|(needs, has)| needs <= has) {
                    own.apply(from as u32, write);
                }
            }
        }
    }
    history(all)
}

/// One register a key.
fn linearizable(plans: &[Plan]) -> Vec<Operation> {
    let mut values: BTreeMap<u32, i64> = BTreeMap::new();
    let mut all = vec![];
    for (i, (process, what, key, _)) in plans.iter().enumerate() {
        if what % 2 == 0 {
            values.insert(*key, i as i64);
            all.push((*process, Call::Write { key: *key, value: i as i64 }, End::Ok(Reply::Done)));
        } else {
            let value = values.get(key).copied();
            all.push((*process, Call::Read { key: *key }, End::Ok(Reply::Value(value))));
        }
    }
    history(all)
}

fn long() -> impl Strategy<Value = Vec<Plan>> {
    proptest::collection::vec((0..3_u32, 0..20_u8, 0..3_u32, 0..10_usize), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(200), failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn a_causal_store_keeps_all(plans in long()) {
        for guarantee in Guarantee::ALL {
            prop_assert_eq!(judged(&causal(&plans), guarantee), Outcome::Holds);
        }
    }

    #[test]
    fn a_linearizable_store_keeps_all(plans in long()) {
        for guarantee in Guarantee::ALL {
            prop_assert_eq!(judged(&linearizable(&plans), guarantee), Outcome::Holds);
        }
    }

    /// A long history that keeps all, and a short one on other keys and by other processes behind it.
    #[test]
    fn a_violation_is_found_among_much_else(plans in long(), small in super::random::plans()) {
        let small = super::random::operations(&small);
        let mut all = causal(&plans);
        for (i, mut o) in small.iter().cloned().enumerate() {
            let at = crate::history::Time(1_000_000 + i as u64 * 10);
            (o.id, o.process, o.invoked) = (o.id + 1000, o.process + 10, at);
            o.returned = o.returned.map(|_| at);
            match &mut o.call {
                Call::Read { key } | Call::Write { key, .. } | Call::Cas { key, .. } => *key += 10,
                _ => {}
            }
            all.push(o);
        }
        for guarantee in Guarantee::ALL {
            let is = |outcome: Outcome| outcome == Outcome::Holds;
            prop_assert_eq!(is(judged(&small, guarantee)), is(judged(&all, guarantee)));
        }
    }
}
