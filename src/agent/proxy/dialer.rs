//! Who dials: the node whose process holds the other end of an accepted connection.
//!
//! The way: the connection's addresses, to the socket's inode ([`super::socket`]), to the process
//! that has it open (`/proc/PID/fd`), to its node (the roster). All of one network namespace. A
//! dialer that is no node's process is a client.
//!
//! A prober inside the runner is no node's process: it claims its socket for a node beforehand.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustix::process::Pid;

use super::front::Backend;
use super::socket::inode;
use crate::agent::process::{Member, Roster, stat};
use crate::condition::Peer;

/// A socket of the runner's that stands for somebody.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whom it stands for.
    pub peer: Peer,
    /// Where its connection leads, in place of the node behind the front.
    pub backend: SocketAddr,
}

/// Knows who dials.
#[derive(Debug)]
pub struct Dialers {
    roster: Arc<Roster>,
    claims: Mutex<HashMap<SocketAddr, Claim>>,
    /// The processes that were seen last: most dialers dial again.
    seen: Mutex<Vec<Member>>,
}

/// A claim that stands for as long as this lives.
#[derive(Debug)]
pub struct Claimed {
    dialers: Arc<Dialers>,
    socket: SocketAddr,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut claims = self.dialers.claims.lock().unwrap_or_else(|p| p.into_inner());
        claims.remove(&self.socket);
    }
}

impl Dialers {
    /// Knows the processes of this roster.
    pub fn new(roster: Arc<Roster>) -> Dialers {
        Dialers { roster, claims: Mutex::default(), seen: Mutex::default() }
    }

    /// From now on a connection from this socket is what the claim says.
    pub fn claim(self: &Arc<Self>, socket: SocketAddr, claim: Claim) -> Claimed {
        self.claims.lock().unwrap_or_else(|p| p.into_inner()).insert(socket, claim);
        Claimed { dialers: self.clone(), socket }
    }

    pub(super) fn claimed(&self, dialer: SocketAddr) -> Option<Claim> {
        self.claims.lock().unwrap_or_else(|p| p.into_inner()).get(&dialer).cloned()
    }

    /// Who holds the socket `dialer` that is connected to `front`. Blocks for less than a
    /// millisecond if the holder dialed before, for some if all processes must be looked at.
    pub fn who(&self, dialer: SocketAddr, front: SocketAddr) -> Peer {
        match inode(dialer, front).and_then(|inode| self.holder(inode)) {
            Some(member) => Peer::Node(member.node),
            None => Peer::Clients,
        }
    }

    fn holder(&self, inode: u64) -> Option<Member> {
        let link = format!("socket:[{inode}]");
        let seen = self.seen.lock().unwrap_or_else(|p| p.into_inner()).clone();
        let same = |m: &Member| stat(m.pid).is_some_and(|s| s.started == m.started);
        if let Some(member) = seen.iter().find(|m| has_open(m.pid, &link) && same(m)) {
            return Some(member.clone());
        }
        let members = self.roster.members();
        let mut fresh = members.iter().filter(|m| !seen.contains(m));
        let holder = fresh.find(|m| has_open(m.pid, &link)).cloned();
        *self.seen.lock().unwrap_or_else(|p| p.into_inner()) = members;
        holder
    }
}

pub(super) fn has_open(pid: Pid, link: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()));
    let mut open = entries.into_iter().flatten().flatten();
    open.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link))
}

impl Claim {
    pub(super) fn leads_to(&self) -> Backend {
        Backend { address: self.backend, gated: false }
    }
}
