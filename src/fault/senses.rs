//! Faults of what nodes take for granted: what time it is, and who is where.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nodes::Nodes;
use super::resources::Toward;
use crate::condition::{ClockSkew, Condition, Dns, NamePattern, Resolution};

/// Sets the clock wrong that a node's processes read. Monotonic clocks stay right, as with Chaos Mesh's `TimeChaos`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawClockFault", into = "RawClockFault")]
pub struct ClockFault {
    /// Whose.
    pub nodes: Nodes,
    /// What is added to the true time.
    pub offset: ClockSkew,
}

/// Sets the clock wrong that a node's processes read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "ClockFault", deny_unknown_fields)]
struct RawClockFault {
    /// Whose.
    nodes: Nodes,
    /// What is added to the true time, such as -10m or +1h.
    offset: ClockSkew,
}

impl TryFrom<RawClockFault> for ClockFault {
    type Error = String;
    fn try_from(raw: RawClockFault) -> Result<Self, String> {
        match raw.offset.is_none() {
            true => Err("expected an offset other than 0s".into()),
            false => Ok(ClockFault { nodes: raw.nodes, offset: raw.offset }),
        }
    }
}

impl From<ClockFault> for RawClockFault {
    fn from(spec: ClockFault) -> Self {
        RawClockFault { nodes: spec.nodes, offset: spec.offset }
    }
}

/// Spoils a node's look-ups of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "RawDnsFault", into = "RawDnsFault")]
pub struct DnsFault {
    /// Whose.
    pub nodes: Nodes,
    /// Of which names.
    pub names: Vec<NamePattern>,
    /// What becomes of them.
    pub resolution: Resolution,
}

/// Spoils a node's look-ups of names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "DnsFault", deny_unknown_fields)]
struct RawDnsFault {
    /// Whose.
    nodes: Nodes,
    /// Of which names: all (`*`), all below one (`*.example.com`), or one (`db.example.com`). Others resolve as
    /// ever. Default: ['*'].
    #[serde(default = "every_name")]
    names: Vec<NamePattern>,
    /// What becomes of the look-up.
    answer: Answer,
    /// With `answer: wrong`: the address that every such name has. Default: 192.0.2.1, which nobody has (RFC 5737).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

/// What becomes of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    /// The resolver says that it failed (SERVFAIL).
    Error,
    /// Nobody answers.
    Silence,
    /// Another address than the true one.
    Wrong,
}

fn every_name() -> Vec<NamePattern> {
    vec![NamePattern::all()]
}

const NOBODYS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

impl TryFrom<RawDnsFault> for DnsFault {
    type Error = String;
    fn try_from(raw: RawDnsFault) -> Result<Self, String> {
        let RawDnsFault { nodes, names, answer, address } = raw;
        if names.is_empty() {
            return Err("expected at least one name in `names`".into());
        }
        let resolution = match (answer, address) {
            (Answer::Error, None) => Resolution::Error,
            (Answer::Silence, None) => Resolution::Silence,
            (Answer::Wrong, address) => Resolution::Wrong(address.unwrap_or(NOBODYS)),
            (_, Some(_)) => return Err("`address` goes with `answer: wrong`".into()),
        };
        Ok(DnsFault { nodes, names, resolution })
    }
}

impl From<DnsFault> for RawDnsFault {
    fn from(spec: DnsFault) -> Self {
        let (answer, address) = match spec.resolution {
            Resolution::Error => (Answer::Error, None),
            Resolution::Silence => (Answer::Silence, None),
            Resolution::Wrong(address) => (Answer::Wrong, Some(address)),
        };
        RawDnsFault { nodes: spec.nodes, names: spec.names, answer, address }
    }
}

impl Toward for ClockFault {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        format!("set the clock of {who} wrong by {}", self.offset)
    }
    fn condition(&self) -> Condition {
        Condition { clock: self.offset, ..Condition::default() }
    }
}

impl Toward for DnsFault {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }
    fn of(&self, who: &str) -> String {
        let how = match self.resolution {
            Resolution::Error => "fail".to_string(),
            Resolution::Silence => "go unanswered".to_string(),
            Resolution::Wrong(address) => format!("lead to {address}"),
        };
        let names: Vec<&str> = self.names.iter().map(NamePattern::as_str).collect();
        match names[..] {
            ["*"] => format!("let all look-ups of {who} {how}"),
            _ => format!("let look-ups of {} of {who} {how}", names.join(", ")),
        }
    }
    fn condition(&self) -> Condition {
        let names = self.names.iter().map(|name| (name.clone(), self.resolution));
        let dns = Dns { names: BTreeMap::from_iter(names) };
        Condition { dns, ..Condition::default() }
    }
}
