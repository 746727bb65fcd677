//! Text in 80 columns: wrapping with a hanging indent, seconds, counts, colours that may be off.

use anstyle::{AnsiColor, Style};

/// How wide a terminal is held to be. A report in a file or a log must not depend on today's window.
pub(super) const COLUMNS: usize = 80;

/// Whether terminal colours may be used. The text says the same without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// They may.
    Yes,
    /// They must not.
    No,
}

/// How much further in the rest of a line of evidence stands than its beginning.
const FURTHER: usize = 4;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const UNSURE: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const STRONG: Style = Style::new().bold();

impl Colour {
    /// The text in that style, or as it is.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        match self {
            Colour::Yes => format!("{style}{text}{style:#}"),
            Colour::No => text.to_string(),
        }
    }
}

/// `text` behind `first`, wrapped to [`COLUMNS`]; further lines are indented by as much as `first` is wide.
/// A word that is wider than a line stands alone, whole: a path must stay one that can be copied.
pub(super) fn hang(first: &str, text: &str) -> Vec<String> {
    let indent = first.chars().count();
    let room = COLUMNS.saturating_sub(indent).max(20);
    let mut lines: Vec<String> = vec![];
    let mut line = String::new();
    for word in text.split_whitespace() {
        let width = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && width > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let prefix = |i: usize| if i == 0 { first.to_string() } else { " ".repeat(indent) };
    lines.iter().enumerate().map(|(i, l)| format!("{}{l}", prefix(i)).trim_end().into()).collect()
}

/// A line of evidence: its own indentation is kept, since tables and histories stand in it. What does not
/// fit hangs further in, so that the beginning of each line stands out.
pub(super) fn evidence(indent: &str, line: &str) -> Vec<String> {
    let own = line.len() - line.trim_start_matches(' ').len();
    let first = format!("{indent}{}", &line[..own]);
    match first.chars().count() + line[own..].chars().count() <= COLUMNS {
        true => vec![format!("{first}{}", &line[own..]).trim_end().to_string()],
        false => {
            let rest = format!("{first}{}", " ".repeat(FURTHER));
            let mut lines = hang(&rest, line);
            if let Some(line) = lines.first_mut() {
                *line = format!("{first}{}", line.trim_start());
            }
            lines
        }
    }
}

/// Seconds with milliseconds: `12.345 s`.
pub(super) fn seconds(s: f64) -> String {
    format!("{s:.3} s")
}

/// Milliseconds as people say them, to three digits or so: `0.42 ms`, `35 ms`, `41.2 s`.
pub(super) fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{} ms", number((ms * 1e2).round() / 1e2)),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{} s", number((ms / 10.0).round() / 1e2)),
    }
}

/// A count with commas at the thousands: `12,000`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// A number without a tail of noughts or noise: `41200`, `99.873`.
pub(super) fn number(x: f64) -> String {
    let rounded = format!("{x:.3}");
    rounded.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// `1 node`, `2 nodes`.
pub(crate) fn plural(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_hangs_under_its_beginning() {
        let lines = hang("  ok  ", &"word ".repeat(30));
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|l| l.chars().count() <= COLUMNS), "{lines:#?}");
        assert!(lines[1].starts_with("      word"), "{lines:#?}");
    }

    #[test]
    fn a_long_word_stays_whole() {
        let path = "p".repeat(120);
        assert_eq!(hang("at ", &format!("a {path} b")), ["at a", &format!("   {path}"), "   b"]);
    }

    #[test]
    fn evidence_keeps_its_own_indentation() {
        assert_eq!(evidence("    ", "  w 1  -> ok"), ["      w 1  -> ok"]);
    }

    #[test]
    fn evidence_that_does_not_fit_hangs_behind_its_beginning() {
        let lines = evidence("  ", &"word ".repeat(30));
        assert!(
            lines.len() > 1 && lines.iter().all(|l| l.chars().count() <= COLUMNS),
            "{lines:#?}"
        );
        assert!(lines[0].starts_with("  word") && lines[1].starts_with("      word"), "{lines:#?}");
    }

    #[test]
    fn figures_are_said_as_people_say_them() {
        assert_eq!((millis(0.421).as_str(), millis(41_200.0).as_str()), ("0.42 ms", "41.2 s"));
        assert_eq!((count(1_234_567).as_str(), count(12).as_str()), ("1,234,567", "12"));
        assert_eq!((number(41_200.0).as_str(), number(99.8734).as_str()), ("41200", "99.873"));
    }
}
