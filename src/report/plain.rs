//! Text of others (node logs, error messages, names) made fit for a terminal, an XML file and a web page.

/// The text without terminal sequences, every other character that XML or a terminal would choke on
/// replaced by U+FFFD. Line ends and tabs stay. Nothing readable is lost.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(behind) = behind_control_sequence(rest) {
            rest = behind;
            continue;
        }
        out.push(if is_fit(c) { c } else { char::REPLACEMENT_CHARACTER });
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// One line: as [`plain`], with line ends and tabs as spaces.
pub(super) fn one_line(text: &str) -> String {
    plain(text).split(['\n', '\t']).map(str::trim).collect::<Vec<_>>().join(" ").trim().into()
}

/// XML 1.0, section 2.2, less the control characters that it only discourages, and less the marks that
/// turn the direction of text (a name must not disguise what stands behind it).
fn is_fit(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        c => !c.is_control(),
    }
}

/// What stands behind a complete control sequence (ECMA-48, section 5.4) at the start of the text.
/// A sequence that does not end is none: it must not swallow the text behind it.
fn behind_control_sequence(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let end = rest.find(|c| !matches!(c, '\u{20}'..='\u{3f}'))?;
    matches!(rest.as_bytes()[end], 0x40..=0x7e).then(|| &rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_go_and_what_they_coloured_stays() {
        assert_eq!(plain("\u{1b}[1;31mdisk full\u{1b}[0m on n1"), "disk full on n1");
    }

    #[test]
    fn a_sequence_that_never_ends_swallows_nothing() {
        assert_eq!(plain("\u{1b}]0;title"), "\u{fffd}]0;title");
        assert_eq!(plain("\u{1b}[31"), "\u{fffd}[31");
        assert_eq!(plain("\u{1b}[31é"), "\u{fffd}[31é");
    }

    #[test]
    fn what_xml_cannot_hold_is_shown_as_replaced() {
        assert_eq!(plain("a\0b\u{7}c\u{ffff}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(plain("\u{85}\u{202e}"), "\u{fffd}\u{fffd}");
        assert_eq!(one_line("a\n\tb "), "a  b");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left(text in any::<String>()) {
            let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
            prop_assert!(!plain(&text).contains(obeyed));
        }

        #[test]
        fn making_it_plain_twice_changes_nothing(text in any::<String>()) {
            prop_assert_eq!(plain(&plain(&text)), plain(&text));
        }
    }
}
