//! What faults cost at a real Docker engine: from the call to the kernel's holding a partition, and to its healing;
//! partitions of 1 to 50 containers; agents' start and memory; what was asked of a link against what came; and the
//! same of resources, clocks and look-ups.
//! `cargo bench --bench docker` prints the figures, in milliseconds unless they say otherwise. Needs an engine that
//! has `debian:bookworm` (`scenarios/images/build` makes it).

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use firedrill::condition::{
    Condition, Disk, Dns, Link, Links, Load, NamePattern, Peer, Resolution,
};
use firedrill::inventory::NodeId;
use firedrill::quantity::{Bandwidth, Bytes, Ratio, Span, Throughput};
use firedrill::target::docker::{Docker, Options, Which, Zones, nodes};
use firedrill::target::{Target, TargetError};
use futures::future::try_join_all;

/// How often each partition is made and healed.
const ROUNDS: usize = 40;
const SIZES: [usize; 4] = [1, 5, 20, 50];
/// How often a link's latency is measured.
const TRIPS: usize = 50;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Containers that do nothing, on a network of their own; gone when this goes.
struct Containers {
    prefix: String,
    names: Vec<String>,
}

impl Containers {
    fn start(count: usize, options: &[&str]) -> Outcome<Containers> {
        let prefix = format!("firedrill-bench-{:08x}", rand::random::<u32>());
        let mut containers = Containers { prefix, names: vec![] };
        docker(&["network", "create", &containers.prefix])?;
        for n in 0..count {
            let name = format!("{}-{n:02}", containers.prefix);
            let run = ["run", "--detach", "--network", &containers.prefix, "--name", &name];
            docker(&[&run[..], options, &["debian:bookworm", "sleep", "infinity"]].concat())?;
            containers.names.push(name);
        }
        Ok(containers)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let removed = docker(&[&["rm", "--force"], &names[..]].concat());
        if let Err(e) = removed.and_then(|_| docker(&["network", "rm", &self.prefix])) {
            eprintln!("{}: not removed: {e}", self.prefix);
        }
    }
}

fn docker(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new("docker").args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}

/// The target of these containers; and how long it took until an agent stood beside each.
async fn target(run: &str, names: &[String], folder: &Path) -> Outcome<(Docker, Duration)> {
    let (which, zones) = (Which::Names(names.to_vec()), Zones::default());
    let docker = Docker::new(Options {
        run: run.into(),
        folder: folder.into(),
        engine: None,
        compose: None,
        nodes: nodes(None, None, &which, &zones).await?,
        which,
        zones,
        ports: BTreeMap::new(),
        ready_port: None,
        ready_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(2),
        lease: Duration::from_secs(10),
        binary: env!("CARGO_BIN_EXE_firedrill").into(),
    });
    let began = Instant::now();
    docker.start().await?;
    Ok((docker, began.elapsed()))
}

/// One half of the nodes cut off from the other, or from the clients where there is but one.
fn partition(ids: &[NodeId]) -> Vec<Condition> {
    let middle = ids.len() / 2;
    let cut = |place: usize| {
        let others = if place < middle { &ids[middle..] } else { &ids[..middle] };
        let peers = others.iter().cloned().map(Peer::Node);
        let peers: Vec<Peer> = if ids.len() == 1 { vec![Peer::Clients] } else { peers.collect() };
        let links: BTreeMap<Peer, Link> = peers.into_iter().map(|peer| (peer, Link::CUT)).collect();
        Condition {
            links: Links { from: links.clone(), to: links, ..Links::default() },
            ..Condition::default()
        }
    };
    (0..ids.len()).map(cut).collect()
}

/// Applies to all nodes at once, as a drill does; each answer says that the node's kernel holds it.
async fn apply(
    docker: &Docker,
    ids: &[NodeId],
    all: &[Condition],
) -> Result<Duration, TargetError> {
    let began = Instant::now();
    try_join_all(ids.iter().zip(all).map(|(id, condition)| docker.apply(id, condition))).await?;
    Ok(began.elapsed())
}

fn quantile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// What the agents of a run take, in kB: the median of their proportional set sizes.
fn memory(run: &str) -> Outcome<u64> {
    let helpers = docker(&["ps", "--quiet", "--filter", &format!("label=firedrill.run={run}")])?;
    let mut sizes = vec![];
    for helper in helpers.lines() {
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", helper])?;
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).ok_or("no Pss")?;
        sizes.push(line.split_whitespace().nth(1).ok_or("no size")?.parse::<u64>()?);
    }
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().ok_or_else(|| "the run has no agents".into())
}

async fn partitions(folder: &Path) -> Outcome<()> {
    println!("nodes  start  agent  cut: median   p99  healed: median   p99");
    for size in SIZES {
        let containers = Containers::start(size, &[])?;
        let run = format!("bench-{size}");
        let (docker, start) = target(&run, &containers.names, folder).await?;
        let ids: Vec<NodeId> =
            docker.inventory().nodes().iter().map(|node| node.id.clone()).collect();
        let (cut, healthy) = (partition(&ids), vec![Condition::default(); size]);
        let (mut cuts, mut heals) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            cuts.push(apply(&docker, &ids, &cut).await?);
            heals.push(apply(&docker, &ids, &healthy).await?);
        }
        println!(
            "{size:5} {:6.0} {:3.1}MB {:12.2} {:5.2} {:15.2} {:5.2}",
            start.as_secs_f64() * 1e3,
            memory(&run)? as f64 / 1e3,
            quantile(&mut cuts, 50),
            quantile(&mut cuts, 99),
            quantile(&mut heals, 50),
            quantile(&mut heals, 99),
        );
        docker.stop().await;
    }
    Ok(())
}

/// How long it takes to be refused at a port where nobody listens: one round trip.
fn round_trip(to: SocketAddr) -> Duration {
    let began = Instant::now();
    let _ = TcpStream::connect_timeout(&to, Duration::from_secs(5));
    began.elapsed()
}

async fn accuracy(folder: &Path) -> Outcome<()> {
    let containers = Containers::start(2, &[])?;
    let (docker, _) = target("bench-accuracy", &containers.names, folder).await?;
    let ids: Vec<NodeId> = docker.inventory().nodes().iter().map(|node| node.id.clone()).collect();
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = self::docker(&["inspect", "--format", format, &containers.names[0]])?;
    let to = SocketAddr::new(address.parse()?, 9);
    let link = |peer: Peer, link: Link| Condition {
        links: Links { to: BTreeMap::from([(peer, link)]), ..Links::default() },
        ..Condition::default()
    };
    for asked in [0, 10, 50, 200] {
        let late = Link { latency: Span::millis(asked), ..Link::default() };
        docker.apply(&ids[0], &link(Peer::Clients, late)).await?;
        let mut trips: Vec<Duration> = (0..TRIPS).map(|_| round_trip(to)).collect();
        let (median, p99) = (quantile(&mut trips, 50), quantile(&mut trips, 99));
        println!("latency {asked} ms: a round trip takes {median:.2}, p99 {p99:.2}");
    }
    docker.apply(&ids[0], &Condition::default()).await?;
    let [from, to] = [Peer::Node(ids[0].clone()), Peer::Node(ids[1].clone())];
    let lossy = [0.01, 0.1, 0.3].map(|loss| Link { loss: Ratio::new(loss), ..Link::default() });
    let narrow = [1_000_000, 10_000_000]
        .map(|bits| Link { bandwidth: Some(Bandwidth::bits(bits)), ..Link::default() });
    for asked in lossy.into_iter().chain(narrow) {
        // As a drill tells it: both ends know of it; it is measured where it arrives.
        let arriving = Links { from: BTreeMap::from([(from.clone(), asked)]), ..Links::default() };
        let sent = link(to.clone(), asked);
        let arriving = Condition { links: arriving, ..Condition::default() };
        let both = [sent, arriving];
        apply(&docker, &ids, &both).await?;
        let proof = docker.prove(&ids[1]).await;
        let what = match asked.bandwidth {
            Some(most) => format!("bandwidth {most}"),
            None => format!("loss {}", asked.loss),
        };
        let toward = format!("{from} -> ");
        for line in proof.measured.iter().filter(|line| line.contains(&toward)) {
            println!("{what}: {}", line.replace(&format!("{}-", containers.prefix), "node "));
        }
        apply(&docker, &ids, &vec![Condition::default(); 2]).await?;
    }
    docker.stop().await;
    Ok(())
}

/// Each part of a condition that is not a link's, as a name and as it is asked.
fn taken() -> Outcome<Vec<(&'static str, Condition)>> {
    let load = |load| Condition { load, ..Condition::default() };
    let half = Load { cpu_limit: Some("0.5".parse()?), ..Load::default() };
    let stress = Load { cpu_workers: 2, cpu_share: Ratio::ALL, ..half.clone() };
    let memory = Load { memory: Some("64MiB".parse()?), ..Load::default() };
    let slow: Throughput = "1MiB/s".parse()?;
    let disk = Load { read_limit: Some(slow), write_limit: Some(slow), ..Load::default() };
    let full = Disk { full: BTreeMap::from([("/full".to_string(), Bytes::mebibytes(64))]) };
    let names = BTreeMap::from([(NamePattern::all(), Resolution::Error)]);
    let mut all = vec![
        ("processors limited to 0.5", load(half)),
        ("the same, and two threads of stress", load(stress)),
        ("64 MiB of memory held", load(memory)),
        ("disks slowed down to 1 MiB/s", load(disk)),
        ("32 MiB of disk filled", Condition { disk: full, ..Condition::default() }),
        ("look-ups failing", Condition { dns: Dns { names }, ..Condition::default() }),
    ];
    for offset in ["+100ms", "-10m", "+365days"] {
        all.push((offset, Condition { clock: offset.parse()?, ..Condition::default() }));
    }
    Ok(all)
}

/// From the call to the answer that it holds, and that it is healed; and what the proof measured.
async fn resources(folder: &Path) -> Outcome<()> {
    let own_disk = ["--tmpfs", "/full:size=32m"];
    let containers = Containers::start(1, &own_disk)?;
    let (docker, _) = target("bench-resources", &containers.names, folder).await?;
    let ids: Vec<NodeId> = docker.inventory().nodes().iter().map(|node| node.id.clone()).collect();
    let id = &ids[0];
    let all = taken()?;
    let joined = all.iter().fold(Condition::default(), |sum, (_, part)| sum.join(part.clone()));
    docker.foresee(BTreeMap::from([(id.clone(), joined)])).await?;
    for (what, condition) in &all {
        let (mut told, mut healed) = (vec![], vec![]);
        for _ in 0..ROUNDS / 4 {
            told.push(apply(&docker, &ids, std::slice::from_ref(condition)).await?);
            healed.push(apply(&docker, &ids, &[Condition::default()]).await?);
        }
        docker.apply(id, condition).await?;
        let proof = docker.prove(id).await;
        println!(
            "{what}: holds after {:.2} (p99 {:.2}), healed after {:.2} (p99 {:.2})",
            quantile(&mut told, 50),
            quantile(&mut told, 99),
            quantile(&mut healed, 50),
            quantile(&mut healed, 99),
        );
        for line in proof.measured.iter().skip(1).filter(|line| !line.starts_with("clients")) {
            println!("    {}", line.replace(&containers.prefix, "node"));
        }
        if condition.load.write_limit.is_some() {
            let began = Instant::now();
            let write = ["dd", "if=/dev/zero", "of=/written", "bs=64k", "count=48", "oflag=direct"];
            self::docker(&[&["exec", &containers.names[0]], &write[..]].concat())?;
            println!("    3 MiB were written in {:.2} s", began.elapsed().as_secs_f64());
        }
        docker.apply(id, &Condition::default()).await?;
    }
    docker.stop().await;
    Ok(())
}

fn main() -> Outcome<()> {
    if docker(&["image", "inspect", "debian:bookworm"]).is_err() {
        println!("skipped: no Docker engine with the image debian:bookworm");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        partitions(folder.path()).await?;
        accuracy(folder.path()).await?;
        resources(folder.path()).await
    })
}
