//! Reads EDN (the specification is edn-format) and JSON, which is nearly a part of it, token by token from bytes.
//!
//! Bounds: no memory but for depth, which ends at [`DEPTH_MAX`]. Never panics.

use super::Wrong;

/// Deeper nesting is refused: a history has none, and whoever reads must not run out of stack.
const DEPTH_MAX: usize = 64;

/// One atom, or the beginning or end of what holds others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// `nil`, `null`.
    Nil,
    /// A whole number that fits.
    Int(i64),
    /// `:read`, without the colon.
    Keyword(&'a str),
    /// What stands between the quotes, escapes as they are written.
    Text(&'a str),
    /// Any other atom, as it is written.
    Other(&'a str),
    /// `[`, `(`, `#{`.
    Open,
    /// `{`.
    Map,
    /// `]`, `)`, `}`.
    Close(u8),
    /// The text ends here.
    End,
}

/// A place in a text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    counted: usize,
    lines: usize,
    /// How many values are being left out, one within the other.
    left_out: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0, counted: 0, lines: 1, left_out: 0 }
    }

    /// The line of this place, from 1. Counted on from where it was asked before.
    pub fn line(&mut self) -> usize {
        let part = self.text.get(self.counted..self.at).unwrap_or_default();
        self.lines += part.iter().filter(|byte| **byte == b'\n').count();
        self.counted = self.counted.max(self.at);
        self.lines
    }

    pub fn wrong<T>(&mut self, why: impl Into<String>) -> Result<T, Wrong> {
        Err(Wrong { line: self.line(), why: why.into() })
    }

    /// Opens the sequence that comes next, if one does: what ends it.
    pub fn enter(&mut self) -> Result<Option<u8>, Wrong> {
        let mut ahead = self.clone();
        if ahead.token()? != Token::Open {
            return Ok(None);
        }
        *self = ahead;
        let opened = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        Ok(opened.map(|byte| match byte {
            b'[' => b']',
            b'(' => b')',
            _ => b'}',
        }))
    }

    /// That this is what ends the sequence that was entered, and that nothing follows.
    pub fn ends(&mut self, found: u8, end: u8) -> Result<(), Wrong> {
        if found != end {
            let (end, found) = (char::from(end), char::from(found));
            return self.wrong(format!("expected `{end}`, found `{found}`"));
        }
        match self.token()? {
            Token::End => Ok(()),
            _ => self.wrong("something behind the end of the history"),
        }
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Over spaces, commas and comments; and the colon that JSON has behind the keys of a map.
    #[inline]
    pub fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => self.at += 1,
                b';' => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    self.at += end.unwrap_or(rest.len());
                }
                _ => break,
            }
        }
    }

    /// The next token; tags are passed over, as is what `#_` leaves out.
    #[inline]
    pub fn token(&mut self) -> Result<Token<'a>, Wrong> {
        self.skip();
        let Some(byte) = self.peek() else { return Ok(Token::End) };
        match byte {
            b'0'..=b'9' | b'-' => self.number(),
            b'[' | b'(' => {
                self.at += 1;
                Ok(Token::Open)
            }
            b'{' => {
                self.at += 1;
                Ok(Token::Map)
            }
            b']' | b')' | b'}' => {
                self.at += 1;
                Ok(Token::Close(byte))
            }
            b'"' => self.quoted(),
            b'#' => self.tagged(),
            _ => self.atom(),
        }
    }

    fn number(&mut self) -> Result<Token<'a>, Wrong> {
        let (mut number, mut at) = (0_u64, self.at);
        let below = self.peek() == Some(b'-');
        at += usize::from(below);
        let from = at;
        while let Some(digit) = self.text.get(at).filter(|byte| byte.is_ascii_digit()) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        let ends = self.text.get(at).is_none_or(|byte| {
            matches!(byte, b' ' | b',' | b']' | b'}' | b')' | b'\n' | b'\r' | b'\t' | b':')
        });
        // Up to 18 digits: none that would not fit.
        if ends && (1..=18).contains(&(at - from)) {
            self.at = at;
            let number = number as i64;
            return Ok(Token::Int(if below { -number } else { number }));
        }
        self.atom()
    }

    fn quoted(&mut self) -> Result<Token<'a>, Wrong> {
        let from = self.at + 1;
        let mut at = from;
        loop {
            match self.text.get(at) {
                Some(b'\\') => at += 2,
                Some(b'"') => break,
                Some(_) => at += 1,
                None => return self.wrong("a text without its end"),
            }
        }
        self.at = at + 1;
        let bytes = self.text.get(from..at).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Token::Text(text)),
            Err(_) => self.wrong("a text that is no UTF-8"),
        }
    }

    /// What is written without a break.
    fn bare(&mut self) -> Result<&'a str, Wrong> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| {
            byte.is_ascii_whitespace()
                || matches!(byte, b',' | b';' | b'"' | b'[' | b']' | b'(' | b')' | b'{' | b'}')
        };
        let end = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += end;
        match std::str::from_utf8(rest.get(..end).unwrap_or_default()) {
            Ok(word) => Ok(word),
            Err(_) => self.wrong("a word that is no UTF-8"),
        }
    }

    fn atom(&mut self) -> Result<Token<'a>, Wrong> {
        let word = self.bare()?;
        if word.is_empty() {
            return self.wrong("a character that begins nothing");
        }
        if let Some(name) = word.strip_prefix(':') {
            return Ok(Token::Keyword(name));
        }
        Ok(match word {
            "nil" | "null" => Token::Nil,
            _ => match word.trim_end_matches('N').parse() {
                Ok(n) => Token::Int(n),
                Err(_) => Token::Other(word),
            },
        })
    }

    fn tagged(&mut self) -> Result<Token<'a>, Wrong> {
        // A loop and no recursion: tags may follow each other without end.
        loop {
            self.at += 1;
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    return Ok(Token::Open);
                }
                Some(b'_') => {
                    self.at += 1;
                    self.skip();
                    if self.peek() == Some(b'#') {
                        return self.wrong("`#_` before a tag");
                    }
                    self.left_out += 1;
                    if self.left_out > DEPTH_MAX {
                        return self.wrong(format!("nested more than {DEPTH_MAX} deep"));
                    }
                    let token = self.token()?;
                    self.pass(token)?;
                    self.left_out -= 1;
                }
                _ => {
                    self.bare()?;
                }
            }
            self.skip();
            if self.peek() != Some(b'#') {
                return self.token();
            }
        }
    }

    /// In a map of JSON, the colon behind a key.
    #[inline]
    pub fn colon(&mut self) {
        self.skip();
        self.at +=
            usize::from(self.peek() == Some(b':') && self.text.get(self.at + 1) != Some(&b':'));
    }

    /// Over the rest of the value that this token begins.
    pub fn pass(&mut self, token: Token<'a>) -> Result<(), Wrong> {
        let mut depth = match token {
            Token::Open | Token::Map => 1,
            Token::Close(_) => {
                return self.wrong("a value is missing before a bracket that closes");
            }
            Token::End => return self.wrong("it ends before a value"),
            _ => return Ok(()),
        };
        while depth > 0 {
            self.skip();
            if self.peek() == Some(b':') {
                // The colon of JSON, or a keyword: neither matters here.
                self.at += 1;
                continue;
            }
            match self.token()? {
                Token::Open | Token::Map => depth += 1,
                Token::Close(_) => depth -= 1,
                Token::End => return self.wrong("it ends within brackets"),
                _ => {}
            }
            if depth > DEPTH_MAX {
                return self.wrong(format!("nested more than {DEPTH_MAX} deep"));
            }
        }
        Ok(())
    }
}
