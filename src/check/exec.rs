//! A program of the user's own judges the record: it reads the history's lines on its standard
//! input and answers one JSON object on its standard output. The only check that touches the world.
//!
//! Whatever goes wrong with it (it cannot start, ends with an error, answers nonsense, takes too
//! long) is inconclusive, with the end of what it said on standard error. It runs in a process
//! group of its own, which is killed at the time-out and waited for, so that nothing of it is left.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::Deserialize;

use super::{Check, Finding, Verdict, spec};
use crate::history::{Record, file};

/// See the module.
#[derive(Debug)]
pub struct Exec(pub spec::Exec);

/// More than this of an answer is not read.
const LONGEST: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    verdict: Verdict,
    summary: String,
    #[serde(default)]
    evidence: Vec<String>,
    #[serde(default)]
    figures: std::collections::BTreeMap<String, f64>,
}

impl Check for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn check(&self, record: &Record) -> Finding {
        match self.run(record) {
            Ok(answer) => Finding {
                explanations: vec![],
                verdict: answer.verdict,
                summary: answer.summary,
                evidence: answer.evidence,
                figures: answer.figures,
            },
            Err((why, stderr)) => {
                let program = self.0.command.first().map_or("", String::as_str);
                let tail: Vec<_> = stderr.lines().rev().take(10).map(String::from).collect();
                Finding::inconclusive(format!("check program `{program}`: {why}"))
                    .with_evidence(tail.into_iter().rev().map(|l| format!("stderr: {l}")))
            }
        }
    }
}

impl Exec {
    fn run(&self, record: &Record) -> Result<Answer, (String, String)> {
        let plain = |why: String| (why, String::new());
        let Some((program, arguments)) = self.0.command.split_first() else {
            return Err(plain("no command was given".into()));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| plain(format!("cannot be started: {e}")))?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        let stdin = child.stdin.take();
        let deadline = Instant::now() + self.0.timeout.0;
        let status = std::thread::scope(|scope| {
            scope.spawn(move || {
                // A program that does not read to the end closes its side: that is its right.
                if let Some(mut stdin) = stdin {
                    let _ = file::write_lines(record, &mut stdin).and_then(|()| stdin.flush());
                }
            });
            wait(&mut child, deadline)
        });
        let output = |r: Option<Receiver<String>>| {
            r.and_then(|r| r.recv_timeout(Duration::from_secs(2)).ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (output(stdout), output(stderr));
        match status {
            Ok(None) => Err((format!("no answer within {}, killed", self.0.timeout), stderr)),
            Err(e) => Err((format!("cannot be waited for: {e}"), stderr)),
            Ok(Some(status)) if !status.success() => Err((format!("ended with {status}"), stderr)),
            Ok(Some(_)) => serde_json::from_str(stdout.trim())
                .map_err(|e| (format!("its answer is not a verdict: {e}"), stderr)),
        }
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = vec![];
        let _ = pipe.by_ref().take(LONGEST).read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    });
    receiver
}

/// Its end, or `None` when the deadline comes first. Whatever is left of its group is killed before
/// the child is reaped, while its number cannot yet belong to anybody else.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    let ended = loop {
        if has_ended(child)? {
            break true;
        }
        if Instant::now() >= deadline {
            break false;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if let Some(group) = pid(child) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait().map(|status| ended.then_some(status))
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Whether it has ended; leaves it to be reaped.
fn has_ended(child: &Child) -> std::io::Result<bool> {
    let Some(pid) = pid(child) else { return Ok(true) };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}
