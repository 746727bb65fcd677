//! What a person reads after a run: the timeline, what was judged, the operations, the verdict, and how to go
//! on from there. The checks' summaries have the figures that matter; all of them stand here only on demand.
//! The verdict stands last, where the eye and the end of a log are.

use anstyle::Style;

use crate::check::CaseKind;

use super::layout::{self, BAD, FAINT, GOOD, STRONG, UNSURE, hang, plural, seconds};
use super::plain::one_line;
use super::run::{CaseReport, FaultReport, RunReport, Status, WorkloadReport};
use super::{plain, suite_names};

pub use super::layout::Colour;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What a reader needs to know what happened.
    Summary,
    /// Every figure of every check as well.
    Figures,
}

/// All runs, one behind the other; of several, a line for each at the end.
pub fn render(runs: &[RunReport], detail: Detail, colour: Colour) -> String {
    let names = suite_names(runs);
    let mut out = String::new();
    for (run, name) in runs.iter().zip(&names) {
        out.push_str(&summary(run, name, detail, colour));
        out.push('\n');
    }
    if runs.len() > 1 {
        out.push_str(&tally(runs, colour));
    }
    out
}

/// A line for each run: what a reader of many looks at first.
pub fn tally(runs: &[RunReport], colour: Colour) -> String {
    let mut out = String::new();
    for (run, name) in runs.iter().zip(suite_names(runs)) {
        let seed = run.seed.map(|s| format!("  seed {s}")).unwrap_or_default();
        let (mark, style) = mark(run.verdict);
        let mark = colour.paint(style, &format!("{mark:<4}"));
        out.push_str(&format!("{mark}  {}{seed}  {}\n", one_line(&name), verdict_words(run)));
    }
    out
}

/// One run, under this name.
fn summary(run: &RunReport, name: &str, detail: Detail, colour: Colour) -> String {
    let mut lines = head(run, name, colour);
    let timeline = match detail {
        Detail::Summary => timeline_of(run, MEASUREMENTS_MOST),
        Detail::Figures => timeline(run),
    };
    if !timeline.is_empty() {
        lines.push(String::new());
        lines.extend(timeline.lines().map(String::from));
    }
    lines.push(String::new());
    for case in &run.cases {
        lines.extend(case_lines(case, colour));
    }
    lines.extend(operations(run));
    if detail == Detail::Figures {
        lines.extend(figures(run));
    }
    lines.push(String::new());
    lines.extend(verdict(run, name, colour));
    lines.join("\n") + "\n"
}

fn head(run: &RunReport, name: &str, colour: Colour) -> Vec<String> {
    let mut facts = vec![];
    facts.extend(run.target.as_ref().map(|t| format!("target {}", one_line(t))));
    if !run.nodes.is_empty() {
        let zones: std::collections::BTreeSet<&str> =
            run.nodes.iter().map(|n| n.zone.as_str()).collect();
        let nodes = plural(run.nodes.len(), "node");
        facts.push(format!("{nodes} in {}", plural(zones.len(), "zone")));
    }
    facts.extend(run.seed.map(|seed| format!("seed {seed}")));
    let mut lines = vec![colour.paint(STRONG, &one_line(name))];
    if !facts.is_empty() {
        lines.extend(hang("", &facts.join(", ")));
    }
    lines.extend(run.workload.iter().flat_map(|w| hang("", &work(w))));
    lines
}

fn work(w: &WorkloadReport) -> String {
    format!(
        "client {}, model {}: {} operations/s by {} on {}, time-out {}",
        one_line(&w.client),
        one_line(&w.model),
        layout::number(w.rate_per_s),
        plural(w.workers as usize, "worker"),
        plural(w.keys as usize, "key"),
        layout::millis(w.timeout_ms),
    )
}

/// How many measurements of an injection or a heal a summary shows.
const MEASUREMENTS_MOST: usize = 4;

/// The faults and what else happened, in the order of time, one instant a line; without colour.
pub fn timeline(run: &RunReport) -> String {
    timeline_of(run, usize::MAX)
}

/// The timeline with at most so many measurements of a change: a partition of many nodes has very many.
fn timeline_of(run: &RunReport, most: usize) -> String {
    let mut rows: Vec<(f64, String, Vec<String>)> = vec![];
    rows.extend(run.load_began_s.map(|at| (at, "load begins".into(), vec![])));
    for fault in &run.faults {
        rows.extend(fault_rows(fault, most));
    }
    rows.extend(run.events.iter().map(|e| (e.at_s, one_line(&e.what), vec![])));
    if let Some(why) = &run.aborted {
        rows.push((run.seconds, format!("aborted: {}", one_line(why)), vec![]));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out = String::new();
    for (at, what, details) in rows {
        let first = format!("{:>10}  ", seconds(at));
        let indent = " ".repeat(first.len() + 2);
        let lines = hang(&first, &what).into_iter();
        let details = details.iter().flat_map(|line| hang(&indent, line));
        for line in lines.chain(details) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn fault_rows(fault: &FaultReport, most: usize) -> Vec<(f64, String, Vec<String>)> {
    let name = format!("fault {}: {}", u64::from(fault.id) + 1, one_line(&fault.what));
    let mut rows = vec![];
    for (change, verb) in [(&fault.injected, "injected"), (&fault.healed, "healed")] {
        let Some(change) = change else { continue };
        let took = layout::millis((change.effective_s - change.issued_s) * 1e3);
        let shown = change.proof.iter().take(most);
        let mut details: Vec<String> = shown.map(|line| one_line(line)).collect();
        if change.proof.len() > most {
            let more = plural(change.proof.len() - most, "more measurement");
            details.push(format!("and {more} (shown by -v)"));
        }
        let what = match &change.unproven {
            None => format!("{name}: {verb} (took {took})"),
            Some(why) => {
                details.insert(0, format!("not proven: {}", one_line(why)));
                format!("{name}: {verb}, NOT PROVEN (took {took})")
            }
        };
        rows.push((change.effective_s, what, details));
    }
    if !fault.noticed.is_empty() {
        let last = [&fault.healed, &fault.injected].into_iter().find_map(Option::as_ref);
        let at = last.map_or(fault.planned_at_s, |change| change.effective_s);
        let noticed = fault.noticed.iter().map(|line| one_line(line)).collect();
        rows.push((at, format!("{name}: what the cluster noticed"), noticed));
    }
    if fault.injected.is_none() {
        rows.push((fault.planned_at_s, format!("{name}: planned, never injected"), vec![]));
    }
    rows
}

fn mark(status: Status) -> (&'static str, Style) {
    match status {
        Status::Pass => ("ok", GOOD),
        Status::Fail => ("FAIL", BAD),
        Status::Inconclusive => ("??", UNSURE),
        Status::Skipped => ("skip", FAINT),
    }
}

fn case_lines(case: &CaseReport, colour: Colour) -> Vec<String> {
    let (mark, style) = mark(case.status);
    let name = one_line(&case.name);
    let line = case.line.map(|l| format!(" (line {l})")).unwrap_or_default();
    let shows_line = matches!(case.status, Status::Fail | Status::Inconclusive);
    let said =
        format!("{name}: {}{}", one_line(&case.summary), if shows_line { &line } else { "" });
    let mut lines = hang("      ", &said);
    // The mark goes in after the wrapping, so that its colour does not count as width.
    if let Some(first) = lines.first_mut() {
        *first = format!("{}  {}", colour.paint(style, &format!("{mark:<4}")), first.trim_start());
    }
    if shows_line {
        let new = case.evidence.iter().filter(|line| **line != case.summary);
        let evidence = new.flat_map(|line| {
            let line = plain(line).replace('\t', "  ");
            line.lines().flat_map(|l| layout::evidence("        ", l)).collect::<Vec<_>>()
        });
        lines.extend(evidence);
    }
    lines
}

fn operations(run: &RunReport) -> Vec<String> {
    let mut lines = vec![];
    if let Some(operations) = &run.operations {
        let due = operations.invoked + operations.dropped;
        let parts = [
            format!("{} due", layout::count(due)),
            format!("{} ok", layout::count(operations.ok)),
            format!("{} failed", layout::count(operations.failed)),
            format!("{} unknown", layout::count(operations.unknown)),
            format!("{} dropped", layout::count(operations.dropped)),
        ];
        let available =
            operations.availability().map(|a| format!("{}%", layout::number(a * 100.0)));
        let available = available.map(|a| format!("; {a} of them ok")).unwrap_or_default();
        lines.extend(hang("operations  ", &format!("{}{available}", parts.join(", "))));
        if let Some(l) = operations.latency_ms {
            let [p50, p99, max] = [l.p50, l.p99, l.max].map(layout::millis);
            lines.push(format!("latency     p50 {p50}, p99 {p99}, max {max} (of those ok)"));
        }
        lines.insert(0, String::new());
    }
    lines
}

fn figures(run: &RunReport) -> Vec<String> {
    // How long each fault took to inject and heal stands in the timeline already.
    let checks = run.cases.iter().filter(|case| case.kind == CaseKind::Check);
    let named = checks.flat_map(|case| {
        let name = one_line(&case.name);
        case.figures.iter().map(move |(figure, value)| (format!("{name}.{figure}"), *value))
    });
    let named: Vec<(String, f64)> = named.collect();
    let width = named.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(50);
    let line = |(name, value)| format!("figure      {name:<width$}  {}", layout::number(value));
    named.into_iter().map(line).collect()
}

fn verdict(run: &RunReport, name: &str, colour: Colour) -> Vec<String> {
    let mut lines = vec![];
    if !run.left_behind.is_empty() {
        let again = run.folder.as_deref().map(|folder| in_a_shell(&one_line(folder)));
        let again = again.map(|folder| format!("`firedrill heal {folder}` tries again; "));
        let how = format!("NOT RESTORED: {}by hand:", again.unwrap_or_default());
        lines.push(colour.paint(BAD, &how));
        lines.extend(run.left_behind.iter().map(|left| format!("  {}", one_line(left))));
    }
    let (_, style) = mark(run.verdict);
    let word = run.verdict.word().to_uppercase();
    let said = format!("{}: {}", one_line(name), verdict_words(run));
    lines.extend(hang(&format!("{word}  "), &said));
    if let Some(first) = lines.iter_mut().find(|line| line.starts_with(&word)) {
        *first = format!("{}{}", colour.paint(style, &word), &first[word.len()..]);
    }
    if let Some(folder) = &run.folder {
        let folder = one_line(folder);
        lines.push(format!("  record  {folder}"));
        lines.push(format!("  judge   firedrill check {folder}"));
    }
    if let Some(seed) = run.seed {
        let file = one_line(&run.file);
        let set: String =
            run.set.iter().map(|s| format!(" --set {}", in_a_shell(&one_line(s)))).collect();
        lines.push(format!("  repeat  firedrill run {file} --seed {seed}{set}"));
    }
    lines
}

/// A word as a shell takes it.
fn in_a_shell(word: &str) -> String {
    match word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c)) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// `2 of 9 cases failed: recovery, linearizable`.
fn verdict_words(run: &RunReport) -> String {
    let of = |status: Status| -> Vec<String> {
        let cases = run.cases.iter().filter(|c| c.status == status);
        cases.map(|c| one_line(&c.name)).collect()
    };
    let (failed, unsure, skipped) =
        (of(Status::Fail), of(Status::Inconclusive), of(Status::Skipped));
    let all = run.cases.len();
    let mut parts = vec![];
    for (names, word) in [(&failed, "failed"), (&unsure, "inconclusive"), (&skipped, "skipped")] {
        if !names.is_empty() {
            parts.push(format!("{} of {all} {word} ({})", names.len(), names.join(", ")));
        }
    }
    if parts.is_empty() {
        let checked = run.cases.iter().any(|c| c.kind == CaseKind::Check);
        parts.push(match (run.verdict, checked) {
            (Status::Inconclusive, false) => "nothing was checked".to_string(),
            _ => format!("all of {} passed", plural(all, "case")),
        });
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn a_failed_run_says_what_broke_when_and_how_to_go_on() {
        let text = render(&[specimen::failed()], Detail::Figures, Colour::No);
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text, @r#"
        leader-datacenter-loss
        target local, 3 nodes in 2 zones, seed 42
        client store, model register: 500 operations/s by 10 workers on 50 keys,
        time-out 1 s

           2.000 s  load begins
          10.012 s  fault 1: kill n1, n2 (dc1): injected (took 12 ms)
                      n1: connect refused after 0.2 ms
                      n2: connect refused after 0.2 ms
          10.900 s  n3 leads
          25.012 s  fault 1: kill n1, n2 (dc1): healed (took 12 ms)
                      n1: answers after 310 ms
                      n2: answers after 310 ms

        ok    steady state: 100% of 500/s for 2 s
        ok    fault 1 datacenter-loss: injected: proven on 2 nodes
        ok    fault 1 datacenter-loss: healed: proven on 2 nodes
        ok    linearizable: 50 keys, 3 operations
        FAIL  recovery: recovery 41.2 s, allowed 30 s (line 31)
                fault 1 kill n1, n2 (dc1), confirmed at 10.012 s
                no write was acknowledged from 10.012 s to 51.2 s; clients heard `no
                    leader` 9,120 times
        ??    latency: 2 operations after it, 100 needed (line 32)
        skip  fault 3 clock-skew: the local target cannot change a node's clock; docker
              can

        operations  4 due, 2 ok, 1 failed, 0 unknown, 1 dropped; 50% of them ok
        latency     p50 4 ms, p99 5 ms, max 5 ms (of those ok)
        figure      recovery.recovery_ms    41200
        figure      recovery.resolution_ms  20

        FAIL  leader-datacenter-loss: 1 of 7 failed (recovery); 1 of 7 inconclusive
              (latency); 1 of 7 skipped (fault 3 clock-skew)
          record  reports/r1
          judge   firedrill check reports/r1
          repeat  firedrill run scenarios/leader-datacenter-loss.yaml --seed 42
        "#);
    }

    #[test]
    fn a_passed_run_is_short() {
        insta::assert_snapshot!(render(&[specimen::passed()], Detail::Summary, Colour::No), @r#"
        leader-datacenter-loss
        target local, 3 nodes in 2 zones, seed 42
        client store, model register: 500 operations/s by 10 workers on 50 keys,
        time-out 1 s

           2.000 s  load begins
          10.012 s  fault 1: kill n1, n2 (dc1): injected (took 12 ms)
                      n1: connect refused after 0.2 ms
                      n2: connect refused after 0.2 ms
          10.900 s  n3 leads
          25.012 s  fault 1: kill n1, n2 (dc1): healed (took 12 ms)
                      n1: answers after 310 ms
                      n2: answers after 310 ms

        ok    steady state: 100% of 500/s for 2 s
        ok    fault 1 datacenter-loss: injected: proven on 2 nodes
        ok    fault 1 datacenter-loss: healed: proven on 2 nodes
        ok    recovery: recovery 2.1 s, allowed 30 s

        operations  4 due, 2 ok, 1 failed, 0 unknown, 1 dropped; 50% of them ok
        latency     p50 4 ms, p99 5 ms, max 5 ms (of those ok)

        PASS  leader-datacenter-loss: all of 4 cases passed
          record  reports/r1
          judge   firedrill check reports/r1
          repeat  firedrill run scenarios/leader-datacenter-loss.yaml --seed 42
        "#);
    }

    #[test]
    fn several_runs_end_with_a_line_for_each() {
        let late = RunReport::broke_off("other", "o.yaml", "etcd: no such program").with_seed(9);
        let text =
            render(&[specimen::passed(), specimen::failed(), late], Detail::Summary, Colour::No);
        let tail: Vec<&str> = text.lines().rev().take(3).collect();
        assert!(tail[2].starts_with("ok    leader-datacenter-loss  seed 42"), "{}", tail[2]);
        assert!(tail[1].starts_with("FAIL  leader-datacenter-loss #2  seed 42"), "{}", tail[1]);
        assert!(tail[0].starts_with("??    other  seed 9  1 of 1 inconclusive"), "{}", tail[0]);
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let runs = [specimen::failed(), specimen::passed()];
        let coloured = render(&runs, Detail::Summary, Colour::Yes);
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(plain(&coloured), render(&runs, Detail::Summary, Colour::No));
    }

    #[test]
    fn what_was_not_restored_is_said_with_its_command() {
        let mut run = specimen::passed();
        run.left_behind = vec!["n1 is stopped: docker start n1".into()];
        let text = render(&[run], Detail::Summary, Colour::No);
        let how = "NOT RESTORED: `firedrill heal reports/r1` tries again; by hand:\n";
        assert!(text.contains(&format!("{how}  n1 is stopped: docker start n1\n")), "{text}");
    }

    #[test]
    fn a_fault_that_was_not_proven_or_never_came_says_so() {
        let mut run = specimen::passed();
        let mut never = run.faults[0].clone();
        (never.id, never.injected, never.healed) = (1, None, None);
        run.faults.push(never);
        run.faults[0].injected.as_mut().unwrap().unproven = Some("n1 still answers".into());
        let text = timeline(&run);
        assert!(text.contains("NOT PROVEN"), "{text}");
        assert!(text.contains("not proven: n1 still answers"), "{text}");
        assert!(text.contains("fault 2: kill n1, n2 (dc1): planned, never injected"), "{text}");
    }
}
