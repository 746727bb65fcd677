//! Operations on logs as JSON lines, one a line.

use std::io::BufRead;

use serde::Deserialize;

use super::super::history::{Act, Does, Messages, Name, Operation, Outcome, What};
use crate::history::foreign::Wrong;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    c: u32,
    #[serde(default)]
    k: Option<Value>,
    f: String,
    #[serde(default)]
    v: Option<Value>,
    #[serde(default)]
    off: Option<u64>,
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    vs: Option<Vec<Read>>,
    t0: u64,
    #[serde(default)]
    t1: Option<u64>,
    s: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    At((u64, Value)),
    Alone(Value),
}

impl Value {
    fn name(&self) -> Name<'_> {
        match self {
            Value::Number(number) => Name::Number(*number),
            Value::Text(text) => Name::Text(text),
        }
    }
}

/// Reads them. Memory: one line beside what is read.
pub fn read(mut text: impl BufRead) -> Result<Messages, Wrong> {
    let mut history = Messages::default();
    let (mut line, mut number) = (vec![], 0);
    loop {
        line.clear();
        number += 1;
        let wrong = |why: String| Wrong { line: number, why };
        if text.read_until(b'\n', &mut line).map_err(|e| wrong(e.to_string()))? == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let one = serde_json::from_slice(&line).map_err(|e| wrong(e.to_string()))?;
        add(&mut history, &one, number).map_err(wrong)?;
    }
    history.sort();
    Ok(history)
}

fn add(history: &mut Messages, line: &Line, number: usize) -> Result<(), String> {
    let outcome = match line.s.as_str() {
        "ok" => Outcome::Ok,
        "fail" => Outcome::Fail,
        "info" => Outcome::Info,
        other => return Err(format!("`s` is {other:?}: expected ok, fail or info")),
    };
    let returned = line.t1.filter(|_| outcome != Outcome::Info);
    if returned.is_some_and(|end| end < line.t0) {
        return Err("it ends (`t1`) before it begins (`t0`)".into());
    }
    let key = history.intern_key(line.k.as_ref().map_or(Name::Number(0), Value::name));
    match line.f.as_str() {
        "append" => {
            let value = line.v.as_ref().ok_or("an append without its value `v`")?;
            let value = history.intern_value(value.name());
            history.push(Act { key, what: What::Send, value, offset: line.off });
        }
        "read" => {
            let from = line.from.ok_or("a read without its first offset `from`")?;
            history.push(Act { key, what: What::Turn, value: 0, offset: None });
            reads(history, key, line, Some(from))?;
        }
        "poll" => reads(history, key, line, None)?,
        other => return Err(format!("unknown `f` {other:?}; known: append, read, poll")),
    }
    let (process, line, invoked) = (line.c, number as u32, line.t0);
    let does = Does::Messages;
    history.end(Operation { process, line, invoked, returned, outcome, does, from: 0, to: 0 });
    Ok(())
}

/// What was read. `from`: one message behind the other from this offset on, or else each with its own.
fn reads(history: &mut Messages, key: u32, line: &Line, from: Option<u64>) -> Result<(), String> {
    for (at, read) in line.vs.iter().flatten().enumerate() {
        let (offset, value) = match (read, from) {
            (Read::Alone(value), Some(from)) => (from.saturating_add(at as u64), value),
            (Read::At((offset, value)), None) => (*offset, value),
            (_, Some(_)) => return Err("a read of pairs: expected values in `vs`".into()),
            (_, None) => return Err("a poll without offsets: expected pairs in `vs`".into()),
        };
        let value = history.intern_value(value.name());
        history.push(Act { key, what: What::Read, value, offset: Some(offset) });
    }
    Ok(())
}
