//! What is asked of where a node stands and of what keeps it there, made true and measured: machines and controllers.
//!
//! Invariant: what is asked of a node's machine is asked of the one that it stood on when it was asked, wherever the
//! node goes meanwhile, until nothing is asked any more.

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant, sleep};

use super::controller;
use super::machines::{self, Part};
use super::mark;
use super::member::{Known, Member};
use super::restore::{Restore, What};
use super::up::Up;
use crate::condition::{Closed, Condition, Controller, Life, Machine, Power};
use crate::control::judge::{Finding, right, wrong};
use crate::target::{self, TargetError};

/// How long a controller may take to end one pod: what a pod may take, and a little.
const ONE_POD: Duration = Duration::from_secs(40);
/// How long a taint may take to drive a pod out, to be told of.
const DRIVEN_OUT: Duration = Duration::from_secs(10);
/// How often it is looked whether pods are gone.
const LOOK: Duration = Duration::from_millis(50);

impl Up {
    /// What would have to be restored of machines and controllers.
    pub(super) async fn restores(
        &self,
        member: &Member,
        wanted: &Condition,
    ) -> Vec<target::Restore> {
        let restore = |what| {
            let (cluster, run) = (self.pinned.clone(), self.options.run.clone());
            let runner = std::process::id();
            target::Restore::Kubernetes(Restore { cluster, run, runner, what })
        };
        let mut all = vec![];
        // What cannot be found is told when it is applied.
        for (machine, part) in self.parts(member, &wanted.machine).await.unwrap_or_default() {
            all.extend(part.command.map(|pair| target::Restore::Command(pair.heal)));
            all.push(restore(What::Machine(machine)));
        }
        if let (Some(_), Some((kind, name))) = (wanted.controller.replicas, self.controller()) {
            all.push(restore(What::Replicas { kind, name }));
        }
        all
    }

    fn controller(&self) -> Option<(controller::Kind, String)> {
        controller::named(&self.options.pods.chosen)
    }

    /// What a node asks of which machines.
    async fn parts(
        &self,
        member: &Member,
        wanted: &Machine,
    ) -> Result<BTreeMap<String, Part>, TargetError> {
        if wanted.is_healthy() {
            return Ok(BTreeMap::new());
        }
        let stood = {
            let mut known = member.state.lock().await;
            member.look(&mut known);
            known.stands().ok_or_else(|| member.failed("it stands on no machine"))?
        };
        let command = self.options.commands.pair(wanted.power);
        let command = command.map(|pair| pair.of(&stood, &member.zone));
        let of_zone = self.machines.iter().filter(|(_, zone)| **zone == member.zone);
        let others = of_zone.map(|(machine, _)| machine.clone()).filter(|name| *name != stood);
        let mut parts: BTreeMap<String, Part> = match wanted.closed {
            Closed::Zone => others.map(|name| (name, Part::new(wanted, false, None))).collect(),
            Closed::Open | Closed::Machine => BTreeMap::new(),
        };
        parts.insert(stood, Part::new(wanted, true, command));
        Ok(parts)
    }

    /// Makes the machines and the controller as all nodes together ask.
    pub(super) async fn place(
        &self,
        member: &Member,
        wanted: &Condition,
    ) -> Result<(), TargetError> {
        let failed = |why| member.failed(why);
        let parts = self.parts(member, &wanted.machine).await?;
        let asked = {
            let mut held = self.held.lock().await;
            let before = held.of(&member.id);
            let gone = before.into_iter().map(|(name, _)| name).filter(|n| !parts.contains_key(n));
            let released: Vec<String> = gone.collect();
            let (api, run) = (self.cluster.machines(), &self.options.run);
            let asked = held.ask(&api, run, &member.id, parts).await;
            (asked, released)
        };
        {
            let mut known = member.state.lock().await;
            known.machine = wanted.machine.clone();
            if known.machine.power != Power::On {
                known.is_doubtful(); // the cluster does not know yet what became of it
            }
            known.controller = wanted.controller.clone();
            known.released.extend(asked.1);
            if wanted.machine.is_healthy() {
                known.stood = None;
            }
        }
        asked.0.map_err(failed)?;
        self.steer(member, &wanted.controller).await.map_err(failed)
    }

    /// Scales and rolls out.
    async fn steer(&self, member: &Member, wanted: &Controller) -> Result<(), String> {
        let Some((kind, name)) = self.controller() else { return Ok(()) };
        let joined = |all: &BTreeMap<_, Controller>| {
            all.values().cloned().fold(Controller::default(), Controller::join)
        };
        let had = {
            let mut all = self.controllers.lock().await;
            let before = joined(&all);
            let had = match wanted.is_healthy() {
                true => all.remove(&member.id),
                false => all.insert(member.id.clone(), wanted.clone()),
            };
            let now = joined(&all);
            if before.replicas != now.replicas {
                let run = &self.options.run;
                controller::scale(&self.cluster, kind, &name, run, now.replicas).await?;
            }
            if now.rollout && !before.rollout {
                controller::roll_out(&self.cluster, kind, &name).await?;
            }
            had.unwrap_or_default()
        };
        if let Some(to) = wanted.replicas {
            self.until_so_few(&name, to).await?;
        }
        if had.rollout && !wanted.rollout {
            let nodes = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
            let patience = (self.options.ready_timeout + ONE_POD).saturating_mul(nodes);
            controller::rolled_out(&self.cluster, kind, &name, patience).await?;
        }
        Ok(())
    }

    /// Waits until no more nodes than this have a pod.
    async fn until_so_few(&self, name: &str, most: u32) -> Result<(), String> {
        let there = || self.members.values().filter(|m| !m.now.borrow().uid.is_empty()).count();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let excess = u32::try_from(there().saturating_sub(most)).unwrap_or(u32::MAX);
        let deadline = Instant::now() + ONE_POD.saturating_mul(excess);
        while there() > most {
            if Instant::now() >= deadline {
                let nodes = there();
                return Err(format!("{name} was scaled to {most}, and {nodes} pods are there"));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Gives all back, whoever asked for it; what cannot be given back, in words.
    pub(super) async fn give_back(&self) -> Vec<String> {
        let mut left = vec![];
        for member in self.members.values() {
            if let Err(e) = self.place(member, &Condition::default()).await {
                left.push(e.to_string());
            }
        }
        left
    }

    /// Measures what was asked of a node's machines and controller.
    pub(super) async fn prove_place(&self, member: &Member, known: &Known) -> Vec<Finding> {
        let asked = self.held.lock().await.of(&member.id);
        let api = self.cluster.machines();
        let asked_of: Vec<String> = asked.iter().map(|(name, _)| name.clone()).collect();
        let mut found = vec![];
        for (name, part) in asked {
            found.push(match api.get(&name).await {
                Err(e) => wrong(format!("machine {name}: {}", super::cluster::words(&e))),
                Ok(node) => match mark::differs(&node, &part.asked) {
                    Some(how) => wrong(format!("machine {name} {how}")),
                    None => right(format!("machine {name} is {}", part.asked.words())),
                },
            });
            if part.command.is_some() {
                found.push(match machines::is_lost(&api, &name).await {
                    Ok(after) => {
                        right(format!("machine {name} is not ready, seen after {after:.1?}"))
                    }
                    Err(why) => wrong(why),
                });
            }
        }
        for name in &known.released {
            if self.held.lock().await.is_asked(name) {
                continue; // by another node
            }
            found.push(match api.get(name).await {
                Ok(node) if mark::is_marked(&node) => {
                    wrong(format!("machine {name} still holds what firedrill changed"))
                }
                Ok(_) => right(format!("machine {name} is as it was")),
                Err(e) if super::cluster::is_missing(&e) => {
                    right(format!("machine {name} is gone"))
                }
                Err(e) => wrong(format!("machine {name}: {}", super::cluster::words(&e))),
            });
        }
        let back = known.now.container.running && known.now.uid != known.gone.uid;
        if known.machine.closed != Closed::Open && known.life >= Life::Evicted && back {
            let (pod, on) = (&known.now.pod, &known.now.machine);
            found.push(match asked_of.contains(on) {
                true => wrong(format!("pod {pod} runs on {on} all the same")),
                false => right(format!("pod {pod} took its place elsewhere, on {on}")),
            });
        }
        if known.machine.evicts() {
            found.push(driven_out(member, known).await);
        }
        // One tells it for all.
        if self.members.keys().next() == Some(&member.id) {
            found.extend(self.prove_controller(&known.controller).await);
        }
        found
    }

    async fn prove_controller(&self, asked: &Controller) -> Option<Finding> {
        let (kind, name) = self.controller().filter(|_| !asked.is_healthy())?;
        let now = match controller::standing(&self.cluster, kind, &name).await {
            Ok(now) => now,
            Err(e) => return Some(wrong(format!("{name}: {}", super::cluster::words(&e)))),
        };
        let (kept, updated, ready) = (now.replicas, now.updated, now.ready);
        let wanted = asked.replicas.map(|to| i32::try_from(to).unwrap_or(i32::MAX));
        Some(match wanted {
            Some(to) if kept != to => wrong(format!("{name} keeps {kept} pods, not {to}")),
            Some(to) => right(format!("{name} keeps {to} pods, {ready} are ready")),
            None if !now.seen => right(format!("{name} is told to make its pods anew")),
            None => right(format!("{name} makes its pods anew: {updated} of {kept} are new")),
        })
    }
}

/// What became of the pod of a node whose machine got a taint that evicts.
async fn driven_out(member: &Member, known: &Known) -> Finding {
    let (pod, uid) = (&known.now.pod, &known.now.uid);
    let mut now = member.now.subscribe();
    let goes = now.wait_for(|now| now.uid != *uid || now.leaving);
    let gone = uid.is_empty() || tokio::time::timeout(DRIVEN_OUT, goes).await.is_ok();
    right(match gone {
        true => "its pod is driven out".into(),
        false => format!("pod {pod} stays, as if it tolerated the taint"),
    })
}
