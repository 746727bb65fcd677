//! A record on disk: JSON lines, one fact a line, appended as the drill goes. `docs/history.md` documents it.
//!
//! Invariant: a line is written by one `write` system call before the caller goes on, so whatever was
//! acknowledged before the runner was killed is in the file (a process's death loses no page-cache data).
//! A last line that was cut in the middle is ignored. A file that ends in `.zst` is compressed by zstd.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::packed::open;
use super::{
    Call, End, FaultSpan, Header, LoadSpan, NodeEvent, Operation, Outcome, Process, Record, Stage,
    Steady, Time, told,
};
use crate::inventory::NodeId;

/// The version of the format. A reader refuses a newer one.
pub const VERSION: u32 = 1;

/// A history that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A line is not what the format says.
    #[error("{path}:{line}: {why}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// Why an operation without a return is unknown.
const NO_OUTCOME: &str = "no outcome when the record ended";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    Firedrill {
        version: u32,
        header: Box<Header>,
    },
    #[serde(rename = "i")]
    Invoke(Invoke),
    #[serde(rename = "r")]
    Return(Return),
    #[serde(rename = "d")]
    Dropped(Time),
    Fault(Box<FaultSpan>),
    Node(NodeEvent),
    Load(LoadSpan),
    Steady(Steady),
    End(End),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Invoke {
    id: u64,
    p: Process,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<NodeId>,
    /// Intended start.
    s: Time,
    /// Actual start.
    t: Time,
    #[serde(default, skip_serializing_if = "is_load")]
    stage: Stage,
    c: Call,
}

fn is_load(stage: &Stage) -> bool {
    *stage == Stage::Load
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Return {
    id: u64,
    t: Time,
    o: Outcome,
}

/// Writes a record as it happens. Shared by all who see facts; each call is one line and one system call.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: Mutex<Sink>,
    next_id: AtomicU64,
}

#[derive(Debug)]
struct Sink {
    file: File,
    line: Vec<u8>,
    failed: Option<std::io::ErrorKind>,
}

impl Writer {
    /// Creates the file and writes its header. Fails if the file exists.
    pub fn create(path: &Path, header: &Header) -> Result<Writer, HistoryError> {
        let io = |source| HistoryError::Io { path: path.to_path_buf(), source };
        let file = File::options().append(true).create_new(true).open(path).map_err(io)?;
        let sink = Sink { file, line: Vec::with_capacity(512), failed: None };
        let writer =
            Writer { path: path.to_path_buf(), file: Mutex::new(sink), next_id: AtomicU64::new(0) };
        writer.put(&Line::Firedrill { version: VERSION, header: Box::new(header.clone()) });
        match writer.failure() {
            Some(failure) => Err(failure),
            None => Ok(writer),
        }
    }

    fn put(&self, line: &Line) {
        let mut sink = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if sink.failed.is_some() {
            return; // after a gap, later facts would mislead
        }
        let Sink { file, line: buffer, failed } = &mut *sink;
        buffer.clear();
        let written = serde_json::to_writer(&mut *buffer, line)
            .map_err(std::io::Error::from)
            .and_then(|()| {
                buffer.push(b'\n');
                file.write_all(buffer)
            });
        *failed = written.err().map(|e| e.kind());
    }

    /// Why writing stopped, if it did (a full disk). Nothing after the first failure is written.
    pub fn failure(&self) -> Option<HistoryError> {
        let sink = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        sink.failed.map(|kind| HistoryError::Io { path: self.path.clone(), source: kind.into() })
    }

    /// An operation starts. Returns its id.
    pub fn invoked(&self, start: Invocation) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let Invocation { process, node, intended, invoked, stage, call } = start;
        self.put(&Line::Invoke(Invoke {
            id,
            p: process,
            n: node,
            s: intended,
            t: invoked,
            stage,
            c: call,
        }));
        id
    }
    /// An operation's outcome is known. When this returns, the file has it.
    pub fn returned(&self, id: u64, at: Time, outcome: Outcome) {
        self.put(&Line::Return(Return { id, t: at, o: outcome }));
    }
    /// An operation that no free worker could start.
    pub fn dropped(&self, intended: Time) {
        self.put(&Line::Dropped(intended));
    }
    /// A fault as far as it has come; of several lines with its id the last one counts.
    pub fn fault(&self, span: &FaultSpan) {
        self.put(&Line::Fault(Box::new(span.clone())));
    }
    /// Something happened to a node.
    pub fn node(&self, event: &NodeEvent) {
        self.put(&Line::Node(event.clone()));
    }
    /// The load began or ended; the last line counts.
    pub fn load(&self, span: LoadSpan) {
        self.put(&Line::Load(span));
    }
    /// The steady state was measured.
    pub fn steady(&self, steady: Steady) {
        self.put(&Line::Steady(steady));
    }
    /// The drill ended.
    pub fn end(&self, end: &End) {
        self.put(&Line::End(end.clone()));
    }
}

/// The start of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Who asks.
    pub process: Process,
    /// The node that it goes to first, where the client knows.
    pub node: Option<NodeId>,
    /// When the arrival rate wanted it.
    pub intended: Time,
    /// When it started.
    pub invoked: Time,
    /// Why it is asked.
    pub stage: Stage,
    /// What is asked.
    pub call: Call,
}

/// Reads a record back, compressed or not.
pub fn read(path: &Path) -> Result<Record, HistoryError> {
    let text = open(path);
    parse(path, text.map_err(|source| HistoryError::Io { path: path.to_path_buf(), source })?)
}

/// Replaces a history by its compressed form, `FILE.zst`; the original goes only when that is complete.
pub fn compress(path: &Path) -> Result<PathBuf, HistoryError> {
    let io = |source| HistoryError::Io { path: path.to_path_buf(), source };
    let mut name = path.as_os_str().to_owned();
    name.push(".zst");
    let (target, partial) = (PathBuf::from(&name), path.with_extension("zst.partial"));
    let written = File::create(&partial).and_then(|out| {
        zstd::stream::copy_encode(File::open(path)?, &out, 3)?;
        out.sync_all()?;
        std::fs::rename(&partial, &target)
    });
    if let Err(e) = written {
        let _ = std::fs::remove_file(&partial); // half of it is of no use
        return Err(io(e));
    }
    std::fs::remove_file(path).map_err(io)?;
    Ok(target)
}

/// Writes a whole record as the lines of a history; reading them gives the same record.
pub fn write_lines(record: &Record, out: &mut dyn Write) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 16, out);
    let mut put = |line: &Line| -> std::io::Result<()> {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")
    };
    put(&Line::Firedrill { version: VERSION, header: Box::new(record.header.clone()) })?;
    record.load.iter().try_for_each(|l| put(&Line::Load(*l)))?;
    record.steady.iter().try_for_each(|s| put(&Line::Steady(*s)))?;
    record.faults.iter().try_for_each(|f| put(&Line::Fault(Box::new(f.clone()))))?;
    record.nodes.iter().try_for_each(|n| put(&Line::Node(n.clone())))?;
    for o in &record.operations {
        put(&Line::Invoke(Invoke {
            id: o.id,
            p: o.process,
            n: o.node.clone(),
            s: o.intended,
            t: o.invoked,
            stage: o.stage.clone(),
            c: o.call.clone(),
        }))?;
        if let Some(t) = o.returned {
            put(&Line::Return(Return { id: o.id, t, o: o.outcome.clone() }))?;
        }
    }
    record.dropped.iter().try_for_each(|d| put(&Line::Dropped(*d)))?;
    record.end.iter().try_for_each(|e| put(&Line::End(e.clone())))?;
    out.flush()
}

fn parse(path: &Path, mut input: impl BufRead) -> Result<Record, HistoryError> {
    let bad = |line: usize, why: String| HistoryError::Format {
        path: path.to_path_buf(),
        line,
        why: told::plain(&why),
    };
    let mut record: Option<Record> = None;
    let mut shared = Shared::default();
    let (mut text, mut number) = (vec![], 0);
    loop {
        text.clear();
        let n = input
            .read_until(b'\n', &mut text)
            .map_err(|source| HistoryError::Io { path: path.to_path_buf(), source })?;
        if n == 0 || !text.ends_with(b"\n") {
            break; // a line that was cut says nothing, and may end within a character
        }
        number += 1;
        let line = serde_json::from_slice(&text)
            .map_err(|e| bad(number, format!("not a line of a history: {}", told::of_json(&e))))?;
        match (&mut record, line) {
            (None, Line::Firedrill { version, header }) => {
                if version > VERSION {
                    return Err(bad(
                        number,
                        format!("history version {version}, known up to {VERSION}"),
                    ));
                }
                record = Some(Record::empty(*header));
            }
            (Some(record), line) => {
                add(record, &mut shared, line).map_err(|why| bad(number, why))?
            }
            (None, _) => {
                return Err(bad(number, "the first line is not a firedrill header".into()));
            }
        }
    }
    let none = || bad(1, "the file is empty: the drill died before it began".into());
    record.map(|record| shared.ordered(record)).ok_or_else(none)
}

/// Names and reasons recur in every line: each is kept once, or a long history would be mostly these. And what is known
/// of operations beside the record: which of each process has not returned.
#[derive(Default)]
struct Shared {
    open: HashMap<Process, u64>,
    /// Operations whose line came behind that of a later one: few, in what a drill writes.
    late: BTreeMap<u64, Operation>,
    nodes: HashSet<NodeId>,
    reasons: HashSet<Arc<str>>,
}

impl Shared {
    /// The operation of this number.
    fn find<'a>(&'a mut self, record: &'a mut Record, id: u64) -> Option<&'a mut Operation> {
        match record.operations.binary_search_by_key(&id, |o| o.id) {
            Ok(at) => record.operations.get_mut(at),
            Err(_) => self.late.get_mut(&id),
        }
    }
    fn add(&mut self, record: &mut Record, operation: Operation) {
        match record.operations.last() {
            Some(last) if last.id > operation.id => drop(self.late.insert(operation.id, operation)),
            _ => record.operations.push(operation),
        }
    }
    /// With all operations in the order of their numbers.
    fn ordered(self, mut record: Record) -> Record {
        if !self.late.is_empty() {
            record.operations.extend(self.late.into_values());
            record.operations.sort_unstable_by_key(|o| o.id);
        }
        record
    }
    fn node(&mut self, node: NodeId) -> NodeId {
        match self.nodes.get(&node) {
            Some(known) => known.clone(),
            None => {
                self.nodes.insert(node.clone());
                node
            }
        }
    }
    fn outcome(&mut self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Ok(reply) => Outcome::Ok(reply),
            Outcome::Fail(why) => Outcome::Fail(self.reason(why)),
            Outcome::Unknown(why) => Outcome::Unknown(self.reason(why)),
        }
    }
    fn reason(&mut self, why: Arc<str>) -> Arc<str> {
        match self.reasons.get(&why) {
            Some(known) => known.clone(),
            None => {
                self.reasons.insert(why.clone());
                why
            }
        }
    }
}

fn add(record: &mut Record, shared: &mut Shared, line: Line) -> Result<(), String> {
    match line {
        Line::Firedrill { .. } => return Err("a second header".into()),
        Line::Invoke(Invoke { id, p, n, s, t, stage, c }) => {
            if shared.find(record, id).is_some() {
                return Err(format!("operation {id} is invoked twice"));
            }
            if let Some(before) = shared.open.insert(p, id) {
                let why = format!("process {p} invokes before its operation {before} has returned");
                return Err(why);
            }
            let outcome = shared.outcome(Outcome::Unknown(NO_OUTCOME.into()));
            let operation = Operation {
                id,
                process: p,
                node: n.map(|n| shared.node(n)),
                intended: s,
                invoked: t,
                returned: None,
                stage,
                call: c,
                outcome,
            };
            shared.add(record, operation);
        }
        Line::Return(returned) => returns(record, shared, returned)?,
        Line::Dropped(at) => record.dropped.push(at),
        Line::Fault(span) => match record.faults.iter_mut().find(|f| f.id == span.id) {
            Some(known) => *known = *span,
            None => record.faults.push(*span),
        },
        Line::Node(event) => record.nodes.push(event),
        Line::Load(span) => record.load = Some(span),
        Line::Steady(steady) => record.steady = Some(steady),
        Line::End(end) => record.end = Some(end),
    }
    Ok(())
}

fn returns(record: &mut Record, shared: &mut Shared, line: Return) -> Result<(), String> {
    let Return { id, t, o } = line;
    let outcome = shared.outcome(o);
    let Some(operation) = shared.find(record, id) else {
        return Err(format!("operation {id} returns, and was never invoked"));
    };
    if operation.returned.is_some() {
        return Err(format!("operation {id} returns twice"));
    }
    if t < operation.invoked {
        let (end, begun) = (t.0, operation.invoked.0);
        return Err(format!("operation {id} returns at {end}, before its call at {begun}"));
    }
    operation.returned = Some(t);
    operation.outcome = outcome;
    let process = operation.process;
    shared.open.remove(&process);
    Ok(())
}
