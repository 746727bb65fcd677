//! What a check found, and how findings add up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::explanation::Explanation;

/// How a check or a drill came out; a later one is worse, and the worst wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was promised was kept, and there was enough evidence to say so.
    Pass,
    /// It cannot be said.
    Inconclusive,
    /// What was promised was broken.
    Fail,
}

impl Verdict {
    /// The worst of them; of none, inconclusive.
    pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
        verdicts.into_iter().max().unwrap_or(Verdict::Inconclusive)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// How it came out.
    pub verdict: Verdict,
    /// One line, the point first: `recovery 41.2 s, allowed 30 s`.
    pub summary: String,
    /// What proves it, for a tired engineer: which key, which operations, when, during which fault. Lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Figures for programs, by name with the unit last (`recovery_ms`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// The same as data for a picture, where one helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanations: Vec<Explanation>,
}

impl Finding {
    fn of(verdict: Verdict, summary: impl Into<String>) -> Finding {
        let (evidence, figures, explanations) = Default::default();
        Finding { verdict, summary: summary.into(), evidence, figures, explanations }
    }
    /// What was promised was kept.
    pub fn pass(summary: impl Into<String>) -> Finding {
        Finding::of(Verdict::Pass, summary)
    }
    /// What was promised was broken.
    pub fn fail(summary: impl Into<String>) -> Finding {
        Finding::of(Verdict::Fail, summary)
    }
    /// It cannot be said.
    pub fn inconclusive(summary: impl Into<String>) -> Finding {
        Finding::of(Verdict::Inconclusive, summary)
    }
    /// With these lines of evidence behind those that are there.
    #[must_use]
    pub fn with_evidence(mut self, lines: impl IntoIterator<Item = String>) -> Finding {
        self.evidence.extend(lines);
        self
    }
    /// With these explanations.
    #[must_use]
    pub fn with_explanations(mut self, all: impl IntoIterator<Item = Explanation>) -> Finding {
        self.explanations.extend(all);
        self
    }
    /// With this figure.
    #[must_use]
    pub fn with_figure(mut self, name: impl Into<String>, value: f64) -> Finding {
        self.figures.insert(name.into(), value);
        self
    }
}

/// What a case of a judgement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseKind {
    /// Whether the drill itself can be believed (steady state, enough work, no death but ours).
    Drill,
    /// Whether a fault's injection was proven.
    Injection,
    /// Whether a fault's heal was proven.
    Heal,
    /// A check of the scenario.
    Check,
}

/// One finding and what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Unique in a judgement, stable over seeds and runs of one scenario: `recovery`, `fault 1 kill: injected`.
    pub name: String,
    /// What it is about.
    pub kind: CaseKind,
    /// The line of the scenario that asks for it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What was found.
    pub finding: Finding,
    /// How long it took: a check's own time, or how long a fault took to inject or heal.
    pub seconds: f64,
}

/// All that is to be said of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of the cases; of none, inconclusive.
    pub verdict: Verdict,
    /// In the order of a report: drill, faults, checks.
    pub cases: Vec<Case>,
}

impl Judgement {
    /// The judgement that these cases add up to.
    pub fn of(cases: Vec<Case>) -> Judgement {
        // Without a check of the scenario's, faults that were proven promise nothing.
        let checked = cases.iter().any(|c| c.kind == CaseKind::Check);
        let worst = Verdict::worst(cases.iter().map(|c| c.finding.verdict));
        let verdict = if checked { worst } else { worst.max(Verdict::Inconclusive) };
        Judgement { verdict, cases }
    }
}
