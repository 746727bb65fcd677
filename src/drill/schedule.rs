//! The timeline made real: injects and heals at their times, watches the guards, and heals everything at
//! the end, however it comes.
//!
//! Changes overlap: while one waits for a node to come up again, the next is injected at its time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::event::Event;
use super::reconcile::Reconciler;
use super::stages::{INTERRUPTED, planned_span};
use super::{Drill, guard};
use crate::fault::Effect;
use crate::history::{Change, FaultSpan, Time};
use crate::inventory::{Inventory, NodeId};
use crate::plan::{Binding, PlannedFault};
use crate::target::News;
use crate::workload::client::Driver;

/// How often guards are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How many ticks there are to a progress event.
const TICKS_PER_PROGRESS: u32 = 3;
/// How long it is asked who leads, where a fault wants to know, before the fault is given up.
const LEADER_LIMIT: Duration = Duration::from_secs(5);

/// What a change came to.
struct Done {
    id: u32,
    kind: Kind,
    change: Change,
}

enum Kind {
    /// What was injected, with the names that were known by then.
    Injection(Effect),
    /// It is not known whom to strike.
    Unbound,
    Heal,
}

type Changes<'a> = FuturesUnordered<BoxFuture<'a, Done>>;

/// What is still to come.
struct Timeline {
    began: Time,
    end: Time,
    pending: VecDeque<PlannedFault>,
    heals: BTreeSet<(Time, u32)>,
    spans: BTreeMap<u32, FaultSpan>,
}

impl Timeline {
    fn next(&self) -> Option<Time> {
        let injection = self.pending.front().map(|f| self.began + f.at);
        let heal = self.heals.first().map(|(at, _)| *at);
        injection.into_iter().chain(heal).min()
    }
}

impl Drill {
    /// Goes through the plan. Everything is healed when it returns; `Err` says why it ended early.
    pub(super) async fn schedule(
        &self,
        reconciler: &Reconciler,
        driver: &dyn Driver,
        inventory: &Inventory,
        began: Time,
    ) -> Result<(), String> {
        let plan = &self.options.plan;
        let mut timeline = Timeline {
            began,
            end: began + plan.load,
            pending: plan.faults.iter().cloned().collect(),
            heals: BTreeSet::new(),
            spans: plan.faults.iter().map(|f| (f.id, planned_span(f))).collect(),
        };
        let mut changes: Changes = FuturesUnordered::new();
        let result = self.follow(reconciler, driver, inventory, &mut timeline, &mut changes).await;
        // A change in progress is not cut in the middle: it ends, then all that is in effect is healed.
        let heal = async {
            while let Some(done) = changes.next().await {
                self.note(&mut timeline, done);
            }
            for id in reconciler.in_effect() {
                let change = reconciler.heal(id).await;
                self.note(&mut timeline, Done { id, kind: Kind::Heal, change });
            }
        };
        tokio::select! {
            biased;
            () = self.stop.hard.cancelled() => Err(INTERRUPTED.into()),
            () = heal => result,
        }
    }

    async fn follow<'a>(
        &'a self,
        reconciler: &'a Reconciler,
        driver: &'a dyn Driver,
        inventory: &'a Inventory,
        timeline: &mut Timeline,
        changes: &mut Changes<'a>,
    ) -> Result<(), String> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0u32;
        loop {
            let next = timeline.next();
            if next.is_none() && changes.is_empty() && self.clock.now() >= timeline.end {
                return Ok(());
            }
            let wake = next.unwrap_or(timeline.end.max(self.clock.now() + TICK));
            tokio::select! {
                biased;
                () = self.stop.soft.cancelled() => return Err(INTERRUPTED.into()),
                wrong = self.alarm.raised() => return Err(wrong),
                () = self.clock.sleep_until(wake) => {
                    self.begin_due(reconciler, driver, inventory, timeline, changes)?;
                }
                Some(done) = changes.next(), if !changes.is_empty() => self.note(timeline, done),
                _ = tick.tick() => {
                    ticks += 1;
                    self.tick(timeline.began, ticks)?;
                }
            }
        }
    }

    fn tick(&self, began: Time, ticks: u32) -> Result<(), String> {
        let now = self.clock.now();
        if ticks.is_multiple_of(TICKS_PER_PROGRESS) {
            self.tell(Event::Progress(self.monitor.progress(now.since(began))));
        }
        let tripped = guard::tripped(&self.options.guards, &self.monitor, began, now);
        tripped.or_else(|| self.broken()).map_or(Ok(()), Err)
    }

    /// Begins all that is due now.
    fn begin_due<'a>(
        &'a self,
        reconciler: &'a Reconciler,
        driver: &'a dyn Driver,
        inventory: &'a Inventory,
        timeline: &mut Timeline,
        changes: &mut Changes<'a>,
    ) -> Result<(), String> {
        let now = self.clock.now();
        while let Some((_, id)) = timeline.heals.first().copied().filter(|(at, _)| *at <= now) {
            timeline.heals.pop_first();
            changes.push(Box::pin(async move {
                Done { id, kind: Kind::Heal, change: reconciler.heal(id).await }
            }));
        }
        while timeline.pending.front().is_some_and(|f| timeline.began + f.at <= now) {
            let first = timeline.pending.len() == self.options.plan.faults.len();
            if first {
                self.require_steady_state()?;
            }
            if let Some(fault) = timeline.pending.pop_front() {
                changes.push(Box::pin(self.inject(reconciler, driver, inventory, fault)));
            }
        }
        Ok(())
    }

    fn require_steady_state(&self) -> Result<(), String> {
        let wanted = self.options.steady;
        let rate = self.options.header.workload.rate.per_second() * wanted.rate.fraction();
        let now = self.clock.now();
        let steady = self.monitor.steady(now, wanted.window, wanted.success, rate);
        self.writer.steady(steady);
        self.tell(Event::Steady(steady));
        let dead = self.dead.lock().unwrap_or_else(|p| p.into_inner()).clone();
        match steady.held {
            true if dead.is_empty() => Ok(()),
            true => {
                let dead: Vec<&str> = dead.iter().map(NodeId::as_str).collect();
                Err(format!(
                    "no steady state before the first fault: {} died; nothing was injected",
                    dead.join(", ")
                ))
            }
            false => Err(format!(
                "no steady state before the first fault: over {} {} succeeded (wanted {}), {:.1} \
                 operations a second returned (wanted {rate:.1}); nothing was injected",
                humantime::format_duration(wanted.window),
                steady.success.rounded(),
                wanted.success,
                steady.rate,
            )),
        }
    }

    async fn inject(
        &self,
        reconciler: &Reconciler,
        driver: &dyn Driver,
        inventory: &Inventory,
        fault: PlannedFault,
    ) -> Done {
        let id = fault.id;
        let issued = self.clock.now();
        let leader = match fault.effect {
            Binding::Late { .. } => self.who_leads(driver).await,
            Binding::Known(_) => None,
        };
        let effect = match fault.bind(inventory, leader.as_ref()) {
            Ok(effect) => effect,
            Err(e) => {
                let unproven = Some(e.to_string());
                let effective = self.clock.now();
                let change =
                    Change { issued, effective, measured: effective, evidence: vec![], unproven };
                return Done { id, kind: Kind::Unbound, change };
            }
        };
        self.tell(Event::Injecting { id, what: effect.what.clone() });
        let change = reconciler.inject(id, effect.clone()).await;
        Done { id, kind: Kind::Injection(effect), change }
    }

    async fn who_leads(&self, driver: &dyn Driver) -> Option<NodeId> {
        let deadline = self.clock.now() + LEADER_LIMIT;
        loop {
            match driver.leader().await {
                Some(leader) => return Some(leader),
                None if self.clock.now() >= deadline => return None,
                None => tokio::time::sleep(TICK).await,
            }
        }
    }

    /// Writes down what a change came to, and sets the time of the heal.
    fn note(&self, timeline: &mut Timeline, done: Done) {
        let Done { id, kind, change } = done;
        let Some(span) = timeline.spans.get_mut(&id) else { return };
        let unproven = change.unproven.clone();
        let took = change.effective.since(change.issued);
        let planned = timeline.began + span.planned_at;
        let event = match kind {
            Kind::Heal => {
                let mut healed = self.healed.lock().unwrap_or_else(|p| p.into_inner());
                *healed = (*healed).max(Some(change.effective));
                span.healed = Some(change);
                self.target.announce(&news(span, true));
                Event::Healed { id, what: span.what.clone(), took, unproven }
            }
            Kind::Injection(effect) => {
                timeline.heals.insert((change.effective + span.planned_for, id));
                (span.what, span.nodes) = (effect.what, effect.victims);
                span.injected = Some(change);
                self.target.announce(&news(span, false));
                Event::Injected { id, what: span.what.clone(), took, planned, unproven }
            }
            Kind::Unbound => {
                span.injected = Some(change);
                Event::Injected { id, what: span.what.clone(), took, planned, unproven }
            }
        };
        self.writer.fault(span);
        self.tell(event);
    }
}

/// What those should know who watch the nodes.
fn news(span: &FaultSpan, healed: bool) -> News {
    News { nodes: span.nodes.clone(), fault: span.id, what: span.what.clone(), healed }
}
