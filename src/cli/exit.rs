//! What the program exits with. `docs/report.md` has the table.

use std::process::ExitCode;

use crate::report::{RunReport, Status};

/// How it came out, for a shell. Declared from the best to the worst: the worst of several wins.
///
/// The order is not that of the numbers. A target that is not restored comes first: something is broken now,
/// and somebody must act. A check that failed is a finding, and no mistake in another file takes it back. A
/// mistake stays until somebody mends it, while what was inconclusive may be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// 0: every check passed.
    Pass,
    /// 3: it cannot be said (an injection was not proven, nothing was drilled, it was broken off).
    Inconclusive,
    /// 2: the scenario or the arguments are invalid.
    Invalid,
    /// 1: a check failed.
    Fail,
    /// 4: the target was not restored.
    NotRestored,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Pass => 0,
            Exit::Fail => 1,
            Exit::Invalid => 2,
            Exit::Inconclusive => 3,
            Exit::NotRestored => 4,
        }
    }

    /// By its number, if it is one of these.
    pub fn of_code(code: u8) -> Option<Exit> {
        use Exit::{Fail, Inconclusive, Invalid, NotRestored, Pass};
        let all = [Pass, Fail, Invalid, Inconclusive, NotRestored];
        all.into_iter().find(|exit| exit.code() == code)
    }

    /// The worst of them; of none, inconclusive.
    pub fn merge(all: impl IntoIterator<Item = Exit>) -> Exit {
        all.into_iter().max().unwrap_or(Exit::Inconclusive)
    }

    /// What these runs come to. Skipped ones change nothing, but nothing drilled is never a pass.
    pub fn of(runs: &[RunReport]) -> Exit {
        Exit::merge(runs.iter().filter_map(Exit::of_run))
    }

    fn of_run(run: &RunReport) -> Option<Exit> {
        let verdict = match run.verdict {
            Status::Skipped => None,
            Status::Pass => Some(Exit::Pass),
            Status::Inconclusive => Some(Exit::Inconclusive),
            Status::Fail => Some(Exit::Fail),
        };
        let restored = if run.left_behind.is_empty() { None } else { Some(Exit::NotRestored) };
        verdict.max(restored)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(verdict: Status) -> RunReport {
        let mut run = RunReport::skipped("x", "x.yaml", "not here");
        run.verdict = verdict;
        run
    }

    #[test]
    fn the_numbers_are_those_of_the_design() {
        let all = [Exit::Pass, Exit::Fail, Exit::Invalid, Exit::Inconclusive, Exit::NotRestored];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_failed_check_is_not_hidden_by_an_invalid_or_inconclusive_neighbour() {
        assert_eq!(Exit::merge([Exit::Invalid, Exit::Fail, Exit::Inconclusive]), Exit::Fail);
        assert_eq!(Exit::merge([Exit::Pass, Exit::Inconclusive, Exit::Invalid]), Exit::Invalid);
    }

    #[test]
    fn a_target_that_is_not_restored_outranks_everything() {
        let mut left = run(Status::Pass);
        left.left_behind = vec!["n1: docker start n1".into()];
        assert_eq!(Exit::of(&[run(Status::Fail), left]), Exit::NotRestored);
    }

    #[test]
    fn nothing_at_all_and_only_skipped_runs_are_inconclusive() {
        assert_eq!(Exit::of(&[]), Exit::Inconclusive);
        assert_eq!(Exit::of(&[run(Status::Skipped)]), Exit::Inconclusive);
    }

    #[test]
    fn a_skipped_run_takes_no_pass_away() {
        assert_eq!(Exit::of(&[run(Status::Pass), run(Status::Skipped)]), Exit::Pass);
    }
}
