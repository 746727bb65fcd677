//! `firedrill run`: read all, plan all, then drill one after the other, judge each, and report all.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::args::{RunArgs, Verbosity};
use super::assemble::{self, Places};
use super::exit::Exit;
use super::inputs::{self, Input, Refused};
use super::judged;
use super::logs::Logs;
use super::{CliError, live, output, signals, terminal};
use crate::drill::journal::{Journal, Undo};
use crate::drill::watchdog::Watchdog;
use crate::drill::{self, Ended, Safety, Stop};
use crate::history::file;
use crate::report::RunReport;

/// The scenario of a run, in its folder.
pub(super) const SCENARIO_FILE: &str = "scenario.yaml";
/// What was changed in it by the command line.
pub(super) const OVERRIDES_FILE: &str = "overrides.json";
const PLAN_FILE: &str = "plan.json";
const LOG_FILE: &str = "firedrill.log";

/// Runs them all. The reports are written again after each run, and say beforehand that it did not end. Once
/// they cannot be written no further drill is begun, and what was learned still counts.
pub(super) fn run(args: RunArgs, verbosity: Verbosity, logs: &Logs) -> Result<Exit, CliError> {
    let outputs = output::Outputs::new(args.junit.clone(), args.json.clone());
    // A path that cannot be written is a mistake that is found before the long run.
    let mistaken = |e: CliError| CliError::Invalid(e.to_string());
    outputs.write(&[], Exit::Inconclusive).map_err(mistaken)?;
    let inputs = match read(&args)? {
        Ok(inputs) => inputs,
        Err(refused) => return refuse(&outputs, refused),
    };
    fs::create_dir_all(&args.out).map_err(|e| mistaken(CliError::write(&args.out, e)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::Failed(format!("no runtime: {e}")))?;
    let stop = runtime.block_on(async { signals::watch() })?;
    let (mut done, mut untold): (Vec<RunReport>, Option<CliError>) = (vec![], None);
    for input in &inputs {
        let report = if stop.soft.is_cancelled() {
            broke_off(input, "interrupted before it began")
        } else if let Some(why) = &untold {
            broke_off(input, &format!("not begun: {why}"))
        } else if let Some(missing) = missing_program(input) {
            RunReport::skipped(&input.scenario.name, &input.file, &missing)
        } else {
            let mut so_far = done.clone();
            so_far.push(broke_off(input, "the runner died in the middle of the drill"));
            match outputs.write(&so_far, Exit::Inconclusive) {
                Ok(()) => runtime.block_on(one(input, &args.out, verbosity, logs, &stop)),
                Err(why) => {
                    let report = broke_off(input, &format!("not begun: {why}"));
                    untold = Some(why);
                    report
                }
            }
        };
        let shown = terminal::data(&output::text(&report, verbosity)).map_err(CliError::from);
        done.push(report);
        let written = outputs.write(&done, Exit::of(&done));
        untold = untold.or(shown.and(written).err());
    }
    let summed = output::summary(&done);
    Ok(super::worst(Exit::of(&done), untold.or(summed.err())))
}

fn broke_off(input: &Input, why: &str) -> RunReport {
    RunReport::broke_off(&input.scenario.name, &input.file, why)
        .with_seed(input.plan.seed)
        .with_set(&input.set)
        .with_target(&input.plan.target)
}

/// Every scenario as often as it is to run. The inner error: which could not be read, and why.
fn read(args: &RunArgs) -> Result<Result<Vec<Input>, Vec<Refused>>, CliError> {
    let (mut inputs, mut refused) = (vec![], vec![]);
    for path in inputs::files(&args.scenarios)? {
        let first = match inputs::prepare(&path, &args.variation, None) {
            Ok(input) => input,
            Err(why) => {
                refused.push(why);
                continue;
            }
        };
        let seed = first.plan.seed;
        inputs.push(first);
        for again in 1..u64::from(args.repeat) {
            match inputs::prepare(&path, &args.variation, Some(seed.wrapping_add(again))) {
                Ok(input) => inputs.push(input),
                Err(why) => refused.push(why), // another seed may go over the blast radius
            }
        }
    }
    Ok(if refused.is_empty() { Ok(inputs) } else { Err(refused) })
}

fn refuse(outputs: &output::Outputs, refused: Vec<Refused>) -> Result<Exit, CliError> {
    let reports: Vec<RunReport> = refused.iter().map(Refused::told).collect();
    outputs.write(&reports, Exit::Invalid)?;
    Ok(Exit::Invalid)
}

/// A program that the scenario says it needs and that is not here.
fn missing_program(input: &Input) -> Option<String> {
    let found = |program: &str| match program.contains('/') {
        true => Path::new(program).exists(),
        false => std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|p| p.join(program).is_file())),
    };
    let missing = input.scenario.requires.iter().find(|program| !found(program))?;
    Some(format!("`{missing}` is not installed"))
}

/// One drill, from its folder to its verdict.
async fn one(
    input: &Input,
    out: &Path,
    verbosity: Verbosity,
    logs: &Logs,
    stop: &Stop,
) -> RunReport {
    match drill(input, out, verbosity, logs, stop).await {
        Ok((places, ended)) => judged::after_drill(input, &places, &ended).with_set(&input.set),
        Err(error) => broke_off(input, &error.to_string()),
    }
}

async fn drill(
    input: &Input,
    out: &Path,
    verbosity: Verbosity,
    logs: &Logs,
    stop: &Stop,
) -> Result<(Places, Ended), CliError> {
    let began = jiff::Timestamp::now();
    let places = places(input, out, began)?;
    let _log = logs
        .to_file(&places.folder.join(LOG_FILE))
        .map_err(|source| CliError::write(&places.folder.join(LOG_FILE), source))?;
    let target = assemble::target(input, &places)?;
    let safety = safety(input, &places)?;
    let (events, told) = tokio::sync::mpsc::unbounded_channel();
    let shown = live::spawn(told, terminal::show(verbosity), logs)
        .map_err(|e| CliError::Failed(format!("no thread for the view: {e}")))?;
    let options = assemble::options(input, &places, began.to_string());
    let driver = assemble::driver(&input.scenario, &places.run);
    let ended = drill::run(options, target, driver, safety, stop.clone(), events).await;
    let _ = shown.join(); // a view that broke has said so
    let ended = ended.map_err(|e| CliError::Failed(e.to_string()))?;
    let history = places.folder.join(drill::HISTORY_FILE);
    if let Err(e) = file::compress(&history) {
        tracing::warn!("the history stays uncompressed: {e}");
    }
    Ok((places, ended))
}

/// Makes the run's folder and writes down what is to be drilled.
fn places(input: &Input, out: &Path, began: jiff::Timestamp) -> Result<Places, CliError> {
    let stamp = began.strftime("%Y%m%d-%H%M%S");
    let run = format!("{}-{stamp}-{:04x}", input.scenario.name, rand::random::<u16>());
    let folder = out.join(&run);
    fs::create_dir_all(&folder).map_err(|source| CliError::write(&folder, source))?;
    let folder = fs::canonicalize(&folder).map_err(|source| CliError::write(&folder, source))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| CliError::write(&path, source))
    };
    write(SCENARIO_FILE, &input.source)?;
    let json = |value: Result<String, serde_json::Error>| {
        value.map_err(|e| CliError::Failed(format!("{run}: {e}")))
    };
    write(OVERRIDES_FILE, &json(serde_json::to_string_pretty(&input.set))?)?;
    write(PLAN_FILE, &json(serde_json::to_string_pretty(&input.plan))?)?;
    let binary = super::own_binary();
    let data = std::env::temp_dir().join(format!("firedrill-{run}"));
    Ok(Places { run, folder, data, binary })
}

/// The journal and the watchdog, before there is anything to undo.
fn safety(input: &Input, places: &Places) -> Result<Safety, CliError> {
    let failed = |what: &str, e: &dyn std::fmt::Display| CliError::Failed(format!("{what}: {e}"));
    let journal =
        Journal::create(&places.folder, &places.run).map_err(|e| failed("journal", &e))?;
    let lease = input.scenario.lease.0;
    let watchdog = Watchdog::start(&places.binary, &places.folder, lease)
        .map_err(|e| failed("watchdog", &e))?;
    for undo in
        [Undo::RemoveFolder(places.data.clone()), Undo::ReapProcesses { run: places.run.clone() }]
    {
        journal.before(undo).map_err(|e| failed("journal", &e))?;
    }
    fs::create_dir_all(&places.data).map_err(|source| CliError::write(&places.data, source))?;
    let guard = Some(places.binary.clone());
    Ok(Safety { journal: Some(Arc::new(journal)), watchdog: Some(watchdog), guard })
}
