//! Each way in which a history is read, and judged.

use std::path::Path;

use firedrill::check::isolation::{self, Level, Model, Options, Wanted, Workload};
use firedrill::check::messages;
use firedrill::check::sessions::{Guarantee, Sessions};
use firedrill::check::{
    Bank, Budget, Check, Fifo, Finding, Linearizable, Spec, Total, judge, objects,
};
use firedrill::history::foreign::{self, ForeignError};
use firedrill::history::{Operation, Record, file, transactions};

/// A search for a history of a few operations takes fewer.
const STEPS: u64 = 5_000;

/// How a text is read. `None`: it is to be found out.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Operations(Option<foreign::Format>),
    Transactions(Option<transactions::Format>),
    Object(Option<objects::Format>),
    Logs(Option<messages::read::Format>),
    /// A drill's own history.
    Record,
}

impl Way {
    pub fn guessed(self) -> Way {
        match self {
            Way::Operations(_) => Way::Operations(None),
            Way::Transactions(_) => Way::Transactions(None),
            Way::Object(_) => Way::Object(None),
            Way::Logs(_) => Way::Logs(None),
            Way::Record => Way::Record,
        }
    }
}

/// What came of it.
pub enum Came {
    /// It was read, and judged by all that may be asked of it.
    Read(Vec<Finding>),
    /// This line of it is wrong.
    Wrong { line: usize, told: String },
    /// It could not be read at all.
    Unreadable(String),
}

fn refused(e: ForeignError) -> Came {
    let told = e.to_string();
    match e {
        ForeignError::Text { line, .. } => Came::Wrong { line, told },
        ForeignError::File { .. } => Came::Unreadable(told),
    }
}

/// Reads a file and judges what was read.
pub fn read(way: Way, path: &Path) -> Came {
    match way {
        Way::Operations(format) => match foreign::read(path, format) {
            Ok(read) => Came::Read(operations(read.operations)),
            Err(e) => refused(e),
        },
        Way::Transactions(format) => match foreign::read_transactions(path, format) {
            Ok(read) => Came::Read(isolated(&read)),
            Err(e) => refused(e),
        },
        Way::Object(format) => match foreign::read_by(path, |text| objects::read(text, format)) {
            Ok(read) => Came::Read(vec![objects::finding(&read, Budget::of_steps(STEPS))]),
            Err(e) => refused(e),
        },
        Way::Logs(format) => {
            match foreign::read_by(path, |text| messages::read::read(text, format)) {
                Ok(read) => Came::Read(vec![messages::finding(&read)]),
                Err(e) => refused(e),
            }
        }
        Way::Record => match file::read(path) {
            Ok(record) => Came::Read(drilled(&record)),
            Err(e) => {
                let told = e.to_string();
                match e {
                    file::HistoryError::Format { line, .. } => Came::Wrong { line, told },
                    file::HistoryError::Io { .. } => Came::Unreadable(told),
                }
            }
        },
    }
}

fn operations(operations: Vec<Operation>) -> Vec<Finding> {
    let record = Record::of_operations("register", operations);
    let budget = Budget::of_steps(STEPS);
    let sessions = Sessions(Guarantee::ALL.to_vec());
    let checks: [&dyn Check; 6] = [
        &Linearizable { budget, initial: None },
        &Linearizable { budget, initial: Some(0) },
        &sessions,
        &Fifo,
        &Bank { total: Total::OfFirst },
        &Bank { total: Total::Known(i64::MIN) },
    ];
    checks.iter().map(|check| check.check(&record)).collect()
}

fn isolated(read: &transactions::Transactions) -> Vec<Finding> {
    let strict = Options { thin_air: false, ..Options::model(Model::StrongSerializable) };
    let models =
        [Workload::ListAppend, Workload::RwRegister].map(|w| Wanted::Models(w, strict.clone()));
    let levels = [Level::ReadCommitted, Level::ReadAtomic, Level::Causal, Level::SnapshotIsolation];
    let levels = levels.map(|level| Wanted::Level(level, Budget::default()));
    let all = models.into_iter().chain(levels).chain([Wanted::NoLongFork]);
    all.map(|wanted| isolation::finding(read, &wanted)).collect()
}

fn drilled(record: &Record) -> Vec<Finding> {
    const CHECKS: &str = r#"["linearizable", "counter", "set", "queue", "log", "bank", "list-append", "convergence",
        {"lost-writes": {}}, {"recovery": {"within": "5s"}}, {"redundancy": {"within": "5s"}},
        {"availability": {"at_least": "99%"}}, {"latency": {"p99": "1s"}}, {"node-deaths": {"max": 0}}]"#;
    let specs: Vec<Spec> = serde_json::from_str(CHECKS).unwrap();
    let all: Vec<_> = specs.iter().map(|spec| (spec.clone(), Some(1))).collect();
    let judged = judge(record, &all);
    // What does not fit the model is refused there, and should not panic either.
    for spec in specs.iter().filter(|spec| spec.fits(&record.header.workload.model).is_err()) {
        spec.build().check(record);
    }
    let own = judged.cases.into_iter().map(|case| (case.name, case.finding));
    own.filter(|(name, _)| name == &record.header.workload.model || name == "linearizable")
        .map(|(_, finding)| finding)
        .collect()
}
