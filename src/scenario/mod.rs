//! What the user wrote, with the place of each thing for errors. Pure.
//!
//! Invariant: a [`Scenario`] that was parsed is whole and within its bounds; what only an inventory can tell
//! (whether a named node is there) is checked by the plan. Unknown fields are errors, and several mistakes
//! are told at once.

mod bounds;
mod decode;
mod diagnostic;
mod limits;
mod node_commands;
mod overrides;
mod placeholders;
mod recover;
mod schema;
mod starter;
mod step;
mod suggest;
mod target;
mod tree;
mod validate;
mod workload;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use diagnostic::{Diagnostic, Sources};
pub use limits::{BlastRadius, Guard, GuardSpec, Hook, SteadyState};
pub use node_commands::NodeCommands;
pub use placeholders::{Piece, Template, TemplateError, Variable};
pub use schema::schema;
pub use starter::template;
pub use step::{Step, When};
pub use suggest::remedy;
pub use target::{Docker, Kubernetes, Local, PodClients, PullPolicy, Ready, Target, TargetKind};
pub use workload::{ClientSpec, ExecClient, HttpClient, PostgresClient, RedisClient, Workload};

use crate::catalogue::{Entry, entries};
use crate::check::Spec as CheckSpec;
use crate::fault::At;
use crate::quantity::Span;
use crate::workload::Model;

/// A failover drill: the system, the load, the faults, and what must still be true.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name in every report: letters, digits, `-`, `_` and `.`, at most 100.
    #[serde(deserialize_with = "bounds::name")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.-]{1,100}$"))]
    pub name: String,
    /// What it proves, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Free labels, such as `{tier: nightly}`; reports carry them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Programs that must be installed here; where one is missing, the drill is skipped, and says so.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The system under drill, and where it lives.
    pub target: At<Target>,
    /// Where else the same can be drilled: `--target` takes the one of its kind in place of `target`.
    #[serde(default)]
    pub targets: Vec<At<Target>>,
    /// What the clients do all the while.
    pub workload: Workload,
    /// Commands to run, in order, before the load begins.
    #[serde(default)]
    pub setup: Vec<Hook>,
    /// Commands to run, in order, after everything was healed, whatever happened.
    #[serde(default)]
    pub teardown: Vec<Hook>,
    /// What strikes whom and when.
    #[serde(default)]
    pub faults: Vec<At<Step>>,
    /// What must still be true.
    #[serde(default)]
    pub checks: Vec<At<CheckSpec>>,
    /// When to break the drill off.
    #[serde(default)]
    pub guards: Vec<GuardSpec>,
    /// Break the drill off as soon as what clients were told is wrong by a check that can be followed while it goes:
    /// `linearizable`, `log`. Default: false.
    pub fail_fast: Option<At<bool>>,
    /// The most that may be struck at once; a plan beyond it is refused.
    #[serde(default)]
    pub blast_radius: BlastRadius,
    /// What must hold before the first fault.
    #[serde(default)]
    pub steady_state: SteadyState,
    /// How long the load lasts. Default: until `recover` after the end of the last fault.
    pub duration: Option<At<Span>>,
    /// How long the load goes on after the last fault, where no `duration` is given. Default: 10s.
    #[serde(default = "recover_default")]
    pub recover: Span,
    /// A node that hears nothing from the runner for this long heals by itself. 1s to 1h. Default: 10s.
    #[serde(default = "lease_default", deserialize_with = "bounds::lease")]
    pub lease: Span,
    /// What chance is drawn from. Default: drawn anew for each run, and told.
    pub seed: Option<u64>,
    /// What it was read from, for errors that are found later.
    #[serde(skip)]
    #[schemars(skip)]
    pub sources: Sources,
}

fn recover_default() -> Span {
    Span::secs(10)
}

fn lease_default() -> Span {
    Span::secs(10)
}

impl Scenario {
    /// Reads a scenario. `file` is the name by which errors call it; `overrides` are paths and values that
    /// replace what stands there (`("workload.rate", "100/s")`). The mistakes come in the order of their
    /// places, those of overrides last. Never panics, whatever the text.
    pub fn parse(
        file: &str,
        source: &str,
        overrides: &[(String, String)],
    ) -> Result<Scenario, Vec<Diagnostic>> {
        let mut sources = Sources::new(file, source);
        let mut ids = tree::Ids::default();
        let mut root = tree::read(source, 0, &mut ids)
            .map_err(|error| vec![sources.diagnose(error.place, error.message, None)])?;
        let mut refused = vec![];
        for (path, value) in overrides {
            if let Err(diagnostic) =
                overrides::apply(&mut root, path, value, &mut sources, &mut ids)
            {
                refused.push(diagnostic);
            }
        }
        let decoded: Result<Scenario, Vec<Diagnostic>> = recover::decode(root, &sources);
        match decoded {
            Ok(mut scenario) if refused.is_empty() => {
                scenario.sources = sources;
                let found = validate::validate(&scenario);
                if found.is_empty() { Ok(scenario) } else { Err(found) }
            }
            Ok(_) => Err(refused),
            Err(mut found) => {
                found.append(&mut refused);
                Err(found)
            }
        }
    }

    /// Replaces the target by the one of another kind (`--target`); nothing if it is of that kind. Where the scenario
    /// has none of it, local processes have a default, and the others are an error.
    pub fn retarget(&mut self, kind: TargetKind) -> Result<(), Vec<Diagnostic>> {
        if self.target.kind() == kind {
            return Ok(());
        }
        let other = self.targets.iter().find(|target| target.kind() == kind).cloned();
        self.target = match (other, kind) {
            (Some(other), _) => other,
            (None, TargetKind::Local) => {
                At { value: Target::Local(Local::default()), place: self.target.place }
            }
            (None, TargetKind::Docker | TargetKind::Kubernetes) => {
                let message = format!("no `{kind}` target to take this one's place");
                let help = format!("list one in `targets`, or give --set target={{{kind}: ...}}");
                return Err(vec![self.sources.diagnose(self.target.place, message, Some(help))]);
            }
        };
        let found = validate::validate(self);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

/// The clients that there are.
pub fn clients() -> Vec<Entry> {
    entries::<ClientSpec>()
}

/// The models that there are.
pub fn models() -> Vec<Entry> {
    entries::<Model>()
}

#[cfg(test)]
mod tests;
