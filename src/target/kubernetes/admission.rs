//! Whether the cluster would let an agent join a pod: asked by dry runs, which change nothing.

use std::time::Duration;

use kube::Api;
use kube::api::PatchParams;

use super::agent::{PREFIX, Place};
use super::cluster::{is_forbidden, words};
use super::member::OF_NETWORK;
use super::objects::Pod;
use super::pod::State;
use super::refused::Refused;

/// Of what an agent is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentImage {
    /// Its image.
    pub name: String,
    /// When a machine pulls it: Always, IfNotPresent or Never.
    pub pull_policy: String,
    /// How long an agent holds what it was told without hearing from the runner.
    pub lease: Duration,
}

/// Asks for an agent of each kind that is needed in this pod, and takes none. `within`: the capabilities of one among
/// its processes, if one is needed.
pub(super) async fn refusal(
    pods: &Api<Pod>,
    namespace: &str,
    pod: &State,
    image: &AgentImage,
    of_network: bool,
    within: Option<&'static [&'static str]>,
) -> Option<Refused> {
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let kinds = [(of_network.then_some(OF_NETWORK), None), (within, Some(()))];
    let kinds = kinds.into_iter().filter_map(|(capabilities, joins)| Some((capabilities?, joins)));
    for (capabilities, joins) in kinds {
        let place = Place {
            run: "planning".into(),
            image: image.name.clone(),
            pull_policy: image.pull_policy.clone(),
            lease: image.lease,
            pod: pod.pod.clone(),
            uid: pod.uid.clone(),
            command: "agent",
            capabilities,
            joins: joins.map(|()| pod.container.name.clone()),
        };
        let patch = place.patch(format!("{PREFIX}planning"));
        // Whatever else goes wrong (a pod that left meanwhile, a webhook that takes no dry runs) the drill will tell.
        match pods.patch_ephemeral_containers(&pod.pod, &params, &patch).await {
            Err(e) if is_forbidden(&e) => return Some(explained(&words(&e), namespace)),
            Ok(_) | Err(_) => {}
        }
    }
    None
}

fn explained(said: &str, namespace: &str) -> Refused {
    let why = format!("the cluster does not let an agent join its pods: {said}");
    let help = match said.contains("PodSecurity") {
        true => format!(
            "an agent needs capabilities that Pod Security withholds there: `kubectl label \
             namespace {namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`, or \
             exempt whoever firedrill is in the cluster from it (`exemptions.usernames`)"
        ),
        false => "an admission controller of the cluster's says so: let it admit ephemeral \
                  containers of the agent's image"
            .to_string(),
    };
    Refused::for_want(why, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_explained_by_who_refused() {
        let pod_security = "pods \"etcd-0\" is forbidden: violates PodSecurity \"baseline:latest\"";
        let refused = explained(pod_security, "db");
        assert!(refused.why.ends_with(pod_security), "{refused:?}");
        assert!(refused.help.unwrap().contains("namespace db pod-security.kubernetes.io/enforce"));
        let other = explained("admission webhook \"x\" denied the request", "db").help.unwrap();
        assert!(!other.contains("Pod Security") && other.contains("admission"), "{other}");
    }
}
