//! The shaper: delays, limits and spoils frames in user space, for kernels without netem.
//!
//! The way of a frame: the packet filter forwards it from an interface's egress to a TAP device; here it is read,
//! waits in a queue until it is due, and is written back into the TAP; there the packet filter marks it, and
//! forwards it to the interface, whose rules let a marked frame pass. No route, address or root qdisc of the
//! namespace changes, and all of it goes with the process.
//!
//! Invariant: a frame of a link that is no longer shaped leaves at once, in its turn.

mod fate;
mod frame;
mod queue;
mod tap;

use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::thread::set_current_timer_slack;

use self::queue::{Leaving, Queue};
use self::tap::Tap;
use super::interfaces::Interface;
use super::netfilter::Wire;
use super::protocol::{HeldLink, Shaping};

/// How many frames are read from one device before the clock is looked at again.
const AT_ONCE: usize = 32;
/// The longest frame: a device may not have a larger MTU.
const FRAME_MAX: usize = 66 << 10;

/// Whether a TAP device can be had. `no_netem`: why it is needed.
pub(super) fn possible(no_netem: String) -> Shaping {
    match Tap::trial() {
        Ok(()) => Shaping::Tap(no_netem),
        Err(why) => Shaping::Nothing(format!(
            "{no_netem}, and the agent gets no TAP device ({why}): the container needs \
             /dev/net/tun and NET_ADMIN"
        )),
    }
}

/// A shaper at work.
#[derive(Debug)]
pub(super) struct Shaper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Written to when the thread has to look anew.
    wake: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    taps: Vec<Arc<Tap>>,
}

impl Shaper {
    /// Starts the thread. It has nothing to do yet.
    pub(super) fn start() -> io::Result<Shaper> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let state = Mutex::new(State { queue: Queue::default(), taps: vec![] });
        let shared = Arc::new(Shared { wake, state });
        let own = shared.clone();
        std::thread::Builder::new().name("shaper".into()).spawn(move || own.work())?;
        Ok(Shaper { shared })
    }

    /// Sees to a device in front of each of these interfaces whose frames it can read.
    pub(super) fn stand_before(&self, interfaces: Vec<Interface>) -> io::Result<Vec<Wire>> {
        let mut state = self.shared.state();
        let present = |tap: &Arc<Tap>| interfaces.iter().any(|i| tap.stands_before(i));
        state.taps.retain(present);
        let mut wires = vec![];
        for interface in interfaces {
            let Some(hardware) = interface.ethernet else {
                wires.push(Wire::bare(interface));
                continue;
            };
            let held = state.taps.iter().find(|tap| tap.stands_before(&interface)).cloned();
            let tap = match held {
                Some(tap) => tap,
                None => Arc::new(Tap::before(&interface, hardware)?),
            };
            let device = Some(tap.device());
            if !state.taps.iter().any(|held| Arc::ptr_eq(held, &tap)) {
                state.taps.push(tap);
            }
            wires.push(Wire { interface, shaper: device });
        }
        drop(state);
        self.shared.wake();
        Ok(wires)
    }

    /// Shapes exactly these links from now on.
    pub(super) fn set(&self, links: Vec<HeldLink>) {
        self.shared.state().queue.set(links, Instant::now());
        self.shared.wake();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // It can only fail by being full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// The thread's whole life, which is the process's.
    fn work(&self) {
        // By default a timer may be 50 µs late.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        let mut buffer = vec![0; FRAME_MAX];
        let mut taps: Vec<Arc<Tap>> = vec![];
        loop {
            let due = {
                let mut state = self.state();
                taps.clone_from(&state.taps);
                let now = Instant::now();
                while let Leaving::Now { device, frame } = state.queue.next(now) {
                    write(&taps, device, &frame);
                }
                state.queue.due()
            };
            for tap in self.wait(&taps, due) {
                for _ in 0..AT_ONCE {
                    let Ok(count) = rustix::io::read(tap, &mut buffer) else { break };
                    let frame = buffer.get(..count).unwrap_or_default();
                    self.state().queue.take(tap.line(), frame, Instant::now());
                }
            }
        }
    }

    /// Waits until a frame is due, one has come, or something changed. Returns where one has come.
    fn wait<'a>(&self, taps: &'a [Arc<Tap>], due: Option<Instant>) -> Vec<&'a Tap> {
        let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
        let wait = wait.map(|wait| Timespec {
            tv_sec: wait.as_secs().cast_signed(),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(taps.iter().map(|tap| PollFd::from_borrowed_fd(tap.as_fd(), PollFlags::IN)));
        if poll(&mut fds, wait.as_ref()).is_err() {
            // Interrupted, or out of memory: not at full speed in circles.
            std::thread::sleep(Duration::from_micros(100));
            return vec![];
        }
        let mut ready = fds.iter().map(|fd| fd.revents().contains(PollFlags::IN));
        if ready.next() == Some(true) {
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        }
        taps.iter().zip(ready).filter(|(_, ready)| *ready).map(|(tap, _)| &**tap).collect()
    }
}

/// Hands a frame back to the kernel; one whose interface is gone is lost with it, as one that finds no room.
fn write(taps: &[Arc<Tap>], device: u32, frame: &[u8]) {
    if let Some(tap) = taps.iter().find(|tap| tap.line().interface == device) {
        let _ = rustix::io::write(tap.as_fd(), frame);
    }
}
