//! JSON lines, a transaction each: `{"p","t0","t1","s","txn"}`. `s`: ok, fail or info. What an `info` read is unknown.

use super::cursor::{Cursor, Token};
use super::micro;
use super::{Kind, Outcome, Transaction, Transactions, Wrong};

/// Reads them.
pub fn read(text: &[u8]) -> Result<Transactions, Wrong> {
    let mut all = Transactions::new(true);
    let mut cursor = Cursor::new(text);
    loop {
        match cursor.token()? {
            Token::Map => {}
            Token::End => return Ok(all),
            _ => {
                return cursor
                    .wrong("expected a transaction: {\"p\", \"t0\", \"t1\", \"s\", \"txn\"}");
            }
        }
        let from = all.steps.len();
        let line = cursor.line();
        let (mut p, mut t0, mut t1, mut outcome, mut seen) = (None, None, None, None, false);
        loop {
            let field = match cursor.token()? {
                Token::Text(field) => field,
                Token::Close(b'}') => break,
                Token::End => return cursor.wrong("it ends within a transaction"),
                _ => return cursor.wrong("expected the name of a field"),
            };
            cursor.colon();
            match (field, cursor.token()?) {
                ("p", Token::Int(n)) => p = u32::try_from(n).ok(),
                ("t0", Token::Int(n)) => t0 = u64::try_from(n).ok(),
                ("t1", Token::Int(n)) => t1 = u64::try_from(n).ok(),
                ("s", Token::Text(s)) => {
                    outcome = Some(match s {
                        "ok" => Outcome::Ok,
                        "fail" => Outcome::Fail,
                        "info" => Outcome::Info,
                        other => {
                            let why = format!("unknown `s`: `{other}`; known: ok, fail, info");
                            return cursor.wrong(why);
                        }
                    });
                }
                ("txn", Token::Open) if !seen => {
                    seen = true;
                    micro::operations(&mut cursor, &mut all, true)?;
                }
                ("p" | "t0" | "s" | "txn", _) => {
                    return cursor.wrong(format!("a `{field}` that is none"));
                }
                (_, token) => cursor.pass(token)?,
            }
        }
        let (Some(process), Some(invoked), Some(outcome)) = (p, t0, outcome) else {
            return cursor.wrong("a transaction without `p`, `t0` or `s`, each from 0 on");
        };
        if !seen {
            return cursor.wrong("a transaction without `txn`");
        }
        let returned = match (outcome, t1) {
            (Outcome::Info, _) => None,
            (_, Some(end)) if end < invoked => {
                return cursor.wrong(format!("it returns at {end}, before its call at {invoked}"));
            }
            (_, Some(end)) => Some(end),
            (_, None) => return cursor.wrong("it has ended, but without an end (`t1`)"),
        };
        if outcome != Outcome::Ok {
            let steps = all.steps.get_mut(from..).unwrap_or_default();
            steps.iter_mut().filter(|s| reads(s.kind)).for_each(|s| s.kind = Kind::Asked);
        }
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let txn = Transaction::new(process, invoked, returned, outcome);
        all.add(Transaction { line, ..txn });
    }
}

fn reads(kind: Kind) -> bool {
    matches!(kind, Kind::Nil | Kind::Value | Kind::List)
}
