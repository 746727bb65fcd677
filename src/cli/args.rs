//! The command line, as clap reads it. Deliberately absent: what the subcommands do.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::check_args::CheckArgs;
use crate::image::Reference;

/// Runs failover drills: injects faults into a replicated system, keeps clients working all the while,
/// and judges what they saw.
#[derive(Debug, Parser)]
#[command(name = "firedrill", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 every check passed, 1 a check failed, 2 the scenario or the \
    arguments are invalid, 3 inconclusive, 4 the target was not restored."
)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
    /// How much is said.
    #[command(flatten)]
    pub verbosity: Verbosity,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Verbosity {
    /// Only say what went wrong, and the result
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more (-vv: everything)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drill: inject the faults, judge, report
    Run(RunArgs),
    /// Show what would happen to whom and when, and do nothing
    Plan(PlanArgs),
    /// Judge a recorded run again, offline
    Check(CheckArgs),
    /// Undo what a drill that broke off has left behind
    Heal(HealArgs),
    /// Print the JSON Schema of scenarios, for editors
    Schema,
    /// List what a scenario can name
    List(ListArgs),
    /// Write a commented scenario to start from
    New(NewArgs),
    /// Make the agent's image of this very binary, for a cluster to pull
    Image(ImageArgs),
    /// Print what lets a Kubernetes cluster drill itself, for `kubectl apply`
    Manifests(ManifestsArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// A node of the embedded store
    #[command(hide = true)]
    Store(Passed),
    /// Beside a process: ends it when the runner is gone
    #[command(hide = true)]
    Guard(Passed),
    /// Outlives the runner and heals what it left behind
    #[command(hide = true)]
    Watchdog(Passed),
    /// In a helper container: kills one process of the host
    #[command(hide = true)]
    AgentKill(Passed),
    /// In a helper container: removes what an agent that was killed left in this network namespace
    #[command(hide = true)]
    AgentSweep,
    /// Stands beside a node, in its network namespace
    #[command(hide = true)]
    Agent(Passed),
    /// Stands within a node, in its process namespace
    #[command(hide = true)]
    AgentWithin(Passed),
    /// Within a node: takes processors and memory from it
    #[command(hide = true)]
    AgentStress(Passed),
    /// Within a node: reads, to see how fast it may
    #[command(hide = true)]
    AgentReads(Passed),
    /// Within a node: gives its limits back
    #[command(hide = true)]
    AgentLimits(Passed),
    /// Says what time it is for each line of its input: what proves that a clock is skewed
    #[command(hide = true)]
    ClockWitness,
    /// In a pod: a drill that is watched from elsewhere
    #[command(hide = true)]
    InPod(Passed),
    /// In a pod: what the drill left, as an archive
    #[command(hide = true)]
    InPodFetch {
        /// It has arrived
        #[arg(long)]
        done: bool,
    },
    /// In a pod: asks the drill to end
    #[command(hide = true)]
    InPodStop,
}

/// Arguments of `image`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("to").required(true))]
pub struct ImageArgs {
    /// What the image is called, such as registry.example.com/firedrill/agent:0.1.0
    #[arg(long, value_name = "REF")]
    pub tag: Reference,
    /// Write it to this file, which `docker load` and `ctr image import` read
    #[arg(long, value_name = "FILE", group = "to")]
    pub tar: Option<PathBuf>,
    /// Load it into the Docker engine, from where `docker push` takes it
    #[arg(long, group = "to")]
    pub docker: bool,
    /// Push it to the registry that the tag names, with what `docker login` wrote down
    #[arg(long, group = "to")]
    pub push: bool,
    /// A static binary to make it of; one for amd64 and one for arm64 make an image for both [default: this binary]
    #[arg(long, value_name = "FILE")]
    pub binary: Vec<PathBuf>,
}

/// `firedrill manifests`.
#[derive(Debug, Clone, Args)]
pub struct ManifestsArgs {
    /// Which.
    #[command(subcommand)]
    pub what: Manifests,
}

/// What a cluster can be given.
#[derive(Debug, Clone, Subcommand)]
pub enum Manifests {
    /// A service account, and the smallest roles that allow exactly this scenario
    Rbac(DrillArgs),
    /// A job that drills this scenario by schedule, as the service account of `manifests rbac`
    Cronjob(CronJobArgs),
}

/// A scenario, and how it is varied.
#[derive(Debug, Clone, Args)]
pub struct DrillArgs {
    /// The scenario's file
    pub scenario: PathBuf,
    /// Which plan is drawn.
    #[command(flatten)]
    pub variation: Variation,
}

/// `firedrill manifests cronjob`.
#[derive(Debug, Clone, Args)]
pub struct CronJobArgs {
    /// Which drill.
    #[command(flatten)]
    pub drill: DrillArgs,
    /// The image that drills: what `firedrill image` makes [default: the scenario's agent_image]
    #[arg(long, value_name = "REF")]
    pub image: Option<Reference>,
    /// When, as cron has it
    #[arg(long, value_name = "CRON", default_value = "0 3 * * *", value_parser = schedule)]
    pub schedule: String,
    /// The PersistentVolumeClaim on which the records are to stay [default: they go with the drill's pod]
    #[arg(long, value_name = "NAME")]
    pub claim: Option<String>,
}

/// Minute, hour, day, month and weekday, or a name for them such as @daily.
fn schedule(text: &str) -> Result<String, String> {
    let fields = text.split_whitespace().count();
    match fields == 5 || fields == 1 && text.starts_with('@') {
        true => Ok(text.to_string()),
        false => Err("expected five fields, such as \"0 3 * * *\", or @daily".into()),
    }
}

/// Which plan is drawn from a scenario.
#[derive(Debug, Clone, Default, Args)]
pub struct Variation {
    /// Where the nodes live, instead of what the scenario says
    #[arg(long, value_enum)]
    pub target: Option<TargetKind>,
    /// The seed that all chance is drawn from [default: a new one, which is printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Replace a value of the scenario, such as workload.rate=200/s; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// Where nodes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// Processes of this machine.
    Local,
    /// Docker containers.
    Docker,
    /// Kubernetes pods.
    Kubernetes,
}

impl TargetKind {
    /// The name, as a scenario has it.
    pub fn name(self) -> &'static str {
        match self {
            TargetKind::Local => "local",
            TargetKind::Docker => "docker",
            TargetKind::Kubernetes => "kubernetes",
        }
    }
}

/// `firedrill run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Scenario files, or folders of them
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Which plan is drawn.
    #[command(flatten)]
    pub variation: Variation,
    /// Run each scenario so many times, with one seed after the other
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: u32,
    /// Where the folders of the runs are made
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,
    /// Write a JUnit report of all runs to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a JSON report of all runs to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Drill pods from within their cluster, by a job there; what it prints and leaves comes back
    #[arg(long)]
    pub in_cluster: bool,
    /// The image that drills in the cluster: what `firedrill image` makes [default: the scenario's agent_image]
    #[arg(long, value_name = "REF", requires = "in_cluster")]
    pub image: Option<Reference>,
    /// Who it is in the cluster [default: the service account of `manifests rbac`]
    #[arg(long, value_name = "NAME", requires = "in_cluster")]
    pub service_account: Option<String>,
    /// Do not ask before a target that is not local is harmed
    #[arg(long, short)]
    pub yes: bool,
}

/// `firedrill plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The scenario's file
    pub scenario: PathBuf,
    /// Which plan is drawn.
    #[command(flatten)]
    pub variation: Variation,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// `firedrill heal`.
#[derive(Debug, Clone, Args)]
pub struct HealArgs {
    /// The folder of a run [default: every run under the folder of reports]
    pub run: Option<PathBuf>,
    /// Where the folders of the runs are
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,
    /// Also give back what runs without a folder here left in this scenario's Kubernetes cluster, on machines and
    /// controllers. Not while another drill goes there: what that holds would be given back too
    #[arg(long, value_name = "SCENARIO", conflicts_with = "run")]
    pub cluster_of: Option<PathBuf>,
}

/// `firedrill list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Of what
    #[arg(value_enum)]
    pub what: Catalogue,
}

/// What there is a catalogue of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Catalogue {
    /// What can be injected.
    Faults,
    /// What can be judged.
    Checks,
    /// Who can ask.
    Clients,
    /// What can be asked for.
    Models,
}

/// `firedrill new`.
#[derive(Debug, Clone, Args)]
pub struct NewArgs {
    /// The file to write; one that exists is never overwritten
    #[arg(default_value = "scenario.yaml")]
    pub file: PathBuf,
}

/// `firedrill completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments that firedrill gives itself; whoever they are for reads them.
#[derive(Debug, Clone, Args)]
pub struct Passed {
    /// As they came.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.trim().is_empty() => {
            Ok((path.trim().to_string(), value.to_string()))
        }
        _ => Err("expected PATH=VALUE, such as workload.rate=200/s".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_several_scenarios_and_every_option_of_the_manual() {
        let line = "firedrill run a.yaml scenarios --target docker --seed 7 --repeat 3 \
                    --set workload.rate=200/s --set a.b=c=d --out o --junit j.xml --json j.json \
                    --yes -v";
        let cli = parse(line).unwrap();
        assert_eq!(cli.verbosity.verbose, 1);
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!(run.scenarios.len(), 2);
        assert_eq!(run.variation.target.map(TargetKind::name), Some("docker"));
        assert_eq!((run.variation.seed, run.repeat, run.yes), (Some(7), 3, true));
        let set = |path: &str, value: &str| (path.to_string(), value.to_string());
        assert_eq!(run.variation.set, [set("workload.rate", "200/s"), set("a.b", "c=d")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "firedrill run",
            "firedrill run a --seed -1",
            "firedrill run a --repeat 0",
            "firedrill run a --set rate",
            "firedrill run a --target moon",
            "firedrill run a -q -v",
            "firedrill list cats",
            "firedrill manifests",
            "firedrill manifests cronjob s.yaml --schedule daily",
            "firedrill frobnicate",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_firedrill_gives_itself_passes_as_it_came() {
        let cli = parse("firedrill store --id n1 -- -x").unwrap();
        let Command::Store(passed) = cli.command else { panic!("not store") };
        assert_eq!(passed.args, ["--id", "n1", "--", "-x"].map(OsString::from));
    }

    #[test]
    fn the_help_fits_eighty_columns_and_hides_what_is_not_for_people() {
        let help = Cli::command().term_width(80).render_long_help().to_string();
        assert!(help.lines().all(|l| l.chars().count() <= 80), "{help}");
        assert!(!help.contains("watchdog") && help.contains("Exit codes"), "{help}");
    }
}
