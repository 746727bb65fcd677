//! The bytes under way in one direction: in order, each with the instant at which it came, so that
//! a change of the link holds for what is under way, too.
//!
//! Pure: instants are given. Invariant: bytes leave in the order in which they came, whatever the
//! jitter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::condition::{Delivery, Link};
use crate::quantity::Bandwidth;

/// The most bytes that wait in one direction.
const MOST_BYTES: usize = 1 << 20;
/// The most chunks that wait: bounds what many small ones cost.
const MOST_CHUNKS: usize = 16_384;
/// A token bucket holds what passes in this time.
const BURST: Duration = Duration::from_millis(20);
/// Under a bandwidth, this much time's worth of bytes leaves at once, so that timers stay few.
const QUANTUM: Duration = Duration::from_millis(2);

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// How much of it has left.
    left: usize,
    came: Instant,
    /// Its place in the jitter's range, from -1 to 1.
    jitter: f64,
}

/// What may happen next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing is under way, or nothing may leave before the link changes.
    Nothing,
    /// Nothing may leave before this instant.
    At(Instant),
    /// This many bytes at the head may leave.
    Bytes(usize),
    /// The end of the stream may leave: all before it has.
    End,
}

/// One direction's bytes under way.
#[derive(Debug)]
pub(super) struct DelayLine {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// When the end of the stream came.
    end: Option<Instant>,
    link: Link,
    /// When the link last passed again: what was held is sent anew, and takes the latency anew.
    passed: Instant,
    bucket: Arc<Mutex<Bucket>>,
}

impl DelayLine {
    /// An empty line over a link whose connections share a bucket.
    pub(super) fn new(link: Link, bucket: Arc<Mutex<Bucket>>, now: Instant) -> DelayLine {
        DelayLine { chunks: VecDeque::new(), bytes: 0, end: None, link, passed: now, bucket }
    }

    /// The link has changed.
    pub(super) fn set(&mut self, link: Link, now: Instant) {
        if self.link.delivery != Delivery::Pass && link.delivery == Delivery::Pass {
            self.passed = now;
        }
        self.link = link;
    }

    /// Whether bytes may leave the moment they come.
    pub(super) fn is_clear(&self) -> bool {
        self.chunks.is_empty() && self.end.is_none() && self.link == Link::default()
    }

    /// Whether more may come.
    pub(super) fn has_room(&self) -> bool {
        self.end.is_none() && self.bytes < MOST_BYTES && self.chunks.len() < MOST_CHUNKS
    }

    /// Bytes came. `jitter` is drawn uniformly from -1 to 1.
    pub(super) fn push(&mut self, bytes: &[u8], came: Instant, jitter: f64) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.chunks.push_back(Chunk { bytes: bytes.to_vec(), left: 0, came, jitter });
        }
    }

    /// The end of the stream came.
    pub(super) fn push_end(&mut self, came: Instant) {
        self.end = Some(came);
    }

    /// The bytes at the head; as many of them may leave as [`DelayLine::next`] says.
    pub(super) fn head(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |c| c.bytes.get(c.left..).unwrap_or_default())
    }

    /// Bytes left.
    pub(super) fn pop(&mut self, count: usize) {
        self.bytes -= count;
        if self.link.bandwidth.is_some() {
            self.bucket.lock().unwrap_or_else(|p| p.into_inner()).tokens -= count as f64;
        }
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.left += count;
            if chunk.left >= chunk.bytes.len() {
                self.chunks.pop_front();
            }
        }
    }

    /// Throws away what is under way: nobody is there to take it.
    pub(super) fn discard(&mut self) {
        self.chunks.clear();
        self.bytes = 0;
    }

    /// What may happen now.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.link.delivery != Delivery::Pass {
            return Next::Nothing;
        }
        let due = match (self.chunks.front(), self.end) {
            (Some(head), _) => self.due(head.came, head.jitter),
            (None, Some(end)) => self.due(end, 0.0),
            (None, None) => return Next::Nothing,
        };
        match self.chunks.front() {
            _ if due > now => Next::At(due),
            None => Next::End,
            Some(head) => {
                let wanted = head.bytes.len() - head.left;
                let Some(bandwidth) = self.link.bandwidth else { return Next::Bytes(wanted) };
                let mut bucket = self.bucket.lock().unwrap_or_else(|p| p.into_inner());
                bucket.allow(wanted, bandwidth, now)
            }
        }
    }

    fn due(&self, came: Instant, jitter: f64) -> Instant {
        let spread = self.link.jitter.0.mul_f64(jitter.abs());
        let latency = match jitter < 0.0 {
            true => self.link.latency.0.saturating_sub(spread),
            false => self.link.latency.0.saturating_add(spread),
        };
        came.max(self.passed) + latency
    }
}

/// A token bucket, shared by all connections of one directed link; tokens are bytes.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    tokens: f64,
    /// When it was filled last, and for which bandwidth.
    filled: Option<(Instant, Bandwidth)>,
}

fn bytes_in(bandwidth: Bandwidth, span: Duration) -> f64 {
    bandwidth.bits_per_second() as f64 / 8.0 * span.as_secs_f64()
}

/// How many bytes a bandwidth lets through at once, after a silence.
pub(super) fn burst(bandwidth: Bandwidth) -> f64 {
    bytes_in(bandwidth, BURST).max(1.0)
}

impl Bucket {
    fn allow(&mut self, wanted: usize, bandwidth: Bandwidth, now: Instant) -> Next {
        self.tokens = match self.filled {
            Some((filled, same)) if same == bandwidth => {
                let gained = bytes_in(bandwidth, now.saturating_duration_since(filled));
                (self.tokens + gained).min(burst(bandwidth))
            }
            _ => burst(bandwidth),
        };
        self.filled = Some((now, bandwidth));
        let least = bytes_in(bandwidth, QUANTUM).max(1.0).min(wanted as f64);
        if self.tokens >= least {
            return Next::Bytes(wanted.min(self.tokens as usize));
        }
        let rate = bandwidth.bits_per_second() as f64 / 8.0;
        // Rounded up, or the timer would ring before the token is there.
        let wait = Duration::from_secs_f64((least - self.tokens) / rate) + Duration::from_micros(1);
        Next::At(now + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Span;

    fn late(ms: u64) -> Link {
        Link { latency: Span::millis(ms), ..Link::default() }
    }
    fn over(link: Link, now: Instant) -> DelayLine {
        DelayLine::new(link, Arc::default(), now)
    }
    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_wait_for_the_latency_and_leave_at_once_when_it_is_healed() {
        let start = Instant::now();
        let mut line = over(late(100), start);
        line.push(b"abc", start, 0.0);
        assert_eq!(line.next(start + ms(99)), Next::At(start + ms(100)));
        assert_eq!(line.next(start + ms(100)), Next::Bytes(3));
        line.set(Link::default(), start + ms(10));
        assert_eq!(line.next(start + ms(10)), Next::Bytes(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_holds_bytes_and_end_until_it_heals_and_then_the_latency_counts_anew() {
        let start = Instant::now();
        let mut line = over(Link::CUT, start);
        line.push(b"abc", start, 0.0);
        line.push_end(start);
        assert_eq!(line.next(start + ms(9_999)), Next::Nothing);
        line.set(late(50), start + ms(10_000));
        assert_eq!(line.next(start + ms(10_000)), Next::At(start + ms(10_050)));
        assert_eq!(line.next(start + ms(10_050)), Next::Bytes(3));
        line.pop(3);
        assert_eq!(line.next(start + ms(10_050)), Next::End);
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_never_lets_a_later_byte_overtake() {
        let start = Instant::now();
        let link = Link { jitter: Span::millis(80), ..late(100) };
        let mut line = over(link, start);
        line.push(b"a", start, 1.0);
        line.push(b"b", start + ms(1), -1.0);
        assert_eq!(line.next(start + ms(30)), Next::At(start + ms(180)));
        assert_eq!((line.next(start + ms(180)), line.head()), (Next::Bytes(1), &b"a"[..]));
        line.pop(1);
        assert_eq!((line.next(start + ms(180)), line.head()), (Next::Bytes(1), &b"b"[..]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bandwidth_lets_through_what_it_says_and_no_more() {
        let start = Instant::now();
        let slow = Link { bandwidth: Some(Bandwidth::bits(80_000)), ..Link::default() };
        let mut line = over(slow, start);
        line.push(&[0; 100_000], start, 0.0);
        let (mut now, mut passed) = (start, 0);
        while now < start + ms(1_000) {
            match line.next(now) {
                Next::Bytes(n) => {
                    line.pop(n);
                    passed += n;
                }
                Next::At(at) => now = at,
                other => panic!("{other:?}"),
            }
        }
        assert!((9_900..=10_300).contains(&passed), "{passed} bytes in 1 s at 80 kbit/s");
    }

    #[tokio::test(start_paused = true)]
    async fn the_buffer_is_bounded_in_bytes_and_in_chunks() {
        let now = Instant::now();
        let mut line = over(Link::CUT, now);
        line.push(&vec![0; MOST_BYTES], now, 0.0);
        assert!(!line.has_room());
        let mut line = over(Link::CUT, now);
        (0..MOST_CHUNKS).for_each(|_| line.push(b"x", now, 0.0));
        assert!(!line.has_room());
    }
}
