//! What keeps a drill within bounds: guards, blast radius, steady state, and commands around it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounds;
use crate::fault::Argv;
use crate::quantity::{Ratio, Span};

/// A command around the drill.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The program and its arguments; not a shell line.
    pub run: Argv,
    /// It is killed after this long, and has failed. Default: 1m.
    #[serde(default = "hook_timeout", deserialize_with = "bounds::some_time")]
    pub timeout: Span,
}

fn hook_timeout() -> Span {
    Span::secs(60)
}

/// A rule that breaks the drill off.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardSpec {
    /// Heals everything and ends the drill, as inconclusive, when this holds.
    pub abort_when: Guard,
}

/// What a guard watches.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The part of operations that succeed is below this...
    pub availability: Ratio,
    /// ...for this long on end.
    #[serde(rename = "for", deserialize_with = "bounds::some_time")]
    pub length: Span,
}

/// The most that may be struck at once. Default: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlastRadius {
    /// The most nodes that faults may strike at the same time.
    pub nodes: Option<u32>,
    /// The most zones of which every node may be struck at the same time.
    pub zones: Option<u32>,
}

/// What must hold before the first fault; else nothing is injected, and the drill is inconclusive.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SteadyState {
    /// For this long. Default: 3s.
    #[serde(deserialize_with = "bounds::some_time")]
    pub window: Span,
    /// At least this part of the operations succeeds. Default: 99%.
    pub success: Ratio,
    /// At least this part of the offered rate is reached. Default: 90%.
    pub rate: Ratio,
}

impl Default for SteadyState {
    fn default() -> Self {
        SteadyState { window: Span::secs(3), success: Ratio::new(0.99), rate: Ratio::new(0.9) }
    }
}
