//! Nothing is left behind: the runner is killed by SIGKILL at random instants of a drill, and two seconds
//! later no process, port or folder of it is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const INSTANTS: usize = 30;
const AT_ONCE: usize = 3;
/// What the kernel and the watchdog are held to.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// Longer than nodes take to start on a machine that does a lot else.
const PATIENCE: Duration = Duration::from_secs(40);

/// Short, and rich in states that a kill may meet: set-up, nodes starting, a killed node, a paused one, a held
/// link, a user's own fault, final reads, nodes being taken down, teardown.
const SCENARIO: &str = r#"
name: killed-runner
target:
  local: {zones: {dc1: 1, dc2: 1, dc3: 1}}
workload: {client: store, model: register, workers: 5, rate: 100/s, keys: 5, timeout: 500ms}
steady_state: {window: 500ms}
faults:
  - {at: 1s, for: 1500ms, inject: {kill: {nodes: one}}}
  - {at: 1200ms, for: 1500ms, inject: {pause: {nodes: [n1]}}}
  - {at: 1400ms, for: 2s, inject: {partition: {isolate: leader}}}
  - at: 1s
    for: 3s
    inject:
      command:
        inject: [sh, -c, 'touch "$TMPDIR/own-fault"']
        prove: [sh, -c, 'test -e "$TMPDIR/own-fault"']
        heal: [sh, -c, 'rm -f "$TMPDIR/own-fault"']
checks: [linearizable]
duration: 5s
setup: [{run: [sh, -c, 'exec touch "$TMPDIR/set-up"']}, {run: [sleep, '0.5']}]
teardown: [{run: [sh, -c, 'sleep 0.2; rm -f "$TMPDIR/set-up"']}]
"#;

/// Every process that has `folder` as its TMPDIR: the runner, and all that it started, whoever adopted it.
fn processes(folder: &Path) -> Vec<String> {
    let mark = format!("TMPDIR={}", folder.display());
    let mut found = vec![];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        let carries = environment.split(|b| *b == 0).any(|e| e == mark.as_bytes());
        let state = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let dead = state.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
        if carries && !dead {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(format!("{} {command}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

fn left(folder: &Path) -> Vec<String> {
    let mut left = processes(folder);
    let files = fs::read_dir(folder).unwrap().flatten();
    left.extend(files.map(|f| f.path().display().to_string()));
    left
}

fn nodes(left: &[String]) -> usize {
    left.iter().filter(|command| command.contains(" store --name ")).count()
}

/// Kills the runner after `delay`, from its start or from when it has nodes. Returns what was there just before,
/// and what is left two seconds later.
fn kill_after(delay: Duration, from_nodes: bool) -> (Vec<String>, Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let (temporary, out) = (home.path().join("tmp"), home.path().join("reports"));
    fs::create_dir_all(&temporary).unwrap();
    let scenario = home.path().join("killed-runner.yaml");
    fs::write(&scenario, SCENARIO).unwrap();
    let mut runner = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["run", "--quiet", "--out"])
        .arg(&out)
        .arg(&scenario)
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while from_nodes && nodes(&left(&temporary)) == 0 {
        assert!(started.elapsed() < PATIENCE, "no nodes: {:?}", left(&temporary));
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(delay);
    let before = left(&temporary);
    runner.kill().unwrap();
    runner.wait().unwrap();
    let killed = Instant::now();
    loop {
        let left = left(&temporary);
        if left.is_empty() || killed.elapsed() > GONE_WITHIN {
            return (before, left);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_runner_that_is_killed_leaves_no_process_port_or_folder() {
    let mut rng = ChaCha8Rng::seed_from_u64(30);
    // Every other one strikes while the load lasts: there is something to leave behind, however slow the
    // machine is. The others strike anything, set-up and teardown too.
    let instants: Vec<(Duration, bool)> = (0..INSTANTS)
        .map(|i| (i % 2 == 0, if i % 2 == 0 { 0..4_500 } else { 50..8_500 }))
        .map(|(from_nodes, ms)| (Duration::from_millis(rng.random_range(ms)), from_nodes))
        .collect();
    let (next, alive) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((delay, from_nodes)) =
                    instants.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let (before, left) = kill_after(*delay, *from_nodes);
                    assert!(
                        left.is_empty(),
                        "killed after {delay:?}, left: {left:#?}; there was before: {before:#?}"
                    );
                    alive.fetch_add(usize::from(nodes(&before) > 0), Ordering::Relaxed);
                }
            });
        }
    });
    let alive = alive.into_inner();
    assert!(alive >= INSTANTS / 2, "only {alive} of {INSTANTS} kills met a drill with nodes");
}
