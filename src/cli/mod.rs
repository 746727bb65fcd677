//! The command line: arguments in, exit code out. The only room that prints, and the only one that knows of
//! terminals. One file a subcommand; `args` has what they take.

mod abilities;
pub mod args;
mod assemble;
mod check;
mod check_args;
mod cluster;
mod completions;
mod containers;
pub mod exit;
mod explained;
mod heal;
mod histories;
mod image;
mod in_cluster;
mod in_pod;
mod inner;
mod inputs;
mod judged;
pub mod lines;
mod list;
pub mod live;
pub mod logs;
mod manifests;
mod new;
mod output;
mod plan;
mod run;
mod schema;
mod shown;
mod signals;
pub mod terminal;
mod view;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::exit::Exit;
use self::logs::Logs;

/// What a subcommand cannot do, and what the program then exits with.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// What the user gave is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// The surroundings did not allow it.
    #[error("{0}")]
    Failed(String),
    /// A file cannot be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody can be told.
    #[error(transparent)]
    Output(#[from] terminal::OutputError),
    /// A report cannot be rendered.
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),
}

impl CliError {
    fn write(path: &std::path::Path, source: std::io::Error) -> CliError {
        CliError::Write { path: path.display().to_string(), source }
    }
    fn exit(&self) -> Exit {
        match self {
            CliError::Invalid(_) => Exit::Invalid,
            _ => Exit::Inconclusive,
        }
    }
}

/// The program. Reads the process's arguments; mistakes in them end it here, with exit code 2.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let logs = logs::init(cli.verbosity);
    match dispatch(cli, &logs) {
        Ok(exit) => exit.into(),
        Err(error) => {
            tell(&error);
            error.exit().into()
        }
    }
}

fn tell(error: &CliError) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let said = crate::report::plain(&error.to_string());
    terminal::say(&format!("{style}error{style:#}: {said}"));
}

/// What drills came to, and an error in telling it: that is told, and the worst wins.
fn worst(exit: Exit, error: Option<CliError>) -> Exit {
    let Some(error) = error else { return exit };
    tell(&error);
    Exit::merge([exit, error.exit()])
}

fn dispatch(cli: Cli, logs: &Logs) -> Result<Exit, CliError> {
    match cli.command {
        Command::Run(args) if args.in_cluster => in_cluster::run(&args, cli.verbosity),
        Command::Run(args) => run::run(args, cli.verbosity, logs),
        Command::Plan(args) => plan::plan(args),
        Command::Check(args) => check::check(args, cli.verbosity),
        Command::Heal(args) => heal::heal(args),
        Command::Schema => schema::schema(),
        Command::List(args) => list::list(args),
        Command::New(args) => new::new(args),
        Command::Image(args) => image::image(args),
        Command::Manifests(args) => manifests::manifests(args),
        Command::Completions(args) => completions::completions(args),
        Command::Store(passed) => inner::store(passed.args),
        Command::Guard(passed) => inner::guard(passed.args),
        Command::Watchdog(passed) => inner::watchdog(passed.args),
        Command::AgentKill(passed) => inner::agent_kill(passed.args),
        Command::AgentSweep => inner::agent_sweep(),
        Command::Agent(passed) => inner::agent(passed.args),
        Command::AgentWithin(passed) => inner::agent_within(passed.args),
        Command::AgentStress(passed) => inner::agent_stress(&passed.args),
        Command::AgentReads(passed) => inner::agent_reads(&passed.args),
        Command::AgentLimits(passed) => inner::agent_limits(&passed.args),
        Command::InPod(passed) => in_pod::in_pod(passed.args),
        Command::InPodFetch { done } => in_pod::fetch(done),
        Command::InPodStop => in_pod::stop(),
        Command::ClockWitness => inner::clock_witness(),
    }
}

/// The program that runs. An upgrade may have replaced the file meanwhile; the kernel still has it.
fn own_binary() -> std::path::PathBuf {
    let binary = std::env::current_exe().ok().filter(|path| path.exists());
    binary.unwrap_or_else(|| "/proc/self/exe".into())
}
