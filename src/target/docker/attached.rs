//! An agent in a container: this very binary, joined to what it needs of a node, and spoken to over its attach
//! stream. The stream's end ends it, and with it what it held.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker as Api;
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StartContainerOptions,
};
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::engine::words;
use crate::agent::conversation::{Answer, Request};

/// The label of every container that firedrill makes: the run that it belongs to.
pub(super) const RUN_LABEL: &str = "firedrill.run";
/// The label that says beside which node a helper stands.
const NODE_LABEL: &str = "firedrill.node";
/// How long a helper may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long a helper may take to answer, beyond what it was asked to wait.
const ANSWER: Duration = Duration::from_secs(5);
/// A beat is sent this many times a lease.
const BEATS_PER_LEASE: u32 = 4;

/// What one kind of helper says and is told.
pub(super) trait Speech: 'static {
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

/// Which helper, and where it is to stand.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub run: String,
    pub image: String,
    pub lease: Duration,
    /// The node's name.
    pub node: String,
    /// The hidden subcommand that it is, and its arguments.
    pub command: Vec<String>,
    /// What of the node it joins, and what it may do there.
    pub host: HostConfig,
}

impl Place {
    /// What every agent is denied: each capability, new privileges, a file system of its own to write to.
    pub fn bare() -> HostConfig {
        HostConfig {
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into()]),
            readonly_rootfs: Some(true),
            auto_remove: Some(true),
            ..HostConfig::default()
        }
    }
}

type Open<S> = oneshot::Sender<Result<<S as Speech>::Done, String>>;

/// A running helper. Dropped, it ends.
pub(super) struct Attached<S: Speech> {
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
    /// Starts one. Fails with why, in words.
    pub async fn start(api: &Api, place: &Place) -> Result<Attached<S>, String> {
        let id = create(api, place).await?;
        let begun = begin::<S>(api, &id).await;
        let (hello, lines, input) = match begun {
            Ok(begun) => begun,
            Err(why) => {
                // It removes itself when it ends, if it ever ran.
                let options = super::restore::removal();
                let _ = api.remove_container(&id, Some(options)).await;
                return Err(why);
            }
        };
        let (ours, theirs) = (env!("CARGO_PKG_VERSION"), S::version(&hello));
        if theirs != ours {
            return Err(format!("the agent is firedrill {theirs}, the runner is {ours}"));
        }
        let (orders, told) = mpsc::unbounded_channel();
        let gone = CancellationToken::new();
        let talk = Talk::<S> { input, lines, told, beat: place.lease / BEATS_PER_LEASE };
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

async fn create(api: &Api, place: &Place) -> Result<String, String> {
    let labels = HashMap::from([
        (RUN_LABEL.to_string(), place.run.clone()),
        (NODE_LABEL.to_string(), place.node.clone()),
    ]);
    let lease = format!("{}ms", place.lease.as_millis());
    let mut command = place.command.clone();
    command.extend(["--lease".into(), lease]);
    let body = ContainerCreateBody {
        image: Some(place.image.clone()),
        cmd: Some(command),
        labels: Some(labels),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(place.host.clone()),
        ..ContainerCreateBody::default()
    };
    let name = format!("firedrill-{}-{}-{:04x}", place.run, place.node, rand::random::<u16>());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let made = api.create_container(Some(options), body).await;
    made.map(|made| made.id).map_err(|e| format!("the agent's container: {}", words(&e)))
}

type Input = Pin<Box<dyn AsyncWrite + Send>>;

type Lines = Pin<Box<dyn Stream<Item = Result<String, String>> + Send>>;

async fn begin<S: Speech>(api: &Api, id: &str) -> Result<(S::Hello, Lines, Input), String> {
    let options =
        AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true);
    let attached = api.attach_container(id, Some(options.build())).await;
    let attached = attached.map_err(|e| format!("the agent's stream: {}", words(&e)))?;
    let started = api.start_container(id, None::<StartContainerOptions>);
    started.await.map_err(|e| format!("the agent's start: {}", words(&e)))?;
    let mut lines = lines(attached.output);
    let first = timeout(HELLO, lines.next()).await;
    let first = first.map_err(|_| format!("the agent said nothing within {HELLO:?}"))?;
    let first = first.ok_or("the agent ended at once")??;
    let hello = serde_json::from_str(&first).map_err(|e| format!("{first:?} is no hello: {e}"))?;
    Ok((hello, lines, attached.input))
}

/// The agent's lines, however the engine cut or joined them. What it says on stderr is an error.
fn lines(
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
) -> Lines {
    let whole = |open: &mut String, said: Result<LogOutput, bollard::errors::Error>| {
        let lines = match said {
            Ok(LogOutput::StdErr { message }) => {
                vec![Err(String::from_utf8_lossy(&message).trim().to_string())]
            }
            Ok(other) => {
                open.push_str(&String::from_utf8_lossy(&other.into_bytes()));
                let end = open.rfind('\n').map_or(0, |end| end + 1);
                let rest = open.split_off(end);
                let lines = std::mem::replace(open, rest);
                lines.lines().map(|line| Ok(line.to_string())).collect()
            }
            Err(e) => vec![Err(words(&e))],
        };
        std::future::ready(Some(futures::stream::iter(lines)))
    };
    Box::pin(output.scan(String::new(), whole).flatten())
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
        let said = |text: &'static str| Ok(LogOutput::StdOut { message: text.into() });
        let parts = ["one\ntwo\nth", "ree\n", "", "four", "\n"].map(said);
        let lines: Vec<_> = lines(Box::pin(futures::stream::iter(parts))).collect().await;
        let lines: Vec<String> = lines.into_iter().map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "two", "three", "four"]);
    }
}
