//! What runs left on a cluster's own objects of which nobody here has a note: found by their label, given back by their
//! annotation. Agents need no sweep: they end by themselves.

use kube::api::ListParams;

use super::cluster::{self, Cluster, Which, is_missing, words};
use super::controller::{self, Kind};
use super::machines;
use super::mark::{Asked, Mark};
use super::refused::Refused;
use crate::control::RUN_LABEL;

/// What was found of runs that are over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Whose it was, and what became of it.
    pub restored: Vec<(String, String)>,
    /// What could not be looked at or given back, and why.
    pub left: Vec<String>,
}

/// Gives back what runs hold there. `lives`: whether a run still goes, as far as that can be known here; what those
/// hold is left alone.
pub async fn sweep(which: &Which, lives: &dyn Fn(&str) -> bool) -> Result<Swept, Refused> {
    let cluster = cluster::connect(which).await?;
    let mut swept = Swept::default();
    for (what, found) in marked(&cluster).await {
        let found = match found {
            Ok(found) => found,
            Err(e) => {
                swept.left.push(format!("{what}: {}", words(&e)));
                continue;
            }
        };
        for (name, annotations) in found {
            let run = match Mark::whose(&annotations) {
                Ok(Some(run)) => run,
                Ok(None) => continue,
                Err(why) => {
                    swept.left.push(format!("{name}: {why}"));
                    continue;
                }
            };
            if lives(&run) {
                continue;
            }
            let (given, told) = match what {
                Object::Machine => {
                    let nothing = Asked::default();
                    let given = machines::set(&cluster.machines(), &name, &run, &nothing).await;
                    (given, format!("gave machine {name} back"))
                }
                Object::Controller(kind) => {
                    let given = controller::scale(&cluster, kind, &name, &run, None).await;
                    (given, format!("scaled {name} back"))
                }
            };
            match given {
                Ok(true) => swept.restored.push((run, told)),
                Ok(false) => {}
                Err(why) => swept.left.push(format!("{run}: {why}")),
            }
        }
    }
    Ok(swept)
}

/// What can be marked.
#[derive(Debug, Clone, Copy)]
enum Object {
    Machine,
    Controller(Kind),
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Object::Machine => "machines",
            Object::Controller(kind) => kind.plural(),
        })
    }
}

type Annotations = std::collections::BTreeMap<String, String>;
type Listed = Result<Vec<(String, Annotations)>, kube::Error>;

/// The objects with the label, kind by kind.
async fn marked(cluster: &Cluster) -> Vec<(Object, Listed)> {
    async fn of<K>(api: kube::Api<K>) -> Listed
    where
        K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        match api.list(&ListParams::default().labels(RUN_LABEL)).await {
            Ok(found) => {
                let each = found.into_iter().filter_map(|mut object| {
                    let metadata = std::mem::take(object.meta_mut());
                    Some((metadata.name?, metadata.annotations.unwrap_or_default()))
                });
                Ok(each.collect())
            }
            Err(e) if is_missing(&e) => Ok(vec![]),
            Err(e) => Err(e),
        }
    }
    vec![
        (Object::Machine, of(cluster.machines()).await),
        (Object::Controller(Kind::StatefulSet), of(cluster.stateful_sets()).await),
        (Object::Controller(Kind::Deployment), of(cluster.deployments()).await),
    ]
}
