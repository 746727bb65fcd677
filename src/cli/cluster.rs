//! From what a scenario says of pods to the Kubernetes target.

use std::path::Path;

use super::assemble::Places;
use super::inputs::Input;
use crate::condition::Condition;
use crate::fault::Argv;
use crate::inventory::{Inventory, Node, NodeId};
use crate::plan;
use crate::scenario::{self, PodClients, PullPolicy, Scenario};
use crate::target::kubernetes::{
    self, AgentImage, Chosen, Clients, Commands, Kubernetes, Pair, Pods, Refused, Survey, Which,
};

/// A CronJob's name has 52 characters at most, `firedrill-` with them.
const OBJECT_NAME_MAX: usize = 42;

/// Who the nodes are that a scenario's pods make. Asks the cluster, changes nothing.
pub(super) fn survey(spec: &scenario::Kubernetes, file: &Path) -> Result<Survey, Refused> {
    let (which, pods) = (which(spec, file), pods(spec));
    let (clients, ports) = (clients(spec), spec.ports.values().copied().collect());
    runtime()?.block_on(kubernetes::survey(&which, &pods, clients, ports))
}

/// The nodes, without endpoints.
pub(super) fn inventory(survey: &Survey) -> Inventory {
    let node = |(id, zone): (NodeId, String)| Node { id, zone, endpoints: Default::default() };
    Inventory::new(survey.nodes().map(node).collect())
}

/// Asks the cluster whether it allows what this scenario takes, whatever chance draws. What a plan says of it.
pub(super) fn ask(
    scenario: &Scenario,
    spec: &scenario::Kubernetes,
    survey: &Survey,
) -> Result<Vec<String>, Refused> {
    let image = spec.agent_image.as_ref().map(|name| AgentImage {
        name: name.clone(),
        pull_policy: pull_policy(spec).into(),
        lease: scenario.lease.0,
    });
    let faults = faults(scenario, survey);
    runtime()?.block_on(survey.ask(&faults, &object_name(&scenario.name), image.as_ref()))
}

/// What a scenario's faults may come to, each in words.
pub(super) fn faults(scenario: &Scenario, survey: &Survey) -> Vec<(String, Condition)> {
    let conceivable = plan::conceivable(scenario, &inventory(survey)).into_iter();
    conceivable.map(|c| (format!("{} (line {})", c.fault, c.line), c.condition)).collect()
}

/// What runs left in a scenario's cluster, given back. `lives`: whether a run still goes.
pub(super) fn sweep(
    spec: &scenario::Kubernetes,
    file: &Path,
    lives: &dyn Fn(&str) -> bool,
) -> Result<kubernetes::Swept, Refused> {
    runtime()?.block_on(kubernetes::sweep(&which(spec, file), lives))
}

fn runtime() -> Result<tokio::runtime::Runtime, Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Refused { why: format!("no runtime: {e}"), help: None })
}

/// What the cluster's objects of a scenario are called: lower case, letters, digits and `-`. Scenarios whose names this
/// would make one have others.
pub(super) fn object_name(scenario: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mut name: String = scenario.chars().map(plain).collect();
    if name != scenario || name.len() > OBJECT_NAME_MAX {
        let bytes = scenario.bytes();
        let hash = bytes
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        name.truncate(OBJECT_NAME_MAX - 9);
        name = format!("{}-{hash:08x}", name.trim_end_matches('-'));
    }
    format!("firedrill-{}", name.trim_matches('-'))
}

pub(super) fn which(spec: &scenario::Kubernetes, file: &Path) -> Which {
    let beside = file.parent().unwrap_or(Path::new(""));
    Which {
        kubeconfig: spec.kubeconfig.as_ref().map(|path| beside.join(path)),
        context: spec.context.clone(),
        namespace: spec.namespace.clone(),
    }
}

fn pods(spec: &scenario::Kubernetes) -> Pods {
    let chosen = match (&spec.statefulset, &spec.deployment, &spec.pods) {
        (Some(name), _, _) => Chosen::StatefulSet(name.value.clone()),
        (_, Some(name), _) => Chosen::Deployment(name.value.clone()),
        (_, _, Some(names)) => Chosen::Names(names.value.clone()),
        // Validation has seen to it that there is one then.
        _ => Chosen::Selector(spec.selector.as_deref().cloned().unwrap_or_default()),
    };
    Pods {
        chosen,
        container: spec.container.clone(),
        zone_label: spec.zone_label.clone(),
        zones: spec.zones.clone(),
    }
}

/// The target of a run. Nothing is started yet.
pub(super) fn target(spec: &scenario::Kubernetes, input: &Input, places: &Places) -> Kubernetes {
    let nodes = input.plan.inventory.nodes().iter().map(|n| (n.id.clone(), n.zone.clone()));
    Kubernetes::new(kubernetes::Options {
        run: places.run.clone(),
        folder: places.folder.clone(),
        cluster: which(spec, Path::new(&input.file)),
        pods: pods(spec),
        nodes: nodes.collect(),
        clients: clients(spec),
        ports: spec.ports.clone(),
        ready_port: spec.ports.get(&spec.ready.port.value).copied(),
        ready_timeout: spec.ready.timeout.0,
        lease: input.scenario.lease.0,
        agent_image: spec.agent_image.clone().unwrap_or_default(),
        pull_policy: pull_policy(spec).into(),
        foreseen: plan::conceivable(&input.scenario, &input.plan.inventory)
            .into_iter()
            .map(|conceivable| conceivable.condition)
            .collect(),
        commands: Commands {
            off: spec.node_commands.off.as_ref().map(pair),
            cut: spec.node_commands.cut.as_ref().map(pair),
        },
        guard: Some(super::own_binary()),
    })
}

fn pair((inject, heal): &(Argv, Argv)) -> Pair {
    Pair { inject: inject.to_vec(), heal: heal.to_vec() }
}

fn clients(spec: &scenario::Kubernetes) -> Clients {
    match spec.clients {
        PodClients::Auto => Clients::Auto,
        PodClients::Direct => Clients::Direct,
        PodClients::PortForward => Clients::Forward,
    }
}

/// When a machine pulls the scenario's images, as the cluster has it.
pub(super) fn pull_policy(spec: &scenario::Kubernetes) -> &'static str {
    match spec.image_pull_policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_names_that_the_cluster_takes_and_that_tell_scenarios_apart() {
        assert_eq!(object_name("leader-lost"), "firedrill-leader-lost");
        let long = "x".repeat(100);
        let names = ["Leader.Lost", "leader.lost", "leader_lost", "_", &long].map(object_name);
        for name in &names {
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.len() <= 52 && name.chars().all(fine) && !name.ends_with('-'), "{name}");
        }
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }
}
