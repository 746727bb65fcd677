//! From what a scenario says of containers to the Docker target.

use std::path::{Path, PathBuf};

use super::CliError;
use super::assemble::Places;
use super::inputs::Input;
use crate::inventory::{Inventory, Node, NodeId};
use crate::scenario;
use crate::target::TargetError;
use crate::target::docker::{self, Compose, Docker, PROJECT_PREFIX, Which, Zones};

/// The nodes that a scenario's containers are or will be. Asks Compose or the engine, changes nothing.
pub(super) fn inventory(spec: &scenario::Docker, file: &Path) -> Result<Inventory, TargetError> {
    let compose = compose(spec, file)?;
    let (which, zones) = (which(spec, ""), zones(spec));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| TargetError::Other(format!("no runtime: {e}")))?;
    let asked = docker::nodes(spec.engine.as_deref(), compose.as_ref(), &which, &zones);
    let nodes = runtime.block_on(asked)?;
    let node = |(id, zone): (NodeId, String)| Node { id, zone, endpoints: Default::default() };
    Ok(Inventory::new(nodes.into_iter().map(node).collect()))
}

/// The target of a run. Nothing is started yet.
pub(super) fn target(
    spec: &scenario::Docker,
    input: &Input,
    places: &Places,
) -> Result<Docker, CliError> {
    let failed = |e: TargetError| CliError::Failed(e.to_string());
    let compose = compose(spec, Path::new(&input.file)).map_err(failed)?;
    let nodes = input.plan.inventory.nodes().iter().map(|n| (n.id.clone(), n.zone.clone()));
    Ok(Docker::new(docker::Options {
        run: places.run.clone(),
        folder: places.folder.clone(),
        engine: spec.engine.clone(),
        compose: compose.map(|compose| (compose, spec.keep)),
        which: which(spec, &places.run),
        zones: zones(spec),
        nodes: nodes.collect(),
        ports: spec.ports.clone(),
        ready_port: spec.ports.get(&spec.ready.port.value).copied(),
        ready_timeout: spec.ready.timeout.0,
        stop_timeout: spec.stop_timeout.0,
        lease: input.scenario.lease.0,
        binary: places.binary.clone(),
    }))
}

fn compose(spec: &scenario::Docker, file: &Path) -> Result<Option<Compose>, TargetError> {
    let Some(compose) = &spec.compose else { return Ok(None) };
    let beside = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    Compose::of(&beside.join(&compose.value), spec.engine.clone()).map(Some)
}

/// `run`: the name of a project that is brought up for it.
fn which(spec: &scenario::Docker, run: &str) -> Which {
    let services = spec.services.clone();
    match (&spec.selector, &spec.containers, &spec.project) {
        (Some(labels), _, _) => Which::Labels(labels.value.clone()),
        (_, Some(names), _) => Which::Names(names.value.clone()),
        (_, _, Some(project)) => Which::Project { project: project.value.clone(), services },
        _ => Which::Project { project: project_of(run), services },
    }
}

/// A run's name as Compose takes it: lower case, letters, digits, `-` and `_`.
pub(super) fn project_of(run: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    format!("{PROJECT_PREFIX}{}", run.to_ascii_lowercase().chars().map(plain).collect::<String>())
}

fn zones(spec: &scenario::Docker) -> Zones {
    Zones { label: spec.zone_label.clone(), of: spec.zones.clone() }
}
