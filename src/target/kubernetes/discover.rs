//! Which pods are the nodes, what they are called, and where they stand.

use std::collections::BTreeMap;

use kube::api::ListParams;
use kube::core::Selector;

use super::cluster::{Cluster, is_forbidden, words};
use super::objects::{Node, Pod};
use super::pod::{State, main_container, state};
use super::refused::Refused;
use super::rights;
use crate::inventory::NodeId;

/// How many objects come in one answer.
const PAGE: u32 = 500;
/// Where a node stands when nobody says where.
const ZONE: &str = "default";
/// What runs the cluster itself is never drilled.
const SYSTEM: &str = "kube-system";

/// Where a pod finds the namespace that it runs in.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The role that allows finding them, and nothing else.
const DISCOVERY: &str = "firedrill-discovery";

/// How the nodes are told from other pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// By this label selector.
    Selector(String),
    /// Those of the StatefulSet of this name.
    StatefulSet(String),
    /// Those of the Deployment of this name.
    Deployment(String),
    /// By their names.
    Names(Vec<String>),
}

/// Which pods are the nodes, and how their zones are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pods {
    /// Which pods they are.
    pub chosen: Chosen,
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
    /// Whether whoever takes the pod's place has another name.
    pub passing: bool,
    pub state: State,
}

/// The zones of machines, by their names.
pub(super) type Machines = BTreeMap<String, String>;

/// The nodes that there are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Discovered {
    /// In the order of their names.
    pub nodes: Vec<Found>,
    /// The zones of machines, where they had to be asked for.
    pub machines: Option<Machines>,
    /// What all their pods match, and those that take their places. Empty: every pod of the namespace does.
    pub selector: String,
}

/// Looks who is there: one list of pods, and one of machines where zones are known of nothing else.
pub(super) async fn find(cluster: &Cluster, which: &Pods) -> Result<Discovered, Refused> {
    let namespace = cluster.namespace();
    if namespace == SYSTEM {
        let why = format!("namespace {SYSTEM} runs the cluster itself, and is never drilled");
        return Err(Refused::because(why));
    }
    let lacking = |what: &str, e: &kube::Error| lacks(which, namespace, what, e);
    let selector =
        selector(cluster, &which.chosen).await.map_err(|(what, e)| lacking(&what, &e))?;
    let own = own_pod(namespace);
    let pods = listed(cluster, &selector, |pod| {
        is_there(pod) && !is_ours(pod, own.as_deref()) && is_chosen(&which.chosen, pod)
    });
    let pods = pods.await.map_err(|e| lacking("its pods", &e))?;
    if let Some(why) = absent(&which.chosen, &pods, namespace, own.as_deref()) {
        return Err(Refused::because(why));
    }
    let named = named(&pods, &which.chosen);
    let unplaced = |(name, pod): &(String, &Pod)| {
        !which.zones.contains_key(name) && label(pod, &which.zone_label).is_none()
    };
    let machines = match named.iter().any(unplaced) {
        true => {
            let zones = zones_of_machines(cluster, &which.zone_label).await;
            Some(zones.map_err(|e| lacking("the zones of machines", &e))?)
        }
        false => None,
    };
    let zones = machines.clone().unwrap_or_default();
    let nodes = places(which, named, &zones)?;
    Ok(Discovered { nodes, machines, selector })
}

/// The nodes, each in its zone.
fn places(
    which: &Pods,
    named: Vec<(String, &Pod)>,
    machines: &Machines,
) -> Result<Vec<Found>, Refused> {
    let found = named.into_iter().map(|(name, pod)| {
        if main_container(pod, which.container.as_deref()).is_none() {
            let wanted = which.container.as_deref().unwrap_or_default();
            return Err(Refused::because(format!("pod {name} has no container `{wanted}`")));
        }
        let state = state(pod, which.container.as_deref());
        let of_machine = || machines.get(&state.machine).cloned();
        let zone = which.zones.get(&name).cloned();
        let zone = zone.or_else(|| label(pod, &which.zone_label)).or_else(of_machine);
        let zone = zone.unwrap_or_else(|| ZONE.into());
        Ok(Found { node: NodeId::new(name), zone, passing: deployment(pod).is_some(), state })
    });
    found.collect()
}

/// What the chosen pods match: a controller's is asked of it. Fails with what was asked for, and why there is none.
async fn selector(cluster: &Cluster, chosen: &Chosen) -> Result<String, (String, kube::Error)> {
    let (what, selector) = match chosen {
        Chosen::Selector(selector) => return Ok(selector.clone()),
        Chosen::Names(_) => return Ok(String::new()),
        Chosen::StatefulSet(name) => {
            let found = cluster.stateful_sets().get(name).await;
            (format!("StatefulSet {name}"), found.map(|set| set.spec.map(|spec| spec.selector)))
        }
        Chosen::Deployment(name) => {
            let found = cluster.deployments().get(name).await;
            (format!("Deployment {name}"), found.map(|own| own.spec.map(|spec| spec.selector)))
        }
    };
    match selector {
        // The cluster itself never keeps one that cannot be read.
        Ok(found) => {
            Ok(Selector::try_from(found.unwrap_or_default()).unwrap_or_default().to_string())
        }
        Err(e) => Err((what, e)),
    }
}

async fn listed(
    cluster: &Cluster,
    selector: &str,
    wanted: impl Fn(&Pod) -> bool,
) -> Result<Vec<Pod>, kube::Error> {
    let (pods, mut all) = (cluster.pods(), vec![]);
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    loop {
        let page = pods.list(&params).await?;
        all.extend(page.items.into_iter().filter(&wanted));
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

/// The pod that firedrill itself runs in, if it is one of this namespace.
fn own_pod(namespace: &str) -> Option<String> {
    let own = std::fs::read_to_string(OWN_NAMESPACE).ok()?;
    if own.trim() != namespace {
        return None;
    }
    std::env::var("HOSTNAME").ok()
}

/// Whether it is the runner's own pod, or one that firedrill made.
fn is_ours(pod: &Pod, own: Option<&str>) -> bool {
    let named = pod.metadata.name.as_deref();
    label(pod, crate::control::RUN_LABEL).is_some() || named.is_some() && named == own
}

fn is_chosen(chosen: &Chosen, pod: &Pod) -> bool {
    match chosen {
        Chosen::Selector(_) => true,
        Chosen::StatefulSet(name) => {
            let mut owners = pod.metadata.owner_references.iter().flatten();
            owners.any(|owner| owner.kind == "StatefulSet" && owner.name == *name)
        }
        Chosen::Deployment(name) => deployment(pod).as_ref() == Some(name),
        Chosen::Names(names) => pod.metadata.name.as_ref().is_some_and(|n| names.contains(n)),
    }
}

/// Who should be there and is not, in words.
fn absent(chosen: &Chosen, found: &[Pod], namespace: &str, own: Option<&str>) -> Option<String> {
    if let Chosen::Names(names) = chosen {
        let is = |name: &String| found.iter().any(|pod| pod.metadata.name.as_ref() == Some(name));
        let missing = names.iter().find(|name| !is(name))?;
        return Some(match own == Some(missing) {
            true => format!("pod {missing} is the one that firedrill runs in: it is never drilled"),
            false => format!("no pod of namespace {namespace} that lives is called `{missing}`"),
        });
    }
    let what = match chosen {
        Chosen::Selector(selector) => format!("has the labels `{selector}`"),
        Chosen::StatefulSet(name) => format!("belongs to StatefulSet {name}"),
        Chosen::Deployment(name) => format!("belongs to Deployment {name}"),
        Chosen::Names(_) => return None,
    };
    found.is_empty().then(|| format!("no pod in namespace {namespace} {what}"))
}

async fn zones_of_machines(cluster: &Cluster, zone_label: &str) -> Result<Machines, kube::Error> {
    let machines = cluster.machines().list(&ListParams::default()).await?;
    let zone = |labels: Option<BTreeMap<String, String>>| labels?.remove(zone_label);
    let of = |m: Node| Some((m.metadata.name?, zone(m.metadata.labels)?));
    Ok(machines.into_iter().filter_map(of).collect())
}

/// Why something cannot be found; where that is for want of a right, the role that has it.
fn lacks(which: &Pods, namespace: &str, what: &str, e: &kube::Error) -> Refused {
    let why = format!("{what}: {}", words(e));
    if !is_forbidden(e) {
        return Refused::because(why);
    }
    let zones = what.contains("zones");
    let otherwise = match zones {
        true => "label the pods with their zones (`zone_label`), name them in `zones`, or ",
        false => "",
    };
    let roles = rights::roles(&rights::discovery(&which.chosen, zones), DISCOVERY, namespace);
    Refused::for_want(why, format!("{otherwise}add what finds the nodes:\n{roles}"))
}

pub(super) fn label(pod: &Pod, name: &str) -> Option<String> {
    pod.metadata.labels.as_ref()?.get(name).cloned()
}

/// What the nodes are called, in the order of their names: a pod whose controller gives it a name for good by that
/// name, one of a Deployment by the Deployment's name and a number, since whoever takes its place has another name.
/// What the scenario calls by its name is called so.
fn named<'a>(pods: &'a [Pod], chosen: &Chosen) -> Vec<(String, &'a Pod)> {
    let by_name = matches!(chosen, Chosen::Names(_));
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    let mut sorted: Vec<&Pod> = pods.iter().collect();
    sorted.sort_by_key(|pod| name(pod));
    let mut named: Vec<(String, &Pod)> = sorted
        .into_iter()
        .map(|pod| match deployment(pod).filter(|_| !by_name) {
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
        let called = |chosen: &Chosen| -> Vec<String> {
            named(&pods, chosen).into_iter().map(|(name, _)| name).collect()
        };
        let by_name = called(&Chosen::Names(vec![]));
        assert_eq!(by_name, ["etcd-1", "lone", "web-7d9f-aa", "web-7d9f-zz"]);
        let named = named(&pods, &Chosen::Selector(String::new()));
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

    #[test]
    fn pods_are_chosen_by_whose_they_are_and_by_name() {
        let member = pod("etcd-1", Some(("StatefulSet", "etcd")));
        let web = pod("web-7d9f-aa", Some(("ReplicaSet", "web-7d9f")));
        let of = |chosen: Chosen| [&member, &web].map(|pod| is_chosen(&chosen, pod));
        assert_eq!(of(Chosen::Selector("a=b".into())), [true, true]);
        assert_eq!(of(Chosen::StatefulSet("etcd".into())), [true, false]);
        assert_eq!(of(Chosen::StatefulSet("web".into())), [false, false]);
        assert_eq!(of(Chosen::Deployment("web".into())), [false, true]);
        assert_eq!(of(Chosen::Deployment("web-7d9f".into())), [false, false]);
        assert_eq!(of(Chosen::Names(vec!["etcd-1".into()])), [true, false]);
    }

    #[test]
    fn who_is_not_there_is_told() {
        let names = Chosen::Names(["a", "b"].map(String::from).to_vec());
        let there = [pod("a", None)];
        let told = |chosen: &Chosen, found: &[Pod], own| absent(chosen, found, "db", own);
        assert_eq!(told(&names, &[pod("b", None), pod("a", None)], None), None);
        let missing = told(&names, &there, None).unwrap();
        assert!(missing.contains("`b`") && missing.contains("namespace db"), "{missing}");
        assert!(told(&names, &there, Some("b")).unwrap().contains("firedrill runs in"));
        assert_eq!(told(&Chosen::Deployment("web".into()), &there, None), None);
        let nobody = told(&Chosen::Deployment("web".into()), &[], None).unwrap();
        assert_eq!(nobody, "no pod in namespace db belongs to Deployment web");
    }

    #[test]
    fn the_runner_and_what_it_made_are_no_nodes() {
        let mut own = pod("drill-1", None);
        assert!(is_ours(&own, Some("drill-1")) && !is_ours(&own, Some("drill-2")));
        assert!(!is_ours(&own, None));
        own.metadata.labels = Some([(crate::control::RUN_LABEL.into(), "r".into())].into());
        assert!(is_ours(&own, None));
    }

    #[test]
    fn zones_are_the_maps_or_the_pods_or_their_machines() {
        let mut pods = ["a", "b", "c", "d"].map(|name| pod(name, None));
        for (pod, machine) in pods.iter_mut().zip(["m1", "m1", "m1", "m2"]) {
            pod.spec =
                serde_json::from_value(json!({"nodeName": machine, "containers": [{"name": "x"}]}))
                    .unwrap();
        }
        pods[1].metadata.labels.as_mut().unwrap().insert("zone".into(), "of-pod".into());
        let which = Pods {
            chosen: Chosen::Selector("a=b".into()),
            container: None,
            zone_label: "zone".into(),
            zones: [("a".into(), "of-map".into())].into(),
        };
        let machines = [("m1".to_string(), "of-machine".to_string())].into();
        let found = places(&which, named(&pods, &which.chosen), &machines).unwrap();
        let zones: Vec<&str> = found.iter().map(|found| found.zone.as_str()).collect();
        assert_eq!(zones, ["of-map", "of-pod", "of-machine", ZONE]);
        let which = Pods { container: Some("y".into()), ..which };
        let why = places(&which, named(&pods, &which.chosen), &machines).unwrap_err().why;
        assert!(why.contains("no container `y`"), "{why}");
    }
}
