//! A Compose project: what it will have, read while planning; brought up for a drill, and taken down after it.
//! By `docker compose`, or by Debian's `docker-compose` 1.29, whichever is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use crate::agent::process;
use crate::target::TargetError;

/// A project of the drill's own.
#[derive(Debug, Clone)]
pub struct Compose {
    /// The program and its first arguments.
    program: Vec<String>,
    file: PathBuf,
    engine: Option<String>,
    /// One command at a time: what is taken down is not still being brought up.
    turn: Arc<Mutex<()>>,
}

/// A service, as far as a drill cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// How many containers it has.
    pub containers: u32,
    /// The labels of its containers.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    services: BTreeMap<String, RawService>,
}

#[derive(Deserialize)]
struct RawService {
    #[serde(default)]
    labels: Labels,
    scale: Option<u32>,
    #[serde(default)]
    deploy: Deploy,
}

#[derive(Default, Deserialize)]
struct Deploy {
    replicas: Option<u32>,
}

/// `config` writes labels as a mapping, whichever way the file has them; values may be numbers or truths.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Labels(BTreeMap<String, serde_json::Value>);

impl Compose {
    /// The project of a file. Fails if there is no file, or nothing that understands it.
    pub fn of(file: &Path, engine: Option<String>) -> Result<Compose, TargetError> {
        let other = |why: String| TargetError::Other(why);
        let file = std::fs::canonicalize(file)
            .map_err(|e| other(format!("compose file {}: {e}", file.display())))?;
        let candidates = [vec!["docker", "compose"], vec!["docker-compose"]];
        let found = candidates.into_iter().find(|argv| answers(argv));
        let program = found.ok_or_else(|| {
            other(
                "neither `docker compose` nor `docker-compose` is installed: install Docker's \
                 Compose plugin (package docker-compose-plugin or docker-compose)"
                    .into(),
            )
        })?;
        let program = program.into_iter().map(String::from).collect();
        Ok(Compose { program, file, engine, turn: Arc::default() })
    }

    /// The services of the file, in the order of their names.
    pub fn services(&self) -> Result<Vec<Service>, TargetError> {
        let output = self.run(&self.argv(None, &["config"]))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let config: Config = serde_yaml::from_str(&text).map_err(|e| {
            TargetError::Other(format!("{}: not understood: {e}", self.file.display()))
        })?;
        let plain = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let service = |(name, raw): (String, RawService)| Service {
            name,
            containers: raw.scale.or(raw.deploy.replicas).unwrap_or(1),
            labels: raw.labels.0.into_iter().map(|(k, v)| (k, plain(v))).collect(),
        };
        Ok(config.services.into_iter().map(service).collect())
    }

    /// Creates and starts everything. Returns when it is started, not when it is ready. Should the runner die
    /// meanwhile, it creates no more: it runs through `guard`, the firedrill binary.
    pub fn up(&self, project: &str, guard: &Path) -> Result<(), TargetError> {
        let argv = self.argv(Some(project), &["up", "--detach", "--no-color"]);
        let mut command = process::guarded(guard, &argv).map_err(TargetError::Other)?;
        self.run_command(apart(&mut command), &argv).map(drop)
    }

    /// What takes everything down, volumes too; nothing if nothing is there.
    pub fn down(&self, project: &str) -> Vec<String> {
        let down = ["down", "--volumes", "--remove-orphans", "--timeout", "2"];
        let mut argv = self.argv(Some(project), &down);
        if let Some(engine) = &self.engine {
            argv.splice(0..0, ["env".to_string(), format!("DOCKER_HOST={engine}")]);
        }
        argv
    }

    /// Takes everything down now.
    pub fn take_down(&self, project: &str) -> Result<(), TargetError> {
        self.run(&self.down(project)).map(drop)
    }

    fn argv(&self, project: Option<&str>, arguments: &[&str]) -> Vec<String> {
        let mut argv = self.program.clone();
        let file = self.file.to_string_lossy().into_owned();
        argv.extend(["--file".into(), file]);
        argv.extend(project.into_iter().flat_map(|p| ["--project-name".into(), p.to_string()]));
        argv.extend(arguments.iter().map(|a| a.to_string()));
        argv
    }

    fn run(&self, argv: &[String]) -> Result<Output, TargetError> {
        self.run_command(&mut command(argv), argv)
    }

    fn run_command(&self, command: &mut Command, argv: &[String]) -> Result<Output, TargetError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = argv.join(" ");
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        let output = command.output();
        let output = output.map_err(|e| TargetError::Other(format!("`{shown}`: {e}")))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
        let last = last.get(last.len().saturating_sub(8)..).unwrap_or_default().join("\n  ");
        Err(TargetError::Other(format!("`{shown}` failed ({}):\n  {last}", output.status)))
    }
}

fn command(argv: &[String]) -> Command {
    let mut words = argv.iter();
    let mut command = Command::new(words.next().map_or("", String::as_str));
    apart(command.args(words));
    command
}

/// A process group of its own: the terminal's Ctrl-C is for the runner.
fn apart(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    command.stdin(std::process::Stdio::null()).process_group(0)
}

fn answers(argv: &[&str]) -> bool {
    let argv: Vec<String> = argv.iter().chain(&["version"]).map(|a| a.to_string()).collect();
    command(&argv).output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_replicas_are_read_from_what_compose_says() {
        let text = "services:\n  a:\n    image: x\n    labels: {dc: dc1, n: 3}\n    \
                    deploy: {replicas: 2}\n  b: {image: y, scale: 4}\n  c: {image: z}\nversion: '2.4'\n";
        let config: Config = serde_yaml::from_str(text).unwrap();
        let a = &config.services["a"];
        assert_eq!(a.labels.0["dc"], "dc1");
        assert_eq!(a.deploy.replicas, Some(2));
        assert_eq!(config.services["b"].scale, Some(4));
        assert!(config.services["c"].labels.0.is_empty());
    }
}
