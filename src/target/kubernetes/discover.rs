//! Minimal until the other comes.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use std::collections::BTreeMap;

use super::cluster::{Cluster, words};
use super::pod::{State, state};
use crate::inventory::NodeId;
use crate::target::TargetError;

/// A pod that is a node.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub node: NodeId,
    pub zone: String,
    pub state: State,
}

pub(super) async fn find(
    cluster: &Cluster,
    selector: &str,
    zone_label: &str,
    container: Option<&str>,
) -> Result<(Vec<Found>, BTreeMap<String, String>), TargetError> {
    let failed = |e: kube::Error| TargetError::Other(words(&e));
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let zones: BTreeMap<String, String> = nodes
        .list(&ListParams::default())
        .await
        .map_err(failed)?
        .into_iter()
        .filter_map(|n| Some((n.metadata.name?, n.metadata.labels?.get(zone_label)?.clone())))
        .collect();
    let pods =
        cluster.pods().list(&ListParams::default().labels(selector)).await.map_err(failed)?;
    let found = pods.into_iter().map(|pod| {
        let state = state(&pod, container);
        let zone = zones.get(&state.machine).cloned().unwrap_or_else(|| "default".into());
        Found { node: NodeId::new(&state.pod), zone, state }
    });
    Ok((found.collect(), zones))
}
