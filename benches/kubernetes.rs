//! What faults cost in a real cluster: from the call to the kernels' holding a partition, and to its healing, of 3 and
//! of 30 pods; agents' start and memory; a plan for 2,000 pods; and what a drill asks of the API server while nothing
//! changes. `cargo bench --bench kubernetes` prints the figures, in milliseconds unless they say otherwise. Needs the
//! lab (root, Go), or the cluster that `FIREDRILL_TEST_KUBECONFIG` names.

#[path = "../tests/lab/mod.rs"]
mod lab;
#[path = "../tests/runner/mod.rs"]
mod runner;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use firedrill::condition::{Condition, Link, Links, Peer};
use firedrill::inventory::NodeId;
use firedrill::target::Target;
use firedrill::target::kubernetes::{
    Chosen, Clients, Commands, Kubernetes, Options, Pods, Which, survey,
};
use futures::future::try_join_all;
use lab::{Cluster, cluster};
use runner::Home;
use serde_json::json;

/// How often each partition is made and healed.
const ROUNDS: usize = 40;
/// How many pods there are that do nothing.
const IDLE: usize = 30;
/// How many pods are planned for, on machines that are not there.
const MANY: usize = 2_000;
/// How long it is counted what is asked of the API server.
const QUIET: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A namespace; gone when this goes.
struct Namespace {
    cluster: &'static Cluster,
    name: String,
    home: Home,
}

impl Namespace {
    fn make(cluster: &'static Cluster) -> Namespace {
        let name = format!("bench-{:08x}", rand::random::<u32>());
        cluster.kubectl(&format!("create namespace {name}"));
        Namespace { cluster, name, home: Home::new() }
    }

    fn apply(&self, objects: serde_json::Value) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let file = self.home.write("objects.json", &list.to_string());
        let apply = format!("--namespace {} create -f {}", self.name, file.display());
        self.cluster.kubectl(&apply);
    }

    fn options(&self, chosen: Chosen) -> Options {
        Options {
            run: format!("bench-{:08x}", rand::random::<u32>()),
            folder: self.home.path("run"),
            cluster: self.which(),
            pods: pods(chosen),
            nodes: vec![],
            clients: Clients::Direct,
            ports: BTreeMap::new(),
            ready_port: None,
            ready_timeout: Duration::from_secs(60),
            lease: Duration::from_secs(10),
            agent_image: self.cluster.image.clone(),
            pull_policy: "IfNotPresent".into(),
            foreseen: vec![],
            commands: Commands::default(),
            guard: None,
        }
    }

    fn which(&self) -> Which {
        Which {
            kubeconfig: Some(self.cluster.kubeconfig().into()),
            context: None,
            namespace: self.name.clone(),
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Of machines that are not there nobody would end the pods.
        let pods = format!("/api/v1/namespaces/{}/pods?gracePeriodSeconds=0", self.name);
        self.cluster.try_kubectl(&format!("delete --raw {pods}"));
        self.cluster.try_kubectl(&format!("delete namespace {} --wait=false", self.name));
        self.cluster.try_kubectl("delete nodes -l firedrill-bench=true");
    }
}

fn pods(chosen: Chosen) -> Pods {
    Pods {
        chosen,
        container: None,
        zone_label: "topology.kubernetes.io/zone".into(),
        zones: BTreeMap::new(),
    }
}

/// One half of the nodes cut off from the other.
fn partition(ids: &[NodeId]) -> Vec<Condition> {
    let middle = ids.len() / 2;
    let cut = |place: usize| {
        let others = if place < middle { &ids[middle..] } else { &ids[..middle] };
        let peers = others.iter().cloned().map(Peer::Node);
        let links: BTreeMap<Peer, Link> = peers.map(|peer| (peer, Link::CUT)).collect();
        let links = Links { from: links.clone(), to: links, ..Links::default() };
        Condition { links, ..Condition::default() }
    };
    (0..ids.len()).map(cut).collect()
}

async fn apply(target: &Kubernetes, ids: &[NodeId], all: &[Condition]) -> Outcome<Duration> {
    let began = Instant::now();
    try_join_all(ids.iter().zip(all).map(|(id, condition)| target.apply(id, condition))).await?;
    Ok(began.elapsed())
}

fn quantile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// What the agents on this machine take, in kB: the median of their proportional set sizes. In the lab, every
/// machine is this one.
fn memory() -> Outcome<u64> {
    let mut sizes = vec![];
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if !command.starts_with(b"/firedrill\0agent\0") {
            continue;
        }
        let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup"))?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).ok_or("no Pss")?;
        sizes.push(line.split_whitespace().nth(1).ok_or("no size")?.parse::<u64>()?);
    }
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().ok_or_else(|| "there are no agents".into())
}

/// So many pods that do nothing, spread over the machines.
fn idle(count: usize) -> serde_json::Value {
    json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "idle"},
        "spec": {
            "serviceName": "idle", "replicas": count, "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "idle"}},
            "template": {
                "metadata": {"labels": {"app": "idle"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                    "name": "idle", "image": "lab.local/pause:1", "imagePullPolicy": "IfNotPresent",
                }]},
            },
        },
    }])
}

async fn partitions(cluster: &'static Cluster) -> Outcome<()> {
    println!("pods  agents  agent  cut: median   p99  healed: median   p99");
    for count in [3, IDLE] {
        let namespace = Namespace::make(cluster);
        namespace.apply(idle(count));
        let rollout = "rollout status statefulset idle --timeout 120s";
        cluster.kubectl(&format!("--namespace {} {rollout}", namespace.name));
        let chosen = Chosen::StatefulSet("idle".into());
        let found =
            survey(&namespace.which(), &pods(chosen.clone()), Clients::Direct, vec![]).await;
        let nodes: Vec<(NodeId, String)> = found.map_err(|r| r.why)?.nodes().collect();
        let ids: Vec<NodeId> = nodes.iter().map(|(id, _)| id.clone()).collect();
        let target = Kubernetes::new(Options { nodes, ..namespace.options(chosen) });
        target.start().await?;
        let (cut, healthy) = (partition(&ids), vec![Condition::default(); count]);
        let began = Instant::now();
        target.foresee(ids.iter().cloned().zip(cut.iter().cloned()).collect()).await?;
        let agents = began.elapsed();
        let (mut cuts, mut heals) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            cuts.push(apply(&target, &ids, &cut).await?);
            heals.push(apply(&target, &ids, &healthy).await?);
        }
        println!(
            "{count:4} {:7.0} {:3.1}MB {:12.2} {:5.2} {:15.2} {:5.2}",
            agents.as_secs_f64() * 1e3,
            memory()? as f64 / 1e3,
            quantile(&mut cuts, 50),
            quantile(&mut cuts, 99),
            quantile(&mut heals, 50),
            quantile(&mut heals, 99),
        );
        if count == 3 {
            requests(cluster, count)?;
        }
        target.stop().await;
    }
    Ok(())
}

/// What the API server was asked so far, the asking for that apart.
fn asked(cluster: &Cluster) -> f64 {
    let metrics = cluster.kubectl("get --raw /metrics");
    let of_pods = |line: &&str| {
        line.starts_with("apiserver_request_total{") && line.contains("resource=\"pods\"")
    };
    let count = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok());
    metrics.lines().filter(of_pods).filter_map(count).sum()
}

/// What a drill asks of the API server about pods while nothing changes; kubelets and controllers ask, too.
fn requests(cluster: &Cluster, pods: usize) -> Outcome<()> {
    let before = asked(cluster);
    std::thread::sleep(QUIET);
    let a_minute = (asked(cluster) - before) / QUIET.as_secs_f64() * 60.0;
    println!("requests about pods a minute, by all, while {pods} are held: {a_minute:.0}");
    Ok(())
}

/// Pods on machines that are not there: nothing runs, and the API server tells of them all the same.
fn many() -> (serde_json::Value, serde_json::Value) {
    let machine = |n: usize| {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": format!("fake-{n}"), "labels": {
                "firedrill-bench": "true", "topology.kubernetes.io/zone": format!("dc{}", n % 3 + 1),
            }},
            "spec": {"unschedulable": true},
        })
    };
    let pod = |n: usize| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("many-{n:04}"), "labels": {"app": "many"}},
            "spec": {
                "nodeName": format!("fake-{}", n % 20),
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "many", "image": "lab.local/pause:1"}],
            },
        })
    };
    ((0..20).map(machine).collect(), (0..MANY).map(pod).collect())
}

async fn plan(cluster: &'static Cluster) -> Outcome<()> {
    let namespace = Namespace::make(cluster);
    let (machines, objects) = many();
    namespace.apply(machines);
    namespace.apply(objects);
    let (before, began) = (asked(cluster), Instant::now());
    let chosen = Chosen::Selector("app=many".into());
    let found = survey(&namespace.which(), &pods(chosen), Clients::Direct, vec![]).await;
    let found = found.map_err(|refused| refused.why)?;
    let (took, calls) = (began.elapsed(), asked(cluster) - before);
    println!(
        "inventory of {} pods: {:.0} ms, {calls} requests about pods, by all",
        found.nodes().count(),
        took.as_secs_f64() * 1e3,
    );
    let scenario = format!(
        "name: many\ntarget: {{kubernetes: {{namespace: {}, selector: app=many, agent_image: x}}}}\nworkload: \
         {{client: etcd, model: register, rate: 1/s}}\nfaults: [{{at: 10s, for: 5s, inject: {{pause: {{nodes: \
         one}}}}}}]\nchecks: [linearizable]\n",
        namespace.name
    );
    namespace.home.write("many.yaml", &scenario);
    let began = Instant::now();
    let mut command = namespace.home.command("plan many.yaml");
    command.env("KUBECONFIG", cluster.kubeconfig()).stdout(std::process::Stdio::null());
    let mut child = command.spawn()?;
    let mut most = 0;
    // Its highest so far, as long as it can be asked.
    while child.try_wait()?.is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let line =
            status.ok().and_then(|s| s.lines().find(|l| l.starts_with("VmHWM")).map(String::from));
        let size =
            line.and_then(|l| l.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()));
        most = most.max(size.unwrap_or_default());
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = began.elapsed();
    if !child.wait()?.success() {
        return Err("`firedrill plan` failed".into());
    }
    println!(
        "`firedrill plan` for {MANY} pods: {:.0} ms, {:.0} MB",
        took.as_secs_f64() * 1e3,
        most as f64 / 1e3,
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let Some(cluster) = cluster() else { return Ok(()) };
    partitions(cluster).await?;
    plan(cluster).await
}
