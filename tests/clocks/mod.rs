//! Programs that tell their clocks, and whoever skews them: only what carries the mark of its test is ever touched.
#![allow(dead_code)] // each test uses its part of it

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use firedrill::agent::within::clock::Skewer;
use rustix::time::{ClockId, clock_gettime};

/// Carried in the environment, and so by children too.
const MARK: &str = "FIREDRILL_CLOCK_TEST";

/// Whether clocks can be skewed here. Says so if not; in CI that is an error.
pub fn can() -> bool {
    let lacks = match (
        cfg!(target_arch = "x86_64"),
        fs::File::options().write(true).open("/proc/self/mem"),
    ) {
        (false, _) => "skipped: clocks can be skewed on x86_64 only".to_string(),
        (true, Err(e)) => format!("skipped: /proc/self/mem cannot be written: {e}"),
        (true, Ok(_)) => return true,
    };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must be able to: {lacks}");
    println!("{lacks}");
    false
}

/// The C program of these tests, linked so. `None`, and a word, where no C compiler is; CI must have one.
pub fn clocks(arguments: &'static [&'static str]) -> Option<PathBuf> {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    // Tests may build it side by side: each writes a file of its own.
    let name = format!("clocks{}{:?}", arguments.join(""), std::thread::current().id());
    let program = folder.path().join(name.replace(['(', ')', '-'], ""));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clocks/clocks.c");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-pthread", "-w"]).args(arguments).arg("-o").arg(&program).arg(source);
    match cc.output() {
        Ok(out) => assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr)),
        Err(e) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have a C compiler: {e}");
            println!("skipped: cc cannot be started: {e}");
            return None;
        }
    }
    Some(program)
}

/// Whether a program is installed; says so if not.
pub fn installed(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// Skews whatever carries this mark.
pub fn skewer(mark: &str) -> Skewer {
    let entry = format!("{MARK}={mark}");
    let whom = move |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|e| e == entry.as_bytes())
    };
    Skewer::new("/proc", whom).unwrap()
}

/// A program that answers each line with one. Killed when this goes.
pub struct Subject {
    pub child: Child,
    lines: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Subject {
    pub fn start(mark: &str, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Subject {
        let mut command = Command::new(program);
        command.args(arguments).env(MARK, mark);
        Subject::of(command)
    }
    pub fn of(mut command: Command) -> Subject {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (lines, answers) = (child.stdin.take(), child.stdout.take().unwrap());
        Subject { child, lines, answers: BufReader::new(answers) }
    }
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn say(&mut self, line: &str) {
        self.lines.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }
    pub fn hear(&mut self) -> String {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "it ended: {:?}", self.child.wait());
        answer.trim_end().to_string()
    }
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }
    /// Ends its input, and reads what it still says.
    pub fn end(mut self) -> Vec<String> {
        self.lines = None;
        let said = self.answers.by_ref().lines().map(Result::unwrap).collect();
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended:?}: {said:?}");
        said
    }
    /// Asks for all clocks: by how many nanoseconds each is off at most and at least, and what else is said.
    pub fn clocks(&mut self, line: &str) -> Clocks {
        let before = truth();
        let answer = self.ask(line);
        let said = answer.split_whitespace().map(|word| word.split_once('=').unwrap());
        let said = said.map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Clocks { before, after: truth(), said }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program said of its clocks, and the true time before and after.
#[derive(Debug)]
pub struct Clocks {
    before: i64,
    after: i64,
    said: HashMap<String, String>,
}

const SECOND: i64 = 1_000_000_000;
/// How far a coarse clock may be behind: a tick, and more where the machine is late with its ticks.
const TICK: i64 = SECOND / 2;

impl Clocks {
    pub fn number(&self, name: &str) -> i64 {
        self.said[name].parse().unwrap()
    }
    /// Whether every reading of the wall clock is off by this, and nothing else is.
    pub fn are_off_by(&self, offset: i64) -> Result<(), String> {
        let (low, high) = (self.before + offset, self.after + offset);
        let floor = |n: i64| n.div_euclid(SECOND) * SECOND;
        let tai = self.number("tai") - self.number("realtime");
        let tai = if tai > SECOND { (tai / SECOND) * SECOND } else { 0 };
        let monotonic = self.number("true_monotonic"); // read just before
        let bounds = [
            ("realtime", self.number("true_before") + offset, self.number("true_after") + offset),
            ("coarse", low - TICK, high),
            ("tai", low + tai, high + tai + TICK),
            ("gettimeofday", low - 1000, high),
            ("no_zone", low - 1000, high),
            ("time", floor(low - TICK), high),
            ("stored", floor(low - TICK), high),
            ("unstored", floor(low - TICK), high),
            ("monotonic", monotonic, monotonic + 10 * SECOND),
        ];
        for (name, low, high) in bounds {
            let said = self.number(name);
            if said < low || said > high {
                let off = said - self.before;
                return Err(format!("{name} is off by {off} ns, not by {offset}: {self:?}"));
            }
        }
        Ok(())
    }
    /// How exactly the program itself knew the true time: by a system call before its reading, and one after.
    pub fn width(&self) -> i64 {
        self.number("true_after") - self.number("true_before")
    }
    /// What has nothing to do with the offset.
    pub fn assert_manners(&self) {
        assert_eq!(self.said["codes"], "0,0,0,0,-1", "{self:?}");
        assert_eq!(
            (self.said["untouched"].as_str(), self.said["zone"].as_str()),
            ("1", "1"),
            "{self:?}"
        );
        assert!(
            self.number("cpu") < 60 * SECOND && self.number("boottime") >= self.number("monotonic")
        );
    }
}

/// The true wall clock. This process is never skewed.
pub fn truth() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * SECOND + now.tv_nsec
}

/// The bytes of a process's vDSO.
pub fn vdso(pid: u32) -> Vec<u8> {
    let range = mapped(pid);
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
    memory(pid).read_exact_at(&mut bytes, range.start).unwrap();
    bytes
}

/// Changes a byte of a process's vDSO.
pub fn write_vdso(pid: u32, at: usize, byte: u8) {
    memory(pid).write_all_at(&[byte], mapped(pid).start + at as u64).unwrap();
}

fn mapped(pid: u32) -> std::ops::Range<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
    start..end
}

fn memory(pid: u32) -> fs::File {
    fs::File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).unwrap()
}
