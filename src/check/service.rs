//! When the clients were served, and when not: outages, and the instant at which service was back.
//!
//! **Outage.** Between two successive answers (returns of successful operations) the clients were
//! not served from the first answer until service began again. It began again when the operation
//! that got the second answer was invoked; or, if that one had waited three times as long as
//! operations invoked afterwards take (95 of 100 within the next window), as long before its answer
//! as those take. So a pause after which everything that waited is answered is an outage, while
//! answers that are all equally late (a slow link) are not. A gap counts if it is longer than gaps
//! of the steady state are.
//!
//! **Recovery.** Service is back at the first instant at which an operation that succeeded was
//! invoked, or an outage ended, such that in the window from there on, and in each later window
//! until the bound,
//! 1. of `n` operations at most `n * (1 - success * steady)` failed, three standard deviations more
//!    where the steady state itself is not without failures, and one more in later windows (of
//!    fewer than a hundred operations one failure cannot be told from 99 %);
//! 2. of the operations that were due, at least `rate` succeeded;
//! 3. outages took at most `1 - rate` of the window; of a later window, less than half (a stall of a
//!    tenth of a second long after the fault, in which everything is answered late, is a matter for
//!    `latency`, and no loss of service);
//!
//! and 1 holds for each beginning of the first window too, so that the window cannot start before
//! the last failures. Operations still in flight and failed when the bound (the next fault) came
//! are left out.

use std::time::Duration;

use super::load::{Load, Point};
use super::spec;
use crate::history::Time;
use crate::quantity::{Ratio, Span};

/// When service counts as back.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// How long it must be back.
    pub window: Duration,
    /// The part of the steady success ratio.
    pub success: f64,
    /// The part of the offered rate.
    pub rate: f64,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule::of(&spec::Recovery::within(Span::secs(0)))
    }
}

impl Rule {
    /// The rule that a `recovery` check asks for.
    pub fn of(spec: &spec::Recovery) -> Rule {
        let fraction = |r: Ratio| r.fraction();
        let window = spec.window.0.max(Duration::from_millis(1));
        Rule { window, success: fraction(spec.success), rate: fraction(spec.rate) }
    }
}

/// An interval in which no client was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The last answer before it.
    pub from: Time,
    /// When service began again.
    pub to: Time,
    /// The first answer after it.
    pub answered: Time,
    /// How far its length may be off.
    pub resolution: Duration,
    /// The last operation that shows that service was not there yet.
    pub probe: Time,
}

impl Outage {
    /// The part of it between two instants.
    pub fn within(&self, from: Time, to: Time) -> Duration {
        self.to.min(to).since(self.from.max(from))
    }
}

/// A successful operation, as far as outages go.
#[derive(Debug, Clone, Copy)]
struct Answer {
    asked: Time,
    came: Time,
}

impl Answer {
    fn of(point: &Point) -> Answer {
        Answer { asked: point.at(), came: point.returned() }
    }
    fn waited(&self) -> Duration {
        self.came.since(self.asked)
    }
}

/// All outages of a load, in the order of time.
pub fn outages(load: &Load, window: Duration) -> Vec<Outage> {
    let normal = normal_gap(load);
    let mut found = vec![];
    let mut last = Answer { asked: load.began, came: load.began };
    for answer in load.answers().map(Answer::of) {
        if answer.came.since(last.came) > normal {
            let usual = usual_latency(load, answer.came, window);
            found.extend(outage(load, last, answer, usual, normal));
        }
        last = answer;
    }
    if load.ended.since(last.came) > normal {
        let (from, to) = (last.came, load.ended);
        let resolution = last.waited() + normal;
        found.push(Outage { from, to, answered: to, resolution, probe: to });
    }
    found
}

fn outage(
    load: &Load,
    last: Answer,
    answer: Answer,
    usual: Duration,
    normal: Duration,
) -> Option<Outage> {
    let from = last.came;
    let waited = answer.asked + usual.saturating_mul(3) < answer.came;
    let to = if waited { answer.came - usual } else { answer.asked }.max(from);
    if to.since(from) <= normal {
        return None;
    }
    // At its start: service may have ended before the last answer came back, or when the next one
    // failed.
    let inside = load.between(from, to);
    let first = inside.iter().find(|p| !p.dropped()).map_or(to, Point::at);
    let at_start = last.waited().max(first.since(from));
    // Whoever asked earlier than that and still waits at `to` was not served, whatever came of it.
    let probe = last_probe(load, from, to, Some(usual.saturating_mul(2)));
    let resolution = at_start + to.since(probe) + answer.came.since(to);
    Some(Outage { from, to, answered: answer.came, resolution, probe })
}

/// The last operation that shows that service was not yet there just before `to`: one that did not
/// succeed, or, where everybody had to wait, one that waited longer than `patience` until then.
fn last_probe(load: &Load, from: Time, to: Time, patience: Option<Duration>) -> Time {
    let before = load.between(from, to).iter().rev();
    let waited = |p: &Point| patience.is_some_and(|patience| p.at() + patience < to);
    let mut probes = before.filter(|p| !p.dropped() && (!p.ok() || waited(p)));
    probes.next().map_or(from, Point::at)
}

/// The longest time between answers in the steady state, between 2 and 5 times the arrival interval
/// or 100 ms.
pub fn normal_gap(load: &Load) -> Duration {
    let interval = Duration::from_secs_f64(1.0 / load.rate.max(1e-3));
    let steady = load.answers().map(Point::returned).take_while(|at| *at <= load.first_fault);
    let mut longest = Duration::ZERO;
    let mut last = None::<Time>;
    for answer in steady {
        longest = longest.max(last.map_or(Duration::ZERO, |l| answer.since(l)));
        last = Some(answer);
    }
    longest.min(Duration::from_millis(100).max(interval * 5)).max(interval * 2)
}

/// What 95 of 100 operations invoked in the window after `from` need at most.
fn usual_latency(load: &Load, from: Time, window: Duration) -> Duration {
    let begun = load.between(from, from + window).iter().filter(|p| p.ok());
    let mut took: Vec<_> = begun.map(|p| p.returned().since(p.at())).collect();
    if took.is_empty() {
        return Duration::MAX; // nothing to compare with: it was served as long as it waited
    }
    let at = (took.len() * 95 / 100).min(took.len() - 1);
    *took.select_nth_unstable(at).1
}

/// What is known of the return of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// Service was back.
    Back {
        /// When.
        at: Time,
        /// How far `at` may be off.
        resolution: Duration,
    },
    /// It was not back by the bound.
    NotBack {
        /// The start of the last window that was not good enough.
        last_bad: Time,
    },
    /// The bound came before one window was over.
    TooShort,
    /// Nobody asked for service: there is no figure.
    NoOperations,
}

/// When service was back after `origin`, and stayed back until `bound`.
pub fn back(load: &Load, outages: &[Outage], origin: Time, bound: Time, rule: &Rule) -> Return {
    if bound.since(origin) < rule.window {
        return Return::TooShort;
    }
    let struck = |p: &&Point| p.ok() || p.returned() <= bound || bound >= load.ended;
    let points: Vec<_> = load.between(origin, bound).iter().filter(struck).collect();
    if points.iter().all(|p| p.dropped()) {
        return Return::NoOperations;
    }
    let scope = Scope::new(load, outages, points, bound, *rule);
    let last_bad = scope.last_bad();
    let first = last_bad.map_or(origin, |t| t + Duration::from_nanos(1));
    for (at, answered, probe) in scope.candidates(origin, first) {
        if at + rule.window > bound {
            break;
        }
        if scope.begins_well(at) {
            let probe = probe.unwrap_or_else(|| last_probe(load, origin, at, None)).max(origin);
            return Return::Back { at, resolution: at.since(probe) + answered.since(at) };
        }
    }
    Return::NotBack { last_bad: last_bad.unwrap_or(origin) }
}

/// An instant at which service may have been back: when, its answer, the last sign that it was not.
type Candidate = (Time, Time, Option<Time>);

struct Scope<'a> {
    points: Vec<&'a Point<'a>>,
    /// How many of the points before each failed.
    failed: Vec<u32>,
    /// When each that succeeded was due, in order.
    served: Vec<Time>,
    outages: &'a [Outage],
    bound: Time,
    rule: Rule,
    steady: f64,
    /// How many must succeed in a window.
    needed: f64,
}

impl<'a> Scope<'a> {
    fn new(
        load: &Load,
        outages: &'a [Outage],
        points: Vec<&'a Point<'a>>,
        bound: Time,
        rule: Rule,
    ) -> Scope<'a> {
        let mut failed = Vec::with_capacity(points.len() + 1);
        failed.push(0);
        for p in &points {
            failed.push(failed.last().copied().unwrap_or(0) + u32::from(!p.ok()));
        }
        let mut served: Vec<Time> = points.iter().filter(|p| p.ok()).map(|p| p.due()).collect();
        served.sort_unstable();
        let offered = load.rate * rule.window.as_secs_f64();
        let needed = (rule.rate * rule.success * load.steady_ratio * offered).floor() - 1.0;
        Scope { points, failed, served, outages, bound, rule, steady: load.steady_ratio, needed }
    }

    fn allowed(&self, n: usize) -> u32 {
        let (n, p) = (n as f64, self.steady);
        (n * (1.0 - self.rule.success * p) + 3.0 * (n * p * (1.0 - p)).sqrt() + 1e-9) as u32
    }

    /// How many of those that were due succeeded. By what was due, not by what was invoked: a stall of the
    /// runner, which invokes late and then all at once, is not the system's.
    fn served(&self, from: Time, to: Time) -> usize {
        self.served.partition_point(|t| *t < to) - self.served.partition_point(|t| *t < from)
    }

    fn stalled(&self, from: Time, to: Time) -> Duration {
        let first = self.outages.partition_point(|o| o.to <= from);
        let inside = self.outages[first..].iter().take_while(|o| o.from < to);
        inside.map(|o| o.within(from, to)).sum()
    }

    /// The start of the last window, of those that start at an operation, that is not good enough.
    fn last_bad(&self) -> Option<Time> {
        let (window, slack) = (self.rule.window, self.rule.window / 2);
        let last = self.points.partition_point(|p| p.at() + window <= self.bound);
        let mut high = self.points.len();
        for low in (0..last).rev() {
            let (from, to) = (self.points[low].at(), self.points[low].at() + window);
            while high > low && self.points[high - 1].at() >= to {
                high -= 1;
            }
            let (n, failed) = (high - low, self.failed[high] - self.failed[low]);
            let good = failed <= self.allowed(n).max(1)
                && self.served(from, to) as f64 >= self.needed
                && self.stalled(from, to) <= slack;
            if !good {
                return Some(from);
            }
        }
        None
    }

    /// The instants at which service may have been back, in the order of time.
    fn candidates(&self, origin: Time, first: Time) -> impl Iterator<Item = Candidate> {
        let begun = self.points.iter().filter(move |p| p.ok() && p.at() >= first);
        let served = begun.filter(|p| {
            let near = self.outages.partition_point(|o| o.to <= p.at());
            self.outages.get(near).is_none_or(|o| p.at() < o.from || p.at() >= o.to)
        });
        let ended = self.outages.iter().filter(move |o| o.to >= first.max(origin));
        let mut served = served.map(|p| (p.at(), p.returned(), None)).peekable();
        let mut ended = ended.map(|o| (o.to, o.answered, Some(o.probe))).peekable();
        // Each is in the order of time already, and mostly the first few will do.
        std::iter::from_fn(move || match (served.peek(), ended.peek()) {
            (Some(s), Some(e)) if (s.0, s.1) < (e.0, e.1) => served.next(),
            (_, Some(_)) => ended.next(),
            (_, None) => served.next(),
        })
    }

    /// Whether the window from `at` on is free enough of outages, and no beginning of it has more
    /// failures than its length allows.
    fn begins_well(&self, at: Time) -> bool {
        let window = self.rule.window;
        if self.stalled(at, at + window) > window.mul_f64(1.0 - self.rule.rate) {
            return false;
        }
        let low = self.points.partition_point(|p| p.at() < at);
        let high = self.points.partition_point(|p| p.at() < at + self.rule.window);
        (low + 1..=high).all(|end| self.failed[end] - self.failed[low] <= self.allowed(end - low))
    }
}
