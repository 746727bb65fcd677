//! The embedded store is drilled with each of its bugs: the check that should catch it does, and says what
//! was wrong. Without a bug the same drills pass, and so do drills of random faults, seed after seed.
//!
//! Availability and recovery are not judged here: they would depend on how busy this machine is.

mod clean;
mod drill;
mod fast;

use drill::{Case, Drilled, at_once, conclusive};

/// A bug may hide from a drill by chance, but not from so many.
const DRILLS: u64 = 3;

/// A bug, the drill that shows it, and what is said of it: only words that stand in every such report, however
/// many operations it was that went wrong, of which kind, and when.
struct Row {
    bug: &'static str,
    model: &'static str,
    keys: u32,
    rate: u32,
    faults: &'static str,
    /// The checks that may fail. The first must.
    caught_by: &'static [&'static str],
    /// Words of the summary.
    says: &'static [&'static str],
    /// Words of the evidence.
    shows: &'static [&'static str],
}

const ISOLATED_LEADER: &str = "{at: 1s, for: 3s, inject: {partition: {isolate: leader}}}";
const SLOW_NODE: &str = "{at: 1s, for: 2s, inject: {latency: {nodes: one, latency: 20ms}}}";

const ROWS: [Row; 7] = [
    // Clients still reach the follower that has been cut off, and it answers from its old state.
    Row {
        bug: "stale-reads",
        model: "register",
        keys: 5,
        rate: 200,
        faults: "{at: 1s, for: 3s, inject: {partition: {isolate: follower}}}",
        caught_by: &["linearizable"],
        says: &["register k"],
        shows: &["operations that no order explains, out of ", "read k", "via n"],
    },
    // What the leader acknowledges while nobody hears it is gone when it learns of its successor.
    Row {
        bug: "early-ack",
        model: "set",
        keys: 3,
        rate: 200,
        faults: ISOLATED_LEADER,
        caught_by: &["lost-writes", "set"],
        says: &["acknowledged writes lost, allowed 0", " fault 1: isolate n"],
        shows: &["insert ", ": ok", "(final read)  elements of k"],
    },
    // Nobody's file has the last acknowledged writes when all nodes are killed at once. Twice, since files
    // are written once a second: a kill may come just after that, and cost nothing (1 of 10 did).
    Row {
        bug: "lost-fsync",
        model: "set",
        keys: 3,
        rate: 200,
        faults: "{at: 1800ms, for: 500ms, inject: {kill: {nodes: all}}},
         {at: 4600ms, for: 500ms, inject: {kill: {nodes: all}}}",
        caught_by: &["lost-writes", "set"],
        says: &["acknowledged writes lost, allowed 0", "fault ", ": kill n1, n2, n3"],
        shows: &["insert ", ": ok", "(final read)  elements of k"],
    },
    // The connection is lost after the message stood in the log: the client sends it again.
    Row {
        bug: "duplicate-append",
        model: "log",
        keys: 3,
        rate: 200,
        faults: "{every: 300ms..500ms, from: 1s, until: 5s, for: 200ms, choose: [{reset: {nodes: leader}}]}",
        caught_by: &["log"],
        says: &["log k", "message ", "is duplicated, at offsets "],
        shows: &["read log k"],
    },
    // Others see a transaction half done, whatever the fault.
    Row {
        bug: "dirty-transactions",
        model: "list-append",
        keys: 5,
        rate: 120,
        faults: SLOW_NODE,
        caught_by: &["list-append"],
        says: &[" k", ", "],
        shows: &["transaction [", "append k"],
    },
    Row {
        bug: "dirty-transactions",
        model: "bank",
        keys: 5,
        rate: 120,
        faults: SLOW_NODE,
        caught_by: &["bank"],
        says: &["total ", "expected 500: ", " missing, read at ", " wrong)"],
        shows: &["the first wrong reading", "balances: [a0=", "in flight meanwhile", "transfer "],
    },
    // Two leaders answer: what one has acknowledged the other does not know.
    Row {
        bug: "split-brain",
        model: "register",
        keys: 5,
        rate: 200,
        faults: ISOLATED_LEADER,
        caught_by: &["linearizable", "lost-writes"],
        says: &["register k"],
        shows: &["operations that no order explains, out of ", " k", "via n"],
    },
];

impl Row {
    fn scenario(&self) -> String {
        let Row { bug, model, keys, rate, faults, .. } = self;
        let own = match *model {
            "register" => "linearizable, lost-writes",
            "bank" => "bank",
            _ => &format!("{model}, lost-writes"),
        };
        format!(
            "name: {bug}-{model}
target: {{local: {{zones: {{dc1: 1, dc2: 1, dc3: 1}}, bugs: [{bug}]}}}}
workload: {{client: store, model: {model}, workers: 12, rate: {rate}/s, keys: {keys}}}
# Lax, because the machine may be busy with anything.
steady_state: {{window: 500ms, success: 10%, rate: 10%}}
faults: [{faults}]
recover: 2s
checks: [{own}, convergence]
"
        )
    }

    fn name(&self) -> String {
        format!("{} on {}", self.bug, self.model)
    }

    /// What caught the bug in this drill, if anything did. Whatever else is wrong is a defect.
    fn caught(&self, drilled: &Drilled) -> Option<Case> {
        let (name, story) = (self.name(), || drilled.story());
        assert!(drilled.proven_faults() > 0, "{name}: {}", story());
        let cases = drilled.cases();
        // What is inconclusive beside a check that failed: a busy machine that got too little work done.
        let failed: Vec<&Case> = cases.iter().filter(|c| c.status == "fail").collect();
        for case in &failed {
            assert!(self.caught_by.contains(&case.name.as_str()), "{name}: {case:?}: {}", story());
        }
        match failed.is_empty() {
            true => assert!(drilled.passed(), "{name}: {}", story()),
            false => assert_eq!(drilled.code, Some(1), "{name}: {}", story()),
        }
        drilled.cases().into_iter().find(|c| c.name == self.caught_by[0] && c.status == "fail")
    }

    /// Drills until the bug is caught: how many drills it took, and what was said.
    fn drill_until_caught(&self) -> Option<(u64, Case)> {
        for seed in 1..=DRILLS {
            let drilled = conclusive(&self.scenario(), seed, &[]);
            let caught = self.caught(&drilled);
            if let Some(case) = &caught {
                self.assert_told(case, &drilled);
            }
            drilled.forget();
            if let Some(case) = caught {
                return Some((seed, case));
            }
        }
        None
    }

    fn assert_told(&self, case: &Case, drilled: &Drilled) {
        for words in self.says {
            let said = case.summary.contains(words);
            assert!(said, "{}: no `{words}` in the summary: {}", self.name(), drilled.story());
        }
        let evidence = case.evidence.join("\n");
        for words in self.shows {
            let shown = evidence.contains(words);
            assert!(shown, "{}: no `{words}` in the evidence: {}", self.name(), drilled.story());
        }
    }
}

#[test]
fn every_bug_is_in_the_table() {
    for bug in firedrill::store::Bug::ALL {
        assert!(ROWS.iter().any(|row| row.bug == bug.name()), "{bug} is drilled by nobody");
    }
}

#[test]
fn each_bug_is_caught_by_the_check_that_should_and_the_report_says_what_was_wrong() {
    let caught = at_once(&ROWS, Row::drill_until_caught);
    for (row, caught) in ROWS.iter().zip(caught) {
        let name = row.name();
        let Some((drills, case)) = caught else { panic!("{name}: not caught in {DRILLS} drills") };
        println!("{name}: caught at drill {drills} by {}: {}", case.name, case.summary);
    }
}

#[test]
fn without_the_bug_the_same_drill_passes() {
    at_once(&ROWS, |row| {
        let drilled = conclusive(&row.scenario(), 1, &["target.local.bugs=[]"]);
        assert!(drilled.passed(), "{}: {}", row.name(), drilled.story());
        drilled.forget();
    });
}
