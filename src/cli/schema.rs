//! `firedrill schema`: the JSON Schema of scenarios, for editors.

use super::exit::Exit;
use super::{CliError, terminal};
use crate::scenario;

/// Prints it.
pub(super) fn schema() -> Result<Exit, CliError> {
    let text = serde_json::to_string_pretty(&scenario::schema());
    terminal::data(&(text.map_err(|e| CliError::Failed(e.to_string()))? + "\n"))?;
    Ok(Exit::Pass)
}
