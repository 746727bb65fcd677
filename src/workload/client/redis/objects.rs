//! How the models' objects are kept in Redis, and what its errors mean.
//!
//! Each call is one command, or one script whose only write is its last step: so it takes effect at once, and
//! an error of the server's means that it did not. Invariant: a change counts as definitely failed only where the
//! server itself refused it, by an error that is raised before a command runs.

use std::sync::Arc;

use ::redis::{Cmd, FromRedisValue, RedisError, Value, cmd, from_redis_value};

use super::primary::{Link, said};
use crate::history::{Call, Key, Message, Outcome, Reply};

/// Compare-and-set: 1 if the register held the first value.
const CAS: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                   redis.call('SET', KEYS[1], ARGV[2]) return 1 else return 0 end";

/// Errors that the server raises before it runs a command. Others (a proxy's, for one) are in doubt.
const REFUSED: &[&str] = &[
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "NOREPLICAS",
    "MISCONF",
    "OOM",
    "BUSY",
    "NOAUTH",
    "NOPERM",
    "WRONGTYPE",
    "MOVED",
    "ASK",
    "CLUSTERDOWN",
    "CROSSSLOT",
];

/// The names of the objects: all under one prefix, so that runs do not meet.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    prefix: Arc<str>,
}

/// What a call came to, and whether the connection may be asked again.
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) link_is_good: bool,
}

impl Objects {
    pub(super) fn new(run: &str) -> Objects {
        Objects { prefix: format!("firedrill:{run}").into() }
    }

    fn on(&self, command: &str, kind: &str, key: Key) -> Cmd {
        let mut command = cmd(command);
        command.arg(format!("{}:{kind}:{key}", self.prefix));
        command
    }

    /// Asks. Reads that go wrong fail; changes that go wrong are unknown unless the server refused them.
    pub(super) async fn ask(&self, link: &mut Link, call: &Call) -> Answer {
        let Some(command) = self.command(call) else {
            let why = format!("client `redis` cannot ask {call:?}").into();
            return Answer { outcome: Outcome::Fail(why), link_is_good: true };
        };
        let answer = link.send(&command).await;
        let trouble = match answer.and_then(Value::extract_error).map(|value| reply(call, value)) {
            Ok(Ok(reply)) => return Answer { outcome: Outcome::Ok(reply), link_is_good: true },
            Ok(Err(garbled)) => Trouble { why: garbled, definite: false },
            Err(error) => Trouble { why: said(&error), definite: refused(&error) },
        };
        let why = format!("{}: {}", link.name(), trouble.why).into();
        let outcome = match trouble.definite || call.is_read() {
            true => Outcome::Fail(why),
            false => Outcome::Unknown(why),
        };
        // Also after a refusal: who is no primary any more must not be asked again.
        Answer { outcome, link_is_good: false }
    }

    fn command(&self, call: &Call) -> Option<Cmd> {
        Some(match call {
            Call::Read { key } => self.on("GET", "register", *key),
            Call::Write { key, value } => self.on("SET", "register", *key).arg(value).take(),
            Call::Cas { key, from, to } => {
                let name = format!("{}:register:{key}", self.prefix);
                cmd("EVAL").arg(CAS).arg(1).arg(name).arg(from).arg(to).take()
            }
            Call::Add { key, delta } => self.on("INCRBY", "counter", *key).arg(delta).take(),
            Call::Total { key } => self.on("GET", "counter", *key),
            Call::Insert { key, element } => self.on("SADD", "set", *key).arg(element).take(),
            Call::Elements { key } => self.on("SMEMBERS", "set", *key),
            Call::Enqueue { key, element } => self.on("RPUSH", "queue", *key).arg(element).take(),
            Call::Dequeue { key } => self.on("LPOP", "queue", *key),
            Call::Append { key, message } => {
                let text = format!("{}/{}", message.sender, message.sequence);
                self.on("RPUSH", "log", *key).arg(text).take()
            }
            Call::ReadLog { key, from } => self.on("LRANGE", "log", *key).arg(from).arg(-1).take(),
            Call::Transfer { .. } | Call::Balances | Call::Txn { .. } => return None,
        })
    }
}

struct Trouble {
    why: String,
    /// It took no effect, and never will.
    definite: bool,
}

/// Whether the server refused a command before it ran.
pub(super) fn refused(error: &RedisError) -> bool {
    error.code().is_some_and(|code| REFUSED.contains(&code))
}

/// What an answer says.
fn reply(call: &Call, answer: Value) -> Result<Reply, String> {
    Ok(match call {
        Call::Read { .. } | Call::Dequeue { .. } => Reply::Value(read(answer)?),
        Call::Total { .. } => Reply::Value(Some(read::<Option<i64>>(answer)?.unwrap_or(0))),
        Call::Cas { .. } => Reply::Swapped(read::<i64>(answer)? == 1),
        Call::Elements { .. } => {
            let mut elements: Vec<i64> = read(answer)?;
            elements.sort_unstable();
            Reply::Values(elements)
        }
        Call::Append { .. } => {
            let length: u64 = read(answer)?;
            Reply::Offset(length.checked_sub(1).ok_or("the length 0 of a log that has grown")?)
        }
        Call::ReadLog { .. } => {
            let texts: Vec<String> = read(answer)?;
            Reply::Messages(texts.iter().map(|text| message(text)).collect::<Result<_, _>>()?)
        }
        _ => Reply::Done,
    })
}

fn read<T: FromRedisValue>(answer: Value) -> Result<T, String> {
    from_redis_value(answer).map_err(|e| format!("not what firedrill wrote: {e}"))
}

fn message(text: &str) -> Result<Message, String> {
    let parts = text.split_once('/').and_then(|(sender, sequence)| {
        Some(Message { sender: sender.parse().ok()?, sequence: sequence.parse().ok()? })
    });
    parts.ok_or_else(|| format!("not what firedrill wrote: `{text}`"))
}
