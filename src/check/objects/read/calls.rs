//! Stacks and priority queues as a line for each call and each return (as LiMo and others have it):
//! `[2] call push(7)`, `[2] return`, `[3] call pop`, `[3] return 7`; `return`, `return e` or `return empty` where there
//! was nothing to take. What a take found may stand in its call instead. Real time is the order of lines. `# @object`
//! names the object; else the names of the calls tell it. What never returns is of unknown outcome.

use std::collections::HashMap;
use std::io::BufRead;

use super::{Found, History, Names, Priority, Recorded, Wrong, lines};
use crate::check::objects::Op;
use crate::check::objects::models::ContainerCall::{self, Peek, Put, Take};
use crate::check::objects::recorded::Source;

/// Whether so a call begins, behind its bracket.
pub(super) fn begins(rest: &str) -> bool {
    rest.split_once(']').is_some_and(|(who, rest)| {
        who.trim().parse::<u64>().is_ok() && rest.trim_start().starts_with("call")
    })
}

/// Reads them.
pub(super) fn read(text: impl BufRead) -> Result<Recorded, Wrong> {
    let (mut ops, mut sources) = (vec![], vec![]);
    let mut open: HashMap<u64, usize> = HashMap::new();
    let (mut names, mut object) = (Names::default(), None::<History>);
    lines(text, |line, said| {
        if let Some(comment) = said.strip_prefix('#') {
            if let Some(name) = comment.trim().strip_prefix("@object") {
                object = Some(named(name.trim())?);
            }
            return Ok(());
        }
        let parts = said.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let parts = parts.and_then(|(who, rest)| Some((who.trim().parse().ok()?, rest.trim())));
        let expected = "expected `[NUMBER] call NAME` or `[NUMBER] return`";
        let (process, rest): (u64, &str) = parts.ok_or(expected)?;
        if let Some(call) = rest.strip_prefix("call ") {
            if open.insert(process, ops.len()).is_some() {
                return Err(format!("{process} calls before its last call has returned"));
            }
            let (name, argument) = split(call);
            let argument = argument.map(|text| names.value(text));
            let (call, of) = call_of(name, argument)?;
            object = object.take().or(of);
            ops.push(Op { call, invoked: line as u64, returned: None });
            sources.push(Source { process, line });
        } else if let Some(found) = rest.strip_prefix("return") {
            let begun = open.remove(&process).and_then(|begun| ops.get_mut(begun));
            let op: &mut Op<ContainerCall> =
                begun.ok_or_else(|| format!("{process} returns from what it never called"))?;
            op.returned = Some(line as u64);
            let found = match found.trim() {
                "" if matches!(op.call, Take(Found::Value(_)) | Peek(Found::Value(_))) => None,
                "" | "e" | "empty" => Some(Found::Nothing),
                value => Some(Found::Value(names.value(value))),
            };
            match (&mut op.call, found) {
                (Take(own) | Peek(own), Some(found)) => {
                    if matches!((&own, found), (Found::Value(a), Found::Value(b)) if *a != b) {
                        return Err("it returns something else than its call says".into());
                    }
                    *own = found;
                }
                (Put(_), _) | (_, None) => {}
            }
        } else {
            return Err(expected.into());
        }
        Ok(())
    })?;
    let history = match object {
        Some(History::Priority(queue, _)) => History::Priority(queue, ops),
        _ => History::Stack(ops),
    };
    Ok(Recorded { history, sources, names: names.names })
}

fn named(object: &str) -> Result<History, String> {
    match object {
        "atomic-stack" => Ok(History::Stack(vec![])),
        "atomic-priority-queue" | "atomic-priorityqueue" => {
            Ok(History::Priority(Priority::default(), vec![]))
        }
        other => Err(format!(
            "`{other}` is none of the objects that are known here: atomic-stack, \
             atomic-priority-queue"
        )),
    }
}

/// The name, and what stands in brackets or behind it.
fn split(call: &str) -> (&str, Option<&str>) {
    let (name, rest) = match (call.split_once('('), call.split_once(char::is_whitespace)) {
        (Some((name, rest)), _) => (name, rest.trim_end().strip_suffix(')').unwrap_or(rest)),
        (None, Some((name, rest))) => (name, rest),
        (None, None) => (call, ""),
    };
    (name.trim(), Some(rest.trim()).filter(|argument| !argument.is_empty()))
}

/// What is called, and what object the name tells of, if of one alone.
fn call_of(name: &str, argument: Option<i64>) -> Result<(ContainerCall, Option<History>), String> {
    let found = argument.map_or(Found::Unknown, Found::Value);
    let stack = || Some(History::Stack(vec![]));
    let queue = || Some(History::Priority(Priority::default(), vec![]));
    let put = || argument.map(Put).ok_or_else(|| format!("`{name}` without what it puts"));
    Ok(match name {
        "push" => (put()?, stack()),
        "insert" => (put()?, queue()),
        "add" | "put" => (put()?, None),
        "pop" => (Take(found), stack()),
        "poll" => (Take(found), queue()),
        "remove" | "take" => (Take(found), None),
        "peek" => (Peek(found), None),
        "top" => (Peek(found), stack()),
        _ => {
            return Err(format!(
                "unknown call `{name}`; known: push, insert, add, put; pop, poll, remove, take; \
                 peek, top"
            ));
        }
    })
}
