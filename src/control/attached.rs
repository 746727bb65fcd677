//! An agent at the other end of a stream: this very binary, joined to what it needs of a node. The stream's end ends
//! it, and with it what it held.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::agent::conversation::{Answer, Request};

/// The label of everything that firedrill makes: the run that it belongs to.
pub const RUN_LABEL: &str = "firedrill.run";
/// The label that says beside which node a helper stands.
pub const NODE_LABEL: &str = "firedrill.node";
/// How long a helper may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long a helper may take to answer, beyond what it was asked to wait.
const ANSWER: Duration = Duration::from_secs(5);
/// A beat is sent this many times a lease.
const BEATS_PER_LEASE: u32 = 4;

/// What one kind of helper says and is told.
pub trait Speech: 'static {
    /// Its first line.
    type Hello: DeserializeOwned + Send + Sync;
    /// What it can be told.
    type Order: Serialize + Send;
    /// What it answers.
    type Done: DeserializeOwned + Send;

    /// Which firedrill it is.
    fn version(hello: &Self::Hello) -> &str;
    /// What renews its lease and does nothing else.
    fn beat() -> Self::Order;
    /// How long an order takes by itself.
    fn takes(order: &Self::Order) -> Duration;
}

type Open<S> = oneshot::Sender<Result<<S as Speech>::Done, String>>;

/// What an agent is written to.
pub type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// What an agent says, line by line; an error is a complaint of its own, or of the stream.
pub type Lines = Pin<Box<dyn Stream<Item = Result<String, String>> + Send>>;

/// A running helper. Dropped, it ends.
pub struct Attached<S: Speech> {
    /// What it said first.
    pub hello: S::Hello,
    orders: mpsc::UnboundedSender<(S::Order, Open<S>)>,
    /// Cancelled when it is gone, whoever ended it.
    pub gone: CancellationToken,
}

impl<S: Speech> std::fmt::Debug for Attached<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached").field("gone", &self.gone.is_cancelled()).finish_non_exhaustive()
    }
}

impl<S: Speech> Attached<S> {
    /// Hears its hello, and speaks with it from then on; a beat goes several times a `lease`. Fails with why, in
    /// words.
    pub async fn meet(
        mut lines: Lines,
        input: Input,
        lease: Duration,
    ) -> Result<Attached<S>, String> {
        let first = timeout(HELLO, lines.next()).await;
        let first = first.map_err(|_| format!("the agent said nothing within {HELLO:?}"))?;
        let first = first.ok_or("the agent ended at once")??;
        let hello: S::Hello =
            serde_json::from_str(&first).map_err(|e| format!("{first:?} is no hello: {e}"))?;
        let (ours, theirs) = (env!("CARGO_PKG_VERSION"), S::version(&hello));
        if theirs != ours {
            return Err(format!("the agent is firedrill {theirs}, the runner is {ours}"));
        }
        let (orders, told) = mpsc::unbounded_channel();
        let gone = CancellationToken::new();
        let talk = Talk::<S> { input, lines, told, beat: lease / BEATS_PER_LEASE };
        tokio::spawn(talk.go(gone.clone()));
        Ok(Attached { hello, orders, gone })
    }

    /// Gives an order, and waits for what came of it.
    pub async fn ask(&self, order: S::Order) -> Result<S::Done, String> {
        let patience = ANSWER + S::takes(&order);
        let (answer, answered) = oneshot::channel();
        let gone = || "the agent is gone".to_string();
        self.orders.send((order, answer)).map_err(|_| gone())?;
        match timeout(patience, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(format!("the agent did not answer within {patience:?}")),
        }
    }
}

/// Whole lines, however the stream cut or joined them. What comes as an error stays one.
pub fn lines<P: AsRef<[u8]> + 'static>(
    parts: impl Stream<Item = Result<P, String>> + Send + 'static,
) -> Lines {
    let whole = |open: &mut Vec<u8>, said: Result<P, String>| {
        let lines = match said {
            Ok(part) => {
                open.extend_from_slice(part.as_ref());
                let end = open.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                let rest = open.split_off(end);
                let lines = std::mem::replace(open, rest);
                let text = String::from_utf8_lossy(&lines);
                text.lines().map(|line| Ok(line.to_string())).collect()
            }
            Err(why) => vec![Err(why)],
        };
        std::future::ready(Some(futures::stream::iter(lines)))
    };
    Box::pin(parts.scan(Vec::new(), whole).flatten())
}

/// The conversation with one agent.
struct Talk<S: Speech> {
    input: Input,
    lines: Lines,
    told: mpsc::UnboundedReceiver<(S::Order, Open<S>)>,
    beat: Duration,
}

impl<S: Speech> Talk<S> {
    /// Until the agent or the one who gives orders is gone. Open questions are dropped then.
    async fn go(mut self, gone: CancellationToken) {
        let _gone = gone.drop_guard();
        let mut open: HashMap<u64, Open<S>> = HashMap::new();
        let mut beat = tokio::time::interval(self.beat);
        let mut last = 0;
        loop {
            let order = tokio::select! {
                told = self.told.recv() => match told {
                    Some((order, answer)) => {
                        open.insert(last + 1, answer);
                        order
                    }
                    None => return,
                },
                line = self.lines.next() => match line {
                    Some(Ok(line)) => {
                        match serde_json::from_str::<Answer<S::Done>>(&line) {
                            Ok(Answer { id, result }) => {
                                // Nobody waits for the answer to a beat.
                                drop(open.remove(&id).map(|asked| asked.send(result)));
                            }
                            Err(e) => tracing::warn!("an agent said {line:?}: {e}"),
                        }
                        continue;
                    }
                    Some(Err(why)) => {
                        tracing::warn!("an agent complains: {why}");
                        continue;
                    }
                    None => return,
                },
                _ = beat.tick() => S::beat(),
            };
            last += 1;
            let Ok(mut line) = serde_json::to_vec(&Request { id: last, order }) else { continue };
            line.push(b'\n');
            let said = async {
                self.input.write_all(&line).await?;
                self.input.flush().await
            };
            if said.await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_whole_however_they_come() {
        let parts = ["one\ntwo\nth", "ree\n", "", "four", "\n"].map(Ok);
        let lines: Vec<_> = lines(futures::stream::iter(parts)).collect().await;
        let lines: Vec<String> = lines.into_iter().map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "two", "three", "four"]);
    }
}
