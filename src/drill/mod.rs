//! The only orchestrator: it brings the system up, keeps clients working, reconciles conditions with the
//! plan, proves what it did, and writes the record. It judges nothing.
//!
//! Invariant: whatever ends a drill, everything that it injected is healed before it returns, or is named in
//! [`Ended::left_behind`]. What ends it without letting it return (SIGKILL) is the watchdog's business.

pub mod event;
pub mod guard;
mod hooks;
pub mod journal;
pub mod lookout;
mod members;
mod monitor;
mod reconcile;
mod schedule;
mod stages;
pub mod watchdog;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::history::file::{HistoryError, Writer};
use crate::history::{End, Header, Time};
use crate::inventory::{AddressBook, NodeId};
use crate::plan::Plan;
use crate::quantity::Ratio;
use crate::target::Target;
use crate::workload::client::{ClientError, Driver};
use crate::workload::{Clock, engine};
use event::{Event, Stamped};
use guard::Guard;
use journal::Journal;
use lookout::{Alarm, Lookout};
use monitor::Monitor;
use watchdog::Watchdog;

/// What a drill needs to know.
#[derive(Debug)]
pub struct Options {
    /// The run's folder; the history is written there.
    pub folder: PathBuf,
    /// What the record begins with.
    pub header: Header,
    /// What to do to whom and when.
    pub plan: Plan,
    /// What must hold before the first fault.
    pub steady: SteadyState,
    /// When to give up.
    pub guards: Vec<Guard>,
    /// Commands before the nodes are brought up.
    pub setup: Vec<Command>,
    /// Commands after all is taken down, whatever happened; also if set-up never ran, or ran half.
    pub teardown: Vec<Command>,
    /// The clients' work.
    pub workload: engine::Options,
    /// How long the healed system is left in peace before the final reads.
    pub settle: Duration,
    /// How long after a heal every member may take to be back, where a check wants to know: members are asked how they
    /// stand, and after the last heal they are given this long.
    pub redundancy: Option<Duration>,
    /// Who looks at operations as they come, and has the drill end as soon as something is wrong with them.
    pub lookout: Option<Box<dyn Lookout>>,
}

/// A command of the scenario's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

/// What must hold before anything is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SteadyState {
    /// Over the last time of this length before the first fault ...
    pub window: Duration,
    /// ... this much of all operations must succeed, ...
    pub success: Ratio,
    /// ... and this much of the offered rate must return.
    pub rate: Ratio,
}

/// What keeps the drill's promises when the drill itself cannot. All are absent only in tests.
#[derive(Debug, Default)]
pub struct Safety {
    /// How to undo what is done.
    pub journal: Option<Arc<Journal>>,
    /// Who undoes it when the runner dies.
    pub watchdog: Option<Watchdog>,
    /// The firedrill binary, through which the user's commands are started: they end when the runner dies.
    pub guard: Option<PathBuf>,
}

/// How a drill is told to end early.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Inject nothing more; heal, and report.
    pub soft: CancellationToken,
    /// Wait for nothing more. Implies `soft`.
    pub hard: CancellationToken,
}

/// How a drill ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Why it ended before its plan was done. `None`: it was done.
    pub aborted: Option<String>,
    /// What could not be restored, each with the command that restores it.
    pub left_behind: Vec<String>,
}

/// Makes the driver once it is known where the nodes are. Its clients look them up in the book each time that they
/// connect.
pub type MakeDriver = Box<dyn FnOnce(&AddressBook) -> Result<Arc<dyn Driver>, ClientError> + Send>;

/// Drills. Fails only if the history cannot be written from the start; everything later is in [`Ended`].
pub async fn run(
    mut options: Options,
    target: Arc<dyn Target>,
    make_driver: MakeDriver,
    safety: Safety,
    stop: Stop,
    events: UnboundedSender<Stamped>,
) -> Result<Ended, HistoryError> {
    let clock = Clock::start();
    let writer = Arc::new(Writer::create(&options.folder.join(HISTORY_FILE), &options.header)?);
    let posted = options.lookout.take().map(|lookout| lookout::post(lookout, clock));
    let (looking, alarm) = posted.map_or((None, Alarm::default()), |(s, a)| (Some(s), a));
    let monitor = Arc::new(Monitor::new(writer.clone(), clock, looking));
    let hard = stop.hard.clone();
    let (dead, healed) = Default::default();
    let drill = Drill {
        options,
        target,
        clock,
        writer,
        monitor,
        safety,
        stop,
        events,
        dead,
        healed,
        alarm,
    };
    let (aborted, mut left_behind) = drill.go(make_driver).await;
    let Drill { safety, writer, clock, events, .. } = drill;
    left_behind.extend(close(safety, &hard));
    let end = End { at: clock.now(), aborted: aborted.clone(), left_behind: left_behind.clone() };
    writer.end(&end);
    let ended = Event::Ended { left_behind: left_behind.clone() };
    let _ = events.send(Stamped { at: clock.now(), event: ended }); // nobody may be watching
    Ok(Ended { aborted, left_behind })
}

/// The history's name in a run's folder, while the drill goes.
pub const HISTORY_FILE: &str = "history.jsonl";

/// Undoes what the journal still has open, and sends the watchdog away. Returns what is left. After a second
/// Ctrl-C the user's commands are not waited for, but left to the watchdog, if there still is one.
fn close(safety: Safety, hard: &CancellationToken) -> Vec<String> {
    let guard = safety.guard;
    let finish = |journal: Arc<Journal>| journal.finish(guard, &|| hard.is_cancelled()).left;
    let mut left = safety.journal.map(finish).unwrap_or_default();
    match safety.watchdog {
        Some(heir) if !left.is_empty() && hard.is_cancelled() && !heir.lost() => {
            heir.leave_to_it();
            left.iter_mut().for_each(|left| left.push_str(", which the watchdog tries again"));
        }
        Some(watchdog) => watchdog.dismiss(),
        None => {}
    }
    left
}

/// A drill that goes.
struct Drill {
    options: Options,
    target: Arc<dyn Target>,
    clock: Clock,
    writer: Arc<Writer>,
    monitor: Arc<Monitor>,
    safety: Safety,
    stop: Stop,
    events: UnboundedSender<Stamped>,
    /// Nodes that died by themselves, and were not started again.
    dead: Arc<Mutex<BTreeSet<NodeId>>>,
    /// When the last heal so far was complete.
    healed: Mutex<Option<Time>>,
    /// Something is wrong with what clients were told.
    alarm: Alarm,
}

impl Drill {
    fn tell(&self, event: Event) {
        let _ = self.events.send(Stamped { at: self.clock.now(), event }); // nobody may be watching
    }

    /// Why the drill cannot go on, if it cannot.
    fn broken(&self) -> Option<String> {
        if self.safety.watchdog.as_ref().is_some_and(Watchdog::lost) {
            return Some(
                "the watchdog is gone: what it guards may have been healed already".into(),
            );
        }
        self.writer.failure().map(|e| format!("the history cannot be written: {e}"))
    }
}
