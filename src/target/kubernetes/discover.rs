//! Which pods are the nodes, what they are called, and where they stand.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use super::cluster::{Cluster, is_forbidden, words};
use super::pod::{State, main_container, state};
use crate::inventory::NodeId;
use crate::target::TargetError;

/// How many objects come in one answer.
const PAGE: u32 = 500;
/// Where a node stands when nobody says where.
const ZONE: &str = "default";
/// What runs the cluster itself is never drilled.
const SYSTEM: &str = "kube-system";

/// Which pods are the nodes, and how their zones are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pods {
    /// Their label selector.
    pub selector: String,
    /// The container that is the node's process, where it is not the pod's first.
    pub container: Option<String>,
    /// The label, of the pod or else of its machine, that names a zone, ...
    pub zone_label: String,
    /// ... unless the node is named here.
    pub zones: BTreeMap<String, String>,
}

/// A pod that is a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub node: NodeId,
    pub zone: String,
    pub state: State,
}

/// The zones of machines, by their names.
pub(super) type Machines = BTreeMap<String, String>;

/// The nodes that there are now, in the order of their names, and the zones of machines where they were asked for.
pub(super) async fn find(
    cluster: &Cluster,
    namespace: &str,
    which: &Pods,
) -> Result<(Vec<Found>, Machines), TargetError> {
    if namespace == SYSTEM {
        return Err(TargetError::Other(format!(
            "namespace {SYSTEM} runs the cluster itself, and is never drilled"
        )));
    }
    let pods = listed(cluster, which).await?;
    let named = named(&pods);
    let unplaced = |(name, pod): &(String, &Pod)| {
        !which.zones.contains_key(name) && label(pod, &which.zone_label).is_none()
    };
    let machines = match named.iter().any(unplaced) {
        true => zones_of_machines(cluster, &which.zone_label).await?,
        false => Machines::new(),
    };
    let found = named.into_iter().map(|(name, pod)| {
        if main_container(pod, which.container.as_deref()).is_none() {
            let wanted = which.container.as_deref().unwrap_or_default();
            return Err(TargetError::Other(format!("pod {name} has no container `{wanted}`")));
        }
        let state = state(pod, which.container.as_deref());
        let of_machine = || machines.get(&state.machine).cloned();
        let zone = which.zones.get(&name).cloned();
        let zone = zone.or_else(|| label(pod, &which.zone_label)).or_else(of_machine);
        Ok(Found { node: NodeId::new(name), zone: zone.unwrap_or_else(|| ZONE.into()), state })
    });
    let found: Vec<Found> = found.collect::<Result<_, _>>()?;
    match found.is_empty() {
        true => Err(TargetError::Other(format!(
            "no pod in namespace {namespace} has the labels `{}`",
            which.selector
        ))),
        false => Ok((found, machines)),
    }
}

async fn listed(cluster: &Cluster, which: &Pods) -> Result<Vec<Pod>, TargetError> {
    let (pods, mut all) = (cluster.pods(), vec![]);
    let mut params = ListParams::default().labels(&which.selector).limit(PAGE);
    loop {
        let page = pods.list(&params).await;
        let page = page.map_err(|e| TargetError::Other(format!("its pods: {}", words(&e))))?;
        all.extend(page.items.into_iter().filter(is_there));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

/// Whether a pod lives and stays.
fn is_there(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

async fn zones_of_machines(cluster: &Cluster, zone_label: &str) -> Result<Machines, TargetError> {
    let machines = cluster.machines().list(&ListParams::default()).await.map_err(|e| {
        let hint = match is_forbidden(&e) {
            true => {
                ": label the pods with their zones (`zone_label`), name them in `zones`, or let \
                 machines (`nodes`) be listed"
            }
            false => "",
        };
        TargetError::Other(format!("the zones of machines: {}{hint}", words(&e)))
    })?;
    let zone = |labels: Option<BTreeMap<String, String>>| labels?.remove(zone_label);
    let of =
        |m: k8s_openapi::api::core::v1::Node| Some((m.metadata.name?, zone(m.metadata.labels)?));
    Ok(machines.into_iter().filter_map(of).collect())
}

fn label(pod: &Pod, name: &str) -> Option<String> {
    pod.metadata.labels.as_ref()?.get(name).cloned()
}

/// What the nodes are called, in the order of their names: a pod whose controller gives it a name for good by that
/// name, one of a Deployment by the Deployment's name and a number, since whoever takes its place has another name.
pub(super) fn named(pods: &[Pod]) -> Vec<(String, &Pod)> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    let mut sorted: Vec<&Pod> = pods.iter().collect();
    sorted.sort_by_key(|pod| name(pod));
    let mut named: Vec<(String, &Pod)> = sorted
        .into_iter()
        .map(|pod| match deployment(pod) {
            Some(deployment) => {
                let count = counts.entry(deployment.clone()).or_default();
                *count += 1;
                (format!("{deployment}-{count}"), pod)
            }
            None => (name(pod), pod),
        })
        .collect();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    named
}

/// The Deployment that a pod belongs to: its ReplicaSet is called so, with the hash of the pod's template behind.
pub(super) fn deployment(pod: &Pod) -> Option<String> {
    let hash = label(pod, "pod-template-hash")?;
    let owners = pod.metadata.owner_references.iter().flatten();
    let set = owners.into_iter().find(|owner| owner.kind == "ReplicaSet")?;
    Some(set.name.strip_suffix(&format!("-{hash}")).unwrap_or(&set.name).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, owner: Option<(&str, &str)>) -> Pod {
        let owner = owner.map(|(kind, name)| {
            json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true}])
        });
        serde_json::from_value(json!({"metadata": {
            "name": name, "ownerReferences": owner.unwrap_or(json!([])), "labels": {"pod-template-hash": "7d9f"},
        }}))
        .unwrap()
    }

    #[test]
    fn nodes_have_names_that_outlive_their_pods() {
        let pods = [
            pod("web-7d9f-zz", Some(("ReplicaSet", "web-7d9f"))),
            pod("etcd-1", Some(("StatefulSet", "etcd"))),
            pod("web-7d9f-aa", Some(("ReplicaSet", "web-7d9f"))),
            pod("lone", None),
        ];
        let named = named(&pods);
        let named: Vec<(&str, &str)> = named
            .iter()
            .map(|(name, pod)| (name.as_str(), pod.metadata.name.as_deref().unwrap()))
            .collect();
        assert_eq!(
            named,
            [
                ("etcd-1", "etcd-1"),
                ("lone", "lone"),
                ("web-1", "web-7d9f-aa"),
                ("web-2", "web-7d9f-zz")
            ]
        );
    }

    #[test]
    fn pods_that_go_or_are_done_are_no_nodes() {
        let mut going = pod("a", None);
        assert!(is_there(&going));
        let phase: Pod = serde_json::from_value(json!({"status": {"phase": "Succeeded"}})).unwrap();
        assert!(!is_there(&phase));
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(!is_there(&going));
    }
}
