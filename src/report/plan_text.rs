//! What `firedrill plan` shows: what would happen to whom and when, with nothing done.

use std::time::Duration;

use super::layout::{self, Colour, FAINT, STRONG, hang, plural};
use super::plain::one_line;

/// The plan's head.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The scenario's name.
    pub scenario: String,
    /// Its file.
    pub file: String,
    /// `local`, `docker` or `kubernetes`.
    pub target: String,
    /// The seed that it was drawn with.
    pub seed: u64,
    /// The plan's digest.
    pub digest: String,
    /// The nodes: name and zone.
    pub nodes: Vec<(String, String)>,
    /// By what links will be shaped, in words; `None`: none will be.
    pub shaping: Option<String>,
    /// What else is known of the target, in words.
    pub notes: Vec<String>,
    /// How long the load lasts.
    pub load: Duration,
    /// The checks, as they will be judged.
    pub checks: Vec<String>,
}

/// A fault of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When it is injected, since the load began.
    pub at: Duration,
    /// When it is healed, if its injection takes no time.
    pub until: Duration,
    /// Its name in the catalogue.
    pub fault: String,
    /// What it does to whom, in words.
    pub what: String,
    /// The line of the scenario that asks for it, from 1.
    pub line: u32,
}

/// The width of the bar that shows when a fault is active.
const BAR: usize = 54;

/// The plan as a table, and as bars on one axis of time.
pub fn render(head: &Head, rows: &[Row], colour: Colour) -> String {
    let mut lines = vec![colour.paint(STRONG, &one_line(&head.scenario))];
    let nodes: Vec<String> =
        head.nodes.iter().map(|(n, z)| format!("{} ({})", one_line(n), one_line(z))).collect();
    let nodes = format!("target {}: {}", one_line(&head.target), nodes.join(", "));
    lines.extend(hang("", &nodes));
    lines.push(format!("seed {}, plan {}", head.seed, head.digest));
    if let Some(shaping) = &head.shaping {
        lines.extend(hang("links are shaped by ", &one_line(shaping)));
    }
    for note in &head.notes {
        lines.extend(hang("", &one_line(note)));
    }
    lines.push(String::new());
    let load = layout::seconds(head.load.as_secs_f64());
    let faults = plural(rows.len(), "fault");
    lines.push(format!("{load} of load, {faults}; times since the load began"));
    lines.extend(table(rows));
    lines.extend(bars(head.load, rows, colour));
    if !head.checks.is_empty() {
        let checks: Vec<String> = head.checks.iter().map(|c| one_line(c)).collect();
        lines.push(String::new());
        lines.extend(hang("judged by: ", &checks.join(", ")));
    }
    lines.join("\n") + "\n"
}

fn table(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["  nothing is injected".into()];
    }
    let mut lines = vec![format!("{:>10}  {:>10}  {:>4}  what", "at", "until", "line")];
    for row in rows {
        let [at, until] = [row.at, row.until].map(|t| layout::seconds(t.as_secs_f64()));
        let what = one_line(&row.what);
        let what = match what.contains(&row.fault) {
            true => what,
            false => format!("{}: {what}", one_line(&row.fault)),
        };
        lines.extend(hang(&format!("{at:>10}  {until:>10}  {:>4}  ", row.line), &what));
    }
    lines
}

fn bars(load: Duration, rows: &[Row], colour: Colour) -> Vec<String> {
    let end = rows.iter().map(|r| r.until).max().unwrap_or_default().max(load).as_secs_f64();
    if rows.is_empty() || end <= 0.0 {
        return vec![];
    }
    let column = |t: Duration| (t.as_secs_f64() / end * BAR as f64) as usize;
    let mut lines = vec![String::new()];
    for (i, row) in rows.iter().enumerate() {
        let from = column(row.at).min(BAR - 1);
        let to = column(row.until).clamp(from + 1, BAR);
        let bar = format!("{}{}{}", ".".repeat(from), "#".repeat(to - from), ".".repeat(BAR - to));
        let name: String = one_line(&row.fault).chars().take(COLUMN_OF_NAME).collect();
        lines.push(format!("{:>3} |{}| {name}", i + 1, colour.paint(FAINT, &bar)));
    }
    let end = layout::seconds(end);
    lines.push(format!("     0 s{end:>width$}", width = BAR - 3));
    lines
}

/// What is left of 80 columns beside the bar.
const COLUMN_OF_NAME: usize = 80 - BAR - 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: u64, until: u64, fault: &str, what: &str, line: u32) -> Row {
        let [at, until] = [at, until].map(Duration::from_secs);
        Row { at, until, fault: fault.into(), what: what.into(), line }
    }

    fn head() -> Head {
        let nodes = [("n1", "dc1"), ("n2", "dc1"), ("n3", "dc2")];
        Head {
            scenario: "leader-datacenter-loss".into(),
            file: "scenarios/leader-datacenter-loss.yaml".into(),
            target: "local".into(),
            seed: 42,
            digest: "0123456789abcdef".into(),
            nodes: nodes.map(|(n, z)| (n.to_string(), z.to_string())).into(),
            shaping: None,
            notes: vec![],
            load: Duration::from_secs(60),
            checks: vec!["linearizable".into(), "recovery within 5s".into()],
        }
    }

    #[test]
    fn a_plan_shows_who_suffers_when_and_which_line_asks_for_it() {
        let rows = [
            row(
                10,
                25,
                "datacenter-loss",
                "datacenter-loss: kill every node of the leader's zone",
                18,
            ),
            row(
                20,
                30,
                "partition",
                "n1, n2 | n3, no packet either way, not even from the clients",
                21,
            ),
            row(59, 60, "kill", "kill n1 (dc1)", 24),
        ];
        let text = render(&head(), &rows, Colour::No);
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text, @r#"
        leader-datacenter-loss
        target local: n1 (dc1), n2 (dc1), n3 (dc2)
        seed 42, plan 0123456789abcdef

        60.000 s of load, 3 faults; times since the load began
                at       until  line  what
          10.000 s    25.000 s    18  datacenter-loss: kill every node of the leader's
                                      zone
          20.000 s    30.000 s    21  partition: n1, n2 | n3, no packet either way, not
                                      even from the clients
          59.000 s    60.000 s    24  kill n1 (dc1)

          1 |.........#############................................| datacenter-loss
          2 |..................#########...........................| partition
          3 |.....................................................#| kill
             0 s                                           60.000 s

        judged by: linearizable, recovery within 5s
        "#);
    }

    #[test]
    fn a_plan_says_by_what_links_are_shaped_where_any_are() {
        let shaped = Head { shaping: Some("the kernel's netem".into()), ..head() };
        assert!(
            render(&shaped, &[], Colour::No).contains("links are shaped by the kernel's netem\n")
        );
        assert!(!render(&head(), &[], Colour::No).contains("shaped"));
        let noted = Head { notes: vec!["allowed: all".into()], ..head() };
        assert!(render(&noted, &[], Colour::No).contains("\nallowed: all\n"));
    }

    #[test]
    fn an_empty_plan_says_that_nothing_is_injected() {
        assert!(render(&head(), &[], Colour::No).contains("nothing is injected"));
    }

    #[test]
    fn a_plan_without_any_time_does_not_divide_by_it() {
        let none = Head { load: Duration::ZERO, ..head() };
        assert!(render(&none, &[row(0, 0, "kill", "kill n1", 1)], Colour::No).contains("kill n1"));
    }
}
