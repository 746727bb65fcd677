//! The agent in the place of the node's resolvers, while look-ups suffer: it answers the names that do in their name,
//! and hands on everything else, as it is, both ways.
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

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::resolv_conf::ResolvConf;
use super::netfilter::{Netfilter, Redirection};
use crate::condition::Dns;
pub(super) use look_up::look_up;

const PORT: u16 = 53;
/// How many questions over UDP may be with a resolver at once.
const QUESTIONS_MAX: usize = 512;
/// How many connections the agent may have in a resolver's place.
const CONNECTIONS_MAX: usize = 128;
/// How often a free port is looked for that both UDP and TCP have.
const PORT_TRIES: u32 = 16;
/// How often it is looked whether what was asked before a heal is answered.
const SWEEP: Duration = Duration::from_millis(100);
/// How long that may take.
const RELEASE: Duration = Duration::from_secs(15);

/// What a resolver's place suffers just now.
type Told = watch::Receiver<Arc<Dns>>;

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
    questions: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    _serving: [AbortOnDropHandle<()>; 2],
}

impl Resolvers {
    /// Has look-ups suffer exactly this from now on; on an error, what was held before is held on.
    pub(super) fn hold(&mut self, dns: Dns, filter: &mut Netfilter) -> Result<(), String> {
        let asked = match dns.is_healthy() {
            true => vec![],
            false => ResolvConf::read()?.nameservers,
        };
        for resolver in &asked {
            if !self.places.contains_key(resolver) {
                match Place::take(*resolver) {
                    Ok(place) => self.places.insert(*resolver, place),
                    // Without the family nobody else reaches this resolver, either.
                    Err(why) if is_without_family(&why) => continue,
                    Err(why) => return Err(format!("cannot stand in for {resolver}: {why}")),
                };
            }
        }
        let before: Vec<_> = self.places.values().map(Place::state).collect();
        let dns = Arc::new(dns);
        for (resolver, place) in &mut self.places {
            // First what is suffered, so that the first question that comes suffers it.
            match asked.contains(resolver) {
                true => place.set((dns.clone(), None)),
                false => place.release(),
            }
        }
        if let Err(why) = filter.redirect(&self.redirections()) {
            self.places.values_mut().zip(before).for_each(|(place, before)| place.set(before));
            return Err(format!("the kernel refuses to redirect questions: {why}"));
        }
        self.plan_sweep();
        Ok(())
    }

    /// When [`Resolvers::sweep`] is due.
    pub(super) fn sweep_at(&self) -> Option<Instant> {
        self.sweep
    }

    /// Leaves the places in which nothing is suffered and nothing under way any more, with their rules.
    pub(super) fn sweep(&mut self, filter: &mut Netfilter) {
        let stay = |place: &Place| !place.is_done();
        let left: Vec<Redirection> = self.redirections_of(|place| stay(place)).collect();
        // If it fails the rules stay, and so do those whom they need.
        if left.len() < self.places.len() && filter.redirect(&left).is_ok() {
            self.places.retain(|_, place| stay(place));
        }
        self.plan_sweep();
    }

    fn plan_sweep(&mut self) {
        let released = self.places.values().any(|place| place.released.is_some());
        self.sweep = released.then(|| Instant::now() + SWEEP);
    }

    fn redirections(&self) -> Vec<Redirection> {
        self.redirections_of(|_| true).collect()
    }

    fn redirections_of(&self, which: impl Fn(&Place) -> bool) -> impl Iterator<Item = Redirection> {
        let places = self.places.iter().filter(move |(_, place)| which(place));
        places.map(|(resolver, place)| Redirection {
            resolver: *resolver,
            agent: place.agent,
            asked: place.released.is_none(),
        })
    }
}

impl Place {
    /// Listens in the place of a resolver; nobody is sent here yet.
    fn take(resolver: IpAddr) -> io::Result<Place> {
        let (datagrams, listener) = listen(resolver)?;
        let agent = datagrams.local_addr()?;
        let questions = Arc::new(Semaphore::new(QUESTIONS_MAX));
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (suffers, told) = watch::channel(Arc::new(Dns::default()));
        let at = SocketAddr::new(resolver, PORT);
        let serving = [
            tokio::spawn(datagrams::serve(datagrams, at, told.clone(), questions.clone())),
            tokio::spawn(streams::serve(listener, at, told, connections.clone())),
        ];
        let released = Some(Instant::now());
        let _serving = serving.map(AbortOnDropHandle::new);
        Ok(Place { agent, suffers, released, questions, connections, _serving })
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
        let idle = self.questions.available_permits() == QUESTIONS_MAX
            && self.connections.available_permits() == CONNECTIONS_MAX;
        self.released.is_some_and(|since| {
            let past = since.elapsed();
            past >= RELEASE || (idle && past >= SWEEP)
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
