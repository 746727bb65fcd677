//! How what was done to machines and controllers is undone by somebody who has nothing but this note: the watchdog, or
//! `firedrill heal`. Each tolerates that it was never done, or is undone already.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::cluster::{self, Which};
use super::controller::{self, Kind};
use super::machines;
use super::mark::Asked;

/// How long it is looked for what a runner asked for with its last breath.
const UNDERWAY: Duration = Duration::from_secs(2);
/// How often.
const LOOK: Duration = Duration::from_millis(200);

/// What is to be restored, and in which cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The cluster.
    pub cluster: Which,
    /// The run that changed it.
    pub run: String,
    /// The runner's process: what it asked for with its last breath may come about only after it was looked for.
    pub runner: u32,
    /// What.
    pub what: What,
}

/// What is to be restored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A machine is open as it was, and has no more taints than it had.
    Machine(String),
    /// A controller keeps as many pods as it did.
    Replicas {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
}

impl Restore {
    /// What a person would type.
    pub fn by_hand(&self) -> String {
        let Which { kubeconfig, context, namespace } = &self.cluster;
        let mut kubectl = "kubectl".to_string();
        if let Some(path) = kubeconfig {
            kubectl += &format!(" --kubeconfig {}", path.display());
        }
        if let Some(context) = context {
            kubectl += &format!(" --context {context}");
        }
        match &self.what {
            What::Machine(name) => format!("{kubectl} uncordon {name}, and remove its taints"),
            What::Replicas { kind, name } => format!(
                "{kubectl} --namespace {namespace} scale {} {name} --replicas, to as many as its \
                 annotation says",
                kind.plural()
            ),
        }
    }

    /// Does it. `Ok(None)`: there was nothing to do. Blocks, for those who have no runtime.
    pub fn restore(&self) -> Result<Option<String>, String> {
        let own = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
            runtime.block_on(self.in_cluster())
        };
        // A thread of its own: the caller may stand in a runtime, which must not be blocked in.
        std::thread::scope(|scope| {
            scope.spawn(own).join().unwrap_or_else(|_| Err("the restoring thread broke".into()))
        })
    }

    async fn in_cluster(&self) -> Result<Option<String>, String> {
        let cluster = cluster::connect(&self.cluster).await.map_err(|e| e.to_string())?;
        // The runner itself has an answer to all that it asked.
        let own = self.runner == std::process::id();
        let (began, patience) = (Instant::now(), if own { Duration::ZERO } else { UNDERWAY });
        loop {
            let (changed, told) = match &self.what {
                What::Machine(name) => {
                    let (api, nothing) = (cluster.machines(), Asked::default());
                    let changed = machines::set(&api, name, &self.run, &nothing).await?;
                    (changed, format!("gave machine {name} back"))
                }
                What::Replicas { kind, name } => {
                    let changed = controller::scale(&cluster, *kind, name, &self.run, None).await?;
                    (changed, format!("scaled {name} back"))
                }
            };
            match changed {
                true => return Ok(Some(told)),
                false if began.elapsed() >= patience => return Ok(None),
                false => sleep(LOOK).await,
            }
        }
    }
}
