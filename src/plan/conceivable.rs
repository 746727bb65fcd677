//! What a scenario's faults may come to, whatever chance draws: what a target must be allowed to do before it is
//! known what will be asked of it. Pure.

use crate::condition::Condition;
use crate::fault::{Draw, Effect, FaultError, Scene, Spec};
use crate::inventory::Inventory;
use crate::scenario::Scenario;

/// One fault of a scenario, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conceivable {
    /// Its name in the catalogue.
    pub fault: &'static str,
    /// The line of the scenario that asks for it, from 1.
    pub line: u32,
    /// All that it may contribute to anybody's condition, joined.
    pub condition: Condition,
}

/// Every fault that a scenario names, those too that chance may leave out. One that cannot strike these nodes is left
/// to [`build`](super::build), which refuses it.
pub fn conceivable(scenario: &Scenario, inventory: &Inventory) -> Vec<Conceivable> {
    let clients_in = scenario.workload.clients_in.as_ref().map(|zone| zone.value.as_str());
    let faults = scenario.faults.iter().flat_map(|step| {
        step.faults.iter().map(|spec| (spec, spec.place.file_line().or(step.place.file_line())))
    });
    let all = faults.filter_map(|(spec, line)| {
        let effects = trial(spec, inventory, clients_in, 0).ok()?;
        let conditions = effects.into_iter().flat_map(|effect| effect.conditions.into_values());
        let condition = conditions.fold(Condition::default(), Condition::join);
        Some(Conceivable { fault: spec.name(), line: line.unwrap_or(1), condition })
    });
    all.collect()
}

/// What a fault comes to if chance and leadership fall anyhow. Of which kind its conditions are does not depend on
/// whom it strikes.
pub(super) fn trial(
    spec: &Spec,
    inventory: &Inventory,
    clients_in: Option<&str>,
    seed: u64,
) -> Result<Vec<Effect>, FaultError> {
    let anybody = inventory.ids().next().filter(|_| spec.needs_leader());
    let draw = Draw::new(seed, "trial");
    let mut scene = Scene { inventory, leader: anybody, clients_in, draw };
    match spec {
        Spec::RollingRestart(rolling) => {
            let turns = rolling.turns(&mut scene)?;
            Ok(turns.into_iter().map(|turn| turn.effect).collect())
        }
        spec => spec.effect(&mut scene).map(|effect| vec![effect]),
    }
}
