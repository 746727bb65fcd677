//! Histories of objects other than registers and queues, in the formats of several tools.
//!
//! Bounds: a line, where the format has lines, is at most [`LINE_MAX`] bytes long, a text that is read as a whole at
//! most [`TEXT_MAX`]. Never panics.

mod calls;
mod intervals;
mod jepsen;
mod pairs;
mod store;

use std::collections::HashMap;
use std::io::{BufRead, Read};

use crate::check::objects::models::{Found, Priority};
use crate::check::objects::recorded::{History, Recorded};
use crate::history::foreign::{self, Wrong};

/// A longer line is refused.
const LINE_MAX: u64 = 1 << 20;

/// A longer text is refused where it is read as a whole.
const TEXT_MAX: u64 = 1 << 31;

/// How a history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A line for each call and each return: `[2] call push(7)`, `[2] return`.
    Calls,
    /// An operation a line, with its arguments and its interval, under a line that names the object: `# stack`.
    Intervals,
    /// Texts by key, an event a line: `{:process 0, :type :invoke, :f :append, :key "k", :value "v"}`.
    Store,
    /// Jepsen's EDN, or JSON of the same shape.
    Jepsen,
}

/// Reads a history. `format`: `None` finds it out.
pub fn read(mut text: impl BufRead, format: Option<Format>) -> Result<Recorded, Wrong> {
    let failed = |e: std::io::Error| Wrong { line: 1, why: e.to_string() };
    let format = match format {
        Some(format) => format,
        None => guess(text.fill_buf().map_err(failed)?).ok_or_else(|| Wrong {
            line: 1,
            why: "neither calls and returns, nor intervals, nor EDN or JSON".into(),
        })?,
    };
    match format {
        Format::Calls => calls::read(text),
        Format::Intervals => intervals::read(text),
        Format::Store => store::read(&whole(text)?),
        Format::Jepsen => jepsen::read(&whole(text)?),
    }
}

/// By the first letters that say something. What is in EDN or JSON tells by its operations what it is.
fn guess(begin: &[u8]) -> Option<Format> {
    let text = String::from_utf8_lossy(begin);
    let first = text.lines().map(str::trim).find(|line| {
        !line.is_empty() && (!line.starts_with('#') || intervals::object(line).is_some())
    });
    let is_call = text.lines().map(str::trim).any(|line| {
        line.starts_with("# @object") || line.strip_prefix('[').is_some_and(calls::begins)
    });
    match first?.as_bytes() {
        _ if is_call => Some(Format::Calls),
        [b'#', ..] => Some(Format::Intervals),
        [b'{' | b'[' | b'(', ..] if text.contains(":key") || text.contains("\"key\"") => {
            Some(Format::Store)
        }
        [b'{' | b'[' | b'(' | b';', ..] => Some(Format::Jepsen),
        _ => None,
    }
}

fn whole(text: impl BufRead) -> Result<String, Wrong> {
    let whole = foreign::whole(text.take(TEXT_MAX + 1))?;
    match whole.len() as u64 > TEXT_MAX {
        true => Err(Wrong { line: 1, why: format!("longer than {TEXT_MAX} bytes") }),
        false => Ok(whole),
    }
}

/// Hands out lines that say something, each with its number; comments are among them.
fn lines(
    mut text: impl BufRead,
    mut take: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), Wrong> {
    let (mut line, mut number) = (Vec::with_capacity(128), 0);
    loop {
        line.clear();
        number += 1;
        let wrong = |why: String| Wrong { line: number, why };
        let mut part = text.by_ref().take(LINE_MAX + 1);
        let read = part.read_until(b'\n', &mut line).map_err(|e| wrong(e.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        if read as u64 > LINE_MAX {
            return Err(wrong(format!("a line of more than {LINE_MAX} bytes")));
        }
        let said = std::str::from_utf8(&line).map_err(|_| wrong("it is no UTF-8".into()))?;
        if !said.trim().is_empty() {
            take(number, said.trim()).map_err(wrong)?;
        }
    }
}

/// Values that are no numbers are numbered from below, where no history has any.
#[derive(Debug, Default)]
struct Names {
    known: HashMap<String, i64>,
    names: Vec<String>,
}

impl Names {
    fn value(&mut self, text: &str) -> i64 {
        if let Ok(number) = text.parse() {
            return number;
        }
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = i64::MIN.saturating_add(i64::try_from(self.names.len()).unwrap_or(i64::MAX));
        self.known.insert(text.to_string(), number);
        self.names.push(text.to_string());
        number
    }
}

#[cfg(test)]
mod tests;
