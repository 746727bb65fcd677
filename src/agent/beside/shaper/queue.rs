//! Frames that wait for their time. Pure but for chance: the clock is handed in.
//!
//! A link's frames leave in the order in which they came, jitter or not, as through a wire; only those that chance
//! picks to overtake do. What a bandwidth does not let pass waits, up to [`BACKLOG`]; what comes then is lost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::fate::{Chances, added};
use super::frame::{destination, flip, sender};
use crate::agent::beside::protocol::HeldLink;
use crate::condition::Link;

/// How much a limited link may be behind, as routers' queues are.
const BACKLOG: Duration = Duration::from_millis(250);
/// But at least so many bits: some long frames.
const BACKLOG_BITS: u64 = 16 * 1514 * 8;
/// The most bytes that wait in all, so that the container's memory suffices.
const BYTES_MAX: usize = 64 << 20;

/// Whence frames come: the interface, and its hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) interface: u32,
    pub(super) hardware: [u8; 6],
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// This frame leaves to this interface.
    Now {
        /// The interface.
        device: u32,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Nothing yet.
    Later,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: BinaryHeap<Reverse<Waiting>>,
    bytes: usize,
    /// How many frames ever came: who came first leaves first.
    came: u64,
    links: Vec<Shaped>,
    by_address: HashMap<IpAddr, usize>,
    /// How many links ever were: a link's number is never another's.
    numbers: u64,
    random: ChaCha8Rng,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            waiting: BinaryHeap::new(),
            bytes: 0,
            came: 0,
            links: vec![],
            by_address: HashMap::new(),
            numbers: 0,
            random: ChaCha8Rng::from_rng(&mut rand::rng()),
        }
    }
}

/// Ordered by when it leaves.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Instant,
    came: u64,
    link: u64,
    device: u32,
    frame: Vec<u8>,
}

#[derive(Debug)]
struct Shaped {
    number: u64,
    held: HeldLink,
    chances: Chances,
    /// When the last frame has passed the bandwidth.
    free: Option<Instant>,
    /// When the last frame that does not overtake leaves.
    last: Option<Instant>,
}

impl Queue {
    /// Shapes exactly these links. One to the same addresses goes on where it is; the frames of one that is no
    /// more are due.
    pub(super) fn set(&mut self, links: Vec<HeldLink>, now: Instant) {
        let mut before = std::mem::take(&mut self.links);
        for held in links {
            let same = before.iter().position(|shaped| shaped.held.peers == held.peers);
            let shaped = match same.map(|at| before.swap_remove(at)) {
                Some(shaped) => Shaped { held, ..shaped },
                None => {
                    self.numbers += 1;
                    let chances = Chances::default();
                    Shaped { number: self.numbers, held, chances, free: None, last: None }
                }
            };
            self.links.push(shaped);
        }
        let links = self.links.iter().enumerate();
        self.by_address = links
            .flat_map(|(at, shaped)| shaped.held.peers.iter().map(move |p| (p.to_canonical(), at)))
            .collect();
        let gone: HashSet<u64> = before.iter().map(|shaped| shaped.number).collect();
        if !gone.is_empty() {
            let waiting = std::mem::take(&mut self.waiting).into_iter();
            self.waiting = waiting
                .map(|Reverse(w)| match gone.contains(&w.link) {
                    true => Reverse(Waiting { due: now.min(w.due), ..w }),
                    false => Reverse(w),
                })
                .collect();
        }
    }

    /// A frame came.
    pub(super) fn take(&mut self, line: Line, frame: &[u8], now: Instant) {
        let to = destination(frame);
        let Some(at) = to.and_then(|to| self.by_address.get(&to.to_canonical()).copied()) else {
            // Of a link that was healed since; or what the device itself says, which is nobody's.
            if sender(frame) == Some(line.hardware) {
                self.push(now, 0, line, frame.to_vec());
            }
            return;
        };
        let Queue { links, random, .. } = self;
        let Some(shaped) = links.get_mut(at) else { return };
        let link = shaped.held.link;
        let fate = shaped.chances.draw(&link, random);
        if !fate.arrives {
            return;
        }
        for _ in 0..if fate.twice { 2 } else { 1 } {
            let Queue { links, random, .. } = self;
            let Some(shaped) = links.get_mut(at) else { return };
            let Some(passed) = shaped.pass(&link, frame.len(), now) else { return };
            let due = match fate.overtakes {
                true => passed,
                false => shaped.in_turn(passed + added(&link, random)),
            };
            let number = shaped.number;
            let mut frame = frame.to_vec();
            if let Some(at) = fate.flipped {
                flip(&mut frame, at);
            }
            self.push(due, number, line, frame);
        }
    }

    fn push(&mut self, due: Instant, link: u64, line: Line, frame: Vec<u8>) {
        if self.bytes + frame.len() > BYTES_MAX {
            return;
        }
        self.bytes += frame.len();
        self.came += 1;
        let (came, device) = (self.came, line.interface);
        self.waiting.push(Reverse(Waiting { due, came, link, device, frame }));
    }

    /// When the next frame is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse(waiting)| waiting.due)
    }

    /// The next frame that is due by now.
    pub(super) fn next(&mut self, now: Instant) -> Leaving {
        if self.due().is_none_or(|due| due > now) {
            return Leaving::Later;
        }
        match self.waiting.pop() {
            Some(Reverse(Waiting { device, frame, .. })) => {
                self.bytes -= frame.len();
                Leaving::Now { device, frame }
            }
            None => Leaving::Later,
        }
    }
}

impl Shaped {
    /// When a frame has passed the bandwidth; `None`: it finds no room.
    fn pass(&mut self, link: &Link, bytes: usize, now: Instant) -> Option<Instant> {
        let Some(bandwidth) = link.bandwidth else { return Some(now) };
        let takes =
            |bits: u64| Duration::from_secs_f64(bits as f64 / bandwidth.bits_per_second() as f64);
        let free = self.free.map_or(now, |free| free.max(now));
        if free - now > BACKLOG.max(takes(BACKLOG_BITS)) {
            return None;
        }
        let passed = free + takes(bytes as u64 * 8);
        self.free = Some(passed);
        Some(passed)
    }

    /// Not before the one before it.
    fn in_turn(&mut self, due: Instant) -> Instant {
        let due = self.last.map_or(due, |last| last.max(due));
        self.last = Some(due);
        due
    }
}
