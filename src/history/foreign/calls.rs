//! Histories of queues as a line for each call and each return, as several tools for concurrent data structures write
//! them: `[2] call enq(7)`, `[2] return`, `[3] call deq`, `[3] return 7`; `return empty` where there was nothing to
//! take. What has an argument puts, what has none takes, whatever it is called; but what `# @object` calls something
//! else than a queue is none. Real time is the order of lines, a millisecond each. `#` begins a comment.

use std::collections::HashMap;
use std::io::BufRead;

use super::{Foreign, Wrong, begun};
use crate::history::{Call, Operation, Outcome, Process, Reply, Time};

/// Reads them. Values that are no numbers are numbered from below.
pub fn read(text: impl BufRead) -> Result<Foreign, Wrong> {
    let (mut operations, mut open): (Vec<Operation>, HashMap<Process, usize>) = Default::default();
    let mut names: HashMap<String, i64> = HashMap::new();
    let mut value = |text: &str| {
        text.parse().unwrap_or_else(|_| {
            let next = i64::MIN + names.len() as i64;
            *names.entry(text.to_string()).or_insert(next)
        })
    };
    for (at, line) in text.lines().enumerate() {
        let wrong = |why: String| Wrong { line: at + 1, why };
        let line = line.map_err(|e| wrong(e.to_string()))?;
        let line = line.trim();
        if let Some(object) = line.strip_prefix("# @object").map(str::trim)
            && !object.ends_with("queue")
        {
            return Err(wrong(format!("a history of `{object}`, which is no queue")));
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let parts = parts.and_then(|(who, rest)| Some((who.trim().parse().ok()?, rest.trim())));
        let expected = || wrong("expected `[NUMBER] call NAME` or `[NUMBER] return`".into());
        let (process, rest): (Process, &str) = parts.ok_or_else(expected)?;
        let now = Time(at as u64 * 1_000_000);
        if let Some(call) = rest.strip_prefix("call ") {
            let call = match argument(call) {
                Some(argument) => Call::Enqueue { key: 0, element: value(argument) },
                None => Call::Dequeue { key: 0 },
            };
            if open.insert(process, operations.len()).is_some() {
                return Err(wrong(format!("{process} calls before its last call has returned")));
            }
            let open = Outcome::Unknown("it never returned".into());
            operations.push(begun(operations.len(), process, now, call, open));
        } else if let Some(found) = rest.strip_prefix("return") {
            let begun = open.remove(&process).and_then(|begun| operations.get_mut(begun));
            let none = || wrong(format!("{process} returns from what it never called"));
            let operation = begun.ok_or_else(none)?;
            operation.returned = Some(now);
            operation.outcome = Outcome::Ok(match (&operation.call, found.trim()) {
                (Call::Dequeue { .. }, "" | "e" | "empty") => Reply::Value(None),
                (Call::Dequeue { .. }, found) => Reply::Value(Some(value(found))),
                _ => Reply::Done,
            });
        } else {
            return Err(expected());
        }
    }
    Ok(Foreign { operations, ..Foreign::default() })
}

/// What stands in brackets, or behind the name.
fn argument(call: &str) -> Option<&str> {
    let bracketed = call.split_once('(').map(|(_, rest)| rest.trim_end().trim_end_matches(')'));
    let argument = bracketed.or_else(|| call.split_once(' ').map(|(_, rest)| rest)).map(str::trim);
    argument.filter(|argument| !argument.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let wrong = read(text.as_bytes()).unwrap_err();
        format!("{}: {}", wrong.line, wrong.why)
    }

    #[test]
    fn what_is_called_something_else_is_no_queue() {
        let text = "\n# @object atomic-stack\n[1] call push(1)\n[1] return\n";
        assert_eq!(told(text), "2: a history of `atomic-stack`, which is no queue");
    }

    #[test]
    fn calls_are_paired_with_their_returns() {
        let text = "# @object atomic-queue\n[1] call enq(c)\n[2] call deq\n  [1] return\n[2] return c\n[3] call deq()\n[3] \
                    return empty\n[4] call push 7\n";
        let read = read(text.as_bytes()).unwrap().operations;
        let Call::Enqueue { element, .. } = read[0].call else { panic!("{read:?}") };
        assert_eq!(read[1].outcome, Outcome::Ok(Reply::Value(Some(element))));
        assert!(read[1].invoked > read[0].invoked && read[0].returned > Some(read[1].invoked));
        assert_eq!(read[2].outcome, Outcome::Ok(Reply::Value(None)));
        assert_eq!(read[3].call, Call::Enqueue { key: 0, element: 7 });
        assert!(read[3].returned.is_none());
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        assert!(told("\nonce").starts_with("2: expected"));
        assert_eq!(
            told("[1] call deq\n[1] call deq"),
            "2: 1 calls before its last call has returned"
        );
        assert_eq!(told("[1] return"), "1: 1 returns from what it never called");
    }
}
