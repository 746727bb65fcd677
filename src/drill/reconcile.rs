//! Makes the nodes suffer what they should be suffering now, and no more.
//!
//! The reconciler holds the effects that are active. A change adds or takes away some of them, hands every
//! node whose condition changed its whole new condition, and then measures. Each node is applied to by one
//! change at a time, and always with its newest condition, so changes may overlap in any order: a change
//! that waited for another finds its work done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::journal::{Journal, Undo};
use crate::command::{self, Around, CommandError};
use crate::condition::{Condition, UserCommand};
use crate::fault::Effect;
use crate::history::{Change, Evidence};
use crate::inventory::{Inventory, NodeId};
use crate::target::{Proof, Restore, Target};
use crate::workload::Clock;

/// How often a proof is measured again because another change came in between.
const PROOFS_MAX: u32 = 5;
/// How long one may take: a target that hangs must not hang the drill.
const PROOF_LIMIT: Duration = Duration::from_secs(60);

/// Makes conditions true.
pub struct Reconciler {
    target: Arc<dyn Target>,
    clock: Clock,
    journal: Option<Arc<Journal>>,
    /// What the user's own injections find around them: they carry the run's mark.
    marked: Around,
    /// Their proofs and heals do not.
    unmarked: Around,
    active: Mutex<BTreeMap<u32, Effect>>,
    /// Counts changes that began or became effective: a proof holds only if none did while it was measured.
    generation: AtomicU64,
    nodes: BTreeMap<NodeId, tokio::sync::Mutex<Applied>>,
}

#[derive(Debug, Default)]
struct Applied {
    condition: Condition,
    /// The journal's number of each of the user's commands that is in effect.
    commands: BTreeMap<UserCommand, Option<u32>>,
    /// The journal's number of what the target would have to restore.
    restores: BTreeMap<Restore, Option<u32>>,
    /// Commands that were healed, and not yet proven to be.
    healed: Vec<UserCommand>,
}

impl Reconciler {
    /// A reconciler of healthy nodes. Without a journal (tests in virtual time) nothing outlives the runner.
    pub fn new(
        target: Arc<dyn Target>,
        inventory: &Inventory,
        clock: Clock,
        journal: Option<Arc<Journal>>,
        run: String,
        guard: Option<PathBuf>,
    ) -> Reconciler {
        let nodes = inventory.ids().map(|id| (id.clone(), Default::default())).collect();
        let (active, generation) = (Mutex::default(), AtomicU64::new(0));
        let unmarked = Around { guard, ..Default::default() };
        let marked = Around { run: Some(run), ..unmarked.clone() };
        Reconciler { target, clock, journal, marked, unmarked, active, generation, nodes }
    }

    fn active(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Effect>> {
        self.active.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// What a node should be suffering now.
    fn condition(&self, node: &NodeId) -> Condition {
        let active = self.active();
        let mine = active.values().filter_map(|e| e.conditions.get(node)).cloned();
        mine.fold(Condition::default(), Condition::join)
    }

    /// Puts a fault into effect, and measures that it is.
    pub async fn inject(&self, id: u32, effect: Effect) -> Change {
        let nodes: Vec<NodeId> = effect.conditions.keys().cloned().collect();
        self.active().insert(id, effect);
        self.change(&nodes).await
    }

    /// Takes a fault out of effect, and measures that what is left is what should be.
    pub async fn heal(&self, id: u32) -> Change {
        let effect = self.active().remove(&id);
        let nodes: Vec<NodeId> = effect.iter().flat_map(|e| e.conditions.keys().cloned()).collect();
        self.change(&nodes).await
    }

    /// The faults that are in effect.
    pub fn in_effect(&self) -> BTreeSet<u32> {
        self.active().keys().copied().collect()
    }

    async fn change(&self, nodes: &[NodeId]) -> Change {
        let issued = self.clock.now();
        self.generation.fetch_add(1, Ordering::SeqCst);
        let applied = join_all(nodes.iter().map(|node| self.apply(node))).await;
        let effective = self.clock.now();
        self.generation.fetch_add(1, Ordering::SeqCst);
        let failed: Vec<String> = applied.into_iter().filter_map(Result::err).collect();
        let (mut evidence, mut unproven, mut lapses) = (vec![], None, vec![]);
        for _ in 0..PROOFS_MAX {
            let before = self.generation.load(Ordering::SeqCst);
            (evidence, unproven) = self.prove(nodes, &mut lapses).await;
            if unproven.is_none() || self.generation.load(Ordering::SeqCst) == before {
                break;
            }
        }
        // What failed is not measured against what was asked. Lapses are told once: measuring again does not undo them.
        let measured = unproven.filter(|_| failed.is_empty());
        let all: Vec<String> = failed.into_iter().chain(lapses).chain(measured).collect();
        unproven = (!all.is_empty()).then(|| all.join("; "));
        Change { issued, effective, measured: self.clock.now(), evidence, unproven }
    }

    async fn apply(&self, node: &NodeId) -> Result<(), String> {
        let Some(state) = self.nodes.get(node) else {
            return Err(format!("there is no node {node}"));
        };
        let mut applied = state.lock().await;
        let wanted = self.condition(node);
        if applied.condition == wanted {
            return Ok(());
        }
        let commands = self.apply_commands(&mut applied, &wanted).await;
        let target = self.apply_target(node, &mut applied, &wanted).await;
        if target.is_ok() && commands.is_ok() {
            applied.condition = wanted;
        }
        target.and(commands)
    }

    /// What the target would have to restore is in the journal before it is done, and until it is restored.
    async fn apply_target(
        &self,
        node: &NodeId,
        at: &mut Applied,
        wanted: &Condition,
    ) -> Result<(), String> {
        let restores = self.target.restores(node, wanted).await;
        for new in &restores {
            if !at.restores.contains_key(new) {
                let id = self.journaled(|j| j.before(new.clone().into()))?;
                at.restores.insert(new.clone(), id);
            }
        }
        self.target.apply(node, wanted).await.map_err(|e| e.to_string())?;
        let (open, gone) = std::mem::take(&mut at.restores)
            .into_iter()
            .partition(|(restore, _)| restores.contains(restore));
        at.restores = open;
        let gone: BTreeMap<Restore, Option<u32>> = gone;
        for id in gone.into_values().flatten() {
            self.journaled(|j| j.done(id).map(|()| 0))?;
        }
        Ok(())
    }

    /// Starts the user's commands that are new, heals those that are gone. The journal knows before they run.
    async fn apply_commands(&self, at: &mut Applied, wanted: &Condition) -> Result<(), String> {
        let mut failures = vec![];
        let gone: Vec<UserCommand> =
            at.commands.keys().filter(|c| !wanted.commands.contains(*c)).cloned().collect();
        for gone in gone {
            match self.unmarked(&gone.heal).await {
                Ok(()) => {
                    if let Some(id) = at.commands.remove(&gone).flatten() {
                        self.journaled(|j| j.done(id).map(|()| 0))?;
                    }
                    at.healed.push(gone);
                }
                Err(e) => failures.push(e.to_string()), // stays open: the journal heals it later
            }
        }
        for new in &wanted.commands {
            if at.commands.contains_key(new) {
                continue;
            }
            let id = self.journaled(|j| j.before(Undo::Command(new.heal.clone())))?;
            at.commands.insert(new.clone(), id);
            let inject = new.inject.clone();
            let ran = command::run(inject, command::HEAL_LIMIT, self.marked.clone()).await;
            failures.extend(ran.err().map(|e| e.to_string()));
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    async fn unmarked(&self, argv: &[String]) -> Result<(), CommandError> {
        command::run(argv.to_vec(), command::HEAL_LIMIT, self.unmarked.clone()).await
    }

    fn journaled(
        &self,
        write: impl FnOnce(&Journal) -> Result<u32, super::journal::JournalError>,
    ) -> Result<Option<u32>, String> {
        self.journal.as_deref().map(write).transpose().map_err(|e| e.to_string())
    }

    /// `lapses`: those that were told before, to which new ones are added.
    async fn prove(
        &self,
        nodes: &[NodeId],
        lapses: &mut Vec<String>,
    ) -> (Vec<Evidence>, Option<String>) {
        let proofs = join_all(nodes.iter().map(|node| self.prove_one(node))).await;
        let (mut evidence, mut unproven) = (vec![], vec![]);
        for (node, Proof { measured, unproven: why, lapses: told }) in nodes.iter().zip(proofs) {
            lapses.extend(told.into_iter().map(|lapse| format!("{node}: {lapse}")));
            let of_node = |measured| Evidence { node: node.clone(), measured };
            evidence.extend(measured.into_iter().map(of_node));
            unproven.extend(why.map(|why| format!("{node}: {why}")));
        }
        (evidence, (!unproven.is_empty()).then(|| unproven.join("; ")))
    }

    async fn prove_one(&self, node: &NodeId) -> Proof {
        let late = || Proof {
            measured: vec![],
            lapses: vec![],
            unproven: Some(format!("the measurement did not end within {PROOF_LIMIT:?}")),
        };
        let proof = timeout(PROOF_LIMIT, self.target.prove(node)).await.unwrap_or_else(|_| late());
        let Proof { mut measured, unproven: mut why, lapses } = proof;
        let Some(state) = self.nodes.get(node) else {
            return Proof { measured, unproven: why, lapses };
        };
        let (in_effect, healed) = {
            let mut state = state.lock().await;
            let in_effect: Vec<UserCommand> = state.commands.keys().cloned().collect();
            (in_effect, std::mem::take(&mut state.healed))
        };
        for own in healed {
            let shown = command::shown(&own.prove);
            match self.unmarked(&own.prove).await {
                Ok(()) => why = why.or(Some(format!("`{shown}` still says that it is in effect"))),
                Err(_) => measured.insert(0, format!("`{shown}` says that it is over")),
            }
        }
        for own in in_effect {
            match self.unmarked(&own.prove).await {
                Ok(()) => measured.insert(0, format!("`{}` says so", command::shown(&own.prove))),
                Err(e) => why = why.or(Some(e.to_string())),
            }
        }
        Proof { measured, unproven: why, lapses }
    }
}
