//! What is asked of a node's processors, memory, file systems and clocks: held by the agent among its processes.
//!
//! Invariant: what is asked outlives the agent and the process: whoever stands there next is told again.

use std::collections::BTreeMap;

use super::member::{Known, Member, With};
use crate::agent::within::Limits;
use crate::agent::within::protocol::{Done, Measured, Order};
use crate::condition::{ClockSkew, Condition, Disk, Life, Load};
use crate::control::judge::{Finding, wrong};
use crate::control::resources::{measure, of_clocks, of_disk, of_load};
use crate::target::TargetError;

/// What is asked of a node from within.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Inside {
    load: Load,
    disk: Disk,
    clock: ClockSkew,
}

/// What is asked, and what came of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Within {
    asked: Inside,
    /// What the agent that stands there was told last.
    told: Inside,
    /// What was proven last.
    proven: Inside,
    /// Measured when it was told, should the node end of it before it is asked.
    seen: Vec<Finding>,
}

/// What an agent may do that stops and kills processes, and sets their clocks wrong, ...
const OF_PROCESSES: &[&str] = &["SYS_PTRACE"];
/// ... and what one may that writes into their file systems, whoever owns those.
const OF_FILES: &[&str] = &["SYS_PTRACE", "DAC_OVERRIDE"];

/// The capabilities that an agent among a node's processes needs for this.
pub(super) fn capabilities(condition: &Condition) -> &'static [&'static str] {
    let Condition { life, disk, clock, .. } = condition;
    match () {
        () if !disk.is_healthy() || !clock.is_none() => OF_FILES,
        () if matches!(life, Life::Crashed | Life::Paused) => OF_PROCESSES,
        () => &[],
    }
}

impl Inside {
    pub fn of(condition: &Condition) -> Inside {
        let Condition { load, disk, clock, .. } = condition;
        Inside { load: load.clone(), disk: disk.clone(), clock: *clock }
    }

    fn is_healthy(&self) -> bool {
        *self == Inside::default()
    }
}

impl Within {
    pub fn ask(&mut self, condition: &Condition) {
        self.asked = Inside::of(condition);
    }

    /// The agent is gone, and with it what it held.
    pub fn forget(&mut self) {
        self.told = Inside::default();
    }

    /// Whether an agent was told anything.
    pub fn is_told(&self) -> bool {
        !self.told.is_healthy()
    }

    /// Whether more is asked than anybody was told.
    pub fn is_untold(&self) -> bool {
        self.asked != self.told
    }
}

impl Member {
    /// Makes what is asked true; idempotent. Nothing to do for a node without a process.
    pub(super) async fn suffer(
        &self,
        with: With<'_>,
        known: &mut Known,
    ) -> Result<(), TargetError> {
        if !known.now.container.running || known.now.leaving || !known.within.is_untold() {
            return Ok(());
        }
        let agent = self.insider(with, known).await?;
        let (asked, told) = (known.within.asked.clone(), known.within.told.clone());
        // Known before it is done: what fails half is measured against what was asked.
        known.within.told = asked.clone();
        let mut orders = vec![];
        if asked.load != told.load {
            orders.push(Order::Load { load: asked.load.clone(), own: Limits::new() });
        }
        if asked.disk != told.disk {
            orders.push(Order::Disk(asked.disk.clone()));
        }
        if asked.clock != told.clock {
            orders.push(Order::Clock(asked.clock));
        }
        for order in orders {
            match agent.ask(order).await.map_err(|why| self.failed(why))? {
                Done::Held { lapses, rooms } => {
                    known.lapses.extend(lapses);
                    if !rooms.is_empty() {
                        let rooms = Measured { rooms, ..Measured::default() };
                        known.within.seen = of_disk(&asked.disk, &rooms);
                    }
                }
                other => return Err(self.failed(format!("the agent answered {other:?}"))),
            }
        }
        Ok(())
    }

    /// Measures what is asked, and what was asked before and is over.
    pub(super) async fn prove_within(&self, known: &Known) -> Vec<Finding> {
        let Within { asked, told, proven, seen } = &known.within;
        if asked.is_healthy() && proven.is_healthy() || !known.now.container.running {
            return vec![];
        }
        let mut found = match known.insider.as_ref() {
            Some(agent) => {
                let folders = asked.disk.full.keys().chain(proven.disk.full.keys()).cloned();
                match measure(agent, folders.collect()).await {
                    Ok(measured) => findings(asked, proven, &measured),
                    // The node ended of it just now, and the cluster has not noticed.
                    Err(_) if agent.gone.is_cancelled() && !seen.is_empty() => seen.clone(),
                    Err(why) => vec![wrong(why)],
                }
            }
            // What its agent held ended with it.
            None if asked.is_healthy() => vec![],
            None => vec![wrong("nobody holds what is asked of it".into())],
        };
        if told != asked {
            found.push(wrong("its agent was not told all that is asked".into()));
        }
        if found.iter().all(|finding| finding.as_asked) {
            self.state.lock().await.within.proven = asked.clone();
        }
        found
    }
}

fn findings(asked: &Inside, proven: &Inside, measured: &Measured) -> Vec<Finding> {
    let mut found = vec![];
    if !asked.load.is_healthy() || !proven.load.is_healthy() {
        // Limits are the container's own, and nobody touches them here.
        let limits = |finding: &Finding| finding.text != "its limits are its own";
        found.extend(of_load(&asked.load, &BTreeMap::new(), measured).into_iter().filter(limits));
        if asked.load.is_healthy() && found.is_empty() {
            found.push(crate::control::judge::right("nothing is taken from it any more".into()));
        }
    }
    found.extend(of_disk(&asked.disk, measured));
    found.extend(measured.clocks.as_ref().map(|clocks| of_clocks(asked.clock, clocks)));
    found
}
