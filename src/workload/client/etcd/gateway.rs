//! One client's way to etcd: its JSON gateway (`/v3/...`), one member at a time, and what its errors mean.
//!
//! Invariant: an error counts as definite only where the request cannot have reached a log: it was never
//! sent (no connection), or etcd refused it before proposing it. Everything else is in doubt.
//! (etcd: `api/v3rpc/rpctypes/error.go` for the errors, `server/v3_server.go` for when they arise.)

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::inventory::{AddressBook, NodeId};
use crate::workload::client::innermost;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// The request took no effect, and never will.
    pub(super) definite: bool,
}

impl Trouble {
    fn in_doubt(why: impl Into<String>) -> Trouble {
        Trouble { why: why.into(), definite: false }
    }
    fn definite(why: impl Into<String>) -> Trouble {
        Trouble { why: why.into(), definite: true }
    }
}

/// The members, and where their gateways are: each at its endpoint `client`.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) nodes: Vec<NodeId>,
    pub(super) book: AddressBook,
}

/// What a key holds, and the revision of its last change: 0 if it was never set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) value: Option<String>,
    pub(super) revision: i64,
}

/// A connection to one member, and to the next one after it fails.
pub(super) struct Gateway {
    http: reqwest::Client,
    members: Arc<Members>,
    at: usize,
}

impl Gateway {
    /// Starts with the member at `first`, counted round. Connects only when asked something.
    pub(super) fn new(
        members: Arc<Members>,
        first: usize,
        timeout: Duration,
    ) -> Result<Gateway, String> {
        let http = reqwest::Client::builder()
            .no_proxy() // a proxy of the environment's would answer in the member's place
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(1)
            .connect_timeout(timeout / 2) // so that a black hole is a definite failure
            .build()
            .map_err(|e| format!("no http client: {}", innermost(&e)))?;
        let at = first.checked_rem(members.nodes.len()).unwrap_or(0);
        Ok(Gateway { http, members, at })
    }

    /// The member that is asked next.
    pub(super) fn node(&self) -> Option<&NodeId> {
        self.members.nodes.get(self.at)
    }

    /// Asks until the deadline. After trouble the next request goes to the next member.
    pub(super) async fn post(
        &mut self,
        path: &str,
        body: &Value,
        deadline: Instant,
    ) -> Result<Value, Trouble> {
        let Some(node) = self.members.nodes.get(self.at) else {
            return Err(Trouble::definite("etcd has no member"));
        };
        // Where it is now; a connection to where it was is not used any more.
        let address = self.members.book.endpoint(node, "client");
        let asked = async {
            let address = address.ok_or_else(|| Trouble::definite("it has no address now"))?;
            let url = format!("http://{address}/v3/{path}");
            let response = self.http.post(url).json(body).send().await.map_err(|e| lost(&e))?;
            let status = response.status().as_u16();
            let text = response.bytes().await.map_err(|e| lost(&e))?;
            answer(status, &text)
        };
        let answer = match tokio::time::timeout_at(deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::in_doubt("time-out")),
        };
        answer.map_err(|trouble| {
            let why = format!("{node}: {}", trouble.why);
            self.at = (self.at + 1) % self.members.nodes.len();
            Trouble { why, ..trouble }
        })
    }

    /// Reads these keys at one revision. Linearizable, or `serializable`: of this member's own replica.
    pub(super) async fn snapshot(
        &mut self,
        keys: &[String],
        serializable: bool,
        deadline: Instant,
    ) -> Result<Vec<Cell>, Trouble> {
        let ranges: Vec<_> = keys
            .iter()
            .map(|key| json!({"request_range": {"key": encode(key), "serializable": serializable}}))
            .collect();
        let answer = self.post("kv/txn", &json!({ "success": ranges }), deadline).await?;
        let responses = answer["responses"].as_array().map(Vec::as_slice).unwrap_or_default();
        if responses.len() != keys.len() {
            return Err(Trouble::in_doubt(format!("not an answer to a txn: {answer}")));
        }
        responses
            .iter()
            .map(|response| match response["response_range"]["kvs"].get(0) {
                Some(kv) => cell(kv),
                None => Ok(Cell::default()),
            })
            .collect()
    }

    /// Every key from `first` to before `end`, in order, with its value.
    pub(super) async fn range(
        &mut self,
        first: &str,
        end: &str,
        serializable: bool,
        deadline: Instant,
    ) -> Result<Vec<(String, String)>, Trouble> {
        let request = json!({
            "key": encode(first), "range_end": encode(end), "serializable": serializable,
        });
        let answer = self.post("kv/range", &request, deadline).await?;
        let kvs = answer["kvs"].as_array().map(Vec::as_slice).unwrap_or_default();
        kvs.iter().map(|kv| Ok((decode(&kv["key"])?, decode(&kv["value"])?))).collect()
    }

    /// Sets keys if all comparisons hold, as one transaction. Whether they held.
    pub(super) async fn commit(
        &mut self,
        compare: Vec<Value>,
        puts: &[(String, String)],
        deadline: Instant,
    ) -> Result<bool, Trouble> {
        let puts: Vec<_> = puts
            .iter()
            .map(
                |(key, value)| json!({"request_put": {"key": encode(key), "value": encode(value)}}),
            )
            .collect();
        let request = json!({ "compare": compare, "success": puts });
        let answer = self.post("kv/txn", &request, deadline).await?;
        match answer.get("header") {
            // The gateway leaves out what is false.
            Some(_) => Ok(answer["succeeded"].as_bool().unwrap_or(false)),
            None => Err(Trouble::in_doubt(format!("not an answer to a txn: {answer}"))),
        }
    }
}

/// Holds while the key was last changed at that revision.
pub(super) fn unchanged(key: &str, revision: i64) -> Value {
    let revision = revision.to_string();
    json!({"target": "MOD", "result": "EQUAL", "key": encode(key), "mod_revision": revision})
}

/// Holds while the key has that value.
pub(super) fn holds(key: &str, value: &str) -> Value {
    json!({"target": "VALUE", "result": "EQUAL", "key": encode(key), "value": encode(value)})
}

fn cell(kv: &Value) -> Result<Cell, Trouble> {
    let revision = kv["mod_revision"].as_str().and_then(|r| r.parse().ok());
    let revision = revision.ok_or_else(|| Trouble::in_doubt(format!("no mod_revision: {kv}")))?;
    Ok(Cell { value: Some(decode(&kv["value"])?), revision })
}

fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn decode(value: &Value) -> Result<String, Trouble> {
    let bytes = value.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Trouble::in_doubt(format!("not base64 of a text: {value}")))
}

/// What a lost exchange means: without a connection nothing was sent.
fn lost(error: &reqwest::Error) -> Trouble {
    let why = innermost(error);
    match error.is_connect() || error.is_builder() {
        true => Trouble::definite(format!("no connection: {why}")),
        false => Trouble::in_doubt(format!("connection lost: {why}")),
    }
}

/// What an answer with that status says.
fn answer(status: u16, text: &[u8]) -> Result<Value, Trouble> {
    let body: Option<Value> = serde_json::from_slice(text).ok();
    if status == 200 {
        return body.ok_or_else(|| Trouble::in_doubt("an answer that is not JSON"));
    }
    let body = body.unwrap_or_default();
    let said = ["message", "error"].into_iter().find_map(|field| body[field].as_str());
    let why = format!("http {status}: {}", said.unwrap_or("no reason given"));
    match refused(status, body["code"].as_i64(), said.unwrap_or_default()) {
        true => Err(Trouble::definite(why)),
        false => Err(Trouble::in_doubt(why)),
    }
}

/// Whether etcd refused a request before proposing it. By its gRPC code where it has one: invalid argument,
/// not found, permission denied, failed precondition, out of range, unimplemented, unauthenticated; and
/// resource exhausted (too many requests, no space) where etcd itself says so, since gRPC says it of large
/// answers too. Unavailable is in doubt even for `no leader`: a proposal may have left before the leader was lost.
fn refused(status: u16, grpc: Option<i64>, said: &str) -> bool {
    match grpc {
        Some(code) => {
            matches!(code, 3 | 5 | 7 | 9 | 11 | 12 | 16)
                || (code == 8 && said.starts_with("etcdserver:"))
        }
        None => (400..500).contains(&status) && !matches!(status, 408 | 429 | 499),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definite(status: u16, body: Value) -> bool {
        answer(status, body.to_string().as_bytes()).unwrap_err().definite
    }

    #[test]
    fn only_what_etcd_refused_before_proposing_is_definite() {
        let refused = [
            (400, json!({"error": "etcdserver: key is not provided", "code": 3})),
            (429, json!({"error": "etcdserver: too many requests", "code": 8})),
            (404, json!({})),
        ];
        for (status, body) in refused {
            assert!(definite(status, body.clone()), "{status} {body}");
        }
        let in_doubt = [
            (503, json!({"error": "etcdserver: request timed out", "code": 14})),
            (503, json!({"error": "etcdserver: leader changed", "code": 14})),
            (503, json!({"error": "etcdserver: no leader", "code": 14})),
            (504, json!({"error": "context deadline exceeded", "code": 4})),
            (500, json!({"error": "raft proposal dropped", "code": 2})),
            (429, json!({"error": "grpc: received message larger than max", "code": 8})),
            (502, json!("bad gateway")),
        ];
        for (status, body) in in_doubt {
            assert!(!definite(status, body.clone()), "{status} {body}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_in_the_middle_is_in_doubt() {
        assert!(!answer(200, b"{\"header\":{").unwrap_err().definite);
    }
}
