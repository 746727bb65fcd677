//! Questions over TCP: each message has its length before it (RFC 1035, section 4.2.2).
//!
//! A connection to the agent has one of its own to the resolver, made when something is forwarded first: what goes
//! through keeps its order, however many questions are asked or answers given in a row.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::datagrams::MESSAGE_MAX;
use super::question::{Fate, fate};
use super::{Post, upstream};
use crate::condition::Dns;

/// How many connections there may be in a resolver's place; each takes two descriptors.
const CONNECTIONS_MAX: usize = 64;
/// How long the other end may take to connect, or to take a message.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nobody may say anything.
const IDLE: Duration = Duration::from_secs(60);
/// After the heal, how long what was asked before it may still be on its way here.
const GRACE: Duration = Duration::from_millis(50);
/// Before accepting again after the kernel would not.
const PAUSE: Duration = Duration::from_millis(100);

type Messages = Framed<TcpStream, LengthDelimitedCodec>;

/// Accepts until it is dropped. When too many are connected, further connections are closed.
pub(super) async fn serve(listener: TcpListener, post: Post) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        if connections.len() >= CONNECTIONS_MAX {
            continue;
        }
        let connection = Connection {
            client: messages(stream),
            resolver: post.resolver,
            forwarded: None,
            unanswered: 0,
            told: post.told.clone(),
        };
        connections.spawn(post.under_way.track_future(async move {
            // `None` is its only end.
            let _ = connection.serve().await;
        }));
    }
}

/// A stream of messages.
pub(super) fn messages(stream: TcpStream) -> Messages {
    let _ = stream.set_nodelay(true);
    let codec = LengthDelimitedCodec::builder()
        .length_field_length(2)
        .max_frame_length(MESSAGE_MAX)
        .new_codec();
    Framed::new(stream, codec)
}

struct Connection {
    client: Messages,
    resolver: SocketAddr,
    forwarded: Option<Messages>,
    /// How many of the questions that were forwarded have no answer yet.
    unanswered: usize,
    told: watch::Receiver<Arc<Dns>>,
}

impl Connection {
    /// Ends when either side does, when nobody says anything for long, or after the heal: whoever still waits for
    /// an answer that never comes is then told to ask anew.
    async fn serve(mut self) -> Option<()> {
        loop {
            if self.unanswered == 0 && self.told.borrow().is_healthy() {
                match timeout(GRACE, self.client.next()).await {
                    Ok(question) => self.asked(question?.ok()?).await?,
                    Err(_) => return None,
                }
                continue;
            }
            tokio::select! {
                question = self.client.next() => self.asked(question?.ok()?).await?,
                answer = next(&mut self.forwarded) => {
                    self.unanswered = self.unanswered.saturating_sub(1);
                    say(&mut self.client, answer?.freeze()).await?;
                }
                changed = self.told.changed() => changed.ok()?,
                () = sleep(IDLE) => return None,
            }
        }
    }

    async fn asked(&mut self, question: BytesMut) -> Option<()> {
        let held = self.told.borrow().clone();
        match fate(&question, &held) {
            Fate::Silence => Some(()),
            Fate::Answer(answer) => say(&mut self.client, answer.into()).await,
            Fate::Forward => {
                let to = match &mut self.forwarded {
                    Some(to) => to,
                    none => {
                        let stream = timeout(PATIENCE, upstream::stream(self.resolver)).await;
                        none.insert(messages(stream.ok()?.ok()?))
                    }
                };
                self.unanswered += 1;
                say(to, question.freeze()).await
            }
        }
    }
}

/// The next message of the resolver's, if anything was forwarded to it; `None` if there will be none.
async fn next(from: &mut Option<Messages>) -> Option<BytesMut> {
    match from {
        Some(from) => from.next().await?.ok(),
        None => std::future::pending().await,
    }
}

async fn say(to: &mut Messages, message: Bytes) -> Option<()> {
    timeout(PATIENCE, to.send(message)).await.ok()?.ok()
}
