//! How an agent listens: orders from standard input, answers to standard output, one JSON object a line.
//!
//! Invariant: whatever a line is, it is answered; and nothing that the reader of the answers does, or fails to do,
//! delays the end of the lease.

use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::AgentError;

/// The longest line that is read: a thousand links of some addresses each.
const LINE_MAX: usize = 1 << 20;

/// Why an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nobody can give orders any more.
    InputClosed,
    /// Nobody gave any, for the length of the lease.
    LeaseExpired,
    /// SIGTERM, or nobody to answer to.
    Told,
}

/// One line to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<Order> {
    /// Comes back in the answer; from 1.
    pub id: u64,
    /// What to do.
    pub order: Order,
}

/// One line from an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<Done> {
    /// The request's; 0 if the line had none that could be read.
    pub id: u64,
    /// What came of it.
    pub result: Result<Done, String>,
}

/// Where answers go.
#[derive(Debug, Clone)]
pub(super) struct Say(UnboundedSender<String>);

impl Say {
    /// Says one line.
    pub(super) fn say(&self, what: &impl Serialize) {
        if let Ok(line) = serde_json::to_string(what) {
            // Without a writer the agent is about to end.
            let _ = self.0.send(line + "\n");
        }
    }

    /// Answers one request.
    pub(super) fn answer<Done: Serialize>(&self, id: u64, result: Result<Done, String>) {
        self.say(&Answer { id, result });
    }
}

/// Who obeys.
pub(super) trait Obedient {
    /// What it can be told.
    type Order: for<'de> Deserialize<'de>;

    /// Does it, and answers, now or later; never waits.
    fn obey(&mut self, id: u64, order: Self::Order, say: &Say);

    /// When something is due that nobody orders.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Does what is due.
    fn do_due(&mut self) {}
}

/// How an agent is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// How long its input may be silent.
    pub lease: Duration,
    /// It says hello only once it is spoken to: whoever comes to a stream that was there before hears nothing of what
    /// was said until then.
    pub after_a_line: bool,
}

/// Says hello, and has orders obeyed until the end of input, of the lease, or SIGTERM.
pub(super) async fn converse<Node: Obedient>(
    manners: Manners,
    hello: &impl Serialize,
    node: &mut Node,
) -> Result<Ended, AgentError> {
    let Manners { lease, after_a_line } = manners;
    let system = |what| move |why| AgentError::Kernel { what, why };
    let mut terminate = signal(SignalKind::terminate()).map_err(system("hear signals"))?;
    let (say, answers) = unbounded_channel();
    let say = Say(say);
    let mut is_met = !after_a_line;
    if is_met {
        say.say(hello);
    }
    let mut writer = tokio::spawn(write(answers));
    let codec = LinesCodec::new_with_max_length(LINE_MAX);
    let mut lines = FramedRead::new(tokio::io::stdin(), codec);
    let mut until = Instant::now() + lease;
    loop {
        let due = node.due();
        let line = tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(Ended::Told),
            () = sleep_until(until) => return Ok(Ended::LeaseExpired),
            () = sleep_until(due.unwrap_or(until)), if due.is_some() => {
                node.do_due();
                continue;
            }
            _ = &mut writer => return Ok(Ended::Told),
            line = lines.next() => line,
        };
        until = Instant::now() + lease;
        match line {
            Some(Ok(_)) if !is_met => {
                is_met = true;
                say.say(hello);
            }
            Some(Ok(line)) => match serde_json::from_str::<Request<Node::Order>>(&line) {
                Ok(Request { id, order }) => node.obey(id, order, &say),
                Err(why) => say.answer::<()>(id_of(&line), Err(format!("not an order: {why}"))),
            },
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                say.answer::<()>(0, Err(format!("a line of more than {LINE_MAX} bytes")));
                // After a mistake it says once that it is at its end, and then goes on.
                let _ = lines.next().await;
            }
            None | Some(Err(LinesCodecError::Io(_))) => return Ok(Ended::InputClosed),
        }
    }
}

/// The id of a line that is otherwise no request; 0 if it has none.
fn id_of(line: &str) -> u64 {
    #[derive(Deserialize)]
    struct Id {
        id: u64,
    }
    serde_json::from_str::<Id>(line).map_or(0, |Id { id }| id)
}

/// Writes lines until nobody reads them.
async fn write(mut answers: UnboundedReceiver<String>) {
    let mut output = tokio::io::stdout();
    while let Some(line) = answers.recv().await {
        if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}
