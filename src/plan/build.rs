//! From a scenario to its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::blast::{Footprint, excess};
use super::conceivable::trial;
use super::{BIND, Binding, Omitted, Plan, PlannedFault};
use crate::condition::Condition;
use crate::fault::{At, Draw, Effect, FaultError, Place, Scene, Spec};
use crate::inventory::{Inventory, Node, NodeId};
use crate::quantity::{Span, SpanRange};
use crate::scenario::{Diagnostic, Scenario, Step, When, remedy};

/// The most injections that may be planned, those that the blast radius leaves out counted too.
pub const FAULTS_MAX: usize = 2_000;

/// No more mistakes than this are told at once.
const MISTAKES_MAX: usize = 20;

/// The plan of a scenario for these nodes. All that is wrong is told at once: unknown nodes and zones,
/// choices that cannot be made, times that do not fit, a blast radius that would not hold, and what the target
/// cannot do. `cannot` says of a condition why the target cannot make it true, and what could.
pub fn build(
    scenario: &Scenario,
    inventory: &Inventory,
    seed: u64,
    cannot: &dyn Fn(&Condition) -> Option<String>,
) -> Result<Plan, Vec<Diagnostic>> {
    let bare = |node: &Node| Node { endpoints: Default::default(), ..node.clone() };
    let inventory = Inventory::new(inventory.nodes().iter().map(bare).collect());
    let mut builder = Builder::new(scenario, &inventory, seed, cannot);
    builder.target();
    builder.clients();
    for (index, step) in scenario.faults.iter().enumerate() {
        builder.step(index, step);
    }
    let load = builder.load();
    if !builder.found.is_empty() {
        builder.found.sort_by_key(|(place, _)| *place);
        builder.found.truncate(MISTAKES_MAX);
        return Err(builder.found.into_iter().map(|(_, diagnostic)| diagnostic).collect());
    }
    let mut planned = builder.planned;
    planned.sort_by_key(|p| (p.fault.at, p.order));
    let numbered = planned.into_iter().enumerate();
    Ok(Plan {
        scenario: scenario.name.clone(),
        seed,
        target: scenario.target.kind().to_string(),
        faults: numbered.map(|(id, p)| PlannedFault { id: id as u32, ..p.fault }).collect(),
        inventory: inventory.clone(),
        load,
        omitted: builder.omitted,
    })
}

/// What these may come to, node by node, whichever of them it is.
fn joined(effects: &[Effect]) -> BTreeMap<NodeId, Condition> {
    let mut all: BTreeMap<NodeId, Condition> = BTreeMap::new();
    for (node, condition) in effects.iter().flat_map(|effect| &effect.conditions) {
        let known = all.remove(node).unwrap_or_default();
        all.insert(node.clone(), known.join(condition.clone()));
    }
    all
}

struct Builder<'a> {
    scenario: &'a Scenario,
    inventory: &'a Inventory,
    seed: u64,
    cannot: &'a dyn Fn(&Condition) -> Option<String>,
    planned: Vec<Planned>,
    footprints: Vec<Footprint>,
    omitted: Vec<Omitted>,
    found: Vec<(Place, Diagnostic)>,
}

struct Planned {
    /// The step and the injection within it: what decides at equal times.
    order: (usize, usize),
    fault: PlannedFault,
    /// All that it may come to, whoever leads.
    conditions: BTreeMap<NodeId, Condition>,
}

/// One injection, before it is known whom it strikes.
struct Occurrence<'a> {
    order: (usize, usize),
    at: Duration,
    length: Duration,
    spec: &'a At<Spec>,
    line: u32,
    /// Chance chose its time: it may be left out for the blast radius.
    drawn: bool,
}

impl<'a> Builder<'a> {
    fn new(
        scenario: &'a Scenario,
        inventory: &'a Inventory,
        seed: u64,
        cannot: &'a dyn Fn(&Condition) -> Option<String>,
    ) -> Self {
        Builder {
            scenario,
            inventory,
            seed,
            cannot,
            planned: vec![],
            footprints: vec![],
            omitted: vec![],
            found: vec![],
        }
    }

    fn refuse(&mut self, place: Place, message: impl Into<String>, help: Option<String>) {
        let diagnostic = self.scenario.sources.diagnose(place, message, help);
        // A step that strikes often is wrong once.
        if !self.found.iter().any(|(_, known)| *known == diagnostic) {
            self.found.push((place, diagnostic));
        }
    }

    fn refuse_fault(&mut self, spec: &At<Spec>, error: FaultError) {
        let known = error.unknown.as_ref().and_then(|(found, known)| remedy(found, known));
        let message = match error.unknown {
            Some(_) => error.message,
            None => format!("{}: {}", spec.name(), error.message),
        };
        self.refuse(error.place.or(spec.place), message, error.help.or(known));
    }

    fn target(&mut self) {
        let place = self.scenario.target.place;
        if self.inventory.nodes().is_empty() {
            self.refuse(place, "there is no node to drill", None);
        }
    }

    fn clients_in(&self) -> Option<&'a str> {
        self.scenario.workload.clients_in.as_ref().map(|zone| zone.value.as_str())
    }

    fn clients(&mut self) {
        let Some(zone) = &self.scenario.workload.clients_in else { return };
        let known: Vec<&str> = self.inventory.zones().into_iter().collect();
        if !known.contains(&zone.value.as_str()) {
            let message = format!("unknown zone `{}`", zone.value);
            self.refuse(zone.place, message, remedy(&zone.value, &known));
        }
    }

    fn load(&mut self) -> Duration {
        let end = self.planned.iter().map(|p| p.fault.end()).max().unwrap_or_default();
        match self.scenario.duration {
            None => end + self.scenario.recover.0,
            Some(duration) => {
                if duration.value.0 < end {
                    let (length, end) = (duration.value, Span(end));
                    let message = format!("the load ends at {length}, the last fault at {end}");
                    let help =
                        format!("a `duration` of {end}, and time to recover; or leave it out");
                    self.refuse(duration.place, message, Some(help));
                }
                duration.value.0
            }
        }
    }

    fn step(&mut self, index: usize, step: &'a At<Step>) {
        step.faults.iter().for_each(|spec| self.try_out(spec));
        let times = self.times(index, step);
        let mut choice = Draw::new(self.seed, &format!("step/{index}/choice"));
        let drawn = matches!(step.when, When::Every { .. });
        if times.is_empty() {
            let message = "no fault fits between `from` and `until`";
            let help = "the pause and the fault must end by `until`".to_string();
            self.refuse(step.place, message, Some(help));
        }
        for (turn, (at, length)) in times.into_iter().enumerate() {
            if self.planned.len() + self.omitted.len() >= FAULTS_MAX {
                let message = format!("more than {FAULTS_MAX} injections");
                self.refuse(step.place, message, Some("let `every` be longer".into()));
                return;
            }
            let Some(spec) = choice.one_of(&step.faults) else { continue };
            let line = spec.place.file_line().or(step.place.file_line()).unwrap_or(1);
            let order = (index, turn);
            self.occurrence(Occurrence { order, at, length, spec, line, drawn });
        }
    }

    /// A fault that cannot strike these nodes is a mistake, whether or not chance draws it with this seed.
    fn try_out(&mut self, spec: &At<Spec>) {
        let tried = trial(spec, self.inventory, self.clients_in(), self.seed);
        if let Err(error) = tried.and_then(|effects| self.doable(&effects)) {
            self.refuse_fault(spec, error);
        }
    }

    /// Whether the target can do all that these come to.
    fn doable(&self, effects: &[Effect]) -> Result<(), FaultError> {
        let mut conditions = effects.iter().flat_map(|effect| effect.conditions.values());
        match conditions.find_map(|condition| (self.cannot)(condition)) {
            Some(why) => {
                let target = self.scenario.target.kind();
                Err(FaultError::new(format!("the target {target} cannot do this: {why}")))
            }
            None => Ok(()),
        }
    }

    /// When the step's faults strike, and for how long each.
    fn times(&self, index: usize, step: &Step) -> Vec<(Duration, Duration)> {
        let mut draw = Draw::new(self.seed, &format!("step/{index}/times"));
        let mut span = |range: SpanRange| draw.span(range).0;
        match step.when {
            When::At(at) => vec![(at.0, span(step.length))],
            When::Every { every, from, until } => {
                let mut times = vec![];
                let mut free = from.0;
                while times.len() <= FAULTS_MAX {
                    let at = free + span(every);
                    let length = span(step.length);
                    if at + length > until.0 {
                        break;
                    }
                    times.push((at, length));
                    free = at + length;
                }
                times
            }
        }
    }

    fn occurrence(&mut self, occurrence: Occurrence) {
        let (step, turn) = occurrence.order;
        let purpose = format!("step/{step}/{turn}/nodes");
        let seed = Draw::new(self.seed, &purpose).seed() >> 11; // exact in every JSON reader
        let mut scene = Scene {
            inventory: self.inventory,
            leader: None,
            clients_in: self.clients_in(),
            draw: Draw::new(seed, BIND),
        };
        if let Spec::RollingRestart(rolling) = &occurrence.spec.value {
            match rolling.turns(&mut scene) {
                Err(error) => self.refuse_fault(occurrence.spec, error),
                Ok(turns) => {
                    let end = turns.last().map_or(Duration::ZERO, |t| t.after.0 + t.down.0);
                    if end > occurrence.length {
                        let (count, end) = (turns.len(), Span(end));
                        let message = format!(
                            "restarting {count} nodes one by one takes {end}, `for` is {}",
                            Span(occurrence.length)
                        );
                        let help = format!("a `for` of at least {end}");
                        return self.refuse(occurrence.spec.place, message, Some(help));
                    }
                    for turn in turns {
                        let at = occurrence.at + turn.after.0;
                        let effect = Binding::Known(turn.effect);
                        self.plan(&occurrence, at, turn.down.0, seed, effect);
                    }
                }
            }
            return;
        }
        let effect = match occurrence.spec.needs_leader() {
            false => match occurrence.spec.effect(&mut scene) {
                Ok(effect) => Binding::Known(effect),
                Err(error) => return self.refuse_fault(occurrence.spec, error),
            },
            true => match serde_json::to_value(&occurrence.spec.value) {
                Ok(fault) => Binding::Late {
                    what: occurrence.spec.words(),
                    fault,
                    clients_in: self.clients_in().map(String::from),
                },
                Err(error) => {
                    let error = FaultError::new(format!("cannot be written down: {error}"));
                    return self.refuse_fault(occurrence.spec, error);
                }
            },
        };
        self.plan(&occurrence, occurrence.at, occurrence.length, seed, effect);
    }

    fn plan(
        &mut self,
        occurrence: &Occurrence,
        at: Duration,
        length: Duration,
        draw: u64,
        effect: Binding,
    ) {
        let spec = occurrence.spec;
        let (fault, line) = (spec.name().to_string(), occurrence.line);
        let planned = PlannedFault { id: 0, fault, line, at, length, draw, effect };
        let possible = self.possible(spec, &planned);
        let effects = match possible.and_then(|all| self.doable(&all).map(|()| all)) {
            Ok(effects) => effects,
            Err(error) => return self.refuse_fault(spec, error),
        };
        let conditions = joined(&effects);
        // Of several leaders with whom the same nodes are struck, one counts.
        let victims: BTreeSet<BTreeSet<_>> =
            effects.into_iter().map(|effect| effect.victims.into_iter().collect()).collect();
        let victims = victims.into_iter().collect();
        let what = format!("{} (line {line})", planned.what());
        let footprint = Footprint { at, end: planned.end(), victims, what };
        let limits = &self.scenario.blast_radius;
        if let Some(excess) = excess(&footprint, &self.footprints, limits, self.inventory) {
            if occurrence.drawn {
                let PlannedFault { fault, line, at, .. } = planned;
                self.omitted.push(Omitted { fault, line, at, why: excess.message });
            } else {
                let help = "let the faults strike one after the other, strike fewer nodes, or \
                    raise `blast_radius`";
                self.refuse(spec.place, excess.message, Some(help.into()));
            }
            return;
        }
        if let Some(why) = self.beyond(&planned, &conditions) {
            if occurrence.drawn {
                let PlannedFault { fault, line, at, .. } = planned;
                self.omitted.push(Omitted { fault, line, at, why });
            } else {
                let help = "let the faults strike one after the other, or weaken one of them";
                self.refuse(spec.place, why, Some(help.into()));
            }
            return;
        }
        self.footprints.push(footprint);
        self.planned.push(Planned { order: occurrence.order, fault: planned, conditions });
    }

    /// Why the target cannot do what a fault, which it can do, comes to with those that strike meanwhile.
    fn beyond(&self, fault: &PlannedFault, own: &BTreeMap<NodeId, Condition>) -> Option<String> {
        let meanwhile = |p: &&Planned| p.fault.at < fault.end() && fault.at < p.fault.end();
        let others: Vec<&Planned> = self.planned.iter().filter(meanwhile).collect();
        let starts = others.iter().map(|p| p.fault.at.max(fault.at));
        for instant in starts.collect::<BTreeSet<_>>() {
            let active = |p: &&&Planned| (p.fault.at..p.fault.end()).contains(&instant);
            for (node, own) in own {
                let theirs = others.iter().filter(active).filter_map(|p| p.conditions.get(node));
                let all = theirs.cloned().fold(own.clone(), Condition::join);
                if let Some(why) = (self.cannot)(&all) {
                    let (target, at) = (self.scenario.target.kind(), Span(instant));
                    return Some(format!(
                        "the target {target} cannot do what {node} is to suffer at {at}, all \
                         faults together: {why}"
                    ));
                }
            }
        }
        None
    }

    /// All that it may come to: tried with every node as the leader where that matters.
    fn possible(&self, spec: &At<Spec>, planned: &PlannedFault) -> Result<Vec<Effect>, FaultError> {
        if let Binding::Known(effect) = &planned.effect {
            return Ok(vec![effect.clone()]);
        }
        let with = |leader| {
            let mut scene = Scene {
                inventory: self.inventory,
                leader: Some(leader),
                clients_in: self.clients_in(),
                draw: Draw::new(planned.draw, BIND),
            };
            spec.effect(&mut scene).map_err(|error| FaultError {
                message: format!("{} if `{leader}` leads", error.message),
                ..error
            })
        };
        self.inventory.ids().map(with).collect()
    }
}
