//! A summary for web pages that show Markdown: GitHub's job summary (`GITHUB_STEP_SUMMARY`), a comment.

use super::plain::one_line;
use super::run::{RunReport, Status};
use super::{plain, suite_names, text};

/// All runs: a table of runs, then what failed or is not clear in each.
pub fn render(runs: &[RunReport]) -> String {
    let mut out =
        String::from("### firedrill\n\n| run | verdict | recovery | seed |\n|---|---|---|---|\n");
    let names = suite_names(runs);
    for (run, name) in runs.iter().zip(&names) {
        let recovery: Vec<String> = run
            .figures
            .iter()
            .filter(|(figure, _)| figure.ends_with(".recovery_ms"))
            .map(|(_, ms)| super::layout::millis(*ms))
            .collect();
        let seed = run.seed.map(|s| s.to_string()).unwrap_or_default();
        let (mark, word) = (mark(run.verdict), run.verdict.word());
        out += &format!("| {} | {mark} {word} | {} | {seed} |\n", cell(name), recovery.join(", "));
    }
    for (run, name) in runs.iter().zip(&names) {
        out += &details(run, name);
    }
    out
}

fn mark(status: Status) -> &'static str {
    match status {
        Status::Pass => ":white_check_mark:",
        Status::Fail => ":x:",
        Status::Inconclusive => ":grey_question:",
        Status::Skipped => ":fast_forward:",
    }
}

fn details(run: &RunReport, name: &str) -> String {
    let told = run.cases.iter().filter(|c| matches!(c.status, Status::Fail | Status::Inconclusive));
    let mut out = String::new();
    for case in told {
        let point = format!("{}: {}", cell(&case.name), cell(&case.summary));
        out += &format!("\n{} **{}**, {point}\n", mark(case.status), cell(name));
        if !case.evidence.is_empty() {
            out += &fenced(&case.evidence.join("\n"));
        }
    }
    if !out.is_empty() {
        out += &format!(
            "\n<details><summary>Timeline</summary>\n{}\n</details>\n",
            fenced(&text::timeline(run))
        );
    }
    for left in &run.left_behind {
        out += &format!("\n:warning: **not restored**: {}\n", cell(left));
    }
    out
}

/// A code block whose fence is longer than any in the text.
fn fenced(text: &str) -> String {
    let text = plain(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("\n{fence}text\n{}\n{fence}\n", text.trim_end())
}

/// Text that cannot end a table's cell or begin markup.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn a_failed_run_shows_its_evidence() {
        insta::assert_snapshot!(render(&[specimen::failed(), specimen::passed()]), @r#"
        ### firedrill

        | run | verdict | recovery | seed |
        |---|---|---|---|
        | leader-datacenter-loss | :x: fail | 41.2 s | 42 |
        | leader-datacenter-loss #2 | :white_check_mark: pass | 2.1 s | 42 |

        :x: **leader-datacenter-loss**, recovery: recovery 41.2 s, allowed 30 s

        ```text
        fault 1 kill n1, n2 (dc1), confirmed at 10.012 s
        no write was acknowledged from 10.012 s to 51.2 s; clients heard `no leader` 9,120 times
        ```

        :grey_question: **leader-datacenter-loss**, latency: 2 operations after it, 100 needed

        <details><summary>Timeline</summary>

        ```text
           2.000 s  load begins
          10.012 s  fault 1: kill n1, n2 (dc1): injected (took 12 ms)
                      n1: connect refused after 0.2 ms
                      n2: connect refused after 0.2 ms
          10.900 s  n3 leads
          25.012 s  fault 1: kill n1, n2 (dc1): healed (took 12 ms)
                      n1: answers after 310 ms
                      n2: answers after 310 ms
        ```

        </details>
        "#);
    }

    #[test]
    fn text_of_others_stays_text() {
        let mut run = specimen::failed();
        run.scenario = "a | b <script>".into();
        run.cases[4].evidence = vec!["```".into(), "# no headline".into()];
        let out = render(&[run]);
        assert!(!out.contains("<script>") && out.contains("a \\| b"), "{out}");
        assert!(out.contains("````text\n```\n# no headline\n````"), "{out}");
    }
}
