//! Three nodes in each place where nodes can live, and what the place itself tells of them, and lets others undo.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use firedrill::agent::process;
use firedrill::condition::{Condition, Life};
use firedrill::inventory::NodeId;
use firedrill::scenario::Template;
use firedrill::target::Target;
use firedrill::target::docker::{self, Docker, Zones};
use firedrill::target::kubernetes::{self, Chosen, Clients, Commands, Kubernetes, Pods};
use firedrill::target::local::{self, Local};

use crate::containers::{Nodes, docker as ask_docker, engine, try_docker};
use crate::lab::{Members, cluster, so};
use crate::runner::{Home, PATIENCE, eventually};

const LEASE: Duration = Duration::from_secs(5);

type Undo = Box<dyn Fn(&NodeId) + Send + Sync>;

/// Nodes, and who else can see and touch them.
pub struct Place {
    pub name: &'static str,
    pub target: Arc<dyn Target>,
    pub nodes: [NodeId; 3],
    /// Tells which process a node is: another one, another answer.
    pub which: Box<dyn Fn(&NodeId) -> String + Send + Sync>,
    /// Lets a paused node go on.
    pub goes_on: Option<Undo>,
    /// Takes away what cuts it off.
    pub is_joined: Option<Undo>,
    /// Nothing of the drill is there any more.
    pub nothing_left: Box<dyn Fn() + Send + Sync>,
}

fn run() -> String {
    format!("contract-{:08x}", rand::random::<u32>())
}

fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_firedrill").into()
}

fn zoned(nodes: &[NodeId; 3]) -> Vec<(NodeId, String)> {
    let zone = |(at, node): (usize, &NodeId)| (node.clone(), format!("dc{}", at + 1));
    nodes.iter().enumerate().map(zone).collect()
}

/// The embedded store as child processes.
pub fn process() -> Place {
    let home = Home::new();
    let (run, nodes) = (run(), ["n1", "n2", "n3"].map(NodeId::new));
    let words = "store --name {name} --listen-client {listen.client} --listen-peer {listen.peer} --member {peers} \
                 --data {data}";
    let command = [Template::literal(binary().to_string_lossy())].into_iter();
    let options = local::Options {
        run: run.clone(),
        folder: home.path("run"),
        data: home.path("data"),
        nodes: zoned(&nodes),
        command: command.chain(words.split_whitespace().map(|w| w.parse().unwrap())).collect(),
        env: Default::default(),
        ports: vec!["client".into(), "peer".into()],
        peers: "{name}={address.peer}".parse().unwrap(),
        ready_port: "client".into(),
        ready_timeout: PATIENCE,
        stop_timeout: Duration::from_secs(2),
        binary: binary(),
    };
    let own = |run: &str, node: &NodeId| -> Vec<String> {
        let named = format!("--name\0{node}\0");
        let all = process::marked(run).into_iter().map(|pid| pid.as_raw_nonzero().to_string());
        let of = |pid: &String| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|c| c.contains(&named))
        };
        all.filter(of).collect()
    };
    let (seen, gone) = (run.clone(), run.clone());
    Place {
        name: "local",
        target: Arc::new(Local::new(options).unwrap()),
        nodes,
        which: Box::new(move |node| own(&seen, node).join(" ")),
        goes_on: Some(Box::new(move |node| {
            let status = Command::new("kill").arg("-CONT").args(own(&run, node)).status();
            assert!(status.unwrap().success());
        })),
        // What cuts it off is in the runner's own process.
        is_joined: None,
        nothing_left: Box::new(move || {
            let _kept = &home;
            assert!(process::marked(&gone).is_empty());
        }),
    }
}

/// The embedded store as containers that the engine starts again.
pub fn container() -> Option<Place> {
    if !engine() {
        return None;
    }
    let containers = Arc::new(Running(Nodes::running("    restart: always\n")));
    let (run, nodes) = (run(), ["n1", "n2", "n3"].map(NodeId::new));
    let project = containers.0.network().trim_end_matches("_members").to_string();
    let options = docker::Options {
        run: run.clone(),
        folder: containers.0.home.path("run"),
        engine: None,
        compose: None,
        which: docker::Which::Project { project, services: vec![] },
        zones: Zones { label: Some("dc".into()), of: Default::default() },
        nodes: zoned(&nodes),
        ports: [("client".to_string(), 7000)].into(),
        ready_port: Some(7000),
        ready_timeout: PATIENCE,
        stop_timeout: Duration::from_secs(2),
        lease: LEASE,
        binary: binary(),
    };
    let helpers = |run: &str| -> Vec<String> {
        let names = format!("ps --all --format {{{{.Names}}}} --filter label=firedrill.run={run}");
        ask_docker(&names).lines().map(String::from).collect()
    };
    let (seen, paused, gone) = (containers.clone(), containers.clone(), run.clone());
    Some(Place {
        name: "docker",
        target: Arc::new(Docker::new(options)),
        nodes,
        which: Box::new(move |node| {
            let id = seen.0.container(node.as_str());
            ask_docker(&format!("inspect --format {{{{.State.StartedAt}}}} {id}"))
        }),
        goes_on: Some(Box::new(move |node| {
            ask_docker(&format!("unpause {}", paused.0.container(node.as_str())));
        })),
        is_joined: Some(Box::new(move |node| {
            let of = format!("-{node}-");
            for helper in helpers(&run).iter().filter(|name| name.contains(&of)) {
                assert!(try_docker(&format!("kill --signal KILL {helper}")).status.success());
            }
        })),
        nothing_left: Box::new(move || {
            let _kept = &containers;
            eventually("no container of the run is left", || {
                so(helpers(&gone).is_empty(), || helpers(&gone).join(" "))
            });
        }),
    })
}

struct Running(Nodes);

/// etcd as the pods of a StatefulSet.
/// A kubeconfig of somebody who may do what a scenario of the table's conditions takes, and nothing else.
fn account(members: &Members) -> PathBuf {
    let faults = [
        "partition: {isolate: etcd-2}",
        "latency: {nodes: etcd-2, latency: 80ms}",
        "dns: {nodes: etcd-2, answer: silence}",
        "pause: {nodes: etcd-2}",
        "crash: {nodes: etcd-2}",
        "stop: {nodes: etcd-2}",
        "kill: {nodes: etcd-2}",
    ];
    let one = |(at, fault)| format!("  - {{at: {at}s, for: 1s, inject: {{{fault}}}}}\n");
    members.scenario(&(1..).step_by(2).zip(faults).map(one).collect::<String>());
    let text = members.home.read("s.yaml").replace("selector: app=etcd", "statefulset: etcd");
    members.home.write("s.yaml", &text);
    members.account("s.yaml").expect("the scenario's own roles")
}

pub fn pod() -> Option<Place> {
    let cluster = cluster()?;
    let members = Arc::new(cluster.members());
    let kubeconfig = account(&members);
    let (run, nodes) = (run(), ["etcd-0", "etcd-1", "etcd-2"].map(NodeId::new));
    let place = |node: &NodeId| -> String {
        members.kubectl(&format!("get pod {node} -o jsonpath={{.spec.nodeName}}"))
    };
    // By the machine where it stands: which zone a member is in is the scheduler's choice.
    let planned = nodes.iter().map(|node| (node.clone(), place(node).replace('n', "dc"))).collect();
    let options = kubernetes::Options {
        run: run.clone(),
        folder: members.home.path("run"),
        cluster: kubernetes::Which {
            kubeconfig: Some(kubeconfig),
            context: None,
            namespace: members.namespace.clone(),
        },
        pods: Pods {
            chosen: Chosen::StatefulSet("etcd".into()),
            container: None,
            zone_label: "topology.kubernetes.io/zone".into(),
            zones: Default::default(),
        },
        nodes: planned,
        clients: Clients::Direct,
        ports: [("client".to_string(), 2379)].into(),
        ready_port: Some(2379),
        ready_timeout: PATIENCE,
        lease: LEASE,
        agent_image: cluster.image.clone(),
        pull_policy: "IfNotPresent".into(),
        foreseen: [Life::Crashed, Life::Paused]
            .map(|life| Condition { life, ..Condition::default() })
            .into(),
        commands: Commands::default(),
        guard: Some(binary()),
    };
    let (seen, paused, joined, gone) =
        (members.clone(), members.clone(), members.clone(), members.clone());
    Some(Place {
        name: "kubernetes",
        target: Arc::new(Kubernetes::new(options)),
        nodes,
        which: Box::new(move |node| {
            let (uid, restarts) = seen.pod(node.as_str());
            format!("{uid} {restarts}")
        }),
        goes_on: cluster
            .is_lab()
            .then(|| -> Undo { Box::new(move |node| end_agents(&paused, node)) }),
        is_joined: cluster
            .is_lab()
            .then(|| -> Undo { Box::new(move |node| end_agents(&joined, node)) }),
        nothing_left: Box::new(move || {
            gone.assert_no_agents();
            let cut = |network: &String| network.contains("drop");
            assert!(!gone.networks().iter().any(cut), "{:?}", gone.networks());
        }),
    })
}

/// SIGKILL for each agent in a node's pod, by its container's own process as the machine's runtime knows it.
fn end_agents(members: &Members, node: &NodeId) {
    let machine = members.kubectl(&format!("get pod {node} -o jsonpath={{.spec.nodeName}}"));
    let ids = "{.status.ephemeralContainerStatuses[?(@.state.running)].containerID}";
    let said = members.kubectl(&format!("get pod {node} -o jsonpath={ids}"));
    let ids: Vec<&str> =
        said.split_whitespace().filter_map(|id| id.strip_prefix("containerd://")).collect();
    assert!(!ids.is_empty(), "{node} has no agent");
    for id in ids {
        let kill = format!("ctr --namespace k8s.io task kill --signal SIGKILL {id}");
        members.inside(&machine, &kill);
    }
}
