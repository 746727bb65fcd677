//! Hand-written histories in which one thing is wrong, and random ones against the definitions as they stand.

mod known;
mod named;
mod oracle;
mod random;
mod readers;

use super::read::{Format, read};
use super::{Anomaly, Messages, Report, check};

fn cases(default: u32) -> u32 {
    std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn messages(text: &str) -> Messages {
    read(text.as_bytes(), Some(Format::Jepsen)).unwrap()
}

/// An operation as Jepsen writes it, from its invocation to its end: `0 s x 7 3` sends 7 to x, at offset 3 (`-`:
/// unknown); `0 p x 3:7 4:8 y 0:1` polls; `0 t` does both: `0 t s x 7 3 p y 0:1`. `a`, `u` and `z` assign, subscribe,
/// and assign from the beginning; `c` crashes. `!` behind it: it fails; `?`: nobody knows; `r`: its logs changed hands.
fn events(line: &str) -> [String; 2] {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (process, what) = (words[0], words[1]);
    let end = if what.contains('!') {
        "fail"
    } else if what.contains('?') {
        "info"
    } else {
        "ok"
    };
    let f = match what.as_bytes()[0] {
        b's' => "send",
        b'p' => "poll",
        b't' => "txn",
        b'a' | b'z' => "assign",
        b'u' => "subscribe",
        _ => "crash",
    };
    let more = if what.contains('z') { " :seek-to-beginning? true" } else { "" };
    let (begun, ended) = match f {
        "send" => steps(&[&["s"], &words[2..]].concat()),
        "poll" => steps(&[&["p"], &words[2..]].concat()),
        "txn" => steps(&words[2..]),
        "crash" => ("nil".into(), "nil".into()),
        _ => (format!("[{}]", words[2..].join(" ")), format!("[{}]", words[2..].join(" "))),
    };
    let keys = words[2..].iter().filter(|w| !w.contains(':') && w.parse::<i64>().is_err());
    let keys: Vec<&str> = keys.copied().collect();
    let log = if what.contains('r') && f == "poll" {
        format!(" :rebalance-log [{{:keys [{}]}}]", keys.join(" "))
    } else {
        String::new()
    };
    [("invoke", begun, more), (end, ended, log.as_str())].map(|(kind, value, more)| {
        format!("{{:type :{kind} :f :{f} :process {process} :value {value}{more}}}\n")
    })
}

fn steps(words: &[&str]) -> (String, String) {
    let (mut begun, mut ended, mut at) = (String::new(), String::new(), 0);
    while at < words.len() {
        if words[at] == "s" {
            let [key, value] = [words[at + 1], words[at + 2]];
            let offset = words.get(at + 3).filter(|w| w.parse::<u64>().is_ok() || **w == "-");
            begun += &format!("[:send {key} {value}] ");
            let known = offset.copied().unwrap_or("-").replace('-', "nil");
            ended += &format!("[:send {key} [{known} {value}]] ");
            at += 3 + usize::from(offset.is_some());
            continue;
        }
        begun += "[:poll] ";
        ended += "[:poll {";
        at += 1;
        while at < words.len() && words[at] != "s" && words[at] != "p" {
            let (key, from) = (words[at], at + 1);
            let to = (from..words.len()).find(|i| !words[*i].contains(':')).unwrap_or(words.len());
            let pairs = words[from..to].iter().map(|w| format!("[{}]", w.replace(':', " ")));
            ended += &format!("{key} [{}] ", pairs.collect::<Vec<_>>().join(" "));
            at = to;
        }
        ended += "}] ";
    }
    (format!("[{begun}]"), format!("[{ended}]"))
}

/// A history of these operations, one after the other.
fn text(lines: &str) -> String {
    lines.split(';').flat_map(events).collect()
}

/// What is found, with how often; `excused` apart.
fn found(report: &Report) -> Vec<(Anomaly, bool, usize)> {
    report.found.iter().map(|found| (found.anomaly, found.excused, found.count)).collect()
}

fn judged(lines: &str) -> Report {
    check(&messages(&text(lines)))
}
