//! Watches how the members stand among their peers, where a check wants to know: asks the driver again and again, and
//! writes down what changes.
//!
//! Invariant: while nothing is written, each member stood at each ask as was written last. [`Watch::end`] writes every
//! member once more, so that the record says until when it was asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::event::{Event, Stamped};
use crate::history::file::Writer;
use crate::history::{NodeEvent, NodeEventKind, Standing, Time};
use crate::inventory::NodeId;
use crate::workload::Clock;
use crate::workload::client::{Driver, STANDINGS_LIMIT};

/// The pause between one ask and the next.
const PAUSE: Duration = Duration::from_millis(500);
/// How long every member must stand full before they count as back: one that dies again and again looks
/// well for a moment, too.
const STAYS: Duration = Duration::from_secs(1);

/// Where what is seen goes.
pub(super) struct Told {
    pub(super) writer: Arc<Writer>,
    pub(super) events: UnboundedSender<Stamped>,
    pub(super) clock: Clock,
}

/// What the asks have come to so far.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// When the last ask began.
    asked: Time,
    /// Since when every member stood full at every ask: when the first of those asks began.
    full_since: Option<Time>,
    /// Nobody can tell, and asking on is of no use.
    untold: bool,
}

/// A watch that goes on until it is ended; dropped, it ends at once, and writes nothing more.
pub(super) struct Watch {
    stop: CancellationToken,
    seen: watch::Receiver<Seen>,
    task: JoinHandle<Vec<NodeId>>,
}

impl Watch {
    /// Asks about these nodes from now on.
    pub(super) fn begin(nodes: Vec<NodeId>, driver: Arc<dyn Driver>, told: Told) -> Watch {
        let (sender, seen) = watch::channel(Seen::default());
        let stop = CancellationToken::new();
        let mut asking = Asking { nodes, driver, told, known: BTreeMap::new(), last: None };
        let until = stop.clone();
        let task = tokio::spawn(async move {
            while !until.is_cancelled() {
                let before = sender.borrow().full_since;
                let seen = asking.ask(before).await;
                let untold = seen.untold;
                sender.send_replace(seen);
                if untold {
                    until.cancelled().await;
                    break;
                }
                tokio::select! {
                    () = until.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            asking.sign_off()
        });
        Watch { stop, seen, task }
    }

    /// Returns when every member was back after `healed`, or was not in time (`limit`), or nobody can tell.
    pub(super) async fn back(&mut self, healed: Time, limit: Time) {
        let over = |seen: &Seen| {
            let back = seen
                .full_since
                .is_some_and(|since| seen.asked >= healed && seen.asked.since(since) >= STAYS);
            // The last ask begins after the limit: what it finds is too late for certain.
            back || seen.untold || seen.asked > limit
        };
        // An error: the watch is over, and nothing comes any more.
        let _ = self.seen.wait_for(over).await;
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_back(&self, healed: Time) -> bool {
        let seen = self.seen.borrow();
        seen.untold || (seen.full_since.is_some() && seen.asked >= healed)
    }

    /// Ends the watch, and writes down how each member stands now. Returns those that are absent.
    pub(super) async fn end(mut self) -> Vec<NodeId> {
        self.stop.cancel();
        // A panic of a driver's is told by what is missing in the record.
        (&mut self.task).await.unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One ask.
#[derive(Debug, Clone, Copy)]
struct Ask {
    began: Time,
    ended: Time,
    /// When the ask before it began; of the first, when it began itself.
    before: Time,
}

struct Asking {
    nodes: Vec<NodeId>,
    driver: Arc<dyn Driver>,
    told: Told,
    /// How each stood at the last ask.
    known: BTreeMap<NodeId, Standing>,
    last: Option<Ask>,
}

impl Asking {
    async fn ask(&mut self, full_before: Option<Time>) -> Seen {
        let began = self.told.clock.now();
        let answer = timeout(STANDINGS_LIMIT, self.driver.standings()).await;
        let before_this = self.last.map_or(began, |last| last.began);
        let ask = Ask { began, ended: self.told.clock.now(), before: before_this };
        let untold = matches!(answer, Ok(None));
        let why = match answer {
            Ok(None) => "the client asks members nothing",
            Ok(Some(_)) => "the client says nothing of it",
            Err(_) => "the client had no answer in time",
        };
        let mut said: BTreeMap<NodeId, Standing> =
            answer.ok().flatten().into_iter().flatten().collect();
        let mut full = true;
        for node in self.nodes.clone() {
            let standing = said.remove(&node).unwrap_or_else(|| Standing::Unknown(why.into()));
            full &= standing == Standing::Full;
            self.note(node, standing, ask);
        }
        self.last = Some(ask);
        let full_since = full.then(|| full_before.unwrap_or(began));
        Seen { asked: began, full_since, untold }
    }

    /// Writes down how a node stands, if it stood otherwise before.
    fn note(&mut self, node: NodeId, standing: Standing, ask: Ask) {
        let before = self.known.insert(node.clone(), standing.clone());
        if before.as_ref().is_some_and(|before| before.says_as(&standing)) {
            return;
        }
        let as_ever = before.is_none() && standing == Standing::Full;
        let event = stands(node, standing, ask);
        self.told.writer.node(&event);
        if !as_ever {
            let told = Stamped { at: event.at, event: Event::Node(event) };
            let _ = self.told.events.send(told); // nobody may be watching
        }
    }

    /// Says once more how each stands, at the last ask. Returns those that are absent.
    fn sign_off(&self) -> Vec<NodeId> {
        let Some(last) = self.last else { return vec![] };
        for (node, standing) in &self.known {
            self.told.writer.node(&stands(node.clone(), standing.clone(), last));
        }
        let absent = self.known.iter().filter(|(_, s)| matches!(s, Standing::Absent(_)));
        absent.map(|(node, _)| node.clone()).collect()
    }
}

fn stands(node: NodeId, standing: Standing, ask: Ask) -> NodeEvent {
    NodeEvent { at: ask.ended, node, kind: NodeEventKind::Stands { standing, after: ask.before } }
}

#[cfg(test)]
mod tests;
