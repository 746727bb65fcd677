//! The agent's conversation: orders from standard input, answers to standard output, one JSON object a line.
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

use super::connect;
use super::interfaces::addresses;
use super::keeper::Keeper;
use super::probe::Prober;
use super::protocol::{Answer, Done, Hello, Order, Request};
use crate::agent::AgentError;

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

/// Serves until the end of input, of the lease, or SIGTERM. The caller ends the process then: that is what heals.
pub async fn serve(lease: Duration) -> Result<Ended, AgentError> {
    let system = |what| move |why| AgentError::Kernel { what, why };
    let mut terminate = signal(SignalKind::terminate()).map_err(system("hear signals"))?;
    let prober = Prober::bind().map_err(system("listen for probes"))?;
    let connect_port = connect::accept_all().await.map_err(system("listen for connects"))?;
    let mut node = Node { keeper: Keeper::claim()?, prober, connect_port };
    let (say, answers) = unbounded_channel();
    send(&say, &node.hello()?);
    let mut writer = tokio::spawn(write(answers));
    let codec = LinesCodec::new_with_max_length(LINE_MAX);
    let mut lines = FramedRead::new(tokio::io::stdin(), codec);
    let mut until = Instant::now() + lease;
    loop {
        let line = tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(Ended::Told),
            () = sleep_until(until) => return Ok(Ended::LeaseExpired),
            _ = &mut writer => return Ok(Ended::Told),
            () = when(node.keeper.due()) => {
                node.keeper.sweep();
                continue;
            }
            line = lines.next() => line,
        };
        until = Instant::now() + lease;
        match line {
            Some(Ok(line)) => node.obey(&line, &say),
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                let result = Err(format!("a line of more than {LINE_MAX} bytes"));
                send(&say, &Answer { id: 0, result });
                // After a mistake it says once that it is at its end, and then goes on.
                let _ = lines.next().await;
            }
            None | Some(Err(LinesCodecError::Io(_))) => return Ok(Ended::InputClosed),
        }
    }
}

/// Waits until then; for ever, if there is no such time.
async fn when(due: Option<std::time::Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

struct Node {
    keeper: Keeper,
    prober: Prober,
    connect_port: u16,
}

impl Node {
    fn hello(&self) -> Result<Hello, AgentError> {
        let addresses = addresses();
        let system = |why| AgentError::Kernel { what: "list this namespace's addresses", why };
        Ok(Hello {
            version: env!("CARGO_PKG_VERSION").into(),
            probe_port: self.prober.port(),
            connect_port: self.connect_port,
            addresses: addresses.map_err(system)?,
            shaping: self.keeper.shaping().clone(),
        })
    }

    fn obey(&mut self, line: &str, say: &UnboundedSender<String>) {
        let request = match serde_json::from_str::<Request>(line) {
            Ok(request) => request,
            Err(why) => {
                let result = Err(format!("not an order: {why}"));
                send(say, &Answer { id: id_of(line), result });
                return;
            }
        };
        let id = request.id;
        let result = match request.order {
            Order::Hold(links) => self.keeper.hold(links).map(|()| Done::Held),
            Order::Beat => self.keeper.refresh().map(|()| Done::Beaten),
            Order::Count => self.keeper.count().map(Done::Counted),
            Order::Heard { probe } => {
                let times = self.prober.heard(probe);
                Ok(Done::Heard { over: times.over(), one_way: times.each })
            }
            Order::Connect { to, wait } => {
                let say = say.clone();
                tokio::spawn(async move {
                    let (how, took) = connect::connect(to, wait).await;
                    send(&say, &Answer { id, result: Ok(Done::Connected { how, took }) });
                });
                return;
            }
            Order::Probe(probe) => {
                let (prober, say) = (self.prober.clone(), say.clone());
                tokio::spawn(async move {
                    let (sent, times) = prober.probe(&probe).await;
                    let (over, round_trips) = (times.over(), times.each);
                    let done = Done::Probed { sent, round_trips, over };
                    send(&say, &Answer { id, result: Ok(done) });
                });
                return;
            }
        };
        send(say, &Answer { id, result });
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

fn send(say: &UnboundedSender<String>, what: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(what) {
        // Without a writer the agent is about to end.
        let _ = say.send(line + "\n");
    }
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
