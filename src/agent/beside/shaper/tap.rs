//! A TAP device in front of an interface (see the kernel's `networking/tuntap`). It lives as long as its descriptor.

use std::fs::create_dir_all;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tappers::Interface as Name;

use super::queue::Line;
use crate::agent::beside::devices::{OWN, bring_up, index_of};
use crate::agent::beside::interfaces::Interface;
use crate::agent::beside::netfilter::Device;

/// How many frames the device holds until they are read: a burst of some milliseconds.
const QUEUE: u32 = 10_000;
/// Where the device file is, and its number (the kernel's `admin-guide/devices`).
const TUN: (&str, &str) = ("/dev/net", "/dev/net/tun");
const TUN_NUMBER: (u32, u32) = (10, 200);

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
        make_tun();
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

/// Makes the device file that TAP devices are had by, in a container that was given none. Where that is not allowed,
/// opening it says so.
fn make_tun() {
    let (folder, file) = TUN;
    if Path::new(file).exists() || create_dir_all(folder).is_err() {
        return;
    }
    let mode = Mode::RUSR | Mode::WUSR;
    let made =
        mknodat(CWD, file, FileType::CharacterDevice, mode, makedev(TUN_NUMBER.0, TUN_NUMBER.1));
    if let Err(why) = made {
        tracing::debug!("{file} cannot be made: {why}");
    }
}

fn open(name: &str) -> io::Result<tappers::linux::Tap> {
    tappers::linux::Tap::new_named(Name::new(name)?)
}
