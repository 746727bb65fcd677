//! Events in EDN or JSON, each a map with `:process`, `:type` and `:f`: the call and the completion of each operation,
//! in pairs. Real time is the order of writing.

use std::collections::HashMap;

use super::Wrong;
use crate::history::foreign::edn::{Edn, Reader};
use crate::history::foreign::goes_on;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Ok,
    Fail,
    /// Nobody knows, or it never did.
    Info,
}

/// An operation, as it is written.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    /// The line of its call.
    pub line: usize,
    pub process: u64,
    pub f: &'a str,
    /// What its call says, and its completion.
    pub call: Edn<'a>,
    pub done: Option<Edn<'a>>,
    pub end: End,
    /// The places of its call and of its completion in the order of writing.
    pub invoked: u64,
    pub returned: Option<u64>,
}

/// Reads them, in the order of their calls. Whoever is no client (`:nemesis`) is left out.
pub(super) fn read(text: &str) -> Result<Vec<Pair<'_>>, Wrong> {
    let mut reader = Reader::new(text);
    reader.enter();
    let (mut pairs, mut open): (Vec<Pair>, HashMap<u64, usize>) = Default::default();
    let (mut line, mut counted, mut now, mut index) = (1, 0, 0, None);
    loop {
        let begin = reader.place();
        let Some(value) = reader.value()? else { break };
        // Counted on from the last one.
        let between = text.as_bytes().get(counted..begin).unwrap_or_default();
        line += between.iter().filter(|byte| **byte == b'\n').count();
        counted = begin;
        now += 1;
        let wrong = |why: String| Err(Wrong { line, why });
        let kind = value.get("type").and_then(Edn::word);
        let Some(kind @ ("invoke" | "ok" | "fail" | "info")) = kind else {
            return wrong("expected a map with :type :invoke, :ok, :fail or :info".into());
        };
        if let Some(own) = value.get("index").and_then(Edn::int)
            && let Some(last) = index.replace(own).filter(|last| *last >= own)
        {
            return wrong(format!("its :index is {own}, that of the event before it {last}"));
        }
        let process = match value.get("process") {
            Some(Edn::Int(process)) => u64::try_from(*process),
            Some(_) => continue,
            None => return wrong("an event without :process".into()),
        };
        let Ok(process) = process else {
            return wrong("a :process that is no number from 0 on".into());
        };
        let f = value.get("f").and_then(Edn::word).unwrap_or_default();
        if kind == "invoke" {
            if let Some(begun) = open.insert(process, pairs.len()) {
                let line = pairs.get(begun).map_or(0, |pair| pair.line);
                return wrong(format!(
                    "process {process} invokes before its operation of line {line} has ended"
                ));
            }
            let (done, end, invoked, returned) = (None, End::Info, now, None);
            pairs.push(Pair { line, process, f, call: value, done, end, invoked, returned });
            continue;
        }
        let begun = open.remove(&process).and_then(|begun| pairs.get_mut(begun));
        let Some(pair) = begun else {
            return wrong(format!("process {process} ends an operation that it never invoked"));
        };
        if f != pair.f {
            return wrong(format!("process {process} ends `{f}`, but invoked `{}`", pair.f));
        }
        let time = |event: &Edn| event.get("time").and_then(Edn::int);
        if let Err(why) = goes_on(time(&pair.call), time(&value)) {
            return wrong(why);
        }
        pair.end = match kind {
            "ok" => End::Ok,
            "fail" => End::Fail,
            _ => End::Info,
        };
        pair.returned = (pair.end == End::Ok).then_some(now);
        pair.done = Some(value);
    }
    reader.end()?;
    Ok(pairs)
}
