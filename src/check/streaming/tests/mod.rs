//! Small histories, event by event, against what tries everything again at each event.

mod invented;
mod logs;
mod registers;
mod single;

/// So many cases, or as many as `FIREDRILL_CASES` says; and no file of past failures beside the source.
fn cases(n: u32) -> proptest::prelude::ProptestConfig {
    let said = std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok());
    proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::with_cases(said.unwrap_or(n))
    }
}
