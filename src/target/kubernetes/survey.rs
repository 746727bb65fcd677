//! What the cluster is asked while planning: who the nodes are, and whether it allows what a drill of them takes.
//! Changes nothing.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use kube::api::PostParams;

use super::admission::{self, AgentImage};
use super::cluster::{self, Cluster, Which, words};
use super::discover::{self, Discovered, Found, Pods};
use super::forward::{self, Clients};
use super::objects::{Asked, Attributes, SelfSubjectAccessReview};
use super::pod::{is_the_machines, never_returns};
use super::refused::Refused;
use super::rights::{self, Need, roles};
use super::{ends, is_wired, joins_processes, within};
use crate::condition::{Condition, Peer};
use crate::inventory::NodeId;
use crate::target::TargetError;

/// So many questions are asked at once.
const AT_ONCE: usize = 16;

/// What was found of the nodes.
#[derive(Debug, Clone)]
pub struct Survey {
    which: Which,
    pods: Pods,
    found: Vec<Found>,
    machines: bool,
    release: u32,
    /// Whether clients reach the nodes over the API server.
    forwarded: bool,
}

/// Looks who the nodes are.
pub async fn survey(
    which: &Which,
    pods: &Pods,
    clients: Clients,
    ports: Vec<u16>,
) -> Result<Survey, Refused> {
    let cluster = cluster::connect(which).await?;
    let Discovered { nodes, machines, .. } = discover::find(&cluster, pods).await?;
    let forwarded = super::is_forwarded(clients, &nodes, &ports).await;
    Ok(Survey {
        which: which.clone(),
        pods: pods.clone(),
        found: nodes,
        machines: machines.is_some(),
        forwarded,
        release: cluster.release,
    })
}

impl Survey {
    /// The nodes that will be drilled, and where they stand.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, String)> + '_ {
        self.found.iter().map(|found| (found.node.clone(), found.zone.clone()))
    }

    /// Why a node cannot suffer what it is to suffer, by what its pod is; with its name.
    pub fn cannot_suffer(&self, foreseen: &BTreeMap<NodeId, Condition>) -> Option<Refused> {
        // A link is measured from both its ends, so an agent stands in every pod.
        let wired = foreseen.values().any(is_wired);
        self.found.iter().find_map(|found| {
            let own = foreseen.get(&found.node);
            let of_host = wired.then(|| is_the_machines(&found.state)).flatten();
            let gone = own.filter(|c| ends(c)).and_then(|_| never_returns(&found.state));
            let cut = own.filter(|c| self.forwarded && c.links.names(&Peer::Clients));
            let cut = cut.map(|_| {
                "clients reach it over the API server, and are within the pod by then: they cannot \
                 be cut off from it; run where its address answers, or in the cluster"
                    .to_string()
            });
            let why = of_host.or(gone).or(cut)?;
            Some(TargetError::Node { node: found.node.clone(), why }.into())
        })
    }

    /// All that a drill of these faults must be allowed. `faults`: each in words, and what it may come to.
    pub fn needs(&self, faults: &[(String, Condition)]) -> Vec<Need> {
        let passing = self.found.iter().any(|found| found.passing);
        let names = self.found.iter().map(|found| found.state.pod.clone());
        rights::needs(&rights::Known {
            chosen: &self.pods.chosen,
            names: (!passing).then(|| names.collect()),
            machines: self.machines,
            forwarded: self.forwarded,
            release: self.release,
            faults,
        })
    }

    /// Asks whether all of it is allowed. What is not, and can be done without, is told in words. `role`: what the role
    /// is called that would allow it; `image`: of what the agents are made, where any are needed.
    pub async fn ask(
        &self,
        faults: &[(String, Condition)],
        role: &str,
        image: Option<&AgentImage>,
    ) -> Result<Vec<String>, Refused> {
        let cluster = cluster::connect(&self.which).await?;
        let (namespace, needs) = (&self.which.namespace, self.needs(faults));
        let (without, missing): (Vec<Need>, Vec<Need>) =
            missing(&cluster, &needs).await?.into_iter().partition(|need| need.optional);
        if !missing.is_empty() {
            let missing: Vec<String> = missing.iter().map(|need| need.told(namespace)).collect();
            let why = format!(
                "this drill needs what the cluster does not allow:\n    {}",
                missing.join("\n    ")
            );
            let help = format!(
                "a role that allows all it needs, to be bound to whoever firedrill is there (or \
                 see `firedrill manifests rbac`):\n{}",
                roles(&needs, role, namespace)
            );
            return Err(Refused::for_want(why, help));
        }
        let wired = faults.iter().any(|(_, condition)| is_wired(condition));
        let joining = faults.iter().map(|(_, condition)| condition).filter(|c| joins_processes(c));
        let within = joining.map(within::capabilities).max_by_key(|all| all.len());
        if let (Some(image), Some(first), true) =
            (image, self.found.first(), wired || within.is_some())
        {
            let (pods, pod) = (cluster.pods(), &first.state);
            let refusal = admission::refusal(&pods, namespace, pod, image, wired, within).await;
            if let Some(refused) = refusal {
                return Err(refused);
            }
        }
        let mut told = told(&needs, &without, namespace);
        told.extend(self.forwarded.then(|| forward::WARNING.to_string()));
        Ok(told)
    }
}

/// What a plan says of its rights.
fn told(needs: &[Need], without: &[Need], namespace: &str) -> Vec<String> {
    let of = |cluster: bool| {
        let needs = needs.iter().filter(|need| !need.optional && need.of_cluster == cluster);
        needs.map(Need::done).collect::<Vec<_>>().join(", ")
    };
    let mut line = format!("needed in namespace {namespace}, and allowed: {}", of(false));
    if needs.iter().any(|need| need.of_cluster) {
        line += &format!("; in the cluster: {}", of(true));
    }
    let mut lines = vec![line];
    if !without.is_empty() {
        let without: Vec<String> =
            without.iter().map(|need| format!("{} ({})", need.done(), need.why)).collect();
        lines.push(format!("done without, for it is not allowed: {}", without.join(", ")));
    }
    lines
}

/// What is not allowed of this; of what is allowed for some names only, the others.
pub(super) async fn missing(cluster: &Cluster, needs: &[Need]) -> Result<Vec<Need>, Refused> {
    let asked = stream::iter(needs.iter().cloned()).map(|need| async move {
        if is_allowed(cluster, &need, None).await? {
            return Ok(None);
        }
        let mut lacking = vec![];
        for name in &need.names {
            if !is_allowed(cluster, &need, Some(name)).await? {
                lacking.push(name.clone());
            }
        }
        let all = need.names.is_empty() || !lacking.is_empty();
        Ok::<_, Refused>(all.then_some(Need { names: lacking, ..need }))
    });
    let asked: Vec<Option<Need>> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(asked.into_iter().flatten().collect())
}

async fn is_allowed(cluster: &Cluster, need: &Need, name: Option<&str>) -> Result<bool, Refused> {
    let namespace = if need.of_cluster { "" } else { cluster.namespace() };
    let attributes = Attributes {
        group: need.group.into(),
        name: name.unwrap_or_default().into(),
        namespace: namespace.into(),
        resource: need.resource.into(),
        subresource: need.part.into(),
        verb: need.verb.into(),
    };
    let review = SelfSubjectAccessReview {
        api_version: "authorization.k8s.io/v1".into(),
        kind: "SelfSubjectAccessReview".into(),
        spec: Asked { resource_attributes: attributes },
        ..SelfSubjectAccessReview::default()
    };
    let answer = cluster.reviews().create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|e| {
        Refused::because(format!("whether it is allowed to {}: {}", need.done(), words(&e)))
    })?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
