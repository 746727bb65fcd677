//! EDN, as Jepsen's histories are written (the specification is edn-format), and JSON, which is nearly a part of it:
//! values that borrow from the text.
//!
//! Bounds: nesting up to [`DEPTH_MAX`]; what it holds is no larger than a few times the text. Never panics.

use super::Wrong;

/// Deeper nesting is refused: a history has none, and whoever reads must not run out of stack.
const DEPTH_MAX: usize = 64;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Edn<'a> {
    /// `nil`.
    Nil,
    /// `true`, `false`.
    Bool(bool),
    /// `7`, `-7`, `7N`.
    Int(i64),
    /// Any other atom, as it is written: `1.5`, a symbol, a character.
    Other(&'a str),
    /// `:read`, without the colon.
    Keyword(&'a str),
    /// What stands between the quotes, escapes as they are written.
    Text(&'a str),
    /// A vector, a list or a set.
    Seq(Vec<Edn<'a>>),
    /// A map, in the order of writing.
    Map(Vec<(Edn<'a>, Edn<'a>)>),
}

impl<'a> Edn<'a> {
    /// Of a map, the value of this keyword, or of the text that says so.
    pub fn get(&self, keyword: &str) -> Option<&Edn<'a>> {
        let Edn::Map(entries) = self else { return None };
        let own = entries.iter().find(|(key, _)| key.word() == Some(keyword));
        own.map(|(_, value)| value)
    }
    /// The name of a keyword, or what a text says.
    pub fn word(&self) -> Option<&'a str> {
        match self {
            Edn::Keyword(word) | Edn::Text(word) => Some(word),
            _ => None,
        }
    }
    /// A whole number.
    pub fn int(&self) -> Option<i64> {
        match self {
            Edn::Int(n) => Some(*n),
            _ => None,
        }
    }
    /// What a vector, a list or a set holds.
    pub fn seq(&self) -> Option<&[Edn<'a>]> {
        match self {
            Edn::Seq(all) => Some(all),
            _ => None,
        }
    }
}

/// Reads values one after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// What ends the sequence that was entered.
    entered: Option<u8>,
}

impl<'a> Reader<'a> {
    /// From the beginning of a text.
    pub fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0, entered: None }
    }

    /// The line that comes next, from 1.
    fn line(&self) -> usize {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Where the next value begins, in bytes.
    pub fn place(&mut self) -> usize {
        self.skip();
        self.at
    }

    /// Opens the sequence that comes next, if one does: its values are then read one by one.
    pub fn enter(&mut self) {
        self.skip();
        self.entered = match self.peek() {
            Some(b'[') => Some(b']'),
            Some(b'(') => Some(b')'),
            _ => None,
        };
        self.at += usize::from(self.entered.is_some());
    }

    /// That nothing follows the last value, but for the end of the sequence that was entered.
    pub fn end(&mut self) -> Result<(), Wrong> {
        self.skip();
        if let Some(end) = self.entered.take() {
            self.close(end)?;
            self.skip();
        }
        match self.peek() {
            None => Ok(()),
            Some(b']' | b')' | b'}') => self.wrong("a bracket that opens nowhere"),
            Some(_) => self.wrong("something behind the end of the history"),
        }
    }

    /// The next value; `None` at the end of the text, or of the sequence that was entered.
    pub fn value(&mut self) -> Result<Option<Edn<'a>>, Wrong> {
        self.read(0)
    }

    fn wrong<T>(&self, why: impl Into<String>) -> Result<T, Wrong> {
        Err(Wrong { line: self.line(), why: why.into() })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Over spaces, commas and comments.
    fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => self.at += 1,
                b';' => {
                    let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    self.at += end.unwrap_or(rest.len());
                }
                _ => break,
            }
        }
    }

    /// `None`: there is no further one here.
    fn read(&mut self, depth: usize) -> Result<Option<Edn<'a>>, Wrong> {
        if depth > DEPTH_MAX {
            return self.wrong(format!("nested more than {DEPTH_MAX} deep"));
        }
        self.skip();
        let Some(byte) = self.peek() else { return Ok(None) };
        match byte {
            b']' | b')' | b'}' => Ok(None),
            b'[' => self.seq(b']', depth),
            b'(' => self.seq(b')', depth),
            b'{' => self.map(depth),
            b'"' => self.quoted().map(Some),
            b'#' => self.tagged(depth),
            _ => self.atom().map(Some),
        }
    }

    fn seq(&mut self, end: u8, depth: usize) -> Result<Option<Edn<'a>>, Wrong> {
        self.at += 1;
        let mut all = vec![];
        while let Some(value) = self.read(depth + 1)? {
            all.push(value);
        }
        self.close(end)?;
        Ok(Some(Edn::Seq(all)))
    }

    fn map(&mut self, depth: usize) -> Result<Option<Edn<'a>>, Wrong> {
        self.at += 1;
        let mut all = vec![];
        while let Some(key) = self.read(depth + 1)? {
            if matches!(key, Edn::Text(_)) {
                self.skip();
                self.at += usize::from(self.peek() == Some(b':')); // as JSON has it
            }
            match self.read(depth + 1)? {
                Some(value) => all.push((key, value)),
                None => return self.wrong("a map with a key that has no value"),
            }
        }
        self.close(b'}')?;
        Ok(Some(Edn::Map(all)))
    }

    fn close(&mut self, end: u8) -> Result<(), Wrong> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(())
            }
            Some(other) => {
                self.wrong(format!("expected `{}`, found `{}`", char::from(end), char::from(other)))
            }
            None => self.wrong(format!("it ends before `{}`", char::from(end))),
        }
    }

    /// A set; a value that is left out; or a tag, which says nothing that is of use here, and its value.
    fn tagged(&mut self, depth: usize) -> Result<Option<Edn<'a>>, Wrong> {
        self.at += 1;
        match self.peek() {
            Some(b'{') => self.seq(b'}', depth),
            Some(b'_') => {
                self.at += 1;
                self.read(depth + 1)?;
                self.read(depth + 1)
            }
            _ => {
                self.bare();
                self.read(depth + 1)
            }
        }
    }

    fn quoted(&mut self) -> Result<Edn<'a>, Wrong> {
        let from = self.at + 1;
        let mut at = from;
        loop {
            match self.text.as_bytes().get(at) {
                Some(b'\\') => at += 2,
                Some(b'"') => break,
                Some(_) => at += 1,
                None => return self.wrong("a text without its end"),
            }
        }
        self.at = at + 1;
        Ok(Edn::Text(self.text.get(from..at).unwrap_or_default()))
    }

    /// What is written without a break.
    fn bare(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| {
            byte.is_ascii_whitespace()
                || matches!(byte, b',' | b';' | b'"' | b'[' | b']' | b'(' | b')' | b'{' | b'}')
        };
        let end = rest.as_bytes().iter().position(ends).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn atom(&mut self) -> Result<Edn<'a>, Wrong> {
        let word = self.bare();
        if word.is_empty() {
            self.at += 1;
            return self.wrong("a character that begins nothing");
        }
        if let Some(name) = word.strip_prefix(':') {
            return Ok(Edn::Keyword(name));
        }
        Ok(match word {
            "nil" | "null" => Edn::Nil,
            "true" => Edn::Bool(true),
            "false" => Edn::Bool(false),
            _ => match word.trim_end_matches('N').parse() {
                Ok(n) => Edn::Int(n),
                Err(_) => Edn::Other(word),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Edn<'_>>, String> {
        Reader::new(text).value().map_err(|wrong| format!("{}: {}", wrong.line, wrong.why))
    }

    #[test]
    fn values_are_what_they_are_written_as() {
        let text = "#jepsen.history.Op{:f :read, ; said\n :value [1 -2N nil \"a\\\"b\"] #_ skipped :ok true}";
        let op = read(text).unwrap().unwrap();
        assert_eq!(op.get("f").and_then(Edn::word), Some("read"));
        let value = [Edn::Int(1), Edn::Int(-2), Edn::Nil, Edn::Text("a\\\"b")];
        assert_eq!(op.get("value").and_then(Edn::seq), Some(&value[..]));
        assert_eq!(op.get("ok"), Some(&Edn::Bool(true)));
        assert_eq!(
            read("#{1 (2)}").unwrap(),
            Some(Edn::Seq(vec![Edn::Int(1), Edn::Seq(vec![Edn::Int(2)])]))
        );
        assert_eq!(read("1.5").unwrap(), Some(Edn::Other("1.5")));
        assert_eq!(read(" ; nothing\n,").unwrap(), None);
    }

    #[test]
    fn what_is_cut_or_crossed_is_told_with_its_line() {
        let told = |text| read(text).unwrap_err();
        assert_eq!(told("[1\n2"), "2: it ends before `]`");
        assert_eq!(told("{:a\n}"), "2: a map with a key that has no value");
        assert_eq!(told("[1}"), "1: expected `]`, found `}`");
        assert_eq!(told("\n\"open"), "2: a text without its end");
        assert_eq!(told(&"[".repeat(100_000)), "1: nested more than 64 deep");
    }

    #[test]
    fn no_text_makes_it_panic() {
        let pieces = [
            "[", "]", "{", "}", "(", ")", "#", "#_", "\"", "\\", ":", "a", "1", " ", "\n", "é", ";",
        ];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text += pieces[(state >> 33) as usize % pieces.len()];
            }
            let mut reader = Reader::new(&text);
            for _ in 0..20 {
                if !matches!(reader.value(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}
