//! Probes: datagrams that say when they were sent, echoed by whoever has a prober. The agents have one each, and so
//! has the runner, from outside.
//!
//! Times are of the monotonic clock: one-way times are true where both ends share a kernel.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_recv_buffer_size};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::protocol::Probe;

/// How many arrivals are remembered, of all probes together; the oldest probe's go first.
const ARRIVALS_MAX: usize = 4096;
/// How often the listening thread looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(200);
const RECEIVE_BUFFER: usize = 1 << 20;

/// The monotonic clock, in nanoseconds.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// One datagram of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// Whether it is on its way back.
    pub echo: bool,
    /// The probe's number.
    pub probe: u64,
    /// Its own number, from 0.
    pub sequence: u32,
    /// When it was sent, by the sender's [`now`].
    pub sent: u64,
}

/// What every datagram begins with.
const MAGIC: [u8; 4] = *b"fdp1";

impl Datagram {
    /// How long it is.
    pub const LENGTH: usize = 28;

    /// The most by which one can be longer than [`Datagram::LENGTH`]: so that it is one packet on any network.
    pub const PADDING_MAX: u16 = 1200;

    /// Its bytes: the magic, whether it is an echo, its number, the probe's, the time; highest byte first.
    pub fn encode(&self) -> Vec<u8> {
        let echo = u32::from(self.echo).to_be_bytes();
        let numbers = [self.probe.to_be_bytes(), self.sent.to_be_bytes()];
        [&MAGIC[..], &echo, &self.sequence.to_be_bytes(), &numbers.concat()].concat()
    }

    /// What [`Datagram::encode`] wrote, whatever follows it; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Datagram> {
        if bytes.len() < Datagram::LENGTH || !bytes.starts_with(&MAGIC) {
            return None;
        }
        let short = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let echo = match short(4)? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Datagram { echo, sequence: short(8)?, probe: long(12)?, sent: long(20)? })
    }
}

/// Echoes the probes of others, remembers their arrival, and sends its own. A clone is the same prober.
#[derive(Debug, Clone)]
pub struct Prober {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    seen: Mutex<Seen>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    arrivals: Arrivals,
    /// The echoes of own probes that are under way.
    echoes: HashMap<u64, Echoes>,
}

#[derive(Debug, Default)]
struct Echoes {
    sequences: BTreeSet<u32>,
    times: Times,
}

/// How long datagrams were on their way, and over what time they came, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// Each, in the order in which they came.
    pub each: Vec<u64>,
    /// When the first came, and the last.
    first: u64,
    last: u64,
}

impl Times {
    fn note(&mut self, took: u64, arrived: u64) {
        if self.each.is_empty() {
            self.first = arrived;
        }
        self.last = arrived;
        self.each.push(took);
    }

    /// From the first arrival to the last.
    pub fn over(&self) -> u64 {
        self.last.saturating_sub(self.first)
    }
}

/// Arrivals by probe, in a bounded space.
#[derive(Debug, Default)]
struct Arrivals {
    probes: VecDeque<(u64, Times)>,
    count: usize,
}

impl Arrivals {
    fn note(&mut self, probe: u64, one_way: u64, arrived: u64) {
        while self.count >= ARRIVALS_MAX {
            match self.probes.front() {
                // Of one probe, the first ones are kept.
                Some((number, _)) if *number == probe => return,
                Some((_, times)) => self.count -= times.each.len(),
                None => return,
            }
            self.probes.pop_front();
        }
        match self.probes.iter_mut().rev().find(|(number, _)| *number == probe) {
            Some((_, times)) => times.note(one_way, arrived),
            None => {
                let mut times = Times::default();
                times.note(one_way, arrived);
                self.probes.push_back((probe, times));
            }
        }
        self.count += 1;
    }
}

impl Prober {
    /// Listens on a free port of every address, IPv4 and IPv6 where there is IPv6.
    pub fn bind() -> io::Result<Prober> {
        let socket = dual_stack().or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(LOOK))?;
        let port = socket.local_addr()?.port();
        let shared = Arc::new(Shared { socket, seen: Mutex::default(), news: Notify::new() });
        let listening = Arc::downgrade(&shared);
        let thread = std::thread::Builder::new().name("prober".into());
        thread.spawn(move || while listen(&listening) {})?;
        Ok(Prober { shared, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How long each datagram of a probe was on its way here.
    pub fn heard(&self, probe: u64) -> Times {
        let seen = self.shared.seen();
        let mut probes = seen.arrivals.probes.iter();
        probes
            .find(|(number, _)| *number == probe)
            .map_or_else(Times::default, |(_, times)| times.clone())
    }

    /// Sends a probe. Returns how many datagrams were sent, and the round trips of those whose echo came in time.
    /// What cannot be sent at all is sent and not answered: a refusal is a cut, too.
    pub async fn probe(&self, probe: &Probe) -> (u32, Times) {
        self.shared.seen().echoes.insert(probe.probe, Echoes::default());
        let begin = Instant::now();
        let to = self.reachable(probe.to);
        for sequence in 0..probe.count {
            sleep_until(begin + probe.every * sequence).await;
            let datagram = Datagram { echo: false, probe: probe.probe, sequence, sent: now() };
            let mut bytes = datagram.encode();
            bytes.resize(
                Datagram::LENGTH + usize::from(probe.padding.min(Datagram::PADDING_MAX)),
                0,
            );
            let _ = self.shared.socket.send_to(&bytes, to);
        }
        let until = Instant::now() + probe.wait;
        let complete = |seen: &Seen| {
            let echoes = seen.echoes.get(&probe.probe);
            echoes.is_none_or(|echoes| echoes.sequences.len() >= probe.count as usize)
        };
        loop {
            // Before looking, so that nothing that comes in between is missed.
            let news = self.shared.news.notified();
            if complete(&self.shared.seen()) || timeout_at(until, news).await.is_err() {
                break;
            }
        }
        let echoes = self.shared.seen().echoes.remove(&probe.probe).unwrap_or_default();
        (probe.count, echoes.times)
    }

    /// An IPv4 address as a socket of both must be told it.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (to.ip(), self.shared.socket.local_addr().map(|own| own.is_ipv6())) {
            (IpAddr::V4(v4), Ok(true)) => (v4.to_ipv6_mapped(), to.port()).into(),
            (ip, _) => (ip.to_canonical(), to.port()).into(),
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears one datagram, or nothing for a while. `false`: nobody needs it any more.
fn listen(shared: &Weak<Shared>) -> bool {
    let Some(shared) = shared.upgrade() else { return false };
    let mut buffer = [0; Datagram::LENGTH + Datagram::PADDING_MAX as usize];
    let Ok((count, from)) = shared.socket.recv_from(&mut buffer) else { return true };
    let arrived = now();
    let came = buffer.get(..count).unwrap_or_default();
    let Some(datagram) = Datagram::decode(came) else { return true };
    let took = arrived.saturating_sub(datagram.sent);
    if !datagram.echo {
        // First noted: whoever has the echo may ask at once what arrived.
        shared.seen().arrivals.note(datagram.probe, took, arrived);
        let echo = Datagram { echo: true, ..datagram };
        let mut bytes = echo.encode();
        bytes.resize(count, 0); // as long as it came: so a limit on the way back shows
        let _ = shared.socket.send_to(&bytes, from);
        return true;
    }
    if let Some(echoes) = shared.seen().echoes.get_mut(&datagram.probe) {
        echoes.sequences.insert(datagram.sequence);
        echoes.times.note(took, arrived);
    }
    shared.news.notify_waiters();
    true
}

fn dual_stack() -> io::Result<UdpSocket> {
    let (datagrams, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::INET6, datagrams, flags, None)?;
    set_ipv6_v6only(&socket, false)?;
    bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_datagram_reads_back_as_it_was_written(
            echo: bool, probe: u64, sequence: u32, sent: u64,
        ) {
            let datagram = Datagram { echo, probe, sequence, sent };
            prop_assert_eq!(datagram.encode().len(), Datagram::LENGTH);
            prop_assert_eq!(Datagram::decode(&datagram.encode()), Some(datagram));
        }

        #[test]
        fn other_bytes_are_no_datagram(bytes: Vec<u8>) {
            let decoded = Datagram::decode(&bytes);
            prop_assert!(decoded.is_none_or(|datagram| bytes.starts_with(&datagram.encode())));
        }
    }

    #[test]
    fn arrivals_are_bounded_and_the_oldest_probe_goes_first() {
        let mut arrivals = Arrivals::default();
        for probe in 0..10_u64 {
            (0..1000).for_each(|time| arrivals.note(probe, time, time));
        }
        assert!(arrivals.count <= ARRIVALS_MAX);
        assert_eq!(
            arrivals.count,
            arrivals.probes.iter().map(|(_, t)| t.each.len()).sum::<usize>()
        );
        assert!(arrivals.probes.iter().all(|(probe, _)| *probe >= 6), "{:?}", arrivals.probes);
        (0..10_000).for_each(|time| arrivals.note(99, time, time));
        assert!(arrivals.count <= ARRIVALS_MAX);
    }

    #[tokio::test]
    async fn a_prober_echoes_and_remembers_arrivals() {
        let (one, other) = (Prober::bind().unwrap(), Prober::bind().unwrap());
        let probe = |to: Ipv4Addr| Probe {
            probe: 7,
            to: (to, other.port()).into(),
            count: 5,
            padding: 900,
            every: Duration::from_millis(1),
            wait: Duration::from_secs(60),
        };
        let (sent, Times { each: round_trips, .. }) = one.probe(&probe(Ipv4Addr::LOCALHOST)).await;
        assert_eq!((sent, round_trips.len()), (5, 5));
        let one_way = other.heard(7).each;
        assert_eq!(one_way.len(), 5);
        assert!(one_way.iter().zip(&round_trips).all(|(there, both)| there <= both));
        assert_eq!((one.heard(7), other.heard(8)), Default::default());
    }
}
