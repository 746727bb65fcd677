//! The machines that pods stand on, as far as a drill changes them: closed and tainted through the API, switched off
//! and cut off by the user's own commands.
//!
//! Invariant: a machine is as all that is asked of the nodes on it together, and is given back once nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use tokio::time::{Instant, sleep};

use super::cluster::{is_absent, is_missing, words};
use super::controller::TRIES;
use super::mark::{self, Asked};
use super::objects::Node;
use crate::command::{self, Around};
use crate::condition::{Closed, Machine, Power};
use crate::inventory::NodeId;

/// How long a command for a machine may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// How long the cluster may take to notice what became of a machine: it waits 50 s for a sign of life, and then tells.
const NOTICED: Duration = Duration::from_secs(56);
/// How often a machine is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// What the API cannot do to a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Switches it off, and on.
    pub off: Option<Pair>,
    /// Cuts it off, and joins it again.
    pub cut: Option<Pair>,
}

/// A command and what undoes it: program and arguments, in which `{machine}` and `{zone}` stand for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Does it.
    pub inject: Vec<String>,
    /// Undoes it, and tolerates that nothing was done.
    pub heal: Vec<String>,
}

impl Pair {
    /// For one machine.
    pub(super) fn of(&self, machine: &str, zone: &str) -> Pair {
        let fill = |argv: &[String]| {
            argv.iter().map(|w| w.replace("{machine}", machine).replace("{zone}", zone)).collect()
        };
        Pair { inject: fill(&self.inject), heal: fill(&self.heal) }
    }
}

impl Commands {
    pub(super) fn pair(&self, power: Power) -> Option<&Pair> {
        match power {
            Power::On => None,
            Power::Cut => self.cut.as_ref(),
            Power::Off => self.off.as_ref(),
        }
    }
}

/// What is asked of machines, by whom.
#[derive(Debug, Default)]
pub(super) struct Held {
    asked: BTreeMap<String, BTreeMap<NodeId, Part>>,
    /// What the user's commands did to each.
    power: BTreeMap<String, Pair>,
    /// Through what they are started: they end when the runner dies.
    guard: Option<PathBuf>,
    /// How long a machine may take to be back.
    patience: Duration,
}

/// What one node asks of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub asked: Asked,
    /// What is to be done to it by command.
    pub command: Option<Pair>,
}

impl Part {
    /// What a node asks of a machine that it stands on (`own`), or that is of its zone.
    pub fn new(wanted: &Machine, own: bool, command: Option<Pair>) -> Part {
        let closed = wanted.closed == Closed::Zone || own && wanted.closed == Closed::Machine;
        let taints = if own { wanted.taints.clone() } else { BTreeSet::new() };
        Part { asked: Asked { closed, taints }, command: command.filter(|_| own) }
    }

    fn is_empty(&self) -> bool {
        *self == Part::default()
    }
}

impl Held {
    /// Makes machines as this node asks, beside what the others ask. `parts`: what it asks of each; of those that it
    /// asked something of before and does not name, it asks nothing any more.
    pub async fn ask(
        &mut self,
        api: &Api<Node>,
        run: &str,
        node: &NodeId,
        parts: BTreeMap<String, Part>,
    ) -> Result<(), String> {
        let had = self.asked.iter().filter(|(_, of)| of.contains_key(node));
        let touched: BTreeSet<String> =
            had.map(|(machine, _)| machine).chain(parts.keys()).cloned().collect();
        let mut failures = vec![];
        for machine in touched {
            let part = parts.get(&machine).cloned().unwrap_or_default();
            let of = self.asked.entry(machine.clone()).or_default();
            match part.is_empty() {
                true => drop(of.remove(node)),
                false => drop(of.insert(node.clone(), part)),
            }
            failures.extend(self.make(api, run, &machine).await.err());
        }
        self.asked.retain(|_, of| !of.is_empty());
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    /// Makes a machine as all ask together.
    async fn make(&mut self, api: &Api<Node>, run: &str, machine: &str) -> Result<(), String> {
        let asked = self.asked(machine);
        // What is off or cut off is back before anything else; what is to be closed is closed before it goes.
        let command = self.command(machine);
        let back = self.power.get(machine).filter(|held| Some(*held) != command.as_ref()).cloned();
        if let Some(held) = back {
            self.run(&held.heal).await?;
            self.power.remove(machine);
            becomes(api, machine, true, self.patience).await?;
        }
        set(api, machine, run, &asked).await?;
        if let Some(command) = command
            && !self.power.contains_key(machine)
        {
            // It may have come to something even if it fails.
            self.power.insert(machine.to_string(), command.clone());
            self.run(&command.inject).await?;
        }
        Ok(())
    }

    async fn run(&self, argv: &[String]) -> Result<(), String> {
        let around = Around { guard: self.guard.clone(), ..Around::default() };
        let ran = command::run(argv.to_vec(), COMMAND_LIMIT, around).await;
        ran.map_err(|e| e.to_string())
    }

    /// Nothing asked of any. `guard`: the firedrill binary, through which commands are started; `patience`: how long a
    /// machine may take to be back.
    pub fn none(guard: Option<PathBuf>, patience: Duration) -> Held {
        Held { guard, patience, ..Held::default() }
    }

    /// Whether anybody asks something of this machine.
    pub fn is_asked(&self, machine: &str) -> bool {
        self.asked.contains_key(machine)
    }

    fn parts(&self, machine: &str) -> impl Iterator<Item = &Part> {
        self.asked.get(machine).into_iter().flat_map(BTreeMap::values)
    }

    fn asked(&self, machine: &str) -> Asked {
        let taints = self.parts(machine).flat_map(|part| part.asked.taints.iter().cloned());
        Asked {
            closed: self.parts(machine).any(|part| part.asked.closed),
            taints: taints.collect(),
        }
    }

    fn command(&self, machine: &str) -> Option<Pair> {
        self.parts(machine).find_map(|part| part.command.clone())
    }

    /// The machines that a node asks something of.
    pub fn of(&self, node: &NodeId) -> Vec<(String, Part)> {
        let own = |(machine, of): (&String, &BTreeMap<NodeId, Part>)| {
            Some((machine.clone(), of.get(node)?.clone()))
        };
        self.asked.iter().filter_map(own).collect()
    }
}

/// Makes a machine as it is asked to be, through the API. Whether anything had to be changed. One that is gone is left
/// so, if nothing is asked of it.
pub(super) async fn set(
    api: &Api<Node>,
    name: &str,
    run: &str,
    asked: &Asked,
) -> Result<bool, String> {
    let nothing = *asked == Asked::default();
    for _ in 0..TRIES {
        let node = match api.get(name).await {
            Ok(node) => node,
            Err(e) if is_missing(&e) && nothing => return Ok(false),
            Err(e) => return Err(format!("machine {name}: {}", words(&e))),
        };
        let patch = match mark::of_machine(&node, run, asked) {
            Ok(Some(patch)) => patch,
            Ok(None) => return Ok(false),
            // What another run holds is not this one's to give back.
            Err(_) if nothing => return Ok(false),
            Err(why) => return Err(format!("machine {name}: {why}")),
        };
        match api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => return Ok(true),
            Err(e) if is_absent(&e) => {}
            Err(e) => return Err(format!("machine {name}: {}", words(&e))),
        }
    }
    Err(format!("machine {name} is changed by somebody else all the time"))
}

/// How long something took until the cluster said of a machine that it is ready, or that it is not; or what it says
/// instead.
pub(super) async fn becomes(
    api: &Api<Node>,
    name: &str,
    ready: bool,
    patience: Duration,
) -> Result<Duration, String> {
    let began = Instant::now();
    loop {
        let said = match api.get(name).await {
            Ok(node) => status(&node),
            Err(e) => words(&e),
        };
        if (said == "True") == ready {
            return Ok(began.elapsed());
        }
        if began.elapsed() >= patience {
            return Err(format!("machine {name}: Ready is {said} after {patience:?}"));
        }
        sleep(LOOK).await;
    }
}

/// That a machine is off or cut off the cluster tells, in its own time.
pub(super) async fn is_lost(api: &Api<Node>, name: &str) -> Result<Duration, String> {
    becomes(api, name, false, NOTICED).await
}

pub(super) fn status(node: &Node) -> String {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    ready.map_or_else(|| "not told".into(), |condition| condition.status.clone())
}
