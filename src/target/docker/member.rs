//! One node: its container from one life to the next, and the agent beside it.
//!
//! Invariant: `asked` is what firedrill last asked of it. A container that died by itself keeps it: its death is a
//! finding, not something to repair. An agent that is gone is made anew and told again; how long nothing was
//! held meanwhile is a lapse, which the next proof must tell.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bollard::Docker as Api;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::Options;
use super::attached::Place;
use super::beside;
use super::discover::{self, State};
use super::engine::{is_so_already, words};
use super::within::Within;
use crate::condition::{ClockSkew, Disk, Life, Load};
use crate::control::{self, Agent, Flank};
use crate::history::NodeEventKind;
use crate::inventory::NodeId;
use crate::target::{Notice, TargetError};

/// How long the engine may take to make true what it said.
const SETTLED: Duration = Duration::from_secs(10);
/// How long it may take to notice that a process has ended.
const NOTICED: Duration = Duration::from_millis(500);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(10);
/// How long to wait for a node to get ready whose links suffer: it may not be able to.
const READY_WHILE_CUT: Duration = Duration::from_secs(1);

/// One node of the drill.
#[derive(Debug)]
pub(super) struct Member {
    pub id: NodeId,
    pub zone: String,
    /// Held while something is done to it.
    pub state: tokio::sync::Mutex<Known>,
    /// Whether firedrill means its process to end.
    pub meant: AtomicBool,
    /// Whether its end has been told: by the engine's event, or because it was seen to be down.
    pub told_dead: AtomicBool,
    /// The id of its container, for those who must not wait for what is being done to it.
    container: std::sync::Mutex<String>,
}

/// What is known of a node, and was asked of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// As the engine told it last.
    pub now: State,
    pub asked: Asked,
    /// Its network, and the agent beside it.
    pub flank: Flank,
    /// The agents within it.
    pub within: Within,
    /// When nothing was held that should have been, in words.
    pub lapses: Vec<String>,
    /// The process that was killed by a crash.
    pub crashed: Option<i64>,
    ready: bool,
}

impl Known {
    /// Its process is gone: who stood beside it stands in namespaces that nobody uses any more.
    pub fn alone(&mut self) {
        self.flank.leave();
        self.within.forget();
    }

    /// Where it is, as far as its network goes.
    pub fn place(&self) -> control::Place {
        let State { name, running, paused, addresses, gateways, .. } = &self.now;
        control::Place {
            name: name.clone(),
            running: *running,
            paused: *paused,
            addresses: addresses.clone(),
            clients: gateways.clone(),
            clock: String::new(), // one engine has one kernel
        }
    }
}

/// What firedrill asked of a node.
#[derive(Debug, Default, Clone)]
pub(super) struct Asked {
    pub life: Life,
    pub load: Load,
    pub disk: Disk,
    pub clock: ClockSkew,
}

/// What a member needs of its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct With<'a> {
    pub api: &'a Api,
    pub options: &'a Options,
    pub image: &'a str,
    pub notices: &'a mpsc::UnboundedSender<Notice>,
    /// Who is told of agents within that have ended.
    pub lost: &'a mpsc::UnboundedSender<NodeId>,
}

impl Member {
    pub fn new(id: NodeId, zone: String, now: State) -> Member {
        let container = std::sync::Mutex::new(now.container.clone());
        let state = tokio::sync::Mutex::new(Known { now, ready: true, ..Known::default() });
        let (meant, told_dead) = (AtomicBool::new(false), AtomicBool::new(false));
        Member { id, zone, state, meant, told_dead, container }
    }

    /// The id of its container.
    pub fn container(&self) -> String {
        self.container.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It lives in another container from now on.
    pub async fn rename(&self, now: State) {
        let mut known = self.state.lock().await;
        *self.container.lock().unwrap_or_else(PoisonError::into_inner) = now.container.clone();
        known.alone();
        known.within.is_another();
        known.ready = false;
        known.now = State { pid: 0, ..now };
    }

    pub fn failed(&self, why: impl Into<String>) -> TargetError {
        TargetError::Node { node: self.id.clone(), why: why.into() }
    }

    pub fn notice(&self, with: With<'_>, kind: NodeEventKind) {
        // Nobody may listen any more.
        let _ = with.notices.send(Notice { at: Instant::now(), node: self.id.clone(), kind });
    }

    /// Asks the engine what there is now.
    pub async fn look(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        let now = discover::inspect(with.api, &known.now.container).await;
        let now = now.map_err(|e| self.failed(e.to_string()))?;
        // Another process has to get ready anew.
        known.ready &= now.running && now.pid == known.now.pid;
        known.now = now;
        Ok(())
    }

    /// Brings about a life; idempotent.
    pub async fn live(
        &self,
        with: With<'_>,
        known: &mut Known,
        life: Life,
    ) -> Result<(), TargetError> {
        let before = known.asked.life;
        if before == life {
            return Ok(());
        }
        match life {
            Life::Running | Life::Paused if !before.has_process() => {
                self.start(with, known).await?
            }
            Life::Running if before == Life::Crashed => self.start(with, known).await?,
            Life::Running | Life::Paused | Life::Crashed => {}
            Life::Evicted | Life::Stopped => self.stop(with, known).await?,
            Life::Killed => self.kill(with, known).await?,
        }
        let container = known.now.container.clone();
        let said = match (before, life) {
            (_, Life::Paused) => with.api.pause_container(&container).await,
            (Life::Paused, Life::Running | Life::Crashed) => {
                let said = with.api.unpause_container(&container).await;
                // Somebody else let it go on: that is as it should be. Engines have no status of its own for it.
                said.or_else(|e| if words(&e).contains("is not paused") { Ok(()) } else { Err(e) })
            }
            _ => Ok(()),
        };
        self.fine(said)?;
        if life == Life::Crashed {
            self.crash(with, known).await?;
        }
        known.asked.life = life;
        Ok(())
    }

    fn fine(&self, said: Result<(), bollard::errors::Error>) -> Result<(), TargetError> {
        match said {
            Err(e) if !is_so_already(&e) => Err(self.failed(words(&e))),
            _ => Ok(()),
        }
    }

    async fn start(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        let container = known.now.container.clone();
        self.look(with, known).await?;
        if !known.now.running {
            known.ready = false;
            let said = with.api.start_container(&container, None::<StartContainerOptions>).await;
            self.fine(said)?;
        }
        self.until(with, known, "run", |now| now.running).await
    }

    async fn stop(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        self.meant.store(true, Ordering::Release);
        let patience = i32::try_from(with.options.stop_timeout.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(patience).build();
        let said = with.api.stop_container(&known.now.container, Some(options)).await;
        self.fine(said)?;
        known.alone();
        self.until(with, known, "end", |now| !now.running).await
    }

    async fn kill(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        self.meant.store(true, Ordering::Release);
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let said = with.api.kill_container(&known.now.container, Some(options)).await;
        self.fine(said)?;
        known.alone();
        self.until(with, known, "end", |now| !now.running).await
    }

    /// Kills the process, and leaves the container to its restart policy.
    async fn crash(&self, with: With<'_>, known: &mut Known) -> Result<(), TargetError> {
        self.look(with, known).await?;
        if !known.now.running {
            return Err(self.failed("it does not run, so that nothing could crash"));
        }
        self.meant.store(true, Ordering::Release);
        let pid = known.now.pid;
        known.crashed = Some(pid);
        known.ready = false;
        super::crash::kill(with, &self.id, pid).await.map_err(|why| self.failed(why))?;
        known.alone();
        self.until(with, known, "crash", |now| !now.running || now.pid != pid).await
    }

    async fn until(
        &self,
        with: With<'_>,
        known: &mut Known,
        what: &str,
        so: impl Fn(&State) -> bool,
    ) -> Result<(), TargetError> {
        let deadline = Instant::now() + SETTLED;
        loop {
            self.look(with, known).await?;
            if so(&known.now) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let name = &known.now.name;
                return Err(
                    self.failed(format!("container {name} does not {what} within {SETTLED:?}"))
                );
            }
            sleep(LOOK).await;
        }
    }

    /// Whether this process of its has ended, perhaps just now, when the engine has not noticed yet.
    pub async fn has_ended(&self, with: With<'_>, known: &mut Known, process: i64) -> bool {
        let deadline = Instant::now() + NOTICED;
        loop {
            if self.look(with, known).await.is_err() {
                return false;
            }
            if !known.now.running || known.now.pid != process {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK).await;
        }
    }

    /// Its agent; a new one where there is none.
    pub async fn agent(
        &self,
        with: With<'_>,
        known: &mut Known,
    ) -> Result<Arc<Agent>, TargetError> {
        match known.flank.alive() {
            Some(agent) => Ok(agent.clone()),
            None => self.attach(with, known).await,
        }
    }

    async fn attach(&self, with: With<'_>, known: &mut Known) -> Result<Arc<Agent>, TargetError> {
        if known.now.host_network {
            return Err(self.failed(
                "it shares the host's network, so that cutting it off would cut off the host; \
                 give it a network of its own",
            ));
        }
        let place = Place {
            run: with.options.run.clone(),
            image: with.image.to_string(),
            lease: with.options.lease,
            node: self.id.to_string(),
            command: vec![],
            host: Place::bare(),
        };
        let network = format!("container:{}", known.now.container);
        let agent = beside::start(with.api, place, &network).await;
        let agent = agent.map_err(|why| self.failed(why))?;
        let agent = Arc::new(agent);
        known.flank.join(agent.clone());
        Ok(agent)
    }

    /// Where clients reach one of its ports.
    pub fn endpoint(now: &State, port: u16) -> Option<String> {
        let published = now.published.get(&port).map(|host| format!("127.0.0.1:{host}"));
        let own = now.addresses.first().map(|address| socket(*address, port));
        // An address that stays says more of the node than a port of the host, behind which a proxy listens.
        if now.fixed { own.or(published) } else { published.or(own) }
    }

    /// Waits until it is ready. `first`: when everything has just been brought up, its health check too.
    pub async fn await_ready(
        &self,
        with: With<'_>,
        known: &mut Known,
        linked: bool,
        first: bool,
    ) -> Result<(), TargetError> {
        if known.ready && !first {
            return Ok(());
        }
        let all = with.options.ready_timeout;
        let patience = if linked { all } else { all.min(READY_WHILE_CUT) };
        let deadline = Instant::now() + patience;
        loop {
            self.look(with, known).await?;
            let now = &known.now;
            if !now.running && !now.restarting {
                let (name, code) = (&now.name, now.exit_code);
                let hint = format!("see `docker logs {name}`");
                return Err(self.failed(format!("its container {name} ended with {code}; {hint}")));
            }
            let healthy = now.running && (!first || now.healthy != Some(false));
            if healthy && self.accepts(with, now).await {
                known.ready = true;
                self.notice(with, NodeEventKind::Ready);
                return Ok(());
            }
            if Instant::now() >= deadline {
                if !linked {
                    return Ok(()); // the proof will say whether it is
                }
                let why = match healthy {
                    false if now.restarting => {
                        format!("its container {} ends again and again", now.name)
                    }
                    false => format!("its container {} is not healthy", now.name),
                    true => format!(
                        "its ready port accepts no connection ({})",
                        self.ready_at(with, now)
                    ),
                };
                return Err(self.failed(format!("{why} after {patience:?}")));
            }
            sleep(LOOK * 2).await;
        }
    }

    fn ready_at(&self, with: With<'_>, now: &State) -> String {
        let port = with.options.ready_port.and_then(|port| Member::endpoint(now, port));
        port.unwrap_or_else(|| "no address".into())
    }

    /// Whether its ready port accepts connections; a node without one is ready when it runs.
    pub async fn accepts(&self, with: With<'_>, now: &State) -> bool {
        if with.options.ready_port.is_none() {
            return now.healthy != Some(false);
        }
        let connect = TcpStream::connect(self.ready_at(with, now));
        matches!(timeout(Duration::from_millis(500), connect).await, Ok(Ok(_)))
    }
}

pub(super) fn socket(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}
