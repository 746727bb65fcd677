//! The cluster: found as kubectl finds it (a kubeconfig file, a context of it), or from within; and what its API server
//! says, in words.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::api::DynamicObject;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::objects::{
    Deployment, EndpointSlice, Event, Node, Pod, SelfSubjectAccessReview, ServiceAccount,
    StatefulSet,
};
use crate::target::TargetError;

/// How long an API server may take to answer at first.
const ANSWER: Duration = Duration::from_secs(10);

/// Which cluster, and where in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// The kubeconfig file, where it is not the one that the environment names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of it, where it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The namespace. No other one is ever read.
    pub namespace: String,
}

impl Which {
    /// The same cluster, for somebody who stands elsewhere and later: the environment may name another one by then, and
    /// the file another context.
    pub(super) fn pinned(&self) -> Which {
        let named = std::env::var_os("KUBECONFIG").map(PathBuf::from);
        let one = named.filter(|path| !path.to_string_lossy().contains(':'));
        let path = self.kubeconfig.clone().or(one);
        let path = path.map(|path| std::path::absolute(&path).unwrap_or(path));
        let read = match &path {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let current = read.ok().and_then(|config| config.current_context);
        let context = self.context.clone().or(current);
        Which { kubeconfig: path, context, namespace: self.namespace.clone() }
    }
}

/// A connection to a cluster, and to one of its namespaces.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    /// The same, and it takes a refusal for an answer: the other asks again where the server says "too many".
    once: Client,
    namespace: String,
    /// Which release its API server is of: 1.N; 0 where it does not say.
    pub release: u32,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Cluster {
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    /// For evictions: that a disruption budget refuses one is what a drill wants to know.
    pub fn evictions(&self) -> Api<Pod> {
        Api::namespaced(self.once.clone(), &self.namespace)
    }
    pub fn events(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    pub fn endpoint_slices(&self) -> Api<EndpointSlice> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    pub fn stateful_sets(&self) -> Api<StatefulSet> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    pub fn jobs(&self) -> Api<DynamicObject> {
        self.unread("batch/v1", "Job", "jobs")
    }
    pub fn config_maps(&self) -> Api<DynamicObject> {
        self.unread("v1", "ConfigMap", "configmaps")
    }
    /// Objects that are made and removed, and of which nothing is read.
    fn unread(&self, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let (group, release) = version.split_once('/').unwrap_or(("", version));
        let of = ApiResource {
            group: group.into(),
            version: release.into(),
            api_version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &of)
    }
    pub fn accounts(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    pub fn reviews(&self) -> Api<SelfSubjectAccessReview> {
        Api::all(self.client.clone())
    }
    pub fn machines(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }
}

/// Connects, and hears that somebody answers.
pub(super) async fn connect(which: &Which) -> Result<Cluster, TargetError> {
    let options = KubeConfigOptions { context: which.context.clone(), ..Default::default() };
    let config = match &which.kubeconfig {
        Some(path) => from_file(path, &options).await.map_err(|why| no_cluster(&why))?,
        None => match Config::from_kubeconfig(&options).await {
            Ok(config) => config,
            // What was asked for by name is not replaced by something else.
            Err(why) if which.context.is_some() || std::env::var_os("KUBECONFIG").is_some() => {
                return Err(no_cluster(&chain(&why)));
            }
            // Without a file it may be that this runs in a pod.
            Err(why) => Config::incluster().map_err(|_| no_cluster(&why.to_string()))?,
        },
    };
    let server = config.cluster_url.to_string();
    let mut once = config.clone();
    once.default_retry = false;
    let of = |config| Client::try_from(config).map_err(|e| no_cluster(&words(&e)));
    let (client, once) = (of(config)?, of(once)?);
    let namespace = which.namespace.clone();
    match timeout(ANSWER, client.apiserver_version()).await {
        Ok(Ok(info)) => Ok(Cluster { client, once, namespace, release: number(&info.minor) }),
        // It answers, and keeps its release to itself.
        Ok(Err(e)) if is_forbidden(&e) => Ok(Cluster { client, once, namespace, release: 0 }),
        Ok(Err(e)) => Err(no_cluster(&format!("{server} says: {}", words(&e)))),
        Err(_) => Err(no_cluster(&format!("{server} does not answer within {ANSWER:?}"))),
    }
}

/// A release as it is told: `34`, and elsewhere `34+`.
fn number(minor: &str) -> u32 {
    minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default()
}

async fn from_file(path: &Path, options: &KubeConfigOptions) -> Result<Config, String> {
    let file = Kubeconfig::read_from(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let config = Config::from_custom_kubeconfig(file, options).await;
    config.map_err(|e| format!("{}: {e}", path.display()))
}

fn no_cluster(why: &str) -> TargetError {
    TargetError::Other(format!(
        "no Kubernetes cluster to drill: {why}; say where it is with KUBECONFIG, `kubeconfig` and \
         `context`"
    ))
}

/// What went wrong, in a fragment of a sentence: what the API server says where it says something.
pub(super) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => chain(other),
    }
}

/// What went wrong with a watch.
pub(super) fn watch_words(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(e)
        | watcher::Error::WatchStartFailed(e)
        | watcher::Error::WatchFailed(e) => words(e),
        other => chain(other),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = deeper.source();
    }
    text
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Whether the API server says that the thing is not there, or is another one by now.
pub(super) fn is_absent(error: &kube::Error) -> bool {
    matches!(code(error), Some(404 | 409))
}

/// Whether the API server says that there is no such thing.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    code(error) == Some(404)
}

/// Whether the API server says that it is asked too often, or that a disruption budget does not allow it.
pub(super) fn is_refused(error: &kube::Error) -> bool {
    code(error) == Some(429)
}

/// Whether the API server says that this is not allowed.
pub(super) fn is_forbidden(error: &kube::Error) -> bool {
    code(error) == Some(403)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_may_have_more_behind_its_number() {
        assert_eq!(["35", "34+", "", "x"].map(number), [35, 34, 0, 0]);
    }
}
