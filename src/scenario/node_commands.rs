//! What a cluster's API cannot do to a machine, said as commands: of a cloud's, a hypervisor's, a rack's.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::fault::Argv;

/// Commands for machines, each a program and its arguments; in each, `{machine}` stands for the machine's name and
/// `{zone}` for its zone. Each has its undo, which must tolerate that nothing was done. They run where firedrill runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Raw")]
#[schemars(with = "Raw")]
pub struct NodeCommands {
    /// Switches a machine off, and on again.
    pub off: Option<(Argv, Argv)>,
    /// Cuts a machine off from everybody, and joins it again.
    pub cut: Option<(Argv, Argv)>,
}

/// Commands for machines, each a program and its arguments; in each, `{machine}` stands for the machine's name and
/// `{zone}` for its zone. They run where firedrill runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename = "NodeCommands", deny_unknown_fields)]
struct Raw {
    /// Switches a machine off, as if its power failed. It needs `start`.
    kill: Option<Argv>,
    /// Switches it on again. Must tolerate that it is on.
    start: Option<Argv>,
    /// Cuts a machine off from everybody, as if its cable was pulled. It needs `join`.
    cut: Option<Argv>,
    /// Joins it again. Must tolerate that it is joined.
    join: Option<Argv>,
}

impl TryFrom<Raw> for NodeCommands {
    type Error = String;
    fn try_from(raw: Raw) -> Result<Self, String> {
        let both = |of: Option<Argv>, undo: Option<Argv>, names: [&str; 2]| match (of, undo) {
            (Some(of), Some(undo)) => Ok(Some((of, undo))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(format!("`{}` needs `{}`, which undoes it", names[0], names[1])),
            (None, Some(_)) => {
                Err(format!("`{}` undoes `{}`, which is not there", names[1], names[0]))
            }
        };
        Ok(NodeCommands {
            off: both(raw.kill, raw.start, ["kill", "start"])?,
            cut: both(raw.cut, raw.join, ["cut", "join"])?,
        })
    }
}
