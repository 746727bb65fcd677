//! `firedrill plan`: what would happen to whom and when. Nothing is done.

use super::args::PlanArgs;
use super::exit::Exit;
use super::inputs::{self, Input};
use super::{CliError, terminal};
use crate::plan::PlannedFault;
use crate::report::plan_text::{self, Head, Row};

/// Prints it.
pub(super) fn plan(args: PlanArgs) -> Result<Exit, CliError> {
    let input = match inputs::prepare(&args.scenario, &args.variation, None) {
        Ok(input) => input,
        Err(refused) => {
            refused.say();
            return Ok(Exit::Invalid);
        }
    };
    let text = match args.json {
        true => json(&input)?,
        false => {
            let (head, rows) = (head(&input), rows(&input));
            plan_text::render(&head, &rows, terminal::stdout_colour())
        }
    };
    terminal::data(&text)?;
    Ok(Exit::Pass)
}

fn json(input: &Input) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(&input.plan);
    Ok(text.map_err(|e| CliError::Failed(e.to_string()))? + "\n")
}

fn head(input: &Input) -> Head {
    let Input { file, scenario, plan, .. } = input;
    let nodes = plan.inventory.nodes().iter();
    Head {
        scenario: scenario.name.clone(),
        file: file.clone(),
        target: plan.target.clone(),
        seed: plan.seed,
        digest: plan.digest(),
        nodes: nodes.map(|n| (n.id.to_string(), n.zone.clone())).collect(),
        shaping: input.shaping.clone(),
        notes: input.notes.clone(),
        load: plan.load,
        checks: scenario.checks.iter().map(|c| c.name().to_string()).collect(),
    }
}

fn rows(input: &Input) -> Vec<Row> {
    let row = |fault: &PlannedFault| Row {
        at: fault.at,
        until: fault.end(),
        fault: fault.fault.clone(),
        what: fault.what().to_string(),
        line: fault.line,
    };
    input.plan.faults.iter().map(row).collect()
}
