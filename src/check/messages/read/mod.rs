//! Reads histories of logs: those of Jepsen's workload `jepsen.tests.kafka`, and JSON lines.

mod jepsen;
mod jsonl;

use std::io::BufRead;

use super::history::Messages;
use crate::history::foreign::Wrong;

/// How a history of logs is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Jepsen's operations in EDN, or as JSON of the same shape: one vector, or one after the other.
    Jepsen,
    /// An operation a line: `{"c":client,"k":log,"f":"append","v":value,"off":offset|null,"t0":ns,"t1":ns|null,
    /// "s":"ok"|"fail"|"info"}`, `{..,"f":"read","from":offset,"vs":[values],..}` of messages that stand one behind the
    /// other, or `{..,"f":"poll","vs":[[offset,value],..],..}` from where the client is.
    JsonLines,
}

/// Reads a history. `format`: `None` finds it out.
pub fn read(mut text: impl BufRead, format: Option<Format>) -> Result<Messages, Wrong> {
    let wrong = |why: std::io::Error| Wrong { line: 1, why: why.to_string() };
    let format = match format {
        Some(format) => format,
        None => guess(text.fill_buf().map_err(wrong)?),
    };
    match format {
        Format::JsonLines => jsonl::read(text),
        Format::Jepsen => {
            let mut whole = String::new();
            text.read_to_string(&mut whole).map_err(wrong)?;
            jepsen::read(&whole)
        }
    }
}

/// A line of its own that begins with a text is no value of Jepsen's, unless one of its own names stands there.
fn guess(begin: &[u8]) -> Format {
    let text = begin.trim_ascii_start();
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let inside = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    let has = |name: &[u8]| line.windows(name.len()).any(|own| own == name);
    match inside {
        Some([b'"', ..]) if has(b"\"t0\"") || !has(b"\"type\"") => Format::JsonLines,
        _ => Format::Jepsen,
    }
}
