//! Histories that others recorded, read for what they are: operations, from call to return.
//!
//! Pure but for the reading itself. Deliberately absent: what a drill records besides, and any judgement.

mod calls;
pub(crate) mod edn;
mod jepsen;
mod jsonl;

use std::fmt;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::packed::open;
use super::told;
use super::transactions::{self, Transactions};
use super::{Call, Operation, Outcome, Process, Stage, Time};

/// How a history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Jepsen's EDN, or JSON of the same shape: one vector, or an operation a line.
    Jepsen,
    /// JSON lines, an operation on a register each: `{"c","k","f","v","v2","t0","t1","s"}`.
    JsonLines,
    /// A line for each call and each return, of queues: `[2] call enq(7)`, `[2] return`.
    Calls,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Foreign {
    /// In the order of invocation, as far as the file keeps to it.
    pub operations: Vec<Operation>,
    /// What the keys are called there, by their numbers; empty where they are numbers themselves.
    pub keys: Vec<String>,
}

/// What is wrong, and in which line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The line.
    pub line: usize,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

/// A history that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// Its text says something else than a history.
    #[error("{file}:{line}: {why}")]
    Text {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// It cannot be read at all.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// Why.
        why: io::Error,
    },
}

impl ForeignError {
    fn text(path: &Path, Wrong { line, why }: Wrong) -> ForeignError {
        ForeignError::Text { file: path.display().to_string(), line, why: told::plain(&why) }
    }

    fn file(path: &Path, why: io::Error) -> ForeignError {
        ForeignError::File { file: path.display().to_string(), why }
    }
}

/// An operation that nothing has ended yet.
fn begun(id: usize, process: Process, now: Time, call: Call, outcome: Outcome) -> Operation {
    Operation {
        id: id as u64,
        process,
        node: None,
        intended: now,
        invoked: now,
        returned: None,
        stage: Stage::Load,
        call,
        outcome,
    }
}

/// Reads a history. `format`: `None` finds it out.
pub fn read(path: &Path, format: Option<Format>) -> Result<Foreign, ForeignError> {
    let failed = |why| ForeignError::file(path, why);
    let mut text = open(path).map_err(failed)?;
    let format = match format {
        Some(format) => Some(format),
        None => guess(text.fill_buf().map_err(failed)?),
    };
    let read = match format {
        Some(Format::JsonLines) => jsonl::read(text),
        Some(Format::Calls) => calls::read(text),
        Some(Format::Jepsen) => whole(text).and_then(|text| jepsen::read(&text)),
        None => {
            let why = "neither JSON lines, nor EDN, nor calls and returns: say which with --format";
            Err(Wrong { line: 1, why: why.into() })
        }
    };
    read.map_err(|wrong| ForeignError::text(path, wrong))
}

/// Reads a history of transactions. `format`: `None` finds it out.
pub fn read_transactions(
    path: &Path,
    format: Option<transactions::Format>,
) -> Result<Transactions, ForeignError> {
    let failed = |why| ForeignError::file(path, why);
    let mut text = vec![];
    open(path).map_err(failed)?.read_to_end(&mut text).map_err(failed)?;
    Transactions::read(&text, format).map_err(|wrong| ForeignError::text(path, wrong))
}

/// Reads a file's text by a reader, whatever it is packed in.
pub fn read_by<T>(
    path: &Path,
    reader: impl FnOnce(Box<dyn BufRead>) -> Result<T, Wrong>,
) -> Result<T, ForeignError> {
    let text = open(path).map_err(|why| ForeignError::file(path, why))?;
    reader(text).map_err(|wrong| ForeignError::text(path, wrong))
}

/// Whether it is a drill's own record, and not somebody else's.
pub fn is_drill(path: &Path) -> bool {
    let begin = |mut text: Box<dyn BufRead>| {
        text.fill_buf().is_ok_and(|begin| begin.trim_ascii_start().starts_with(b"{\"firedrill\":"))
    };
    open(path).is_ok_and(begin)
}

/// That an end is not before its beginning, where the text says when they were; -1 says that nobody knows.
pub(crate) fn goes_on(begun: Option<i64>, end: Option<i64>) -> Result<(), String> {
    match begun.zip(end) {
        Some((begun, end)) if (0..begun).contains(&end) => {
            Err(format!("it returns at {end}, before its call at {begun}"))
        }
        _ => Ok(()),
    }
}

/// A text to its end.
pub(crate) fn whole(mut text: impl Read) -> Result<String, Wrong> {
    let mut bytes = vec![];
    let line = |bytes: &[u8]| 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    if let Err(e) = text.read_to_end(&mut bytes) {
        return Err(Wrong { line: line(&bytes), why: e.to_string() });
    }
    String::from_utf8(bytes).map_err(|e| {
        let before = e.as_bytes().get(..e.utf8_error().valid_up_to());
        Wrong { line: line(before.unwrap_or_default()), why: "it is no UTF-8".into() }
    })
}

/// `[2] call ...`.
fn is_call(text: &[u8]) -> bool {
    let number = text.strip_prefix(b"[").map(|rest| rest.trim_ascii_start());
    let rest = number.map(|rest| {
        rest.iter().position(|byte| !byte.is_ascii_digit()).map(|at| rest.split_at(at))
    });
    rest.flatten().is_some_and(|(digits, rest)| !digits.is_empty() && rest.starts_with(b"] call"))
}

/// By the first letters that say something.
fn guess(begin: &[u8]) -> Option<Format> {
    let text = begin.trim_ascii_start();
    if text.starts_with(b"# @object") || is_call(text) {
        return Some(Format::Calls);
    }
    let inside = text.strip_prefix(b"[").or_else(|| text.strip_prefix(b"(")).unwrap_or(text);
    let inside = inside.trim_ascii_start();
    match inside {
        [b'{', rest @ ..] => match rest.trim_ascii_start().first()? {
            // One value of many, and not a line of its own, is Jepsen's.
            b'"' if inside.len() == text.len() => Some(Format::JsonLines),
            b'"' => Some(Format::Jepsen),
            b':' => Some(Format::Jepsen),
            _ => None,
        },
        [b'#' | b';', ..] => Some(Format::Jepsen),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LINE: &[u8] = br#"{"c":4,"k":2,"f":"r","v":null,"t0":1,"t1":2,"s":"ok"}"#;

    #[test]
    fn what_it_is_written_in_is_found_out_through_what_it_is_packed_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        gzip.write_all(LINE).unwrap();
        let packed = [LINE.to_vec(), zstd::encode_all(LINE, 1).unwrap(), gzip.finish().unwrap()];
        for bytes in packed {
            let path = folder.path().join("history");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path, None).unwrap().operations.len(), 1);
        }
        let path = folder.path().join("other");
        std::fs::write(&path, "\n once upon a time").unwrap();
        let told = read(&path, None).unwrap_err().to_string();
        assert!(told.ends_with(
            "other:1: neither JSON lines, nor EDN, nor calls and returns: say which with --format"
        ));
        assert!(
            read(&path, Some(Format::Jepsen))
                .unwrap_err()
                .to_string()
                .contains("other:2: no operation")
        );
        assert!(
            read(&folder.path().join("none"), None)
                .unwrap_err()
                .to_string()
                .contains("none: No such")
        );
    }

    #[test]
    fn a_format_is_told_by_its_first_letters() {
        assert_eq!(guess(b"\n[{:type :ok}"), Some(Format::Jepsen));
        assert_eq!(guess(b"{:type :ok}"), Some(Format::Jepsen));
        assert_eq!(guess(b"#jepsen.history.Op{:index 0}"), Some(Format::Jepsen));
        assert_eq!(guess(b" { \"c\":1}"), Some(Format::JsonLines));
        assert_eq!(guess(b"[ {\"type\":1}"), Some(Format::Jepsen));
        assert_eq!(guess(b"[2] call enq(7)\n"), Some(Format::Calls));
        assert_eq!(guess(b""), None);
    }
}
