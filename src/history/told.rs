//! Why a history is refused, as it is told: one line of bounded length, whatever of the history it quotes.

/// So many bytes are told, and a few more.
const LONGEST: usize = 300;

/// In one line, without what a terminal obeys.
pub(super) fn plain(why: &str) -> String {
    let mut plain = String::new();
    for c in why.chars() {
        if plain.len() >= LONGEST {
            plain += "...";
            break;
        }
        match c.is_control() {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
    }
    plain
}

/// What is wrong with a line of JSON. Its place in the file is told by whoever read the line.
pub(super) fn of_json(e: &serde_json::Error) -> String {
    let (why, column) = (e.to_string(), e.column());
    let place = format!(" at line {} column {column}", e.line());
    match why.strip_suffix(&place) {
        Some(bare) => format!("{bare}, at column {column}"),
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_stays_in_its_line() {
        assert_eq!(plain("unknown `a\n\u{1b}[2Jé`"), "unknown `a\\n\\u{1b}[2Jé`");
        let long = plain(&"é".repeat(100_000));
        assert!(long.len() < 310 && long.ends_with("é..."), "{long}");
    }

    #[test]
    fn json_is_told_with_the_column_alone() {
        let e = serde_json::from_str::<u32>("  x").unwrap_err();
        assert_eq!(of_json(&e), "expected value, at column 3");
    }
}
