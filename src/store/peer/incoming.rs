//! Answers peers.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use openraft::raft::AppendEntriesResponse;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use crate::store::accept;
use crate::store::pulse::Pulse;
use crate::store::raft::Raft;

use super::wire::{self, Answer, Request};

/// A connection on which nothing is asked for this long is closed: its other end may be gone
/// without a word.
const IDLE: Duration = Duration::from_secs(60);

/// Answers until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    raft: Raft,
    pulse: Arc<Pulse>,
    stop: CancellationToken,
) {
    accept::serve(listener, "peer", stop, |stream| {
        let (raft, pulse) = (raft.clone(), pulse.clone());
        async move { converse(stream, &raft, &pulse).await }
    })
    .await;
}

async fn converse(stream: TcpStream, raft: &Raft, pulse: &Pulse) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Framed::new(stream, wire::codec());
    while let Ok(Some(frame)) = tokio::time::timeout(IDLE, connection.next()).await {
        let answer = answer(wire::decode(&frame?)?, raft, pulse).await;
        connection.send(wire::encode(&answer)?).await?;
    }
    Ok(())
}

async fn answer(request: Request, raft: &Raft, pulse: &Pulse) -> Answer {
    match request {
        Request::Append(call) => {
            let answer = raft.append_entries(call).await;
            match &answer {
                Err(_) | Ok(AppendEntriesResponse::HigherVote(_)) => {}
                Ok(_) => pulse.heard(),
            }
            Answer::Append(answer)
        }
        Request::Vote(call) => {
            let answer = raft.vote(call).await;
            if matches!(&answer, Ok(response) if response.vote_granted) {
                pulse.heard();
            }
            Answer::Vote(answer)
        }
        Request::Poll(question) => Answer::Poll(pulse.welcomes(raft, &question)),
    }
}
