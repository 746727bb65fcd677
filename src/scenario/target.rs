//! The system under drill, as the scenario tells it. What a target does with it lives in `target/`.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use super::node_commands::NodeCommands;
use super::placeholders::{Template, Variable};
use crate::fault::At;
use crate::inventory::{Inventory, Node, NodeId};
use crate::quantity::Span;
use crate::store::Bug;

/// The system under drill, and where it lives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Processes on this machine: the embedded store, or any command.
    Local(Local),
    /// Containers of a Docker engine.
    Docker(Docker),
    /// Pods of a Kubernetes cluster.
    Kubernetes(Kubernetes),
}

/// A kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// Processes on this machine.
    Local,
    /// Containers of a Docker engine.
    Docker,
    /// Pods of a Kubernetes cluster.
    Kubernetes,
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            TargetKind::Local => "local",
            TargetKind::Docker => "docker",
            TargetKind::Kubernetes => "kubernetes",
        })
    }
}

impl Target {
    /// Which kind it is.
    pub fn kind(&self) -> TargetKind {
        match self {
            Target::Local(_) => TargetKind::Local,
            Target::Docker(_) => TargetKind::Docker,
            Target::Kubernetes(_) => TargetKind::Kubernetes,
        }
    }
}

/// Processes on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Local {
    /// How many nodes each zone has; they are called n1, n2, ... in the order of the zones' names. At most
    /// 50 in all. Default: {dc1: 2, dc2: 2, dc3: 1}, where no `nodes` are given.
    pub zones: Option<At<BTreeMap<String, u32>>>,
    /// The nodes by name, each with its zone: {n1: dc1, n2: dc2}. In place of `zones`.
    pub nodes: Option<At<BTreeMap<String, String>>>,
    /// The program that is a node, and its arguments. Default: the embedded store.
    pub command: Option<Vec<At<Template>>>,
    /// The ports that a node listens on. Default: [client, peer].
    pub ports: At<Vec<String>>,
    /// How one peer is told to another; `{peers}` is this for every node, joined by commas.
    /// Default: "{name}={address.peer}".
    pub peers: At<Template>,
    /// Environment variables of each node.
    pub env: BTreeMap<String, At<Template>>,
    /// Bugs to switch on in the embedded store, to see a check catch them.
    pub bugs: At<Vec<Bug>>,
    /// When a node counts as started.
    pub ready: Ready,
    /// How long a node may take to end by itself before it is killed. Default: 5s.
    #[serde(deserialize_with = "bounds::some_time")]
    pub stop_timeout: Span,
}

/// When a node counts as started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// It has failed to start after this long. Default: 20s.
    #[serde(deserialize_with = "bounds::some_time")]
    pub timeout: Span,
    /// The port that must accept connections. Default: client.
    pub port: At<String>,
}

impl Default for Ready {
    fn default() -> Self {
        Ready { timeout: Span::secs(20), port: At::nowhere("client".into()) }
    }
}

impl Default for Local {
    fn default() -> Self {
        let address = Variable::Address { port: "peer".into() };
        let peers = Template::of(Variable::Name, "=", address);
        Local {
            zones: None,
            nodes: None,
            command: None,
            ports: At::nowhere(vec!["client".into(), "peer".into()]),
            peers: At::nowhere(peers),
            env: BTreeMap::new(),
            bugs: At::nowhere(vec![]),
            ready: Ready::default(),
            stop_timeout: Span::secs(5),
        }
    }
}

/// The most nodes that are run on one machine.
pub const LOCAL_NODES_MAX: usize = 50;

impl Local {
    /// The nodes that there will be, without endpoints.
    pub fn inventory(&self) -> Inventory {
        let node = |name: &str, zone: &str| Node {
            id: NodeId::new(name),
            zone: zone.to_string(),
            endpoints: BTreeMap::new(),
        };
        if let Some(nodes) = &self.nodes {
            return Inventory::new(nodes.iter().map(|(name, zone)| node(name, zone)).collect());
        }
        let default = [("dc1", 2), ("dc2", 2), ("dc3", 1)];
        let zones: Vec<(&str, u32)> = match &self.zones {
            Some(zones) => zones.iter().map(|(name, count)| (name.as_str(), *count)).collect(),
            None => default.to_vec(),
        };
        let places = zones
            .into_iter()
            .flat_map(|(zone, count)| (0..count).map(move |_| zone))
            .take(LOCAL_NODES_MAX);
        Inventory::new(
            places
                .enumerate()
                .map(|(place, zone)| node(&format!("n{}", place + 1), zone))
                .collect(),
        )
    }
}

/// Containers of a Docker engine. Exactly one of compose, project, selector, containers says which.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Docker {
    /// A Compose file, from the scenario's folder: brought up for the drill under a name of its own, and taken
    /// down after it.
    pub compose: Option<At<String>>,
    /// Leave the project of `compose` there after the drill. Default: false.
    pub keep: bool,
    /// A Compose project that runs already, by its name.
    pub project: Option<At<String>>,
    /// Containers that run already, by their labels: [app=etcd, tier].
    pub selector: Option<At<Vec<String>>>,
    /// Containers that run already, by their names.
    pub containers: Option<At<Vec<String>>>,
    /// The services of the Compose project whose containers are the nodes. Default: all.
    pub services: Vec<String>,
    /// The label of a container that names its zone. Default: all nodes stand in one zone.
    pub zone_label: Option<String>,
    /// The nodes' zones, where no label tells them: {n1: dc1, n2: dc2}.
    pub zones: BTreeMap<String, String>,
    /// The ports that clients are told, by name: {client: 2379}.
    pub ports: BTreeMap<String, u16>,
    /// When a node counts as started.
    pub ready: Ready,
    /// How long a node may take to end by itself before it is killed. Default: 10s.
    #[serde(deserialize_with = "bounds::some_time")]
    pub stop_timeout: Span,
    /// The engine, such as unix:///run/docker.sock or tcp://host:2376. Default: what DOCKER_HOST says, else the
    /// local socket.
    pub engine: Option<String>,
}

impl Default for Docker {
    fn default() -> Self {
        Docker {
            compose: None,
            keep: false,
            project: None,
            selector: None,
            containers: None,
            services: vec![],
            zone_label: None,
            zones: BTreeMap::new(),
            ports: BTreeMap::new(),
            ready: Ready { timeout: Span::secs(60), ..Ready::default() },
            stop_timeout: Span::secs(10),
            engine: None,
        }
    }
}

/// Pods of a Kubernetes cluster, which run already. Exactly one of selector, statefulset, deployment, pods says which.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// The namespace. Default: default.
    #[serde(default = "namespace_default")]
    pub namespace: String,
    /// The pods with these labels, such as app=etcd.
    pub selector: Option<At<String>>,
    /// The pods of the StatefulSet of this name.
    pub statefulset: Option<At<String>>,
    /// The pods of the Deployment of this name.
    pub deployment: Option<At<String>>,
    /// The pods of these names.
    pub pods: Option<At<Vec<String>>>,
    /// The kubeconfig file, from the scenario's folder. Default: what KUBECONFIG says, else ~/.kube/config, else that
    /// of the pod which firedrill runs in.
    pub kubeconfig: Option<String>,
    /// The context of the kubeconfig file. Default: its current one.
    pub context: Option<String>,
    /// The container that is the node's process. Default: the pod's default container, else its first.
    pub container: Option<String>,
    /// The label of a pod, or else of its machine, that names its zone. Default: topology.kubernetes.io/zone.
    #[serde(default = "zone_label_default")]
    pub zone_label: String,
    /// The nodes' zones, where no label tells them: {etcd-0: dc1, etcd-1: dc2}.
    #[serde(default)]
    pub zones: BTreeMap<String, String>,
    /// The ports that clients are told, by name: {client: 2379}.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// How clients reach the pods. Default: auto.
    #[serde(default)]
    pub clients: PodClients,
    /// When a node counts as started: beside what the cluster says, this port has to accept connections.
    #[serde(default = "ready_default")]
    pub ready: Ready,
    /// The agent's image, as the cluster's machines pull it; `firedrill image` makes it. Faults of the network, crashes
    /// and pauses need it.
    pub agent_image: Option<String>,
    /// What the cluster cannot do to its machines: machine-off, machine-cut, and datacenter-loss with its machines.
    #[serde(default)]
    pub node_commands: NodeCommands,
    /// When a machine pulls the agent's image. Default: IfNotPresent.
    #[serde(default)]
    pub image_pull_policy: PullPolicy,
}

/// How clients reach pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PodClients {
    /// Directly where their addresses answer from here; else by port-forward.
    #[default]
    Auto,
    /// By their addresses, from where firedrill runs: in the cluster, or where its network is routed.
    Direct,
    /// Over the API server, whose own failures are not the system's. Clients cannot be cut off then.
    PortForward,
}

/// When a machine pulls an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// Where it is not there.
    #[default]
    IfNotPresent,
    /// Never: it is there.
    Never,
}

fn ready_default() -> Ready {
    Ready { timeout: Span::secs(60), ..Ready::default() }
}

fn namespace_default() -> String {
    "default".into()
}

fn zone_label_default() -> String {
    "topology.kubernetes.io/zone".into()
}
