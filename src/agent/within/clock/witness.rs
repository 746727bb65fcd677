//! A process that says what time it believes it is: what proves a skew, seen from inside.
//!
//! Invariant: the claim is compared with the true clock before and after, so what is measured has a width.
//! Deliberately absent: the skew itself. Whoever asks must not be skewed.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A witness that runs. It ends with this value.
#[derive(Debug)]
pub struct Witness {
    child: Child,
    asked: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// How far a process's clocks are off, and how exactly that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The wall clock's offset in nanoseconds.
    pub wall: i64,
    /// The monotonic clock's offset in nanoseconds: about none, always.
    pub monotonic: i64,
    /// The time that asking took: neither is further from the truth than half of it.
    pub width: Duration,
}

impl Witness {
    /// Starts one. The command must come to [`testify`].
    pub fn start(mut command: Command) -> io::Result<Witness> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asked = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Witness { child, asked, answers: BufReader::new(answers) })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it for the time.
    pub fn measure(&mut self) -> io::Result<Measured> {
        let asked = self.asked.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let now = |clock| nanoseconds(clock_gettime(clock));
        let before = (now(ClockId::Realtime), now(ClockId::Monotonic));
        asked.write_all(b"\n")?;
        let mut line = String::new();
        // A harness that the witness runs in may have lines of its own.
        while !line.starts_with(WALL) {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the witness is gone"));
            }
        }
        let after = (now(ClockId::Realtime), now(ClockId::Monotonic));
        let odd = || io::Error::other(format!("the witness says `{}`", line.trim_end()));
        let wall = said(&line, WALL).ok_or_else(odd)?;
        let monotonic = said(&line, MONOTONIC).ok_or_else(odd)?;
        let middle = |a: i64, b: i64| a + (b - a) / 2;
        Ok(Measured {
            wall: wall - middle(before.0, after.0),
            monotonic: monotonic - middle(before.1, after.1),
            width: Duration::from_nanos((after.1 - before.1).unsigned_abs()),
        })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.asked = None;
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

const WALL: &str = "wall=";
const MONOTONIC: &str = "monotonic=";

/// What a witness does: for each line of its input it says its clocks, in seconds and nanoseconds as it reads them,
/// until the input ends.
pub fn testify(questions: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    for question in questions.lines() {
        question?;
        let (wall, monotonic) =
            (clock_gettime(ClockId::Realtime), clock_gettime(ClockId::Monotonic));
        let text = |time: Timespec| format!("{}.{:09}", time.tv_sec, time.tv_nsec);
        writeln!(answers, "{WALL}{} {MONOTONIC}{}", text(wall), text(monotonic))?;
        answers.flush()?;
    }
    Ok(())
}

/// A clock in an answer, in nanoseconds. `None`: there is none, or its nanoseconds are a second or more.
fn said(line: &str, name: &str) -> Option<i64> {
    let value = line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name))?;
    let (seconds, rest) = value.split_once('.')?;
    let rest = (rest.len() == 9).then(|| rest.parse::<u32>().ok())??;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(i64::from(rest))
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_and_normalised_answers_are_taken() {
        assert_eq!(said("wall=12.000000034 monotonic=5.999999999", WALL), Some(12_000_000_034));
        assert_eq!(said("wall=12.000000034 monotonic=5.999999999", MONOTONIC), Some(5_999_999_999));
        assert_eq!(said("wall=12.1000000000 monotonic=5.0", WALL), None);
        assert_eq!(said("wall=12.-00000001", WALL), None);
        assert_eq!(said("wall=12", WALL), None);
        assert_eq!(said("", WALL), None);
    }

    #[test]
    fn a_witness_answers_every_line_until_the_last() {
        let mut answers = vec![];
        testify(&b"\n\n"[..], &mut answers).unwrap();
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!(answers.lines().count(), 2);
        assert!(
            answers
                .lines()
                .all(|line| said(line, WALL).is_some() && said(line, MONOTONIC).is_some())
        );
    }
}
