//! `firedrill image`: the agent's image, made of the running binary.

use std::fs;

use super::args::ImageArgs;
use super::exit::Exit;
use super::{CliError, own_binary, terminal};
use crate::image;
use crate::target::docker;

/// Makes it, and puts it where it is wanted.
pub(super) fn image(args: ImageArgs) -> Result<Exit, CliError> {
    let ImageArgs { tag, tar, docker: _, binary } = args;
    let binary = binary.unwrap_or_else(own_binary);
    let wrong = |why: String| CliError::Invalid(format!("{}: {why}", binary.display()));
    let bytes = fs::read(&binary).map_err(|e| wrong(e.to_string()))?;
    let archive = image::archive(&bytes, &tag).map_err(|e| wrong(e.to_string()))?;
    let said = match tar {
        Some(file) => {
            fs::write(&file, &archive).map_err(|source| CliError::write(&file, source))?;
            format!("{tag}: written to {} ({} bytes)\n", file.display(), archive.len())
        }
        None => {
            docker::load(archive).map_err(|e| CliError::Failed(e.to_string()))?;
            format!("{tag}: loaded into the Docker engine\n")
        }
    };
    terminal::data(&said)?;
    Ok(Exit::Pass)
}
