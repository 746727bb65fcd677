//! From what a scenario says of pods to the Kubernetes target.

use std::path::Path;

use super::assemble::Places;
use super::inputs::Input;
use crate::inventory::{Inventory, Node, NodeId};
use crate::scenario::{self, PullPolicy};
use crate::target::TargetError;
use crate::target::kubernetes::{self, Chosen, Kubernetes, Pods, Which};

/// The nodes that a scenario's pods are. Asks the cluster, changes nothing.
pub(super) fn inventory(
    spec: &scenario::Kubernetes,
    file: &Path,
) -> Result<Inventory, TargetError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| TargetError::Other(format!("no runtime: {e}")))?;
    let (which, pods) = (which(spec, file), pods(spec));
    let nodes = runtime.block_on(kubernetes::nodes(&which, &pods))?;
    let node = |(id, zone): (NodeId, String)| Node { id, zone, endpoints: Default::default() };
    Ok(Inventory::new(nodes.into_iter().map(node).collect()))
}

fn which(spec: &scenario::Kubernetes, file: &Path) -> Which {
    let beside = file.parent().unwrap_or(Path::new(""));
    Which {
        kubeconfig: spec.kubeconfig.as_ref().map(|path| beside.join(path)),
        context: spec.context.clone(),
        namespace: spec.namespace.clone(),
    }
}

fn pods(spec: &scenario::Kubernetes) -> Pods {
    let chosen = match (&spec.statefulset, &spec.deployment, &spec.pods) {
        (Some(name), _, _) => Chosen::StatefulSet(name.value.clone()),
        (_, Some(name), _) => Chosen::Deployment(name.value.clone()),
        (_, _, Some(names)) => Chosen::Names(names.value.clone()),
        // Validation has seen to it that there is one then.
        _ => Chosen::Selector(spec.selector.as_deref().cloned().unwrap_or_default()),
    };
    Pods {
        chosen,
        container: spec.container.clone(),
        zone_label: spec.zone_label.clone(),
        zones: spec.zones.clone(),
    }
}

/// The target of a run. Nothing is started yet.
pub(super) fn target(spec: &scenario::Kubernetes, input: &Input, places: &Places) -> Kubernetes {
    let nodes = input.plan.inventory.nodes().iter().map(|n| (n.id.clone(), n.zone.clone()));
    let pull_policy = match spec.image_pull_policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    };
    Kubernetes::new(kubernetes::Options {
        run: places.run.clone(),
        folder: places.folder.clone(),
        cluster: which(spec, Path::new(&input.file)),
        pods: pods(spec),
        nodes: nodes.collect(),
        ports: spec.ports.clone(),
        ready_port: spec.ports.get(&spec.ready.port.value).copied(),
        ready_timeout: spec.ready.timeout.0,
        lease: input.scenario.lease.0,
        agent_image: spec.agent_image.clone().unwrap_or_default(),
        pull_policy: pull_policy.into(),
    })
}
