//! YAML as a tree in which every node knows its place.
//!
//! Invariant: bounded, whatever the bytes: at most [`SOURCE_BYTES_MAX`], [`DEPTH_MAX`] deep, [`NODES_MAX`]
//! nodes with all aliases written out. Duplicate keys, several documents and tags are refused.

use std::collections::HashMap;

use serde_yaml::granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, options,
};

use super::diagnostic;
use crate::fault::Place;

/// The longest source that is read.
pub const SOURCE_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting.
pub const DEPTH_MAX: usize = 32;
/// The most nodes, with all aliases written out.
pub const NODES_MAX: usize = 50_000;

/// A node's number in its tree: by it a node is found again and dropped.
pub type Id = u32;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique in its tree.
    pub id: Id,
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text; `plain` if it stood without quotes, so that it may be a number or the like.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Whether it stood without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order in which it was written.
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

/// A text that is no YAML, or more of it than is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

impl Node {
    /// Whether nothing was written.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null"))
    }
    /// What it is, in words, for `expected ..., found ...`.
    pub fn words(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".into(),
            Value::Scalar { text, .. } if text.chars().count() > 60 => {
                format!("`{}...`", text.chars().take(60).collect::<String>())
            }
            Value::Scalar { text, .. } => format!("`{text}`"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

/// Numbers nodes, across the file and its overrides.
#[derive(Debug, Default)]
pub struct Ids {
    next: Id,
}

impl Ids {
    /// The next number.
    pub fn next(&mut self) -> Id {
        self.next += 1;
        self.next
    }
}

/// Reads one YAML document. `source` is the number that its places carry. Never panics.
pub fn read(text: &str, source: u32, ids: &mut Ids) -> Result<Node, SyntaxError> {
    let start = Place { source, line: 1, column: 1, width: 1 };
    if text.len() > SOURCE_BYTES_MAX {
        let message = format!("expected at most {SOURCE_BYTES_MAX} bytes, found {}", text.len());
        return Err(SyntaxError { place: start, message });
    }
    let lines = diagnostic::lines(text).count() as u32;
    let mut reader = Reader { source, text, lines, ids, anchors: HashMap::new(), nodes: 0 };
    let options: Options = options! { emit_comments: false };
    reader.document(&mut Parser::new_from_str_with_options(text, options), start)
}

struct Reader<'a> {
    source: u32,
    text: &'a str,
    lines: u32,
    ids: &'a mut Ids,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

type Events<'a> = dyn Iterator<Item = Result<(Event<'a>, Span), ScanError>> + 'a;

impl<'a> Reader<'a> {
    fn document(&mut self, events: &mut Events<'a>, start: Place) -> Result<Node, SyntaxError> {
        let mut root: Option<Node> = None;
        while let Some(next) = events.next() {
            let (event, span) = next.map_err(|e| self.scan_error(&e))?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return self.refuse(&span, "expected one document, found a second one");
                }
                event if event.is_node() => root = Some(self.node(event, span, events, 0)?),
                _ => {}
            }
        }
        match root {
            Some(root) if !root.is_null() => Ok(root),
            _ => Err(SyntaxError {
                place: start,
                message: "expected a scenario, found nothing".into(),
            }),
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        events: &mut Events<'a>,
        depth: usize,
    ) -> Result<Node, SyntaxError> {
        if depth >= DEPTH_MAX {
            return self.refuse(&span, &format!("nested deeper than {DEPTH_MAX} levels"));
        }
        if event.tag().is_some() {
            return self.refuse(&span, "tags (`!...`) have no meaning here");
        }
        self.count(1, &span)?;
        let place = self.place(&span);
        let id = self.ids.next();
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                (Value::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(events, depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(events, depth)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, &span, depth),
            _ => return self.refuse(&span, "expected a value"),
        };
        let node = Node { id, place, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, events: &mut Events<'a>, depth: usize) -> Result<Value, SyntaxError> {
        let mut items = vec![];
        loop {
            match self.next(events)? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) if event.is_node() => {
                    items.push(self.node(event, span, events, depth + 1)?);
                }
                _ => {}
            }
        }
    }

    fn map(&mut self, events: &mut Events<'a>, depth: usize) -> Result<Value, SyntaxError> {
        let mut entries: Vec<Entry> = vec![];
        let mut known: HashMap<String, u32> = HashMap::new();
        loop {
            let (event, span) = self.next(events)?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Map(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                event if event.is_node() => {
                    return self.refuse(&span, "expected a name as the key");
                }
                _ => continue,
            };
            let place = self.place(&span);
            if let Some(line) = known.insert(key.clone(), place.line) {
                return self.refuse(&span, &format!("duplicate key `{key}`, first on line {line}"));
            }
            let (event, span) = loop {
                let (event, span) = self.next(events)?;
                if event.is_node() {
                    break (event, span);
                }
            };
            let value = self.node(event, span, events, depth + 1)?;
            entries.push(Entry { key, place, value });
        }
    }

    /// An alias is its anchor's node written out again: same places, numbers of its own.
    fn alias(&mut self, anchor: usize, span: &Span, depth: usize) -> Result<Node, SyntaxError> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return self.refuse(span, "an alias cannot stand inside its own anchor");
        };
        let (nodes, levels) = size(&node);
        self.count(nodes, span)?;
        if depth + levels > DEPTH_MAX {
            return self.refuse(span, &format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let mut copy = node;
        renumber(&mut copy, self.ids);
        Ok(copy)
    }

    fn next(&self, events: &mut Events<'a>) -> Result<(Event<'a>, Span), SyntaxError> {
        match events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => {
                let line = self.lines;
                let place = Place { source: self.source, line, column: 1, width: 1 };
                Err(SyntaxError { place, message: "unexpected end".into() })
            }
        }
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        match self.nodes > NODES_MAX {
            true => self.refuse(span, &format!("more than {NODES_MAX} values")),
            false => Ok(()),
        }
    }

    fn refuse<T>(&self, span: &Span, message: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError { place: self.place(span), message: message.to_string() })
    }

    fn scan_error(&self, error: &ScanError) -> SyntaxError {
        let place = self.inside(error.marker(), 1);
        let info = error.info();
        let message = info.split(" at byte").next().unwrap_or(&info).trim();
        SyntaxError { place, message: format!("not YAML: {message}") }
    }

    fn place(&self, span: &Span) -> Place {
        let raw = span.slice(self.text).unwrap_or_default();
        let first = raw.split(['\n', '\r']).next().unwrap_or_default();
        self.inside(&span.start, first.trim_end().chars().count().max(1) as u32)
    }

    /// The parser may point behind the end of the text: then the place is the beginning of the last line.
    fn inside(&self, mark: &Marker, width: u32) -> Place {
        let (source, line) = (self.source, mark.line() as u32);
        match line > self.lines {
            true => Place { source, line: self.lines, column: 1, width: 1 },
            false => Place { source, line: line.max(1), column: mark.col() as u32 + 1, width },
        }
    }
}

fn size(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        Value::Scalar { .. } => vec![],
        Value::List(items) => items.iter().collect(),
        Value::Map(entries) => entries.iter().map(|e| &e.value).collect(),
    };
    children
        .into_iter()
        .map(size)
        .fold((1, 1), |(nodes, levels), (n, l)| (nodes + n, levels.max(l + 1)))
}

fn renumber(node: &mut Node, ids: &mut Ids) {
    node.id = ids.next();
    match &mut node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter_mut().for_each(|item| renumber(item, ids)),
        Value::Map(entries) => entries.iter_mut().for_each(|e| renumber(&mut e.value, ids)),
    }
}
