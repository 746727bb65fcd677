//! Scenario files in, plans out: everything is read and planned before anything runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::abilities::Abilities;
use super::args::{TargetKind, Variation};
use super::{CliError, cluster, containers, terminal};
use crate::condition::Condition;
use crate::plan::{self, Plan};
use crate::report::RunReport;
use crate::scenario::{self, Diagnostic, Scenario, Target};
use crate::target::kubernetes::{self, Survey};

/// A scenario that is ready to run.
#[derive(Debug)]
pub struct Input {
    /// The file, as it was given.
    pub file: String,
    /// Its text, before any override.
    pub source: String,
    /// The overrides that were applied to it.
    pub set: Vec<(String, String)>,
    /// What it says.
    pub scenario: Scenario,
    /// What will happen.
    pub plan: Plan,
    /// By what links will be shaped, in words, where any will be.
    pub shaping: Option<String>,
    /// What else is known of the target, in words.
    pub notes: Vec<String>,
    /// What was found of its pods, where it is drilled in a cluster.
    pub survey: Option<Survey>,
}

/// A scenario that cannot run, and why: every mistake that was found, rendered.
#[derive(Debug)]
pub struct Refused {
    /// The file, as it was given.
    pub file: String,
    /// The mistakes, in the order of their places.
    pub why: Vec<String>,
}

impl Refused {
    /// For one reason, as an error is told.
    pub fn of(file: &Path, why: &str) -> Refused {
        Refused { file: file.display().to_string(), why: vec![format!("error: {why}")] }
    }

    /// For what was found in a scenario.
    pub fn by(file: &Path, found: &[Diagnostic]) -> Refused {
        let why = found.iter().map(Diagnostic::render).collect();
        Refused { file: file.display().to_string(), why }
    }

    /// Says why, and gives the report that goes without a verdict.
    pub fn told(&self) -> RunReport {
        self.say();
        let name = Path::new(&self.file).file_stem().unwrap_or_default().to_string_lossy();
        RunReport::broke_off(&name, &self.file, &self.why.join("\n"))
    }

    /// Says why.
    pub fn say(&self) {
        self.why.iter().for_each(|why| terminal::say(why.trim_end()));
    }
}

/// The scenario files among these paths: files as they are, of folders every `*.yaml` and `*.yml` in it
/// (not below it) but Compose files, in the order of their names.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = vec![];
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let wrong = |why: String| CliError::Invalid(format!("{}: {why}", path.display()));
        let entries = fs::read_dir(path).map_err(|e| wrong(e.to_string()))?;
        let mut found: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        found.retain(|p| p.is_file() && p.extension().is_some_and(|e| e == "yaml" || e == "yml"));
        found.retain(|p| !is_compose_file(p));
        if found.is_empty() {
            return Err(wrong("no scenario (*.yaml, *.yml) in this folder".into()));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// By its name, as Compose itself knows it: `compose.yaml`, `docker-compose.yml`, `compose-synchronous.yaml`. Such a
/// file stands beside the scenarios that bring it up.
fn is_compose_file(path: &Path) -> bool {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let stem = stem.strip_prefix("docker-").unwrap_or(&stem);
    stem.strip_prefix("compose").is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
}

/// The seed to use where none is given: new each time. Below 2^32, so that it can be read aloud.
pub fn new_seed() -> u64 {
    u64::from(rand::random::<u32>())
}

/// Reads a scenario, applies what the command line says, plans it with this seed, and asks whether it is allowed.
pub fn prepare(file: &Path, variation: &Variation, seed: Option<u64>) -> Result<Input, Refused> {
    let mut input = planned(file, variation, seed)?;
    if let (Target::Kubernetes(pods), Some(survey)) = (&input.scenario.target.value, &input.survey)
    {
        let scenario = &input.scenario;
        let refused = |refused: kubernetes::Refused| {
            at_target(&input.file, scenario, refused.why, refused.help)
        };
        survey.cannot_suffer(&input.plan.foreseen()).map_or(Ok(()), Err).map_err(refused)?;
        // What must be allowed is the same whatever the seed.
        if seed.is_none() {
            input.notes = cluster::ask(scenario, pods, survey).map_err(refused)?;
        }
    }
    Ok(input)
}

/// The same, but for asking whether it is allowed.
pub fn look(file: &Path, variation: &Variation) -> Result<Input, Refused> {
    planned(file, variation, None)
}

/// What the target refuses, at the scenario's target.
fn at_target(file: &str, scenario: &Scenario, why: String, help: Option<String>) -> Refused {
    let why = scenario.sources.diagnose(scenario.target.place, why, help).render();
    Refused { file: file.to_string(), why: vec![why] }
}

/// Reads a scenario, and the text that it is. Whoever it drills is not asked.
pub fn read(file: &Path, set: &[(String, String)]) -> Result<(String, Scenario), Refused> {
    let name = file.display().to_string();
    let source =
        fs::read_to_string(file).map_err(|e| Refused::of(file, &format!("{name}: {e}")))?;
    let scenario =
        Scenario::parse(&name, &source, set).map_err(|found| Refused::by(file, &found))?;
    Ok((source, scenario))
}

fn planned(file: &Path, variation: &Variation, seed: Option<u64>) -> Result<Input, Refused> {
    let name = file.display().to_string();
    let render = |found: Vec<Diagnostic>| Refused::by(file, &found);
    let set = variation.set.clone();
    let (source, mut scenario) = read(file, &set)?;
    if let Some(kind) = variation.target {
        let kind = match kind {
            TargetKind::Local => scenario::TargetKind::Local,
            TargetKind::Docker => scenario::TargetKind::Docker,
            TargetKind::Kubernetes => scenario::TargetKind::Kubernetes,
        };
        scenario.retarget(kind).map_err(render)?;
    }
    let at_target = |why, help| at_target(&name, &scenario, why, help);
    let mut survey = None;
    let inventory = match &scenario.target.value {
        Target::Local(local) => local.inventory(),
        Target::Docker(docker) => {
            containers::inventory(docker, file).map_err(|e| at_target(e.to_string(), None))?
        }
        Target::Kubernetes(pods) => {
            let found = cluster::survey(pods, file).map_err(|r| at_target(r.why, r.help))?;
            cluster::inventory(survey.insert(found))
        }
    };
    let seed = seed.or(variation.seed).or(scenario.seed).unwrap_or_else(new_seed);
    let abilities = Abilities::new(&scenario.target.value);
    let cannot = |condition: &Condition| abilities.cannot(condition);
    let plan = plan::build(&scenario, &inventory, seed, &cannot).map_err(render)?;
    let shaping = abilities.shaping();
    let notes = vec![];
    Ok(Input { file: name, source, set, scenario, plan, shaping, notes, survey })
}
