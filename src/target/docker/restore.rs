//! How what was done to containers is undone by somebody who has nothing but this note: the watchdog, or
//! `firedrill heal`. Each tolerates that it was never done, or is undone already.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker as Api;
use bollard::models::HostConfig;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptions,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use serde::{Deserialize, Serialize};

use super::attached::Place;
use super::discover::PROJECT;
use super::engine::{self, is_absent, is_so_already, words};
use super::errand::Errand;
use super::{image, within};
use crate::agent::within::Limits;
use crate::control::RUN_LABEL;

/// How long the engine may take to do what a runner asked of it with its last breath: what is to be undone may
/// come about only after it was looked for.
pub(super) const UNDERWAY: Duration = Duration::from_secs(2);
/// How many seconds a helper has to end by itself: an agent has little to do.
const ENDING: i32 = 1;
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// The command by which a helper removes what an agent left in the helper's network namespace.
const SWEEP: &str = "agent-sweep";

/// What is to be restored, and at which engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The engine, where it is not the one that the environment names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// What to do there.
    pub what: What,
}

/// What is to be restored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A container that was killed or stopped runs again.
    Start {
        /// Its id.
        container: String,
        /// Its name, for people.
        name: String,
        /// How long it may take to end by itself, once it is asked to.
        #[serde(default)]
        grace_ms: u64,
    },
    /// A container that was paused goes on.
    Unpause {
        /// Its id.
        container: String,
        /// Its name, for people.
        name: String,
    },
    /// A container has the limits that it had.
    Limits {
        /// Its id.
        container: String,
        /// Its name, for people.
        name: String,
        /// What stood in which file of its control groups.
        own: Limits,
    },
    /// The devices are gone that an agent made in a container's network namespace, and left because it was killed.
    Devices {
        /// The container's id.
        container: String,
        /// Its name, for people.
        name: String,
        /// The run.
        run: String,
        /// The agent's image: a helper removes them.
        image: String,
    },
    /// The containers that the run made beside others are gone.
    Helpers {
        /// The run.
        run: String,
        /// The process that makes them.
        #[serde(default)]
        runner: u32,
    },
    /// What came up of the drill's own Compose project while it was taken down is gone.
    Project {
        /// Its name.
        project: String,
        /// The process that brings it up.
        runner: u32,
    },
}

impl Restore {
    /// What a person would type.
    pub fn by_hand(&self) -> String {
        let docker = match &self.engine {
            Some(engine) => format!("docker --host {engine}"),
            None => "docker".to_string(),
        };
        match &self.what {
            What::Start { name, .. } => format!("{docker} start {name}"),
            What::Unpause { name, .. } => format!("{docker} unpause {name}"),
            What::Limits { name, .. } => format!("{docker} restart {name}"),
            What::Devices { name, image, .. } => format!(
                "{docker} run --rm --network container:{name} --cap-add NET_ADMIN {image} {SWEEP}"
            ),
            What::Helpers { run, .. } => {
                let theirs = format!("label={RUN_LABEL}={run}");
                format!("{docker} rm --force $({docker} ps --all --quiet --filter {theirs})")
            }
            What::Project { project, .. } => {
                let label = format!("label={PROJECT}={project}");
                format!(
                    "{docker} rm --force --volumes \
                     $({docker} ps --all --quiet --filter {label}); \
                     {docker} network prune --force --filter {label}"
                )
            }
        }
    }

    /// Does it. `Ok(None)`: there was nothing to do. Blocks, for those who have no runtime.
    pub fn restore(&self) -> Result<Option<String>, String> {
        let own = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
            runtime.block_on(self.at_engine())
        };
        // A thread of its own: the caller may stand in a runtime, which must not be blocked in.
        std::thread::scope(|scope| {
            scope.spawn(own).join().unwrap_or_else(|_| Err("the restoring thread broke".into()))
        })
    }

    async fn at_engine(&self) -> Result<Option<String>, String> {
        let api = engine::connect(self.engine.as_deref()).await.map_err(|e| e.to_string())?;
        match &self.what {
            What::Start { container, name, grace_ms } => {
                let patience = UNDERWAY + Duration::from_millis(*grace_ms);
                let is_down = |(runs, _): (bool, bool)| !runs;
                if !comes_about(&api, container, patience, is_down).await? {
                    return Ok(None);
                }
                let started = api.start_container(container, None::<StartContainerOptions>).await;
                done(started, format!("started {name}"))
            }
            What::Unpause { container, name } => {
                let is_paused = |(_, paused): (bool, bool)| paused;
                if !comes_about(&api, container, UNDERWAY, is_paused).await? {
                    return Ok(None);
                }
                done(api.unpause_container(container).await, format!("unpaused {name}"))
            }
            What::Limits { container, name, own } => give_back(&api, container, name, own).await,
            What::Devices { container, name, run, image } => {
                // Without a process it has no network namespace, and so no devices.
                match state(&api, container).await? {
                    Some((true, _)) => sweep(&api, container, run, image)
                        .await
                        .map(|said| said.map(|said| format!("{name}: {said}"))),
                    Some((false, _)) | None => Ok(None),
                }
            }
            What::Helpers { run, runner } => {
                let patience = underway(*runner);
                remove_helpers(&api, run, patience).await
            }
            What::Project { project, runner } => {
                remove_project(&api, project, underway(*runner)).await
            }
        }
    }
}

/// Gives a container its limits back, by a helper that changes nothing else.
async fn give_back(
    api: &Api,
    container: &str,
    name: &str,
    own: &Limits,
) -> Result<Option<String>, String> {
    if !matches!(state(api, container).await?, Some((true, _))) {
        return Ok(None); // what is started anew has its own limits
    }
    // By this name it is found even where an upgrade has replaced the file.
    let own_binary = Path::new("/proc/self/exe");
    let image = image::ensure(api, own_binary).await.map_err(|e| e.to_string())?;
    let limits = serde_json::to_string(own).map_err(|e| e.to_string())?;
    let command = vec!["agent-limits".into(), limits, UNDERWAY.as_millis().to_string()];
    let host = within::in_cgroups(container);
    let errand = Errand { run: "restore", image: &image, name, command, host };
    match errand.go(api).await {
        Ok(_) => Ok(Some(format!("gave {name} its limits back"))),
        // It ended meanwhile, and its limits with it.
        Err(_) if !matches!(state(api, container).await, Ok(Some((true, _)))) => Ok(None),
        Err(why) => Err(format!("the helper that gives {name} its limits back: {why}")),
    }
}

/// Removes an agent's devices from where a container stands. What was removed, in words, if anything was.
async fn sweep(
    api: &Api,
    container: &str,
    run: &str,
    image: &str,
) -> Result<Option<String>, String> {
    let host = HostConfig {
        network_mode: Some(format!("container:{container}")),
        cap_add: Some(vec!["NET_ADMIN".into()]),
        ..Place::bare()
    };
    let errand = Errand { run, image, name: "sweep", command: vec![SWEEP.into()], host };
    let said = errand.go(api).await.map_err(|why| format!("the helper that sweeps: {why}"))?;
    Ok(Some(said).filter(|said| !said.is_empty()))
}

/// How long to look for what this runner asked for. The runner itself has an answer to all that it asked.
fn underway(runner: u32) -> Duration {
    if runner == std::process::id() { Duration::ZERO } else { UNDERWAY }
}

/// Whether a container gets into a state that is to be undone, within this time. Not if it is gone.
async fn comes_about(
    api: &Api,
    container: &str,
    patience: Duration,
    so: impl Fn((bool, bool)) -> bool,
) -> Result<bool, String> {
    let deadline = Instant::now() + patience;
    loop {
        match state(api, container).await? {
            None => return Ok(false),
            Some(now) if so(now) => return Ok(true),
            Some(_) if Instant::now() >= deadline => return Ok(false),
            Some(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Whether a container runs, and whether it is paused. `None`: it is not there.
pub(super) async fn state(api: &Api, container: &str) -> Result<Option<(bool, bool)>, String> {
    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    match api.inspect_container(container, options).await {
        Ok(found) => {
            let state = found.state.unwrap_or_default();
            Ok(Some((state.running.unwrap_or_default(), state.paused.unwrap_or_default())))
        }
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(words(&e)),
    }
}

fn done(
    result: Result<(), bollard::errors::Error>,
    what: String,
) -> Result<Option<String>, String> {
    match result {
        Ok(()) => Ok(Some(what)),
        Err(e) if is_so_already(&e) || is_absent(&e) => Ok(None),
        Err(e) => Err(words(&e)),
    }
}

pub(super) fn removal() -> RemoveContainerOptions {
    RemoveContainerOptionsBuilder::default().force(true).v(true).build()
}

/// Removes what a run made beside others, until there is none and `patience` is over: the engine may still be making
/// one. What is being removed already counts as removed once it is gone. Each is asked to end first: an agent takes
/// its devices along.
pub(super) async fn remove_helpers(
    api: &Api,
    run: &str,
    patience: Duration,
) -> Result<Option<String>, String> {
    let label = format!("{RUN_LABEL}={run}");
    let removed = remove_labelled(api, &label, Some(ENDING), patience).await?;
    Ok((removed > 0).then(|| format!("removed {removed} helper containers of {run}")))
}

/// Removes what there still is of a project, its networks last.
async fn remove_project(
    api: &Api,
    project: &str,
    patience: Duration,
) -> Result<Option<String>, String> {
    let label = format!("{PROJECT}={project}");
    let removed = remove_labelled(api, &label, None, patience).await?;
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = api.list_networks(Some(options)).await.map_err(|e| words(&e))?;
    for network in networks.iter().filter_map(|network| network.id.as_deref()) {
        match api.remove_network(network).await {
            Ok(()) => {}
            Err(e) if is_absent(&e) => {}
            Err(e) => return Err(words(&e)),
        }
    }
    let all = removed + networks.len();
    Ok((all > 0).then(|| format!("removed {all} more containers and networks of {project}")))
}

/// `ending`: how many seconds each may take to end by itself.
async fn remove_labelled(
    api: &Api,
    label: &str,
    ending: Option<i32>,
    patience: Duration,
) -> Result<usize, String> {
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let (began, mut removed) = (Instant::now(), BTreeSet::new());
    loop {
        let found = api.list_containers(Some(options.clone())).await.map_err(|e| words(&e))?;
        for id in found.into_iter().filter_map(|helper| helper.id) {
            if let Some(seconds) = ending {
                let stop = StopContainerOptionsBuilder::default().t(seconds).build();
                let stopped = api.stop_container(&id, Some(stop)).await;
                // It may have ended before, and may remove itself.
                if stopped.is_ok() {
                    removed.insert(id.clone());
                }
            }
            match api.remove_container(&id, Some(removal())).await {
                Ok(()) => drop(removed.insert(id)),
                Err(e) if is_absent(&e) || is_so_already(&e) => {}
                Err(e) => return Err(words(&e)),
            }
        }
        if began.elapsed() >= patience {
            return Ok(removed.len());
        }
        tokio::time::sleep(LOOK).await;
    }
}
