//! `firedrill check --model`: histories that others recorded are judged, each file by itself.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use super::check_args::{Assumption, CheckArgs, HistoryFormat, HistoryModel};
use super::inputs::Refused;
use crate::check::isolation::{
    self, Anomalies, Anomaly, Assumptions, Level, Model, Models, Options, Wanted, Workload,
};
use crate::check::messages;
use crate::check::objects::{self, Kind};
use crate::check::sessions::{Guarantee, Sessions};
use crate::check::{Bank, Check, Fifo, Finding, Linearizable, Spec, Total};
use crate::history::foreign::{self, Format};
use crate::history::{Outcome, Record, Reply, file, transactions};
use crate::report::RunReport;

/// One history, judged.
pub(super) fn judged(
    path: &Path,
    model: HistoryModel,
    args: &CheckArgs,
) -> Result<RunReport, Refused> {
    let own = match args.format {
        HistoryFormat::Firedrill => true,
        HistoryFormat::Auto => foreign::is_drill(path),
        _ => false,
    };
    let (check, finding, seconds) = match (wanted(path, model, args)?, kind(model)) {
        _ if own => drill(path, model, args)?,
        (Some(wanted), _) => transactions(path, wanted, args)?,
        (None, Some(kind)) => object(path, kind, args)?,
        (None, None) if model == HistoryModel::Log => logs(path, args)?,
        (None, None) => operations(path, model, args)?,
    };
    let file = path.display().to_string();
    let name = path.file_name().map_or(file.clone(), |name| name.to_string_lossy().into_owned());
    Ok(RunReport::of_history(&name, &file, check, finding, seconds))
}

/// Whether these are what may be asked of registers, or nothing.
fn names_fit(model: HistoryModel, named: &[String]) -> bool {
    let of_registers = matches!(model, HistoryModel::Register | HistoryModel::CasRegister);
    named.is_empty() || (of_registers && named.iter().all(|name| Guarantee::of(name).is_some()))
}

fn ranks(order: &[(u32, i64)]) -> Option<HashMap<u32, i64>> {
    (!order.is_empty()).then(|| order.iter().copied().collect())
}

/// The check's name, what it found, and in how many seconds.
type Judged = (&'static str, Finding, f64);

/// A drill's own record, by one check alone.
fn drill(path: &Path, model: HistoryModel, args: &CheckArgs) -> Result<Judged, Refused> {
    let spec = match model {
        HistoryModel::Register | HistoryModel::CasRegister => Spec::Linearizable,
        HistoryModel::Counter => Spec::Counter,
        HistoryModel::Set => Spec::Set,
        HistoryModel::Queue => Spec::Queue,
        HistoryModel::Log => Spec::Log,
        HistoryModel::Bank => Spec::Bank,
        HistoryModel::ListAppend => Spec::ListAppend,
        _ => {
            let models = "register, counter, set, queue, log, bank, list-append";
            return Err(Refused::of(
                path,
                &format!("--model: of a drill's record, one of {models}"),
            ));
        }
    };
    let record = file::read(path).map_err(|e| Refused::of(path, &e.to_string()))?;
    spec.fits(&record.header.workload.model).map_err(|why| Refused::of(path, &why))?;
    let began = Instant::now();
    let finding = spec.build_within(args.budget()).check(&record);
    Ok((spec.name(), finding, began.elapsed().as_secs_f64()))
}

/// What transactions are judged by; `None`: it is none of transactions.
fn wanted(path: &Path, model: HistoryModel, args: &CheckArgs) -> Result<Option<Wanted>, Refused> {
    let refused = |why: String| Err(Refused::of(path, &why));
    let (named, anomalies) = (args.consistency_model.as_slice(), args.anomaly.as_slice());
    let workload = match model {
        HistoryModel::ListAppend => Workload::ListAppend,
        HistoryModel::RwRegister => Workload::RwRegister,
        HistoryModel::LongFork if named.is_empty() && anomalies.is_empty() => {
            return Ok(Some(Wanted::NoLongFork));
        }
        HistoryModel::Txn => {
            let (level, none) = match named {
                [] => (Some(Level::Causal), anomalies.is_empty()),
                [name] => (Level::of(name), anomalies.is_empty()),
                _ => (None, false),
            };
            return match level.filter(|_| none) {
                Some(level) => Ok(Some(Wanted::Level(level, args.budget()))),
                None => {
                    let levels = "read-committed, read-atomic, causal, snapshot-isolation";
                    refused(format!("--consistency-model: of txn, one of {levels}"))
                }
            };
        }
        _ if anomalies.is_empty() && args.assume.is_empty() && names_fit(model, named) => {
            return Ok(None);
        }
        _ => {
            let models = "list-append, rw-register, txn";
            let what = "--consistency-model, --anomaly and --assume";
            let but = "but for session guarantees, which are of register";
            return refused(format!("{what} are of {models} only, {but}"));
        }
    };
    let unknown = |what: &str, name: &str, known: Vec<&str>| {
        refused(format!("--{what}: `{name}` is none of {}", known.join(", ")))
    };
    let mut models = Models::default();
    for name in named {
        let Some(model) = Model::of(name) else {
            return unknown("consistency-model", name, Model::names().collect());
        };
        models.add(model);
    }
    let mut unwanted = Anomalies::default();
    for name in anomalies {
        let Some(anomaly) = Anomaly::of(name) else {
            return unknown("anomaly", name, Anomaly::names().collect());
        };
        unwanted.add(anomaly);
    }
    if named.is_empty() && anomalies.is_empty() {
        models.add(Model::StrongSerializable);
    }
    let assumes = |assumption| args.assume.contains(&assumption);
    let assumptions = Assumptions {
        wfr_keys: assumes(Assumption::Wfr),
        sequential_keys: assumes(Assumption::Sequential),
        linearizable_keys: assumes(Assumption::Linearizable),
        transaction_order: ranks(&args.transaction_order),
        ..Assumptions::default()
    };
    // Of a history of others, a value that nobody wrote may be from before it began.
    let options = Options {
        models,
        anomalies: unwanted,
        assumptions,
        conclude: true,
        thin_air: false,
        budget: args.budget(),
    };
    Ok(Some(Wanted::Models(workload, options)))
}

fn transactions(path: &Path, wanted: Wanted, args: &CheckArgs) -> Result<Judged, Refused> {
    let format = match args.format {
        HistoryFormat::Auto | HistoryFormat::Firedrill => None,
        HistoryFormat::Jepsen => Some(transactions::Format::Jepsen),
        HistoryFormat::Jsonl => Some(transactions::Format::JsonLines),
        HistoryFormat::Calls => Some(transactions::Format::Calls),
        HistoryFormat::Sessions => Some(transactions::Format::Sessions),
        HistoryFormat::Intervals => {
            return Err(Refused::of(path, "--format: intervals are not of transactions"));
        }
    };
    let read = foreign::read_transactions(path, format);
    let read = read.map_err(|e| Refused::of(path, &e.to_string()))?;
    let began = Instant::now();
    let finding = isolation::finding(&read, &wanted);
    Ok(("isolation", finding, began.elapsed().as_secs_f64()))
}

const ONLY_TRANSACTIONS: &str =
    "--format: sessions are of transactions only: list-append, rw-register, txn";

/// Which object it is of those that the general search judges.
fn kind(model: HistoryModel) -> Option<Kind> {
    Some(match model {
        HistoryModel::Stack => Kind::Stack,
        HistoryModel::PriorityQueue => Kind::Priority,
        HistoryModel::Set => Kind::Set,
        HistoryModel::Counter => Kind::Counter,
        HistoryModel::Semaphore => Kind::Semaphore,
        HistoryModel::Rmw => Kind::Rmw,
        HistoryModel::MultiRegister => Kind::Registers,
        HistoryModel::Kv => Kind::Store,
        _ => return None,
    })
}

fn object(path: &Path, kind: Kind, args: &CheckArgs) -> Result<Judged, Refused> {
    let format = match args.format {
        HistoryFormat::Auto | HistoryFormat::Firedrill => None,
        HistoryFormat::Jepsen => Some(objects::Format::Jepsen),
        HistoryFormat::Calls => Some(objects::Format::Calls),
        HistoryFormat::Intervals => Some(objects::Format::Intervals),
        HistoryFormat::Sessions => return Err(Refused::of(path, ONLY_TRANSACTIONS)),
        HistoryFormat::Jsonl => {
            return Err(Refused::of(
                path,
                "--format: JSON lines are of registers and transactions",
            ));
        }
    };
    let read = foreign::read_by(path, |text| objects::read(text, format));
    let read = read.map_err(|e| Refused::of(path, &e.to_string()))?;
    if read.history.kind() != kind {
        let (found, wanted) = (read.history.name(), kind.name());
        let why = format!("{}: a history of a {found}, not of a {wanted}", path.display());
        return Err(Refused::of(path, &why));
    }
    let began = Instant::now();
    let finding = objects::finding(&read, args.budget());
    Ok(("linearizable", finding, began.elapsed().as_secs_f64()))
}

fn logs(path: &Path, args: &CheckArgs) -> Result<Judged, Refused> {
    let format = match args.format {
        HistoryFormat::Auto | HistoryFormat::Firedrill => None,
        HistoryFormat::Jepsen => Some(messages::read::Format::Jepsen),
        HistoryFormat::Jsonl => Some(messages::read::Format::JsonLines),
        _ => return Err(Refused::of(path, "--format: of logs, jepsen or jsonl")),
    };
    let read = foreign::read_by(path, |text| messages::read::read(text, format));
    let read = read.map_err(|e| Refused::of(path, &e.to_string()))?;
    let began = Instant::now();
    let finding = messages::finding(&read);
    Ok(("log", finding, began.elapsed().as_secs_f64()))
}

fn operations(path: &Path, model: HistoryModel, args: &CheckArgs) -> Result<Judged, Refused> {
    let format = match args.format {
        HistoryFormat::Auto | HistoryFormat::Firedrill => None,
        HistoryFormat::Jepsen => Some(Format::Jepsen),
        HistoryFormat::Jsonl => Some(Format::JsonLines),
        HistoryFormat::Calls => Some(Format::Calls),
        HistoryFormat::Sessions => return Err(Refused::of(path, ONLY_TRANSACTIONS)),
        HistoryFormat::Intervals => {
            return Err(Refused::of(path, "--format: intervals are not of registers and queues"));
        }
    };
    let read = foreign::read(path, format).map_err(|e| Refused::of(path, &e.to_string()))?;
    let (check, of, initial): (Box<dyn Check>, _, _) = match model {
        HistoryModel::Queue => (Box::new(Fifo), "queue", None),
        HistoryModel::Bank => {
            let total = args.initial.map_or(Total::OfFirst, Total::Known);
            (Box::new(Bank { total }), "bank", None)
        }
        _ if !args.consistency_model.is_empty() => {
            if args.initial.is_some() {
                let why = "--initial: registers that are judged by sessions begin with nothing";
                return Err(Refused::of(path, why));
            }
            let guarantees = args.consistency_model.iter().filter_map(|name| Guarantee::of(name));
            (Box::new(Sessions(guarantees.collect())), "register", None)
        }
        _ => {
            // Nobody holds a lock at first.
            let initial = if model == HistoryModel::Lock { Some(0) } else { args.initial };
            let check = Linearizable { initial, ..Linearizable::within(args.budget()) };
            (Box::new(check), "register", initial)
        }
    };
    let silent = !read.operations.iter().any(|o| answered(&o.outcome, initial));
    let record = Record::of_operations(of, read.operations);
    let began = Instant::now();
    let mut finding = match silent {
        true => Finding::pass("nothing was answered, and so nothing can be wrong"),
        false => check.check(&record),
    };
    let seconds = began.elapsed().as_secs_f64();
    named(&mut finding, &read.keys);
    Ok((check.name(), finding, seconds))
}

/// A register that holds something at first cannot be found to hold nothing: who says so did not look.
fn answered(outcome: &Outcome, initial: Option<i64>) -> bool {
    match outcome {
        Outcome::Ok(Reply::Value(None)) => initial.is_none(),
        outcome => outcome.is_ok(),
    }
}

/// Says what the keys are called that a finding names by their numbers.
fn named(finding: &mut Finding, keys: &[String]) {
    let told = |text: &str, number: usize| {
        let own = format!("k{number}");
        text.match_indices(&own).any(|(at, _)| {
            let next = text.get(at + own.len()..).and_then(|rest| rest.chars().next());
            !next.is_some_and(|next| next.is_ascii_digit())
        })
    };
    let lines = finding.evidence.iter().chain([&finding.summary]);
    let text = lines.cloned().collect::<Vec<_>>().join("\n");
    let all = keys
        .iter()
        .enumerate()
        .filter(|(number, name)| name.as_str() != "nil" && told(&text, *number));
    let all: Vec<String> = all.map(|(number, name)| format!("k{number} is {name}")).collect();
    if !all.is_empty() {
        finding.evidence.push(all.join(", "));
    }
}
