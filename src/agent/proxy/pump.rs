//! One direction of one connection: from the sender's socket, through the delay line, into the
//! receiver's.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

use super::delay::{DelayLine, Next};
use super::switchboard::Wire;

/// How a direction ended. Each is known to the receiver only when the link lets it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The sender closed its side, and the receiver was told.
    Closed,
    /// The sender reset the connection (or died); the receiver is to be told now.
    Reset,
    /// The receiver takes nothing more.
    Refused,
}

/// How much is read at once: little at first, since most connections say little and there may be thousands;
/// more as soon as a read fills what there is.
const AT_ONCE_FIRST: usize = 2 << 10;
const AT_ONCE_MAX: usize = 64 << 10;

/// Pumps until the stream ends. Cancel-safe in so far as a dropped pump leaves both sockets open.
pub(super) async fn pump(mut from: ReadHalf<'_>, to: WriteHalf<'_>, wire: Wire) -> Ended {
    let Wire { mut link, bucket } = wire;
    let mut pump = Pump {
        line: DelayLine::new(*link.borrow_and_update(), bucket, Instant::now()),
        reset: false,
    };
    let mut buffer = vec![0; AT_ONCE_FIRST];
    loop {
        let (timer, blocked) = match pump.deliver(&to) {
            Ok(waits) => waits,
            Err(ended) => return ended,
        };
        tokio::select! {
            biased;
            changed = link.changed() => match changed {
                Ok(()) => pump.line.set(*link.borrow_and_update(), Instant::now()),
                // The switchboard is gone: the run is over.
                Err(_) => return Ended::Reset,
            },
            _ = to.writable(), if blocked => (),
            () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => (),
            // In place of `readable` and `try_read`: it knows from a short read that there is no
            // more.
            read = from.read(&mut buffer), if pump.line.has_room() => {
                let bytes = read.map(|count| buffer.get(..count).unwrap_or_default());
                let filled = bytes.as_ref().is_ok_and(|bytes| bytes.len() == buffer.len());
                if let Err(ended) = pump.take(bytes, &to) {
                    return ended;
                }
                if filled && buffer.len() < AT_ONCE_MAX {
                    buffer.resize(buffer.len() * 2, 0);
                }
            }
        }
    }
}

struct Pump {
    line: DelayLine,
    /// Whether the end under way is a reset.
    reset: bool,
}

impl Pump {
    /// Takes what was read, and hands on at once what may leave at once.
    fn take(&mut self, read: io::Result<&[u8]>, to: &WriteHalf<'_>) -> Result<(), Ended> {
        let read = match read {
            Ok([]) => {
                self.line.push_end(Instant::now());
                return Ok(());
            }
            Err(_) => {
                self.reset = true;
                self.line.push_end(Instant::now());
                return Ok(());
            }
            Ok(read) => read,
        };
        let written = match self.line.is_clear() {
            true => write(to, read)?,
            false => 0,
        };
        let rest = read.get(written..).unwrap_or_default();
        if !rest.is_empty() {
            self.line.push(rest, Instant::now(), rand::random_range(-1.0..=1.0));
        }
        Ok(())
    }

    /// Writes whatever may leave now. Returns when to look again, and whether the receiver is full.
    fn deliver(&mut self, to: &WriteHalf<'_>) -> Result<(Option<Instant>, bool), Ended> {
        loop {
            match self.line.next(Instant::now()) {
                Next::Nothing => return Ok((None, false)),
                Next::At(at) => return Ok((Some(at), false)),
                Next::End if self.reset => return Err(Ended::Reset),
                Next::End => {
                    // The other side may be gone already; its own direction tells.
                    let _ = shut(to);
                    return Err(Ended::Closed);
                }
                Next::Bytes(count) => {
                    let head = self.line.head();
                    match write(to, head.get(..count).unwrap_or(head)) {
                        Ok(0) => return Ok((None, true)),
                        Ok(written) => self.line.pop(written),
                        Err(ended) => {
                            self.line.discard();
                            return Err(ended);
                        }
                    }
                }
            }
        }
    }
}

/// Writes what fits; 0 if nothing does.
fn write(to: &WriteHalf<'_>, bytes: &[u8]) -> Result<usize, Ended> {
    match to.try_write(bytes) {
        Ok(written) => Ok(written),
        Err(e) if would_block(&e) => Ok(0),
        Err(_) => Err(Ended::Refused),
    }
}

fn would_block(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn shut(to: &WriteHalf<'_>) -> rustix::io::Result<()> {
    rustix::net::shutdown(to.as_ref(), rustix::net::Shutdown::Write)
}
