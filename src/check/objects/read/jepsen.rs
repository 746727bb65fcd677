//! Jepsen's histories of locks (`:acquire`, `:release`), of sets (`:add`, and `:read` of all elements), of counters
//! (`:add`, and `:read` of the sum), and of several registers at once (`:txn` of `[:r k v]` and `[:w k v]`, or `:read`
//! and `:write` of maps). The operations tell which it is.

use super::pairs::{self, End, Pair};
use super::{History, Names, Recorded, Wrong};
use crate::check::objects::Op;
use crate::check::objects::models::{Access, CounterCall, MutexCall, SetCall};
use crate::check::objects::recorded::Source;
use crate::history::foreign::edn::Edn;

/// Reads them.
pub(super) fn read(text: &str) -> Result<Recorded, Wrong> {
    let pairs = pairs::read(text)?;
    let has = |names: &[&str]| pairs.iter().any(|pair| names.contains(&pair.f));
    let answers = || {
        let reads = pairs.iter().filter(|pair| matches!(pair.f, "read" | "r"));
        reads.filter(|pair| pair.end == End::Ok).filter_map(|pair| value(pair.done.as_ref()))
    };
    let mut names = Names::default();
    if has(&["acquire", "release"]) {
        build(&pairs, names, lock, History::Mutex)
    } else if has(&["add"]) && answers().any(|answer| answer.seq().is_some()) {
        build(&pairs, Names::default(), |pair| set(pair, &mut names), History::Set)
            .map(|read| Recorded { names: names.names, ..read })
    } else if has(&["add"]) {
        build(&pairs, names, counter, |ops| History::Counter(Default::default(), ops))
    } else if has(&["txn"]) || answers().any(|answer| matches!(answer, Edn::Map(_))) {
        let registers = |ops| History::Registers(Default::default(), ops);
        build(&pairs, Names::default(), |pair| several(pair, &mut names), registers)
            .map(|read| Recorded { names: names.names, ..read })
    } else {
        let why = "no lock (:acquire, :release), no set or counter (:add), and not several \
                   registers (:txn, or :read of a map)";
        Err(Wrong { line: pairs.first().map_or(1, |pair| pair.line), why: why.into() })
    }
}

/// `call`: `None` where an operation says nothing.
fn build<C>(
    pairs: &[Pair],
    names: Names,
    mut call: impl FnMut(&Pair) -> Result<Option<C>, String>,
    history: impl FnOnce(Vec<Op<C>>) -> History,
) -> Result<Recorded, Wrong> {
    let (mut ops, mut sources) = (vec![], vec![]);
    for pair in pairs.iter().filter(|pair| pair.end != End::Fail) {
        let call = call(pair).map_err(|why| Wrong { line: pair.line, why })?;
        if let Some(call) = call {
            ops.push(Op { call, invoked: pair.invoked, returned: pair.returned });
            sources.push(Source { process: pair.process, line: pair.line });
        }
    }
    Ok(Recorded { history: history(ops), sources, names: names.names })
}

fn value<'e, 'a>(event: Option<&'e Edn<'a>>) -> Option<&'e Edn<'a>> {
    event.and_then(|event| event.get("value")).filter(|value| **value != Edn::Nil)
}

/// What an operation answered, if it is known.
fn answer<'e, 'a>(pair: &'e Pair<'a>) -> Option<&'e Edn<'a>> {
    value(pair.done.as_ref()).filter(|_| pair.end == End::Ok)
}

fn unknown<T>(pair: &Pair, known: &str) -> Result<T, String> {
    Err(format!("unknown :f `{}`; known: {known}", pair.f))
}

fn lock(pair: &Pair) -> Result<Option<MutexCall>, String> {
    match pair.f {
        "acquire" => Ok(Some(MutexCall::Acquire)),
        "release" => Ok(Some(MutexCall::Release)),
        _ => unknown(pair, "acquire, release"),
    }
}

fn set(pair: &Pair, names: &mut Names) -> Result<Option<SetCall>, String> {
    let mut element = || {
        let own = value(Some(&pair.call)).ok_or_else(|| format!("`{}` without :value", pair.f))?;
        Ok::<i64, String>(number(own, names))
    };
    match pair.f {
        "add" => Ok(Some(SetCall::Add(element()?, None))),
        "remove" => Ok(Some(SetCall::Remove(element()?, None))),
        "read" => match answer(pair) {
            None => Ok(None),
            Some(answer) => {
                let all = answer.seq().ok_or("a `read` that answers no elements")?;
                let mut all: Vec<i64> = all.iter().map(|e| number(e, names)).collect();
                all.sort_unstable();
                Ok(Some(SetCall::All(all)))
            }
        },
        _ => unknown(pair, "add, remove, read"),
    }
}

fn counter(pair: &Pair) -> Result<Option<CounterCall>, String> {
    let by = || {
        let own = value(Some(&pair.call)).and_then(Edn::int);
        own.ok_or_else(|| format!("`{}` without a whole number in :value", pair.f))
    };
    match pair.f {
        "add" => Ok(Some(CounterCall::Add(by()?))),
        "add-and-get" => match answer(pair) {
            None => Ok(Some(CounterCall::Add(by()?))),
            Some(answer) => {
                // The sum, or what was added and the sum.
                let sum = answer.int().or_else(|| answer.seq().and_then(|all| all.last()?.int()));
                let sum = sum.ok_or("an `add-and-get` that answers no whole number")?;
                let own = value(Some(&pair.call)).and_then(|own| own.seq()?.first()?.int());
                Ok(Some(CounterCall::AddAndGet(own.map_or_else(by, Ok)?, sum)))
            }
        },
        "read" => match answer(pair) {
            None => Ok(None),
            Some(answer) => {
                let sum = answer.int().ok_or("a `read` that answers no whole number")?;
                Ok(Some(CounterCall::Read(sum)))
            }
        },
        _ => unknown(pair, "add, add-and-get, read"),
    }
}

fn several(pair: &Pair, names: &mut Names) -> Result<Option<Vec<Access>>, String> {
    let known = answer(pair);
    let Some(said) = known.or_else(|| value(Some(&pair.call))) else {
        return match pair.f {
            "read" | "r" => Ok(None),
            _ => Err(format!("`{}` without :value", pair.f)),
        };
    };
    let mut all = vec![];
    match (said, pair.f) {
        (Edn::Map(_), "read" | "r") if known.is_none() => return Ok(None),
        (Edn::Map(entries), "read" | "r" | "write" | "w") => {
            for (key, value) in entries {
                let key = number(key, names);
                all.push(match (pair.f, value) {
                    ("read" | "r", Edn::Nil) => Access::Read(key, None),
                    ("read" | "r", value) => Access::Read(key, Some(number(value, names))),
                    (_, value) => Access::Write(key, number(value, names)),
                });
            }
        }
        (Edn::Seq(accesses), _) => {
            for access in accesses {
                let parts = access.seq().unwrap_or_default();
                let [f, key, value] = parts else {
                    return Err("expected accesses: [:r key value], [:w key value]".into());
                };
                let key = number(key, names);
                match (f.word(), value) {
                    (Some("w" | "write"), value) => {
                        all.push(Access::Write(key, number(value, names)));
                    }
                    // What it read, nobody knows.
                    (Some("r" | "read"), _) if known.is_none() => {}
                    (Some("r" | "read"), Edn::Nil) => all.push(Access::Read(key, None)),
                    (Some("r" | "read"), value) => {
                        all.push(Access::Read(key, Some(number(value, names))));
                    }
                    _ => return Err("expected accesses: [:r key value], [:w key value]".into()),
                }
            }
        }
        _ => return unknown(pair, "txn of accesses, read and write of maps"),
    }
    Ok((!all.is_empty()).then_some(all))
}

fn number(value: &Edn, names: &mut Names) -> i64 {
    match value {
        Edn::Int(number) => *number,
        other => names.value(&format!("{other:?}")),
    }
}
