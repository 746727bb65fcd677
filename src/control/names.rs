//! What a node's look-ups of names suffer: told to its agent, and proven by looking names up as the node does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;

use super::flank::{Flank, Place};
use super::judge::{Finding, ms, right, wrong};
use super::network::Agent;
use super::prove::Standing;
use crate::agent::beside::protocol::{Done, LookUp, Order};
use crate::condition::{Dns, NamePattern, Resolution};

/// How long an answer is waited for.
const WAIT: Duration = Duration::from_secs(1);
/// What is looked up below a name of which everything suffers.
const BELOW: &str = "firedrill-probe";
/// A response code (RFC 1035, section 4.1.1).
const SERVFAIL: u8 = 2;

/// What an agent was told of look-ups, and what is known of the truth.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    /// What the agent holds.
    pub told: Dns,
    pub proven: Dns,
    /// What look-ups came to before anything was held.
    truth: BTreeMap<String, LookUp>,
}

impl Flank {
    /// Looks up what will suffer, while it does not yet.
    pub async fn foresee_names(&mut self, place: &Place, dns: &Dns) {
        let Some(agent) = self.alive().cloned() else { return };
        for pattern in dns.names.keys() {
            let name = name_of(pattern, &place.name);
            if let Ok((how, _)) = look_up(&agent, &name).await {
                self.names.truth.insert(name, how);
            }
        }
    }

    /// Looks up what suffers, and what did when it was proven last. What was proven, where all is as asked.
    pub(super) async fn prove_names(&self, own: &Standing) -> (Vec<Finding>, Option<Dns>) {
        let (asked, proven) = (&self.dns, &self.names.proven);
        let patterns: BTreeSet<&NamePattern> =
            asked.names.keys().chain(proven.names.keys()).collect();
        let Some(agent) = own.agent.as_ref().filter(|_| own.place.running && !own.place.paused)
        else {
            return (vec![], None);
        };
        let looked_up = patterns.into_iter().map(|pattern| async move {
            let name = name_of(pattern, &own.place.name);
            let plain = name.trim_end_matches('.');
            let suffers = asked.resolution(plain);
            let truth = self.names.truth.get(&name);
            match look_up(agent, &name).await {
                Ok((how, took)) => {
                    let was = proven.resolution(plain);
                    let finding = judged(suffers, was, truth, &how);
                    let text = format!("{} after {}", told(plain, &how), ms(took));
                    if finding { right(text) } else { wrong(text) }
                }
                Err(why) => wrong(format!("`{plain}` is not looked up: {why}")),
            }
        });
        let found = join_all(looked_up).await;
        let proven = found.iter().all(|finding| finding.as_asked).then(|| asked.clone());
        (found, proven)
    }
}

async fn look_up(agent: &Agent, name: &str) -> Result<(LookUp, Duration), String> {
    match agent.ask(Order::LookUp { name: name.to_string(), wait: WAIT }).await? {
        Done::LookedUp { how, took } => Ok((how, Duration::from_nanos(took))),
        other => Err(format!("the agent answered {other:?}")),
    }
}

/// A full name that a pattern means. Of all names, the node's own, which the engine's resolver knows.
fn name_of(pattern: &NamePattern, node: &str) -> String {
    match pattern.as_str().strip_prefix('*') {
        None => format!("{}.", pattern.as_str()),
        Some("") => format!("{node}."),
        Some(below) => format!("{BELOW}{below}."),
    }
}

fn told(name: &str, how: &LookUp) -> String {
    match how {
        LookUp::Found(addresses) if addresses.is_empty() => format!("`{name}` has no address"),
        LookUp::Found(addresses) => {
            let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("`{name}` is {}", all.join(", "))
        }
        LookUp::Refused(SERVFAIL) => format!("the look-up of `{name}` failed (SERVFAIL)"),
        LookUp::Refused(code) => format!("`{name}` was refused with code {code}"),
        LookUp::Silent => format!("nobody says what `{name}` is"),
        LookUp::Unreachable(why) => format!("no resolver can be asked for `{name}` ({why})"),
    }
}

/// Whether a look-up is as asked; of what was healed, whether it is the truth, or at least not what was suffered.
fn judged(
    suffers: Option<Resolution>,
    suffered: Option<Resolution>,
    truth: Option<&LookUp>,
    how: &LookUp,
) -> bool {
    match suffers {
        Some(resolution) => is_so(resolution, how),
        None => {
            let same = truth.is_some_and(|truth| match (truth, how) {
                (LookUp::Found(_), LookUp::Found(_)) => true,
                (truth, how) => truth == how,
            });
            let healed = suffered.is_none_or(|suffered| !is_so(suffered, how));
            healed || same && !matches!(suffered, Some(Resolution::Wrong(_)))
        }
    }
}

fn is_so(resolution: Resolution, how: &LookUp) -> bool {
    match resolution {
        Resolution::Wrong(address) => *how == LookUp::Found(BTreeSet::from([address])),
        Resolution::Error => *how == LookUp::Refused(SERVFAIL),
        Resolution::Silence => *how == LookUp::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_proves_what_it_is_and_nothing_else() {
        let wrong = Resolution::Wrong("192.0.2.1".parse().unwrap());
        let forged = LookUp::Found(["192.0.2.1".parse().unwrap()].into());
        let real = LookUp::Found(["10.0.0.7".parse().unwrap()].into());
        let failed = LookUp::Refused(SERVFAIL);
        let all = [wrong, Resolution::Error, Resolution::Silence];
        for (i, resolution) in all.into_iter().enumerate() {
            for (j, how) in [&forged, &failed, &LookUp::Silent].into_iter().enumerate() {
                assert_eq!(judged(Some(resolution), None, None, how), i == j, "{resolution:?}");
                // What it was must be over, unless it is the truth.
                assert_eq!(judged(None, Some(resolution), Some(&real), how), i != j);
            }
            assert!(!judged(Some(resolution), None, None, &real));
            assert!(judged(None, Some(resolution), Some(&real), &real));
        }
        assert!(judged(None, Some(Resolution::Error), Some(&failed), &failed), "it fails in truth");
        assert!(!judged(None, Some(wrong), Some(&real), &forged), "a forged answer is no truth");
    }

    #[test]
    fn a_name_is_looked_up_that_the_pattern_means() {
        for pattern in ["*", "*.example.com", "db.example.com"] {
            let pattern: NamePattern = pattern.parse().unwrap();
            let name = name_of(&pattern, "n1");
            assert!(pattern.matches(name.trim_end_matches('.')), "{pattern:?} {name}");
        }
    }
}
