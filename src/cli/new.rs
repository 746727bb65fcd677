//! `firedrill new`: a commented scenario to start from. Never overwrites.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::args::NewArgs;
use super::exit::Exit;
use super::{CliError, terminal};
use crate::scenario;

/// Writes it.
pub(super) fn new(args: NewArgs) -> Result<Exit, CliError> {
    write_new(&args.file, scenario::template())?;
    let path = args.file.display();
    terminal::say(&format!("wrote {path}; try it with `firedrill plan {path}`"));
    Ok(Exit::Pass)
}

fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let created = File::options().write(true).create_new(true).open(path);
    let written = created.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => CliError::Invalid(format!(
            "{}: exists, and is not overwritten; give another name",
            path.display()
        )),
        _ => CliError::Write { path: path.display().to_string(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        write_new(&path, "first").unwrap();
        let error = write_new(&path, "second").unwrap_err();
        assert!(error.to_string().contains("not overwritten"), "{error}");
        assert_eq!(error.exit(), Exit::Invalid);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_new(&folder.path().join("no/a.yaml"), "x").unwrap_err();
        assert!(error.to_string().contains("no/a.yaml"), "{error}");
    }
}
