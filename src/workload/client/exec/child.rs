//! One child process: a question a line in, an answer a line out, and its end.
//!
//! Invariant: it dies with this value, and with it whatever is in its process group. Its environment names the
//! run (`FIREDRILL_RUN`), so that the watchdog finds what a killed runner left.

use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child as Process, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::protocol::{Answer, Question};
use crate::inventory::AddressBook;

/// The longest answer that is read, in bytes.
const LONGEST_LINE: usize = 64 << 20;

/// How long the program may take to start, on a machine that is busy with starting it many times.
const START: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) why: String,
    /// Whether the child may have read the question.
    pub(super) asked: bool,
}

/// Where the nodes are, as the child is told it: in its greeting, and with its next question once it is otherwise.
#[derive(Debug)]
pub(super) struct News {
    pub(super) book: AddressBook,
    /// Of what edition it was told.
    pub(super) told: u64,
}

impl News {
    fn question(&mut self, question: &Question<'_>, id: u64) -> String {
        if self.book.edition() == self.told {
            return question.line(id, None);
        }
        let (edition, endpoints) = self.book.read();
        self.told = edition;
        question.line(id, Some(&endpoints))
    }
}

/// A child process that answers questions, one at a time.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    input: ChildStdin,
    output: FramedRead<ChildStdout, LinesCodec>,
    /// What is still to be said before the next question.
    greeting: String,
    news: News,
    last_id: u64,
    /// Why nothing can be asked any more.
    broken: Option<String>,
}

impl Child {
    /// Starts `command`, which will hear `greeting` before the first question. `Err` names the command.
    pub(super) fn start(
        command: &[String],
        greeting: String,
        news: News,
        run: &str,
        label: &str,
    ) -> Result<Child, String> {
        let [program, arguments @ ..] = command else {
            return Err("the command is empty: give a program and its arguments".to_string());
        };
        if tokio::runtime::Handle::try_current().is_err() {
            return Err("a child process needs the runtime's thread".to_string());
        }
        let mut process = Command::new(program)
            .args(arguments)
            .env("FIREDRILL_RUN", run)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| cannot_start(program, &e))?;
        let (Some(input), Some(output), Some(errors)) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err(format!("`{program}` has no standard input, output or error"));
        };
        tokio::spawn(log(errors, label.to_string()));
        let output = FramedRead::new(output, LinesCodec::new_with_max_length(LONGEST_LINE));
        Ok(Child { process, input, output, greeting, news, last_id: 0, broken: None })
    }

    /// How much longer the next answer may take, since the program may still be starting.
    pub(super) fn starting(&self) -> Duration {
        match self.last_id {
            0 => START,
            _ => Duration::ZERO,
        }
    }

    /// Whether nothing can be asked any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Asks. After a lost answer nothing more can be asked: it might answer the wrong question. The same holds
    /// if the returned future is dropped before its end.
    pub(super) async fn ask(
        &mut self,
        question: &Question<'_>,
        patience: Duration,
    ) -> Result<Answer, Lost> {
        if let Some(why) = &self.broken {
            return Err(Lost { why: why.clone(), asked: false });
        }
        let patience = patience + self.starting();
        self.broken = Some("an earlier question was given up".to_string());
        self.last_id += 1;
        let exchange = self.exchange(question);
        let answer = match tokio::time::timeout_at(Instant::now() + patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {}", humantime::format_duration(patience))),
        };
        self.broken = answer.as_ref().err().cloned();
        answer.map_err(|why| Lost { why, asked: true })
    }

    async fn exchange(&mut self, question: &Question<'_>) -> Result<Answer, String> {
        let mut text = std::mem::take(&mut self.greeting);
        text.push_str(&self.news.question(question, self.last_id));
        if self.input.write_all(text.as_bytes()).await.is_err() {
            return Err(self.end().await);
        }
        match self.output.next().await {
            Some(Ok(line)) => Answer::parse(&line, self.last_id, question),
            Some(Err(e)) => Err(format!("the answer cannot be read: {e}")),
            None => Err(self.end().await),
        }
    }

    /// How the child ended, in words. Leaves it unreaped, so that its process group keeps its number.
    async fn end(&self) -> String {
        for _ in 0..20 {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            let status = self.pid().and_then(|pid| waitid(WaitId::Pid(pid), look).ok().flatten());
            if let Some(status) = status {
                return match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => format!("the client ended with exit code {code}"),
                    (_, Some(signal)) => format!("the client ended by signal {signal}"),
                    _ => "the client ended".to_string(),
                };
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        "the client closed its standard output".to_string()
    }

    fn pid(&self) -> Option<Pid> {
        // `None` once it was reaped; from then on the number may be another's.
        self.process.id().and_then(|id| Pid::from_raw(id.cast_signed()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(group) = self.pid() {
            let _ = kill_process_group(group, Signal::KILL); // all gone already is as good
        }
    }
}

fn cannot_start(program: &str, e: &std::io::Error) -> String {
    let remedy = match e.kind() {
        std::io::ErrorKind::NotFound => "; is it installed, and in PATH or given with its path?",
        std::io::ErrorKind::PermissionDenied => "; is it executable?",
        _ => "",
    };
    format!("cannot start `{program}`: {e}{remedy}")
}

/// What the child says on its standard error goes to the log.
async fn log(errors: ChildStderr, label: String) {
    let mut lines = FramedRead::new(errors, LinesCodec::new_with_max_length(8 << 10));
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => tracing::info!(client = %label, "{line}"),
            Err(e) => tracing::info!(client = %label, "(a line of its log is lost: {e})"),
        }
    }
}
