//! `firedrill list`: what a scenario can name, from the catalogues themselves.

use super::args::{Catalogue, ListArgs};
use super::exit::Exit;
use super::{CliError, terminal};
use crate::catalogue::{Entry, Parameter};
use crate::{check, fault, scenario};

/// Prints it: each name with its meaning, and below it what it takes.
pub(super) fn list(args: ListArgs) -> Result<Exit, CliError> {
    let entries = match args.what {
        Catalogue::Faults => fault::catalogue(),
        Catalogue::Checks => check::catalogue(),
        Catalogue::Clients => scenario::clients(),
        Catalogue::Models => scenario::models(),
    };
    terminal::data(&render(&entries))?;
    Ok(Exit::Pass)
}

fn render(entries: &[Entry]) -> String {
    let width = entries.iter().map(|e| e.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Entry { name, summary, parameters } in entries {
        text += &format!("{name:<width$}  {summary}\n");
        for Parameter { name, summary, required } in parameters {
            let must = if *required { " (required)" } else { "" };
            text += &format!("{:<width$}    {name}{must}: {summary}\n", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meanings_stand_in_one_column_and_parameters_below() {
        let entry = |name: &str, summary: &str, parameters| Entry {
            name: name.into(),
            summary: summary.into(),
            parameters,
        };
        let zone = Parameter { name: "zone".into(), summary: "which".into(), required: true };
        let text =
            render(&[entry("kill", "ends it", vec![]), entry("zone-loss", "ends all", vec![zone])]);
        let expected =
            "kill       ends it\nzone-loss  ends all\n             zone (required): which\n";
        assert_eq!(text, expected);
    }
}
