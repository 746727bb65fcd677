//! Two formats in words: AWDIT's `w 0 1`, with lines that divide transactions and sessions, and Plume's and PolySI's
//! `w(key,value,session,transaction)`. Everything in them committed, and no instant is known.
//!
//! A read of 0 that nobody wrote is a read of the beginning.

use std::collections::HashSet;

use super::{Kind, Outcome, Step, Transaction, Transactions, Wrong};

/// Without instants, nothing ends before another begins.
fn txn(process: u32, line: usize) -> Transaction {
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    let txn = Transaction::new(process, 0, Some(u64::MAX), Outcome::Ok);
    Transaction { line, ..txn }
}

fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.map(|(at, line)| (at + 1, line.trim_ascii())).filter(|(_, line)| !line.is_empty())
}

fn number(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word.trim_ascii()).ok()?.parse().ok()
}

fn step(all: &mut Transactions, f: &[u8], key: i64, value: i64) -> Option<()> {
    let kind = match f {
        b"w" => Kind::Write,
        b"r" => Kind::Value,
        _ => return None,
    };
    let key = all.keys.number(key);
    all.steps.push(Step { value, key, kind });
    Some(())
}

/// `w 0 1`, `-----`, `=====`.
pub fn sessions(text: &[u8]) -> Result<Transactions, Wrong> {
    let mut all = Transactions::new(false);
    let (mut session, mut begun, mut taken) = (0, 1, 0);
    for (at, line) in lines(text) {
        if line.iter().all(|byte| *byte == b'-') || line.iter().all(|byte| *byte == b'=') {
            if all.steps.len() > taken {
                all.add(txn(session, begun));
                taken = all.steps.len();
            }
            session += u32::from(line.starts_with(b"="));
            continue;
        }
        if all.steps.len() == taken {
            begun = at;
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let parts = (words.next(), words.next(), words.next(), words.next());
        let read = match parts {
            (Some(f), Some(key), Some(value), None) => match (number(key), number(value)) {
                (Some(key), Some(value)) => step(&mut all, f, key, value),
                _ => None,
            },
            _ => None,
        };
        if read.is_none() {
            let why = "expected `w KEY VALUE`, `r KEY VALUE`, or a line of `-` or `=`".into();
            return Err(Wrong { line: at, why });
        }
    }
    if all.steps.len() > taken {
        all.add(txn(session, begun));
    }
    Ok(beginnings(all))
}

/// `w(key,value,session,transaction)`.
pub fn calls(text: &[u8]) -> Result<Transactions, Wrong> {
    let mut all = Transactions::new(false);
    let mut open: Option<(i64, i64, u32, usize)> = None;
    let mut seen = HashSet::new();
    for (at, line) in lines(text) {
        let Some((f, [key, value, session, id])) = call(line) else {
            let why = "expected `w(KEY,VALUE,SESSION,TRANSACTION)` or the same with `r`".into();
            return Err(Wrong { line: at, why });
        };
        if open.is_none_or(|(s, t, ..)| (s, t) != (session, id)) {
            if let Some((.., process, begun)) = open {
                all.add(txn(process, begun));
            }
            if !seen.insert((session, id)) {
                let why = format!("transaction {id} of session {session} goes on after another");
                return Err(Wrong { line: at, why });
            }
            let Ok(process) = u32::try_from(session) else {
                let why = format!("session {session} is no number from 0 on");
                return Err(Wrong { line: at, why });
            };
            open = Some((session, id, process, at));
        }
        if step(&mut all, f, key, value).is_none() {
            return Err(Wrong { line: at, why: "expected `w` or `r`".into() });
        }
    }
    if let Some((.., process, begun)) = open {
        all.add(txn(process, begun));
    }
    Ok(beginnings(all))
}

fn call(line: &[u8]) -> Option<(&[u8], [i64; 4])> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let (f, rest) = line.split_at_checked(open)?;
    let mut parts = rest.get(1..)?.strip_suffix(b")")?.split(|byte| *byte == b',');
    let mut numbers = [0; 4];
    for n in &mut numbers {
        *n = number(parts.next()?)?;
    }
    parts.next().is_none().then_some((f.trim_ascii(), numbers))
}

/// Reads of 0 that nobody wrote are of the beginning.
fn beginnings(mut all: Transactions) -> Transactions {
    let zeros = all.steps.iter().filter(|step| step.kind == Kind::Write && step.value == 0);
    let zeros: HashSet<u32> = zeros.map(|step| step.key).collect();
    for step in &mut all.steps {
        if step.kind == Kind::Value && step.value == 0 && !zeros.contains(&step.key) {
            step.kind = Kind::Nil;
        }
    }
    all
}
