//! How far a node's wall clock is off, as people write it: `-10m`, `+1h 30s`.
//!
//! Invariant: it parses from and prints to one canonical text, and [`ClockSkew::join`] obeys the laws of
//! conditions: commutative, associative, idempotent, neutral default, never weaker in magnitude.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quantity::ParseError;

/// What is added to the wall clock that processes see, to the nanosecond. The default is none. At most ten
/// years (of 365 days) to either side. Monotonic clocks are not concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClockSkew {
    nanoseconds: i64,
}

const EXPECTED: &str =
    "an offset of the clock with sign and unit, at most 10 years, such as -10m or +1h 30s";
const PATTERN: &str = r"^\s*[+-]?\s*(\d+\s*[a-zA-Z]+\s*)+$|^0$";

impl ClockSkew {
    /// The clock is right.
    pub const NONE: ClockSkew = ClockSkew { nanoseconds: 0 };
    /// The furthest that a clock may be off, to either side.
    pub const MOST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

    /// The clock is `by` ahead; `None` beyond the bounds.
    pub fn ahead(by: Duration) -> Option<ClockSkew> {
        let nanoseconds = i64::try_from(by.as_nanos()).ok()?;
        (by <= Self::MOST).then_some(ClockSkew { nanoseconds })
    }
    /// The clock is `by` behind; `None` beyond the bounds.
    pub fn behind(by: Duration) -> Option<ClockSkew> {
        let ClockSkew { nanoseconds } = Self::ahead(by)?;
        Some(ClockSkew { nanoseconds: -nanoseconds })
    }
    /// Nanoseconds, positive where the clock is ahead.
    pub fn nanoseconds(self) -> i64 {
        self.nanoseconds
    }
    /// How far off, to whichever side.
    pub fn magnitude(self) -> Duration {
        Duration::from_nanos(self.nanoseconds.unsigned_abs())
    }
    /// Whether the clock is right.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
    /// The one that is further off; where both are, the one that is ahead.
    #[must_use]
    pub fn join(self, other: ClockSkew) -> ClockSkew {
        self.max_by_key(other, |skew| (skew.magnitude(), skew))
    }

    fn max_by_key<K: Ord>(self, other: ClockSkew, key: impl Fn(ClockSkew) -> K) -> ClockSkew {
        if key(self) >= key(other) { self } else { other }
    }
}

impl FromStr for ClockSkew {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let text = s.trim();
        let (behind, magnitude) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        // humantime would take another sign for a number's start and refuse it with other words.
        let by = humantime::parse_duration(magnitude.trim()).ok();
        let skew = by.and_then(|by| if behind { Self::behind(by) } else { Self::ahead(by) });
        skew.ok_or_else(|| ParseError { expected: EXPECTED, found: s.to_string() })
    }
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sign = match self.nanoseconds {
            0 => "",
            n if n < 0 => "-",
            _ => "+",
        };
        f.pad(&format!("{sign}{}", humantime::format_duration(self.magnitude())))
    }
}

impl Serialize for ClockSkew {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClockSkew {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ClockSkew {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClockSkew".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": PATTERN, "description": EXPECTED })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<ClockSkew>().unwrap().to_string()
    }

    #[test]
    fn it_prints_what_it_parses_with_its_sign() {
        assert_eq!(parsed("-10m"), "-10m");
        assert_eq!(parsed("+1h 30s"), "+1h 30s");
        assert_eq!(parsed(" 5s "), "+5s");
        assert_eq!(parsed("- 1500ms"), "-1s 500ms");
        assert_eq!(parsed("0s"), "0s");
        assert_eq!(parsed("-0s"), "0s");
        assert_eq!(ClockSkew::default().to_string(), "0s");
        assert_eq!("-1s".parse::<ClockSkew>().unwrap().nanoseconds(), -1_000_000_000);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_an_example() {
        for text in ["", "-", "--5s", "+-5s", "5", "5 parsecs", "11years", "-11years", "1e9s"] {
            let error = text.parse::<ClockSkew>().unwrap_err().to_string();
            assert!(error.contains("such as -10m") && error.contains(text), "{text}: {error}");
        }
        assert!("-3650days".parse::<ClockSkew>().is_ok());
        assert_eq!(ClockSkew::ahead(ClockSkew::MOST + Duration::from_nanos(1)), None);
    }

    /// Few values, so that equal magnitudes are met often; and some that are met nowhere else.
    fn skew() -> impl Strategy<Value = ClockSkew> {
        let small = (-2..=2_i64).prop_map(|n| n * 1_000_000_000);
        let most = i64::try_from(ClockSkew::MOST.as_nanos()).unwrap();
        prop_oneof![small, -most..=most].prop_map(|nanoseconds| ClockSkew { nanoseconds })
    }

    type Join = fn(ClockSkew, ClockSkew) -> ClockSkew;

    /// Whether this way of joining obeys every law.
    fn obeys_the_laws(join: Join) -> Result<(), String> {
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
        let laws = runner.run(&(skew(), skew(), skew()), |(a, b, c)| {
            let joined = join(a, b);
            prop_assert_eq!(joined, join(b, a), "commutative");
            prop_assert_eq!(join(joined, c), join(a, join(b, c)), "associative");
            prop_assert_eq!(join(a, a), a, "idempotent");
            prop_assert_eq!(join(a, ClockSkew::default()), a, "neutral default");
            prop_assert!(joined.magnitude() >= a.magnitude().max(b.magnitude()), "never weaker");
            Ok(())
        });
        laws.map_err(|e| e.to_string())
    }

    #[test]
    fn joining_obeys_the_laws() {
        obeys_the_laws(ClockSkew::join).unwrap();
    }

    #[test]
    fn a_join_that_breaks_a_law_is_caught() {
        let broken: [(&str, Join); 4] = [
            ("neutral default", |a, b| a.max(b)), // the one ahead, as if behind were weaker
            ("commutative", |a, b| if b.magnitude() > a.magnitude() { b } else { a }),
            ("idempotent", |a, b| ClockSkew {
                nanoseconds: a.nanoseconds / 2 + b.nanoseconds / 2 + 1,
            }),
            (
                "never weaker",
                |a, b| if a == b || b.is_none() { a } else { b.min(a).max(ClockSkew::NONE) },
            ),
        ];
        for (law, join) in broken {
            assert!(obeys_the_laws(join).is_err(), "a join that is not {law} was let pass");
        }
    }

    #[test]
    fn serde_and_its_schema_take_the_same_texts() {
        for text in ["-10m", "+1h 30s", "5s", "0s"] {
            let skew: ClockSkew = serde_json::from_value(text.into()).unwrap();
            let printed = serde_json::to_value(skew).unwrap();
            assert_eq!(serde_json::from_value::<ClockSkew>(printed).unwrap(), skew);
        }
        assert!(serde_json::from_value::<ClockSkew>(5.into()).is_err());
        let schema = schemars::schema_for!(ClockSkew);
        assert_eq!(schema.get("pattern").unwrap(), PATTERN);
    }

    proptest! {
        #[test]
        fn every_skew_survives_its_text(skew in skew()) {
            prop_assert_eq!(skew.to_string().parse::<ClockSkew>().unwrap(), skew);
        }
    }
}
