//! Measures one link in both directions, through the very front, pumps and live state that the
//! nodes' own traffic runs through: the prober holds both ends of a connection that claims to come
//! from the peer, and that leads to the prober in place of the node.
//!
//! A probe does not wait at the gate of new connections, so that a one-way cut can be measured each
//! way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::agent::proxy::{Claim, Dialers};
use crate::condition::{Delivery, Link, Peer};
use crate::quantity::Bandwidth;

/// Nothing within this long is what a cut link is proven by.
const SILENCE: Duration = Duration::from_millis(60);
/// How much later than asked a byte may arrive: the machine may be busy.
const SLACK: Duration = Duration::from_millis(1_000);
/// How long a burst is measured for.
const BURST: Duration = Duration::from_millis(150);

/// One directed link to measure: its name, and what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub from: Peer,
    pub to: Peer,
    pub link: Link,
}

/// What a measurement came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// In words, with figures.
    pub text: String,
    /// Whether it is what was asked.
    pub as_asked: bool,
}

impl Asked {
    fn finding(&self, as_asked: bool, what: impl std::fmt::Display) -> Finding {
        Finding { text: format!("{} -> {}: {what}", self.from, self.to), as_asked }
    }
}

/// Measures the link to the node behind `front` and the link back from it.
pub(super) async fn measure(
    dialers: &Arc<Dialers>,
    front: SocketAddr,
    there: &Asked,
    back: &Asked,
) -> Vec<Finding> {
    let broken = |e: std::io::Error| vec![there.finding(false, format!("not measured: {e}"))];
    let resets = [there, back].iter().any(|a| a.link.delivery == Delivery::Reset);
    let (dialing, listener) = match ends(dialers, there).await {
        Ok(ends) => ends,
        Err(e) => return broken(e),
    };
    let Dialing { socket, claimed: _claimed } = dialing;
    let began = Instant::now();
    let near = match timeout(SLACK, socket.connect(front)).await {
        Ok(Ok(near)) => near,
        Ok(Err(e)) if resets => return vec![reset_seen(there, back, &e, began)],
        Ok(Err(e)) => return broken(e),
        Err(_) => return vec![there.finding(false, format!("no connection within {SLACK:?}"))],
    };
    if resets {
        return vec![await_reset(near, there, back, began).await];
    }
    let far = match timeout(SLACK, listener.accept()).await {
        Ok(Ok((far, _))) => far,
        Ok(Err(e)) => return broken(e),
        Err(_) => return vec![there.finding(false, format!("no connection within {SLACK:?}"))],
    };
    for end in [&near, &far] {
        // So that no closed socket lingers; it is a nicety.
        let _ = (end.set_nodelay(true), end.set_zero_linger());
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (a, b) = tokio::join!(one_way(there, near_out, far_in), one_way(back, far_out, near_in));
    vec![a, b]
}

struct Dialing {
    socket: TcpSocket,
    claimed: crate::agent::proxy::Claimed,
}

async fn ends(dialers: &Arc<Dialers>, there: &Asked) -> std::io::Result<(Dialing, TcpListener)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let claim = Claim { peer: there.from.clone(), backend: listener.local_addr()? };
    let claimed = dialers.claim(socket.local_addr()?, claim);
    Ok((Dialing { socket, claimed }, listener))
}

async fn await_reset(mut near: TcpStream, there: &Asked, back: &Asked, began: Instant) -> Finding {
    match timeout(SLACK, near.read_u8()).await {
        Ok(Err(e)) => reset_seen(there, back, &e, began),
        Ok(Ok(_)) => there.finding(false, "a byte arrived, asked a reset"),
        Err(_) => there.finding(false, format!("no reset within {SLACK:?}")),
    }
}

fn reset_seen(there: &Asked, back: &Asked, e: &std::io::Error, began: Instant) -> Finding {
    let asked = if there.link.delivery == Delivery::Reset { there } else { back };
    match e.kind() {
        std::io::ErrorKind::ConnectionReset => {
            asked.finding(true, format!("connection reset after {}", ms(began.elapsed())))
        }
        _ => asked.finding(false, format!("{e}, asked a reset")),
    }
}

/// Sends a byte, then as much as the bandwidth lets through, and looks at what arrives when.
async fn one_way(asked: &Asked, mut out: OwnedWriteHalf, mut into: OwnedReadHalf) -> Finding {
    let link = asked.link;
    let began = Instant::now();
    if let Err(e) = out.write_all(b"?").await {
        return asked.finding(false, format!("not sent: {e}"));
    }
    let slowest = link.latency.0 + link.jitter.0 + SLACK + first_byte(link);
    let bound = if link.delivery == Delivery::Drop { SILENCE } else { slowest };
    let answer = timeout(bound, into.read_u8()).await;
    let took = began.elapsed();
    match (answer, link.delivery) {
        (Err(_), Delivery::Drop) => asked.finding(true, format!("nothing within {}", ms(bound))),
        (Ok(Ok(_)), Delivery::Drop) => {
            asked.finding(false, format!("passed in {}, asked to be cut", ms(took)))
        }
        (Err(_), _) => asked.finding(false, format!("nothing within {}", ms(bound))),
        (Ok(Err(e)), _) => asked.finding(false, format!("{e} after {}", ms(took))),
        (Ok(Ok(_)), _) => {
            let late = delayed(asked, took);
            match link.bandwidth {
                Some(bandwidth) if late.as_asked => burst(asked, bandwidth, out, into).await,
                _ => late,
            }
        }
    }
}

/// How long one byte may have to wait for its share of a very low bandwidth.
fn first_byte(link: Link) -> Duration {
    let bits = link.bandwidth.map_or(u64::MAX, |b| b.bits_per_second());
    Duration::from_secs_f64(8.0 / bits as f64)
}

fn delayed(asked: &Asked, took: Duration) -> Finding {
    let (latency, jitter) = (asked.link.latency.0, asked.link.jitter.0);
    if latency.is_zero() && jitter.is_zero() {
        return asked.finding(true, format!("passed in {}", ms(took)));
    }
    let spread = if jitter.is_zero() { String::new() } else { format!(" +- {}", ms(jitter)) };
    let text = format!("one way {}, asked {}{spread}", ms(took), ms(latency));
    asked.finding(took >= latency.saturating_sub(jitter), text)
}

/// Sends as much as it can for a while, and counts what arrives.
async fn burst(
    asked: &Asked,
    bandwidth: Bandwidth,
    mut out: OwnedWriteHalf,
    mut into: OwnedReadHalf,
) -> Finding {
    // From the sending on, and not from the first look at what arrived: a machine that has no time for us lets it pile
    // up until then. None of it can be here before the least latency.
    let least = asked.link.latency.0.saturating_sub(asked.link.jitter.0);
    let since = Instant::now() + least;
    let flood = async {
        let zeros = vec![0; 64 << 10];
        while out.write_all(&zeros).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let count = async {
        let mut buffer = vec![0; 64 << 10];
        let (mut began, mut bytes) = (None, 0_usize);
        let patience = asked.link.latency.0 + asked.link.jitter.0 + BURST;
        while let Ok(Ok(read @ 1..)) = timeout(patience, into.read(&mut buffer)).await {
            bytes += read;
            if began.get_or_insert_with(Instant::now).elapsed() >= BURST {
                break;
            }
        }
        (bytes, since.elapsed())
    };
    let (bytes, took) = tokio::select! {
        counted = count => counted,
        () = flood => return asked.finding(false, "the burst was not sent"),
    };
    let bits = bandwidth.bits_per_second() as f64;
    // What a silence saved up, one read's grain, and a quarter for the clock's sake.
    let most = (bits / 8.0 * (took.as_secs_f64() + 0.02) + 1.0) * 1.25;
    let text = format!("{bytes} bytes in {}, asked at most {bandwidth}", ms(took));
    asked.finding(bytes as f64 <= most, text)
}

/// As evidence shows it: milliseconds with one decimal, below one whole microseconds.
pub(super) fn ms(span: Duration) -> String {
    match span < Duration::from_millis(1) {
        true => format!("{} \u{b5}s", span.as_micros()),
        false => format!("{:.1} ms", span.as_secs_f64() * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_are_told_in_microseconds() {
        assert_eq!(ms(Duration::from_nanos(41_900)), "41 \u{b5}s");
        assert_eq!(ms(Duration::from_micros(1_250)), "1.2 ms");
    }
}
