//! The output policy. Data (results, listings, plans) go to standard output, everything else to standard
//! error. Colour follows `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `CI` and whether a terminal listens
//! (anstream knows the rules). A reader that goes away (`| head`) ends the output, not in an error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstream::AutoStream;
use anstream::ColorChoice;

use crate::report::text::Colour;

use super::args::Verbosity;

/// Standard output cannot be written to (a full disk).
#[derive(Debug, thiserror::Error)]
#[error("standard output: {0}")]
pub struct OutputError(#[from] io::Error);

/// Writes data to standard output.
pub fn data(text: &str) -> Result<(), OutputError> {
    quiet_pipe(write_all(&mut AutoStream::auto(io::stdout()), text)).map_err(OutputError)
}

/// Writes a line for people to standard error. What cannot be said there cannot be said.
pub fn say(line: &str) {
    let _ = write_all(&mut AutoStream::auto(io::stderr()), &format!("{line}\n"));
}

fn write_all(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn quiet_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Whether what goes to standard output may be coloured.
pub fn stdout_colour() -> Colour {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => Colour::No,
        _ => Colour::Yes,
    }
}

/// Whether what is drawn on standard error may be coloured.
pub(super) fn stderr_colour() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// How a drill is shown while it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A view that is drawn again and again, at the bottom of the terminal.
    Live,
    /// Time-stamped lines.
    Lines,
    /// Not at all.
    Nothing,
}

/// What decides how a drill is shown.
#[derive(Debug, Clone, Copy)]
struct Facts {
    quiet: bool,
    verbose: bool,
    /// Both standard output and standard error: the view asks for the cursor on the one, draws on the other.
    terminals: bool,
    ci: bool,
    dumb: bool,
}

fn decide(facts: Facts) -> Show {
    match facts {
        Facts { quiet: true, .. } => Show::Nothing,
        // Logs that stream would tear the view to pieces; a CI's "terminal" only records.
        Facts { verbose: true, .. } | Facts { ci: true, .. } | Facts { dumb: true, .. } => {
            Show::Lines
        }
        Facts { terminals: true, .. } => Show::Live,
        _ => Show::Lines,
    }
}

/// How a drill is to be shown here.
pub fn show(verbosity: Verbosity) -> Show {
    let is = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "false");
    decide(Facts {
        quiet: verbosity.quiet,
        verbose: verbosity.verbose > 0,
        terminals: io::stdout().is_terminal()
            && io::stderr().is_terminal()
            && io::stdin().is_terminal(),
        ci: is("CI"),
        dumb: std::env::var_os("TERM").is_none_or(|term| term == "dumb"),
    })
}

/// Whether this is a job of GitHub Actions, which shows annotations and a Markdown summary.
pub fn on_github() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|v| v == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Facts =
        Facts { quiet: false, verbose: false, terminals: true, ci: false, dumb: false };

    #[test]
    fn a_live_view_needs_a_terminal_that_somebody_looks_at() {
        assert_eq!(decide(TERMINAL), Show::Live);
        assert_eq!(decide(Facts { terminals: false, ..TERMINAL }), Show::Lines);
        assert_eq!(decide(Facts { ci: true, ..TERMINAL }), Show::Lines);
        assert_eq!(decide(Facts { dumb: true, ..TERMINAL }), Show::Lines);
        assert_eq!(decide(Facts { verbose: true, ..TERMINAL }), Show::Lines);
        assert_eq!(decide(Facts { quiet: true, ..TERMINAL }), Show::Nothing);
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is() {
        assert!(quiet_pipe(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(quiet_pipe(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
