//! The whole judgement of a record: whether the drill can be believed, each fault's proof, each
//! check.

use std::collections::BTreeMap;
use std::time::Instant;

use super::spec::{self, Spec};
use super::{Budget, Case, CaseKind, Check, Finding, Judgement, credibility, injection};
use crate::history::Record;

/// Judges a record by these checks, each with the line of the scenario that asks for it. The names
/// of the cases depend only on the plan and the checks: a second `recovery` is `recovery 2`.
pub fn judge(record: &Record, checks: &[(Spec, Option<u32>)]) -> Judgement {
    judge_within(record, checks, Budget::default())
}

/// The same, where checks that have to search take no more than this.
pub fn judge_within(record: &Record, checks: &[(Spec, Option<u32>)], budget: Budget) -> Judgement {
    let deaths_judged = checks.iter().any(|(spec, _)| matches!(spec, Spec::NodeDeaths(_)));
    let mut cases = vec![
        drill("steady state", credibility::steady(record)),
        drill("drill ran to its end", credibility::ended(record)),
        drill("nodes", credibility::nodes(record, deaths_judged)),
        drill("enough work", credibility::work(record)),
    ];
    if record.faults.is_empty() {
        let words = "the plan has no fault: this is a baseline";
        cases.push(drill("faults", Finding::pass(words)));
    }
    cases.extend(record.faults.iter().flat_map(injection::cases));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (spec, line) in checks {
        let name = match spec {
            Spec::Exec(spec::Exec { name: Some(name), .. }) => format!("exec {name}"),
            _ => spec.name().to_string(),
        };
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        let name = if *times > 1 { format!("{name} {times}") } else { name };
        cases.push(run(spec.build_within(budget).as_ref(), name, *line, record, spec));
    }
    Judgement::of(cases)
}

fn drill(name: &str, finding: Finding) -> Case {
    Case { name: name.into(), kind: CaseKind::Drill, line: None, finding, seconds: 0.0 }
}

fn run(check: &dyn Check, name: String, line: Option<u32>, record: &Record, spec: &Spec) -> Case {
    let began = Instant::now();
    let finding = match spec.fits(&record.header.workload.model) {
        Ok(()) => check.check(record),
        Err(why) => Finding::inconclusive(why),
    };
    Case { name, kind: CaseKind::Check, line, finding, seconds: began.elapsed().as_secs_f64() }
}
