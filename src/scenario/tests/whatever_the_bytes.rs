//! Whatever the bytes: a scenario, or mistakes with places; never a panic, never a hang.

use super::*;
use proptest::prelude::*;

/// A scenario, or mistakes that each stand at a place of the text, within bounds.
fn parses_or_tells(text: &str, overrides: &[(String, String)]) -> Result<(), TestCaseError> {
    let Err(found) = Scenario::parse("drill.yaml", text, overrides) else { return Ok(()) };
    prop_assert!(!found.is_empty());
    prop_assert!(found.len() <= 20 + overrides.len());
    for diagnostic in found {
        prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1, "{:?}", diagnostic);
        prop_assert!(!diagnostic.message.is_empty(), "{:?}", diagnostic);
        let broken = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = broken.lines().count().max(1) as u32;
        let inside = diagnostic.file == "--set" || diagnostic.line <= lines;
        prop_assert!(inside, "line {} of {lines}: {:?}", diagnostic.line, diagnostic);
        prop_assert!(diagnostic.render().contains(&diagnostic.message));
    }
    Ok(())
}

fn seeds() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(DESIGN.to_string()),
        Just(SMALL.to_string()),
        Just(template().to_string()),
        Just(include_str!("../../../scenarios/etcd-five.yaml").to_string()),
        Just(include_str!("../../../scenarios/random-hour-in-small.yaml").to_string()),
    ]
}

fn scrap() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "\n",
        "  ",
        "&a ",
        "*a",
        "!!str ",
        "|\n",
        ">\n",
        "\"",
        "'",
        "#",
        "%",
        "---\n",
        "...\n",
        "\t",
        "null",
        "~",
        "1e999",
        "-1",
        "0x10",
        ".nan",
        "9999999999999999999",
        "zone: leader",
        "all",
        "5s..1s",
        "\u{feff}",
        "\u{0}",
        "\u{2028}",
        "\r",
        "<<: *a",
        "? ",
        ",",
    ];
    prop_oneof![prop::sample::select(words.to_vec()).prop_map(String::from), ".{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_scenario_is_read_or_refused_at_a_place(
        text in seeds(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, scrap()), 1..6),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        for (index, gone, scrap) in cuts {
            let at = index.index(chars.len() + 1);
            let end = (at + gone).min(chars.len());
            chars.splice(at..end, scrap.chars());
        }
        parses_or_tells(&chars.into_iter().collect::<String>(), &[])?;
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place(text in "(?s).{0,200}") {
        parses_or_tells(&text, &[])?;
    }

    #[test]
    fn any_override_is_taken_or_refused_at_a_place(
        path in prop_oneof![
            "[a-z.0-9]{0,20}",
            Just("faults.0.inject.kill.nodes".to_string()),
            Just("target.local.zones.dc1".to_string()),
            Just("checks.0".to_string()),
        ],
        value in prop_oneof![scrap(), "[0-9]{1,12}", Just("{a: [b]}".to_string())],
    ) {
        parses_or_tells(SMALL, &[(path, value)])?;
    }
}
