//! Hand-written histories with known verdicts, and small random ones against trying every arbitration.

mod kept;
mod named;
mod oracle;
mod random;
mod unknown;

use crate::history::{Call, Operation, Outcome as End, Process, Reply, Stage, Time};

/// How many random histories are tried.
fn cases(default: u32) -> u32 {
    std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// One after the other, each of an instant.
fn history(all: Vec<(Process, Call, End)>) -> Vec<Operation> {
    let timed = |(at, (process, call, outcome)): (usize, (Process, Call, End))| Operation {
        id: at as u64,
        process,
        node: None,
        intended: Time(at as u64 * 10),
        invoked: Time(at as u64 * 10),
        returned: (!matches!(outcome, End::Unknown(_))).then_some(Time(at as u64 * 10 + 5)),
        stage: Stage::Load,
        call,
        outcome,
    };
    all.into_iter().enumerate().map(timed).collect()
}

fn unknown() -> End {
    End::Unknown("".into())
}

/// `1 w x 7; 2 r x 7; 2 r y -`: process, what, key and value. `w?`, `w!`: of unknown outcome, failed. `c x 7 8`: a
/// compare-and-set that swapped, `c?`: of unknown outcome.
fn parse(text: &str) -> Vec<Operation> {
    let one = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let key = u32::from(words[2].as_bytes()[0] - b'x');
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        let (call, outcome) = match words[1] {
            "r" => (Call::Read { key }, End::Ok(Reply::Value(words[3].parse().ok()))),
            "w" => (Call::Write { key, value: number(3) }, End::Ok(Reply::Done)),
            "w?" => (Call::Write { key, value: number(3) }, unknown()),
            "w!" => (Call::Write { key, value: number(3) }, End::Fail("".into())),
            "c" => {
                (Call::Cas { key, from: number(3), to: number(4) }, End::Ok(Reply::Swapped(true)))
            }
            "c?" => (Call::Cas { key, from: number(3), to: number(4) }, unknown()),
            other => panic!("{other}"),
        };
        (words[0].parse().unwrap(), call, outcome)
    };
    history(text.split(';').map(one).collect())
}
