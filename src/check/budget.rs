//! What judging may take: steps, time, memory. What does not fit is undecided, and it is said what was decided by then.
//!
//! Steps are the same on every machine, and so is a verdict that they bound; time is for people who wait. Memory is
//! that of searches: the history itself is there already.

use std::time::{Duration, Instant};

/// See the module. A search spends the steps of its own copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many steps a search may still take, for each independent part of a history.
    pub steps: u64,
    /// When it must have come to an end, and what time that was.
    time: Option<(Instant, Duration)>,
    /// How many bytes searches may remember, about. `None`: what each search allows itself.
    memory: Option<usize>,
}

/// Where time is bounded, it is looked at after so many steps.
const BETWEEN_LOOKS: u64 = 20_000;

/// Proofs are made small for so long, even where the time is up.
const GRACE: Duration = Duration::from_millis(200);

/// As many steps as it takes.
impl Default for Budget {
    fn default() -> Budget {
        Budget::of_steps(u64::MAX)
    }
}

impl Budget {
    /// So many steps.
    pub fn of_steps(steps: u64) -> Budget {
        Budget { steps, time: None, memory: None }
    }

    /// From now on no longer than this, however many steps that is.
    pub fn within(self, time: Duration) -> Budget {
        let until = Instant::now().checked_add(time);
        Budget { steps: u64::MAX, time: until.map(|until| (until, time)), ..self }
    }

    /// No more than so many bytes.
    pub fn remembering(self, bytes: usize) -> Budget {
        Budget { memory: Some(bytes), ..self }
    }

    /// The same for one of several parts that are judged at the same time.
    pub fn shared_by(self, parts: usize) -> Budget {
        Budget { memory: self.memory.map(|bytes| bytes / parts.max(1)), ..self }
    }

    /// Of so many steps at most, unless the time is bounded.
    pub(super) fn usually(self, steps: u64) -> Budget {
        if self.time.is_some() { self } else { self.up_to(steps) }
    }

    /// Of so many steps at most, for the sake of a proof.
    pub(super) fn up_to(self, steps: u64) -> Budget {
        Budget { steps: self.steps.min(steps), ..self }
    }

    /// What may be remembered, where it is `usual` unless told otherwise.
    pub(super) fn bytes(&self, usual: usize) -> usize {
        self.memory.unwrap_or(usual)
    }

    /// Whether nothing is left. Looks at the time, too.
    pub(super) fn is_spent(&mut self) -> bool {
        if self.is_late() {
            self.steps = 0;
        }
        self.steps == 0
    }

    /// Lets a search go on for so many steps, and no more than there are, nor so long that the time is not looked at.
    pub(super) fn slice<T>(&mut self, steps: u64, go: impl FnOnce(&mut u64) -> T) -> T {
        let most = if self.time.is_some() { BETWEEN_LOOKS } else { u64::MAX };
        let mut own = steps.min(self.steps).min(most);
        self.steps -= own;
        let result = go(&mut own);
        self.steps += own;
        result
    }

    /// Until when a proof may be made small, if that is to take no longer than this.
    pub(super) fn proof_by(&self, longest: Duration) -> Instant {
        let now = Instant::now();
        let left = self.time.map_or(longest, |(until, _)| until.saturating_duration_since(now));
        now + left.clamp(GRACE.min(longest), longest)
    }

    /// What kept a search from its end, that had `self` and has `left` now: `after 10 s`.
    pub(super) fn reached(&self, left: &Budget, noun: &str) -> String {
        match (self.time, self.memory) {
            (Some((_, time)), _) if left.is_late() => {
                format!("after {}", humantime::format_duration(time))
            }
            _ if left.steps == 0 => format!("after {} {noun}", self.steps),
            (_, Some(bytes)) => format!("with {} to remember in", megabytes(bytes)),
            (_, None) => format!("for want of memory, after {} {noun}", self.steps - left.steps),
        }
    }

    fn is_late(&self) -> bool {
        self.time.is_some_and(|(until, _)| Instant::now() >= until)
    }
}

/// `64 MB`, `0.5 MB`.
fn megabytes(bytes: usize) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes >= 10.0 { format!("{megabytes:.0} MB") } else { format!("{megabytes:.1} MB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_were_not_taken_are_left() {
        let mut budget = Budget::of_steps(10);
        let taken = budget.slice(6, |own| {
            let all = *own;
            *own = 2;
            all
        });
        assert_eq!((taken, budget.steps), (6, 6));
        assert_eq!(budget.slice(100, std::mem::take), 6);
        assert!(budget.is_spent());
    }

    #[test]
    fn time_that_is_up_leaves_no_steps_and_says_so() {
        let given = Budget::of_steps(10).within(Duration::ZERO);
        let mut left = given;
        assert!(left.steps > 10 && left.is_spent());
        assert_eq!(given.reached(&left, "states"), "after 0s");
        let given = Budget::of_steps(10).within(Duration::from_secs(3600));
        let mut left = given;
        assert!(!left.is_spent());
        let most = left.slice(u64::MAX, |own| *own);
        assert!(most < u64::MAX, "the time is looked at in between");
    }

    #[test]
    fn what_was_short_is_told() {
        let given = Budget::of_steps(10);
        assert_eq!(given.reached(&Budget::of_steps(0), "states"), "after 10 states");
        let told = given.reached(&Budget::of_steps(3), "states");
        assert_eq!(told, "for want of memory, after 7 states");
        let given = given.remembering(64_000_000).shared_by(2);
        assert_eq!(given.reached(&given, "states"), "with 32 MB to remember in");
        assert_eq!((given.bytes(5), Budget::of_steps(1).bytes(5)), (32_000_000, 5));
    }
}
