//! Histories of Jepsen's workload `jepsen.tests.kafka`, in EDN or as JSON of the same shape: one vector of operations,
//! or one operation after the other. `:invoke` begins one, `:ok`, `:fail` or `:info` of the same process ends it.
//!
//! `:send`, `:poll` and `:txn` have vectors of `[:send log message]`, answered as `[:send log [offset message]]`, and
//! of `[:poll]`, answered as `[:poll {log [[offset message] ..]}]`; offsets may be nil. `:assign` and `:subscribe` have
//! the logs that are polled from now on, with `:seek-to-beginning?` from their beginning. `:rebalance-log` tells of
//! logs that changed hands meanwhile. Real time is the order of writing: an instant is the place of an event.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::super::history::{Act, Does, Messages, Name, Operation, Outcome, Turn, What};
use crate::history::foreign::Wrong;
use crate::history::foreign::edn::{Edn, Reader};

/// What began and has not ended.
struct Open<'a> {
    line: usize,
    invoked: u64,
    event: Edn<'a>,
}

/// Reads a history. Whoever is no client (`:nemesis`) is left out.
pub fn read(text: &str) -> Result<Messages, Wrong> {
    let mut reader = Reader::new(text);
    reader.enter();
    let mut history = Messages::default();
    let mut open: HashMap<u32, Open, RandomState> = HashMap::default();
    let mut lines = Lines { text, seen: 0, line: 1 };
    for at in 0.. {
        let line = lines.at(reader.place());
        let Some(event) = reader.value()? else { break };
        let wrong = |why: String| Wrong { line, why };
        self::event(&mut history, &mut open, event, (line, at)).map_err(wrong)?;
    }
    reader.end()?;
    for (process, begun) in open {
        let wrong = |why| Wrong { line: begun.line, why };
        let end = operation(process, begun.line, &begun, None, Outcome::Info);
        add(&mut history, &begun.event, None, end).map_err(wrong)?;
    }
    history.sort();
    Ok(history)
}

/// Begins an operation, or ends one.
fn event<'a>(
    history: &mut Messages,
    open: &mut HashMap<u32, Open<'a>, RandomState>,
    event: Edn<'a>,
    (line, at): (usize, u64),
) -> Result<(), String> {
    let Some(process) = process(&event)? else { return Ok(()) };
    let outcome = match event.get("type").and_then(Edn::word) {
        Some("invoke") => {
            let before = open.insert(process, Open { line, invoked: at, event });
            return match before.map(|before| before.line) {
                None => Ok(()),
                Some(line) => Err(format!(
                    "process {process} invokes before its operation of line {line} has ended"
                )),
            };
        }
        Some("ok") => Outcome::Ok,
        Some("fail") => Outcome::Fail,
        Some("info") => Outcome::Info,
        _ => return Err("expected a map with :type :invoke, :ok, :fail or :info".into()),
    };
    let Some(begun) = open.remove(&process) else {
        return Err(format!("process {process} ends an operation that it never invoked"));
    };
    let end = operation(process, line, &begun, Some(at), outcome);
    add(history, &begun.event, Some(&event), end)
}

fn operation(
    process: u32,
    line: usize,
    begun: &Open,
    ended: Option<u64>,
    outcome: Outcome,
) -> Operation {
    let (line, invoked) = (line as u32, begun.invoked);
    let returned = ended.filter(|_| outcome != Outcome::Info);
    let does = Does::Messages;
    Operation { process, line, invoked, returned, outcome, does, from: 0, to: 0 }
}

/// Counted on from the last one: a history has many lines.
struct Lines<'a> {
    text: &'a str,
    seen: usize,
    line: usize,
}

impl Lines<'_> {
    fn at(&mut self, place: usize) -> usize {
        let between = self.text.as_bytes().get(self.seen..place).unwrap_or_default();
        self.line += between.iter().filter(|byte| **byte == b'\n').count();
        self.seen = place;
        self.line
    }
}

/// `None`: it is nobody's who counts.
fn process(event: &Edn) -> Result<Option<u32>, String> {
    match event.get("process") {
        Some(Edn::Int(n)) => match u32::try_from(*n) {
            Ok(process) => Ok(Some(process)),
            Err(_) => Err("a :process that is no number from 0 on".into()),
        },
        Some(_) => Ok(None),
        None => Err("no operation: expected a map with :type and :process".into()),
    }
}

/// Adds an operation from its two events.
fn add(
    history: &mut Messages,
    begun: &Edn,
    ended: Option<&Edn>,
    mut operation: Operation,
) -> Result<(), String> {
    let answer = ended.and_then(|event| event.get("value")).filter(|value| **value != Edn::Nil);
    let value = answer.or_else(|| begun.get("value"));
    let all = || value.and_then(Edn::seq).unwrap_or_default();
    let f = begun.get("f").and_then(Edn::word).unwrap_or_default();
    match f {
        "send" | "poll" | "txn" => {
            let log = ended.and_then(|event| event.get("rebalance-log")).and_then(Edn::seq);
            for keys in log.into_iter().flatten().filter_map(|event| event.get("keys")) {
                turns(history, keys.seq().unwrap_or_default())?;
            }
            all().iter().try_for_each(|step| self::step(history, step))?;
        }
        "assign" | "subscribe" => {
            turns(history, all())?;
            let restart = begun.get("seek-to-beginning?") == Some(&Edn::Bool(true));
            operation.does = Does::Turns(match (restart, f) {
                (true, _) => Turn::Restart,
                (_, "assign") => Turn::Assign,
                _ => Turn::Subscribe,
            });
        }
        "crash" => operation.does = Does::Turns(Turn::Restart),
        "debug-topic-partitions" => {}
        other => {
            return Err(format!(
                "unknown :f :{other}; known: send, poll, txn, assign, subscribe, crash, \
                 debug-topic-partitions"
            ));
        }
    }
    history.end(operation);
    Ok(())
}

fn turns(history: &mut Messages, keys: &[Edn]) -> Result<(), String> {
    for key in keys {
        let key = self::key(history, key)?;
        history.push(Act { key, what: What::Turn, value: 0, offset: None });
    }
    Ok(())
}

/// `[:send log message]`, `[:send log [offset message]]`, `[:poll]` or `[:poll {log [[offset message] ..]}]`.
fn step(history: &mut Messages, step: &Edn) -> Result<(), String> {
    let parts = step.seq().unwrap_or_default();
    let f = parts.first().and_then(Edn::word);
    match (f, parts) {
        (Some("send"), [_, key, sent]) => {
            let key = self::key(history, key)?;
            let (offset, value) = match sent.seq() {
                Some(_) => pair(history, sent)?,
                None => (None, value(history, sent)?),
            };
            history.push(Act { key, what: What::Send, value, offset });
        }
        (Some("poll"), [_, Edn::Map(logs)]) => {
            for (key, pairs) in logs {
                let key = self::key(history, key)?;
                for read in pairs.seq().ok_or("expected a vector of what was polled of a log")? {
                    let (offset, value) = pair(history, read)?;
                    history.push(Act { key, what: What::Read, value, offset });
                }
            }
        }
        (Some("poll"), _) => {}
        _ => return Err("expected [:send log message] or [:poll]".into()),
    }
    Ok(())
}

fn pair(history: &mut Messages, pair: &Edn) -> Result<(Option<u64>, i64), String> {
    let Some([offset, value]) = pair.seq() else {
        return Err("expected a pair of an offset and a message".into());
    };
    let offset = match offset {
        Edn::Nil => None,
        Edn::Int(n) => Some(u64::try_from(*n).map_err(|_| "an offset below 0")?),
        _ => return Err("an offset that is no number".into()),
    };
    Ok((offset, self::value(history, value)?))
}

/// JSON's maps have texts for keys, numbers too.
fn key(history: &mut Messages, key: &Edn) -> Result<u32, String> {
    let name = match key {
        Edn::Text(text) => text.parse().map_or(Name::Text(text), Name::Number),
        other => name(other)?,
    };
    Ok(history.intern_key(name))
}

fn value(history: &mut Messages, value: &Edn) -> Result<i64, String> {
    Ok(history.intern_value(name(value)?))
}

fn name<'a>(value: &Edn<'a>) -> Result<Name<'a>, String> {
    Ok(match value {
        Edn::Int(number) => Name::Number(*number),
        Edn::Other(text) | Edn::Keyword(text) | Edn::Text(text) => Name::Text(text),
        Edn::Nil => Name::Text("nil"),
        Edn::Bool(true) => Name::Text("true"),
        Edn::Bool(false) => Name::Text("false"),
        Edn::Seq(_) | Edn::Map(_) => return Err("a log or message that is no plain value".into()),
    })
}
