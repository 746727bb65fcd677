//! GitHub's workflow commands: a failure shown at the scenario's line in the changed files.
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use super::run::{RunReport, Status};
use super::{plain, suite_names};

/// A line for each failure (`::error`) and each case that is not clear (`::warning`).
pub fn render(runs: &[RunReport]) -> String {
    let mut out = String::new();
    for (run, name) in runs.iter().zip(suite_names(runs)) {
        for case in &run.cases {
            let level = match case.status {
                Status::Fail => "error",
                Status::Inconclusive => "warning",
                Status::Pass | Status::Skipped => continue,
            };
            let line = case.line.map(|line| format!(",line={line}")).unwrap_or_default();
            let file = property(&run.file);
            let title = property(&format!("{name}: {}", case.name));
            let mut said = vec![case.summary.clone()];
            said.extend(case.evidence.iter().cloned());
            let said = data(&said.join("\n"));
            out += &format!("::{level} file={file}{line},title={title}::{said}\n");
        }
    }
    out
}

fn data(text: &str) -> String {
    plain(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn a_failure_stands_at_the_line_that_asks_for_the_check() {
        let out = render(&[specimen::failed()]);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(
            lines[0].starts_with(
                "::error file=scenarios/leader-datacenter-loss.yaml,line=31,\
                 title=leader-datacenter-loss%3A recovery::recovery 41.2 s, allowed 30 s%0Afault 1"
            ),
            "{out}"
        );
        assert!(lines[1].starts_with("::warning file="), "{out}");
    }

    #[test]
    fn no_text_can_begin_a_command_of_its_own() {
        let mut run = specimen::failed();
        run.cases[4].summary = "x\n::set-env name=A::b".into();
        assert!(
            render(&[run]).lines().all(|l| l.starts_with("::error") || l.starts_with("::warning"))
        );
    }
}
