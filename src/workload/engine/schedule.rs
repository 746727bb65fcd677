//! When operations are to start: start `i` at `from + i / rate`, computed from the beginning, so that
//! nothing drifts; and which starts came too late for a worker.
//!
//! A start that came due while every worker was busy is the system's doing: it is dropped after [`GRACE`]. One
//! that came due while a worker was free, and was not taken, is the doing of the runner's machine (a timer's
//! tick, a stall): it is made late, and dropped only after [`STALL`].
//!
//! Pure: it is told what time it is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::history::Time;
use crate::quantity::Rate;

/// How long a start that found every worker busy waits for one before it is dropped. Latency counts from the
/// intended start, so this wait is never hidden.
pub(super) const GRACE: Duration = Duration::from_millis(10);

/// How long a start is kept that a free worker did not take, because the runner itself was stalled.
pub(super) const STALL: Duration = Duration::from_millis(250);

/// The intended starts that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Schedule {
    from: Time,
    end: Time,
    rate: f64,
    next: u64,
    closed: bool,
    workers: u32,
    busy: u32,
    /// Since when every worker is busy.
    all_busy: Option<Time>,
    /// When every worker was busy before, from and to; only what lies at or after the next start.
    were_busy: VecDeque<(Time, Time)>,
}

/// What a worker is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Start an operation at that time, or at once if it has passed.
    Start(Time),
    /// Nothing more: the load is over.
    Over,
}

impl Schedule {
    pub(super) fn new(from: Time, until: Time, rate: Rate, workers: u32) -> Schedule {
        Schedule {
            from,
            end: until,
            rate: rate.per_second(),
            next: 0,
            closed: false,
            workers,
            busy: 0,
            all_busy: None,
            were_busy: VecDeque::new(),
        }
    }

    /// A worker begins an operation.
    pub(super) fn begin(&mut self, now: Time) {
        self.busy += 1;
        if self.busy == self.workers {
            self.all_busy = Some(now);
        }
    }

    /// A worker is done with its operation, and free.
    pub(super) fn done(&mut self, now: Time) {
        self.busy = self.busy.saturating_sub(1);
        if let Some(since) = self.all_busy.take() {
            self.were_busy.push_back((since, now));
        }
    }

    /// Whether every worker was busy at that time, which is not before that of an earlier question.
    fn found_all_busy(&mut self, at: Time) -> bool {
        while self.were_busy.front().is_some_and(|(_, to)| *to <= at) {
            self.were_busy.pop_front();
        }
        let since = self.were_busy.front().map(|(from, _)| *from).or(self.all_busy);
        since.is_some_and(|since| since <= at)
    }

    /// When a start that nobody takes is to be dropped, as far as is known now.
    fn expiry(&mut self, intended: Time, now: Time) -> Time {
        let soon = intended + GRACE;
        match self.found_all_busy(intended) {
            _ if self.closed => soon.min(self.end),
            true => soon.min(self.end),
            false if now < soon => soon,
            false => intended + STALL,
        }
    }

    fn intended(&self, i: u64) -> Time {
        let nanos = (i as f64 * 1e9 / self.rate).round();
        Time(self.from.0.saturating_add(nanos as u64))
    }

    /// The next start that has not expired, for the caller to make; those that have go to `dropped`.
    pub(super) fn claim(&mut self, now: Time, dropped: &mut Vec<Time>) -> Claim {
        self.expire(now, dropped);
        let intended = self.intended(self.next);
        if intended >= self.end {
            return Claim::Over;
        }
        self.next += 1;
        Claim::Start(intended)
    }

    /// Drops the starts that no worker took in time. Returns when the next one would expire.
    pub(super) fn expire(&mut self, now: Time, dropped: &mut Vec<Time>) -> Option<Time> {
        loop {
            let intended = self.intended(self.next);
            if intended >= self.end {
                return None;
            }
            let expiry = self.expiry(intended, now);
            if now < expiry {
                return Some(expiry);
            }
            dropped.push(intended);
            self.next += 1;
        }
    }

    /// Ends the load now, if it has not ended before. A start intended before `now` still counts.
    pub(super) fn close(&mut self, now: Time) {
        self.end = self.end.min(now);
        self.closed = true;
    }

    /// Whether a start that was claimed is still to be made.
    pub(super) fn stands(&self, intended: Time) -> bool {
        intended < self.end
    }

    /// When the load ends, as far as is known.
    pub(super) fn end(&self) -> Time {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn schedule(rate: &str, seconds: u64) -> Schedule {
        Schedule::new(Time(5), Time(5 + seconds * SECOND), rate.parse().unwrap(), 1)
    }

    #[test]
    fn a_million_starts_do_not_drift() {
        let schedule = schedule("3/s", 1_000_000);
        assert_eq!(schedule.intended(1), Time(5 + 333_333_333));
        assert_eq!(schedule.intended(3_000_000), Time(5 + 1_000_000 * SECOND));
    }

    #[test]
    fn the_number_of_starts_is_the_rate_times_the_length() {
        for (rate, starts) in [("1000/s", 10_000), ("7/s", 70), ("30/m", 5), ("1/h", 1)] {
            let mut schedule = schedule(rate, 10);
            let mut claimed = 0;
            while schedule.claim(Time::ZERO, &mut vec![]) != Claim::Over {
                claimed += 1;
            }
            assert_eq!(claimed, starts, "{rate}");
        }
    }

    #[test]
    fn what_nobody_took_in_time_is_dropped_and_the_next_one_is_given_out() {
        let mut schedule = schedule("100/s", 10);
        schedule.begin(Time::ZERO);
        let mut dropped = vec![];
        let at = |ms: u64| Time(5 + ms * SECOND / 1_000);
        schedule.done(at(25));
        assert_eq!(schedule.claim(at(25), &mut dropped), Claim::Start(at(20)));
        assert_eq!(dropped, [at(0), at(10)]);
        schedule.begin(at(25));
        assert_eq!(schedule.expire(at(39), &mut dropped), Some(at(40)));
        assert_eq!(schedule.expire(at(40), &mut dropped), Some(at(50)));
        assert_eq!(dropped, [at(0), at(10), at(30)]);
    }

    #[test]
    fn what_a_stall_of_the_runner_delayed_is_made_late_and_not_dropped() {
        let mut schedule = schedule("100/s", 10);
        let at = |ms: u64| Time(5 + ms * SECOND / 1_000);
        let mut dropped = vec![];
        // The only worker was free, and nobody woke it for 300 ms.
        assert_eq!(schedule.claim(at(300), &mut dropped), Claim::Start(at(60)));
        assert_eq!(dropped, [0, 10, 20, 30, 40, 50].map(at), "not for ever");
        schedule.begin(at(300));
        schedule.done(at(301));
        assert_eq!(schedule.claim(at(301), &mut dropped), Claim::Start(at(70)));
        schedule.begin(at(301));
        // Now it is busy for long: what came due before is kept, what comes due now is not.
        schedule.done(at(315));
        assert_eq!(schedule.claim(at(315), &mut dropped), Claim::Start(at(80)));
        assert_eq!(dropped.len(), 6);
        schedule.begin(at(315));
        schedule.done(at(400));
        assert_eq!(schedule.claim(at(400), &mut dropped), Claim::Start(at(160)));
        let claims = (0..13).map(|_| schedule.claim(at(400), &mut dropped)).last();
        assert_eq!(claims, Some(Claim::Start(at(290))));
        assert_eq!(schedule.claim(at(400), &mut dropped), Claim::Start(at(400)));
        let busy: Vec<_> = (30..40).map(|i| at(10 * i)).collect();
        assert!(dropped.ends_with(&busy), "what found every worker busy: {dropped:?}");
    }

    #[test]
    fn closing_keeps_what_was_due_and_gives_up_what_was_not() {
        let mut schedule = schedule("100/s", 10);
        let at = |ms: u64| Time(5 + ms * SECOND / 1_000);
        schedule.close(at(25));
        assert!(schedule.stands(at(20)) && !schedule.stands(at(30)));
        let mut dropped = vec![];
        assert_eq!(schedule.claim(at(25), &mut dropped), Claim::Over);
        assert_eq!(dropped, [at(0), at(10), at(20)]);
        schedule.close(at(90));
        assert_eq!(schedule.end(), at(25), "what has ended does not go on");
    }
}
