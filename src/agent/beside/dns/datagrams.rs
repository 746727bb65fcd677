//! Questions over UDP.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::question::{Fate, fate};
use super::{Post, upstream};

/// The longest message.
pub(super) const MESSAGE_MAX: usize = 65_535;
/// How many questions may be with a resolver at once. Each has a descriptor, and a process may have no more than a
/// thousand, of which there are other uses.
const UNDER_WAY_MAX: usize = 160;
/// How long the resolver's answer is waited for: longer than those wait who ask.
const PATIENCE: Duration = Duration::from_secs(15);
/// Before reading again after the kernel would not.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers or forwards until it is dropped. When too many questions are under way the oldest is given up: whoever
/// asked it asks again, and a resolver that was away finds no queue.
pub(super) async fn serve(socket: UdpSocket, post: Post) {
    let socket = Arc::new(socket);
    let mut under_way = JoinSet::new();
    let mut in_order = VecDeque::<AbortHandle>::new();
    let mut buffer = vec![0; MESSAGE_MAX];
    loop {
        while under_way.try_join_next().is_some() {}
        let Ok((count, from)) = socket.recv_from(&mut buffer).await else {
            sleep(PAUSE).await;
            continue;
        };
        let question = buffer.get(..count).unwrap_or_default();
        let held = post.told.borrow().clone();
        match fate(question, &held) {
            Fate::Silence => {}
            Fate::Answer(answer) => {
                let _ = socket.send_to(&answer, from).await;
            }
            Fate::Forward => {
                in_order.retain(|one| !one.is_finished());
                if in_order.len() >= UNDER_WAY_MAX
                    && let Some(oldest) = in_order.pop_front()
                {
                    oldest.abort();
                }
                let (socket, question) = (socket.clone(), question.to_vec());
                let resolver = post.resolver;
                let forwarded = post.under_way.track_future(async move {
                    let answer = timeout(PATIENCE, forward(&question, resolver)).await;
                    if let Ok(Ok(answer)) = answer {
                        let _ = socket.send_to(&answer, from).await;
                    }
                });
                in_order.push_back(under_way.spawn(forwarded));
            }
        }
    }
}

/// What the resolver answers.
async fn forward(question: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = upstream::datagrams(resolver)?;
    socket.send(question).await?;
    answer_to(question, &socket).await
}

/// The next message that has the question's number.
pub(super) async fn answer_to(question: &[u8], socket: &UdpSocket) -> io::Result<Vec<u8>> {
    loop {
        // Room only when there is something to read: many may be waiting.
        socket.readable().await?;
        let mut answer = vec![0; MESSAGE_MAX];
        match socket.try_recv(&mut answer) {
            Ok(count) => answer.truncate(count),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => continue,
            Err(why) => return Err(why),
        }
        if question.get(..2).is_none_or(|number| answer.starts_with(number)) {
            return Ok(answer);
        }
    }
}
