//! Systems with a scripted outage of exactly 1,234 ms: the figures must hold the known answer
//! within the resolution that they state, and the resolution must be worth something.

use proptest::prelude::*;

use super::invented::{cases, done, kill, ms, put, record, unknown, whole};
use super::spec::{Availability, Recovery, Since, When};
use super::{Finding, Spec, Verdict};
use crate::history::{Call, Change, Outcome, Record, Stage};
use crate::quantity::{Rate, Ratio, Span};

const STRUCK: f64 = 4000.0;
const OUTAGE: f64 = 1234.0;
const LOAD: f64 = 12_000.0;
const TIMEOUT: f64 = 1000.0;

/// What the system does between the injection and 1,234 ms later.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// It answers nothing, ever.
    Silent,
    /// It answers when the time is over, whoever still waits.
    Paused,
    /// It refuses at once.
    FailingFast,
    /// It refuses for 200 ms, works for 100 ms, and so on, and refuses to the end.
    Flapping,
    /// It answers so many ms later.
    Slow(f64),
    /// It works.
    Unmoved,
}

impl Mode {
    /// The intervals without service, since the injection.
    fn down(self) -> Vec<(f64, f64)> {
        match self {
            Mode::Silent | Mode::Paused | Mode::FailingFast => vec![(0.0, OUTAGE)],
            Mode::Flapping => vec![(0.0, 200.0), (300.0, 500.0), (600.0, 800.0), (900.0, OUTAGE)],
            Mode::Slow(_) | Mode::Unmoved => vec![],
        }
    }

    /// When an operation returns, and whether it succeeded.
    fn serve(self, at: f64, latency: f64) -> (f64, Outcome) {
        let since = at + latency / 2.0 - STRUCK;
        let down = self.down().iter().any(|(from, to)| since >= *from && since < *to);
        match self {
            Mode::Slow(by) if (0.0..OUTAGE).contains(&since) => (at + latency + by, done()),
            Mode::Silent if down => (at + TIMEOUT, unknown()),
            Mode::Paused if down && STRUCK + OUTAGE + latency / 2.0 > at + TIMEOUT => {
                (at + TIMEOUT, unknown())
            }
            Mode::Paused if down => (STRUCK + OUTAGE + latency / 2.0, done()),
            _ if down => (at + latency, Outcome::Fail("refused".into())),
            _ => (at + latency, done()),
        }
    }
}

#[derive(Debug, Clone)]
struct Script {
    mode: Mode,
    rate: f64,
    latency: f64,
    workers: usize,
    /// Between 0 and 1, one after the other.
    chance: Vec<f64>,
    /// How long the injection took to be complete, ms.
    width: f64,
}

fn script() -> impl Strategy<Value = Script> {
    let mode = prop_oneof![
        Just(Mode::Silent),
        Just(Mode::Paused),
        Just(Mode::FailingFast),
        Just(Mode::Flapping),
        (20.0..700.0).prop_map(Mode::Slow),
        Just(Mode::Unmoved),
    ];
    let chance = proptest::collection::vec(0.0..1.0, 97);
    (mode, 50.0..1000.0, 0.2..12.0, chance, 0.0..20.0).prop_map(
        |(mode, rate, latency, chance, width)| Script {
            mode,
            rate,
            latency,
            workers: 5000,
            chance,
            width,
        },
    )
}

impl Script {
    fn drill(&self) -> (Record, usize, usize) {
        let mut record = record("register");
        whole(&mut record, LOAD);
        record.header.workload.rate = Rate::per_second_of(self.rate).unwrap();
        let interval = 1000.0 / self.rate;
        let mut busy = vec![0.0f64; self.workers];
        let (mut ok, mut all, mut at) = (0, 0, 0.0);
        let mut chance = self.chance.iter().cycle();
        let mut chance = || *chance.next().unwrap();
        while at < LOAD {
            let start = at + interval * 0.4 * chance();
            all += 1;
            match busy.iter().position(|b| *b <= start) {
                None => record.dropped.push(ms(start)),
                Some(free) => {
                    let latency = self.latency * (0.5 + chance());
                    let (end, outcome) = self.mode.serve(start, latency);
                    busy[free] = end;
                    ok += usize::from(outcome.is_ok());
                    let call = Call::Write { key: 0, value: all as i64 };
                    let process = all as u32;
                    put(&mut record, process, Stage::Load, call, ms(start), Some(ms(end)), outcome);
                }
            }
            at += interval;
        }
        let mut fault = kill(0, ms(STRUCK), ms(8000.0));
        let injected = Change { issued: ms(STRUCK - self.width), ..fault.injected.unwrap() };
        fault.injected = Some(injected);
        record.faults.push(fault);
        (record, ok, all)
    }

    fn recovery(&self) -> Finding {
        let spec = Recovery::within(Span::secs(5));
        Spec::Recovery(spec).build().check(&self.drill().0)
    }
}

fn holds(finding: &Finding, figure: &str, resolution: &str, truth: f64) -> Result<(), String> {
    let get = |name: &str| finding.figures.get(name).copied().ok_or(format!("no {name}"));
    let (figure_ms, by) = (get(figure)?, get(resolution)?);
    match (figure_ms - truth).abs() <= by + 1e-6 {
        true => Ok(()),
        false => Err(format!("{figure} {figure_ms} \u{b1} {by} does not hold {truth}")),
    }
}

fn truths(script: &Script, finding: &Finding) -> Result<(), String> {
    let down = script.mode.down();
    let back = down.last().map_or(0.0, |d| d.1);
    let lengths = down.iter().map(|d| d.1 - d.0);
    let (sum, longest) = (lengths.clone().sum::<f64>(), lengths.fold(0.0, f64::max));
    holds(finding, "recovery_ms", "recovery_resolution_ms", back)?;
    holds(finding, "outage_ms", "outage_resolution_ms", sum)?;
    holds(finding, "longest_outage_ms", "outage_resolution_ms", longest)
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn recovery_and_outage_hold_the_known_answer(script in script()) {
        let finding = script.recovery();
        prop_assert_eq!(finding.verdict, Verdict::Pass, "{:?}", finding);
        prop_assert_eq!(truths(&script, &finding), Ok(()), "{:?}", finding);
    }

    #[test]
    fn the_resolution_is_a_few_operations_and_answers(script in script()) {
        let finding = script.recovery();
        let slow = if let Mode::Slow(by) = script.mode { by } else { 0.0 };
        let fine = 4000.0 / script.rate + 8.0 * script.latency + script.width + slow + 1.0;
        let stated = finding.figures["recovery_resolution_ms"];
        prop_assert!(stated <= fine, "{} allowed {}: {:?}", stated, fine, finding);
    }

    #[test]
    fn they_hold_it_too_when_all_workers_hang(script in script(), workers in 5usize..40) {
        prop_assume!(matches!(script.mode, Mode::Silent | Mode::Paused | Mode::FailingFast));
        let script = Script { workers, ..script };
        // Only where the workers suffice for the rate while nothing is wrong.
        prop_assume!(script.rate * script.latency * 1.5 / 1000.0 < workers as f64 * 0.5);
        let finding = script.recovery();
        prop_assert_eq!(truths(&script, &finding), Ok(()), "{:?}", finding);
    }

    #[test]
    fn availability_counts_all_that_was_due(script in script(), workers in 5usize..5000) {
        let script = Script { workers, ..script };
        let (record, ok, all) = script.drill();
        let spec = Availability { at_least: Ratio::new(0.5), when: When::All };
        let finding = Spec::Availability(spec).build().check(&record);
        let truth = ok as f64 / all as f64 * 100.0;
        prop_assert!((finding.figures["availability_percent"] - truth).abs() < 1e-9);
        let down: f64 = script.mode.down().iter().map(|d| d.1 - d.0).sum();
        let known = 100.0 * (1.0 - down / LOAD);
        if workers > 2000 && script.mode != Mode::Paused {
            let by = finding.figures["availability_resolution_percent"];
            let figure = finding.figures["availability_percent"];
            let edges = 4.0 * 100.0 / all as f64; // two at either end of each of the outages
            prop_assert!((figure - known).abs() <= by + edges, "{} {} {}", figure, known, by);
        }
    }
}

fn silent() -> Script {
    let chance = vec![0.5];
    Script { mode: Mode::Silent, rate: 200.0, latency: 2.0, workers: 5000, chance, width: 0.0 }
}

#[test]
fn an_outage_longer_than_allowed_fails_and_says_by_how_much() {
    let spec = Recovery::within(Span::secs(1));
    let finding = Spec::Recovery(spec).build().check(&silent().drill().0);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.summary.contains("fault 1: kill n1: recovery 1.23"), "{}", finding.summary);
    assert!(finding.summary.contains("allowed 1s"), "{}", finding.summary);
}

#[test]
fn from_the_heal_it_is_counted_from_the_heal() {
    let spec = Recovery { from: Since::Heal, ..Recovery::within(Span::millis(100)) };
    let finding = Spec::Recovery(spec).build().check(&silent().drill().0);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    assert!(finding.figures["recovery_ms"] < 10.0);
}

#[test]
fn without_an_operation_in_flight_there_is_no_figure() {
    let (mut record, ..) = silent().drill();
    record.operations.retain(|o| o.invoked < ms(STRUCK));
    let finding = Spec::Recovery(Recovery::within(Span::secs(5))).build().check(&record);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(!finding.figures.contains_key("recovery_ms"), "{finding:?}");
    assert!(finding.summary.contains("no operation was in flight"), "{}", finding.summary);
}

#[test]
fn a_service_that_never_comes_back_fails() {
    let (mut record, ..) = silent().drill();
    for o in record.operations.iter_mut().filter(|o| o.invoked >= ms(STRUCK)) {
        o.outcome = unknown();
    }
    let finding = Spec::Recovery(Recovery::within(Span::secs(5))).build().check(&record);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.summary.contains("not back in 8.000 s"), "{}", finding.summary);
}

#[test]
fn an_unproven_injection_has_no_recovery() {
    let (mut record, ..) = silent().drill();
    record.faults[0].injected.as_mut().unwrap().unproven = Some("still answers".into());
    let finding = Spec::Recovery(Recovery::within(Span::secs(5))).build().check(&record);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
}

#[test]
fn a_disturbance_by_the_heal_is_measured_from_the_heal() {
    let (mut record, ..) = silent().drill();
    let refused = || Outcome::Fail("refused".into());
    let during =
        |o: &&mut crate::history::Operation| o.invoked >= ms(8000.0) && o.invoked < ms(8700.0);
    record.operations.iter_mut().filter(during).for_each(|o| o.outcome = refused());
    let finding = Spec::Recovery(Recovery::within(Span::secs(5))).build().check(&record);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    assert!((finding.figures["recovery_after_heal_ms"] - 700.0).abs() < 10.0, "{finding:?}");
    assert!((finding.figures["recovery_ms"] - OUTAGE).abs() < 10.0, "{finding:?}");
}
