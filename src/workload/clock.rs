//! The drill's one clock, shared with the workload. It is tokio's, so that a test may drill in virtual time.

use std::time::Duration;

use tokio::time::Instant;

use crate::history::Time;

/// Counts from the drill's beginning.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// A clock whose zero is now.
    pub fn start() -> Clock {
        Clock { began: Instant::now() }
    }
    /// The time now.
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }
    /// The time of an instant; what lies before the beginning is zero.
    pub fn at(&self, instant: Instant) -> Time {
        Time::after_start(instant.saturating_duration_since(self.began))
    }
    /// The instant of a time.
    pub fn instant(&self, time: Time) -> Instant {
        self.began + Duration::from_nanos(time.0)
    }
    /// Waits until that time; returns at once if it has passed.
    pub async fn sleep_until(&self, time: Time) {
        tokio::time::sleep_until(self.instant(time)).await;
    }
}
