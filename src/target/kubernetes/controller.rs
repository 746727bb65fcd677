//! What keeps pods at their places: a StatefulSet or a Deployment, scaled and rolled out.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, is_absent, is_missing, words};
use super::discover::Chosen;
use super::mark;
use super::objects::{Deployment, StatefulSet};

/// How often a patch is made anew because somebody else changed the object meanwhile.
pub(super) const TRIES: u32 = 5;
/// How often a rollout is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(500);
/// What `kubectl rollout restart` writes into the pods' template.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// What kind of controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A StatefulSet.
    StatefulSet,
    /// A Deployment.
    Deployment,
}

impl Kind {
    /// As roles and kubectl have it.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::StatefulSet => "statefulsets",
            Kind::Deployment => "deployments",
        }
    }
}

/// The controller that was asked for by its name.
pub(super) fn named(chosen: &Chosen) -> Option<(Kind, String)> {
    match chosen {
        Chosen::StatefulSet(name) => Some((Kind::StatefulSet, name.clone())),
        Chosen::Deployment(name) => Some((Kind::Deployment, name.clone())),
        Chosen::Selector(_) | Chosen::Names(_) => None,
    }
}

/// How a controller stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Standing {
    /// How many pods it is to keep.
    pub replicas: i32,
    /// How many it has made of its newest kind, ...
    pub updated: i32,
    /// ... and how many it has in all that serve.
    pub ready: i32,
    /// Whether it has seen the last change, ...
    pub seen: bool,
    /// ... and is through with it.
    pub done: bool,
    metadata: ObjectMeta,
}

/// How it stands.
pub(super) async fn standing(
    cluster: &Cluster,
    kind: Kind,
    name: &str,
) -> Result<Standing, kube::Error> {
    Ok(match kind {
        Kind::StatefulSet => of_set(cluster.stateful_sets().get(name).await?),
        Kind::Deployment => of_deployment(cluster.deployments().get(name).await?),
    })
}

fn of_set(set: StatefulSet) -> Standing {
    let status = set.status.unwrap_or_default();
    let replicas = set.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let seen = status.observed_generation >= set.metadata.generation;
    let (updated, ready) =
        (status.updated_replicas.unwrap_or_default(), status.ready_replicas.unwrap_or_default());
    let one_kind = status.current_revision == status.update_revision;
    let done = seen && one_kind && ready >= replicas && status.replicas == Some(replicas);
    Standing { replicas, updated, ready, seen, done, metadata: set.metadata }
}

fn of_deployment(own: Deployment) -> Standing {
    let status = own.status.unwrap_or_default();
    let replicas = own.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let seen = status.observed_generation >= own.metadata.generation;
    let count = |n: Option<i32>| n.unwrap_or_default();
    let (updated, ready) = (count(status.updated_replicas), count(status.ready_replicas));
    let all = count(status.replicas);
    let done = seen && updated >= replicas && ready >= replicas && all == replicas;
    Standing { replicas, updated, ready, seen, done, metadata: own.metadata }
}

async fn patch(cluster: &Cluster, kind: Kind, name: &str, patch: Value) -> Result<(), kube::Error> {
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    async fn put<K>(
        api: Api<K>,
        name: &str,
        params: &PatchParams,
        patch: &Patch<Value>,
    ) -> Result<(), kube::Error>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        api.patch(name, params, patch).await.map(drop)
    }
    match kind {
        Kind::StatefulSet => put(cluster.stateful_sets(), name, &params, &patch).await,
        Kind::Deployment => put(cluster.deployments(), name, &params, &patch).await,
    }
}

/// Lets it keep so many pods, or as many as before. Whether anything had to be changed. One that is gone is left so.
pub(super) async fn scale(
    cluster: &Cluster,
    kind: Kind,
    name: &str,
    run: &str,
    to: Option<u32>,
) -> Result<bool, String> {
    let to = to.map(|to| i32::try_from(to).unwrap_or(i32::MAX));
    for _ in 0..TRIES {
        let now = match standing(cluster, kind, name).await {
            Ok(now) => now,
            Err(e) if is_missing(&e) && to.is_none() => return Ok(false),
            Err(e) => return Err(format!("{name}: {}", words(&e))),
        };
        let change = mark::of_controller(&now.metadata, now.replicas, run, to);
        let Some(change) = change.map_err(|why| format!("{name}: {why}"))? else {
            return Ok(false);
        };
        match patch(cluster, kind, name, change).await {
            Ok(()) => return Ok(true),
            Err(e) if is_absent(&e) => {}
            Err(e) => return Err(format!("{name}: {}", words(&e))),
        }
    }
    Err(format!("{name} is changed by somebody else all the time"))
}

/// Lets it make all its pods anew.
pub(super) async fn roll_out(cluster: &Cluster, kind: Kind, name: &str) -> Result<(), String> {
    let annotations = BTreeMap::from([(RESTARTED, humantime_now())]);
    let template = json!({"metadata": {"annotations": annotations}});
    let change = json!({"spec": {"template": template}});
    patch(cluster, kind, name, change).await.map_err(|e| format!("{name}: {}", words(&e)))
}

fn humantime_now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// Waits until it has made all its pods anew, and all serve.
pub(super) async fn rolled_out(
    cluster: &Cluster,
    kind: Kind,
    name: &str,
    patience: Duration,
) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let now = standing(cluster, kind, name).await;
        if now.as_ref().is_ok_and(|now| now.done) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(match now {
                Ok(now) => format!(
                    "{name}: the rollout is not over within {patience:?}: {} of {} are new, {} \
                     are ready",
                    now.updated, now.replicas, now.ready
                ),
                Err(e) => format!("{name}: {}", words(&e)),
            });
        }
        sleep(LOOK).await;
    }
}
