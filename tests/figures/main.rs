//! The figures are true: a system whose outage is known to the nanosecond is drilled a hundred times, by
//! the very drill that drills real systems, in virtual time. What is reported must hold the known answer
//! within its stated resolution, each time.

mod scripted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use firedrill::check::{self, Case, CaseKind, Spec, Verdict};
use firedrill::condition::{Condition, Life};
use firedrill::drill::{self, Ended, Safety, SteadyState, Stop};
use firedrill::fault::Effect;
use firedrill::history::{Header, Record, WorkloadFacts, file};
use firedrill::inventory::NodeId;
use firedrill::plan::{Binding, Plan, PlannedFault};
use firedrill::quantity::{Rate, Ratio, Span};
use firedrill::workload::generate::Mix;
use firedrill::workload::{Model, engine};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use scripted::{Manner, Script, ScriptedDriver, ScriptedTarget, System, inventory};

const DRILLS: u64 = 100;
const LOAD: Duration = Duration::from_secs(9);
const OUTAGE: Duration = Duration::from_millis(1234);

/// The offered load: it varies from drill to drill.
#[derive(Debug, Clone, Copy)]
struct Load {
    seed: u64,
    rate: f64,
    timeout: Duration,
}

impl Load {
    fn of(seed: u64) -> Load {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rate = rng.random_range(50.0..400.0);
        Load { seed, rate, timeout: Duration::from_millis(rng.random_range(300..1500)) }
    }
}

fn kill(node: &str, at: Duration, length: Duration) -> PlannedFault {
    let condition = Condition { life: Life::Killed, ..Condition::default() };
    let node = NodeId::new(node);
    let effect = Effect {
        what: format!("kill {node}"),
        victims: vec![node.clone()],
        conditions: BTreeMap::from([(node, condition)]),
    };
    let effect = Binding::Known(effect);
    PlannedFault { id: 0, fault: "kill".into(), line: 1, at, length, draw: 0, effect }
}

/// One drill, from the steady state to the final reads.
fn drill(system: &Arc<System>, load: Load) -> (Ended, Record) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rate = Rate::per_second_of(load.rate).unwrap();
    let workload = engine::Options {
        model: Model::Set,
        mix: Mix::of(Model::Set),
        keys: 5,
        seed: load.seed,
        rate,
        workers: 1000, // more than can ever be in flight: nothing is dropped for want of a worker
        timeout: load.timeout,
        from: Default::default(),
        until: Default::default(),
    };
    let plan = Plan {
        scenario: "scripted".into(),
        seed: load.seed,
        target: "local".into(),
        inventory: inventory(),
        load: LOAD,
        omitted: vec![],
        faults: vec![kill("n1", Duration::from_secs(3), Duration::from_millis(2500))],
    };
    let header = Header {
        run: "scripted".into(),
        scenario: "scripted".into(),
        file: "scripted.yaml".into(),
        labels: BTreeMap::new(),
        seed: load.seed,
        plan_digest: plan.digest(),
        target: "local".into(),
        version: "test".into(),
        began: "2026-11-23T00:00:00Z".into(),
        inventory: inventory(),
        workload: WorkloadFacts {
            client: "scripted".into(),
            model: "set".into(),
            workers: workload.workers,
            rate,
            keys: workload.keys,
            timeout: Span(load.timeout),
        },
    };
    let options = drill::Options {
        folder: folder.path().to_path_buf(),
        header,
        plan,
        steady: SteadyState {
            window: Duration::from_secs(2),
            success: Ratio::new(0.99),
            rate: Ratio::new(0.9),
        },
        guards: vec![],
        setup: vec![],
        teardown: vec![],
        workload,
        settle: Duration::from_millis(100),
        redundancy: None,
        lookout: None,
    };
    let ended = runtime.block_on(async {
        let (events, mut told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move { while told.recv().await.is_some() {} });
        let target = Arc::new(ScriptedTarget(system.clone()));
        let driver = Arc::new(ScriptedDriver { system: system.clone(), timeout: load.timeout });
        let make = Box::new(|_: &_| Ok(driver as Arc<_>));
        drill::run(options, target, make, Safety::default(), Stop::default(), events).await
    });
    let record = file::read(&folder.path().join(drill::HISTORY_FILE)).unwrap();
    (ended.unwrap(), record)
}

fn spec(yaml: &str) -> Spec {
    serde_json::from_str(yaml).unwrap()
}

fn judge(record: &Record, checks: &[&str]) -> Vec<Case> {
    let specs: Vec<_> = checks.iter().map(|check| (spec(check), None)).collect();
    let judgement = check::judge(record, &specs);
    let cases = judgement.cases.into_iter();
    let (checks, drill): (Vec<_>, Vec<_>) = cases.partition(|c| c.kind == CaseKind::Check);
    assert!(drill.iter().all(|c| c.finding.verdict == Verdict::Pass), "{drill:#?}");
    assert_eq!(drill.iter().filter(|c| c.kind == CaseKind::Injection).count(), 1, "{drill:#?}");
    assert_eq!(drill.iter().filter(|c| c.kind == CaseKind::Heal).count(), 1, "{drill:#?}");
    checks
}

/// Drills a hundred times, and hands what the checks came to to `holds`.
fn hundred(script: impl Fn(&Load) -> Script, checks: &[&str], holds: impl Fn(&Load, &[Case])) {
    for seed in 0..DRILLS {
        let load = Load::of(seed);
        let (ended, record) = drill(&System::new(script(&load), 0), load);
        assert_eq!(ended, Ended { aborted: None, left_behind: vec![] }, "{load:?}");
        holds(&load, &judge(&record, checks));
    }
}

fn figure(case: &Case, name: &str) -> f64 {
    let figures = &case.finding.figures;
    *figures.get(name).unwrap_or_else(|| panic!("no figure {name} in {case:#?}"))
}

/// Holds a figure against the known answer. `unit` is how far apart operations are, in the figure's unit:
/// a resolution much wider than that would hold anything, and be no resolution.
fn assert_within(load: &Load, case: &Case, name: &str, resolution: &str, known: f64, unit: f64) {
    let (seen, within) = (figure(case, name), figure(case, resolution));
    assert!(within <= 10.0 * unit, "{load:?}: {resolution} {within} is none: {case:#?}");
    let off = (seen - known).abs();
    assert!(off <= within, "{load:?}: {name} is {seen}, known {known}: {case:#?}");
}

const RECOVERY: &str = r#"{"recovery": {"within": "5s"}}"#;
const AVAILABILITY: &str = r#"{"availability": {"at_least": "1%"}}"#;

/// The time from one operation to the next, and what the timers of the runner and the injection add, in ms.
fn gap_ms(load: &Load) -> f64 {
    1_000.0 / load.rate + 5.0
}

fn assert_recovery(load: &Load, case: &Case, recovery_ms: f64, outage_ms: f64, slow: Duration) {
    let (fault, gap) = ("fault1_recovery_resolution_ms", gap_ms(load) + slow.as_secs_f64() * 1e3);
    assert_within(load, case, "fault1_recovery_ms", fault, recovery_ms, gap);
    let fault = "fault1_outage_resolution_ms";
    assert_within(load, case, "fault1_longest_outage_ms", fault, outage_ms, gap);
}

/// Holds availability against the time that the system was out, in so many pieces: within the stated
/// resolution, and to the operation at each edge of an outage.
fn assert_availability(load: &Load, case: &Case, out: Duration, pieces: u32) {
    let known = 100.0 * (1.0 - out.as_secs_f64() / LOAD.as_secs_f64());
    let off = (figure(case, "availability_percent") - known).abs();
    let one = 100.0 / (load.rate * LOAD.as_secs_f64());
    let within = figure(case, "availability_resolution_percent");
    let edges = one * f64::from(2 * pieces + 1);
    assert!(off <= within && off <= edges, "{load:?}: known {known}, {edges}: {case:#?}");
}

#[test]
fn a_system_that_is_silent_for_1234_ms_is_reported_so() {
    let script = |_: &Load| Script::once(Manner::Silent, OUTAGE);
    hundred(script, &[RECOVERY, AVAILABILITY], |load, cases| {
        assert_recovery(load, &cases[0], 1234.0, 1234.0, Duration::ZERO);
        assert_availability(load, &cases[1], OUTAGE, 1);
    });
}

#[test]
fn a_system_that_fails_fast_for_1234_ms_is_reported_so() {
    let script = |_: &Load| Script::once(Manner::FailFast, OUTAGE);
    hundred(script, &[RECOVERY, AVAILABILITY], |load, cases| {
        assert_recovery(load, &cases[0], 1234.0, 1234.0, Duration::ZERO);
        assert_availability(load, &cases[1], OUTAGE, 1);
    });
}

#[test]
fn a_system_that_flaps_has_recovered_when_it_stays_up() {
    let ms = Duration::from_millis;
    let script = |_: &Load| Script {
        out: vec![(ms(0), ms(300)), (ms(500), ms(900)), (ms(1000), OUTAGE)],
        manner: Manner::FailFast,
        service: ms(2),
    };
    hundred(script, &[RECOVERY, AVAILABILITY], |load, cases| {
        assert_recovery(load, &cases[0], 1234.0, 400.0, Duration::ZERO);
        assert_availability(load, &cases[1], ms(300 + 400 + 234), 3);
    });
}

/// Slow is not down: every operation is served. How late is a matter for the check `latency`; here it only
/// widens the resolution, by the time that an answer takes.
#[test]
fn a_system_that_is_slow_instead_of_down_is_not_reported_as_down() {
    let slow = Duration::from_millis(250); // below every time-out that is drawn
    let script = |_: &Load| Script::once(Manner::Slow(slow), OUTAGE);
    hundred(script, &[RECOVERY, AVAILABILITY], |load, cases| {
        assert_recovery(load, &cases[0], 0.0, 0.0, slow);
        assert_eq!(figure(&cases[1], "availability_percent"), 100.0, "{load:?}");
    });
}

#[test]
fn a_system_that_loses_exactly_three_acknowledged_writes_is_reported_with_three() {
    for seed in 0..DRILLS {
        let load = Load::of(seed);
        let script = Script::once(Manner::FailFast, Duration::from_millis(100));
        let (_, record) = drill(&System::new(script.clone(), 3), load);
        let lost = &judge(&record, &[r#"{"lost-writes": {"max": 2}}"#])[0];
        assert_eq!(figure(lost, "lost_writes"), 3.0, "{load:?}: {lost:#?}");
        assert_eq!(lost.finding.verdict, Verdict::Fail);
        let (_, record) = drill(&System::new(script, 0), load);
        let none = &judge(&record, &[r#"{"lost-writes": {"max": 0}}"#])[0];
        assert_eq!(figure(none, "lost_writes"), 0.0, "{load:?}: {none:#?}");
        assert_eq!(none.finding.verdict, Verdict::Pass);
    }
}
