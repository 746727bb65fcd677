//! Correct runs of sets, queues, logs and counters pass; one answer changed makes them fail.

use proptest::prelude::*;

use super::invented::{add, cases, done, ms, put, record, unknown, value};
use super::spec::LostWrites;
use super::{Finding, Spec, Verdict};
use crate::history::{Call, Message, Outcome, Record, Reply, Stage};

/// What one step does (a write, a write whose outcome stays unknown, a read), and how long around it.
type Step = (u8, f64, f64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..8, 0.1f64..30.0, 0.1f64..30.0);
    proptest::collection::vec(step, 4..60).prop_map(|mut steps| {
        steps.insert(0, (0, 1.0, 1.0)); // at least one acknowledged write
        steps
    })
}

/// Runs the steps on a correct object, each at one instant, and reads it at the end.
fn run(model: &str, steps: &[Step]) -> Record {
    let mut record = record(model);
    let mut state: Vec<i64> = vec![];
    for (i, (kind, before, after)) in steps.iter().enumerate() {
        let at = 100.0 + i as f64 * 5.0;
        let (from, to) = (ms(at - before), ms(at + after));
        let (writes, known) = (*kind < 5, *kind != 4);
        let offset = state.len() as u64;
        let taken = (!state.is_empty()).then(|| state[0]);
        if writes && (known || i % 2 == 0) {
            state.push(i as i64);
        } else if !writes && model == "queue" && taken.is_some() {
            state.remove(0);
        }
        let (call, outcome) = match writes {
            true => write(model, i, offset),
            false => read(model, &state, taken),
        };
        let outcome = if known { outcome } else { unknown() };
        add(&mut record, i as u32, call, from, to, outcome);
    }
    let ends = if model == "queue" { state.len() + 1 } else { 1 };
    for i in 0..ends {
        let (call, outcome) = read(model, &state, state.get(i).copied());
        let from = ms(10_000.0 + i as f64);
        put(&mut record, 999, Stage::Final, call, from, Some(ms(10_000.5 + i as f64)), outcome);
    }
    record
}

fn write(model: &str, i: usize, offset: u64) -> (Call, Outcome) {
    let element = i as i64;
    match model {
        "set" => (Call::Insert { key: 0, element }, done()),
        "queue" => (Call::Enqueue { key: 0, element }, done()),
        "counter" => (Call::Add { key: 0, delta: 1 }, done()),
        _ => {
            (Call::Append { key: 0, message: message(element) }, Outcome::Ok(Reply::Offset(offset)))
        }
    }
}

fn message(element: i64) -> Message {
    Message { sender: element as u32, sequence: 0 }
}

fn read(model: &str, state: &[i64], taken: Option<i64>) -> (Call, Outcome) {
    match model {
        "set" => (Call::Elements { key: 0 }, Outcome::Ok(Reply::Values(state.to_vec()))),
        "queue" => (Call::Dequeue { key: 0 }, value(taken)),
        "counter" => (Call::Total { key: 0 }, value(Some(state.len() as i64))),
        _ => {
            let messages = state.iter().map(|e| message(*e)).collect();
            (Call::ReadLog { key: 0, from: 0 }, Outcome::Ok(Reply::Messages(messages)))
        }
    }
}

fn spec(model: &str) -> Spec {
    serde_json::from_value(model.into()).unwrap()
}

fn lost(record: &Record) -> Finding {
    Spec::LostWrites(LostWrites { max: 0 }).build().check(record)
}

/// Makes the final reads forget the acknowledged write with this number.
fn forget(record: &mut Record, element: i64) {
    let of_it = Outcome::Ok(Reply::Value(Some(element)));
    record.operations.retain(|o| !(matches!(o.call, Call::Dequeue { .. }) && o.outcome == of_it));
    for o in record.operations.iter_mut().filter(|o| o.stage == Stage::Final) {
        match &mut o.outcome {
            Outcome::Ok(Reply::Values(values)) => values.retain(|v| *v != element),
            Outcome::Ok(Reply::Messages(all)) => all.retain(|m| *m != message(element)),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_correct_run_passes(
        steps in steps(),
        model in prop_oneof![Just("set"), Just("queue"), Just("log"), Just("counter")],
    ) {
        let record = run(model, &steps);
        let finding = spec(model).build().check(&record);
        prop_assert_eq!(finding.verdict, Verdict::Pass, "{:?}", finding);
        let finding = lost(&record);
        prop_assert_eq!(finding.verdict, Verdict::Pass, "{:?}", finding);
    }

    #[test]
    fn an_acknowledged_write_that_is_gone_is_found_and_counted(
        steps in steps(),
        model in prop_oneof![Just("set"), Just("queue"), Just("log")],
    ) {
        let mut record = run(model, &steps);
        forget(&mut record, 0);
        let finding = spec(model).build().check(&record);
        prop_assert_eq!(finding.verdict, Verdict::Fail, "{:?}", finding);
        let finding = lost(&record);
        prop_assert_eq!(finding.figures["lost_writes"], 1.0, "{:?}", finding);
    }

    #[test]
    fn a_total_below_what_was_acknowledged_is_found(steps in steps(), by in 1i64..4) {
        let mut record = run("counter", &steps);
        let acked = record.operations.iter().filter(|o| {
            matches!(o.call, Call::Add { .. }) && o.outcome.is_ok()
        });
        let total = acked.count() as i64 - by;
        record.operations.last_mut().unwrap().outcome = value(Some(total));
        prop_assert_eq!(spec("counter").build().check(&record).verdict, Verdict::Fail);
        prop_assume!(total >= 0);
        prop_assert_eq!(lost(&record).figures["lost_writes"], by as f64);
    }
}
