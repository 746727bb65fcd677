//! The user's own fault: commands that inject, prove and heal. Arguments, not shell lines.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::{FaultError, Scene};
use super::nodes::Nodes;
use super::{Effect, names};
use crate::condition::{Condition, UserCommand};

/// A fault of your own. Each command is a program and its arguments; in each, `{name}` stands for the
/// node's name and `{zone}` for its zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Makes it so.
    pub inject: Argv,
    /// Exits with 0 while the fault is in effect, with anything else while it is not.
    pub prove: Argv,
    /// Undoes it. Must tolerate that `inject` never ran, or ran half.
    pub heal: Argv,
    /// Run once for each of these nodes. Default: once in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Argv(Vec<String>);

impl TryFrom<Vec<String>> for Argv {
    type Error = &'static str;
    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Argv(words)),
            _ => Err("expected a program and its arguments, such as [systemctl, stop, app]"),
        }
    }
}

impl From<Argv> for Vec<String> {
    fn from(argv: Argv) -> Self {
        argv.0
    }
}

impl std::ops::Deref for Argv {
    type Target = [String];
    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl JsonSchema for Argv {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Argv".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array", "minItems": 1, "items": { "type": "string" },
            "description": "a program and its arguments",
        })
    }
}

impl Command {
    pub(super) fn words(&self, who: Option<String>) -> String {
        let line = self.inject.join(" ");
        who.map_or_else(|| format!("run {line}"), |who| format!("run {line} for {who}"))
    }

    pub(super) fn effect(&self, scene: &mut Scene) -> Result<Effect, FaultError> {
        let Some(nodes) = &self.nodes else {
            // One in all: it is kept with the first node, and counts as nobody's loss.
            let first = scene.inventory.nodes().first();
            let node = first.ok_or_else(|| FaultError::new("there is no node"))?;
            let conditions = [(node.id.clone(), self.condition("", ""))].into();
            return Ok(Effect { what: self.words(None), victims: vec![], conditions });
        };
        let victims = scene.choose(nodes)?;
        let zone = |name: &str| scene.inventory.get(name).map_or("", |node| node.zone.as_str());
        let conditions = victims
            .iter()
            .map(|node| (node.clone(), self.condition(node.as_str(), zone(node.as_str()))))
            .collect();
        let what = self.words(Some(names(scene.inventory, &victims)));
        Ok(Effect { what, victims, conditions })
    }

    fn condition(&self, name: &str, zone: &str) -> Condition {
        let fill = |argv: &[String]| -> Vec<String> {
            let one = |word: &String| match name.is_empty() {
                true => word.clone(),
                false => word.replace("{name}", name).replace("{zone}", zone),
            };
            argv.iter().map(one).collect()
        };
        let command = UserCommand {
            inject: fill(&self.inject),
            prove: fill(&self.prove),
            heal: fill(&self.heal),
        };
        Condition { commands: BTreeSet::from([command]), ..Condition::default() }
    }
}
