//! Keeps the clocks of the node's processes off by so much, and measures that they are.
//!
//! Invariant: what is not renewed reverts by itself ([`LEASE`]), so that a holder that was killed has healed.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::clock::{Held, Skewer, Witness};
use super::protocol::Clocks;
use crate::condition::ClockSkew;

/// How long processes read a wrong clock after it was renewed last.
const LEASE: Duration = Duration::from_secs(2);
/// By how much a witness may be off beyond the time that asking it took.
const SLACK: Duration = Duration::from_millis(1);

/// Keeps one skew.
#[derive(Debug, Default)]
pub(super) struct Timekeeper {
    /// Made when it is needed first.
    skewer: Option<Arc<Skewer>>,
    skew: ClockSkew,
    /// When it was renewed last, and whether it once ran out.
    renewed: Option<Instant>,
    lapses: Vec<String>,
}

impl Timekeeper {
    pub(super) fn is_idle(&self) -> bool {
        self.skew.is_none()
    }

    /// Has every process read a clock that is off by this from now on.
    pub(super) async fn hold(&mut self, skew: ClockSkew) -> Result<(), String> {
        if self.skewer.is_none() && skew.is_none() {
            return Ok(());
        }
        if self.skewer.is_none() {
            let all = Skewer::new("/proc", |_| true).map_err(|e| e.to_string())?;
            self.skewer = Some(Arc::new(all));
        }
        self.skew = skew;
        self.renewed = None;
        let held = self.renew().await?;
        match held.refused.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "the clock of {} of {} processes cannot be skewed; {} (process {}): {}",
                held.refused.len(),
                held.refused.len() + held.skewed,
                first.name,
                first.pid,
                first.why
            )),
        }
    }

    /// Holds on; what does not hold is a lapse.
    pub(super) async fn keep(&mut self) {
        if let Err(why) = self.renew().await {
            self.lapse(why);
        }
    }

    /// When the skew did not hold, since this was asked last.
    pub(super) fn lapses(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lapses)
    }

    fn lapse(&mut self, why: String) {
        if !self.lapses.contains(&why) {
            self.lapses.push(why);
        }
    }

    /// Renews the lease of all, and reaches who is new.
    async fn renew(&mut self) -> Result<Held, String> {
        let Some(skewer) = self.skewer.clone() else { return Ok(Held::default()) };
        let skew = self.skew;
        if self.renewed.is_some_and(|last| last.elapsed() >= LEASE) {
            self.lapse(format!(
                "the skew of its clock was renewed too late: it ran out after {LEASE:?}"
            ));
        }
        // Giving clocks back may wait for threads.
        let held = spawn_blocking(move || skewer.hold(skew, LEASE)).await;
        let held = held.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        self.renewed = (!skew.is_none()).then(Instant::now);
        Ok(held)
    }

    /// What the clocks are: as the processes' memory says, and as one says that was started just now.
    pub(super) async fn measure(&self) -> Result<Option<Clocks>, String> {
        let Some(skewer) = self.skewer.clone() else { return Ok(None) };
        let skew = self.skew;
        let measured = spawn_blocking(move || {
            let own = std::env::current_exe().map_err(|e| format!("no way to itself: {e}"))?;
            let mut witness = Command::new(own);
            witness.arg("clock-witness");
            let said = |e: std::io::Error| format!("the witness of the clock: {e}");
            let mut witness = Witness::start(witness).map_err(said)?;
            // Answered once, it is executed and has the clock functions that it will have.
            witness.measure().map_err(said)?;
            let held = skewer.hold(skew, LEASE).map_err(|e| e.to_string())?;
            let seen = witness.measure().map_err(said)?;
            let pid = witness.pid();
            let readings = skewer.measure().map_err(|e| e.to_string())?;
            let readings: Vec<_> = readings.into_iter().filter(|r| r.pid != pid).collect();
            let odd = readings.iter().filter(|r| r.offset != skew || r.patched == skew.is_none());
            let odd = odd.map(|r| format!("{} (process {}) by {}", r.name, r.pid, r.offset));
            let refused = held.refused.iter();
            let odd =
                odd.chain(refused.map(|r| format!("{} (process {}): {}", r.name, r.pid, r.why)));
            let (wall, width) = (seen.wall, seen.width);
            let off = wall.abs_diff(skew.nanoseconds());
            let bound = u64::try_from((width + SLACK).as_nanos()).unwrap_or(u64::MAX);
            let as_asked = off <= bound;
            let (odd, processes) = (odd.collect(), readings.len());
            Ok(Some(Clocks { processes, odd, wall, width, as_asked }))
        });
        measured.await.map_err(|e| e.to_string())?
    }
}
