//! The load as the figures see it: every operation that the arrival rate wanted, where it stands in
//! time, and whether it succeeded.
//!
//! An operation stands at the instant it was invoked, one that no worker was free to start at its
//! intended start; that one did not succeed. Only [`Stage::Load`] counts. A *success* is
//! [`Outcome::Ok`], however late within the client's time-out: slowness is for the `latency` check.
//!
//! [`Outcome::Ok`]: crate::history::Outcome::Ok

use super::view::NEVER;
use crate::history::{FaultSpan, Operation, Record, Stage, Time};

/// An operation that the arrival rate wanted. It borrows: a load is as long as its record.
#[derive(Debug, Clone, Copy)]
pub enum Point<'a> {
    /// It was started.
    Started(&'a Operation),
    /// No worker was free to start it at this time.
    Dropped(Time),
}

impl Point<'_> {
    /// Where it stands.
    pub fn at(&self) -> Time {
        match self {
            Point::Started(o) => o.invoked,
            Point::Dropped(due) => *due,
        }
    }
    /// When the arrival rate wanted it; never after `at`.
    pub fn due(&self) -> Time {
        match self {
            Point::Started(o) => o.intended,
            Point::Dropped(due) => *due,
        }
    }
    /// When its outcome was known; a dropped one's at once.
    pub fn returned(&self) -> Time {
        match self {
            Point::Started(o) => o.returned.unwrap_or(NEVER),
            Point::Dropped(due) => *due,
        }
    }
    /// Whether it succeeded.
    pub fn ok(&self) -> bool {
        matches!(self, Point::Started(o) if o.outcome.is_ok() && o.returned.is_some())
    }
    /// Whether no worker was free to start it.
    pub fn dropped(&self) -> bool {
        matches!(self, Point::Dropped(_))
    }
}

/// The whole load of a record.
#[derive(Debug)]
pub struct Load<'a> {
    /// Where it is from.
    pub record: &'a Record,
    /// When the load began.
    pub began: Time,
    /// When the last operation was let start.
    pub ended: Time,
    /// In the order of `at`.
    pub points: Vec<Point<'a>>,
    /// The places of the successful ones, in the order of `returned`.
    answers: Vec<u32>,
    /// When the first fault was begun to be injected; the end of the load if none was.
    pub first_fault: Time,
    /// Successful / all in the steady state. Without one, 1.
    pub steady_ratio: f64,
    /// Operations a second that the clients were offered: the scenario's rate, or what really came
    /// in the steady state where that is less.
    pub rate: f64,
}

impl<'a> Load<'a> {
    /// The load of a record. `None`: there was none.
    pub fn of(record: &'a Record) -> Option<Load<'a>> {
        let operations = record.operations.iter().filter(|o| o.stage == Stage::Load);
        let dropped = record.dropped.iter().map(|due| Point::Dropped(*due));
        let mut points: Vec<_> = operations.map(Point::Started).chain(dropped).collect();
        points.sort_unstable_by_key(|p| (p.at(), p.returned()));
        let (first, last) = (points.first()?.at(), points.last()?.at());
        let began = record.load.map_or(first, |l| l.began);
        let ended = record.load.and_then(|l| l.ended).unwrap_or(last);
        // A history of more than 2^32 operations does not fit into memory anyway.
        let places = 0..u32::try_from(points.len()).unwrap_or(u32::MAX);
        let mut answers: Vec<u32> = places.filter(|&i| points[i as usize].ok()).collect();
        answers.sort_unstable_by_key(|&i| (points[i as usize].returned(), i));
        let issued = record.faults.iter().filter_map(issued).filter(|&at| at >= began).min();
        let first_fault = issued.unwrap_or(ended);
        let mut load = Load {
            record,
            began,
            ended,
            points,
            answers,
            first_fault,
            steady_ratio: 1.0,
            rate: record.header.workload.rate.per_second(),
        };
        load.measure_steady();
        Some(load)
    }

    /// What was still in flight when the first fault struck says nothing of the steady state.
    fn measure_steady(&mut self) {
        let span = self.first_fault.since(self.began).as_secs_f64();
        let steady = self.between(self.began, self.first_fault);
        let settled = steady.iter().filter(|p| p.returned() <= self.first_fault);
        let (n, ok) =
            settled.fold((0usize, 0usize), |(n, ok), p| (n + 1, ok + usize::from(p.ok())));
        let came = steady.len() as f64 / span;
        if n >= 10 {
            self.steady_ratio = ok as f64 / n as f64;
            self.rate = self.rate.min(came);
        } else if let Some(measured) = self.record.steady {
            self.steady_ratio = measured.success.fraction();
        }
    }

    /// The successful points, in the order of `returned`.
    pub fn answers(&self) -> impl ExactSizeIterator<Item = &Point<'a>> {
        self.answers.iter().map(|&i| &self.points[i as usize])
    }

    /// The points that stand in `[from, to)`.
    pub fn between(&self, from: Time, to: Time) -> &[Point<'a>] {
        let low = self.points.partition_point(|p| p.at() < from);
        let high = self.points.partition_point(|p| p.at() < to);
        &self.points[low..high.max(low)]
    }

    /// When the next fault after this instant was begun to be injected; the end of the load if none
    /// was.
    pub fn next_fault(&self, after: Time) -> Time {
        let all = self.record.faults.iter().filter_map(issued);
        all.filter(|&at| at > after).min().unwrap_or(self.ended).min(self.ended)
    }
}

/// When the injection was begun, if it came to it.
pub fn issued(fault: &FaultSpan) -> Option<Time> {
    fault.injected.as_ref().map(|c| c.issued)
}
