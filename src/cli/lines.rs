//! A drill as plain lines, each with its instant: for logs, pipes and continuous integration.

use std::io::Write;
use std::time::Duration;

use crate::drill::event::{Event, Progress, Stamped};

use super::shown::{Weight, clock, millis, words};

/// How often the figures are said, by the drill's clock.
const FIGURES_EVERY: Duration = Duration::from_secs(5);

/// Writes events as lines.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    next_figures: Duration,
}

impl<W: Write> Lines<W> {
    /// Writes to this. What cannot be written is not said.
    pub fn new(out: W) -> Lines<W> {
        Lines { out, next_figures: FIGURES_EVERY }
    }

    /// Writes the event's line, if it has one.
    pub fn take(&mut self, stamped: &Stamped) {
        let text = match &stamped.event {
            Event::Progress(progress) if progress.elapsed >= self.next_figures => {
                while self.next_figures <= progress.elapsed {
                    self.next_figures += FIGURES_EVERY;
                }
                Some(figures(progress))
            }
            Event::Began(_) => {
                self.next_figures = FIGURES_EVERY;
                words(&stamped.event).map(|(_, text)| text)
            }
            event => words(event).map(|(weight, text)| match weight {
                Weight::Alarm => format!("! {text}"),
                Weight::Plain | Weight::Mark => text,
            }),
        };
        if let Some(text) = text {
            let _ = writeln!(self.out, "{:>12}  {text}", stamped.at);
            let _ = self.out.flush();
        }
    }
}

/// The figures of the last second, as one line.
pub(super) fn figures(p: &Progress) -> String {
    let success = p.success.map_or("-".into(), |s| format!("{:.1}%", s.fraction() * 100.0));
    let [p50, p99] = [p.p50, p.p99].map(|t| t.map_or("-".into(), millis));
    format!(
        "{} of load: {:.0}/s, {success} ok, p50 {p50}, p99 {p99}, {} in flight, {} dropped",
        clock(p.elapsed),
        p.rate,
        p.in_flight,
        p.dropped,
    )
}

#[cfg(test)]
mod tests {
    use super::super::shown::tests::{at, in_the_middle, injected, progress};
    use super::*;

    fn shown(events: &[Stamped]) -> String {
        let mut out = vec![];
        let mut lines = Lines::new(&mut out);
        events.iter().for_each(|event| lines.take(event));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_drill_reads_as_what_happened_when() {
        let mut events = in_the_middle();
        events.push(injected(14_000, 1, "pause n5", Some("n5 still answers")));
        events.push(at(15_000, Event::Aborting("interrupted".into())));
        insta::assert_snapshot!(shown(&events), @r#"
             0.000 s  r1: local of 5 nodes in 3 zones, 2 faults in 1:00, seed 42
             0.900 s  5 nodes are ready
             0.950 s  n1 leads
             1.000 s  load begins
            11.000 s  fault 1: injecting: kill n1, n2 (dc1)
            11.015 s  fault 1: injected in 12 ms: kill n1, n2 (dc1)
            11.016 s  n1 ended as intended: signal 9
            11.016 s  n2 ended as intended: signal 9
            12.000 s  0:11 of load: 40/s, 8.0% ok, p50 2.10 ms, p99 35 ms, 4 in flight, 7 dropped
            12.400 s  n3 leads
            12.900 s  ! n5 DIED, and not by firedrill: signal 6
            14.000 s  ! fault 2: injected, NOT PROVEN: pause n5: n5 still answers
            15.000 s  ! ABORTING: interrupted
        "#);
    }

    #[test]
    fn figures_come_every_few_seconds_not_with_every_progress() {
        let events: Vec<Stamped> = (1..=200).map(|i| progress(1_000 + i * 100, 500.0)).collect();
        assert_eq!(shown(&events).lines().count(), 4, "{}", shown(&events));
    }
}
