//! What earlier runs left at an engine, found by its labels: also where the run's folder is gone.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::ListContainersOptionsBuilder;

use super::discover::PROJECT;
use super::engine::{self, is_absent, is_so_already, words};
use super::restore::removal;
use crate::control::RUN_LABEL;

/// How the projects that firedrill brings up begin.
pub const PROJECT_PREFIX: &str = "firedrill-";

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Helper containers that had ended and stood about, by their run. They are removed.
    pub removed: BTreeMap<String, usize>,
    /// Helper containers that run, by their run: they end with their lease if nobody speaks to them.
    pub running: BTreeMap<String, usize>,
    /// Compose projects of firedrill's, with how many containers they have.
    pub projects: BTreeMap<String, usize>,
}

/// Looks, and removes the helpers that have ended. `None`: no engine answers here. Blocks.
pub fn sweep() -> Option<Result<Leftover, String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let api = engine::connect(None).await.ok()?;
        Some(look(&api).await)
    })
}

async fn look(api: &bollard::Docker) -> Result<Leftover, String> {
    let mut leftover = Leftover::default();
    for label in [RUN_LABEL, PROJECT] {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for container in api.list_containers(Some(options)).await.map_err(|e| words(&e))? {
            let name = container.labels.unwrap_or_default().remove(label).unwrap_or_default();
            let running = container.state.is_some_and(|state| {
                use bollard::models::ContainerSummaryStateEnum as S;
                matches!(state, S::RUNNING | S::CREATED | S::PAUSED | S::RESTARTING)
            });
            if label == PROJECT {
                if name.starts_with(PROJECT_PREFIX) {
                    *leftover.projects.entry(name).or_default() += 1;
                }
            } else if running {
                *leftover.running.entry(name).or_default() += 1;
            } else {
                let id = container.id.unwrap_or_default();
                match api.remove_container(&id, Some(removal())).await {
                    Ok(()) => *leftover.removed.entry(name).or_default() += 1,
                    Err(e) if is_absent(&e) || is_so_already(&e) => {}
                    Err(e) => return Err(words(&e)),
                }
            }
        }
    }
    Ok(leftover)
}
