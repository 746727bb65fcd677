//! What a scenario may ask to be checked: one variant a check, written `- linearizable` or
//! `- recovery: {within: 5s}`. The doc comments here are the descriptions of the JSON Schema.
//!
//! Deliberately absent: how anything is checked. A check of a data model does not know the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sessions::{Guarantee, Sessions};
use super::{Budget, Check};
use super::{availability, bank, convergence, counter, exec, latency, linearizable, list_append};
use super::{log, lost_writes, node_deaths, queue, recovery, redundancy, set};
use crate::quantity::{Ratio, Span};

/// A check of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Spec {
    /// Registers behave as if each operation took effect at one instant between its call and its
    /// answer.
    Linearizable,
    /// Each total of a counter is within what the acknowledged and the unknown additions allow.
    Counter,
    /// No acknowledged element of a set is lost or missed by a later read; none appears from
    /// nowhere.
    Set,
    /// No acknowledged element of a queue is lost, none comes out twice, from nowhere, or out of
    /// order.
    Queue,
    /// No acknowledged message of a log is lost, duplicated or reordered; all readers agree.
    Log,
    /// Money is neither made nor destroyed, and no account is overdrawn.
    Bank,
    /// Registers keep these session guarantees (Terry et al.), which ask less than `linearizable`.
    Sessions(SessionGuarantees),
    /// Transactions on lists are strictly serializable.
    ListAppend,
    /// After the heal every node's own replica holds the same.
    Convergence,
    /// Acknowledged writes are there at the end.
    LostWrites(LostWrites),
    /// After each fault the clients are served again in time.
    Recovery(Recovery),
    /// After each heal every member is healthy and caught up again in time, whether or not clients
    /// were served meanwhile.
    Redundancy(Redundancy),
    /// Enough of the operations succeed; one that no worker was free to start counts as not
    /// successful.
    Availability(Availability),
    /// Successful operations are fast enough, from their intended start.
    Latency(Latency),
    /// A program of yours judges the record.
    Exec(Exec),
    /// How many nodes may die of something that firedrill did not do. Without this check any such
    /// death makes the drill inconclusive.
    NodeDeaths(NodeDeaths),
}

/// Parameters of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionGuarantees {
    /// What each client may rely on, at least one: `pram` is the first three, `causal` all four.
    #[schemars(length(min = 1))]
    pub guarantees: Vec<Guarantee>,
}

/// Parameters of `lost-writes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LostWrites {
    /// How many acknowledged writes may be lost.
    #[serde(default)]
    pub max: u64,
}

/// Parameters of `recovery`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// The longest time that recovery may take.
    pub within: Span,
    /// From when it is counted: the confirmed injection, or the confirmed heal where the fault
    /// cannot be survived.
    #[serde(default)]
    pub from: Since,
    /// How long the service must be back before it counts as back.
    #[serde(default = "one_second")]
    pub window: Span,
    /// The part of the steady state's success ratio that must be back.
    #[serde(default = "ninety_nine_percent")]
    pub success: Ratio,
    /// The part of the offered rate that must be back.
    #[serde(default = "ninety_percent")]
    pub rate: Ratio,
    /// Only faults of this name (`kill`) or of this number in the plan, from 1 (`2`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// From when recovery is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Since {
    /// From the confirmed injection.
    #[default]
    Injection,
    /// From the confirmed heal.
    Heal,
}

/// Parameters of `redundancy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redundancy {
    /// The longest time from the confirmed heal until every member is back. After the last heal the
    /// drill waits for it.
    pub within: Span,
}

/// Parameters of `availability`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Availability {
    /// The least part of the operations that must succeed.
    pub at_least: Ratio,
    /// In which phase of the drill.
    #[serde(default)]
    pub when: When,
}

/// A phase of the drill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before the first fault.
    Steady,
    /// While a fault is there, and until the service has recovered from its heal.
    Faulted,
    /// After recovery, until the next fault.
    Recovered,
    /// The whole load.
    #[default]
    All,
}

/// Parameters of `latency`: at least one bound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The bound that half of the operations keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Span>,
    /// The bound that 90 % of the operations keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<Span>,
    /// The bound that 99 % of the operations keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Span>,
    /// The bound that 99.9 % of the operations keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p999: Option<Span>,
    /// The bound that every operation keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// In which phase of the drill.
    #[serde(default)]
    pub when: When,
}

/// Parameters of `exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments. It reads the record as JSON lines and answers with one JSON
    /// object: `{"verdict": "pass|fail|inconclusive", "summary": "...", "evidence": [...],
    /// "figures": {...}}`.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// How long it may take.
    #[serde(default = "one_minute")]
    pub timeout: Span,
    /// What to call it in the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Parameters of `node-deaths`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeDeaths {
    /// How many deaths are allowed.
    pub max: u64,
}

fn one_second() -> Span {
    Span::secs(1)
}
fn one_minute() -> Span {
    Span::secs(60)
}
fn ninety_nine_percent() -> Ratio {
    Ratio::new(0.99)
}
fn ninety_percent() -> Ratio {
    Ratio::new(0.90)
}

impl Recovery {
    /// Recovery within this time, all else as by default.
    pub fn within(within: Span) -> Recovery {
        Recovery {
            within,
            from: Since::Injection,
            window: one_second(),
            success: ninety_nine_percent(),
            rate: ninety_percent(),
            fault: None,
        }
    }
}

impl Spec {
    /// The check's name in the catalogue and in the scenario.
    pub fn name(&self) -> &'static str {
        match self {
            Spec::Linearizable => "linearizable",
            Spec::Counter => "counter",
            Spec::Set => "set",
            Spec::Queue => "queue",
            Spec::Log => "log",
            Spec::Bank => "bank",
            Spec::Sessions(_) => "sessions",
            Spec::ListAppend => "list-append",
            Spec::Convergence => "convergence",
            Spec::LostWrites(_) => "lost-writes",
            Spec::Recovery(_) => "recovery",
            Spec::Redundancy(_) => "redundancy",
            Spec::Availability(_) => "availability",
            Spec::Latency(_) => "latency",
            Spec::Exec(_) => "exec",
            Spec::NodeDeaths(_) => "node-deaths",
        }
    }

    /// The check itself.
    pub fn build(&self) -> Box<dyn Check> {
        self.build_within(Budget::default())
    }

    /// The check itself, which takes no more than this where it has to search.
    pub fn build_within(&self, budget: Budget) -> Box<dyn Check> {
        match self.clone() {
            Spec::Linearizable => Box::new(linearizable::Linearizable::within(budget)),
            Spec::Counter => Box::new(counter::Counter),
            Spec::Set => Box::new(set::Set),
            Spec::Queue => Box::new(queue::Queue),
            Spec::Log => Box::new(log::Log),
            Spec::Bank => Box::new(bank::Bank::default()),
            Spec::Sessions(spec) => Box::new(Sessions(spec.guarantees)),
            Spec::ListAppend => Box::new(list_append::ListAppend { budget }),
            Spec::Convergence => Box::new(convergence::Convergence),
            Spec::LostWrites(spec) => Box::new(lost_writes::LostWrites(spec)),
            Spec::Recovery(spec) => Box::new(recovery::Recovery(spec)),
            Spec::Redundancy(spec) => Box::new(redundancy::Redundancy(spec)),
            Spec::Availability(spec) => Box::new(availability::Availability(spec)),
            Spec::Latency(spec) => Box::new(latency::Latency(spec)),
            Spec::Exec(spec) => Box::new(exec::Exec(spec)),
            Spec::NodeDeaths(spec) => Box::new(node_deaths::NodeDeaths(spec)),
        }
    }

    /// Whether the check can judge what a workload of this model leaves; `Err` says which models it
    /// can.
    pub fn fits(&self, model: &str) -> Result<(), String> {
        let models: &[&str] = match self {
            Spec::Linearizable | Spec::Sessions(_) => &["register"],
            Spec::Counter => &["counter"],
            Spec::Set => &["set"],
            Spec::Queue => &["queue"],
            Spec::Log => &["log"],
            Spec::Bank => &["bank"],
            Spec::ListAppend => &["list-append"],
            Spec::Convergence => &["register", "counter", "set", "log", "bank", "list-append"],
            Spec::LostWrites(_) => &["register", "counter", "set", "queue", "log", "list-append"],
            Spec::Recovery(_) | Spec::Availability(_) | Spec::Latency(_) => return Ok(()),
            Spec::Exec(_) | Spec::NodeDeaths(_) | Spec::Redundancy(_) => return Ok(()),
        };
        match models.contains(&model) {
            true => Ok(()),
            false => Err(format!(
                "check `{}` cannot judge a workload of model `{model}`; it judges {}",
                self.name(),
                models.join(", ")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Result<Vec<Spec>, String> {
        serde_yaml::from_str(yaml).map_err(|e| e.to_string())
    }

    #[test]
    fn a_check_is_a_plain_name_or_a_name_with_parameters() {
        let yaml = "- linearizable\n- recovery: {within: 5s}\n- lost-writes: {max: 0}\n\
                    - availability: {at_least: 99%}\n- latency: {p99: 200ms, when: recovered}\n";
        let specs = parse(yaml).unwrap();
        assert_eq!(specs[0], Spec::Linearizable);
        assert_eq!(specs[1], Spec::Recovery(Recovery::within(Span::secs(5))));
        assert_eq!(specs.iter().map(Spec::name).collect::<Vec<_>>()[4], "latency");
    }

    #[test]
    fn an_unknown_check_or_parameter_is_refused() {
        assert!(parse("- lineariseable\n").is_err());
        assert!(parse("- recovery: {within: 5s, widow: 1s}\n").unwrap_err().contains("widow"));
        assert!(parse("- recovery: {}\n").is_err());
    }

    #[test]
    fn a_check_of_one_model_refuses_another_and_says_which_it_takes() {
        assert!(Spec::Linearizable.fits("register").is_ok());
        let refusal = Spec::Counter.fits("register").unwrap_err();
        assert!(refusal.contains("judges counter"), "{refusal}");
        assert!(Spec::LostWrites(LostWrites { max: 0 }).fits("bank").is_err());
    }

    #[test]
    fn each_description_stands_in_the_schema() {
        let schema = serde_json::to_string(&schemars::schema_for!(Spec)).unwrap();
        assert!(schema.contains("Money is neither made nor destroyed"));
        assert!(schema.contains("linearizable") && schema.contains("list-append"));
    }
}
