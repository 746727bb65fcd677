//! One connection through a front: the gate that a new one waits at, then both pumps, then its end.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpStream;

use super::pump::{Ended, pump};
use super::switchboard::Wire;
use crate::condition::{Delivery, Link};

/// The live links of a connection, as its dialer sees it.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// From the dialer to the node.
    pub there: Wire,
    /// From the node to the dialer.
    pub back: Wire,
}

impl Path {
    fn links(&mut self) -> (Link, Link) {
        (*self.there.link.borrow_and_update(), *self.back.link.borrow_and_update())
    }
    fn resets(&mut self) -> bool {
        let (there, back) = self.links();
        there.delivery == Delivery::Reset || back.delivery == Delivery::Reset
    }
    /// Waits for a change of either link. `false`: there will be none.
    async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.there.link.changed() => changed.is_ok(),
            changed = self.back.link.changed() => changed.is_ok(),
        }
    }
    /// Returns once the connection is to be reset.
    async fn reset(mut self) {
        while !self.resets() {
            if !self.changed().await {
                return;
            }
        }
    }
}

/// Serves an accepted connection to its end. `gated`: it waits for a handshake's worth of healthy
/// link first.
pub(super) async fn serve(mut dialer: TcpStream, node: SocketAddr, path: Path, gated: bool) {
    // Nagle's delay would be added to each round trip. It only costs speed if it cannot be switched
    // off.
    let _ = dialer.set_nodelay(true);
    if gated && !gate(&dialer, path.clone()).await {
        return reset(&[&dialer]);
    }
    let mut node = tokio::select! {
        connected = TcpStream::connect(node) => match connected {
            Ok(node) => node,
            Err(_) => {
                // The refusal has to come back over the link, too.
                gate(&dialer, path).await;
                return reset(&[&dialer]);
            }
        },
        () = path.clone().reset() => return reset(&[&dialer]),
    };
    let _ = node.set_nodelay(true);
    let (there, back) = (path.there.clone(), path.back.clone());
    let clean = tokio::select! {
        biased;
        () = path.reset() => false,
        clean = both(&mut dialer, &mut node, there, back) => clean,
    };
    if !clean {
        reset(&[&dialer, &node]);
    }
}

/// Pumps both ways. `true` if both directions were closed in order.
async fn both(dialer: &mut TcpStream, node: &mut TcpStream, there: Wire, back: Wire) -> bool {
    let ((from_dialer, to_dialer), (from_node, to_node)) = (dialer.split(), node.split());
    // Made where they stay: one that is moved first takes its room twice, and there may be thousands.
    let mut there = pin!(pump(from_dialer, to_node, there));
    let mut back = pin!(pump(from_node, to_dialer, back));
    let (first, mut rest) = tokio::select! {
        ended = &mut there => (ended, back),
        ended = &mut back => (ended, there),
    };
    match first {
        Ended::Reset => false,
        // Who refuses may still have sent something before: that, and its end, still pass.
        Ended::Refused => {
            rest.as_mut().await;
            false
        }
        Ended::Closed => rest.as_mut().await == Ended::Closed,
    }
}

/// Waits as a handshake would: both directions must pass, and one round trip of their latency.
/// `false` if the connection is to be reset: by a link, or because the dialer gave up.
async fn gate(dialer: &TcpStream, mut path: Path) -> bool {
    loop {
        let (there, back) = path.links();
        if there == Link::default() && back == Link::default() {
            return true;
        }
        let deliveries = [there.delivery, back.delivery];
        if deliveries.contains(&Delivery::Reset) {
            return false;
        }
        let passes = deliveries == [Delivery::Pass; 2];
        let round_trip = there.latency.0.saturating_add(back.latency.0);
        tokio::select! {
            () = tokio::time::sleep(round_trip), if passes => return true,
            changed = path.changed() => if !changed { return false },
            // Over a late link it may well have said all it has to say: that is not giving up.
            () = closed(dialer), if !passes => return false,
        }
    }
}

/// Returns when the peer has closed or reset the connection, whatever it has written before.
async fn closed(stream: &TcpStream) {
    let interest = tokio::io::Interest::READABLE;
    loop {
        match stream.ready(interest).await {
            Ok(ready) if !ready.is_read_closed() => {
                // Readable stays so while bytes wait: look again a little later.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            _ => return,
        }
    }
}

/// Closes by a reset, so that the peer is told at once (`SO_LINGER` of zero), when the streams are
/// dropped.
fn reset(streams: &[&TcpStream]) {
    for stream in streams {
        // Failing that it is closed in order, which is the best that is left.
        let _ = stream.set_zero_linger();
    }
}
