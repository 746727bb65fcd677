//! Which containers are the nodes, what they are called, and where they stand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::Docker as Api;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};

use super::compose::Service;
use super::engine::words;
use crate::inventory::NodeId;
use crate::target::TargetError;

/// Compose's labels.
pub(super) const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
/// Where a node stands when nobody says where.
const ZONE: &str = "default";

/// How the nodes are told from other containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The containers of a Compose project; of these services, where any are named.
    Project {
        /// Its name.
        project: String,
        /// Its services that are nodes. Empty: all.
        services: Vec<String>,
    },
    /// The containers with all these labels (`key` or `key=value`).
    Labels(Vec<String>),
    /// The containers of these names.
    Names(Vec<String>),
}

/// How the nodes' zones are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones {
    /// By this label of the container, ...
    pub label: Option<String>,
    /// ... unless the node is named here.
    pub of: BTreeMap<String, String>,
}

impl Zones {
    fn of(&self, node: &str, labels: &HashMap<String, String>) -> Result<String, TargetError> {
        if let Some(zone) = self.of.get(node) {
            return Ok(zone.clone());
        }
        match &self.label {
            None => Ok(ZONE.into()),
            Some(label) => labels.get(label).cloned().ok_or_else(|| {
                TargetError::Other(format!(
                    "node {node} has no label `{label}`, which should name its zone; give it one, \
                     or name its zone in `zones`"
                ))
            }),
        }
    }
}

/// A container that is a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub node: NodeId,
    pub zone: String,
    pub state: State,
}

/// What the engine says of a container now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The container's id and its name.
    pub container: String,
    pub name: String,
    pub running: bool,
    /// It ended, and the engine is about to start it again.
    pub restarting: bool,
    pub paused: bool,
    /// `None`: it has no health check.
    pub healthy: Option<bool>,
    pub pid: i64,
    pub exit_code: i64,
    pub addresses: BTreeSet<IpAddr>,
    /// The host's own addresses on its networks: where clients on this host come from.
    pub gateways: BTreeSet<IpAddr>,
    /// Its address stays over restarts.
    pub fixed: bool,
    /// Ports of the host that lead to its own: own -> host.
    pub published: BTreeMap<u16, String>,
    /// It shares the host's network: what is done to it is done to the host.
    pub host_network: bool,
}

/// The nodes that a Compose file will have.
pub(super) fn planned(
    services: &[Service],
    wanted: &[String],
    zones: &Zones,
) -> Result<Vec<(NodeId, String)>, TargetError> {
    if let Some(unknown) = wanted.iter().find(|name| !services.iter().any(|s| s.name == **name)) {
        let known: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
        return Err(TargetError::Other(format!(
            "there is no service `{unknown}` in the Compose file; there are {}",
            known.join(", ")
        )));
    }
    let mut nodes = vec![];
    for service in services.iter().filter(|s| wanted.is_empty() || wanted.contains(&s.name)) {
        for number in 1..=service.containers {
            let name = name(&service.name, number, service.containers);
            let labels = service.labels.clone().into_iter().collect();
            let zone = zones.of(&name, &labels)?;
            nodes.push((NodeId::new(name), zone));
        }
    }
    Ok(nodes)
}

fn name(service: &str, number: u32, of: u32) -> String {
    if of == 1 { service.to_string() } else { format!("{service}-{number}") }
}

/// The nodes that there are now, in the order of their names.
pub(super) async fn find(
    api: &Api,
    which: &Which,
    zones: &Zones,
) -> Result<Vec<Found>, TargetError> {
    let labels = match which {
        Which::Project { project, .. } => vec![format!("{PROJECT}={project}")],
        Which::Labels(labels) => labels.clone(),
        Which::Names(_) => vec![],
    };
    let filters = HashMap::from([("label", labels.iter().map(String::as_str).collect())]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = api.list_containers(Some(options)).await;
    let listed = listed.map_err(|e| TargetError::Other(format!("containers: {}", words(&e))))?;
    let mut rows = vec![];
    for container in listed {
        let labels = container.labels.unwrap_or_default();
        let names = container.names.unwrap_or_default();
        let own = names.first().map(|n| n.trim_start_matches('/').to_string()).unwrap_or_default();
        if labels.contains_key(crate::control::RUN_LABEL) || !is_wanted(which, &labels, &own) {
            continue;
        }
        rows.push((container.id.unwrap_or_default(), own, labels));
    }
    let mut sizes: HashMap<String, u32> = HashMap::new();
    for (_, _, labels) in &rows {
        *sizes.entry(labels.get(SERVICE).cloned().unwrap_or_default()).or_default() += 1;
    }
    let mut found = vec![];
    for (id, own, labels) in rows {
        let node = match (which, labels.get(SERVICE)) {
            (Which::Project { .. }, Some(service)) => {
                let number = labels.get(NUMBER).and_then(|n| n.parse().ok()).unwrap_or(1);
                name(service, number, sizes.get(service).copied().unwrap_or(1))
            }
            _ => own,
        };
        let zone = zones.of(&node, &labels)?;
        found.push(Found { node: NodeId::new(node), zone, state: inspect(api, &id).await? });
    }
    found.sort_by(|a, b| a.node.cmp(&b.node));
    if let Which::Names(names) = which
        && let Some(missing) = names.iter().find(|n| !found.iter().any(|f| f.node.as_str() == **n))
    {
        return Err(TargetError::Other(format!("there is no container `{missing}`")));
    }
    Ok(found)
}

fn is_wanted(which: &Which, labels: &HashMap<String, String>, own: &str) -> bool {
    match which {
        Which::Labels(_) => true,
        Which::Names(names) => names.iter().any(|n| n == own),
        Which::Project { services, .. } => {
            let service = labels.get(SERVICE);
            services.is_empty() || service.is_some_and(|s| services.contains(s))
        }
    }
}

/// What the engine says of one container.
pub(super) async fn inspect(api: &Api, container: &str) -> Result<State, TargetError> {
    let inspected = api.inspect_container(container, None::<InspectContainerOptions>).await;
    let inspected = inspected.map_err(|e| TargetError::Other(words(&e)))?;
    Ok(state(inspected))
}

fn state(inspected: ContainerInspectResponse) -> State {
    let state = inspected.state.unwrap_or_default();
    let host = inspected.host_config.unwrap_or_default();
    let settings = inspected.network_settings.unwrap_or_default();
    let networks = settings.networks.unwrap_or_default();
    let address = |text: &Option<String>| text.as_deref().and_then(|t| t.parse::<IpAddr>().ok());
    let (mut addresses, mut gateways, mut fixed) = (BTreeSet::new(), BTreeSet::new(), false);
    for network in networks.values() {
        addresses.extend(address(&network.ip_address));
        addresses.extend(address(&network.global_ipv6_address));
        gateways.extend(address(&network.gateway));
        gateways.extend(address(&network.ipv6_gateway));
        let asked = network.ipam_config.as_ref();
        fixed |= asked.and_then(|a| a.ipv4_address.as_deref()).is_some_and(|a| !a.is_empty());
    }
    let mut published = BTreeMap::new();
    for (own, bindings) in host.port_bindings.unwrap_or_default() {
        let port = own.split('/').next().and_then(|p| p.parse::<u16>().ok());
        let to = bindings.unwrap_or_default().into_iter().find_map(|b| b.host_port);
        if let (Some(port), Some(to)) = (port, to.filter(|to| !to.is_empty())) {
            published.insert(port, to);
        }
    }
    let health = state.health.and_then(|h| h.status);
    State {
        container: inspected.id.unwrap_or_default(),
        name: inspected.name.unwrap_or_default().trim_start_matches('/').to_string(),
        restarting: state.status == Some(ContainerStateStatusEnum::RESTARTING),
        running: state.running.unwrap_or_default()
            && state.status != Some(ContainerStateStatusEnum::RESTARTING),
        paused: state.paused.unwrap_or_default(),
        healthy: match health {
            None | Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) => None,
            Some(status) => Some(status == HealthStatusEnum::HEALTHY),
        },
        pid: state.pid.unwrap_or_default(),
        exit_code: state.exit_code.unwrap_or_default(),
        addresses,
        gateways,
        fixed,
        published,
        host_network: host.network_mode.as_deref() == Some("host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, containers: u32, dc: &str) -> Service {
        let labels = BTreeMap::from([("dc".to_string(), dc.to_string())]);
        Service { name: name.into(), containers, labels }
    }

    #[test]
    fn a_service_is_a_node_and_a_scaled_one_is_several() {
        let services =
            [service("db", 2, "dc1"), service("queue", 1, "dc2"), service("web", 1, "x")];
        let zones = Zones { label: Some("dc".into()), of: [("db-2".into(), "dc3".into())].into() };
        let wanted = ["db", "queue"].map(String::from);
        let nodes = planned(&services, &wanted, &zones).unwrap();
        let shown: Vec<String> = nodes.iter().map(|(n, z)| format!("{n} {z}")).collect();
        assert_eq!(shown, ["db-1 dc1", "db-2 dc3", "queue dc2"]);
    }

    #[test]
    fn a_missing_service_and_a_missing_zone_are_told_with_what_there_is() {
        let services = [service("db", 1, "dc1")];
        let unknown =
            planned(&services, &["bd".into()], &Zones::default()).unwrap_err().to_string();
        assert!(unknown.contains("`bd`") && unknown.contains("there are db"), "{unknown}");
        let zones = Zones { label: Some("zone".into()), ..Zones::default() };
        let missing = planned(&services, &[], &zones).unwrap_err().to_string();
        assert!(missing.contains("label `zone`"), "{missing}");
        assert_eq!(planned(&services, &[], &Zones::default()).unwrap()[0].1, "default");
    }
}
