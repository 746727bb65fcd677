//! The `exec` client: clients in any language. Each is a child process that speaks JSON lines on its standard
//! input and output; `docs/exec-client.md` has the protocol, `scenarios/exec/client.py` an example.
//!
//! Whatever a child does wrong (ends, hangs, says something else) is an unknown outcome of the call in flight.
//! Deliberately absent: starting a child anew under the same identity; the next process gets a new one.

mod child;
mod protocol;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::{Client, ClientError, Driver};
use crate::history::{Call, Outcome, Process, Reply, Standing};
use crate::inventory::{AddressBook, NodeId};
use crate::workload::Model;
use child::{Child, Lost, News};
use protocol::{Answer, Hello, Question};

const NAME: &str = "exec";

/// How long a child may take to prepare the system.
const PREPARE: Duration = Duration::from_secs(30);

/// How long a child may take to ask all members how they stand.
const SURVEY: Duration = Duration::from_millis(2_500);

/// How much longer than the time-out an answer may take: the child is to notice the time-out itself.
const GRACE: Duration = Duration::from_millis(100);

/// What clients of the user's own are given.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program and its arguments; found in PATH unless it has a slash.
    pub command: Vec<String>,
    /// The nodes and where they are reached.
    pub book: AddressBook,
    /// The kind of object that the clients work on.
    pub model: Model,
    /// How many objects the clients work on at a time.
    pub keys: u32,
    /// How long a client waits for an answer of the system.
    pub timeout: Duration,
    /// The run's name: the children's environment has it as `FIREDRILL_RUN`.
    pub run: String,
}

/// Asks through child processes.
#[derive(Debug)]
pub struct Exec {
    options: Arc<Options>,
    /// The child that answers questions about the system; started when first needed.
    desk: Mutex<Option<Child>>,
    knows_no_leader: AtomicBool,
    /// The child that asks the members how they stand: those that are gone make it wait, and nobody else should.
    survey: Mutex<Option<Child>>,
    knows_no_standings: AtomicBool,
}

fn error(why: String) -> ClientError {
    ClientError { client: NAME, why }
}

impl Exec {
    /// The models that this client can ask for: the command decides.
    pub const fn models() -> &'static [Model] {
        Model::all()
    }

    /// A driver. Starts nothing yet: [`Driver::prepare`] tells whether the command exists.
    pub fn new(options: Options) -> Exec {
        let options = Arc::new(options);
        Exec {
            options,
            desk: Mutex::default(),
            knows_no_leader: AtomicBool::default(),
            survey: Mutex::default(),
            knows_no_standings: AtomicBool::default(),
        }
    }

    fn start(&self, process: Option<Process>) -> Result<Child, String> {
        let Options { command, book, model, keys, timeout, run } = &*self.options;
        let (edition, endpoints) = book.read();
        let hello = Hello::line(process, &endpoints, *timeout, *model, *keys);
        let news = News { book: book.clone(), told: edition };
        let label = process.map_or_else(|| "exec".to_string(), |p| format!("exec {p}"));
        Child::start(command, hello, news, run, &label)
    }

    async fn ask(&self, question: &Question<'_>, patience: Duration) -> Result<Answer, Lost> {
        self.ask_at(&self.desk, question, patience).await
    }

    /// Asks the child that stands there; a broken one is replaced first.
    async fn ask_at(
        &self,
        desk: &Mutex<Option<Child>>,
        question: &Question<'_>,
        patience: Duration,
    ) -> Result<Answer, Lost> {
        let mut desk = desk.lock().await;
        let child = match desk.take().filter(|child| !child.is_broken()) {
            Some(child) => desk.insert(child),
            None => desk.insert(self.start(None).map_err(|why| Lost { why, asked: false })?),
        };
        child.ask(question, patience).await
    }
}

impl Driver for Exec {
    fn client(&self, process: Process) -> Result<Box<dyn Client>, ClientError> {
        let child = self.start(Some(process)).map_err(error)?;
        Ok(Box::new(Worker { child, patience: self.options.timeout + GRACE }))
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async {
            let command = self.options.command.join(" ");
            match self.ask(&Question::Prepare { prepare: true }, PREPARE).await {
                Ok(Answer::Unsupported | Answer::Outcome(Outcome::Ok(Reply::Done))) => Ok(()),
                Ok(other) => Err(error(format!("`{command}` did not prepare: {other:?}"))),
                Err(lost) if lost.asked => {
                    let why = lost.why;
                    Err(error(format!(
                        "`{command}`, asked to prepare: {why} (its log may say more)"
                    )))
                }
                Err(lost) => Err(error(lost.why)),
            }
        })
    }

    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async {
            if self.knows_no_leader.load(Ordering::Relaxed) {
                return None;
            }
            let question = Question::Leader { leader: true };
            match self.ask(&question, self.options.timeout + GRACE).await.ok()? {
                Answer::Leader(leader) => leader,
                Answer::Unsupported => {
                    self.knows_no_leader.store(true, Ordering::Relaxed);
                    None
                }
                Answer::Outcome(_) | Answer::Standings(_) => None,
            }
        })
    }

    fn knows_leader(&self) -> bool {
        !self.knows_no_leader.load(Ordering::Relaxed)
    }

    fn read_replica<'a>(
        &'a self,
        node: &'a NodeId,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async move {
            let question = Question::Replica { replica: node, call };
            match self.ask(&question, self.options.timeout + GRACE).await {
                Ok(Answer::Outcome(outcome)) => Some(outcome),
                Ok(_) => None,
                Err(lost) => Some(Outcome::Fail(lost.why.into())), // a read changes nothing
            }
        })
    }

    fn standings(&self) -> BoxFuture<'_, Option<Vec<(NodeId, Standing)>>> {
        Box::pin(async {
            if self.knows_no_standings.load(Ordering::Relaxed) {
                return None;
            }
            let question = Question::Standings { standings: true };
            let asked = self.ask_at(&self.survey, &question, SURVEY).await;
            let nodes = self.options.book.nodes();
            match asked {
                Ok(Answer::Standings(mut said)) => {
                    let silent = || Standing::Unknown("the client says nothing of it".into());
                    let mut one = |node: &NodeId| said.remove(node).unwrap_or_else(silent);
                    Some(nodes.into_iter().map(|node| (node.clone(), one(&node))).collect())
                }
                Ok(_) => {
                    self.knows_no_standings.store(true, Ordering::Relaxed);
                    None
                }
                Err(lost) => {
                    let unknown =
                        || Standing::Unknown(format!("asked how members stand: {}", lost.why));
                    Some(nodes.into_iter().map(|node| (node.clone(), unknown())).collect())
                }
            }
        })
    }
}

/// One process's child.
struct Worker {
    child: Child,
    patience: Duration,
}

impl Client for Worker {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.child.ask(&Question::Call { call }, self.patience).await {
                Ok(Answer::Outcome(outcome)) => outcome,
                Ok(other) => Outcome::Unknown(format!("not an outcome: {other:?}").into()),
                Err(Lost { why, asked: true }) => Outcome::Unknown(why.into()),
                Err(Lost { why, asked: false }) => Outcome::Fail(why.into()),
            }
        })
    }
    fn starting(&self) -> Duration {
        self.child.starting()
    }
    /// A child does not say whom it asks.
    fn node(&self, _call: &Call) -> Option<NodeId> {
        None
    }
}
