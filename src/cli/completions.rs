//! `firedrill completions`: what a shell sources to complete command lines.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::exit::Exit;
use super::{CliError, terminal};

/// Prints them.
pub(super) fn completions(args: CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "firedrill", &mut script);
    terminal::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Pass)
}
