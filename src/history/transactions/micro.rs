//! Micro-operations, `[:append k v]`, `[:w k v]`, `[:r k v]`, in EDN or JSON.

use super::cursor::{Cursor, Token};
use super::{Kind, LENGTH_BITS, Name, Step, Transactions, Wrong, pack};

/// Reads a vector of micro-operations, whose opening bracket was read, to the end of the steps. `known`: what its reads
/// say is their answer.
pub fn operations(
    cursor: &mut Cursor<'_>,
    all: &mut Transactions,
    known: bool,
) -> Result<(), Wrong> {
    loop {
        match cursor.token()? {
            Token::Open => operation(cursor, all, known)?,
            Token::Close(b'}') => return cursor.wrong("a `}` closes micro-operations"),
            Token::Close(_) => return Ok(()),
            Token::End => return cursor.wrong("it ends within micro-operations"),
            _ => return cursor.wrong("expected a micro-operation: [f key value]"),
        }
        if all.steps.len() >= u32::MAX as usize {
            return cursor.wrong("more micro-operations than a history may have");
        }
    }
}

fn operation(cursor: &mut Cursor<'_>, all: &mut Transactions, known: bool) -> Result<(), Wrong> {
    let f = match cursor.token()? {
        Token::Keyword(f) | Token::Text(f) => f,
        _ => return cursor.wrong("expected the name of a micro-operation: append, w or r"),
    };
    let kind = match f {
        "append" => Kind::Append,
        "w" | "write" => Kind::Write,
        "r" | "read" => Kind::Asked,
        other => {
            let why = format!("unknown micro-operation `{other}`; known: append, w, r");
            return cursor.wrong(why);
        }
    };
    let key = match cursor.token()? {
        Token::Int(n) => all.keys.number(n),
        Token::Nil => all.keys.other(Name::Text("nil".into())),
        Token::Keyword(word) => all.keys.other(Name::Text(format!(":{word}").into())),
        Token::Text(word) => all.keys.other(Name::Text(format!("\"{word}\"").into())),
        Token::Other(word) => all.keys.other(Name::Text(word.into())),
        _ => return cursor.wrong("expected a key that is a number, a keyword or a text"),
    };
    let mut step = Step { value: 0, key, kind };
    let mut closed = false;
    match (kind, cursor.token()?) {
        (_, Token::End) => return cursor.wrong("it ends within a micro-operation"),
        (Kind::Asked, Token::Close(_)) => {
            closed = true;
            step.kind = if known { Kind::Nil } else { Kind::Asked };
        }
        (Kind::Asked, Token::Nil) => step.kind = if known { Kind::Nil } else { Kind::Asked },
        (Kind::Asked, Token::Open) => {
            step.value = list(cursor, all, known)?;
            step.kind = if known { Kind::List } else { Kind::Asked };
        }
        (_, token) => match value(all, token) {
            Some(value) => {
                step.value = value;
                if kind == Kind::Asked && known {
                    step.kind = Kind::Value;
                }
            }
            None => return cursor.wrong(format!("`{f}` without a value that is an atom")),
        },
    }
    if !closed {
        match cursor.token()? {
            Token::Close(_) => {}
            Token::End => return cursor.wrong("it ends within a micro-operation"),
            _ => return cursor.wrong("a micro-operation has three parts: [f key value]"),
        }
    }
    all.steps.push(step);
    Ok(())
}

fn value(all: &mut Transactions, token: Token<'_>) -> Option<i64> {
    Some(match token {
        Token::Int(n) => n,
        Token::Keyword(word) => all.intern_value(&format!(":{word}")),
        Token::Text(word) => all.intern_value(&format!("\"{word}\"")),
        Token::Other(word) => all.intern_value(word),
        _ => return None,
    })
}

/// The elements of a list that was read.
fn list(cursor: &mut Cursor<'_>, all: &mut Transactions, keep: bool) -> Result<i64, Wrong> {
    let from = all.lists.len();
    loop {
        match cursor.token()? {
            Token::Int(n) => all.lists.push(n),
            Token::Close(_) => break,
            Token::End => return cursor.wrong("it ends within a list"),
            token => match value(all, token) {
                Some(value) => all.lists.push(value),
                None => return cursor.wrong("a list holds atoms only"),
            },
        }
    }
    let len = all.lists.len() - from;
    if !keep {
        all.lists.truncate(from);
        return Ok(0);
    }
    if len >= 1 << LENGTH_BITS || from >= 1 << (63 - LENGTH_BITS) {
        return cursor.wrong(format!("a list of {len} elements is longer than one may be"));
    }
    Ok(pack(from, len))
}
