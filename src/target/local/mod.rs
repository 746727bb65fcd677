//! Nodes as child processes of the runner, on loopback addresses, every link through a proxy. Needs
//! no privilege and nothing installed.
//!
//! Invariant: no process of a run outlives its runner. A node's own process dies with it by a death
//! signal; its descendants by [`Target::stop`], by dropping the target, or by the watchdog's
//! [`crate::agent::process::reap`].
//!
//! Deliberately absent: network namespaces and containers; and when to do what.

mod address;
mod node;
mod probe;
mod prove;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all, try_join_all};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agent::process::{self, Launch, Roster, Spawner};
use crate::agent::proxy::{Dialers, Fronts, Switchboard};
use crate::condition::{Condition, Delivery, Life, Link, Peer};
use crate::inventory::{Inventory, Node, NodeId};
use crate::scenario::{Template, Variable};
use crate::target::{Notice, Proof, Target, TargetError};
use address::{Addresses, MOST_NODES, MOST_PORTS};
use node::LocalNode;

/// What is to run, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The run's id: the mark of its processes.
    pub run: String,
    /// The run's folder. Logs go to `nodes/NAME.log` in it, appended over restarts.
    pub folder: PathBuf,
    /// Each node's data folder is made in this one, and stays over restarts. Whoever made it
    /// removes it.
    pub data: PathBuf,
    /// The nodes and their zones.
    pub nodes: Vec<(NodeId, String)>,
    /// Program and arguments.
    pub command: Vec<Template>,
    /// Added to the environment.
    pub env: BTreeMap<String, Template>,
    /// The names of each node's ports.
    pub ports: Vec<String>,
    /// What `{peers}` says of each node, itself included; joined by commas.
    pub peers: Template,
    /// The port that accepts connections once the node is ready.
    pub ready_port: String,
    /// How long a node may take to get ready.
    pub ready_timeout: Duration,
    /// How long a node may take to end when it is asked to, before it is killed.
    pub stop_timeout: Duration,
    /// The firedrill binary, for the guard.
    pub binary: PathBuf,
}

/// Why this target cannot make a condition true, and what could.
pub fn cannot(condition: &Condition) -> Option<String> {
    let Condition { links, load, disk, clock, dns, .. } = condition;
    let docker = |why: &str| Some(format!("{why}, such as docker"));
    if condition.wants_orchestrator() {
        return Some(
            "its nodes are processes of one machine, which nobody placed there; target kubernetes \
             has machines and controllers"
                .into(),
        );
    }
    if !clock.is_none() || !dns.is_healthy() {
        return docker(
            "its nodes share this machine's time and its resolvers; a target with containers can \
             give each its own",
        );
    }
    if !load.is_healthy() {
        return docker(
            "its nodes have no limits of their own within which resources could be taken from \
             them; a target with containers has them",
        );
    }
    if !disk.is_healthy() {
        return docker(
            "its nodes share this machine's file systems; a target with containers can give each \
             its own",
        );
    }
    let mut peers = links.from.keys().chain(links.to.keys());
    let outside = peers.any(|peer| matches!(peer, Peer::Outside(_)));
    if outside || !links.ports_from.is_empty() || !links.ports_to.is_empty() {
        return docker(
            "its proxies stand between the nodes and cut whole links; a target with network \
             namespaces can cut ports and outside hosts",
        );
    }
    let mut all = links.from.values().chain(links.to.values());
    let sees_packets = |link: &Link| link.draws_lots() || link.delivery == Delivery::Reject;
    match all.any(sees_packets) {
        true => docker(
            "its proxies carry streams and see no packets; a target with network namespaces does",
        ),
        false => None,
    }
}

/// The local target.
///
/// Nodes that are made healthy together must be applied together, not one after the other: some get
/// ready only when enough of the others are there. A node that tells its peers its own address
/// (`{listen.NAME}`) in place of its front's (`{address.NAME}`) goes around the proxies, and is not
/// cut off by them.
#[derive(Debug)]
pub struct Local {
    options: Options,
    notices: mpsc::UnboundedSender<Notice>,
    listener: Mutex<Option<mpsc::UnboundedReceiver<Notice>>>,
    up: Mutex<Option<Arc<Up>>>,
}

/// What there is while nodes are up.
#[derive(Debug)]
struct Up {
    addresses: Addresses,
    board: Arc<Switchboard>,
    dialers: Arc<Dialers>,
    fronts: Fronts,
    nodes: BTreeMap<NodeId, LocalNode>,
    ending: CancellationToken,
    /// What was proven last of each node's links.
    proven: Mutex<BTreeMap<NodeId, prove::LinkStates>>,
}

impl Local {
    /// A target of these options; nothing is started yet. Fails on what cannot work: no nodes,
    /// names twice, a ready port that is not among the ports.
    pub fn new(options: Options) -> Result<Local, TargetError> {
        check(&options).map_err(TargetError::Other)?;
        let (notices, listener) = mpsc::unbounded_channel();
        let (listener, up) = (Mutex::new(Some(listener)), Mutex::default());
        Ok(Local { options, notices, listener, up })
    }

    fn up(&self) -> Result<Arc<Up>, TargetError> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.clone().ok_or_else(|| TargetError::Other("the nodes are not started".into()))
    }

    async fn bring_up(&self) -> Result<Inventory, TargetError> {
        if self.up().is_ok() {
            return Err(TargetError::Other("the nodes are started already".into()));
        }
        let up = Arc::new(self.prepare()?);
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = Some(up.clone());
        // All at once: some wait for each other before they are ready.
        let starts = up.nodes.values().map(|node| node.live(Life::Running, true));
        match try_join_all(starts).await {
            Ok(_) => Ok(self.known(Some(&up.addresses))),
            Err(why) => {
                drop(up);
                self.take_down(Duration::ZERO).await;
                Err(why)
            }
        }
    }

    /// Everything but the processes.
    fn prepare(&self) -> Result<Up, TargetError> {
        let options = &self.options;
        let ids: Vec<NodeId> = options.nodes.iter().map(|(id, _)| id.clone()).collect();
        let other =
            |e: std::io::Error| TargetError::Other(format!("no thread to start nodes: {e}"));
        let spawner = Spawner::start().map_err(other)?;
        let roster = Arc::new(Roster::new(&options.run));
        let board = Arc::new(Switchboard::new(&ids));
        let dialers = Arc::new(Dialers::new(roster.clone()));
        let fronts = Fronts::new(board.clone(), dialers.clone());
        let addresses = address::take(options, &fronts)?;
        let ending = CancellationToken::new();
        let node = |id: &NodeId| self.node(id, &addresses, &spawner, &roster, &ending);
        let nodes = ids.iter().map(|id| Ok((id.clone(), node(id)?)));
        let nodes = nodes.collect::<Result<BTreeMap<_, _>, TargetError>>()?;
        Ok(Up { addresses, board, dialers, fronts, nodes, ending, proven: Mutex::default() })
    }

    fn node(
        &self,
        id: &NodeId,
        addresses: &Addresses,
        spawner: &Spawner,
        roster: &Arc<Roster>,
        ending: &CancellationToken,
    ) -> Result<LocalNode, TargetError> {
        let options = &self.options;
        let failed = |why: String| TargetError::Node { node: id.clone(), why };
        let fill = |template: &Template, values: &BTreeMap<Variable, String>| {
            let filled = template.expand(|variable| values.get(variable).cloned());
            filled.map_err(|e| failed(e.to_string()))
        };
        let make = |folder: PathBuf| match fs::create_dir_all(&folder) {
            Ok(()) => Ok(folder),
            Err(e) => Err(failed(format!("its folder {} cannot be made: {e}", folder.display()))),
        };
        let data = make(options.data.join(id.as_str()))?;
        let logs = make(options.folder.join("nodes"))?;
        let mut values = self.values(id, addresses);
        let mut texts = options.command.iter().chain(options.env.values());
        if texts.any(|text| text.variables().any(|v| *v == Variable::Peers)) {
            let peers = options.nodes.iter();
            let peers = peers.map(|(peer, _)| fill(&options.peers, &self.values(peer, addresses)));
            let peers = peers.collect::<Result<Vec<_>, _>>()?.join(",");
            values.insert(Variable::Peers, peers);
        }
        values.insert(Variable::Data, data.to_string_lossy().into_owned());
        let argv =
            options.command.iter().map(|t| fill(t, &values)).collect::<Result<Vec<_>, _>>()?;
        let env = options.env.iter().map(|(k, v)| Ok((k.clone(), fill(v, &values)?)));
        let ready = addresses.get(id).and_then(|ports| ports.get(&options.ready_port));
        Ok(LocalNode {
            launch: Launch {
                guard: options.binary.clone(),
                run: options.run.clone(),
                node: id.clone(),
                argv,
                env: env.collect::<Result<_, TargetError>>()?,
                log: logs.join(format!("{id}.log")),
            },
            ready: ready.ok_or_else(|| failed("it has no ready port".into()))?.own,
            ready_port: options.ready_port.clone(),
            ready_timeout: options.ready_timeout,
            stop_timeout: options.stop_timeout,
            spawner: spawner.clone(),
            roster: roster.clone(),
            notices: self.notices.clone(),
            ending: ending.clone(),
            state: Default::default(),
        })
    }

    /// What a template may say of a node.
    fn values(&self, id: &NodeId, addresses: &Addresses) -> BTreeMap<Variable, String> {
        let place = self.options.nodes.iter().position(|(node, _)| node == id).unwrap_or_default();
        let zone = self.options.nodes.get(place).map(|(_, zone)| zone.clone()).unwrap_or_default();
        let mut values = BTreeMap::from([
            (Variable::Name, id.to_string()),
            (Variable::Zone, zone),
            (Variable::Index, (place + 1).to_string()),
        ]);
        for (name, at) in addresses.get(id).into_iter().flatten() {
            values.insert(Variable::Listen { port: name.clone() }, at.own.to_string());
            values.insert(Variable::Address { port: name.clone() }, at.peer.to_string());
        }
        values
    }

    fn known(&self, addresses: Option<&Addresses>) -> Inventory {
        let endpoints = |id: &NodeId| {
            let ports = addresses.and_then(|a| a.get(id)).into_iter().flatten();
            ports.map(|(name, port)| (name.clone(), port.client.to_string())).collect()
        };
        let nodes = self.options.nodes.iter().map(|(id, zone)| Node {
            id: id.clone(),
            zone: zone.clone(),
            endpoints: endpoints(id),
        });
        Inventory::new(nodes.collect())
    }

    /// Ends everything. `patience` is what nodes get to end by themselves.
    async fn take_down(&self, patience: Duration) -> Vec<String> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(up) = up else { return Vec::new() };
        up.ending.cancel();
        up.board.heal();
        let life = if patience.is_zero() { Life::Killed } else { Life::Stopped };
        // What fails here is found by the sweep below.
        let _ = join_all(up.nodes.values().map(|node| node.live(life, true))).await;
        let run = self.options.run.clone();
        let sweep = move || process::reap(&run, Duration::from_secs(5));
        let left = tokio::task::spawn_blocking(sweep).await.unwrap_or_default();
        up.fronts.close().await;
        let words = |pid: rustix::process::Pid| {
            let pid = pid.as_raw_nonzero();
            format!("process {pid} of the run is still there: kill -9 {pid}")
        };
        left.into_iter().map(words).collect()
    }
}

impl Drop for Local {
    /// What was not stopped is killed here, as far as that is possible: blocks for at most 2 s.
    fn drop(&mut self) {
        let up = self.up.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if up.is_some() {
            drop(up);
            process::reap(&self.options.run, Duration::from_secs(2));
        }
    }
}

impl Up {
    fn node(&self, id: &NodeId) -> Result<&LocalNode, TargetError> {
        self.nodes.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.nodes.keys().map(NodeId::as_str).collect();
            TargetError::Other(format!("there is no node `{id}`; there are {}", known.join(", ")))
        })
    }

    fn peers(&self) -> impl Iterator<Item = Peer> {
        self.nodes.keys().cloned().map(Peer::Node).chain([Peer::Clients])
    }

    fn all_links_healthy(&self, node: &NodeId) -> bool {
        let own = Peer::Node(node.clone());
        self.peers().all(|peer| {
            let healthy = Link::default();
            self.board.asked(&own, &peer) == healthy && self.board.asked(&peer, &own) == healthy
        })
    }
}

impl Target for Local {
    fn inventory(&self) -> Inventory {
        let up = self.up().ok();
        self.known(up.as_ref().map(|up| &up.addresses))
    }

    fn start(&self) -> BoxFuture<'_, Result<Inventory, TargetError>> {
        self.bring_up().boxed()
    }

    fn notices(&self) -> mpsc::UnboundedReceiver<Notice> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A second listener hears nothing.
        listener.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    fn apply<'a>(
        &'a self,
        node: &'a NodeId,
        condition: &'a Condition,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        async move {
            let up = self.up()?;
            let local = up.node(node)?;
            up.board.set(node, &condition.links);
            let life = match condition.life {
                Life::Crashed => Life::Killed, // nothing here restarts a process that died
                life => life,
            };
            local.live(life, up.all_links_healthy(node)).await
        }
        .boxed()
    }

    fn prove<'a>(&'a self, node: &'a NodeId) -> BoxFuture<'a, Proof> {
        async move {
            let unproven = |e: TargetError| Proof {
                measured: vec![],
                unproven: Some(e.to_string()),
                lapses: vec![],
            };
            match self.up() {
                Ok(up) => up.prove(node).await.unwrap_or_else(unproven),
                Err(e) => unproven(e),
            }
        }
        .boxed()
    }

    fn stop(&self) -> BoxFuture<'_, Vec<String>> {
        self.take_down(self.options.stop_timeout.max(Duration::from_millis(1))).boxed()
    }
}

/// What is wrong with options, if anything.
fn check(options: &Options) -> Result<(), String> {
    let names: BTreeSet<&NodeId> = options.nodes.iter().map(|(id, _)| id).collect();
    let ports: BTreeSet<&String> = options.ports.iter().collect();
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match options {
        o if o.nodes.is_empty() => Err("there are no nodes; name at least one".into()),
        o if o.nodes.len() > MOST_NODES => {
            Err(format!("{} nodes are too many; {MOST_NODES} fit", o.nodes.len()))
        }
        o if names.len() < o.nodes.len() => Err("two nodes have the same name".into()),
        o if ports.len() < o.ports.len() || ports.len() > MOST_PORTS => {
            Err(format!("ports must have different names, and be at most {MOST_PORTS}"))
        }
        o if o.command.is_empty() => Err("the nodes' command is empty; name a program".into()),
        o if !ports.contains(&o.ready_port) => Err(format!(
            "the ready port `{}` is not among the ports: {}",
            o.ready_port,
            o.ports.join(", ")
        )),
        o => match o.nodes.iter().find(|(id, _)| !plain(id.as_str())) {
            Some((id, _)) => Err(format!(
                "`{id}` cannot be a node's name: use letters, digits, `-`, `_` and `.`"
            )),
            None => Ok(()),
        },
    }
}
