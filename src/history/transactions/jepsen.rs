//! Jepsen's histories of transactions, in EDN or as JSON of the same shape: one vector of events, or one event after
//! the other. `:invoke` begins a transaction, `:ok`, `:fail` or `:info` of the same process ends it; what nothing ends
//! is unknown.
//!
//! Real time is the order of writing, as in Jepsen itself. A process may begin a second transaction before its first
//! has ended: what ends goes to the first open one of the same micro-operations. A history without any `:invoke` holds
//! only ends: each is a transaction of that instant. One in which no event has a `:process` is of one process.

use std::collections::HashMap;

use super::cursor::{Cursor, Token};
use super::micro;
use super::{Kind, Outcome, Step, Transaction, Transactions, Wrong};
use crate::history::foreign::goes_on;

/// A process has one transaction open, or a few; what ends is looked for among all of them.
const OPEN_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Invoke,
    End(Outcome),
}

/// What is known of an event once its map was read. Its micro-operations are the last of the steps.
struct Event {
    line: usize,
    kind: Type,
    process: Option<u32>,
    index: Option<i64>,
    time: Option<i64>,
    from: usize,
}

/// Reads a history. Whoever is no client (`:nemesis`) is left out.
pub fn read(text: &[u8]) -> Result<Transactions, Wrong> {
    let mut all = Transactions::new(true);
    let mut cursor = Cursor::new(text);
    // Of each process, its transactions that have not ended, and when each began by the text.
    let mut open: HashMap<u32, Vec<(usize, Option<i64>)>> = HashMap::new();
    let (mut place, mut last, mut invoked, mut alone) = (0_u64, None, false, None);
    let mut told = None;
    let end = cursor.enter()?;
    loop {
        match (cursor.token()?, end) {
            (Token::End, Some(end)) => {
                return cursor.wrong(format!("it ends before `{}`", char::from(end)));
            }
            (Token::End, None) => break,
            (Token::Close(found), Some(end)) => {
                cursor.ends(found, end)?;
                break;
            }
            (Token::Map, _) => {}
            _ => return cursor.wrong("expected an event: a map with :type, :process and :value"),
        }
        let steps = all.steps.len();
        let event = event(&mut cursor, &mut all, &mut told)?;
        let Some(process) = event.process else {
            all.steps.truncate(steps);
            continue;
        };
        let wrong = |why: String| Wrong { line: event.line, why };
        if let (Some(before), Some(now)) = (last, event.index)
            && now <= before
        {
            let why = format!("index {now} after {before}: the events are not in their order");
            return Err(wrong(why));
        }
        last = event.index.or(last);
        let (from, to) = (event.from as u32, all.steps.len() as u32);
        let line = u32::try_from(event.line).unwrap_or(u32::MAX);
        let now = place;
        place += 1;
        let Type::End(outcome) = event.kind else {
            if let Some((process, line)) = alone {
                return Err(wrong(never(process, line)));
            }
            invoked = true;
            let waiting = open.entry(process).or_default();
            if waiting.len() >= OPEN_MAX {
                return Err(wrong(format!("process {process} has {OPEN_MAX} transactions open")));
            }
            waiting.push((all.txns.len(), event.time));
            let txn = Transaction::new(process, now, None, Outcome::Info);
            all.txns.push(Transaction { line, from, to, ..txn });
            continue;
        };
        let returned = (outcome != Outcome::Info).then_some(now);
        if !invoked {
            alone = alone.or(Some((process, event.line)));
            let txn = Transaction::new(process, now, returned, outcome);
            all.txns.push(Transaction { line, from, to, ..txn });
            continue;
        }
        let waiting = open.entry(process).or_default();
        let same = |own: &(usize, _)| shape(&all, all.txns.get(own.0), from, to);
        let found = match waiting.as_slice() {
            [only] => Some(0).filter(|_| to == from || same(only)),
            many => many.iter().position(same),
        };
        let Some(i) = found else {
            return Err(wrong(never(process, event.line)));
        };
        let (at, begun) = waiting.remove(i);
        goes_on(begun, event.time).map_err(wrong)?;
        let Some(txn) = all.txns.get_mut(at) else { continue };
        txn.returned = returned;
        txn.outcome = outcome;
        if outcome == Outcome::Ok && to > from {
            (txn.from, txn.to) = (from, to);
        } else {
            all.steps.truncate(steps);
        }
    }
    Ok(all)
}

fn never(process: u32, line: usize) -> String {
    format!("process {process} ends a transaction in line {line} that it never invoked")
}

/// Whether a completion has the micro-operations of an invocation, but for what was read.
fn shape(all: &Transactions, txn: Option<&Transaction>, from: u32, to: u32) -> bool {
    let Some(txn) = txn else { return false };
    let own = all.steps.get(from as usize..to as usize).unwrap_or_default();
    let writes = |kind| matches!(kind, Kind::Append | Kind::Write);
    let alike = |a: &Step, b: &Step| {
        a.key == b.key
            && writes(a.kind) == writes(b.kind)
            && (!writes(a.kind) || (a.kind == b.kind && a.value == b.value))
    };
    let invoked = all.raw(txn);
    invoked.len() == own.len() && invoked.iter().zip(own).all(|(a, b)| alike(a, b))
}

/// Reads one. `told`: whether the events before said who did them, once there was one.
fn event(
    cursor: &mut Cursor<'_>,
    all: &mut Transactions,
    told: &mut Option<bool>,
) -> Result<Event, Wrong> {
    let line = cursor.line();
    let from = all.steps.len();
    let (mut kind, mut process, mut named) = (None, None, false);
    let (mut index, mut time) = (None, None);
    // Until the type is known, what is read is kept: it may be an answer.
    let mut value = false;
    loop {
        let field = match cursor.token()? {
            Token::Keyword(field) => field,
            Token::Text(field) => {
                cursor.colon();
                field
            }
            Token::Close(b'}') => break,
            Token::End => return cursor.wrong("it ends within an event"),
            _ => return cursor.wrong("expected the name of a field"),
        };
        match (field, cursor.token()?) {
            ("type", Token::Keyword(word) | Token::Text(word)) => {
                kind = Some(match word {
                    "invoke" => Type::Invoke,
                    "ok" => Type::End(Outcome::Ok),
                    "fail" => Type::End(Outcome::Fail),
                    "info" => Type::End(Outcome::Info),
                    other => return cursor.wrong(format!("unknown :type :{other}")),
                });
            }
            ("process", Token::Int(n)) => match u32::try_from(n) {
                Ok(n) => process = Some(n),
                Err(_) => return cursor.wrong("a :process that is no number from 0 on"),
            },
            ("process", token) => {
                named = true;
                cursor.pass(token)?;
            }
            ("index", Token::Int(n)) => index = Some(n),
            ("time", Token::Int(n)) => time = Some(n),
            // Whoever is no client says what it wants.
            ("value", Token::Open) if !named && process.is_some() => {
                value = true;
                micro::operations(cursor, all, true)?;
            }
            ("value", Token::Open) => {
                value = true;
                let mut ahead = cursor.clone();
                if let Err(wrong) = micro::operations(&mut ahead, all, true) {
                    all.steps.truncate(from);
                    if process.is_some() {
                        return Err(wrong);
                    }
                    cursor.pass(Token::Open)?;
                    value = false;
                } else {
                    *cursor = ahead;
                }
            }
            (_, token) => cursor.pass(token)?,
        }
    }
    let Some(kind) = kind else {
        let why = "no event: expected a map with :type :invoke, :ok, :fail or :info".into();
        return Err(Wrong { line, why });
    };
    // Where nobody is told, all is of one process.
    if *told.get_or_insert(process.is_some() || named) {
        if process.is_none() && !named {
            return Err(Wrong { line, why: "an event without :process".into() });
        }
    } else if process.is_none() && !named {
        process = Some(0);
    } else {
        return Err(Wrong { line, why: "an event with :process, after one without".into() });
    }
    if process.is_some()
        && !value
        && kind != Type::End(Outcome::Info)
        && kind != Type::End(Outcome::Fail)
    {
        return Err(Wrong { line, why: "an event without micro-operations as its :value".into() });
    }
    if kind != Type::End(Outcome::Ok) {
        let steps = all.steps.get_mut(from..).unwrap_or_default();
        let reads = |kind| matches!(kind, Kind::Nil | Kind::Value | Kind::List);
        steps.iter_mut().filter(|s| reads(s.kind)).for_each(|s| s.kind = Kind::Asked);
    }
    Ok(Event { line, kind, process, index, time, from })
}
