//! The agent in the place of the node's resolvers, while look-ups suffer: for the names that suffer it answers, or is
//! silent, as if it were the resolver; everything else it hands on as it is, both ways.
//!
//! Invariants: questions come here only while something is held, and by rules alone ([`super::netfilter`]); what is
//! held on to for others is bounded in number and time; nothing here keeps an order or the lease waiting.
//!
//! After a heal the agent stands by for a moment, with the rules for its answers only: what was asked before the heal
//! is answered, truly, and nobody waits for a question that was lost between two resolvers.
//!
//! Deliberately absent: a cache, and resolvers that processes know from elsewhere than resolv.conf(5).

mod datagrams;
mod look_up;
mod question;
mod resolv_conf;
mod streams;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::resolv_conf::ResolvConf;
use super::netfilter::{Netfilter, Redirection};
use crate::condition::Dns;
pub(super) use look_up::look_up;

const PORT: u16 = 53;
/// How often a free port is looked for that both UDP and TCP have.
const PORT_TRIES: u32 = 16;
/// How often it is looked whether what was asked before a heal is answered.
const SWEEP: Duration = Duration::from_millis(100);
/// How long that may take.
const RELEASE: Duration = Duration::from_secs(15);

/// What somebody needs to serve in a resolver's place.
#[derive(Clone)]
struct Post {
    /// Who is to answer truly.
    resolver: SocketAddr,
    /// What is suffered just now.
    told: watch::Receiver<Arc<Dns>>,
    under_way: TaskTracker,
}

/// The places in which the agent stands.
#[derive(Debug, Default)]
pub(super) struct Resolvers {
    places: BTreeMap<IpAddr, Place>,
    sweep: Option<Instant>,
}

/// One resolver's place.
#[derive(Debug)]
struct Place {
    agent: SocketAddr,
    suffers: watch::Sender<Arc<Dns>>,
    /// Since when nothing is suffered here any more.
    released: Option<Instant>,
    /// What was asked here and has no answer yet.
    under_way: TaskTracker,
    _serving: [AbortOnDropHandle<()>; 2],
}

impl Resolvers {
    /// Has look-ups suffer exactly this from now on; on an error, what was held before is held on.
    pub(super) fn hold(&mut self, dns: Dns, filter: &mut Netfilter) -> Result<(), String> {
        let asked = match dns.is_healthy() {
            true => vec![],
            false => ResolvConf::read()?.nameservers,
        };
        let held = self.take(&asked).and_then(|()| self.redirect(dns, &asked, filter));
        // Whatever came of it: a place that was taken in vain is left again.
        self.plan_sweep();
        held
    }

    /// Sees to it that the agent can answer in the place of each of these.
    fn take(&mut self, asked: &[IpAddr]) -> Result<(), String> {
        let mut unreachable = None;
        for resolver in asked {
            if self.places.contains_key(resolver) {
                continue;
            }
            match Place::take(*resolver) {
                Ok(place) => drop(self.places.insert(*resolver, place)),
                // Without the family nobody reaches this resolver, in whosever place.
                Err(why) if is_without_family(&why) => unreachable = Some((resolver, why)),
                Err(why) => return Err(format!("cannot stand in for {resolver}: {why}")),
            }
        }
        match unreachable {
            Some((resolver, why)) if !asked.iter().any(|one| self.places.contains_key(one)) => {
                Err(format!("no resolver can be stood in for: {resolver}: {why}"))
            }
            _ => Ok(()),
        }
    }

    fn redirect(
        &mut self,
        dns: Dns,
        asked: &[IpAddr],
        filter: &mut Netfilter,
    ) -> Result<(), String> {
        let before: Vec<_> = self.places.values().map(Place::state).collect();
        let dns = Arc::new(dns);
        for (resolver, place) in &mut self.places {
            // First what is suffered, so that the first question that comes suffers it.
            match asked.contains(resolver) {
                true => place.set((dns.clone(), None)),
                false => place.release(),
            }
        }
        filter.redirect(&self.redirections(|_| true)).map_err(|why| {
            self.places.values_mut().zip(before).for_each(|(place, before)| place.set(before));
            format!("the kernel refuses to redirect questions: {why}")
        })
    }

    /// When [`Resolvers::sweep`] is due.
    pub(super) fn sweep_at(&self) -> Option<Instant> {
        self.sweep
    }

    /// Leaves the places in which nothing is suffered and nothing under way any more, with their rules.
    pub(super) fn sweep(&mut self, filter: &mut Netfilter) {
        let stays: BTreeSet<IpAddr> = self
            .places
            .iter()
            .filter(|(_, place)| !place.is_done())
            .map(|(resolver, _)| *resolver)
            .collect();
        let left = self.redirections(|resolver| stays.contains(resolver));
        // If it fails the rules stay, and so does who is asked by them.
        if left.len() < self.places.len() && filter.redirect(&left).is_ok() {
            self.places.retain(|resolver, _| stays.contains(resolver));
        }
        self.plan_sweep();
    }

    fn plan_sweep(&mut self) {
        let released = self.places.values().any(|place| place.released.is_some());
        self.sweep = released.then(|| Instant::now() + SWEEP);
    }

    fn redirections(&self, of: impl Fn(&IpAddr) -> bool) -> Vec<Redirection> {
        let places = self.places.iter().filter(|(resolver, _)| of(resolver));
        let redirection = |(resolver, place): (&IpAddr, &Place)| Redirection {
            resolver: *resolver,
            agent: place.agent,
            asked: place.released.is_none(),
        };
        places.map(redirection).collect()
    }
}

impl Place {
    /// Listens in the place of a resolver; nobody is sent here yet.
    fn take(resolver: IpAddr) -> io::Result<Place> {
        let (datagrams, listener) = listen(resolver)?;
        let agent = datagrams.local_addr()?;
        let (suffers, told) = watch::channel(Arc::new(Dns::default()));
        let under_way = TaskTracker::new();
        let resolver = SocketAddr::new(resolver, PORT);
        let post = Post { resolver, told, under_way: under_way.clone() };
        let serving = [
            tokio::spawn(datagrams::serve(datagrams, post.clone())),
            tokio::spawn(streams::serve(listener, post)),
        ];
        let _serving = serving.map(AbortOnDropHandle::new);
        Ok(Place { agent, suffers, released: Some(Instant::now()), under_way, _serving })
    }

    fn state(&self) -> (Arc<Dns>, Option<Instant>) {
        (self.suffers.borrow().clone(), self.released)
    }

    fn set(&mut self, (suffers, released): (Arc<Dns>, Option<Instant>)) {
        self.suffers.send_replace(suffers);
        self.released = released;
    }

    fn release(&mut self) {
        let since = self.released.unwrap_or_else(Instant::now);
        self.set((Arc::default(), Some(since)));
    }

    /// Whether nobody needs the agent here any more, or nobody may any longer.
    fn is_done(&self) -> bool {
        self.released.is_some_and(|since| {
            let past = since.elapsed();
            past >= RELEASE || (self.under_way.is_empty() && past >= SWEEP)
        })
    }
}

/// A free port of loopback's, over UDP and TCP.
fn listen(resolver: IpAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let at: IpAddr = match resolver {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let datagrams = std::net::UdpSocket::bind((at, 0))?;
        match std::net::TcpListener::bind(datagrams.local_addr()?) {
            Err(why) if tries < PORT_TRIES && why.kind() == io::ErrorKind::AddrInUse => {}
            listener => {
                let listener = listener?;
                datagrams.set_nonblocking(true)?;
                listener.set_nonblocking(true)?;
                return Ok((UdpSocket::from_std(datagrams)?, TcpListener::from_std(listener)?));
            }
        }
    }
}

fn is_without_family(why: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::from_io_error(why) == Some(rustix::io::Errno::AFNOSUPPORT);
    unsupported || why.kind() == io::ErrorKind::AddrNotAvailable
}
