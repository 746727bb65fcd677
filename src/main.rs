//! The `firedrill` program: `cli` does the work, this hands on its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    firedrill::cli::main()
}
