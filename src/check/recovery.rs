//! Recovery time of each fault, and the outage that it caused.
//!
//! Recovery is counted from the confirmed injection (`Change::effective`), or the confirmed heal,
//! to the instant at which service is back and stays back; `service` has the definition. The heal
//! is a change too: where service was back before it, a disturbance that the heal causes is
//! measured from the heal, held to the same limit, and reported by itself.
//!
//! The resolution is the time from the last operation that shows that service was not there to the
//! answer that shows that it was, and how long the change itself took (`issued` to `effective`).
//! Where the next fault strikes first, the figure is an upper bound that includes the next fault;
//! it can pass, not fail.

use std::time::Duration;

use super::load::Load;
use super::service::{self, Outage, Return, Rule};
use super::spec::{self, Since};
use super::tell;
use super::{Check, Finding, Verdict};
use crate::history::{Change, FaultSpan, Record, Time};

/// See the module.
#[derive(Debug)]
pub struct Recovery(pub spec::Recovery);

/// What one fault came to.
struct One {
    name: String,
    verdict: Verdict,
    line: String,
    recovery: Option<(Duration, Duration)>,
    after_heal: Option<Duration>,
    /// Together, the longest one, resolution.
    outage: Option<(Duration, Duration, Duration)>,
}

impl Check for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn check(&self, record: &Record) -> Finding {
        let Some(load) = Load::of(record) else {
            return Finding::inconclusive("the clients invoked no operation: there is no figure");
        };
        let wanted = |f: &&FaultSpan| {
            let number = f.number().to_string();
            self.0.fault.as_ref().is_none_or(|w| *w == f.fault || *w == number)
        };
        let outages = service::outages(&load, Rule::of(&self.0).window);
        let all: Vec<_> =
            record.faults.iter().filter(wanted).map(|f| self.one(&load, &outages, f)).collect();
        if all.is_empty() {
            return Finding::inconclusive(match &self.0.fault {
                Some(name) => format!("no fault `{name}` in the plan"),
                None => "no fault in the plan: nothing to recover from".into(),
            });
        }
        self.sum_up(all)
    }
}

impl Recovery {
    fn one(&self, load: &Load, outages: &[Outage], fault: &FaultSpan) -> One {
        let name = format!("fault{}", fault.number());
        let words = tell::fault(fault);
        let none = |why: &str| One {
            name: name.clone(),
            verdict: Verdict::Inconclusive,
            line: format!("{words}: {why}"),
            recovery: None,
            after_heal: None,
            outage: None,
        };
        let change = match self.0.from {
            Since::Injection => fault.injected.as_ref(),
            Since::Heal => fault.healed.as_ref(),
        };
        let what = match self.0.from {
            Since::Injection => "injection",
            Since::Heal => "heal",
        };
        let Some(change) = change else { return none(&format!("it came to no {what}")) };
        if let Some(why) = &change.unproven {
            return none(&format!("its {what} was not proven: {why}"));
        }
        let mut one = self.measure(load, outages, fault, change);
        one.name = name;
        one.line = format!("{words}: {}", one.line);
        one.outage = outage(load, outages, change);
        one
    }

    fn measure(&self, load: &Load, outages: &[Outage], fault: &FaultSpan, change: &Change) -> One {
        let rule = Rule::of(&self.0);
        let origin = change.effective;
        let next = load.next_fault(origin);
        let heal = fault.healed.as_ref().filter(|h| h.issued > origin && h.issued < next);
        let mut after_heal = None;
        let mut found = None;
        if let Some(heal) = heal {
            found = Some(service::back(load, outages, origin, heal.issued, &rule))
                .filter(|r| matches!(r, Return::Back { .. }));
            if found.is_some() {
                let back = service::back(load, outages, heal.effective, next, &rule);
                after_heal = Some((heal.effective, back));
            }
        }
        let found = found.unwrap_or_else(|| service::back(load, outages, origin, next, &rule));
        let width = change.effective.since(change.issued);
        let mut one = self.judge(load, outages, origin, next, found, width);
        if let Some((healed, Return::Back { at, .. })) = after_heal {
            let took = at.since(healed);
            one.after_heal = Some(took);
            one.line += &format!("; after the heal {}", ms(took));
            if took > self.0.within.0 {
                one.verdict = Verdict::Fail;
            }
        } else if let Some((healed, Return::NotBack { .. })) = after_heal {
            let took = next.since(healed);
            one.line += &format!("; after the heal not back within {}", ms(took));
            one.verdict = one.verdict.max(self.not_back(took));
        }
        one
    }

    fn not_back(&self, waited: Duration) -> Verdict {
        if waited > self.0.within.0 { Verdict::Fail } else { Verdict::Inconclusive }
    }

    fn judge(
        &self,
        load: &Load,
        outages: &[Outage],
        origin: Time,
        next: Time,
        found: Return,
        width: Duration,
    ) -> One {
        let (verdict, line, recovery) = match found {
            Return::Back { at, resolution } => {
                let (took, resolution) = (at.since(origin), resolution + width);
                let ok = took <= self.0.within.0;
                let verdict = if ok { Verdict::Pass } else { Verdict::Fail };
                let line = format!("recovery {} \u{b1} {}", ms(took), ms(resolution));
                (verdict, line, Some((took, resolution)))
            }
            Return::NoOperations => {
                let line = "no operation was in flight: there is no figure".to_string();
                (Verdict::Inconclusive, line, None)
            }
            Return::NotBack { last_bad } => {
                let waited = next.since(origin);
                let until = if next < load.ended { "the next fault" } else { "the load's end" };
                let mut line = format!("not back in {} until {until}", ms(waited));
                line += &format!("; the last window that was not good enough starts at {last_bad}");
                match self.bounded(load, outages, origin, next) {
                    Some(most) if most <= self.0.within.0 => {
                        (Verdict::Pass, format!("recovery at most {}", ms(most)), None)
                    }
                    _ => (self.not_back(waited), line, None),
                }
            }
            Return::TooShort => match self.bounded(load, outages, origin, next) {
                Some(most) if most <= self.0.within.0 => {
                    (Verdict::Pass, format!("recovery at most {}", ms(most)), None)
                }
                _ => {
                    let left = ms(next.since(origin));
                    let line =
                        format!("only {left} until the next fault or the load's end: no figure");
                    (Verdict::Inconclusive, line, None)
                }
            },
        };
        One { name: String::new(), verdict, line, recovery, after_heal: None, outage: None }
    }

    /// An upper bound: until service was back after later faults too.
    fn bounded(&self, load: &Load, outages: &[Outage], from: Time, next: Time) -> Option<Duration> {
        let rule = Rule::of(&self.0);
        let mut bound = next;
        while bound < load.ended && bound.since(from) <= self.0.within.0 {
            bound = load.next_fault(bound);
            if let Return::Back { at, .. } = service::back(load, outages, from, bound, &rule) {
                return Some(at.since(from));
            }
        }
        None
    }

    fn sum_up(&self, all: Vec<One>) -> Finding {
        let verdict = Verdict::worst(all.iter().map(|o| o.verdict));
        let within = self.0.within;
        let worst = all.iter().filter_map(|o| o.recovery).max();
        let blamed = all.iter().find(|o| o.verdict == verdict && verdict != Verdict::Pass);
        let summary = match (blamed, worst) {
            (Some(one), _) => format!("{}, allowed {within}", one.line),
            (None, Some((took, resolution))) => {
                format!("recovery {} \u{b1} {}, allowed {within}", ms(took), ms(resolution))
            }
            (None, None) => format!("recovery within {within}"),
        };
        let mut finding = match verdict {
            Verdict::Pass => Finding::pass(summary),
            Verdict::Inconclusive => Finding::inconclusive(summary),
            Verdict::Fail => Finding::fail(summary),
        };
        if let Some((took, resolution)) = worst {
            finding = finding
                .with_figure("recovery_ms", millis(took))
                .with_figure("recovery_resolution_ms", millis(resolution));
        }
        if let Some(worst) = all.iter().filter_map(|o| o.after_heal).max() {
            finding = finding.with_figure("recovery_after_heal_ms", millis(worst));
        }
        if let Some((sum, longest, resolution)) = all.iter().filter_map(|o| o.outage).max() {
            finding = finding
                .with_figure("outage_ms", millis(sum))
                .with_figure("longest_outage_ms", millis(longest))
                .with_figure("outage_resolution_ms", millis(resolution));
        }
        for one in all {
            finding = with_one(finding, one);
        }
        finding
    }
}

fn with_one(mut finding: Finding, one: One) -> Finding {
    let mut line = one.line;
    let mut figure = |what: &str, value: Duration| {
        finding.figures.insert(format!("{}_{what}_ms", one.name), millis(value));
    };
    if let Some((took, resolution)) = one.recovery {
        figure("recovery", took);
        figure("recovery_resolution", resolution);
    }
    if let Some(took) = one.after_heal {
        figure("recovery_after_heal", took);
    }
    if let Some((sum, longest, resolution)) = one.outage {
        figure("outage", sum);
        figure("longest_outage", longest);
        figure("outage_resolution", resolution);
        line += &format!("; no client served for {}", ms(sum));
        if longest < sum {
            line += &format!(", {} of it at a stretch", ms(longest));
        }
    }
    finding.with_evidence([line])
}

/// The outages between the change and the next fault: together, the longest, and how far it may be
/// off.
fn outage(load: &Load, all: &[Outage], change: &Change) -> Option<(Duration, Duration, Duration)> {
    let (from, to) = (change.effective, load.next_fault(change.effective));
    let inside: Vec<_> = all.iter().filter(|o| o.to > from && o.from < to).collect();
    let lengths = inside.iter().map(|o| o.within(from, to));
    let longest = lengths.clone().max().unwrap_or_default();
    let width = change.effective.since(change.issued);
    let resolution = inside.iter().map(|o| o.resolution).sum::<Duration>();
    let unseen = service::normal_gap(load);
    Some((lengths.sum(), longest, resolution + width + unseen))
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn ms(span: Duration) -> String {
    tell::millis(millis(span))
}
