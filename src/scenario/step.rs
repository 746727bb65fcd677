//! When a fault strikes, and for how long.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::fault::{At, Spec};
use crate::quantity::{Span, SpanRange};

/// One entry of `faults`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawStep")]
pub struct Step {
    /// When.
    pub when: When,
    /// For how long, from the confirmed injection; drawn anew each time.
    pub length: SpanRange,
    /// What; one of these is drawn each time. Never empty.
    pub faults: Vec<At<Spec>>,
}

impl JsonSchema for Step {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        RawStep::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        RawStep::json_schema(generator)
    }
}

/// When a step's fault strikes, since the load began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once.
    At(Span),
    /// Again and again.
    Every {
        /// The pause from the end of one (from `from`, for the first) to the beginning of the next.
        every: SpanRange,
        /// Not before this.
        from: Span,
        /// Healed by this.
        until: Span,
    },
}

/// One fault (`at`), or faults again and again (`every`, `until`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename = "Step", deny_unknown_fields)]
struct RawStep {
    /// When it strikes, since the load began.
    at: Option<Span>,
    /// The pause before each: from `from` or from the end of the one before.
    every: Option<SpanRange>,
    /// All are healed by this. Needed with `every`.
    until: Option<Span>,
    /// None is injected before this. Only with `every`. Default: 0s.
    from: Option<Span>,
    /// For how long, from the confirmed injection. A range is drawn from the seed.
    #[serde(rename = "for")]
    length: SpanRange,
    /// The fault.
    inject: Option<At<Spec>>,
    /// Several faults, of which one is drawn from the seed each time.
    choose: Option<Vec<At<Spec>>>,
}

impl TryFrom<RawStep> for Step {
    type Error = String;
    fn try_from(raw: RawStep) -> Result<Self, String> {
        let RawStep { at, every, until, from, length, inject, choose } = raw;
        let when = match (at, every, until, from) {
            (Some(at), None, None, None) => When::At(at),
            (Some(_), None, ..) => {
                return Err("`until` and `from` go with `every`, not with `at`".into());
            }
            (None, Some(every), Some(until), from) => {
                let from = from.unwrap_or_default();
                if from >= until {
                    return Err(format!("expected `until` after `from`, found {until} and {from}"));
                }
                When::Every { every, from, until }
            }
            (None, Some(_), None, _) => return Err("missing field `until`, beside `every`".into()),
            (Some(_), Some(_), ..) => {
                return Err("expected either `at` or `every`, found both".into());
            }
            (None, None, ..) => return Err("missing field `at` (or `every` and `until`)".into()),
        };
        let faults = match (inject, choose) {
            (Some(fault), None) => vec![fault],
            (None, Some(faults)) if !faults.is_empty() => faults,
            (None, Some(_)) => return Err("expected at least one fault in `choose`".into()),
            (Some(_), Some(_)) => {
                return Err("expected either `inject` or `choose`, found both".into());
            }
            (None, None) => return Err("missing field `inject` (or `choose`)".into()),
        };
        if length.low.0.is_zero() {
            return Err(format!("expected `for` above 0s, found `{length}`"));
        }
        if matches!(when, When::Every { every, .. } if every.low < Span::millis(10)) {
            return Err("expected `every` of at least 10ms".into());
        }
        Ok(Step { when, length, faults })
    }
}
