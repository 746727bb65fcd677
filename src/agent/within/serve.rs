//! The work of the agent within a node: one order after the other, each answered.
//!
//! Invariant: an order that takes its time does not keep the lease from ending.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::cgroup::{Cgroup, Limits};
use super::disk::Filler;
use super::protocol::{Done, Hello, Measured, Order};
use super::reading;
use super::seize::{self, Grip};
use super::stress::{Stress, is_stress};
use super::time::Timekeeper;
use crate::agent::AgentError;
use crate::agent::conversation::{Ended, Manners, Obedient, Say, converse};
use crate::condition::{ClockSkew, Load};

/// Where the machine's control groups are mounted in the agent's container.
pub const CGROUPS: &str = "/cgroup";
/// The node's own files, as whoever shares its process namespace sees them.
const NODE: &str = "/proc/1/root";
/// The node's first process, as whoever shares its process namespace numbers it.
const FIRST: i32 = 1;
/// How often it is looked whether a full file system still is, and whether there are new processes to whom the time
/// is to be told wrong.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked whether limits stay as they were given back.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Serves until the end of input, of the lease, or SIGTERM. The caller ends the process then: that is what heals.
pub async fn serve(manners: Manners) -> Result<Ended, AgentError> {
    let node = Arc::new(Mutex::new(Node::default()));
    let hello = Hello { version: env!("CARGO_PKG_VERSION").into() };
    let kept = node.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            let mut node = kept.lock().await;
            if !node.filler.is_idle() {
                node.filler.refill();
            }
            if !node.time.is_idle() {
                node.time.keep().await;
            }
        }
    });
    let mut shared = Shared { node: node.clone(), orders: JoinSet::new() };
    let ended = converse(manners, &hello, &mut shared).await;
    // What is under way is given up; a stress that is starting ends with it.
    shared.orders.shutdown().await;
    // What holds ends with the process, but for limits: whoever is left gives those back sooner than anybody else.
    node.lock().await.give_back().await;
    ended
}

/// The node as whoever obeys has it: what takes its time is done aside.
struct Shared {
    node: Arc<Mutex<Node>>,
    orders: JoinSet<()>,
}

impl Obedient for Shared {
    type Order = Order;

    fn obey(&mut self, id: u64, order: Order, say: &Say) {
        let (node, say) = (self.node.clone(), say.clone());
        while self.orders.try_join_next().is_some() {}
        self.orders.spawn(async move {
            let done = match order {
                Order::Beat => Ok(Done::Beaten), // not behind what takes its time
                order => node.lock().await.obey(order).await,
            };
            say.answer(id, done);
        });
    }
}

struct Node {
    filler: Filler,
    time: Timekeeper,
    stress: Option<Stress>,
    load: Load,
    /// The limits that the node has of its own, while it suffers others.
    own: Option<Limits>,
    /// What makes its processes stand still.
    grip: Option<Grip>,
}

impl Default for Node {
    fn default() -> Self {
        let (stress, load, own, grip) = (None, Load::default(), None, None);
        let (filler, time) = (Filler::of(Path::new(NODE)), Timekeeper::default());
        Node { filler, time, stress, load, own, grip }
    }
}

impl Node {
    async fn obey(&mut self, order: Order) -> Result<Done, String> {
        match order {
            Order::Beat => Ok(Done::Beaten),
            Order::Limits => Ok(Done::Limits(group()?.limits())),
            Order::Load { load, own } => {
                let lapses = self.load(load, own).await?;
                Ok(Done::Held { lapses, rooms: BTreeMap::new() })
            }
            Order::Disk(disk) => {
                self.filler.hold(&disk)?;
                let rooms = self.filler.measure(&disk.full.keys().cloned().collect())?;
                Ok(Done::Held { lapses: self.filler.lapses(), rooms })
            }
            Order::Clock(skew) => {
                let lapses = self.time.lapses();
                self.time.hold(skew).await?;
                Ok(Done::Held { lapses, rooms: BTreeMap::new() })
            }
            Order::Halt(halted) => {
                let lapses = self.halt(halted)?;
                Ok(Done::Held { lapses, rooms: BTreeMap::new() })
            }
            Order::Crash => {
                self.grip = None; // what is seized by one thread cannot be by another
                seize::kill(FIRST).map(|()| Done::Beaten)
            }
            Order::Measure { folders } => self.measure(&folders).await.map(Done::Measured),
        }
    }

    fn halt(&mut self, halted: bool) -> Result<Vec<String>, String> {
        if !halted {
            self.grip = None;
        } else if self.grip.is_none() {
            self.grip = Some(Grip::of(seize::is_of_others)?);
        }
        Ok(vec![])
    }

    async fn load(&mut self, load: Load, own: Limits) -> Result<Vec<String>, String> {
        let group = seen_group()?;
        let mut lapses = vec![];
        lapses.extend(self.stress.as_mut().and_then(Stress::ended));
        let stress = |load: &Load| (load.cpu_workers, load.cpu_share, load.memory);
        let same = stress(&self.load) == stress(&load) && lapses.is_empty();
        // Known before it is done: what fails half is measured against what was asked, and given back.
        (self.own, self.load) = (Some(own.clone()), load.clone());
        let limits = match &group {
            Some(group) => Some(group.limited(&own, &load)?),
            None if load.has_limits() => return Err("its limits are not seen from here".into()),
            None => None,
        };
        if !same && let Some(old) = self.stress.take() {
            old.stop().await;
        }
        if let (Some(group), Some(limits)) = (&group, &limits) {
            group.set(limits)?;
        }
        if self.stress.is_none() && is_stress(&load) {
            self.stress = Some(Stress::start(&load, group.as_ref()).await?);
        }
        Ok(lapses)
    }

    async fn measure(&mut self, folders: &BTreeSet<String>) -> Result<Measured, String> {
        let rooms = self.filler.measure(folders)?;
        let clocks = self.time.measure().await?;
        let standstill = self.grip.as_ref().map(Grip::measure);
        let mut measured = Measured { rooms, clocks, standstill, ..Measured::default() };
        if let (Some(own), Some(group)) = (&self.own, seen_group()?) {
            measured.asked = Some(group.limited(own, &self.load)?);
            measured.limits = Some(group.limits());
            if let Some(limit) = self.load.read_limit {
                measured.reads = Some(reading::measure(&group, limit).await);
            }
        }
        if let Some(stress) = &mut self.stress {
            if let Some(ended) = stress.ended() {
                return Err(ended);
            }
            (measured.stress_cpus, measured.stress_memory) = stress.measure().await;
        }
        Ok(measured)
    }

    async fn give_back(&mut self) {
        // The clocks are right in time by themselves, too; but then their code is left where it was put.
        let _ = self.time.hold(ClockSkew::NONE).await;
        if let (Some(own), Ok(group)) = (self.own.take(), group()) {
            // The journal knows them too.
            let _ = group.set(&own);
        }
    }
}

/// The same, where they are seen: elsewhere what is taken from the node is taken from what this agent shares with it,
/// its pod.
fn seen_group() -> Result<Option<Cgroup>, String> {
    if Path::new(CGROUPS).is_dir() { group().map(Some) } else { Ok(None) }
}

/// The control groups of the node's first process.
fn group() -> Result<Cgroup, String> {
    let memberships = std::fs::read_to_string("/proc/1/cgroup")
        .map_err(|e| format!("the node's control groups are not seen: {e}"))?;
    Cgroup::of(&memberships, Path::new(CGROUPS), Path::new("/sys/block"))
}

/// Gives a node the limits back that it has of its own: what a helper does that nobody speaks to. For so long it
/// looks whether somebody still takes them away, with what he was told last.
pub fn restore_here(own: &Limits, patience: Duration) -> Result<(), String> {
    let began = Instant::now();
    loop {
        group()?.set(own)?;
        if began.elapsed() >= patience {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
