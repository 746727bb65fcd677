//! A TAP device in front of an interface (see the kernel's `networking/tuntap`). It lives as long as its descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use tappers::Interface as Name;

use super::queue::Line;
use crate::agent::beside::devices::{OWN, bring_up, index_of};
use crate::agent::beside::interfaces::Interface;
use crate::agent::beside::netfilter::Device;

/// How many frames the device holds until they are read: a burst of some milliseconds.
const QUEUE: u32 = 10_000;

pub(super) struct Tap {
    device: tappers::linux::Tap,
    name: String,
    index: u32,
    line: Line,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Tap").field("name", &self.name).field("line", &self.line).finish()
    }
}

impl Tap {
    /// Makes a device, and gives it back.
    pub(super) fn trial() -> io::Result<()> {
        open(&format!("{OWN}-try")).map(drop)
    }

    pub(super) fn before(interface: &Interface, hardware: [u8; 6]) -> io::Result<Tap> {
        let name = format!("{OWN}{}", interface.index);
        let device = open(&name)?;
        device.set_nonblocking(true)?;
        let index = index_of(&name)?;
        bring_up(index, interface.mtu, QUEUE)?;
        Ok(Tap { device, name, index, line: Line { interface: interface.index, hardware } })
    }

    pub(super) fn stands_before(&self, interface: &Interface) -> bool {
        self.line.interface == interface.index && Some(self.line.hardware) == interface.ethernet
    }

    pub(super) fn device(&self) -> Device {
        Device { index: self.index, name: self.name.clone() }
    }

    pub(super) fn line(&self) -> Line {
        self.line
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn open(name: &str) -> io::Result<tappers::linux::Tap> {
    tappers::linux::Tap::new_named(Name::new(name)?)
}
