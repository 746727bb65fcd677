//! How the models' objects are kept in etcd, and how each call is asked.
//!
//! A register is one key. Everything else is read with its revisions, changed in memory, and committed on
//! condition that none of it changed meanwhile; a lost race is run again until the time-out. So every call is
//! one atomic transaction. A lost race is definite: only the last commit of a call can be in doubt.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::gateway::{Cell, Gateway, Trouble, holds, unchanged};
use crate::history::{Call, Key, Message, Outcome, Reply, Step};

/// How a call stands before the system is asked to change anything.
enum Decision {
    Answer(Reply),
    Refuse(String),
    Write(Vec<(String, String)>, Reply),
}

/// The names of the objects: all under one prefix, so that runs do not meet.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    prefix: Arc<str>,
}

fn failed(why: impl Into<Arc<str>>) -> Outcome {
    Outcome::Fail(why.into())
}

fn in_doubt_is_unknown(trouble: Trouble) -> Outcome {
    match trouble.definite {
        true => Outcome::Fail(trouble.why.into()),
        false => Outcome::Unknown(trouble.why.into()),
    }
}

impl Objects {
    pub(super) fn new(run: &str) -> Objects {
        Objects { prefix: format!("firedrill/{run}").into() }
    }

    fn name(&self, kind: &str, key: Key) -> String {
        format!("{}/{kind}/{key:07}", self.prefix)
    }
    fn message(&self, key: Key, offset: u64) -> String {
        format!("{}/{offset:012}", self.name("log", key))
    }
    pub(super) fn account(&self, key: Key) -> String {
        self.name("bank", key)
    }

    /// Asks. Reads that go wrong fail; changes that go wrong are unknown unless etcd refused them.
    pub(super) async fn ask(&self, etcd: &mut Gateway, call: &Call, deadline: Instant) -> Outcome {
        if let Some(read) = self.read(etcd, call, false, deadline).await {
            return read.map_or_else(|trouble| failed(trouble.why), Outcome::Ok);
        }
        match call {
            Call::Write { key, value } => {
                let put = [(self.name("register", *key), value.to_string())];
                let written = etcd.commit(vec![], &put, deadline).await;
                written.map_or_else(in_doubt_is_unknown, |_| Outcome::Ok(Reply::Done))
            }
            Call::Cas { key, from, to } => {
                let name = self.name("register", *key);
                let compare = vec![holds(&name, &from.to_string())];
                let swapped = etcd.commit(compare, &[(name, to.to_string())], deadline).await;
                swapped.map_or_else(in_doubt_is_unknown, |s| Outcome::Ok(Reply::Swapped(s)))
            }
            _ => self.transact(etcd, call, deadline).await,
        }
    }

    /// Reads, from the whole system or (`serializable`) from one member's replica. `None`: not a read.
    pub(super) async fn read(
        &self,
        etcd: &mut Gateway,
        call: &Call,
        serializable: bool,
        deadline: Instant,
    ) -> Option<Result<Reply, Trouble>> {
        if !call.is_read() {
            return None;
        }
        Some(match call {
            Call::ReadLog { key, from } => {
                let (first, end) = (self.message(*key, *from), self.name("log", *key) + "0");
                let found = etcd.range(&first, &end, serializable, deadline).await;
                found.and_then(|found| self.messages(*key, *from, &found))
            }
            Call::Balances => {
                let (first, end) = (self.account(0), format!("{}/bank0", self.prefix));
                let found = etcd.range(&first, &end, serializable, deadline).await;
                found.and_then(|found| balances(&found))
            }
            _ => {
                let names = self.touched(call);
                let cells = etcd.snapshot(&names, serializable, deadline).await;
                cells.and_then(|cells| match self.decide(call, &names, &cells)? {
                    Decision::Answer(reply) => Ok(reply),
                    _ => Err(garbled("read", "a change")),
                })
            }
        })
    }

    async fn transact(&self, etcd: &mut Gateway, call: &Call, deadline: Instant) -> Outcome {
        let names = self.touched(call);
        let mut races = 0;
        loop {
            let decided = match etcd.snapshot(&names, false, deadline).await {
                Ok(cells) => self.decide(call, &names, &cells).map(|d| (d, cells)),
                Err(trouble) => Err(trouble),
            };
            let (puts, reply, cells) = match decided {
                // Nothing was sent that changes anything.
                Err(trouble) => return failed(trouble.why),
                Ok((Decision::Answer(reply), _)) => return Outcome::Ok(reply),
                Ok((Decision::Refuse(why), _)) => return failed(why),
                Ok((Decision::Write(puts, reply), cells)) => (puts, reply, cells),
            };
            let all = names.iter().zip(&cells);
            let compare = all.map(|(name, cell)| unchanged(name, cell.revision)).collect();
            match etcd.commit(compare, &puts, deadline).await {
                Ok(true) => return Outcome::Ok(reply),
                Err(trouble) => return in_doubt_is_unknown(trouble),
                Ok(false) if Instant::now() < deadline => races += 1,
                Ok(false) => return failed(format!("lost {} races for the object", races + 1)),
            }
        }
    }

    /// The keys that a call reads or changes; each once.
    fn touched(&self, call: &Call) -> Vec<String> {
        let mut names = match call {
            Call::Read { key } | Call::Write { key, .. } | Call::Cas { key, .. } => {
                vec![self.name("register", *key)]
            }
            Call::Add { key, .. } | Call::Total { key } => vec![self.name("counter", *key)],
            Call::Insert { key, .. } | Call::Elements { key } => vec![self.name("set", *key)],
            Call::Enqueue { key, .. } | Call::Dequeue { key } => vec![self.name("queue", *key)],
            Call::Append { key, .. } | Call::ReadLog { key, .. } => vec![self.name("length", *key)],
            Call::Transfer { from, to, .. } => vec![self.account(*from), self.account(*to)],
            Call::Balances => vec![],
            Call::Txn { steps } => steps
                .iter()
                .map(|step| match step {
                    Step::Append { key, .. } | Step::Read { key } => self.name("list", *key),
                })
                .collect(),
        };
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What a call comes to, given what its keys hold.
    fn decide(&self, call: &Call, names: &[String], cells: &[Cell]) -> Result<Decision, Trouble> {
        let held: BTreeMap<&str, Option<&str>> = names
            .iter()
            .map(String::as_str)
            .zip(cells.iter().map(|c| c.value.as_deref()))
            .collect();
        let held = |name: &str| held.get(name).copied().flatten();
        let only = names.first().map(String::as_str).unwrap_or_default();
        let write = |text: String, reply| Decision::Write(vec![(only.to_string(), text)], reply);
        Ok(match call {
            Call::Read { .. } => Decision::Answer(Reply::Value(parse(held(only))?)),
            Call::Total { .. } => {
                Decision::Answer(Reply::Value(Some(parse(held(only))?.unwrap_or(0))))
            }
            Call::Elements { .. } => {
                Decision::Answer(Reply::Values(parse(held(only))?.unwrap_or_default()))
            }
            Call::Add { delta, .. } => {
                let total: i64 = parse(held(only))?.unwrap_or(0);
                write(total.saturating_add(*delta).to_string(), Reply::Done)
            }
            Call::Insert { element, .. } | Call::Enqueue { element, .. } => {
                let mut all: Vec<i64> = parse(held(only))?.unwrap_or_default();
                all.push(*element);
                write(text(&all), Reply::Done)
            }
            Call::Dequeue { .. } => {
                let mut all: Vec<i64> = parse(held(only))?.unwrap_or_default();
                match all.is_empty() {
                    true => Decision::Answer(Reply::Value(None)),
                    false => {
                        let head = all.remove(0);
                        write(text(&all), Reply::Value(Some(head)))
                    }
                }
            }
            Call::Append { key, message } => {
                let length: u64 = parse(held(only))?.unwrap_or(0);
                let entry = (self.message(*key, length), text(message));
                let puts = vec![(only.to_string(), (length + 1).to_string()), entry];
                Decision::Write(puts, Reply::Offset(length))
            }
            Call::Transfer { from, to, amount } => {
                let (payer, payee) = (self.account(*from), self.account(*to));
                transfer(
                    (payer.clone(), parse(held(&payer))?),
                    (payee.clone(), parse(held(&payee))?),
                    *amount,
                )
            }
            Call::Txn { steps } => self.transaction(steps, held)?,
            Call::Write { .. } | Call::Cas { .. } | Call::ReadLog { .. } | Call::Balances => {
                Decision::Refuse(format!("{call:?} is not asked as a transaction"))
            }
        })
    }

    /// The steps in their order; a read sees the appends before it.
    fn transaction<'a>(
        &self,
        steps: &[Step],
        held: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Decision, Trouble> {
        let (mut lists, mut changed) = (BTreeMap::<String, Vec<i64>>::new(), vec![]);
        let mut replies = vec![];
        for step in steps {
            let (Step::Append { key, .. } | Step::Read { key }) = step;
            let name = self.name("list", *key);
            if !lists.contains_key(&name) {
                lists.insert(name.clone(), parse(held(&name))?.unwrap_or_default());
            }
            let list = lists.entry(name.clone()).or_default();
            replies.push(match step {
                Step::Read { .. } => Some(list.clone()),
                Step::Append { value, .. } => {
                    list.push(*value);
                    changed.push(name);
                    None
                }
            });
        }
        lists.retain(|name, _| changed.contains(name));
        let puts: Vec<_> = lists.into_iter().map(|(name, list)| (name, text(&list))).collect();
        Ok(match puts.is_empty() {
            true => Decision::Answer(Reply::Txn(replies)),
            false => Decision::Write(puts, Reply::Txn(replies)),
        })
    }

    /// The messages, each at the offset that its key says.
    fn messages(&self, key: Key, from: u64, found: &[(String, String)]) -> Result<Reply, Trouble> {
        let mut messages: Vec<Message> = vec![];
        for (offset, (name, value)) in (from..).zip(found) {
            if *name != self.message(key, offset) {
                return Err(garbled(name, "a gap in the log before it"));
            }
            messages.push(parse(Some(value))?.ok_or_else(|| garbled(name, "nothing"))?);
        }
        Ok(Reply::Messages(messages))
    }
}

fn transfer(
    (payer, has): (String, Option<i64>),
    (payee, gets): (String, Option<i64>),
    amount: i64,
) -> Decision {
    match (has, gets) {
        (Some(has), Some(_)) if has < amount => {
            Decision::Refuse(format!("the account holds {has}, {amount} would overdraw it"))
        }
        (Some(has), Some(gets)) if payer != payee => {
            let puts =
                vec![(payer, (has - amount).to_string()), (payee, (gets + amount).to_string())];
            Decision::Write(puts, Reply::Done)
        }
        (Some(_), Some(_)) => Decision::Answer(Reply::Done),
        _ => Decision::Refuse("no such account".to_string()),
    }
}

fn balances(found: &[(String, String)]) -> Result<Reply, Trouble> {
    let balance = |(name, value): &(String, String)| {
        let account = name.rsplit('/').next().and_then(|n| n.parse().ok());
        let account: Key = account.ok_or_else(|| garbled(name, "no number of an account"))?;
        Ok((account, parse(Some(value))?.unwrap_or(0)))
    };
    Ok(Reply::Balances(found.iter().map(balance).collect::<Result<_, _>>()?))
}

fn garbled(place: &str, found: &str) -> Trouble {
    Trouble { why: format!("{place} holds what firedrill did not write: {found}"), definite: true }
}

fn parse<T: DeserializeOwned>(held: Option<&str>) -> Result<Option<T>, Trouble> {
    held.map(|text| serde_json::from_str(text).map_err(|_| garbled("a key", text))).transpose()
}

/// As JSON. Numbers and lists of numbers have no text that could fail to be written.
fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
