//! From what a scenario says of pods to the Kubernetes target.

use super::assemble::Places;
use super::inputs::Input;
use crate::inventory::{Inventory, Node, NodeId};
use crate::scenario;
use crate::target::TargetError;
use crate::target::kubernetes::{self, Kubernetes, Which};

/// The nodes that a scenario's pods are. Asks the cluster, changes nothing.
pub(super) fn inventory(spec: &scenario::Kubernetes) -> Result<Inventory, TargetError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| TargetError::Other(format!("no runtime: {e}")))?;
    let nodes =
        runtime.block_on(kubernetes::nodes(&which(spec), &spec.selector, &spec.zone_label))?;
    let node = |(id, zone): (NodeId, String)| Node { id, zone, endpoints: Default::default() };
    Ok(Inventory::new(nodes.into_iter().map(node).collect()))
}

fn which(spec: &scenario::Kubernetes) -> Which {
    Which { namespace: spec.namespace.clone(), ..Which::default() }
}

/// The target of a run. Nothing is started yet.
pub(super) fn target(spec: &scenario::Kubernetes, input: &Input, places: &Places) -> Kubernetes {
    let nodes = input.plan.inventory.nodes().iter().map(|n| (n.id.clone(), n.zone.clone()));
    Kubernetes::new(kubernetes::Options {
        run: places.run.clone(),
        folder: places.folder.clone(),
        cluster: which(spec),
        selector: spec.selector.clone(),
        zone_label: spec.zone_label.clone(),
        container: None,
        places_are_taken: false,
        nodes: nodes.collect(),
        ports: spec.ports.clone(),
        ready_port: spec.ports.get("client").copied(),
        ready_timeout: std::time::Duration::from_secs(60),
        lease: input.scenario.lease.0,
        agent_image: spec.agent_image.clone(),
        pull_policy: "IfNotPresent".into(),
    })
}
