//! What every generator keeps, and what each model's one keeps.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::history::{Reply, Step};

fn calls(model: Model, keys: u32, seed: u64, n: usize) -> Vec<Call> {
    let mut generator = Generator::new(model, keys, seed, Mix::of(model));
    (0..n).map(|i| generator.next(i as Process % 5)).collect()
}

fn writes(call: &Call) -> Vec<(Key, i64)> {
    match call {
        Call::Write { key, value } | Call::Cas { key, to: value, .. } => vec![(*key, *value)],
        Call::Insert { key, element } | Call::Enqueue { key, element } => vec![(*key, *element)],
        Call::Txn { steps } => steps
            .iter()
            .filter_map(|s| match s {
                Step::Append { key, value } => Some((*key, *value)),
                Step::Read { .. } => None,
            })
            .collect(),
        _ => vec![],
    }
}

#[test]
fn the_same_seed_makes_the_same_calls_and_another_seed_makes_others() {
    for &model in Model::all() {
        assert_eq!(calls(model, 5, 7, 500), calls(model, 5, 7, 500), "{model}");
        assert_ne!(calls(model, 5, 7, 500), calls(model, 5, 8, 500), "{model}");
    }
}

#[test]
fn chance_is_stable_over_releases_of_firedrill_and_its_crates() {
    let first = calls(Model::Register, 3, 1, 6);
    let text: Vec<_> = first.iter().map(|c| serde_json::to_string(c).unwrap()).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn no_value_is_written_twice_to_a_key() {
    for &model in Model::all() {
        let mut seen = BTreeSet::new();
        for written in calls(model, 3, 1, 5_000).iter().flat_map(writes) {
            assert!(seen.insert(written), "{model}: {written:?} twice");
        }
    }
}

#[test]
fn elements_of_sets_and_queues_are_unique_over_the_drill() {
    for model in [Model::Set, Model::Queue] {
        let calls = calls(model, 4, 1, 5_000);
        let elements: Vec<_> = calls.iter().flat_map(writes).map(|(_, e)| e).collect();
        let unique: BTreeSet<_> = elements.iter().collect();
        assert!(elements.len() > 1_000, "{model}: {}", elements.len());
        assert_eq!(elements.len(), unique.len(), "{model}");
    }
}

#[test]
fn every_key_that_was_written_is_read_at_the_end() {
    for &model in Model::of_data() {
        let mut generator = Generator::new(model, 3, 1, Mix::of(model));
        let mut written = BTreeSet::new();
        for i in 0..5_000 {
            let call = generator.next(i % 5);
            written.extend(writes(&call).into_iter().map(|(key, _)| key));
            match call {
                Call::Add { key, .. } | Call::Append { key, .. } => drop(written.insert(key)),
                Call::Transfer { .. } => drop(written.insert(0)),
                _ => {}
            }
        }
        let mut read = BTreeSet::new();
        for call in generator.final_calls() {
            match call {
                Call::Read { key } | Call::Total { key } | Call::Elements { key } => {
                    read.insert(key);
                }
                Call::Dequeue { key } | Call::ReadLog { key, from: 0 } => drop(read.insert(key)),
                Call::Balances => drop(read.insert(0)),
                Call::Txn { steps } => read.extend(steps.iter().filter_map(|s| match s {
                    Step::Read { key } => Some(*key),
                    Step::Append { .. } => None,
                })),
                other => panic!("{model}: {other:?} is no final read"),
            }
        }
        assert!(!written.is_empty(), "{model}");
        assert!(written.is_subset(&read), "{model}: {:?}", written.difference(&read));
    }
}

#[test]
fn requests_ask_for_every_page_and_leave_nothing_to_be_read_back() {
    let asked = calls(Model::Requests, 3, 1, 100);
    for key in 0..3 {
        assert!(asked.contains(&Call::Read { key }), "{key}");
    }
    assert!(asked.iter().all(|call| matches!(call, Call::Read { key: 0..3 })), "{asked:?}");
    let generator = Generator::new(Model::Requests, 3, 1, Mix::of(Model::Requests));
    assert_eq!(generator.final_calls(), []);
}

#[test]
fn sets_and_lists_stay_short_because_full_ones_are_left() {
    for (model, full) in [(Model::Set, set::FULL), (Model::ListAppend, list_append::FULL)] {
        let mut sizes = BTreeMap::<Key, u32>::new();
        for (key, _) in calls(model, 2, 1, 20_000).iter().flat_map(writes) {
            *sizes.entry(key).or_default() += 1;
        }
        assert!(sizes.len() > 10, "{model}: {} keys", sizes.len());
        assert_eq!(sizes.values().copied().max(), Some(full), "{model}");
    }
}

/// A register that answers at once: how often does a compare-and-set find what it expects?
#[test]
fn a_compare_and_set_has_a_fair_chance_and_sometimes_fails() {
    let mut generator = Generator::new(Model::Register, 3, 1, Mix::of(Model::Register));
    let mut held = BTreeMap::<Key, i64>::new();
    let (mut swapped, mut refused) = (0, 0);
    for _ in 0..5_000 {
        let call = generator.next(0);
        let reply = match call {
            Call::Read { key } => Reply::Value(held.get(&key).copied()),
            Call::Write { key, value } => {
                held.insert(key, value);
                Reply::Done
            }
            Call::Cas { key, from, to } if held.get(&key) == Some(&from) => {
                held.insert(key, to);
                swapped += 1;
                Reply::Swapped(true)
            }
            Call::Cas { .. } => {
                refused += 1;
                Reply::Swapped(false)
            }
            other => panic!("{other:?} asks nothing of a register"),
        };
        generator.told(&call, &Outcome::Ok(reply));
    }
    assert!(swapped > 2 * refused, "{swapped} swapped, {refused} refused");
    assert!(refused > 20, "{swapped} swapped, {refused} refused");
}

#[test]
fn each_process_numbers_its_messages_to_each_log_without_a_gap() {
    let mut next = BTreeMap::<(Process, Key), u32>::new();
    for call in calls(Model::Log, 3, 1, 5_000) {
        if let Call::Append { key, message } = call {
            let expected = next.entry((message.sender, key)).or_default();
            assert_eq!(message.sequence, *expected);
            *expected += 1;
        }
    }
    assert_eq!(next.len(), 15, "5 processes, 3 logs");
}

/// A log that answers at once, over as many calls as ten minutes at 1,000 a second and 10 keys give one log.
#[test]
fn readers_of_a_log_follow_its_tail_and_sometimes_step_back() {
    let mut generator = Generator::new(Model::Log, 1, 1, Mix::of(Model::Log));
    let mut log = vec![];
    let (mut longest, mut again, mut from_zero) = (0, 0, 0);
    for i in 0..60_000 {
        let call = generator.next(i % 5);
        let reply = match &call {
            Call::Append { message, .. } => {
                log.push(*message);
                Reply::Offset(log.len() as u64 - 1)
            }
            Call::ReadLog { from, .. } => {
                let messages = log[*from as usize..].to_vec();
                longest = longest.max(messages.len());
                again += usize::from(messages.len() > 100);
                from_zero += usize::from(*from == 0 && !messages.is_empty());
                Reply::Messages(messages)
            }
            other => panic!("{other:?} asks nothing of a log"),
        };
        generator.told(&call, &Outcome::Ok(reply));
    }
    assert!(longest < 2 * log::BACK as usize, "an answer of {longest} messages");
    assert!(again > 100, "only {again} reads saw much of the past again");
    assert!(from_zero > 0, "no read from the beginning");
}

#[test]
fn a_queue_is_filled_and_emptied_alike() {
    let calls = calls(Model::Queue, 1, 1, 10_000);
    let enqueues = calls.iter().filter(|c| matches!(c, Call::Enqueue { .. })).count();
    assert!((4_700..5_300).contains(&enqueues), "{enqueues} of 10000");
}

#[test]
fn a_transfer_moves_money_between_two_different_accounts_that_exist() {
    for keys in [0, 1, 2, 5] {
        for call in calls(Model::Bank, keys, 1, 1_000) {
            if let Call::Transfer { from, to, amount } = call {
                let accounts = keys.max(2);
                assert!(from != to && from < accounts && to < accounts && amount > 0, "{call:?}");
            }
        }
    }
}

#[test]
fn the_mix_decides_how_many_reads_there_are() {
    for (share, expected) in [(0.0, 0..1), (1.0, 1000..1001), (0.25, 200..300)] {
        let mix = Mix { reads: Ratio::new(share), cas: Ratio::new(0.0) };
        let mut generator = Generator::new(Model::Counter, 5, 1, mix);
        let reads = (0..1_000).filter(|_| generator.next(0).is_read()).count();
        assert!(expected.contains(&reads), "{reads} of 1000 at {share}");
    }
}
