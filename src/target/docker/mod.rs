//! Nodes as containers of a Docker engine: a Compose project of the drill's own, or whatever runs already.
//!
//! Invariant: of what runs already nothing is changed but what the conditions say, and each such change is
//! undone by [`Target::stop`], by the end of the agents' streams, or by what [`Target::restores`] names.
//!
//! Deliberately absent: when to do what; and what a node's software is.

mod ability;
mod attached;
mod beside;
mod compose;
mod crash;
mod discover;
mod engine;
mod errand;
mod events;
mod image;
mod leftover;
mod member;
mod prove;
pub mod restore;
mod up;
mod within;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use ability::{cannot, shaping};
pub use compose::Compose;
pub use crash::kill_here;
pub use discover::{Which, Zones};
pub use image::load;
pub use leftover::{PROJECT_PREFIX, sweep};

use crate::agent::beside::probe::Prober;
use crate::agent::beside::protocol::Shaping;
use crate::condition::{Condition, Life};
use crate::control::{Agent, is_shaped};
use crate::inventory::{AddressBook, Inventory, Node, NodeId};
use crate::target::{Notice, Proof, Restore, Target, TargetError};
use discover::{Found, State};
use member::{Known, Member};
use restore::What;
use up::Up;

/// What is to be drilled, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The run's id: the label of what is made beside the nodes.
    pub run: String,
    /// The run's folder. The nodes' logs go to `nodes/NAME.log` in it at the end.
    pub folder: PathBuf,
    /// The engine, where it is not the one that the environment names.
    pub engine: Option<String>,
    /// The project to bring up, and whether it is left when the drill is over.
    pub compose: Option<(Compose, bool)>,
    /// Which containers are the nodes.
    pub which: Which,
    /// Where they stand.
    pub zones: Zones,
    /// The nodes that were planned with, and their zones.
    pub nodes: Vec<(NodeId, String)>,
    /// Their ports, by name.
    pub ports: BTreeMap<String, u16>,
    /// The port that accepts connections once a node is ready.
    pub ready_port: Option<u16>,
    /// How long a node may take to get ready.
    pub ready_timeout: Duration,
    /// How long a node may take to end when it is asked to, before it is killed.
    pub stop_timeout: Duration,
    /// How long an agent holds what it was told without hearing from the runner.
    pub lease: Duration,
    /// The firedrill binary, of which the agent's image is made.
    pub binary: PathBuf,
}

/// The nodes that will be drilled, and where they stand: asked while planning, changes nothing.
pub async fn nodes(
    engine: Option<&str>,
    compose: Option<&Compose>,
    which: &Which,
    zones: &Zones,
) -> Result<Vec<(NodeId, String)>, TargetError> {
    if let (Some(compose), Which::Project { services, .. }) = (compose, which) {
        return discover::planned(&compose.services()?, services, zones);
    }
    let api = engine::connect(engine).await?;
    let found = discover::find(&api, which, zones).await?;
    Ok(found.into_iter().map(|found| (found.node, found.zone)).collect())
}

/// The Docker target.
#[derive(Debug)]
pub struct Docker {
    options: Options,
    notices: mpsc::UnboundedSender<Notice>,
    listener: Mutex<Option<mpsc::UnboundedReceiver<Notice>>>,
    /// Where clients look up the nodes.
    book: Mutex<AddressBook>,
    up: Mutex<Option<Arc<Up>>>,
}

impl Docker {
    /// A target of these options; nothing is done yet.
    pub fn new(options: Options) -> Docker {
        let (notices, listener) = mpsc::unbounded_channel();
        let (listener, up) = (Mutex::new(Some(listener)), Mutex::default());
        Docker { options, notices, listener, book: Mutex::default(), up }
    }

    fn up(&self) -> Result<Arc<Up>, TargetError> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.clone().ok_or_else(|| TargetError::Other("the nodes are not started".into()))
    }

    async fn bring_up(&self) -> Result<Inventory, TargetError> {
        let options = &self.options;
        let api = engine::connect(options.engine.as_deref()).await?;
        let image = image::ensure(&api, &options.binary).await?;
        if let (Some((compose, _)), Which::Project { project, .. }) =
            (&options.compose, &options.which)
        {
            let (compose, project, guard) =
                (compose.clone(), project.clone(), options.binary.clone());
            blocking(move || compose.up(&project, &guard)).await?;
        }
        let found = discover::find(&api, &options.which, &options.zones).await?;
        as_planned(&options.nodes, &found)?;
        let addresses = found.iter().map(|f| (f.node.clone(), f.state.addresses.clone()));
        let addresses = Mutex::new(addresses.collect());
        let prober = Prober::bind()
            .map_err(|e| TargetError::Other(format!("no socket to measure links with: {e}")))?;
        let (lost, lost_ones) = mpsc::unbounded_channel();
        let member = |f: Found| (f.node.clone(), Member::new(f.node, f.zone, f.state));
        let up = Arc::new(Up {
            options: options.clone(),
            api,
            image,
            notices: self.notices.clone(),
            lost,
            members: found.into_iter().map(member).collect(),
            addresses,
            book: self.book.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            begun: AtomicBool::new(false),
            prober,
            ending: CancellationToken::new(),
        });
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = Some(up.clone());
        let began = up.begin().await;
        match began {
            Ok(()) => {
                up.begun.store(true, Ordering::Release);
                events::watch(up.clone(), lost_ones);
                Ok(up.inventory().await)
            }
            Err(why) => {
                drop(up);
                self.take_down().await;
                Err(why)
            }
        }
    }

    async fn take_down(&self) -> Vec<String> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(up) = up else { return self.compose_down().await };
        up.ending.cancel();
        up.save_logs().await;
        let kept = match &self.options.compose {
            Some((_, keep)) => *keep,
            None => true,
        };
        let mut left = vec![];
        for member in up.members.values() {
            let mut known = member.state.lock().await;
            known.flank.leave();
            (known.asked.load, known.asked.disk, known.asked.clock) = Default::default();
            if kept && let Err(why) = member.suffer(up.with(), &mut known).await {
                tracing::warn!("{why}"); // what is not given back is in the journal still
            }
            known.within.forget();
            if kept && let Err(e) = member.live(up.with(), &mut known, Life::Running).await {
                if let Ok(None) = restore::state(&up.api, &known.now.container).await {
                    continue; // somebody removed it: there is nothing to restore
                }
                let what = self.what(known.asked.life, &known.now);
                let by_hand = what.map(|what| format!("{} ({e})", self.restore(what).by_hand()));
                left.extend(by_hand);
            }
        }
        // Interrupted before it had begun, it did not wait for the engine's answers.
        let patience =
            if up.begun.load(Ordering::Acquire) { Duration::ZERO } else { restore::UNDERWAY };
        if let Err(why) = restore::remove_helpers(&up.api, &self.options.run, patience).await {
            left.push(format!("{} ({why})", self.helpers().by_hand()));
        }
        left.extend(self.compose_down().await);
        left
    }

    async fn compose_down(&self) -> Vec<String> {
        let (Some((compose, false)), Which::Project { project, .. }) =
            (&self.options.compose, &self.options.which)
        else {
            return vec![];
        };
        let (compose, project) = (compose.clone(), project.clone());
        let down = blocking(move || compose.take_down(&project)).await;
        down.err().map(|e| e.to_string()).into_iter().collect()
    }

    fn restore(&self, what: What) -> restore::Restore {
        restore::Restore { engine: self.options.engine.clone(), what }
    }

    fn helpers(&self) -> restore::Restore {
        self.restore(What::Helpers { run: self.options.run.clone(), runner: std::process::id() })
    }

    /// How is undone what an agent makes that shapes by netem, and that stays if it is killed.
    fn devices(&self, up: &Up, condition: &Condition, known: &Known) -> Option<What> {
        let netem = |agent: &Arc<Agent>| agent.hello.shaping == Shaping::Netem;
        // Of an agent that is to come nothing is known yet.
        let stays = is_shaped(condition) && known.flank.agent.as_ref().is_none_or(netem);
        stays.then(|| What::Devices {
            container: known.now.container.clone(),
            name: known.now.name.clone(),
            run: self.options.run.clone(),
            image: up.image.clone(),
        })
    }

    /// How a life is undone.
    fn what(&self, life: Life, now: &State) -> Option<What> {
        let (container, name) = (now.container.clone(), now.name.clone());
        let grace = match life {
            Life::Running => return None,
            Life::Paused => return Some(What::Unpause { container, name }),
            Life::Crashed | Life::Killed => Duration::ZERO,
            Life::Evicted | Life::Stopped => self.options.stop_timeout,
        };
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        Some(What::Start { container, name, grace_ms })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TargetError> + Send + 'static,
) -> Result<T, TargetError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(TargetError::Other(format!("a thread broke: {e}"))))
}

/// The plan was made for certain nodes in certain zones: others would make it a plan for something else.
fn as_planned(planned: &[(NodeId, String)], found: &[Found]) -> Result<(), TargetError> {
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

impl Target for Docker {
    fn inventory(&self) -> Inventory {
        let bare = |(id, zone): &(NodeId, String)| Node {
            id: id.clone(),
            zone: zone.clone(),
            endpoints: BTreeMap::new(),
        };
        Inventory::new(self.options.nodes.iter().map(bare).collect())
    }

    fn restores_start(&self) -> Vec<Restore> {
        let mut all = vec![Restore::Docker(self.helpers())];
        if let (Some((compose, false)), Which::Project { project, .. }) =
            (&self.options.compose, &self.options.which)
        {
            // Undone in reverse: what the engine still made while it was taken down goes last.
            let (project, runner) = (project.clone(), std::process::id());
            let down = compose.down(&project);
            all.push(Restore::Docker(self.restore(What::Project { project, runner })));
            all.push(Restore::Command(down));
        }
        all
    }

    fn restores<'a>(
        &'a self,
        node: &'a NodeId,
        condition: &'a Condition,
    ) -> BoxFuture<'a, Vec<Restore>> {
        async move {
            let Ok(up) = self.up() else { return vec![] };
            let Ok(member) = up.member(node) else { return vec![] };
            let mut known = member.state.lock().await;
            let life = self.what(condition.life, &known.now);
            let devices = self.devices(&up, condition, &known);
            let limits = up.limits_to_give_back(member, &mut known, condition).await;
            let what = life.into_iter().chain(devices).chain(limits);
            what.map(|what| Restore::Docker(self.restore(what))).collect()
        }
        .boxed()
    }

    fn keep_addresses(&self, book: AddressBook) {
        *self.book.lock().unwrap_or_else(PoisonError::into_inner) = book;
    }

    fn start(&self) -> BoxFuture<'_, Result<Inventory, TargetError>> {
        self.bring_up().boxed()
    }

    fn foresee(
        &self,
        foreseen: BTreeMap<NodeId, Condition>,
    ) -> BoxFuture<'_, Result<(), TargetError>> {
        async move {
            let up = self.up()?;
            let ready = foreseen.into_iter().filter_map(|(node, condition)| {
                let member = up.members.get(&node)?;
                let up = &up;
                Some(async move {
                    let mut known = member.state.lock().await;
                    member.foresee(up.with(), &mut known, &condition).await;
                    let place = known.place();
                    known.flank.foresee_names(&place, &condition.dns).await;
                })
            });
            // Broken off, it leaves answers of the engine's that nobody waits for.
            up.begun.store(false, Ordering::Release);
            join_all(ready).await;
            up.begun.store(true, Ordering::Release);
            Ok(())
        }
        .boxed()
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

    fn stop(&self) -> BoxFuture<'_, Vec<String>> {
        self.take_down().boxed()
    }
}
