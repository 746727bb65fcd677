//! The lines between firedrill and a client of the user's own, as `docs/exec-client.md` has them.
//!
//! Pure. An answer that is not exactly what was asked for is an error in words, never a guess.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::history::{Call, Outcome, Process, Reply, Standing, Step};
use crate::inventory::{Endpoints, NodeId};
use crate::workload::Model;

/// The version of the protocol.
const VERSION: u32 = 1;

/// The first line that a child is given.
#[derive(Debug, Serialize)]
pub(super) struct Hello<'a> {
    version: u32,
    /// Whom the child works for; `None`: only for questions about the system.
    process: Option<Process>,
    endpoints: &'a BTreeMap<NodeId, Endpoints>,
    timeout_ms: u64,
    model: Model,
    keys: u32,
}

impl Hello<'_> {
    /// The line, with its end.
    pub(super) fn line(
        process: Option<Process>,
        endpoints: &BTreeMap<NodeId, Endpoints>,
        timeout: std::time::Duration,
        model: Model,
        keys: u32,
    ) -> String {
        let timeout_ms = timeout.as_millis() as u64;
        let hello = Hello { version: VERSION, process, endpoints, timeout_ms, model, keys };
        #[derive(Serialize)]
        struct Greeting<'a> {
            hello: Hello<'a>,
        }
        line(&Greeting { hello })
    }
}

/// What a child is asked.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Question<'a> {
    /// A call of the load, or a final read.
    Call { call: &'a Call },
    /// Make the state that the load starts from.
    Prepare { prepare: bool },
    /// Who leads?
    Leader { leader: bool },
    /// A read of one node's own replica.
    Replica { replica: &'a NodeId, call: &'a Call },
    /// How does each member stand?
    Standings { standings: bool },
}

impl Question<'_> {
    /// The line, with its end. `endpoints`: where the nodes are, if that is news to the child.
    pub(super) fn line(&self, id: u64, endpoints: Option<&BTreeMap<NodeId, Endpoints>>) -> String {
        #[derive(Serialize)]
        struct Asked<'a> {
            id: u64,
            #[serde(flatten)]
            question: &'a Question<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            endpoints: Option<&'a BTreeMap<NodeId, Endpoints>>,
        }
        line(&Asked { id, question: self, endpoints })
    }
}

/// Nothing in a line can fail to be written: no map has keys other than texts.
fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// What a child answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Outcome(Outcome),
    Leader(Option<NodeId>),
    Standings(BTreeMap<NodeId, Standing>),
    /// It does not know this kind of question.
    Unsupported,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    id: u64,
    ok: Option<Reply>,
    fail: Option<String>,
    unknown: Option<String>,
    #[serde(default)]
    unsupported: bool,
    #[serde(default, deserialize_with = "even_null")]
    leader: Option<Option<NodeId>>,
    standings: Option<BTreeMap<NodeId, Standing>>,
}

/// `null` is an answer, too; only a field that is not there is none.
fn even_null<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<NodeId>>, D::Error> {
    Option::deserialize(d).map(Some)
}

impl Answer {
    /// Reads the answer to that question. `Err` says what is wrong with the line.
    pub(super) fn parse(line: &str, id: u64, question: &Question) -> Result<Answer, String> {
        let shown = |line: &str| line.chars().take(200).collect::<String>();
        let answered: Answered = serde_json::from_str(line)
            .map_err(|e| format!("not an answer: {e}: `{}`", shown(line)))?;
        if answered.id != id {
            return Err(format!("an answer to {}, expected one to {id}", answered.id));
        }
        let unsupported = answered.unsupported.then_some(Answer::Unsupported);
        let found = [
            answered.ok.map(|reply| Answer::Outcome(Outcome::Ok(reply))),
            answered.fail.map(|why| Answer::Outcome(Outcome::Fail(why.into()))),
            answered.unknown.map(|why| Answer::Outcome(Outcome::Unknown(why.into()))),
            answered.leader.map(Answer::Leader),
            answered.standings.map(Answer::Standings),
            unsupported,
        ];
        let mut found = found.into_iter().flatten();
        let (Some(answer), None) = (found.next(), found.next()) else {
            return Err(format!(
                "expected exactly one of ok, fail, unknown, leader, standings, unsupported: `{}`",
                shown(line)
            ));
        };
        match answer.fits(question) {
            true => Ok(answer),
            false => Err(format!("does not answer what was asked: `{}`", shown(line))),
        }
    }

    fn fits(&self, question: &Question) -> bool {
        match (question, self) {
            (Question::Standings { .. }, answer) => {
                matches!(answer, Answer::Standings(_) | Answer::Unsupported)
            }
            (_, Answer::Standings(_)) => false,
            (Question::Leader { .. }, answer) => !matches!(answer, Answer::Outcome(Outcome::Ok(_))),
            (_, Answer::Leader(_)) => false,
            (Question::Call { .. }, Answer::Unsupported) => false,
            (Question::Prepare { .. }, Answer::Outcome(Outcome::Ok(reply))) => {
                *reply == Reply::Done
            }
            (
                Question::Call { call } | Question::Replica { call, .. },
                Answer::Outcome(Outcome::Ok(reply)),
            ) => reply_fits(call, reply),
            _ => true,
        }
    }
}

/// Whether this is the kind of reply that the call has.
fn reply_fits(call: &Call, reply: &Reply) -> bool {
    match call {
        Call::Read { .. } | Call::Dequeue { .. } => matches!(reply, Reply::Value(_)),
        Call::Total { .. } => matches!(reply, Reply::Value(Some(_))),
        Call::Write { .. } | Call::Add { .. } | Call::Insert { .. } => *reply == Reply::Done,
        Call::Enqueue { .. } | Call::Transfer { .. } => *reply == Reply::Done,
        Call::Cas { .. } => matches!(reply, Reply::Swapped(_)),
        Call::Elements { .. } => matches!(reply, Reply::Values(_)),
        Call::Append { .. } => matches!(reply, Reply::Offset(_)),
        Call::ReadLog { .. } => matches!(reply, Reply::Messages(_)),
        Call::Balances => matches!(reply, Reply::Balances(_)),
        Call::Txn { steps } => match reply {
            Reply::Txn(replies) => {
                let fits = |(step, seen): (&Step, &Option<Vec<i64>>)| {
                    matches!(step, Step::Read { .. }) == seen.is_some()
                };
                steps.len() == replies.len() && steps.iter().zip(replies).all(fits)
            }
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Question = Question::Call { call: &Call::Read { key: 1 } };
    const LEADER: Question = Question::Leader { leader: true };
    const STANDINGS: Question = Question::Standings { standings: true };

    #[test]
    fn the_lines_are_those_of_the_documentation() {
        let at = |address: &str| Endpoints::from([("client".to_string(), address.to_string())]);
        let nodes = BTreeMap::from([(NodeId::new("n1"), at("127.0.0.1:7"))]);
        let moved = BTreeMap::from([(NodeId::new("n1"), at("10.0.0.9:7"))]);
        let second = std::time::Duration::from_secs(1);
        let n1 = NodeId::new("n1");
        let lines = [
            Hello::line(Some(3), &nodes, second, Model::Register, 5),
            READ.line(1, None),
            LEADER.line(2, None),
            Question::Replica { replica: &n1, call: &Call::Balances }.line(3, None),
            Question::Prepare { prepare: true }.line(4, None),
            READ.line(5, Some(&moved)),
            STANDINGS.line(6, None),
        ];
        let documented = include_str!("../../../../docs/exec-client.md");
        for line in lines {
            assert!(documented.contains(&line), "not in docs/exec-client.md: {line}");
        }
    }

    #[test]
    fn an_answer_says_exactly_one_thing() {
        let ok = Answer::parse(r#"{"id":1,"ok":{"value":null}}"#, 1, &READ);
        assert_eq!(ok, Ok(Answer::Outcome(Outcome::Ok(Reply::Value(None)))));
        let fail = Answer::parse(r#"{"id":1,"fail":"no quorum"}"#, 1, &READ);
        assert_eq!(fail, Ok(Answer::Outcome(Outcome::Fail("no quorum".into()))));
        let nobody = Answer::parse(r#"{"id":1,"leader":null}"#, 1, &LEADER);
        assert_eq!(nobody, Ok(Answer::Leader(None)));
        let not_known = Answer::parse(r#"{"id":1,"unsupported":true}"#, 1, &LEADER);
        assert_eq!(not_known, Ok(Answer::Unsupported));
        let line = r#"{"id":5,"standings":{"n1":"full","n2":{"behind":"3 entries to go"}}}"#;
        let n2 = Standing::Behind("3 entries to go".into());
        let all = [("n1".into(), Standing::Full), ("n2".into(), n2)].into();
        assert_eq!(Answer::parse(line, 5, &STANDINGS), Ok(Answer::Standings(all)));
    }

    #[test]
    fn a_wrong_answer_is_refused_in_words() {
        for (line, said) in [
            ("hello", "not an answer"),
            (r#"{"id":1,"okay":"done"}"#, "unknown field `okay`"),
            (r#"{"id":2,"ok":{"value":1}}"#, "an answer to 2, expected one to 1"),
            (r#"{"id":1}"#, "exactly one of"),
            (r#"{"id":1,"ok":{"value":1},"fail":"x"}"#, "exactly one of"),
            (r#"{"id":1,"ok":"done"}"#, "does not answer what was asked"),
            (r#"{"id":1,"leader":"n1"}"#, "does not answer what was asked"),
            (r#"{"id":1,"unsupported":true}"#, "does not answer what was asked"),
            (r#"{"id":1,"standings":{"n1":"full"}}"#, "does not answer what was asked"),
            (r#"{"id":1,"standings":{"n1":"fine"}}"#, "unknown variant `fine`"),
        ] {
            let refused = Answer::parse(line, 1, &READ).unwrap_err();
            assert!(refused.contains(said), "{line}: {refused}");
        }
    }

    #[test]
    fn a_transaction_is_answered_step_by_step() {
        let steps = [Step::Append { key: 1, value: 2 }, Step::Read { key: 1 }];
        let call = Call::Txn { steps: steps.into() };
        let question = Question::Call { call: &call };
        for (reply, fits) in
            [("[null,[2]]", true), ("[null]", false), ("[[2],[2]]", false), ("[null,null]", false)]
        {
            let line = format!(r#"{{"id":1,"ok":{{"txn":{reply}}}}}"#);
            assert_eq!(Answer::parse(&line, 1, &question).is_ok(), fits, "{reply}");
        }
    }
}
