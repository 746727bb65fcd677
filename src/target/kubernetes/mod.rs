//! Nodes as pods of a Kubernetes cluster that runs already. Nothing is installed in it: an agent joins a pod as an
//! ephemeral container, and leaves.
//!
//! Invariant: of the cluster nothing is changed but what the conditions say; each such change is undone by
//! [`Target::stop`], by the end of the agents' streams or leases, or by the controller whose pod was deleted.
//!
//! Deliberately absent: when to do what; what a node's software is; and bringing the system up.

mod admission;
mod agent;
mod cluster;
mod controller;
mod discover;
mod forward;
mod job;
mod joined;
mod machines;
mod manifest;
mod mark;
mod member;
mod news;
mod noticing;
mod objects;
mod placing;
mod pod;
mod prove;
mod refused;
mod restore;
mod rights;
mod survey;
mod sweep;
mod up;
mod watching;
mod within;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all, try_join_all};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use admission::AgentImage;
pub use cluster::Which;
pub use controller::Kind;
pub use discover::{Chosen, Pods};
pub use forward::Clients;
pub use job::Job;
pub use machines::{Commands, Pair};
pub use manifest::{Scheduled, cron_job, rbac};
pub use refused::Refused;
pub use restore::{Restore, What};
pub use rights::Need;
pub use survey::{Survey, survey};
pub use sweep::{Swept, sweep};

use crate::agent::beside::probe::Prober;
use crate::condition::{Condition, Life};
use crate::control::cannot_shape;
use crate::inventory::{AddressBook, Inventory, Node, NodeId};
use crate::target::{News, Notice, Proof, Target, TargetError};
use member::Member;
use up::Up;

/// How long agents may take to end, beyond the lease that ends one which nobody came to speak to.
const LEAVING: Duration = Duration::from_secs(3);

/// What is to be drilled, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The run's id.
    pub run: String,
    /// The run's folder. The nodes' logs go to `nodes/NAME.log` in it at the end.
    pub folder: PathBuf,
    /// Which cluster, and where in it.
    pub cluster: Which,
    /// Which pods are the nodes, and where they stand.
    pub pods: Pods,
    /// The nodes that were planned with, and their zones.
    pub nodes: Vec<(NodeId, String)>,
    /// How clients reach them.
    pub clients: Clients,
    /// Their ports, by name.
    pub ports: BTreeMap<String, u16>,
    /// The port that accepts connections once a node is ready.
    pub ready_port: Option<u16>,
    /// How long a node may take to get ready.
    pub ready_timeout: Duration,
    /// How long an agent holds what it was told without hearing from the runner.
    pub lease: Duration,
    /// The agent's image; planning has refused what needs one where there is none.
    pub agent_image: String,
    /// When a machine pulls it: Always, IfNotPresent or Never.
    pub pull_policy: String,
    /// What the drill's faults may come to, one by one: joined, one hides what another takes.
    pub foreseen: Vec<Condition>,
    /// What the API cannot do to machines.
    pub commands: Commands,
    /// The firedrill binary, through which such commands are started.
    pub guard: Option<PathBuf>,
}

/// Why this target cannot make a condition true, and what could.
pub fn cannot(condition: &Condition) -> Option<String> {
    condition.load.has_limits().then(|| {
        "a pod's limits are its controller's, and the cluster would make its container anew for \
         others; load it (cpu-stress, memory-stress), or use target docker, which can limit"
            .to_string()
    })
}

/// Whether making a condition true takes an agent in the node's pod.
pub fn needs_agent(condition: &Condition) -> bool {
    is_wired(condition) || joins_processes(condition)
}

/// Whether it takes one in the network of every pod.
fn is_wired(condition: &Condition) -> bool {
    !condition.links.is_healthy() || !condition.dns.is_healthy()
}

/// Whether it takes one among the node's processes.
fn joins_processes(condition: &Condition) -> bool {
    let Condition { life, load, disk, clock, .. } = condition;
    let inside = !load.is_healthy() || !disk.is_healthy() || !clock.is_none();
    matches!(life, Life::Crashed | Life::Paused) || inside
}

/// Whether it ends the pod, in whatever way.
fn ends(condition: &Condition) -> bool {
    condition.life >= Life::Evicted || condition.machine.evicts()
}

/// Whether it takes the pod away.
fn deletes(condition: &Condition) -> bool {
    matches!(condition.life, Life::Stopped | Life::Killed)
}

/// The Kubernetes target.
#[derive(Debug)]
pub struct Kubernetes {
    options: Options,
    notices: mpsc::UnboundedSender<Notice>,
    listener: Mutex<Option<mpsc::UnboundedReceiver<Notice>>>,
    up: Mutex<Option<Arc<Up>>>,
    book: Mutex<AddressBook>,
}

impl Kubernetes {
    /// A target of these options; nothing is done yet.
    pub fn new(options: Options) -> Kubernetes {
        let (notices, listener) = mpsc::unbounded_channel();
        let (up, book) = Default::default();
        Kubernetes { options, notices, listener: Mutex::new(Some(listener)), up, book }
    }

    fn up(&self) -> Result<Arc<Up>, TargetError> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.clone().ok_or_else(|| TargetError::Other("the nodes are not looked at yet".into()))
    }
}

impl Kubernetes {
    async fn bring_up(&self) -> Result<Inventory, TargetError> {
        let options = &self.options;
        let cluster = cluster::connect(&options.cluster).await?;
        let discover::Discovered { nodes: found, machines, selector } =
            discover::find(&cluster, &options.pods).await.map_err(Refused::into_error)?;
        as_planned(&options.nodes, &found)?;
        let prober = Prober::bind()
            .map_err(|e| TargetError::Other(format!("no socket to measure links with: {e}")))?;
        let addresses = found.iter().map(|f| (f.node.clone(), f.state.addresses.clone()));
        let addresses = Mutex::new(addresses.collect());
        let ports: Vec<u16> = options.ports.values().copied().collect();
        let forwarded = is_forwarded(options.clients, &found, &ports).await;
        if forwarded {
            tracing::warn!("{}", forward::WARNING);
        }
        let (lost, gone) = mpsc::unbounded_channel();
        let member = |f: discover::Found| (f.node.clone(), Member::new(f.node, f.zone, f.state));
        let up = Arc::new(Up {
            options: options.clone(),
            pods: cluster.pods(),
            evictions: cluster.evictions(),
            board: Mutex::new(Some(Arc::new(news::Board::begin(
                cluster.events(),
                options.cluster.namespace.clone(),
                options.run.clone(),
            )))),
            events: cluster.events(),
            cluster,
            pinned: options.cluster.pinned(),
            held: tokio::sync::Mutex::new(machines::Held::none(
                options.guard.clone(),
                options.ready_timeout,
            )),
            controllers: Default::default(),
            notices: self.notices.clone(),
            lost,
            members: found.into_iter().map(member).collect(),
            addresses,
            forwarded,
            forwards: Default::default(),
            book: self.book.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            machines: machines.unwrap_or_default(),
            selector,
            wired: AtomicBool::new(false),
            prober,
            ending: CancellationToken::new(),
            watching: CancellationToken::new(),
        });
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = Some(up.clone());
        watching::watch(up.clone(), gone);
        watching::beside(&up, noticing::endpoints(up.clone(), up.cluster.endpoint_slices()));
        if !up.machines.is_empty() {
            watching::beside(&up, noticing::machines(up.clone(), up.cluster.machines()));
        }
        up.begin().await?;
        up.inventory().await
    }

    /// Puts an agent into every pod where anything is asked of any node's network: a link is measured from both its
    /// ends.
    async fn get_ready(&self, foreseen: BTreeMap<NodeId, Condition>) -> Result<(), TargetError> {
        let up = self.up()?;
        for (node, condition) in &foreseen {
            let member = up.member(node)?;
            let known = member.state.lock().await;
            if ends(condition)
                && let Some(why) = pod::never_returns(&known.now)
            {
                return Err(member.failed(why));
            }
        }
        let wired = foreseen.values().any(is_wired);
        let joining = self.options.foreseen.iter().filter(|condition| joins_processes(condition));
        let takes = joining.map(within::capabilities).max_by_key(|all| all.len()).unwrap_or(&[]);
        let seized = self
            .options
            .foreseen
            .iter()
            .any(|condition| matches!(condition.life, Life::Crashed | Life::Paused));
        up.wired.store(wired, Ordering::Release);
        let agents = up.members.values().map(|member| async {
            let condition = foreseen.get(&member.id).cloned().unwrap_or_default();
            let mut known = member.state.lock().await;
            member.look(&mut known);
            if wired {
                let agent = member.agent(up.with(), &mut known).await?;
                // Known only where an agent stands, and before anything is touched.
                if let Some(why) = cannot_shape(&condition, &agent.hello.shaping) {
                    return Err(member.failed(why));
                }
                let place = known.place();
                known.flank.foresee_names(&place, &condition.dns).await;
            }
            known.takes = takes;
            // One that kills hides one that pauses: then it may be either.
            if joins_processes(&condition) || seized && condition.life > Life::Running {
                member.insider(up.with(), &mut known).await?;
            }
            Ok(())
        });
        try_join_all(agents).await.map(drop)
    }

    async fn take_down(&self) -> Vec<String> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(up) = up else { return vec![] };
        up.ending.cancel();
        let not_given_back = up.give_back().await;
        let left = up.members.values().map(|member| async {
            let mut known = member.state.lock().await;
            member.look(&mut known);
            let lives = member.live(up.with(), &mut known, Life::Running).await;
            known.flank.leave();
            known.insider = None;
            if let Err(e) = lives {
                tracing::warn!("{e}"); // its agent has ended, and with it what it held
            }
            member.emptied(up.options.lease + LEAVING).await
        });
        let left = join_all(left).await.into_iter().flatten().chain(not_given_back).collect();
        up.save_logs().await;
        let board = up.board.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(board) = board {
            news::Board::end(board).await;
        }
        up.watching.cancel();
        left
    }
}

/// Whether clients reach the nodes over the API server.
async fn is_forwarded(clients: Clients, found: &[discover::Found], ports: &[u16]) -> bool {
    let at = |f: &discover::Found| -> Vec<SocketAddr> {
        let all = f.state.addresses.iter();
        all.flat_map(|a| ports.iter().map(|port| SocketAddr::new(*a, *port))).collect()
    };
    match clients {
        Clients::Direct => false,
        Clients::Forward => true,
        Clients::Auto => {
            let all: Vec<SocketAddr> = found.iter().flat_map(at).collect();
            !forward::any_answers(&all).await
        }
    }
}

/// The plan was made for certain nodes in certain zones: others would make it a plan for something else.
fn as_planned(planned: &[(NodeId, String)], found: &[discover::Found]) -> Result<(), TargetError> {
    let there: BTreeMap<&NodeId, &String> = found.iter().map(|f| (&f.node, &f.zone)).collect();
    let wanted: BTreeMap<&NodeId, &String> = planned.iter().map(|(n, z)| (n, z)).collect();
    if there == wanted {
        return Ok(());
    }
    let show = |nodes: &BTreeMap<&NodeId, &String>| {
        let all: Vec<String> =
            nodes.iter().map(|(node, zone)| format!("{node} ({zone})")).collect();
        if all.is_empty() { "none".to_string() } else { all.join(", ") }
    };
    Err(TargetError::Other(format!(
        "the nodes are not those that were planned with: planned {}; found {}",
        show(&wanted),
        show(&there)
    )))
}

impl Target for Kubernetes {
    fn inventory(&self) -> Inventory {
        let bare = |(id, zone): &(NodeId, String)| Node {
            id: id.clone(),
            zone: zone.clone(),
            endpoints: BTreeMap::new(),
        };
        Inventory::new(self.options.nodes.iter().map(bare).collect())
    }

    fn keep_addresses(&self, book: AddressBook) {
        *self.book.lock().unwrap_or_else(PoisonError::into_inner) = book;
    }

    fn start(&self) -> BoxFuture<'_, Result<Inventory, TargetError>> {
        async move {
            let began = self.bring_up().await;
            if began.is_err() {
                self.take_down().await;
            }
            began
        }
        .boxed()
    }

    fn foresee(
        &self,
        foreseen: BTreeMap<NodeId, Condition>,
    ) -> BoxFuture<'_, Result<(), TargetError>> {
        self.get_ready(foreseen).boxed()
    }

    fn notices(&self) -> mpsc::UnboundedReceiver<Notice> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A second listener hears nothing.
        listener.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    fn restores<'a>(
        &'a self,
        node: &'a NodeId,
        condition: &'a Condition,
    ) -> BoxFuture<'a, Vec<crate::target::Restore>> {
        async move {
            // What cannot be reached is told when it is applied.
            let Ok(up) = self.up() else { return vec![] };
            match up.member(node) {
                Ok(member) => up.restores(member, condition).await,
                Err(_) => vec![],
            }
        }
        .boxed()
    }

    fn apply<'a>(
        &'a self,
        node: &'a NodeId,
        condition: &'a Condition,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        async move { self.up()?.apply(node, condition).await }.boxed()
    }

    fn prove<'a>(&'a self, node: &'a NodeId) -> BoxFuture<'a, Proof> {
        async move {
            let unproven = |e: TargetError| Proof {
                measured: vec![],
                unproven: Some(e.to_string()),
                lapses: vec![],
            };
            match self.up() {
                Ok(up) => match up.member(node) {
                    Ok(member) => up.prove(member).await,
                    Err(e) => unproven(e),
                },
                Err(e) => unproven(e),
            }
        }
        .boxed()
    }

    fn announce(&self, news: &News) {
        if let Ok(up) = self.up() {
            up.announce(news);
        }
    }

    fn stop(&self) -> BoxFuture<'_, Vec<String>> {
        self.take_down().boxed()
    }
}
