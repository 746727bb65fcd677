//! The text that `firedrill new` writes: a commented scenario to start from.

/// A scenario that runs as it stands, on the embedded store.
pub fn template() -> &'static str {
    include_str!("starter.yaml")
}
