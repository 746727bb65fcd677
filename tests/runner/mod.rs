//! The real binary in a home of its own: started, watched, struck by signals, and searched for what it left.
#![allow(dead_code)] // each test file uses its part of it

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes on a machine that does a lot else.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Three nodes, a killed one for a second, three seconds of load: about 6 s from start to end.
pub const SHORT: &str = r#"
name: short
target: {local: {zones: {dc1: 1, dc2: 1, dc3: 1}}}
workload: {client: store, model: register, workers: 10, rate: 50/s, keys: 5, timeout: 500ms}
steady_state: {window: 900ms, success: 20%, rate: 10%}
faults:
  - {at: 1s, for: 1s, inject: {kill: {nodes: one}}}
checks: [linearizable, {lost-writes: {max: 0}}]
duration: 3s
"#;

/// `SHORT` with these faults in place of its own.
pub fn with_faults(faults: &str) -> String {
    SHORT.replace("  - {at: 1s, for: 1s, inject: {kill: {nodes: one}}}\n", faults)
}

/// A folder that a test has for itself: firedrill works in it, and has its temporary files in it.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
}

/// What a firedrill that ended said.
#[derive(Debug)]
pub struct Ran {
    /// `None`: ended by a signal.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A firedrill that goes.
#[derive(Debug)]
pub struct Going {
    pub child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Home {
    pub fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Home { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// firedrill with these arguments, separated by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.env("TMPDIR", self.path("tmp")).stdin(Stdio::null());
        for name in ["CI", "GITHUB_ACTIONS", "FIREDRILL_LOG", "RUST_LOG", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &str) -> Ran {
        self.start(arguments).end()
    }

    /// Runs it until the clients got enough work done to say anything: a busy machine may keep them from it,
    /// which is inconclusive and proves nothing. Only the runs of the last attempt stay.
    pub fn at_work(&self, arguments: &str) -> Ran {
        self.at_work_by(|| self.command(arguments))
    }

    /// The same, by a command of the test's own.
    pub fn at_work_by(&self, command: impl Fn() -> Command) -> Ran {
        const ATTEMPTS: usize = 5;
        for _ in 1..ATTEMPTS {
            let ran = self.start_command(command()).end();
            let idle = ["not enough work", "the steady state did not hold"];
            if ran.code != Some(3) || !idle.iter().any(|words| ran.out.contains(words)) {
                return ran;
            }
            println!("again: {}", ran.out);
            fs::remove_dir_all(self.path("reports")).unwrap();
        }
        self.start_command(command()).end()
    }

    /// Starts it.
    pub fn start(&self, arguments: &str) -> Going {
        self.start_command(self.command(arguments))
    }

    pub fn start_command(&self, mut command: Command) -> Going {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (out, err) = (self.path(&format!("out-{count}")), self.path(&format!("err-{count}")));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Going { child: command.spawn().unwrap(), out, err }
    }

    /// The folders of the runs in `reports`.
    pub fn runs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("reports")).into_iter().flatten().flatten();
        let mut runs: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
        runs.sort();
        runs
    }

    /// The only run.
    pub fn the_run(&self) -> PathBuf {
        match &self.runs()[..] {
            [run] => run.clone(),
            other => panic!("not one run: {other:?}"),
        }
    }

    /// Every process that has this home's TMPDIR, whoever adopted it: its PID and its command line.
    pub fn processes(&self) -> Vec<(Pid, String)> {
        let mark = format!("TMPDIR={}", self.path("tmp").display());
        let mut found = vec![];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            let carries = environment.split(|b| *b == 0).any(|e| e == mark.as_bytes());
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let dead = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
            if carries && !dead {
                let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let pid = entry.file_name().to_string_lossy().parse().unwrap();
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                found.push((Pid::from_raw(pid).unwrap(), command));
            }
        }
        found
    }

    /// The process whose command line has this in it.
    pub fn process(&self, words: &str) -> Pid {
        let mut all = self.processes();
        all.retain(|(_, command)| command.contains(words));
        match &all[..] {
            [(pid, _)] => *pid,
            other => panic!("not one process `{words}`: {other:?}"),
        }
    }

    /// Processes and temporary files.
    pub fn left(&self) -> Vec<String> {
        let processes = self.processes();
        let mut left: Vec<String> =
            processes.iter().map(|(pid, c)| format!("{} {c}", pid.as_raw_nonzero())).collect();
        let files = fs::read_dir(self.path("tmp")).unwrap().flatten();
        left.extend(files.map(|f| f.path().display().to_string()));
        left
    }

    pub fn assert_nothing_left(&self) {
        eventually("nothing is left", || match &self.left()[..] {
            [] => Ok(()),
            left => Err(format!("{left:#?}")),
        });
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A test that failed in the middle: these are its own.
        for (pid, _) in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Going {
    /// What it has said so far, on standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Waits until it says this.
    pub fn wait_for(&mut self, words: &str) -> &mut Going {
        let began = Instant::now();
        while !self.said().contains(words) {
            let ended = self.child.try_wait().unwrap();
            let late = began.elapsed() > PATIENCE;
            assert!(ended.is_none() && !late, "no `{words}`, {ended:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    pub fn signal(&mut self, signal: Signal) -> &mut Going {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
        self
    }

    fn status(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > 2 * PATIENCE {
                let _ = self.child.kill();
                panic!("does not end: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ran {
        let code = self.status().code();
        Ran { code, out: fs::read_to_string(&self.out).unwrap(), err: self.said() }
    }
}

impl Ran {
    /// Ended with this code, and said all of this, on either side, wherever its lines were broken.
    pub fn expect(self, code: i32, words: &[&str]) -> Ran {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = [&self.out, &self.err].map(|text| (one_line(text), text.clone()));
        let is_said = |w: &str| said.iter().any(|(one, all)| one.contains(w) || all.contains(w));
        let missing: Vec<&&str> = words.iter().filter(|w| !is_said(w)).collect();
        let well = self.code == Some(code) && missing.is_empty();
        let Ran { code: got, out, err } = &self;
        assert!(well, "code {got:?}, wanted {code}; not said: {missing:?}\n{out}\n---\n{err}");
        assert!(!err.contains("panicked") && !err.contains("stack backtrace"), "{err}");
        self
    }
}

/// Within [`PATIENCE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(why) = holds() {
        assert!(began.elapsed() < PATIENCE, "not so: {what}: {why}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The file is there.
pub fn exists(path: &Path) -> Result<(), String> {
    match path.exists() {
        true => Ok(()),
        false => Err(format!("{} is missing", path.display())),
    }
}
