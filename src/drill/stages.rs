//! The stages of a drill, one after the other: set-up, nodes up, load and faults, final reads, nodes down,
//! teardown. A stage that fails ends the drill early; what must be undone is undone all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::event::{Began, Event, Planned, Stamped};
use super::members::{Told, Watch};
use super::reconcile::Reconciler;
use super::{Drill, MakeDriver};
use crate::history::{FaultSpan, LoadSpan, NodeEvent, NodeEventKind, Time};
use crate::inventory::{AddressBook, Inventory};
use crate::plan::{Binding, PlannedFault};
use crate::workload::client::Driver;
use crate::workload::{Sink, engine, final_reads};

/// How long a healed system may take until somebody leads again, before the final reads go on without.
const LEADER_LIMIT: Duration = Duration::from_secs(10);
/// How often it is asked who leads.
const LEADER_PERIOD: Duration = Duration::from_millis(500);
/// How long the final reads may take. What is not read by then stays unknown, and a check says so.
const FINAL_READS_LIMIT: Duration = Duration::from_secs(60);
/// How long the target may take to let go after a second Ctrl-C.
const HARD_STOP_LIMIT: Duration = Duration::from_secs(5);

/// The load ends when the timeline does, not at a time of its own.
const FAR: Time = Time(u64::MAX);

/// Interrupted by Ctrl-C or SIGTERM, as a report says it.
pub const INTERRUPTED: &str = "interrupted";

impl Drill {
    /// All stages. Returns why the drill ended early, and what could not be restored.
    pub(super) async fn go(&self, make_driver: MakeDriver) -> (Option<String>, Vec<String>) {
        self.tell(Event::Began(Box::new(self.began())));
        for span in self.options.plan.faults.iter().map(planned_span) {
            self.writer.fault(&span);
        }
        let teardown = match self.journal_teardown() {
            Ok(teardown) => teardown,
            Err(why) => {
                self.tell(Event::Aborting(why.clone()));
                return (Some(why), vec![]); // nothing has begun
            }
        };
        let set_up = self.set_up().await;
        let mut left_behind = vec![];
        let drilled = match set_up {
            Ok(()) => {
                let drilled = self.with_nodes(make_driver).await;
                self.tell_abort(&drilled);
                self.tell(Event::Stopping);
                left_behind = self.take_down().await;
                drilled
            }
            failed => {
                self.tell_abort(&failed);
                failed
            }
        };
        let torn_down = self.tear_down(&teardown).await;
        if drilled.is_ok() {
            self.tell_abort(&torn_down);
        }
        (drilled.and(torn_down).err(), left_behind)
    }

    fn tell_abort(&self, ended: &Result<(), String>) {
        if let Err(why) = ended {
            self.tell(Event::Aborting(why.clone()));
        }
    }

    fn began(&self) -> Began {
        let plan = &self.options.plan;
        let planned = |fault: &PlannedFault| Planned {
            id: fault.id,
            fault: fault.fault.clone(),
            what: planned_span(fault).what,
            at: fault.at,
            length: fault.length,
        };
        Began {
            run: self.options.header.run.clone(),
            scenario: plan.scenario.clone(),
            seed: plan.seed,
            target: plan.target.clone(),
            inventory: plan.inventory.clone(),
            load: plan.load,
            faults: plan.faults.iter().map(planned).collect(),
        }
    }

    /// Everything that needs the nodes. They are taken down by the caller.
    async fn with_nodes(&self, make_driver: MakeDriver) -> Result<(), String> {
        self.watch_notices();
        if let Some(journal) = &self.safety.journal {
            for restore in self.target.restores_start() {
                journal.before(restore.into()).map_err(|e| e.to_string())?;
            }
        }
        let book = AddressBook::default();
        self.target.keep_addresses(book.clone());
        let inventory = tokio::select! {
            biased;
            () = self.stop.soft.cancelled() => return Err(INTERRUPTED.into()),
            started = self.target.start() => started.map_err(|e| e.to_string())?,
        };
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled() => return Err(INTERRUPTED.into()),
            ready = self.target.foresee(self.options.plan.foreseen()) => {
                ready.map_err(|e| e.to_string())?;
            }
        }
        self.tell(Event::NodesReady(inventory.clone()));
        book.complete(&inventory);
        let driver = make_driver(&book).map_err(|e| e.to_string())?;
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled() => return Err(INTERRUPTED.into()),
            ready = driver.prepare() => ready.map_err(|e| e.to_string())?,
        }
        let leaders = self.watch_leader(driver.clone());
        let members = self.options.redundancy.map(|_| self.watch_members(driver.clone()));
        let loaded = self.load(&inventory, driver.clone()).await;
        let back = self.members_back(members, loaded.is_ok()).await;
        let read = match loaded.and_then(|summary| back.map(|()| summary)) {
            Ok(summary) => self.final_reads(&inventory, driver, summary).await,
            Err(why) => Err(why),
        };
        leaders.abort();
        read
    }

    fn watch_members(&self, driver: Arc<dyn Driver>) -> Watch {
        let (writer, events, clock) = (self.writer.clone(), self.events.clone(), self.clock);
        let nodes = self.options.plan.inventory.ids().cloned().collect();
        Watch::begin(nodes, driver, Told { writer, events, clock })
    }

    /// Waits until every member is back after the last heal, at most as long as a check allows, where one
    /// wants to know. Clients do nothing meanwhile, so that no other figure depends on how long it takes.
    async fn members_back(&self, watch: Option<Watch>, wait: bool) -> Result<(), String> {
        let Some(mut watch) = watch else { return Ok(()) };
        let healed = *self.healed.lock().unwrap_or_else(|p| p.into_inner());
        let Some(healed) = healed.filter(|_| wait) else {
            tokio::select! {
                biased;
                () = self.stop.hard.cancelled() => {}
                _ = watch.end() => {}
            }
            return Ok(());
        };
        let limit = healed + self.options.redundancy.unwrap_or_default();
        if !watch.is_back(healed) && self.clock.now() < limit {
            self.tell(Event::MembersAwaited { limit: limit.since(self.clock.now()) });
        }
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled() => return Err(INTERRUPTED.into()),
            () = watch.back(healed, limit) => {}
        }
        let lost = !watch.is_back(healed);
        let absent = watch.end().await;
        if lost {
            // The final reads would ask them in vain, too.
            self.dead.lock().unwrap_or_else(|p| p.into_inner()).extend(absent);
        }
        Ok(())
    }

    /// Clients work, faults come and go. Whatever ends it, everything is healed when it returns.
    async fn load(
        &self,
        inventory: &Inventory,
        driver: Arc<dyn Driver>,
    ) -> Result<engine::Summary, String> {
        let (target, clock) = (self.target.clone(), self.clock);
        let (journal, guard) = (self.safety.journal.clone(), self.safety.guard.clone());
        let run = self.options.header.run.clone();
        let reconciler = Reconciler::new(target, inventory, clock, journal, run, guard);
        let end_of_load = CancellationToken::new();
        let began = clock.now();
        self.writer.load(LoadSpan { began, ended: None });
        self.tell(Event::LoadBegan);
        let work = tokio::spawn(engine::run(
            engine::Options { from: began, until: FAR, ..self.options.workload.clone() },
            driver.clone(),
            self.monitor.clone() as Arc<dyn Sink>,
            clock,
            end_of_load.clone(),
        ));
        let scheduled = self.schedule(&reconciler, driver.as_ref(), inventory, began).await;
        end_of_load.cancel();
        self.writer.load(LoadSpan { began, ended: Some(clock.now()) });
        self.tell(Event::LoadEnded);
        let ended = tokio::select! {
            biased;
            () = self.stop.hard.cancelled() => Err(INTERRUPTED.into()),
            ended = work => ended.map_err(|e| format!("the workload broke: {e}")),
        };
        scheduled.and(ended)
    }

    async fn final_reads(
        &self,
        inventory: &Inventory,
        driver: Arc<dyn Driver>,
        summary: engine::Summary,
    ) -> Result<(), String> {
        let read = async {
            let deadline = self.clock.now() + LEADER_LIMIT;
            while driver.leader().await.is_none()
                && driver.knows_leader()
                && self.clock.now() < deadline
            {
                tokio::time::sleep(LEADER_PERIOD / 5).await;
            }
            tokio::time::sleep(self.options.settle).await;
            // A node that died by itself would be asked in vain until the limit.
            let dead = self.dead.lock().unwrap_or_else(|p| p.into_inner()).clone();
            let options = final_reads::Options {
                nodes: inventory.ids().filter(|id| !dead.contains(*id)).cloned().collect(),
                calls: summary.final_calls,
                process: summary.next_process,
                timeout: self.options.workload.timeout,
                deadline: self.clock.now() + FINAL_READS_LIMIT,
            };
            let reads = options.calls.len() * (1 + options.nodes.len());
            self.tell(Event::FinalReads { reads });
            let sink = self.monitor.clone() as Arc<dyn Sink>;
            final_reads::run(options, driver, sink, self.clock).await;
        };
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled() => Err(INTERRUPTED.into()),
            () = read => self.broken().map_or(Ok(()), Err),
        }
    }

    /// Takes the nodes down; after a second Ctrl-C only for a while: the journal has the rest.
    async fn take_down(&self) -> Vec<String> {
        let hard = async {
            self.stop.hard.cancelled().await;
            tokio::time::sleep(HARD_STOP_LIMIT).await;
        };
        tokio::select! {
            left = self.target.stop() => left,
            () = hard => vec![],
        }
    }

    /// Writes down what happens to the nodes' processes, for as long as the target tells.
    fn watch_notices(&self) {
        let mut notices = self.target.notices();
        let (writer, events, clock) = (self.writer.clone(), self.events.clone(), self.clock);
        let dead = self.dead.clone();
        tokio::spawn(async move {
            while let Some(notice) = notices.recv().await {
                let at = clock.at(notice.at);
                let mut dead = dead.lock().unwrap_or_else(|p| p.into_inner());
                match notice.kind {
                    NodeEventKind::Died(_) => drop(dead.insert(notice.node.clone())),
                    NodeEventKind::Started => drop(dead.remove(&notice.node)),
                    _ => {}
                }
                drop(dead);
                let event = NodeEvent { at, node: notice.node, kind: notice.kind };
                writer.node(&event);
                let _ = events.send(Stamped { at, event: Event::Node(event) });
            }
        });
    }

    /// Writes down who leads, whenever that changes.
    fn watch_leader(&self, driver: Arc<dyn Driver>) -> JoinHandle<()> {
        let (writer, events, clock) = (self.writer.clone(), self.events.clone(), self.clock);
        tokio::spawn(async move {
            let mut known = None;
            loop {
                let leader = driver.leader().await;
                if let Some(node) = leader.clone().filter(|_| leader != known) {
                    let event = NodeEvent { at: clock.now(), node, kind: NodeEventKind::Leads };
                    writer.node(&event);
                    let _ = events.send(Stamped { at: event.at, event: Event::Node(event) });
                    known = leader;
                }
                tokio::time::sleep(LEADER_PERIOD).await;
            }
        })
    }
}

/// A planned fault before anything became of it.
pub(super) fn planned_span(fault: &PlannedFault) -> FaultSpan {
    let (what, nodes) = match &fault.effect {
        Binding::Known(effect) => (effect.what.clone(), effect.victims.clone()),
        Binding::Late { what, .. } => (what.clone(), vec![]),
    };
    FaultSpan {
        id: fault.id,
        fault: fault.fault.clone(),
        what,
        line: fault.line,
        nodes,
        planned_at: fault.at,
        planned_for: fault.length,
        injected: None,
        healed: None,
    }
}
