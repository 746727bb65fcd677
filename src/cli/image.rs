//! `firedrill image`: the agent's image, made of the running binary.

use std::fs;
use std::path::PathBuf;

use super::args::ImageArgs;
use super::exit::Exit;
use super::{CliError, own_binary, terminal};
use crate::image::{self, Image, Part};
use crate::registry;
use crate::target::docker;

/// Makes it, and puts it where it is wanted.
pub(super) fn image(args: ImageArgs) -> Result<Exit, CliError> {
    let ImageArgs { tag, tar, docker: into_docker, push, binary } = args;
    debug_assert!(tar.is_some() || into_docker || push, "clap wants one of them");
    let image = made(binary)?;
    let failed = |e: &dyn std::error::Error| CliError::Failed(format!("{tag}: {e}"));
    let archive = || image::archive(&image, &tag, architecture()).map_err(|e| failed(&e));
    let done = match tar {
        Some(file) => {
            let archive = archive()?;
            fs::write(&file, &archive).map_err(|source| CliError::write(&file, source))?;
            format!("written to {}, {} bytes", file.display(), archive.len())
        }
        None if into_docker => {
            docker::load(archive()?, &tag.to_string())
                .map_err(|e| CliError::Failed(e.to_string()))?;
            "loaded into the Docker engine".to_string()
        }
        None => {
            let pushed = registry::push(&image, &tag).map_err(|e| failed(&e))?;
            format!("pushed to {}, {pushed}", tag.registry)
        }
    };
    let (machines, digest) = (image.architectures().join(", "), image.digest());
    terminal::data(&format!("{tag}: {done}; for {machines}; {digest}\n"))?;
    Ok(Exit::Pass)
}

/// This machine's kind, as images call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn made(mut binaries: Vec<PathBuf>) -> Result<Image, CliError> {
    let first = if binaries.is_empty() { own_binary() } else { binaries.remove(0) };
    let part = |path: PathBuf| {
        let wrong = |why: String| CliError::Invalid(format!("{}: {why}", path.display()));
        let bytes = fs::read(&path).map_err(|e| wrong(e.to_string()))?;
        Part::new(&bytes).map_err(|e| wrong(e.to_string()))
    };
    let (first, more) = (part(first)?, binaries.into_iter().map(part).collect::<Result<_, _>>()?);
    Image::new(first, more).map_err(|e| CliError::Invalid(e.to_string()))
}
