//! One drill of the embedded store by the real binary, and what its report says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::{fs, thread};

use serde_json::Value;

/// How many drills run at once, whatever the number of tests: each is a runner and three to five nodes.
const AT_ONCE: usize = 3;

static RUNNING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// A place among the drills that run at once, given back when it is dropped.
struct Place;

impl Place {
    fn take() -> Place {
        let running = RUNNING.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = RUNNING.1.wait_while(running, |running| *running >= AT_ONCE);
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        Place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *RUNNING.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        RUNNING.1.notify_one();
    }
}

/// What a drill came to.
pub struct Drilled {
    /// Which one it was.
    pub what: String,
    /// What the binary exited with.
    pub code: Option<i32>,
    run: Value,
    told: String,
    folder: PathBuf,
}

/// A case of the report.
#[derive(Debug, Clone)]
pub struct Case {
    /// `lost-writes`, `fault 1 kill: injected`.
    pub name: String,
    /// `drill`, `injection`, `heal` or `check`.
    pub kind: String,
    /// A verdict.
    pub status: String,
    /// One line.
    pub summary: String,
    /// Lines.
    pub evidence: Vec<String>,
}

/// Drills `scenario` once, in folders of its own. They are kept where something is to be looked at.
pub fn drill(scenario: &str, seed: u64, set: &[&str]) -> Drilled {
    let _place = Place::take();
    let home = tempfile::Builder::new().prefix("firedrill-bugs-").tempdir().unwrap().keep();
    let temporary = home.join("tmp");
    fs::create_dir(&temporary).unwrap();
    let (file, json) = (home.join("drill.yaml"), home.join("report.json"));
    fs::write(&file, scenario).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.arg("run").arg(&file).arg("--yes").args(["--seed", &seed.to_string()]);
    command.arg("--json").arg(&json).arg("--out").arg(home.join("reports"));
    set.iter().for_each(|set| _ = command.args(["--set", set]));
    let ended = command.env("TMPDIR", &temporary).stdin(Stdio::null()).output().unwrap();
    let report = fs::read_to_string(&json).unwrap_or_default();
    let report: Value = serde_json::from_str(&report).unwrap_or_default();
    let told = [ended.stdout, ended.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    Drilled {
        what: format!("seed {seed}, {}", set.join(" ")),
        code: ended.status.code(),
        run: report["runs"][0].clone(),
        told: told.concat(),
        folder: home,
    }
}

/// So often is a drill repeated while what came of it is inconclusive.
const ATTEMPTS: u32 = 4;

/// Drills until something came of it. Inconclusive: it proves nothing for or against the store (a busy machine
/// that got too little work done), so it is drilled again. A failed check never is.
pub fn conclusive(scenario: &str, seed: u64, set: &[&str]) -> Drilled {
    for _ in 1..ATTEMPTS {
        let drilled = drill(scenario, seed, set);
        if drilled.code != Some(3) {
            return drilled;
        }
        eprintln!("{}: inconclusive: {:?}; again", drilled.what, drilled.not_passed());
        drilled.forget();
    }
    drill(scenario, seed, set)
}

impl Drilled {
    /// Everything that was judged.
    pub fn cases(&self) -> Vec<Case> {
        let text = |case: &Value, field: &str| case[field].as_str().unwrap_or_default().to_string();
        let lines = |case: &Value| {
            let lines = case["evidence"].as_array().into_iter().flatten();
            lines.filter_map(Value::as_str).map(String::from).collect()
        };
        let cases = self.run["cases"].as_array().into_iter().flatten();
        let case = |case: &Value| Case {
            name: text(case, "name"),
            kind: text(case, "kind"),
            status: text(case, "status"),
            summary: text(case, "summary"),
            evidence: lines(case),
        };
        cases.map(case).collect()
    }

    /// The names of the cases that did not pass.
    pub fn not_passed(&self) -> Vec<String> {
        self.cases().into_iter().filter(|c| c.status != "pass").map(|c| c.name).collect()
    }

    /// How many faults were proven to be injected and healed.
    pub fn proven_faults(&self) -> usize {
        let faults = self.run["faults"].as_array().into_iter().flatten();
        let proven = |change: &Value| change.is_object() && change["unproven"].is_null();
        faults.filter(|f| proven(&f["injected"]) && proven(&f["healed"])).count()
    }

    /// Whether every case passed, and there were a check and the proofs of a fault among them.
    pub fn passed(&self) -> bool {
        let cases = self.cases();
        let has = |kind: &str| cases.iter().any(|c| c.kind == kind);
        let all = cases.iter().all(|c| c.status == "pass");
        self.code == Some(0) && all && has("check") && has("injection") && self.proven_faults() > 0
    }

    /// The whole story, for the message of a failed assertion. Keeps the folder.
    pub fn story(&self) -> String {
        let folder = self.folder.display();
        format!("{}: exit {:?}, see {folder}\n{}", self.what, self.code, self.told)
    }

    /// Removes the folder: there is nothing to look at.
    pub fn forget(self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    // What is left over in the temporary folder of the machine harms nobody.
    let _ = fs::remove_dir_all(folder);
}

/// Does each job, several at once; the results stand in the order of the jobs.
pub fn at_once<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = Mutex::new(vec![]);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(job) = jobs.get(at) else { return };
                    let result = work(job);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
