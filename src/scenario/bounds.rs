//! Bounds of plain values, told with the value that breaks them.

use serde::de::{Deserialize, Deserializer, Error};

use crate::fault::At;
use crate::quantity::Span;

/// A whole number from `LOW` to `HIGH`.
pub fn whole<'de, D, const LOW: u32, const HIGH: u32>(d: D) -> Result<u32, D::Error>
where
    D: Deserializer<'de>,
{
    let number = u32::deserialize(d)?;
    match (LOW..=HIGH).contains(&number) {
        true => Ok(number),
        false => {
            Err(Error::custom(format!("expected a number from {LOW} to {HIGH}, found `{number}`")))
        }
    }
}

/// The same, where the field may be left out.
pub fn some_whole<'de, D, const LOW: u32, const HIGH: u32>(d: D) -> Result<Option<u32>, D::Error>
where
    D: Deserializer<'de>,
{
    whole::<D, LOW, HIGH>(d).map(Some)
}

/// A scenario's name.
pub fn name<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // A name becomes part of file names: it must not climb out of its folder.
    match name.chars().all(fits) && (1..=100).contains(&name.len()) && !name.starts_with('.') {
        true => Ok(name),
        false => Err(Error::custom(format!(
            "expected a name of letters, digits, `-`, `_` and `.`, at most 100, not beginning \
             with a dot; found `{}`",
            name.chars().take(100).collect::<String>()
        ))),
    }
}

/// A span that is not zero.
pub fn some_time<'de, D: Deserializer<'de>>(d: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(d)?;
    match span.0.is_zero() {
        true => Err(Error::custom("expected a duration above 0s, found `0s`")),
        false => Ok(span),
    }
}

/// A lease: long enough to be renewed, short enough to be of use.
pub fn lease<'de, D: Deserializer<'de>>(d: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(d)?;
    match (Span::secs(1)..=Span::secs(3600)).contains(&span) {
        true => Ok(span),
        false => Err(Error::custom(format!("expected a lease from 1s to 1h, found `{span}`"))),
    }
}

/// A client's patience.
pub fn timeout<'de, D: Deserializer<'de>>(d: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(d)?;
    match (Span::millis(1)..=Span::secs(600)).contains(&span) {
        true => Ok(span),
        false => Err(Error::custom(format!("expected a time-out from 1ms to 10m, found `{span}`"))),
    }
}

/// Where a service answers.
pub fn url<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(d)?;
    match reqwest::Url::parse(&url) {
        Ok(parsed) if parsed.scheme() == "http" && parsed.has_host() => Ok(Some(url)),
        _ => Err(Error::custom(format!("expected `http://HOST[:PORT]/PATH`, found `{url}`"))),
    }
}

/// What is asked for at an address.
pub fn path<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let path = String::deserialize(d)?;
    match path.starts_with('/') {
        true => Ok(path),
        false => {
            Err(Error::custom(format!("expected a path that begins with `/`, found `{path}`")))
        }
    }
}

/// How many keys are worked on.
pub fn keys<'de, D: Deserializer<'de>>(d: D) -> Result<At<u32>, D::Error> {
    let keys = At::<u32>::deserialize(d)?;
    match (1..=1_000_000).contains(&keys.value) {
        true => Ok(keys),
        false => Err(Error::custom(format!("expected 1 to 1000000 keys, found `{keys}`"))),
    }
}
