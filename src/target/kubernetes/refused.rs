//! What the cluster would not do or let be done, found out while planning: why, and what helps.

use crate::target::TargetError;

/// Why there will be no drill, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was asked, and what was said: a lower-case fragment, perhaps of several lines.
    pub why: String,
    /// The remedy, perhaps a manifest to apply.
    pub help: Option<String>,
}

impl Refused {
    pub(super) fn because(why: impl Into<String>) -> Refused {
        Refused { why: why.into(), help: None }
    }

    pub(super) fn for_want(why: impl Into<String>, help: impl Into<String>) -> Refused {
        Refused { why: why.into(), help: Some(help.into()) }
    }

    /// The same, of a drill that has begun.
    pub(super) fn into_error(self) -> TargetError {
        TargetError::Other(match self.help {
            Some(help) => format!("{}\n{help}", self.why),
            None => self.why,
        })
    }
}

impl From<TargetError> for Refused {
    fn from(error: TargetError) -> Refused {
        Refused::because(error.to_string())
    }
}
