//! Looks a name up as any process of the node would: unmarked, by the node's own resolv.conf.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, Name};
use domain::rdata::{A, Aaaa};
use futures::{SinkExt, StreamExt, future};
use tokio::net::TcpStream;
use tokio::time::{Instant as Deadline, timeout_at};
use tokio_util::bytes::Bytes;

use super::datagrams::answer_to;
use super::question::ask;
use super::resolv_conf::ResolvConf;
use super::{PORT, streams, upstream};
use crate::agent::beside::protocol::LookUp;

/// How long an answer is waited for before the question is asked again: it may have been lost on its way.
const AGAIN: Duration = Duration::from_secs(1);

/// What came of a look-up, and after how many nanoseconds. One with a dot at its end is a full name; others are
/// looked for in the search list, too.
pub(in crate::agent::beside) async fn look_up(
    name: &str,
    wait: Duration,
) -> Result<(LookUp, u64), String> {
    let began = Instant::now();
    let until = Deadline::now() + wait;
    let conf = ResolvConf::read()?;
    let mut came = LookUp::Silent;
    for candidate in conf.candidates(name) {
        let full: Name<Vec<u8>> =
            candidate.parse().map_err(|why| format!("`{candidate}` is no name: {why}"))?;
        came = of_all(&full, &conf.nameservers, until).await;
        let goes_on = match &came {
            LookUp::Found(addresses) => addresses.is_empty(),
            LookUp::Refused(code) => *code == Rcode::NXDOMAIN.to_int(),
            LookUp::Silent | LookUp::Unreachable(_) => false,
        };
        if !goes_on {
            break;
        }
    }
    Ok((came, u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)))
}

/// Asks one resolver after the other, until one has an answer that is none of its failing; each has its share of the
/// time.
async fn of_all(name: &Name<Vec<u8>>, resolvers: &[IpAddr], until: Deadline) -> LookUp {
    let mut came = LookUp::Silent;
    for (asked, resolver) in resolvers.iter().enumerate() {
        let left = until.saturating_duration_since(Deadline::now());
        let share = left / u32::try_from(resolvers.len() - asked).unwrap_or(u32::MAX);
        let until = Deadline::now() + share;
        let at = SocketAddr::new(*resolver, PORT);
        let (v4, v6) =
            future::join(of_one(name, Rtype::A, at, until), of_one(name, Rtype::AAAA, at, until))
                .await;
        came = both(v4, v6);
        match &came {
            LookUp::Found(_) => break,
            LookUp::Refused(code) if *code != Rcode::SERVFAIL.to_int() => break,
            _ => {}
        }
    }
    came
}

/// What the answers to both questions come to: what was found, or the better of two failures.
fn both(v4: LookUp, v6: LookUp) -> LookUp {
    match (v4, v6) {
        (LookUp::Found(a), LookUp::Found(b)) => LookUp::Found(a.into_iter().chain(b).collect()),
        (found @ LookUp::Found(_), other) | (other, found @ LookUp::Found(_)) => match &found {
            LookUp::Found(addresses) if addresses.is_empty() => other,
            _ => found,
        },
        (refused @ LookUp::Refused(_), _) | (_, refused @ LookUp::Refused(_)) => refused,
        (LookUp::Silent, other) => other,
        (unreachable, _) => unreachable,
    }
}

async fn of_one(
    name: &Name<Vec<u8>>,
    kind: Rtype,
    resolver: SocketAddr,
    until: Deadline,
) -> LookUp {
    match timeout_at(until, exchange(name, kind, resolver)).await {
        Ok(Ok(answer)) => read(&answer).unwrap_or(LookUp::Refused(Rcode::FORMERR.to_int())),
        Ok(Err(why)) => LookUp::Unreachable(format!("{resolver}: {why}")),
        Err(_) => LookUp::Silent,
    }
}

/// The answer to one question: over UDP, or over TCP if it is too long for that.
async fn exchange(
    name: &Name<Vec<u8>>,
    kind: Rtype,
    resolver: SocketAddr,
) -> io::Result<Message<Vec<u8>>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let question = ask(rand::random(), name, kind).ok_or_else(invalid)?;
    let socket = upstream::plain_datagrams(resolver)?;
    let answer = loop {
        socket.send(&question).await?;
        if let Ok(answer) = timeout_at(Deadline::now() + AGAIN, answer_to(&question, &socket)).await
        {
            break answer?;
        }
    };
    let answer = Message::from_octets(answer).map_err(|_| invalid())?;
    if !answer.header().tc() {
        return Ok(answer);
    }
    let mut stream = streams::messages(TcpStream::connect(resolver).await?);
    stream.send(Bytes::from(question)).await?;
    let answer = stream.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
    Message::from_octets(answer.to_vec()).map_err(|_| invalid())
}

/// What an answer says; `None` if it cannot be read.
fn read(answer: &Message<Vec<u8>>) -> Option<LookUp> {
    if !answer.no_error() {
        return Some(LookUp::Refused(answer.header().rcode().to_int()));
    }
    let mut found = BTreeSet::<IpAddr>::new();
    for record in answer.answer().ok()?.limit_to_in::<A>() {
        found.insert(record.ok()?.data().addr().into());
    }
    for record in answer.answer().ok()?.limit_to_in::<Aaaa>() {
        found.insert(record.ok()?.data().addr().into());
    }
    Some(LookUp::Found(found))
}
