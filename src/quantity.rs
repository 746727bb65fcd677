//! Quantities as people write them: `500ms`, `5s..15s`, `99%`, `500/s`, `10mbit`, `256MiB`. Each parses from and prints
//! to one canonical text, so that a scenario, a plan and a report agree to the byte.
//!
//! Pure. Deliberately absent: arithmetic beyond what the rooms need; a quantity is data.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not the quantity it should be: what was found, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found `{found}`")]
pub struct ParseError {
    /// What would have been accepted, with an example.
    pub expected: &'static str,
    /// The offending text.
    pub found: String,
}

fn bad<T>(expected: &'static str, found: &str) -> Result<T, ParseError> {
    Err(ParseError { expected, found: found.to_string() })
}

/// A span of time in humantime's notation (`1s`, `250ms`, `1m 30s`). From 0 to 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

const SPAN: &str = "a duration with its unit, at most 24h, such as 500ms, 15s or 2m";

impl Span {
    /// Whole milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Span(Duration::from_millis(ms))
    }
    /// Whole seconds.
    pub const fn secs(s: u64) -> Self {
        Span(Duration::from_secs(s))
    }
}

impl FromStr for Span {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        match humantime::parse_duration(s.trim()) {
            Ok(d) if d <= Duration::from_secs(24 * 3600) => Ok(Span(d)),
            _ => bad(SPAN, s),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

/// A fraction from 0 to 1, written as a percentage (`99%`, `99.9%`).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Ratio(f64);

const RATIO: &str = "a percentage from 0% to 100%, such as 99%";

impl Ratio {
    /// Nothing of it.
    pub const NONE: Ratio = Ratio(0.0);
    /// All of it.
    pub const ALL: Ratio = Ratio(1.0);
    /// A ratio of `fraction`, held between 0 and 1; what is not a number is 0.
    pub fn new(fraction: f64) -> Self {
        Ratio(if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) })
    }
    /// To a hundredth of a percent, for people; rounded down, so that 100% means all.
    pub fn rounded(self) -> Self {
        Ratio((self.0 * 1e4 + 1e-9).floor() / 1e4)
    }
    /// As a fraction from 0 to 1.
    pub fn fraction(self) -> f64 {
        self.0
    }
}

impl Eq for Ratio {}

#[allow(clippy::derive_ord_xor_partial_ord)]
impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0) // never NaN: `new` and `from_str` see to it
    }
}

impl FromStr for Ratio {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let number =
            s.trim().strip_suffix('%').map(str::trim_end).and_then(|n| n.parse::<f64>().ok());
        match number {
            Some(n) if (0.0..=100.0).contains(&n) => Ok(Ratio(n / 100.0)),
            _ => bad(RATIO, s),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = (self.0 * 100.0 * 1e6).round() / 1e6;
        write!(f, "{percent}%")
    }
}

/// Operations in a unit of time (`500/s`, `30/m`), held as operations a second: above 0, at most 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

const RATE: &str = "a rate above 0 and at most 1000000/s, such as 500/s or 30/m";

impl Rate {
    /// One a second.
    pub const ONE: Rate = Rate(1.0);

    /// A rate of `n` operations a second; `None` outside the bounds.
    pub fn per_second_of(n: f64) -> Option<Self> {
        (n > 0.0 && n <= 1e6).then_some(Rate(n))
    }
    /// Operations a second.
    pub fn per_second(self) -> f64 {
        self.0
    }
    /// The time from one operation's intended start to the next one's.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl FromStr for Rate {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let parsed = s.trim().split_once('/').and_then(|(n, unit)| {
            let n: f64 = n.trim().parse().ok()?;
            let unit_s = match unit.trim() {
                "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
            Rate::per_second_of(n / unit_s)
        });
        parsed.map_or_else(|| bad(RATE, s), Ok)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/s", (self.0 * 1e6).round() / 1e6)
    }
}

/// A bandwidth in bits a second, in tc's notation (`10mbit`, `512kbit`, `1gbit`, `9600bit`). At least 1 bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(u64);

const BANDWIDTH: &str = "a bandwidth above 0 such as 10mbit, 512kbit or 1gbit";

impl Bandwidth {
    /// A bandwidth of `bits` a second; 0 is held to be 1.
    pub fn bits(bits: u64) -> Self {
        Bandwidth(bits.max(1))
    }
    /// Bits a second.
    pub fn bits_per_second(self) -> u64 {
        self.0
    }
}

impl FromStr for Bandwidth {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let text = s.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = match unit {
            "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            _ => return bad(BANDWIDTH, s),
        };
        match number.trim().parse::<f64>() {
            Ok(n) if n * factor >= 1.0 && n * factor <= 1e15 => Ok(Bandwidth((n * factor) as u64)),
            _ => bad(BANDWIDTH, s),
        }
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let b = self.0;
        match b {
            _ if b.is_multiple_of(1_000_000_000) => write!(f, "{}gbit", b / 1_000_000_000),
            _ if b.is_multiple_of(1_000_000) => write!(f, "{}mbit", b / 1_000_000),
            _ if b.is_multiple_of(1_000) => write!(f, "{}kbit", b / 1_000),
            _ => write!(f, "{b}bit"),
        }
    }
}

/// A span, or a range of spans from which the plan draws one (`5s`, `5s..15s`; both ends may be drawn).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRange {
    /// The shortest span that may be drawn.
    pub low: Span,
    /// The longest span that may be drawn; never below `low`.
    pub high: Span,
}

const RANGE: &str =
    "a duration such as 5s, or a range from the shorter to the longer, such as 5s..15s";

impl FromStr for SpanRange {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let (low, high) = match s.split_once("..") {
            Some((low, high)) => (low.parse::<Span>(), high.parse::<Span>()),
            None => (s.parse(), s.parse()),
        };
        match (low, high) {
            (Ok(low), Ok(high)) if low <= high => Ok(SpanRange { low, high }),
            _ => bad(RANGE, s),
        }
    }
}

impl fmt::Display for SpanRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.low == self.high {
            true => write!(f, "{}", self.low),
            false => write!(f, "{}..{}", self.low, self.high),
        }
    }
}

/// Serde and JSON Schema through the canonical text.
macro_rules! as_text {
    ($type:ident, $schema:literal, $expected:expr, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": $pattern, "description": $expected,
                })
            }
        }
    };
}

mod size;

pub use size::{Bytes, Cpus, Throughput};

as_text!(Span, "Duration", SPAN, r"^\s*(\d+\s*[a-zA-Z]+\s*)+$|^0$");
as_text!(
    SpanRange,
    "DurationOrRange",
    RANGE,
    r"^\s*(\d+\s*[a-zA-Z]+\s*)+(\.\.\s*(\d+\s*[a-zA-Z]+\s*)+)?$"
);
as_text!(Ratio, "Percentage", RATIO, r"^\s*\d+(\.\d+)?\s*%\s*$");
as_text!(Rate, "Rate", RATE, r"^\s*\d+(\.\d+)?\s*/\s*(s|m|min|h)\s*$");
as_text!(Bandwidth, "Bandwidth", BANDWIDTH, r"^\s*\d+(\.\d+)?\s*[kmg]?bit\s*$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quantity_prints_what_it_parses() {
        assert_eq!("1m 30s".parse::<Span>().unwrap().to_string(), "1m 30s");
        assert_eq!("5s..15s".parse::<SpanRange>().unwrap().to_string(), "5s..15s");
        assert_eq!("99.9%".parse::<Ratio>().unwrap().to_string(), "99.9%");
        assert_eq!("30/m".parse::<Rate>().unwrap().to_string(), "0.5/s");
        assert_eq!("10mbit".parse::<Bandwidth>().unwrap().to_string(), "10mbit");
    }

    #[test]
    fn a_rounded_ratio_says_all_only_of_all() {
        let rounded = |fraction| Ratio::new(fraction).rounded().to_string();
        assert_eq!(rounded(0.97560976), "97.56%");
        assert_eq!(rounded(0.999999), "99.99%");
        assert_eq!(rounded(1.0), "100%");
        assert_eq!(rounded(0.29), "29%");
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_an_example() {
        for text in ["5 parsecs", "", "-1s", "9999d"] {
            assert!(text.parse::<Span>().unwrap_err().to_string().contains("such as"), "{text}");
        }
        assert!("15s..5s".parse::<SpanRange>().is_err());
        assert!("101%".parse::<Ratio>().is_err());
        assert!("NaN%".parse::<Ratio>().is_err());
        assert!("0/s".parse::<Rate>().is_err());
        assert!("0mbit".parse::<Bandwidth>().is_err());
    }
}
