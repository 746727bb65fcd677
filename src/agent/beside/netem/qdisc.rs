//! The queueing disciplines of a lane, as rtnetlink(7) and `linux/pkt_sched.h` have them: a token bucket at the
//! root, and netem in it.
//!
//! Each setting is told each time, the ones that are nothing too: what a change leaves out, the kernel leaves as it
//! was.

use std::io;
use std::time::Duration;

use super::chance::{Bursts, Lot};
use crate::agent::beside::netlink::{ACK, CREATE, Family, Messages, Netlink, REPLACE, REQUEST};
use crate::condition::Link;

const NEW_QDISC: u16 = 36;
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
/// Where the token bucket stands, and what it is called there; the same of netem.
const ROOT: (u32, u32) = (0xffff_ffff, 0x1_0000);
const INSIDE: (u32, u32) = (0x1_0001, 0x2_0000);
const ETHERNET: u8 = 1;

/// What no frame waits for: bytes a second.
const UNLIMITED: u64 = 1_000_000_000_000_000;
/// How much a limited link may be behind.
const BACKLOG: Duration = Duration::from_millis(250);
/// As many long frames may wait at the least, and as many frames at the most.
const FRAMES: (u64, u64) = (64, 40_000);
/// A long frame, in bits.
const FRAME_BITS: u64 = 1514 * 8;
/// What Ethernet and one VLAN add to the MTU.
const HEADERS: u32 = 18;
/// A bucket that limits holds the bytes of this time, for timers that are late.
const BUCKET: Duration = Duration::from_millis(1);

/// What one lane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) mtu: u32,
    latency: Duration,
    jitter: Duration,
    /// Bytes a second.
    rate: Option<u64>,
    /// The same, where netem's own rate is not enough: it does not hold for what overtakes.
    strict: Option<u64>,
    /// How many frames wait at most.
    limit: u32,
    loss: Lot,
    bursts: Option<Bursts>,
    duplicate: Lot,
    corrupt: Lot,
    reorder: Lot,
}

impl Settings {
    pub(super) fn of(link: &Link, mtu: u32) -> Settings {
        let (latency, jitter) = (link.latency.0, link.jitter.0);
        let lot = |share| Lot::of(share, link.correlation);
        let bits = link.bandwidth.map(|most| most.bits_per_second());
        let rate = bits.map(|bits| (bits / 8).max(1));
        let frames = bits.map_or(FRAMES.1, |bits| {
            let behind = (latency + jitter + BACKLOG).as_secs_f64();
            (bits as f64 * behind / FRAME_BITS as f64) as u64
        });
        let reorder = lot(link.reorder);
        // Where loss is the packet filter's, see `loses_first`.
        let loss = if loses_first(link) { Default::default() } else { link.loss };
        let bursts = Bursts::of(loss, link.correlation);
        Settings {
            mtu,
            latency,
            jitter,
            rate,
            strict: rate.filter(|_| reorder.threshold > 0),
            limit: frames.clamp(FRAMES.0, FRAMES.1) as u32,
            loss: if bursts.is_some() { Lot::default() } else { Lot::of(loss, Default::default()) },
            bursts,
            duplicate: lot(link.duplicate),
            corrupt: lot(link.corrupt),
            reorder,
        }
    }

    /// How long a frame may wait.
    pub(super) fn longest(&self) -> Duration {
        let rate = self.rate.unwrap_or(UNLIMITED) as f64;
        let queue = Duration::from_secs_f64(f64::from(self.limit) * (FRAME_BITS / 8) as f64 / rate);
        self.latency + self.jitter + queue
    }
}

/// Whether the packet filter loses what a link loses, before the rest comes to netem: netem would take a loss and a
/// duplicate of the same frame for none of either.
pub(in crate::agent::beside) fn loses_first(link: &Link) -> bool {
    let certain = link.loss == crate::quantity::Ratio::ALL;
    let alone = link.correlation.fraction() == 0.0 || certain;
    link.loss.fraction() > 0.0 && link.duplicate.fraction() > 0.0 && alone
}

/// The token bucket: cuts what is longer than a frame into frames, and limits where netem's own rate is not enough.
pub(super) fn split(device: u32, settings: &Settings) -> io::Result<()> {
    let rate = settings.strict.unwrap_or(UNLIMITED);
    let frame = settings.mtu.saturating_add(HEADERS);
    let bucket = settings.strict.map_or(0, |rate| (rate as f64 * BUCKET.as_secs_f64()) as u32);
    tell(device, ROOT, "tbf", |m| {
        let [low, none] = [rate.min(u32::MAX.into()) as u32, 0].map(u32::to_ne_bytes);
        let rates = [[0, ETHERNET, 0, 0], none, low, none, none, none];
        // It keeps no queue of its own, and its bucket is told in bytes.
        m.attribute(1, &[rates.concat(), [none; 3].concat()].concat());
        m.attribute(4, &rate.to_ne_bytes());
        m.attribute(6, &frame.max(bucket).to_ne_bytes());
    })
}

/// netem.
pub(super) fn emulate(device: u32, settings: &Settings) -> io::Result<()> {
    let Settings { loss, bursts, duplicate, corrupt, reorder, .. } = settings;
    let numbers = |all: &[u32]| all.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>();
    tell(device, INSIDE, "netem", |m| {
        // Every packet may overtake, where any may.
        let gap = u32::from(reorder.threshold > 0);
        m.raw(&numbers(&[0, settings.limit, loss.threshold, gap, duplicate.threshold, 0]));
        m.attribute(1, &numbers(&[0, loss.correlation, duplicate.correlation]));
        m.attribute(3, &numbers(&[reorder.threshold, reorder.correlation]));
        m.attribute(4, &numbers(&[corrupt.threshold, corrupt.correlation]));
        if let Some(Bursts { begin, end }) = bursts {
            m.nest(5, |m| m.attribute(2, &numbers(&[*begin, *end, 0, 0])));
        }
        // With a rate, even one that takes no time, netem keeps frames in order whatever the jitter.
        let rate = settings.rate.unwrap_or(UNLIMITED);
        m.attribute(6, &numbers(&[rate.min(u32::MAX.into()) as u32, 0, 0, 0]));
        if rate > u64::from(u32::MAX) {
            m.attribute(8, &rate.to_ne_bytes());
        }
        m.attribute(10, &nanoseconds(settings.latency));
        m.attribute(11, &nanoseconds(settings.jitter));
    })
}

fn nanoseconds(span: Duration) -> [u8; 8] {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX).to_ne_bytes()
}

fn tell(
    device: u32,
    (parent, handle): (u32, u32),
    kind: &str,
    options: impl FnOnce(&mut Messages),
) -> io::Result<()> {
    let mut socket = Netlink::open(Family::Route)?;
    let mut request = socket.messages();
    let header = [0, device, handle, parent, 0].map(u32::to_ne_bytes).concat();
    request.message(NEW_QDISC, REQUEST | ACK | CREATE | REPLACE, &header);
    request.text(KIND, kind);
    request.nest(OPTIONS, options);
    socket.tell(request)
}
