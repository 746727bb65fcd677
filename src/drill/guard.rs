//! Guards: conditions under which a drill ends at once, because it hurts more than it was meant to.

use std::time::Duration;

use super::monitor::Monitor;
use crate::history::Time;
use crate::quantity::Ratio;

/// Ends the drill when availability stays below a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Successful / all operations must not fall below this ...
    pub availability: Ratio,
    /// ... over a window of this length. At most [`super::monitor::WINDOW_MAX`].
    pub window: Duration,
}

/// The first guard that trips, in words. A guard whose window reaches back before the load cannot trip yet.
pub fn tripped(guards: &[Guard], monitor: &Monitor, load_began: Time, now: Time) -> Option<String> {
    guards.iter().find_map(|guard| {
        if now.since(load_began) < guard.window {
            return None;
        }
        let counts = monitor.over_last(now, guard.window);
        let seen = counts.success().unwrap_or_default(); // no operation at all is no availability
        (seen < guard.availability).then(|| {
            format!(
                "guard: availability {} over the last {}, allowed {}",
                seen.rounded(),
                humantime::format_duration(guard.window),
                guard.availability,
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::monitor::tests::{monitor, returns};
    use super::*;

    fn guard() -> Guard {
        Guard { availability: Ratio::new(0.2), window: Duration::from_secs(2) }
    }

    fn at(seconds: f64) -> Time {
        Time((seconds * 1e9) as u64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_guard_trips_when_availability_stays_too_low_for_its_window() {
        let (_folder, monitor) = monitor();
        (0..10).for_each(|i| returns(&monitor, at(0.1 * f64::from(i)), true));
        (10..40).for_each(|i| returns(&monitor, at(0.1 * f64::from(i)), false));
        assert_eq!(tripped(&[guard()], &monitor, Time::ZERO, at(1.9)), None, "too early to say");
        assert_eq!(tripped(&[guard()], &monitor, Time::ZERO, at(2.0)), None, "half succeeded");
        let words = tripped(&[guard()], &monitor, Time::ZERO, at(4.0)).unwrap();
        assert_eq!(words, "guard: availability 0% over the last 2s, allowed 20%");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_availability() {
        let (_folder, monitor) = monitor();
        assert!(tripped(&[guard()], &monitor, Time::ZERO, at(2.0)).is_some());
    }
}
