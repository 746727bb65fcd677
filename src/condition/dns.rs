//! What a node's look-ups of names suffer, by the name that is looked up.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What look-ups suffer. A name that no pattern matches resolves as ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// What becomes of the names that match. A name that matches several patterns suffers the strongest of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<NamePattern, Resolution>,
}

/// What becomes of a look-up, from the mildest to the strongest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// The name has this one address, and nothing else. Of two addresses the higher one counts as the stronger.
    Wrong(IpAddr),
    /// The resolver says that it failed (SERVFAIL).
    Error,
    /// The resolver says nothing.
    Silence,
}

impl Dns {
    /// Whether nothing is suffered.
    pub fn is_healthy(&self) -> bool {
        self.names.is_empty()
    }

    /// Everything that either side suffers: by each pattern, the stronger one.
    #[must_use]
    pub fn join(mut self, other: Dns) -> Dns {
        for (pattern, resolution) in other.names {
            let held = self.names.entry(pattern).or_insert(resolution);
            *held = resolution.max(*held);
        }
        self
    }

    /// What this name suffers; in any case of letters, without a dot at its end.
    pub fn resolution(&self, name: &str) -> Option<Resolution> {
        let matching = self.names.iter().filter(|(pattern, _)| pattern.matches(name));
        matching.map(|(_, resolution)| *resolution).max()
    }
}

/// Which names: every one (`*`), those below another at any depth (`*.example.com`), or one (`db.example.com`).
///
/// Invariant: lower case, and no dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

/// What [`NamePattern`] reads.
const PATTERN: &str = concat!(
    r"^(\*|(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?",
    r"(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*)$"
);
/// RFC 1035, section 2.3.4.
const LABEL_MAX: usize = 63;
/// The 255 bytes of the same section, as text.
const NAME_MAX: usize = 253;

/// A text that is no pattern of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no pattern of names: write `*`, `*.example.com` or `db.example.com`, in lower case \
     and without a dot at the end"
)]
pub struct NotAPattern(String);

impl NamePattern {
    /// Every name there is.
    pub fn all() -> NamePattern {
        NamePattern("*".into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name, without a dot at its end, is among those that are meant.
    pub fn matches(&self, name: &str) -> bool {
        let (name, pattern) = (name.as_bytes(), self.0.as_bytes());
        match pattern.strip_prefix(b"*") {
            Some(below) => {
                let end = name.len().checked_sub(below.len()).and_then(|at| name.get(at..));
                // `*` is below nothing; `.example.com` must have something before it.
                end.is_some_and(|end| end.eq_ignore_ascii_case(below))
                    && (below.is_empty() || name.len() > below.len())
            }
            None => name.eq_ignore_ascii_case(pattern),
        }
    }
}

impl FromStr for NamePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<NamePattern, NotAPattern> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_name = name.len() <= NAME_MAX && name.split('.').all(is_label);
        match text == "*" || is_name {
            true => Ok(NamePattern(text.into())),
            false => Err(NotAPattern(text.into())),
        }
    }
}

/// Whether it is a label of a host's name, or of a service's (`_tcp`).
fn is_label(label: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let edged = label.starts_with('-') || label.ends_with('-');
    (1..=LABEL_MAX).contains(&label.len()) && label.chars().all(known) && !edged
}

impl TryFrom<String> for NamePattern {
    type Error = NotAPattern;
    fn try_from(text: String) -> Result<NamePattern, NotAPattern> {
        text.parse()
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> String {
        pattern.0
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl JsonSchema for NamePattern {
    fn schema_name() -> Cow<'static, str> {
        "NamePattern".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": PATTERN,
            "description": "names that are looked up: every one (`*`), those below another at any \
                            depth (`*.example.com`), or one (`db.example.com`)",
        })
    }
}

#[cfg(test)]
mod tests;
