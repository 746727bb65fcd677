//! What is wrong with a scenario, and where: the file, the line, the column, the line itself with a caret,
//! what was expected and the nearest known name.
//!
//! Pure: a diagnostic is data, and `render` is plain text. Colour is the command line's.

use std::fmt::Write;

use crate::fault::Place;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The scenario file as it was named, or `--set` for an override.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// How many characters the caret underlines; at least 1.
    pub width: u32,
    /// What is wrong: a lower-case fragment that carries the offending value.
    pub message: String,
    /// What is known, and the remedy.
    pub help: Option<String>,
    /// The line, as it was written.
    pub excerpt: String,
}

/// No line of an excerpt is shown beyond this many characters.
const EXCERPT_CHARS_MAX: usize = 160;

impl Diagnostic {
    /// As plain text, a few lines, with no line break at the end.
    pub fn render(&self) -> String {
        let mut text = format!("{}:{}:{}: {}", self.file, self.line, self.column, self.message);
        let margin = " ".repeat(self.line.to_string().len());
        let shown: String = self.excerpt.chars().take(EXCERPT_CHARS_MAX).collect();
        // A caret beyond what is shown would point at nothing.
        let column = (self.column.max(1) as usize - 1).min(shown.chars().count());
        if !shown.trim().is_empty() {
            // Tabs are kept in the indentation, so that the caret stands below its character.
            let indent: String =
                shown.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let room = shown.chars().count().saturating_sub(column).max(1);
            let carets = "^".repeat((self.width.max(1) as usize).min(room));
            let _ =
                write!(text, "\n{margin} |\n{} | {shown}\n{margin} | {indent}{carets}", self.line);
        }
        if let Some(help) = &self.help {
            let _ = write!(text, "\n{margin} = {help}");
        }
        text
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for Diagnostic {}

/// The lines of a text as YAML breaks them: also at a lone carriage return. At least one.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_suffix(['\n', '\r']).unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What the user wrote: the scenario file, then each override.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    texts: Vec<(String, String)>,
}

impl Sources {
    /// A scenario file.
    pub fn new(file: &str, text: &str) -> Self {
        Sources { texts: vec![(file.to_string(), text.to_string())] }
    }
    /// One override more; returns which source it is.
    pub fn push(&mut self, name: &str, text: String) -> u32 {
        self.texts.push((name.to_string(), text));
        self.texts.len() as u32 - 1
    }
    /// The scenario file's name.
    pub fn file(&self) -> &str {
        self.texts.first().map_or("", |(name, _)| name)
    }
    /// A mistake at this place; nowhere is the beginning of the file.
    pub fn diagnose(
        &self,
        place: Place,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Diagnostic {
        let (file, text) = self.texts.get(place.source as usize).map_or(("", ""), |(f, t)| (f, t));
        let line = place.line.max(1);
        let excerpt = lines(text).nth(line as usize - 1).unwrap_or_default();
        Diagnostic {
            file: file.to_string(),
            line,
            column: place.column.max(1),
            width: place.width.max(1),
            message: message.into(),
            help,
            excerpt: excerpt.trim_end().to_string(),
        }
    }
}
