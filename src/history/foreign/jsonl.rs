//! Operations on registers as JSON lines, one a line: `{"c":client,"k":key,"f":"r"|"w"|"cas","v":value,"v2":new,
//! "t0":ns,"t1":ns|null,"s":"ok"|"fail"|"info"}`. `info`: its outcome is unknown. `fail`: a compare-and-set that found
//! another value.

use std::io::BufRead;
use std::sync::Arc;

use serde::Deserialize;

use super::{Foreign, Wrong, begun};
use crate::history::{Call, Key, Operation, Outcome, Process, Reply, Time, told};

#[derive(Debug, PartialEq, Deserialize)]
struct Line<'a> {
    c: Process,
    #[serde(default)]
    k: Key,
    f: &'a str,
    #[serde(default)]
    v: Option<i64>,
    #[serde(default)]
    v2: Option<i64>,
    t0: u64,
    #[serde(default)]
    t1: Option<u64>,
    s: &'a str,
}

/// A line that is written as most are: these fields in this order, without spaces. Several times as fast as a reader of
/// any JSON; `None` leaves the line to that one.
fn plain(line: &[u8]) -> Option<Line<'_>> {
    let mut rest = Rest(line);
    rest.eat(b"{\"c\":")?;
    let c = rest.number()?;
    rest.eat(b",\"k\":")?;
    let k = rest.number()?;
    rest.eat(b",\"f\":\"")?;
    let f = rest.word()?;
    rest.eat(b",\"v\":")?;
    let v = rest.value()?;
    let v2 = match rest.eat(b",\"v2\":") {
        Some(()) => rest.value()?,
        None => None,
    };
    rest.eat(b",\"t0\":")?;
    let t0 = rest.number()?;
    rest.eat(b",\"t1\":")?;
    let t1 = match rest.eat(b"null") {
        Some(()) => None,
        None => Some(rest.number()?),
    };
    rest.eat(b",\"s\":\"")?;
    let s = rest.word()?;
    rest.eat(b"}")?;
    let (c, k) = (c.try_into().ok()?, k.try_into().ok()?);
    rest.0.trim_ascii().is_empty().then_some(Line { c, k, f, v, v2, t0, t1, s })
}

/// What is left of a line.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn eat(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }
    /// Up to 18 digits: none that would not fit.
    fn number(&mut self) -> Option<u64> {
        let (mut number, mut count) = (0_u64, 0);
        while let Some(digit) = self.0.get(count).filter(|byte| byte.is_ascii_digit()) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            count += 1;
        }
        let leads = count > 1 && self.0.first() == Some(&b'0');
        self.0 = self.0.get(count..)?;
        ((1..=18).contains(&count) && !leads).then_some(number)
    }
    fn value(&mut self) -> Option<Option<i64>> {
        if self.eat(b"null").is_some() {
            return Some(None);
        }
        let below = self.eat(b"-").is_some();
        let number = i64::try_from(self.number()?).ok()?;
        Some(Some(if below { -number } else { number }))
    }
    /// Up to the quotes, and over them.
    fn word(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        self.eat(b"\"")?;
        std::str::from_utf8(word).ok()
    }
}

/// Reads them. Memory: one line beside what is read.
pub fn read(mut text: impl BufRead) -> Result<Foreign, Wrong> {
    let (mut operations, mut line, mut number) = (vec![], Vec::with_capacity(256), 0);
    let unknown: Arc<str> = "its outcome is unknown".into();
    loop {
        line.clear();
        number += 1;
        let wrong = |why: String| Wrong { line: number, why };
        if text.read_until(b'\n', &mut line).map_err(|e| wrong(e.to_string()))? == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let one = match plain(&line) {
            Some(one) => one,
            None => serde_json::from_slice(&line).map_err(|e| wrong(told::of_json(&e)))?,
        };
        let operation = operation(&one, operations.len(), &unknown).map_err(wrong)?;
        operations.push(operation);
    }
    Ok(Foreign { operations, ..Foreign::default() })
}

fn operation(line: &Line, id: usize, unknown: &Arc<str>) -> Result<Operation, String> {
    let (key, absent) = (line.k, |field: &str| format!("`{}` without `{field}`", line.f));
    let (call, reply) = match line.f {
        "r" => (Call::Read { key }, Reply::Value(line.v)),
        "w" => (Call::Write { key, value: line.v.ok_or_else(|| absent("v"))? }, Reply::Done),
        "cas" => {
            let from = line.v.ok_or_else(|| absent("v"))?;
            let to = line.v2.ok_or_else(|| absent("v2"))?;
            (Call::Cas { key, from, to }, Reply::Swapped(line.s == "ok"))
        }
        "enq" => (Call::Enqueue { key, element: line.v.ok_or_else(|| absent("v"))? }, Reply::Done),
        "deq" => (Call::Dequeue { key }, Reply::Value(line.v)),
        other => return Err(format!("unknown `f`: `{other}`; known: r, w, cas, enq, deq")),
    };
    let outcome = match line.s {
        "ok" => Outcome::Ok(reply),
        "fail" if line.f == "cas" => Outcome::Ok(reply),
        "fail" => Outcome::Fail("it failed".into()),
        "info" => Outcome::Unknown(Arc::clone(unknown)),
        other => return Err(format!("unknown `s`: `{other}`; known: ok, fail, info")),
    };
    let returned = match (&outcome, line.t1) {
        (Outcome::Unknown(_), end) => end,
        (_, Some(end)) if end >= line.t0 => Some(end),
        (_, Some(end)) => {
            return Err(format!("it returns at {end}, before its call at {}", line.t0));
        }
        (_, None) => return Err(format!("`{}` without an end (`t1`)", line.s)),
    };
    let begun = begun(id, line.c, Time(line.t0), call, outcome);
    Ok(Operation { returned: returned.map(Time), ..begun })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let wrong = read(text.as_bytes()).unwrap_err();
        format!("{}: {}", wrong.line, wrong.why)
    }

    #[test]
    fn each_line_is_an_operation() {
        let text = r#"{"c":4,"k":2,"f":"r","v":null,"t0":1,"t1":2,"s":"ok"}
{"c":1,"f":"w","v":1,"t0":3,"t1":null,"s":"info"}

{"c":2,"k":0,"f":"cas","v":2,"v2":4,"t0":4,"t1":9,"s":"fail"}
"#;
        let read = read(text.as_bytes()).unwrap().operations;
        assert_eq!(read[0].call, Call::Read { key: 2 });
        assert_eq!(read[0].outcome, Outcome::Ok(Reply::Value(None)));
        assert!(matches!(read[1].outcome, Outcome::Unknown(_)) && read[1].returned.is_none());
        assert_eq!(read[2].outcome, Outcome::Ok(Reply::Swapped(false)));
        assert_eq!((read[2].id, read[2].returned), (2, Some(Time(9))));
    }

    #[test]
    fn what_is_read_fast_is_what_any_reader_of_json_reads() {
        for line in [
            r#"{"c":4,"k":2,"f":"r","v":null,"t0":1,"t1":2,"s":"ok"}"#,
            r#"{"c":4,"k":2,"f":"w","v":-7,"t0":1,"t1":null,"s":"info"}"#,
            r#"{"c":0,"k":0,"f":"cas","v":1,"v2":0,"t0":123456789012345678,"t1":2,"s":"fail"}"#,
        ] {
            let fast = plain(line.as_bytes());
            assert!(fast.is_some() && fast == serde_json::from_str(line).ok(), "{line}");
        }
        for line in [
            r#"{"c":4,"k":2,"f":"r","v":null,"t0":1,"t1":2,"s":"ok"} x"#,
            r#"{"c":04,"k":2,"f":"r","v":null,"t0":1,"t1":2,"s":"ok"}"#,
            r#"{"c":4294967296,"k":2,"f":"r","v":null,"t0":1,"t1":2,"s":"ok"}"#,
            r#"{"c":4,"k":2,"f":"r","v":1.5,"t0":1,"t1":2,"s":"ok"}"#,
            r#"{"c":4,"k":2,"f":"r","v":1,"t0":1234567890123456789012,"t1":2,"s":"ok"}"#,
        ] {
            assert_eq!(plain(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let fine = r#"{"c":4,"k":2,"f":"r","v":null,"t0":1,"t1":2,"s":"ok"}"#;
        let second = |line: &str| told(&format!("{fine}\n{line}\n"));
        assert!(second("{").starts_with("2: EOF"), "{}", second("{"));
        let backwards = fine.replace("\"t1\":2", "\"t1\":0");
        assert_eq!(second(&backwards), "2: it returns at 0, before its call at 1");
        assert!(second(&fine.replace("\"t1\":2", "\"t1\":null")).contains("without an end"));
        assert!(second(&fine.replace("\"r\"", "\"x\"")).contains("known: r, w, cas, enq, deq"));
        assert!(second(&fine.replace("\"r\"", "\"w\"")).contains("`w` without `v`"));
    }
}
