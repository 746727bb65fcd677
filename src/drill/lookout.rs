//! What looks at operations while the drill goes, and ends it at once when something is wrong with them.
//!
//! Whoever looks is given operations in the order of time. Clients write down what they saw from many threads, a little
//! late: what came is held back for a while and sorted. Memory is bounded by what happens in that while.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::history::{Call, Outcome, Process, Time};
use crate::workload::Clock;

/// Looks at operations as they come.
pub trait Lookout: Send + Sync + std::fmt::Debug {
    /// One begins.
    fn invoked(&mut self, id: u64, process: Process, at: Time, call: &Call);
    /// Its outcome is known. `Some`: what is wrong from then on, in words.
    fn returned(&mut self, id: u64, at: Time, outcome: &Outcome) -> Option<String>;
}

/// So long what was seen is held back: who writes it down later than this comes too late to be put in its place.
const SLACK: Duration = Duration::from_millis(200);

/// How often what was held back is looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// Something that a client did or was told.
#[derive(Debug)]
enum Seen {
    Invoked(Process, Call),
    Returned(Outcome),
}

/// Where operations are sent to be looked at.
#[derive(Debug, Clone)]
pub(super) struct Sender(UnboundedSender<(Time, u64, Seen)>);

impl Sender {
    pub fn invoked(&self, id: u64, process: Process, at: Time, call: Call) {
        // Nobody may be looking any more.
        let _ = self.0.send((at, id, Seen::Invoked(process, call)));
    }
    pub fn returned(&self, id: u64, at: Time, outcome: Outcome) {
        let _ = self.0.send((at, id, Seen::Returned(outcome)));
    }
}

/// What the lookout found.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarm {
    words: Arc<OnceLock<String>>,
    raised: CancellationToken,
}

impl Alarm {
    /// Waits until something is wrong; in words.
    pub async fn raised(&self) -> String {
        self.raised.cancelled().await;
        self.words.get().cloned().unwrap_or_default()
    }
}

/// Sets a lookout to work, until the last sender is gone, or something is wrong.
pub(super) fn post(lookout: Box<dyn Lookout>, clock: Clock) -> (Sender, Alarm) {
    let (sender, seen) = unbounded_channel();
    let alarm = Alarm::default();
    tokio::spawn(look(lookout, clock, seen, alarm.clone()));
    (Sender(sender), alarm)
}

async fn look(
    mut lookout: Box<dyn Lookout>,
    clock: Clock,
    mut seen: UnboundedReceiver<(Time, u64, Seen)>,
    alarm: Alarm,
) {
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut held = Held::default();
    let mut open = true;
    while open {
        let until = tokio::select! {
            next = seen.recv() => {
                open = next.is_some();
                held.extend(next);
                if open { continue } else { Time(u64::MAX) }
            }
            _ = tick.tick() => clock.now() - SLACK,
        };
        while let Some((at, id, what)) = held.next(until) {
            let wrong = match what {
                Seen::Invoked(process, call) => {
                    lookout.invoked(id, process, at, &call);
                    None
                }
                Seen::Returned(outcome) => lookout.returned(id, at, &outcome),
            };
            if let Some(words) = wrong {
                let _ = alarm.words.set(format!("fail fast, at {at}: {words}"));
                alarm.raised.cancel();
                return;
            }
        }
    }
}

/// What is held back, in the order of time. At equal instants calls come first.
#[derive(Debug, Default)]
struct Held {
    order: BinaryHeap<Reverse<(Time, bool, u64)>>,
    all: BTreeMap<(u64, bool), Seen>,
}

impl Held {
    fn extend(&mut self, more: Option<(Time, u64, Seen)>) {
        let Some((at, id, what)) = more else { return };
        let returns = matches!(what, Seen::Returned(_));
        self.order.push(Reverse((at, returns, id)));
        self.all.insert((id, returns), what);
    }

    /// The first one, if it was up to this instant.
    fn next(&mut self, until: Time) -> Option<(Time, u64, Seen)> {
        let Reverse((at, returns, id)) = *self.order.peek().filter(|first| first.0.0 <= until)?;
        self.order.pop();
        Some((at, id, self.all.remove(&(id, returns))?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::history::Reply;

    /// Writes down what it is given, and finds the answer 9 wrong.
    #[derive(Debug, Clone, Default)]
    struct Scribe(Arc<Mutex<Vec<String>>>);

    impl Lookout for Scribe {
        fn invoked(&mut self, id: u64, process: Process, at: Time, _: &Call) {
            self.0.lock().unwrap().push(format!("{}: {process} invokes {id}", at.0));
        }
        fn returned(&mut self, id: u64, at: Time, outcome: &Outcome) -> Option<String> {
            self.0.lock().unwrap().push(format!("{}: {id} returns", at.0));
            let nine = Outcome::Ok(Reply::Value(Some(9)));
            (*outcome == nine).then(|| format!("operation {id} found 9"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn operations_are_looked_at_in_the_order_of_time_and_the_first_wrong_one_is_told() {
        let scribe = Scribe::default();
        let (sender, alarm) = post(Box::new(scribe.clone()), Clock::start());
        let read = || Call::Read { key: 0 };
        let found = |value| Outcome::Ok(Reply::Value(Some(value)));
        sender.returned(0, Time(20), found(1));
        sender.invoked(1, 6, Time(20), read());
        sender.invoked(0, 5, Time(10), read());
        sender.returned(1, Time(30), found(9));
        sender.returned(2, Time(40), found(9));
        let words = tokio::time::timeout(Duration::from_secs(1), alarm.raised()).await.unwrap();
        assert_eq!(words, "fail fast, at 0.000 s: operation 1 found 9");
        let told = scribe.0.lock().unwrap().join(", ");
        assert_eq!(told, "10: 5 invokes 0, 20: 6 invokes 1, 20: 0 returns, 30: 1 returns");
    }

    #[tokio::test(start_paused = true)]
    async fn what_just_happened_is_held_back() {
        let scribe = Scribe::default();
        let clock = Clock::start();
        let (sender, _alarm) = post(Box::new(scribe.clone()), clock);
        tokio::time::sleep(SLACK).await;
        sender.invoked(0, 5, clock.now(), Call::Read { key: 0 });
        tokio::time::sleep(SLACK / 2).await;
        assert!(scribe.0.lock().unwrap().is_empty());
        tokio::time::sleep(SLACK).await;
        assert_eq!(scribe.0.lock().unwrap().len(), 1);
    }
}
