//! The shaper that the kernel has: netem, in a lane of its own for each shaped link.
//!
//! The way of a frame: the packet filter marks it with the interface that it is about to leave by, and forwards it
//! into the lane, a pair of veth devices. netem makes it wait, or loses or spoils it, where it enters; where it comes
//! out, the packet filter forwards it to its interface, whose rules drop it if it is cut by now, and else let it pass,
//! for its mark. (An ifb would put it back behind the rules, where no cut can stop it.) Before netem a token bucket
//! cuts long frames into those that a wire would carry, so that chance is of packets.
//!
//! Invariants: a link changes in place, and its frames keep their order; a lane that is used no more is removed when
//! what waits in it has had its time, at most [`DRAIN`]: netem cannot let go of it sooner. A lane does not go with
//! the process: dropping [`Netem`] removes all of them, and what is left by an agent that was killed is swept.
//!
//! Not as the agent's own shaper does it: a corrupted bit may be in the Ethernet header; what overtakes, overtakes
//! also what waits for its bandwidth; a link that is both narrow and full of small frames loses some sooner.

mod chance;
mod qdisc;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use self::qdisc::Settings;
pub(super) use self::qdisc::loses_first;
use super::devices::{OWN, bring_up, index_of, make_pair, remove};
use super::netfilter::Lane as Way;
use super::protocol::HeldLink;
use crate::condition::Link;
use crate::quantity::Span;

/// The longest that frames which wait in an unused lane are waited for.
const DRAIN: Duration = Duration::from_secs(3);
/// How long a frame may take from where it has waited to the wire.
const GRACE: Duration = Duration::from_millis(100);
/// The kernel's own length of a device's queue; netem has its own limit.
const QUEUE: u32 = 1000;
/// What any frame fits into that comes out of a lane.
const MTU_MAX: u32 = 65_535;
/// The most by which netem varies the added time: a signed number of nanoseconds.
const JITTER_MAX: Span = Span::millis(2147);

/// Whether the kernel has all that a lane takes; why not, in words.
pub(super) fn possible() -> Result<(), String> {
    let [entry, exit] = ["-try-i", "-try-o"].map(|end| format!("{OWN}{end}"));
    make_pair(&entry, &exit).map_err(|why| lacking("veth", &why))?;
    let tried = index_of(&entry).map_err(|why| why.to_string()).and_then(|index| {
        let settings = Settings::of(&Link::default(), 1500);
        let split = qdisc::split(index, &settings).map_err(|why| lacking("sch_tbf", &why));
        split?;
        qdisc::emulate(index, &settings).map_err(|why| lacking("sch_netem", &why))
    });
    let removed = index_of(&entry).and_then(remove);
    tried.and(removed.map_err(|why| format!("a device cannot be removed: {why}")))
}

fn lacking(what: &str, why: &io::Error) -> String {
    match Errno::from_io_error(why) {
        Some(Errno::NOENT | Errno::OPNOTSUPP) => format!("this kernel has no {what}"),
        _ => format!("{what}: {why}"),
    }
}

/// Why the kernel's netem cannot do to a link what is asked, if it cannot, and what it can.
pub fn cannot(link: &Link) -> Option<String> {
    let jitter = link.jitter;
    (jitter.0 > JITTER_MAX.0).then(|| {
        format!(
            "the kernel's netem varies a delay by {JITTER_MAX} at most, not by {jitter}; give a \
             `jitter` of no more"
        )
    })
}

/// The lanes of this namespace.
#[derive(Debug, Default)]
pub(super) struct Netem {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    number: usize,
    peers: BTreeSet<IpAddr>,
    /// Where frames enter.
    entry: u32,
    settings: Settings,
    /// When it is removed, once it is used no more.
    until: Option<Instant>,
}

impl Netem {
    /// Sees to a lane for each of these links; those of others are as they were. `mtu`: of the interface that has
    /// the longest frames.
    pub(super) fn prepare(&mut self, links: &[HeldLink], mtu: u32) -> io::Result<()> {
        for held in links {
            let settings = Settings::of(&held.link, mtu);
            match self.lanes.iter_mut().find(|lane| lane.serves(held)) {
                Some(lane) => lane.change(settings)?,
                None => {
                    let used = |n: &usize| self.lanes.iter().any(|lane| lane.number == *n);
                    let number = (0..=self.lanes.len()).find(|n| !used(n)).unwrap_or_default();
                    self.lanes.push(Lane::make(number, held.peers.clone(), settings)?);
                }
            }
        }
        Ok(())
    }

    /// The lanes as the packet filter must know them, also those that are only waited for.
    pub(super) fn ways(&self, links: &[HeldLink]) -> Vec<Way> {
        let way = |lane: &Lane| Way {
            link: links.iter().position(|held| held.is_shaped() && lane.serves(held)),
            entry: lane.entry,
            exit: Lane::names(lane.number)[1].clone(),
        };
        self.lanes.iter().map(way).collect()
    }

    /// The packet filter sends nothing any more to lanes of other links than these.
    pub(super) fn settle(&mut self, links: &[HeldLink]) {
        let now = Instant::now();
        for lane in self.lanes.iter_mut().filter(|lane| !links.iter().any(|h| lane.serves(h))) {
            lane.until.get_or_insert(now + (lane.settings.longest() + GRACE).min(DRAIN));
        }
    }

    /// When a lane is to be removed next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.until).min()
    }

    /// Removes the lanes whose time is over.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        self.lanes.retain(|lane| lane.until.is_none_or(|until| until > now));
    }
}

impl Lane {
    /// What its two devices are called: where frames enter, where they come out.
    fn names(number: usize) -> [String; 2] {
        ["i", "o"].map(|end| format!("{OWN}{number}{end}"))
    }

    fn make(number: usize, peers: BTreeSet<IpAddr>, settings: Settings) -> io::Result<Lane> {
        let [entry, exit] = Lane::names(number);
        make_pair(&entry, &exit)?;
        // From here on dropping it removes the devices.
        let index = index_of(&entry)?;
        let lane = Lane { number, peers, entry: index, settings, until: None };
        bring_up(index, settings.mtu, QUEUE)?;
        qdisc::split(index, &settings)?;
        qdisc::emulate(index, &settings)?;
        bring_up(index_of(&exit)?, MTU_MAX, QUEUE)?;
        Ok(lane)
    }

    fn serves(&self, held: &HeldLink) -> bool {
        self.until.is_none() && self.peers == held.peers
    }

    fn change(&mut self, settings: Settings) -> io::Result<()> {
        if settings == self.settings {
            return Ok(());
        }
        if settings.mtu != self.settings.mtu {
            bring_up(self.entry, settings.mtu, QUEUE)?;
        }
        qdisc::split(self.entry, &settings)?;
        qdisc::emulate(self.entry, &settings)?;
        self.settings = settings;
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next agent.
        let _ = remove(self.entry);
    }
}
