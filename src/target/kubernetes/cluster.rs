//! Minimal until the other comes.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::config::KubeConfigOptions;
use kube::runtime::watcher;
use kube::{Api, Client, Config};

use crate::target::TargetError;

/// Which cluster.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// kubeconfig
    pub kubeconfig: Option<std::path::PathBuf>,
    /// context
    pub context: Option<String>,
    /// namespace
    pub namespace: String,
}

/// A connection.
#[derive(Clone)]
pub(super) struct Cluster {
    pub client: Client,
    pub namespace: String,
}

impl Cluster {
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    pub fn events(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

pub(super) async fn connect(which: &Which) -> Result<Cluster, TargetError> {
    let failed = |e: &dyn std::fmt::Display| TargetError::Other(format!("no cluster: {e}"));
    let options = KubeConfigOptions { context: which.context.clone(), ..Default::default() };
    let config = match &which.kubeconfig {
        Some(path) => {
            let read = kube::config::Kubeconfig::read_from(path).map_err(|e| failed(&e))?;
            Config::from_custom_kubeconfig(read, &options).await.map_err(|e| failed(&e))?
        }
        None => Config::from_kubeconfig(&options).await.map_err(|e| failed(&e))?,
    };
    let client = Client::try_from(config).map_err(|e| failed(&e))?;
    Ok(Cluster { client, namespace: which.namespace.clone() })
}

pub(super) fn words(e: &kube::Error) -> String {
    match e {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

pub(super) fn watch_words(e: &watcher::Error) -> String {
    e.to_string()
}

pub(super) fn is_absent(e: &kube::Error) -> bool {
    matches!(e, kube::Error::Api(status) if status.code == 404)
}
