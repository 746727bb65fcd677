//! Whether every member was healthy and caught up again in time after each heal, whatever clients were served: a
//! system that has lost a member for good looks well until it loses the next one.
//!
//! It is counted from the confirmed heal (of the last fault, where several overlap) to the instant from which every
//! member stood full at each ask until the next injection was begun, or until the asks ended. The resolution is how
//! long before that the members were asked the last time. Where the next fault strikes too early, the figure is an
//! upper bound, which may pass and cannot fail.
//!
//! A heal that is not proven blames nobody but members whose process was started since: their fate is theirs, and
//! another one may still suffer. A member that was never full before the first fault was not lost by the faults.

use std::time::Duration;

use super::standings::{Course, Standings};
use super::{Check, Finding, Verdict, spec, tell};
use crate::history::{Change, FaultSpan, NodeEventKind, Record, Standing, Time};
use crate::inventory::NodeId;
use crate::quantity::Span;

/// See the module.
#[derive(Debug)]
pub struct Redundancy(pub spec::Redundancy);

/// At most this many changes of a member are shown.
const SHOWN: usize = 8;

/// What one fault came to.
struct One {
    name: String,
    verdict: Verdict,
    line: String,
    /// How long it took, and the resolution.
    took: Option<(Duration, Duration)>,
    /// Whose doings are shown.
    wanting: Vec<NodeId>,
}

/// An interval in which no fault is in effect.
#[derive(Clone, Copy)]
struct Quiet {
    from: Time,
    to: Time,
}

/// A member that is not full.
struct Wanting<'a> {
    member: &'a NodeId,
    since: Time,
    /// What was found of it last.
    said: &'a Standing,
}

/// How the members stood in it.
enum Return<'a> {
    /// All were full from this instant on; the resolution; who was the last, and how it stood before.
    Back { at: Time, resolution: Duration, last: Option<(&'a NodeId, String)> },
    /// These were not.
    Wanting(Vec<Wanting<'a>>),
    /// Of this one nobody can tell.
    Untold(&'a NodeId, &'a str),
}

impl Check for Redundancy {
    fn name(&self) -> &'static str {
        "redundancy"
    }

    fn check(&self, record: &Record) -> Finding {
        if record.faults.is_empty() {
            return Finding::inconclusive("no fault in the plan: nothing to be restored from");
        }
        let Some(standings) = Standings::of(record) else {
            return Finding::inconclusive(
                "no member was asked how it stands: the drill had no check `redundancy`, or came \
                 to no load; drill again with it",
            );
        };
        let view = View { record, standings, within: self.0.within.0 };
        let all: Vec<One> = record.faults.iter().map(|fault| view.one(fault)).collect();
        view.sum_up(all)
    }
}

struct View<'a> {
    record: &'a Record,
    standings: Standings<'a>,
    within: Duration,
}

impl<'a> View<'a> {
    fn one(&self, fault: &FaultSpan) -> One {
        let one = |verdict, line: String, wanting| One {
            name: format!("fault{}", fault.number()),
            verdict,
            line: format!("{}: {line}", tell::fault(fault)),
            took: None,
            wanting,
        };
        let none = |line: String| one(Verdict::Inconclusive, line, vec![]);
        if fault.injected.is_none() {
            return none("it came to no injection".into());
        }
        let Some(healed) = &fault.healed else { return none("it came to no heal".into()) };
        let Some(quiet) = self.quiet(healed.effective) else {
            return none("another fault was in effect until the end".into());
        };
        let waited = quiet.to.since(quiet.from);
        let too_short = waited < self.standings.spacing;
        match self.returned(quiet) {
            Return::Untold(member, why) => {
                none(format!("nobody can say how {member} stands: {why}"))
            }
            Return::Back { at, resolution, last } if !too_short => {
                let took = at.since(quiet.from);
                let verdict = if took <= self.within { Verdict::Pass } else { Verdict::Fail };
                let within = Span(self.within);
                let mut line = format!("{}, allowed {within}", back(took, resolution));
                let last_member = last.map(|(member, was)| {
                    line += &format!("; the last was {member}, {was}");
                    member.clone()
                });
                let late = last_member.into_iter().filter(|_| verdict == Verdict::Fail);
                One { took: Some((took, resolution)), ..one(verdict, line, late.collect()) }
            }
            found => {
                if let Some(most) = self.at_most(quiet) {
                    let line = format!("every member full at most {} after the heal", ms(most));
                    return one(Verdict::Pass, line, vec![]);
                }
                let wanting = match found {
                    Return::Wanting(wanting) if waited > self.within => wanting,
                    _ => {
                        let until = match quiet.to < self.standings.until {
                            true => "the next fault: leave more time between them",
                            false => "the members were asked last",
                        };
                        return none(format!("no figure, with only {} until {until}", ms(waited)));
                    }
                };
                let (verdict, why) = self.blame(healed, &wanting);
                let line = self.not_back(&wanting, waited) + why;
                one(verdict, line, wanting.iter().map(|w| w.member.clone()).collect())
            }
        }
    }

    /// The first interval from this heal on in which no fault is in effect. `None`: there is none.
    fn quiet(&self, healed: Time) -> Option<Quiet> {
        let mut from = healed;
        loop {
            let mut still = self.record.faults.iter().filter_map(|f| {
                let begun = f.injected.as_ref()?.issued <= from;
                let end = f.healed.as_ref().map(|h| h.effective);
                (begun && end.is_none_or(|end| end > from)).then_some(end)
            });
            match still.next() {
                Some(end) => from = end?,
                None => break,
            }
        }
        let begun = self.record.faults.iter().filter_map(|f| Some(f.injected.as_ref()?.issued));
        let next = begun.filter(|at| *at > from).min();
        let until = self.standings.until;
        Some(Quiet { from, to: next.map_or(until, |next| next.min(until)) })
    }

    fn returned(&self, quiet: Quiet) -> Return<'a> {
        let (mut wanting, mut untold) = (vec![], None);
        let mut back = (quiet.from, self.standings.spacing, None);
        for member in self.standings.members() {
            match self.standings.course(member, quiet.from, quiet.to) {
                Course::Untold(why) => untold = Some((member, why)),
                Course::Wanting { since, said } => {
                    wanting.push(Wanting { member, since, said });
                }
                Course::Full { at, resolution, before } if at > back.0 => {
                    let last = before.map(|b| (member, b.standing.words()));
                    back = (at, resolution, last);
                }
                Course::Full { .. } => {}
            }
        }
        match (wanting.is_empty(), untold) {
            (false, _) => Return::Wanting(wanting),
            (true, Some((member, why))) => Return::Untold(member, why),
            (true, None) => Return::Back { at: back.0, resolution: back.1, last: back.2 },
        }
    }

    /// An upper bound within the limit: until every member was full after later faults too.
    fn at_most(&self, first: Quiet) -> Option<Duration> {
        let mut quiet = first;
        while quiet.to < self.standings.until && quiet.to.since(first.from) <= self.within {
            quiet = self.quiet(quiet.to)?;
            if let Return::Back { at, .. } = self.returned(quiet) {
                return Some(at.since(first.from)).filter(|most| *most <= self.within);
            }
        }
        None
    }

    /// Whether it is the system's fault that these are not back; if not, why not.
    fn blame(&self, healed: &Change, wanting: &[Wanting]) -> (Verdict, &'static str) {
        let first = self.record.faults.iter().filter_map(|f| Some(f.injected.as_ref()?.issued));
        let first = first.min().unwrap_or_default();
        let lost = wanting.iter().filter(|w| self.standings.was_full(w.member, first));
        let Some(_) = lost.clone().next() else {
            let why = "; not full before the first fault either: no steady state to come back to";
            return (Verdict::Inconclusive, why);
        };
        if healed.unproven.is_none() {
            return (Verdict::Fail, "");
        }
        let started = |member: &NodeId| {
            let after = self.record.nodes.iter().filter(|e| e.at >= healed.issued);
            after.filter(|e| e.node == *member).any(|e| e.kind == NodeEventKind::Started)
        };
        match lost.clone().any(|w| started(w.member)) {
            true => (Verdict::Fail, "; it was started again, and the heal is not proven for it"),
            false => (Verdict::Inconclusive, "; the heal is not proven: it may suffer still"),
        }
    }

    fn sum_up(&self, all: Vec<One>) -> Finding {
        let verdict = Verdict::worst(all.iter().map(|o| o.verdict));
        let within = Span(self.within);
        let slowest = all.iter().filter_map(|o| o.took).max();
        let blamed = all.iter().find(|o| o.verdict == verdict && verdict != Verdict::Pass);
        let summary = match (blamed, slowest) {
            (Some(one), _) => format!("{}{}", one.line, self.remedy(verdict)),
            (None, Some((took, by))) => format!("{}, allowed {within}", back(took, by)),
            (None, None) => format!("every member full within {within} of each heal"),
        };
        let mut finding = match verdict {
            Verdict::Pass => Finding::pass(summary),
            Verdict::Inconclusive => Finding::inconclusive(summary),
            Verdict::Fail => Finding::fail(summary),
        };
        let mut figure = |name: String, (took, by): (Duration, Duration)| {
            finding.figures.insert(format!("{name}_ms"), took.as_secs_f64() * 1e3);
            finding.figures.insert(format!("{name}_resolution_ms"), by.as_secs_f64() * 1e3);
        };
        slowest.into_iter().for_each(|took| figure("redundancy".into(), took));
        for (one, took) in all.iter().filter_map(|o| Some((o, o.took?))) {
            figure(format!("{}_redundancy", one.name), took);
        }
        let mut shown: Vec<&NodeId> = all.iter().flat_map(|o| &o.wanting).collect();
        shown.sort();
        shown.dedup();
        let stories = shown.into_iter().flat_map(|member| self.story(member));
        let said = blamed.map(|one| one.line.clone());
        let lines = all.iter().map(|o| o.line.clone()).filter(|line| Some(line) != said.as_ref());
        finding.with_evidence(lines.chain(stories))
    }

    fn not_back(&self, wanting: &[Wanting], waited: Duration) -> String {
        let names: Vec<&str> = wanting.iter().map(|w| w.member.as_str()).collect();
        let are = if names.len() == 1 { "is" } else { "are" };
        let each = wanting.iter().map(|w| {
            let name = if names.len() == 1 { String::new() } else { format!("{} ", w.member) };
            let how = match w.said {
                Standing::Absent(why) => format!("absent ({why})"),
                Standing::Behind(why) => format!("behind ({why})"),
                other => other.words(),
            };
            let died = self.death(w).map(|died| format!(", {died}")).unwrap_or_default();
            format!("{name}{how}, not full since {}{died}", w.since)
        });
        let (names, each) = (names.join(", "), each.collect::<Vec<_>>().join("; "));
        let (waited, within) = (ms(waited), Span(self.within));
        format!("{names} {are} not back {waited} after the heal, allowed {within}: {each}")
    }

    /// What ended a member's process by itself since the member was lost, most often the reason.
    fn death(&self, lost: &Wanting) -> Option<String> {
        let mut since = self.record.nodes.iter().filter(|e| e.at >= lost.since);
        since.rfind(|e| e.node == *lost.member && process(&e.kind)).and_then(|e| match &e.kind {
            NodeEventKind::Died(how) => Some(format!("its process died at {}: {how}", e.at)),
            _ => None,
        })
    }

    /// What the user can do where nobody can tell.
    fn remedy(&self, verdict: Verdict) -> &'static str {
        let client = self.record.header.workload.client.as_str();
        let untold = |member: &NodeId| {
            matches!(self.standings.course(member, Time(0), Time(u64::MAX)), Course::Untold(_))
        };
        match verdict == Verdict::Inconclusive && self.standings.members().any(untold) {
            true if client == "exec" => {
                "; let your client answer the question `standings` (docs/exec-client.md)"
            }
            true => "; take a client that knows how to ask members (docs/scenario.md)",
            false => "",
        }
    }

    /// What became of a member and of its process, in the order of time.
    fn story(&self, member: &NodeId) -> Vec<String> {
        let mut lines = vec![];
        let mut said: Option<&Standing> = None;
        let until = self.standings.until;
        for event in self.record.nodes.iter().filter(|e| e.node == *member && e.at < until) {
            let what = match &event.kind {
                NodeEventKind::Started => "its process is started".to_string(),
                NodeEventKind::Ready => "its port accepts connections".into(),
                NodeEventKind::Ended(how) => format!("its process is ended by firedrill: {how}"),
                NodeEventKind::Died(how) => format!("its process died: {how}"),
                NodeEventKind::Leads => "it leads".into(),
                NodeEventKind::Noticed(noticed) => format!("it {}", noticed.words()),
                NodeEventKind::Stands { standing, .. } => {
                    if said.replace(standing).is_some_and(|before| before.says_as(standing)) {
                        continue;
                    }
                    standing.words()
                }
            };
            lines.push(format!("{}  {member}: {what}", event.at));
        }
        let last = self.standings.found(member).last();
        lines.extend(last.map(|f| match said.is_some_and(|said| said.says_as(f.standing)) {
            true => format!("{until}  {member}: asked for the last time: still so"),
            false => format!("{until}  {member}: {}", f.standing.words()),
        }));
        let skipped = lines.len().saturating_sub(SHOWN);
        lines.drain(..skipped);
        lines
    }
}

/// Whether this is about a process, as opposed to its part in the system.
fn process(kind: &NodeEventKind) -> bool {
    !matches!(kind, NodeEventKind::Leads | NodeEventKind::Noticed(_) | NodeEventKind::Stands { .. })
}

fn back(took: Duration, resolution: Duration) -> String {
    match took.is_zero() {
        true => format!("every member full from the heal on \u{b1} {}", ms(resolution)),
        false => format!("every member full {} \u{b1} {} after the heal", ms(took), ms(resolution)),
    }
}

fn ms(span: Duration) -> String {
    tell::millis(span.as_secs_f64() * 1e3)
}
