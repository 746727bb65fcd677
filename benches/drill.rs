//! How true a drill is to its plan, and what it costs around the load: real drills of five nodes on this
//! machine, by the real binary, read from their own records. `cargo bench --bench drill` prints the
//! figures: lateness in microseconds, set-up and tear-down in milliseconds.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use firedrill::history::{NodeEventKind, Record, Time, file};

const DRILLS: usize = 3;
/// Faults of one drill, each begun so long after the one before.
const FAULTS: u64 = 60;
const APART: Duration = Duration::from_millis(200);

/// Five nodes, a steady state, and many short faults that follow each other.
fn scenario() -> String {
    let mut text = String::from(
        "name: bench\n\
         target: {local: {zones: {dc1: 2, dc2: 2, dc3: 1}}}\n\
         workload: {client: store, model: register, rate: 100/s}\n\
         checks: [lost-writes]\n\
         faults:\n",
    );
    for i in 0..FAULTS {
        let at = 4000 + APART.as_millis() as u64 * i;
        let node = i % 5 + 1;
        let fault = format!("latency: {{nodes: n{node}, latency: 2ms}}");
        text += &format!("  - {{at: {at}ms, for: 100ms, inject: {{{fault}}}}}\n");
    }
    text
}

/// Drills once, and reads what was written down.
fn drill(folder: &Path) -> Result<Record, Box<dyn Error>> {
    let (file, report) = (folder.join("bench.yaml"), folder.join("report.json"));
    std::fs::write(&file, scenario())?;
    let mut run = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    run.arg("run").arg(&file).args(["--quiet", "--seed", "1"]);
    run.arg("--out").arg(folder.join("runs")).arg("--json").arg(&report);
    // What a drill says of the system is not measured here: any verdict will do, if there is one.
    let output = run.output()?;
    let bytes = std::fs::read(&report)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let report: serde_json::Value = serde_json::from_slice(&bytes)?;
    let history = report["runs"][0]["attachment"].as_str().ok_or("the report names no record")?;
    let record = file::read(Path::new(history))?;
    match record.end.as_ref().and_then(|end| end.aborted.clone()) {
        Some(why) => Err(format!("the drill ended early: {why}").into()),
        None => Ok(record),
    }
}

/// How much later than planned each change was begun: injections by the plan, heals by the fault's length
/// since its injection was in effect.
fn lateness(record: &Record) -> (Vec<Duration>, Vec<Duration>) {
    let began = record.load.map_or(Time(0), |load| load.began);
    let injected = record.faults.iter().filter_map(|f| {
        let change = f.injected.as_ref()?;
        Some(change.issued.since(began + f.planned_at))
    });
    let healed = record.faults.iter().filter_map(|f| {
        let (injected, healed) = (f.injected.as_ref()?, f.healed.as_ref()?);
        Some(healed.issued.since(injected.effective + f.planned_for))
    });
    (injected.collect(), healed.collect())
}

/// From the beginning to the last node's being ready.
fn set_up(record: &Record) -> Duration {
    let ready = record.nodes.iter().filter(|n| n.kind == NodeEventKind::Ready);
    ready.map(|n| n.at.since(Time(0))).max().unwrap_or_default()
}

/// From the last answer of the final reads to the end.
fn tear_down(record: &Record) -> Option<Duration> {
    let answered = record.operations.iter().filter_map(|o| o.returned).max()?;
    Some(record.end.as_ref()?.at.since(answered))
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent).div_ceil(100).saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

fn tell_late(what: &str, mut late: Vec<Duration>) {
    late.sort();
    let (median, p99) = (percentile(&late, 50).as_micros(), percentile(&late, 99).as_micros());
    println!("{what}, late by: median {median} us, p99 {p99} us ({} of them)", late.len());
}

fn tell_took(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let median = percentile(&took, 50).as_secs_f64() * 1e3;
    println!("{what} of five nodes: median {median:.1} ms ({} drills)", took.len());
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut injections, mut heals, mut ups, mut downs) = (vec![], vec![], vec![], vec![]);
    for _ in 0..DRILLS {
        let folder = tempfile::tempdir()?;
        let record = drill(folder.path())?;
        let (injected, healed) = lateness(&record);
        injections.extend(injected);
        heals.extend(healed);
        ups.push(set_up(&record));
        downs.extend(tear_down(&record));
    }
    tell_late("injections", injections);
    tell_late("heals", heals);
    tell_took("set-up", ups);
    tell_took("tear-down", downs);
    Ok(())
}
