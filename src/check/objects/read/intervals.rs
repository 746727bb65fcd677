//! An operation a line, under a line that names the object. Two ways of writing it: `push 1 3 7` (as fastlin has it:
//! call, value, when it was called and returned), and `0 3 7 PUSH 1` (as fptlin has it: client, when it was called and
//! returned, call, values). -1 is what is found where nothing is there. Of priority queues the largest value comes
//! first. All operations are complete.

use std::io::BufRead;

use super::{Found, History, Priority, Recorded, Wrong, lines};
use crate::check::objects::Op;
use crate::check::objects::models::{ContainerCall, RmwCall, SemaphoreCall, SetCall};
use crate::check::objects::recorded::Source;

/// The object that a line names.
pub(super) fn object(line: &str) -> Option<History> {
    Some(match line.strip_prefix('#')?.trim().to_ascii_lowercase().as_str() {
        "stack" => History::Stack(vec![]),
        "priorityqueue" => History::Priority(Priority::default(), vec![]),
        "set" => History::Set(vec![]),
        "semaphore" => History::Semaphore(Default::default(), vec![]),
        "rmw" => History::Rmw(Default::default(), vec![]),
        _ => return None,
    })
}

/// Reads them.
pub(super) fn read(text: impl BufRead) -> Result<Recorded, Wrong> {
    let (mut history, mut sources) = (None::<History>, vec![]);
    lines(text, |line, said| {
        if said.starts_with('#') {
            match (object(said), &history) {
                (Some(_), Some(_)) => return Err("the object is named a second time".into()),
                (named, None) => history = named,
                (None, Some(_)) => {}
            }
            return Ok(());
        }
        let Some(history) = &mut history else {
            return Err(
                "expected `# OBJECT` first: stack, priorityqueue, set, semaphore, rmw".into()
            );
        };
        let words: Vec<&str> = said.split_whitespace().collect();
        let (process, invoked, returned, name, values) = match words.as_slice() {
            [client, rest @ ..] if client.parse::<u64>().is_ok() => match rest {
                // As an older version has it: the interval at the end.
                [name, values @ .., from, to] if name.parse::<u64>().is_err() => {
                    (number(client)?, number(from)?, number(to)?, *name, values)
                }
                [from, to, name, values @ ..] => {
                    (number(client)?, number(from)?, number(to)?, *name, values)
                }
                _ => {
                    return Err("expected a client, when it called and returned, and a call".into());
                }
            },
            [name, values @ .., from, to] => {
                (sources.len() as u64, number(from)?, number(to)?, *name, values)
            }
            _ => {
                return Err(
                    "expected a call, its value, and when it was called and returned".into()
                );
            }
        };
        if returned < invoked {
            return Err(format!("it returns at {returned}, before its call at {invoked}"));
        }
        let values = values
            .iter()
            .map(|word| word.parse::<i64>().map_err(|_| format!("`{word}` is no whole number")));
        let values = values.collect::<Result<Vec<i64>, String>>()?;
        let name = name.to_ascii_lowercase();
        let (name, returned) = (name.as_str(), Some(returned));
        match history {
            History::Stack(ops) => {
                let call = container(name, &values, "push", "pop")?;
                ops.push(Op { call, invoked, returned });
            }
            History::Priority(_, ops) => {
                let call = container(name, &values, "insert", "poll")?;
                ops.push(Op { call, invoked, returned });
            }
            History::Set(ops) => ops.push(Op { call: set(name, &values)?, invoked, returned }),
            History::Semaphore(_, ops) => {
                ops.push(Op { call: semaphore(name, &values)?, invoked, returned });
            }
            History::Rmw(_, ops) => ops.push(Op { call: rmw(name, &values)?, invoked, returned }),
            _ => return Err("an object that is not written so".into()),
        }
        sources.push(Source { process, line });
        Ok(())
    })?;
    match history {
        Some(history) => Ok(Recorded { history, sources, names: vec![] }),
        None => Err(Wrong { line: 1, why: "no object is named".into() }),
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number from 0 on"))
}

fn unknown<T>(name: &str, known: &str) -> Result<T, String> {
    Err(format!("unknown call `{name}`, or not its values; known: {known}"))
}

fn container(name: &str, values: &[i64], put: &str, take: &str) -> Result<ContainerCall, String> {
    let found = |value| if value == -1 { Found::Nothing } else { Found::Value(value) };
    match values {
        [-1] if name == put => Err("-1 cannot be put in: it stands for nothing".into()),
        [value] if name == put => Ok(ContainerCall::Put(*value)),
        [value] if name == take => Ok(ContainerCall::Take(found(*value))),
        [value] if name == "peek" => Ok(ContainerCall::Peek(found(*value))),
        _ => unknown(name, &format!("{put} VALUE, {take} VALUE, peek VALUE")),
    }
}

fn set(name: &str, values: &[i64]) -> Result<SetCall, String> {
    match (name, values) {
        ("insert", [element, new @ (0 | 1)]) => Ok(SetCall::Add(*element, Some(*new == 1))),
        ("remove", [element, new @ (0 | 1)]) => Ok(SetCall::Remove(*element, Some(*new == 1))),
        ("contains", [element, is_in @ (0 | 1)]) => Ok(SetCall::Contains(*element, *is_in == 1)),
        // As fastlin has it.
        ("insert" | "add", [element]) => Ok(SetCall::Add(*element, Some(true))),
        ("remove", [element]) => Ok(SetCall::Remove(*element, Some(true))),
        ("contains_true", [element]) => Ok(SetCall::Contains(*element, true)),
        ("contains_false", [element]) => Ok(SetCall::Contains(*element, false)),
        _ => unknown(name, "insert, remove, contains, each with an element and 0 or 1"),
    }
}

fn semaphore(name: &str, values: &[i64]) -> Result<SemaphoreCall, String> {
    match (name, values) {
        ("incr", [1]) => Ok(SemaphoreCall::Up),
        ("decr", [1]) => Ok(SemaphoreCall::Down(Some(true))),
        // Either one fails where there is no permit, and only there.
        ("incr" | "decr", [0]) => Ok(SemaphoreCall::Down(Some(false))),
        _ => unknown(name, "incr and decr, each with 0 or 1"),
    }
}

fn rmw(name: &str, values: &[i64]) -> Result<RmwCall, String> {
    match (name, values) {
        ("read_modify_write" | "rmw", [found, after]) => {
            Ok(RmwCall::ReadModifyWrite(*found, *after))
        }
        ("read", [found]) => Ok(RmwCall::Read(*found)),
        ("write", [value]) => Ok(RmwCall::Write(*value)),
        _ => unknown(name, "read_modify_write FOUND AFTER, read FOUND, write VALUE"),
    }
}
