//! What the cluster says of one pod, as far as a drill needs it. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::objects::{ContainerState, ContainerStatus, Pod};

/// What the cluster says of a node's pod now. The default: there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The pod's name and which of that name.
    pub pod: String,
    pub uid: String,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// The machine that it stands on; empty, while it stands on none.
    pub machine: String,
    pub addresses: BTreeSet<IpAddr>,
    /// It shares its machine's network: what is done to it is done to the machine.
    pub host_network: bool,
    /// Its containers see each other's processes.
    pub shares_processes: bool,
    /// Whether something brings another one in its place.
    pub controlled: bool,
    /// The cluster's own verdict: it serves.
    pub ready: bool,
    /// The container that is the node's process.
    pub container: Container,
    /// The agents in it, by the names of their containers.
    pub helpers: Vec<(String, Helper)>,
}

/// What the cluster says of the container that is the node's process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Container {
    pub name: String,
    /// Which one it is: another id is another process.
    pub id: String,
    pub running: bool,
    pub restarts: i32,
    /// How it ended, or why it does not run, in words.
    pub why: String,
}

/// What the cluster says of an agent's container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Helper {
    pub running: bool,
    /// How it ended, if it did.
    pub ended: Option<String>,
}

/// The agent's container of this name.
pub(super) fn helper<'a>(state: &'a State, name: &str) -> Option<&'a Helper> {
    state.helpers.iter().find(|(own, _)| own == name).map(|(_, helper)| helper)
}

/// Why a pod would not come back once it is deleted, if it would not.
pub(super) fn never_returns(state: &State) -> Option<String> {
    let pod = &state.pod;
    (!state.controlled).then(|| {
        format!(
            "pod {pod} has no controller (StatefulSet, Deployment), so that nothing would bring it \
             back once it is deleted"
        )
    })
}

/// Why nothing may be done to a pod's network, if nothing may.
pub(super) fn is_the_machines(state: &State) -> Option<String> {
    state.host_network.then(|| {
        "its pod shares its machine's network (`hostNetwork`), so that cutting it off would cut \
         off the machine; give it a network of its own"
            .to_string()
    })
}

/// What the cluster calls the container that a person means who names none (kubectl, "default container").
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The container of a pod that is the node's process: the one that is named, else the one that the pod names, else its
/// first.
pub(super) fn main_container(pod: &Pod, named: Option<&str>) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let annotated = || pod.metadata.annotations.as_ref()?.get(DEFAULT_CONTAINER).cloned();
    let there = |name: &String| spec.containers.iter().any(|c| c.name == *name);
    match named {
        Some(name) => Some(name.to_string()).filter(there),
        None => annotated().filter(there).or_else(|| Some(spec.containers.first()?.name.clone())),
    }
}

/// What the cluster says of this pod. `container`: the one that is the node's process, where the scenario names it.
pub(super) fn state(pod: &Pod, container: Option<&str>) -> State {
    let (spec, status) =
        (pod.spec.clone().unwrap_or_default(), pod.status.clone().unwrap_or_default());
    let name = main_container(pod, container).unwrap_or_default();
    let statuses = status.container_statuses.unwrap_or_default();
    let own = statuses.iter().find(|status| status.name == name);
    let ips = status.pod_ips.unwrap_or_default().into_iter().map(|ip| ip.ip);
    let conditions = status.conditions.unwrap_or_default();
    let helpers = status.ephemeral_container_statuses.unwrap_or_default();
    let owners = pod.metadata.owner_references.iter().flatten();
    State {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        machine: spec.node_name.unwrap_or_default(),
        addresses: ips.filter_map(|ip| ip.parse().ok()).collect(),
        host_network: spec.host_network.unwrap_or_default(),
        shares_processes: spec.share_process_namespace.unwrap_or_default(),
        controlled: owners.into_iter().any(|owner| owner.controller == Some(true)),
        ready: conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
        container: own.map(|own| of_container(&name, own)).unwrap_or_else(|| Container {
            name,
            why: "it has not been started".into(),
            ..Container::default()
        }),
        helpers: helpers.iter().map(|own| (own.name.clone(), of_helper(own))).collect(),
    }
}

fn of_container(name: &str, status: &ContainerStatus) -> Container {
    let state = status.state.clone().unwrap_or_default();
    Container {
        name: name.to_string(),
        id: status.container_id.clone().unwrap_or_default(),
        running: state.running.is_some(),
        restarts: status.restart_count,
        why: why(&state).or_else(|| why(&status.last_state.clone()?)).unwrap_or_default(),
    }
}

fn of_helper(status: &ContainerStatus) -> Helper {
    let state = status.state.clone().unwrap_or_default();
    let running = state.running.is_some();
    Helper { running, ended: state.terminated.is_some().then(|| why(&state).unwrap_or_default()) }
}

/// How a container ended, or what it waits for.
fn why(state: &ContainerState) -> Option<String> {
    if let Some(ended) = &state.terminated {
        let said = ended.message.as_deref().map(str::trim).filter(|said| !said.is_empty());
        let code = match (ended.exit_code, ended.signal) {
            (_, Some(signal)) if signal > 0 => format!("ended by signal {signal}"),
            (137, _) => "ended by signal 9".to_string(),
            (code, _) => format!("ended with exit code {code}"),
        };
        let reason = ended.reason.as_deref().filter(|r| !matches!(*r, "Error" | "Completed"));
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        return Some(match said {
            Some(said) => format!("{code}{reason}: {said}"),
            None => format!("{code}{reason}"),
        });
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    Some(match waiting.message.as_deref() {
        Some(message) => format!("waits: {reason}: {message}"),
        None => format!("waits: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "etcd-1", "uid": "u1", "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "etcd", "uid": "s", "controller": true}
            ]},
            "spec": {"nodeName": "m2", "containers": [{"name": "proxy"}, {"name": "etcd"}]},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_that_runs_says_where_and_what() {
        let status = json!({
            "podIPs": [{"ip": "10.1.0.7"}, {"ip": "fd00::7"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "etcd", "image": "", "imageID": "", "ready": true, "restartCount": 2,
                 "containerID": "containerd://abc", "state": {"running": {}},
                 "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
            ],
            "ephemeralContainerStatuses": [
                {"name": "firedrill-1", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": {"terminated": {"exitCode": 1, "reason": "Error", "message": "cannot claim\n"}}},
            ],
        });
        let state = state(&pod(status), Some("etcd"));
        assert!(state.ready && state.controlled && !state.leaving && !state.host_network);
        assert_eq!((state.machine.as_str(), state.addresses.len()), ("m2", 2));
        assert!(state.container.running && state.container.restarts == 2);
        assert_eq!(state.container.why, "ended by signal 9 (OOMKilled)");
        let helper = helper(&state, "firedrill-1").unwrap();
        assert_eq!(helper.ended.as_deref(), Some("ended with exit code 1: cannot claim"));
    }

    #[test]
    fn a_pod_that_does_not_run_says_why() {
        let waits = json!({"containerStatuses": [
            {"name": "proxy", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}},
        ]});
        let state = state(&pod(waits), None);
        assert_eq!(state.container.name, "proxy");
        assert_eq!(state.container.why, "waits: CrashLoopBackOff: back-off 10s");
        assert!(!state.container.running);
        assert_eq!(super::state(&pod(json!({})), None).container.why, "it has not been started");
    }

    #[test]
    fn the_nodes_container_is_the_one_that_is_named() {
        let mut pod = pod(json!({}));
        assert_eq!(main_container(&pod, None).as_deref(), Some("proxy"));
        assert_eq!(main_container(&pod, Some("etcd")).as_deref(), Some("etcd"));
        assert_eq!(main_container(&pod, Some("nobody")), None);
        let named = [(DEFAULT_CONTAINER.to_string(), "etcd".to_string())];
        pod.metadata.annotations = Some(named.into());
        assert_eq!(main_container(&pod, None).as_deref(), Some("etcd"));
    }
}
