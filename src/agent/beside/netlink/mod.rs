//! Netlink sockets: requests to the kernel's network, and what it answers (netlink(7), rtnetlink(7)).
//!
//! Invariant: an exchange leaves nothing in the socket that the next one would take for its own. Deliberately
//! absent: what the messages mean.

mod message;
mod reply;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_send_buffer_size, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send,
    socket_with,
};

pub(super) use message::Messages;
pub(super) use reply::{Attributes, Reply};

/// Asks for an acknowledgement.
pub(super) const ACK: u16 = 0x4;
/// Makes what is named, if it is not there.
pub(super) const CREATE: u16 = 0x400;
/// Refuses, if it is there.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// Changes it, if it is there.
pub(super) const REPLACE: u16 = 0x100;
/// Puts it behind what is there already.
pub(super) const APPEND: u16 = 0x800;
/// Asks for all there are.
pub(super) const DUMP: u16 = 0x300;
/// Every request.
pub(super) const REQUEST: u16 = 0x1;

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// How long a dump may take: it comes from memory.
const PATIENCE: Duration = Duration::from_secs(3);
/// Room for the longest transaction; the kernel gives what its limit allows.
const SEND_BUFFER: usize = 4 << 20;
const RECEIVE_BUFFER: usize = 64 << 10;

/// A socket to one of the kernel's families.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// What a netlink socket is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    Route,
    Netfilter,
    SocketDiagnosis,
}

impl Family {
    fn protocol(self) -> Option<Protocol> {
        match self {
            Family::Route => None,
            Family::Netfilter => Some(netlink::NETFILTER),
            Family::SocketDiagnosis => Some(netlink::SOCK_DIAG),
        }
    }
}

impl Netlink {
    pub(super) fn open(family: Family) -> io::Result<Netlink> {
        let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = socket_with(AddressFamily::NETLINK, raw, flags, family.protocol())?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
        Ok(Netlink { socket, sequence: 1 })
    }

    /// Messages to be filled; their sequence numbers are this socket's own.
    pub(super) fn messages(&mut self) -> Messages {
        Messages::after(self.sequence)
    }

    /// Sends messages, and waits for the last acknowledgement. The kernel's first refusal is the error.
    pub(super) fn tell(&mut self, messages: Messages) -> io::Result<()> {
        let last = self.send(messages)?;
        let mut refusal = None;
        let mut buffer = vec![0; RECEIVE_BUFFER];
        loop {
            let count = self.receive(&mut buffer, refusal.is_some());
            let count = match (count, refusal.take()) {
                // After a refusal there may be no acknowledgement: the end of what there is must do.
                (Err(_), Some(refusal)) => return Err(refusal),
                (count, held) => {
                    refusal = held;
                    count?
                }
            };
            for reply in reply::replies(buffer.get(..count).unwrap_or_default()) {
                if reply.kind != ERROR {
                    continue;
                }
                match reply.error() {
                    Some(error) => refusal = refusal.or(Some(error)),
                    None if reply.sequence == last => return refusal.map_or(Ok(()), Err),
                    None => {}
                }
            }
        }
    }

    /// Sends one request for a dump, and hands over each message of the answer.
    pub(super) fn dump(
        &mut self,
        request: Messages,
        mut each: impl FnMut(&Reply),
    ) -> io::Result<()> {
        let last = self.send(request)?;
        let mut buffer = vec![0; RECEIVE_BUFFER];
        loop {
            let count = self.receive(&mut buffer, false)?;
            for reply in reply::replies(buffer.get(..count).unwrap_or_default()) {
                match reply.kind {
                    _ if reply.sequence != last => {}
                    DONE => return Ok(()),
                    ERROR => return reply.error().map_or(Ok(()), Err),
                    _ => each(&reply),
                }
            }
        }
    }

    /// Returns the sequence number of the last answer to wait for.
    fn send(&mut self, messages: Messages) -> io::Result<u32> {
        let (bytes, last, answered) = messages.finish();
        self.sequence = last;
        send(&self.socket, &bytes, SendFlags::empty())?;
        Ok(answered)
    }

    fn receive(&self, buffer: &mut [u8], at_once: bool) -> io::Result<usize> {
        let flags = if at_once { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        let (count, _) = rustix::io::retry_on_intr(|| recv(&self.socket, &mut *buffer, flags))?;
        Ok(count)
    }
}
