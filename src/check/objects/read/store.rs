//! Texts by key, which are got, put and appended to (as Porcupine's tests have it): an event a line,
//! `{:process 0, :type :invoke, :f :append, :key "k", :value "v"}`. Keys and texts may also be numbers.

use std::sync::Arc;

use super::pairs::{self, End};
use super::{History, Recorded, Wrong};
use crate::check::objects::Op;
use crate::check::objects::models::TextCall;
use crate::check::objects::recorded::Source;
use crate::history::foreign::edn::Edn;

/// Reads them.
pub(super) fn read(text: &str) -> Result<Recorded, Wrong> {
    let (mut ops, mut sources) = (vec![], vec![]);
    for pair in pairs::read(text)? {
        let wrong = |why: String| Wrong { line: pair.line, why };
        let key = pair.call.get("key").and_then(written);
        let key = key.ok_or_else(|| wrong("an operation without :key".into()))?;
        let value = pair.call.get("value").and_then(written);
        let value = || value.ok_or_else(|| wrong(format!("`{}` without :value", pair.f)));
        let call = match pair.f {
            "put" | "write" => TextCall::Put(value()?),
            "append" => TextCall::Append(value()?),
            "get" | "read" if pair.end == End::Ok => {
                let got = pair.done.as_ref().and_then(|done| done.get("value"));
                let got = got.filter(|got| **got != Edn::Nil);
                TextCall::Get(got.map_or(Some("".into()), written).ok_or_else(|| {
                    wrong("a `get` that answers neither a text nor a number".into())
                })?)
            }
            // What it got, nobody knows.
            "get" | "read" => continue,
            other => return Err(wrong(format!("unknown :f `{other}`; known: get, put, append"))),
        };
        if pair.end != End::Fail {
            let (invoked, returned) = (pair.invoked, pair.returned);
            ops.push(Op { call: (key, call), invoked, returned });
            sources.push(Source { process: pair.process, line: pair.line });
        }
    }
    Ok(Recorded { history: History::Store(ops), sources, names: vec![] })
}

fn written(value: &Edn) -> Option<Arc<str>> {
    match value {
        Edn::Int(number) => Some(number.to_string().into()),
        other => other.word().map(Into::into),
    }
}
