//! Clients of any service that answers over HTTP: each asks for a page, and what counts is whether it is answered.
//!
//! A request is a GET (RFC 9110, section 9.3.1), which changes nothing: one that is not answered has failed, and did no
//! harm. Answered means a status from 200 to 399, in time.
//!
//! Deliberately absent: what stands in the answers, and any notion of members, leaders or replicas.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep, timeout};

use super::{Client, ClientError, Driver, innermost};
use crate::history::{Call, Outcome, Process, Reply};
use crate::inventory::{AddressBook, NodeId};
use crate::workload::Model;

const NAME: &str = "http";
/// What stands for the number of the page in a path.
const KEY: &str = "{key}";
/// How long the service is given to come up.
const READY: Duration = Duration::from_secs(30);
/// The pause before it is asked again meanwhile.
const AGAIN: Duration = Duration::from_millis(100);

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// There, whoever answers: `http://web.shop/cart/{key}`.
    Url(String),
    /// The nodes themselves: each client one, and the next after that one failed it.
    Nodes {
        /// At this of their ports; `None`: at the port `client`, else at the first by name.
        port: Option<String>,
        /// For this: `/cart/{key}`.
        path: String,
    },
}

/// Knows one service.
#[derive(Debug, Clone)]
pub struct Http {
    book: AddressBook,
    nodes: Arc<[NodeId]>,
    place: Arc<Where>,
    timeout: Duration,
}

impl Http {
    /// A driver for a service of these nodes. `timeout` is a request's. Fails where no node has the port.
    pub fn new(book: &AddressBook, place: Where, timeout: Duration) -> Result<Http, ClientError> {
        let nodes: Arc<[NodeId]> = book.nodes().into();
        if let Where::Nodes { port: Some(port), .. } = &place {
            let lacks = |node: &&NodeId| !book.endpoints(node).contains_key(port);
            if let Some(node) = nodes.iter().find(lacks) {
                return Err(error(format!("node {node} has no port `{port}`")));
            }
        }
        if nodes.is_empty() {
            return Err(error("there is no node to ask".into()));
        }
        Ok(Http { book: book.clone(), nodes, place: Arc::new(place), timeout })
    }

    /// The models that it can ask for.
    pub fn models() -> &'static [Model] {
        &[Model::Requests]
    }

    fn connect(&self, process: Process) -> Result<Visitor, ClientError> {
        let http = reqwest::Client::builder()
            .no_proxy() // a proxy of the environment's would answer in the service's place
            .redirect(Policy::none())
            .pool_max_idle_per_host(1)
            .connect_timeout(self.timeout)
            .build()
            .map_err(|e| error(format!("no http client: {}", innermost(&e))))?;
        let at = usize::try_from(process).unwrap_or(0) % self.nodes.len();
        Ok(Visitor { http, service: self.clone(), at })
    }
}

fn error(why: String) -> ClientError {
    ClientError { client: NAME, why }
}

/// One client: it keeps its connection, as a browser does.
struct Visitor {
    http: reqwest::Client,
    service: Http,
    /// The node that it asks, where it asks nodes.
    at: usize,
}

impl Visitor {
    fn url(&self, key: u32) -> Result<String, String> {
        let key = key.to_string();
        match &*self.service.place {
            Where::Url(url) => Ok(url.replace(KEY, &key)),
            Where::Nodes { port, path } => {
                let node = &self.service.nodes[self.at];
                let endpoints = self.service.book.endpoints(node);
                let named = endpoints.get(port.as_deref().unwrap_or("client"));
                let any = || endpoints.values().next().filter(|_| port.is_none());
                let address = named.or_else(any);
                let address = address.ok_or_else(|| "it has no address now".to_string())?;
                Ok(format!("http://{address}{}", path.replace(KEY, &key)))
            }
        }
    }

    async fn get(&self, key: u32) -> Result<i64, String> {
        let answer = self.http.get(self.url(key)?).send().await.map_err(|e| innermost(&e))?;
        let status = answer.status();
        // It is answered when all of it is there.
        answer.bytes().await.map_err(|e| innermost(&e))?;
        match status.as_u16() {
            fine @ 200..400 => Ok(fine.into()),
            other => Err(format!("status {other}")),
        }
    }

    async fn ask(&mut self, key: u32) -> Outcome {
        let asked = timeout(self.service.timeout, self.get(key)).await;
        let why = match asked.unwrap_or_else(|_| Err("time-out".into())) {
            Ok(status) => return Outcome::Ok(Reply::Value(Some(status))),
            Err(why) => why,
        };
        let Some(node) = self.node(&Call::Read { key }) else { return Outcome::Fail(why.into()) };
        self.at = (self.at + 1) % self.service.nodes.len();
        Outcome::Fail(format!("{node}: {why}").into())
    }
}

impl Client for Visitor {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match call {
                Call::Read { key } => self.ask(*key).await,
                other => Outcome::Fail(format!("a page cannot be asked this: {other:?}").into()),
            }
        })
    }
    fn node(&self, _: &Call) -> Option<NodeId> {
        match &*self.service.place {
            Where::Url(_) => None,
            Where::Nodes { .. } => self.service.nodes.get(self.at).cloned(),
        }
    }
}

impl Driver for Http {
    fn client(&self, process: Process) -> Result<Box<dyn Client>, ClientError> {
        Ok(Box::new(self.connect(process)?))
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async {
            let (mut visitor, began) = (self.connect(0)?, Instant::now());
            loop {
                let why = match visitor.ask(0).await {
                    Outcome::Ok(_) => return Ok(()),
                    Outcome::Fail(why) | Outcome::Unknown(why) => why,
                };
                if began.elapsed() >= READY {
                    return Err(error(format!("nobody answers within {READY:?}: {why}")));
                }
                sleep(AGAIN).await;
            }
        })
    }

    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async { None })
    }

    fn knows_leader(&self) -> bool {
        false
    }

    fn read_replica<'a>(&'a self, _: &'a NodeId, _: &'a Call) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async { None })
    }
}
