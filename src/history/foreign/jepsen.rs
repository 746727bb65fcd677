//! Jepsen's histories, in EDN or as JSON of the same shape: one vector of operations, or one operation after the
//! other. `:invoke` begins one, `:ok`, `:fail` or `:info` of the same process ends it. An `:info` is an unknown
//! outcome, as is an operation that nothing ends.
//!
//! Real time is the order of writing, as in Jepsen itself: an event's time here is its place, a millisecond each.
//! Where reads answer pairs, or tuples of `jepsen.independent`, the first of each is the key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::edn::{Edn, Reader};
use super::{Foreign, Wrong, begun, goes_on};
use crate::history::{Call, Key, Operation, Outcome, Process, Reply, Time};

/// An event as it is written.
struct Event<'a> {
    line: usize,
    process: Process,
    kind: Kind,
    f: &'a str,
    /// Its place, and when it was, as the text has them.
    index: Option<i64>,
    time: Option<i64>,
    value: Edn<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// Reads a history. Whoever is no client (`:nemesis`) is left out.
pub fn read(text: &str) -> Result<Foreign, Wrong> {
    let events = events(text)?;
    let keyed = is_keyed(&events);
    let mut names = Names { keyed, ..Names::default() };
    let mut operations: Vec<Operation> = Vec::with_capacity(events.len() / 2 + 1);
    let mut open: HashMap<Process, (usize, &Event)> = HashMap::new();
    let mut last = None;
    for (at, event) in events.iter().enumerate() {
        let wrong = |why: String| Wrong { line: event.line, why };
        let (process, now) = (event.process, Time(at as u64 * 1_000_000));
        in_order(&mut last, event.index).map_err(wrong)?;
        if event.kind == Kind::Invoke {
            if let Some((_, begun)) = open.insert(process, (operations.len(), event)) {
                let line = begun.line;
                return Err(wrong(format!(
                    "process {process} invokes before its operation of line {line} has ended"
                )));
            }
            let call = names.call(event.f, &event.value).map_err(wrong)?;
            let open = Outcome::Unknown(names.open.clone());
            operations.push(begun(operations.len(), process, now, call, open));
            continue;
        }
        let Some((begun, call)) = open.remove(&process) else {
            return Err(wrong(format!(
                "process {process} ends an operation that it never invoked"
            )));
        };
        goes_on(call.time, event.time).map_err(wrong)?;
        let Some(operation) = operations.get_mut(begun) else { continue };
        operation.outcome = match event.kind {
            Kind::Ok => {
                let (call, reply) = names.reply(&operation.call, &event.value).map_err(wrong)?;
                operation.call = call.unwrap_or_else(|| operation.call.clone());
                Outcome::Ok(reply)
            }
            Kind::Fail => Outcome::Fail(names.failed.clone()),
            Kind::Info | Kind::Invoke => Outcome::Unknown(names.open.clone()),
        };
        operation.returned = (event.kind != Kind::Info).then_some(now);
    }
    Ok(Foreign { operations, keys: names.keys.names })
}

/// That events stand in the order of their places.
fn in_order(last: &mut Option<i64>, index: Option<i64>) -> Result<(), String> {
    let Some(now) = index else { return Ok(()) };
    match last.replace(now) {
        Some(before) if now <= before => {
            Err(format!("index {now} after {before}: the events are not in their order"))
        }
        _ => Ok(()),
    }
}

fn events(text: &str) -> Result<Vec<Event<'_>>, Wrong> {
    let mut reader = Reader::new(text);
    reader.enter();
    let (mut all, mut seen, mut line) = (vec![], 0, 1);
    loop {
        let begin = reader.place();
        let Some(value) = reader.value()? else { break };
        // Counted on from the last one: a history has many lines.
        let between = text.as_bytes().get(seen..begin).unwrap_or_default();
        line += between.iter().filter(|byte| **byte == b'\n').count();
        seen = begin;
        all.extend(event(value, line)?);
    }
    reader.end()?;
    Ok(all)
}

/// `None`: it is nobody's who counts.
fn event(value: Edn<'_>, line: usize) -> Result<Option<Event<'_>>, Wrong> {
    let wrong = |why: &str| Err(Wrong { line, why: why.to_string() });
    let kind = match value.get("type").and_then(Edn::word) {
        Some("invoke") => Kind::Invoke,
        Some("ok") => Kind::Ok,
        Some("fail") => Kind::Fail,
        Some("info") => Kind::Info,
        _ => return wrong("no operation: expected a map with :type :invoke, :ok, :fail or :info"),
    };
    let process = match value.get("process") {
        Some(Edn::Int(n)) => Process::try_from(*n),
        Some(_) => return Ok(None),
        None => return wrong("an operation without :process"),
    };
    let Ok(process) = process else { return wrong("a :process that is no number from 0 on") };
    let f = value.get("f").and_then(Edn::word).unwrap_or_default();
    let [index, time] = ["index", "time"].map(|field| value.get(field).and_then(Edn::int));
    let value = match value {
        Edn::Map(entries) => {
            let own = entries.into_iter().find(|(key, _)| key.word() == Some("value"));
            own.map_or(Edn::Nil, |(_, value)| value)
        }
        _ => Edn::Nil,
    };
    Ok(Some(Event { line, process, kind, f, index, time, value }))
}

/// Whether values are pairs of a key and a value: a read answers one, or a write sets one.
fn is_keyed(events: &[Event]) -> bool {
    let mut single = events.iter().filter(|event| matches!(event.f, "read" | "write" | "r" | "w"));
    single.any(|event| event.value.seq().is_some_and(|pair| pair.len() == 2))
}

/// Numbers for what is written otherwise.
#[derive(Debug, Default)]
struct Numbers {
    known: HashMap<String, usize>,
    names: Vec<String>,
}

impl Numbers {
    fn of(&mut self, name: String) -> usize {
        if let Some(number) = self.known.get(&name) {
            return *number;
        }
        let number = self.names.len();
        self.names.push(name.clone());
        self.known.insert(name, number);
        number
    }
}

#[derive(Debug)]
struct Names {
    keyed: bool,
    keys: Numbers,
    values: Numbers,
    open: Arc<str>,
    failed: Arc<str>,
}

impl Default for Names {
    fn default() -> Names {
        let (open, failed) = ("its outcome is unknown".into(), "it failed".into());
        let (keys, values) = (Numbers::default(), Numbers::default());
        Names { keyed: false, keys, values, open, failed }
    }
}

impl Names {
    fn key(&mut self, key: &Edn) -> Key {
        Key::try_from(self.keys.of(written(key))).unwrap_or(Key::MAX)
    }

    /// Accounts are called by the numbers that they are.
    fn account(&mut self, account: &Edn) -> Key {
        let number = match account {
            Edn::Int(number) => Key::try_from(*number).ok(),
            Edn::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.unwrap_or_else(|| self.key(account))
    }

    /// Values that are no numbers are numbered from below, where no history has any.
    fn value(&mut self, value: &Edn) -> i64 {
        value.int().unwrap_or_else(|| {
            i64::MIN.saturating_add(i64::try_from(self.values.of(written(value))).unwrap_or(0))
        })
    }

    /// The key, and what stands beside it.
    fn split<'e, 'a>(&mut self, value: &'e Edn<'a>) -> Result<(Key, &'e Edn<'a>), String> {
        if !self.keyed {
            return Ok((self.key(&Edn::Nil), value));
        }
        match value.seq() {
            Some([key, own]) => Ok((self.key(key), own)),
            _ => Err("expected a pair of a key and a value".into()),
        }
    }

    fn call(&mut self, f: &str, value: &Edn) -> Result<Call, String> {
        Ok(match f {
            "read" | "r" => Call::Read { key: self.split(value)?.0 },
            "write" | "w" => {
                let (key, own) = self.split(value)?;
                Call::Write { key, value: self.value(own) }
            }
            "cas" => {
                let (key, own) = self.split(value)?;
                let Some([from, to]) = own.seq() else {
                    return Err("expected [from to] as the value of a :cas".into());
                };
                Call::Cas { key, from: self.value(from), to: self.value(to) }
            }
            // A lock is a register: 1 while somebody holds it.
            "acquire" => Call::Cas { key: self.key(&Edn::Nil), from: 0, to: 1 },
            "release" => Call::Cas { key: self.key(&Edn::Nil), from: 1, to: 0 },
            "enqueue" => Call::Enqueue { key: self.key(&Edn::Nil), element: self.value(value) },
            "dequeue" => Call::Dequeue { key: self.key(&Edn::Nil) },
            "transfer" => {
                let (from, to) = (value.get("from"), value.get("to"));
                let amount = value.get("amount").and_then(Edn::int);
                let (Some(from), Some(to), Some(amount)) = (from, to, amount) else {
                    return Err("expected {:from :to :amount} as the value of a :transfer".into());
                };
                Call::Transfer { from: self.account(from), to: self.account(to), amount }
            }
            other => {
                return Err(format!(
                    "unknown :f :{other}; known: read, write, cas, acquire, release, \
                     enqueue, dequeue, transfer"
                ));
            }
        })
    }

    /// A bank's, by account.
    fn balances(&mut self, value: &Edn) -> Result<BTreeMap<Key, i64>, String> {
        let Edn::Map(entries) = value else { return Ok(BTreeMap::new()) };
        let own = entries.iter().map(|(account, balance)| {
            let balance = balance.int().ok_or("a balance that is no whole number")?;
            Ok((self.account(account), balance))
        });
        own.collect()
    }

    /// What was answered; and the call, where only the answer says what was asked.
    fn reply(&mut self, call: &Call, value: &Edn) -> Result<(Option<Call>, Reply), String> {
        Ok(match call {
            Call::Read { .. } if !self.keyed && matches!(value, Edn::Map(_)) => {
                (Some(Call::Balances), Reply::Balances(self.balances(value)?))
            }
            Call::Read { .. } => {
                let (key, own) = self.split(value)?;
                let found = (*own != Edn::Nil).then(|| self.value(own));
                (Some(Call::Read { key }), Reply::Value(found))
            }
            Call::Cas { .. } => (None, Reply::Swapped(true)),
            Call::Dequeue { .. } => {
                let found = (*value != Edn::Nil).then(|| self.value(value));
                (None, Reply::Value(found))
            }
            _ => (None, Reply::Done),
        })
    }
}

/// A value as people write it.
fn written(value: &Edn) -> String {
    match value {
        Edn::Nil => "nil".into(),
        Edn::Bool(is) => is.to_string(),
        Edn::Int(n) => n.to_string(),
        Edn::Other(text) => (*text).into(),
        Edn::Keyword(name) => format!(":{name}"),
        Edn::Text(text) => format!("\"{text}\""),
        Edn::Seq(all) => {
            format!("[{}]", all.iter().map(written).collect::<Vec<_>>().join(" "))
        }
        Edn::Map(all) => {
            let all = all.iter().map(|(key, value)| format!("{} {}", written(key), written(value)));
            format!("{{{}}}", all.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let wrong = read(text).unwrap_err();
        format!("{}: {}", wrong.line, wrong.why)
    }

    #[test]
    fn a_banks_accounts_keep_their_numbers() {
        for (value, accounts) in [("{3 10, 7 -1}", "EDN"), ("{\"3\": 10, \"7\": -1}", "JSON")] {
            let read = format!(
                "{{:type :invoke :f :transfer :value {{:from 3 :to 7 :amount 2}} :process 0}}
{{:type :invoke :f :read :process 1}} {{:type :ok :f :read :value {value} :process 1}}"
            );
            let operations = super::read(&read).unwrap().operations;
            assert_eq!(operations[0].call, Call::Transfer { from: 3, to: 7, amount: 2 });
            assert_eq!(operations[1].call, Call::Balances, "{accounts}");
            let balances = [(3, 10), (7, -1)].into();
            assert_eq!(operations[1].outcome, Outcome::Ok(Reply::Balances(balances)), "{accounts}");
        }
        let wrong = "{:type :invoke :f :transfer :value {:from 3} :process 0}";
        assert!(told(wrong).starts_with("1: expected {:from :to :amount}"), "{}", told(wrong));
    }

    #[test]
    fn invocations_are_paired_with_their_ends() {
        let text = "[{:type :invoke, :f :write, :value 3, :process 0}
{:type :invoke :f :read :value nil :process 1}
{:process :nemesis, :type :info, :f :start}
{:type :ok :f :read :value 3 :process 1}
{:type :info :f :write :value 3 :process 0}
{:type :invoke :f :cas :value [3 4] :process 2}
{:type :fail :f :cas :value [3 4] :process 2}
{:type :invoke :f :cas :value [3 4] :process 2}]";
        let read = read(text).unwrap().operations;
        assert_eq!(read[0].call, Call::Write { key: 0, value: 3 });
        assert!(matches!(read[0].outcome, Outcome::Unknown(_)) && read[0].returned.is_none());
        assert_eq!(read[1].outcome, Outcome::Ok(Reply::Value(Some(3))));
        assert!(read[1].invoked > read[0].invoked && read[1].returned > Some(read[1].invoked));
        assert!(matches!(read[2].outcome, Outcome::Fail(_)));
        assert!(matches!(read[3].outcome, Outcome::Unknown(_)), "nothing ends it");
    }

    #[test]
    fn pairs_have_keys_and_locks_are_registers() {
        let keyed = "{:type :invoke :f :read :value [:x nil] :process 1}
{:type :ok :f :read :value [:x \"a\"] :process 1}
{:type :invoke :f :write :value [:y \"a\"] :process 1}";
        let read = super::read(keyed).unwrap();
        assert_eq!(read.keys, [":x", ":y"]);
        let Outcome::Ok(Reply::Value(Some(a))) = read.operations[0].outcome else { panic!() };
        assert_eq!(read.operations[1].call, Call::Write { key: 1, value: a });
        let lock = "{:type :invoke :f :acquire :process 1} {:type :ok :f :acquire :process 1}";
        let read = super::read(lock).unwrap().operations;
        assert_eq!(read[0].call, Call::Cas { key: 0, from: 0, to: 1 });
        // The same as JSON, as elle-cli takes it.
        let json = r#"[{"type": "invoke", "f": "acquire", "process": 1, "value": null},
{"type":"ok","f":"acquire","process":1,"value":null}]"#;
        assert_eq!(super::read(json).unwrap().operations, read);
    }

    #[test]
    fn contradictions_are_told_with_their_lines() {
        let begun = "{:type :invoke :f :write :value 1 :process 7}\n";
        assert_eq!(
            told(&format!("{begun}{begun}")),
            "2: process 7 invokes before its operation of line 1 has ended"
        );
        let ok = "\n{:type :ok :f :write :value 1 :process 7}";
        assert_eq!(
            told(&format!("{begun}{ok}{ok}")),
            "4: process 7 ends an operation that it never invoked"
        );
        assert!(told("\n{:f :write}").starts_with("2: no operation"));
        assert!(told("{:type :invoke :f :write :value 1}").contains("without :process"));
        assert!(told("{:type :invoke :f :pop :process 1}").contains("unknown :f :pop"));
        assert!(told("{:type :invoke :f :cas :value 1 :process 1}").contains("[from to]"));
    }
}
