//! Fills file systems of a node's, and keeps them full, by files that have no name: when the agent ends, however it
//! ends, the kernel takes them back.
//!
//! Invariant: never more than the limit is filled, so that a file system which others live on is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FallocateFlags, Mode, OFlags, ResolveFlags, fallocate, fstatvfs, open, openat2,
    unlinkat,
};
use rustix::io::Errno;

use super::protocol::Room;
use crate::condition::Disk;
use crate::quantity::Bytes;

/// What a block of room is, where the file system does not say.
const BLOCK: u64 = 4096;
/// The name of a file for the moment in which it has one, where a file system knows none without.
const NAME: &str = ".firedrill-fills-this-disk";

/// What is kept full.
#[derive(Debug)]
pub(super) struct Filler {
    /// The node's root, as it is seen from here.
    root: PathBuf,
    full: BTreeMap<String, Filled>,
    /// Which of them were not full for a while, and why; each once.
    lapses: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Filled {
    file: File,
    length: u64,
    at_most: u64,
}

impl Filler {
    pub(super) fn of(root: &Path) -> Filler {
        Filler { root: root.to_path_buf(), full: BTreeMap::new(), lapses: BTreeMap::new() }
    }

    /// Keeps exactly these full from now on.
    pub(super) fn hold(&mut self, disk: &Disk) -> Result<(), String> {
        self.full.retain(|folder, _| disk.full.contains_key(folder));
        for (folder, at_most) in &disk.full {
            let failed = |why: String| format!("{folder} cannot be filled: {why}");
            if !self.full.contains_key(folder) {
                let file = nameless(&self.root, folder).map_err(failed)?;
                let filled = Filled { file, length: 0, at_most: 0 };
                self.full.insert(folder.clone(), filled);
            }
            let Some(filled) = self.full.get_mut(folder) else { continue };
            filled.at_most = at_most.count();
            if let Err(why) = filled.fill() {
                self.full.remove(folder);
                return Err(failed(why));
            }
        }
        Ok(())
    }

    /// Fills what became free meanwhile, as far as that is allowed.
    pub(super) fn refill(&mut self) {
        for (folder, filled) in &mut self.full {
            if let Err(why) = filled.fill() {
                self.lapses.entry(folder.clone()).or_insert(why);
            }
        }
    }

    /// Which file systems were not full all the while, since this was asked last.
    pub(super) fn lapses(&mut self) -> Vec<String> {
        let lapses = std::mem::take(&mut self.lapses);
        lapses.into_iter().map(|(folder, why)| format!("{folder} was not full: {why}")).collect()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.full.is_empty()
    }

    /// What room there is on the file systems of these folders.
    pub(super) fn measure(
        &self,
        folders: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Room>, String> {
        let room = |folder: &String| {
            let filled = self.full.get(folder);
            let probe = nameless(&self.root, folder);
            let refused = match probe.as_ref().map(|file| fallocate(file, none(), 0, BLOCK)) {
                Ok(Ok(())) => false,
                Ok(Err(why)) => why == Errno::NOSPC,
                // Not even room for a file.
                Err(_) => filled.is_some(),
            };
            let available = match (filled, &probe) {
                (Some(filled), _) => available(&filled.file),
                (None, Ok(file)) => available(file),
                (None, Err(why)) => Err(why.clone()),
            };
            let available = available.map_err(|why| format!("{folder}: {why}"))?;
            let filled = filled.map_or(0, |filled| filled.length);
            Ok((folder.clone(), Room { filled, available, refused }))
        };
        folders.iter().map(room).collect()
    }
}

fn none() -> FallocateFlags {
    FallocateFlags::empty()
}

impl Filled {
    /// Takes what there is, in ever smaller pieces, until not one block is left.
    fn fill(&mut self) -> Result<(), String> {
        let room = available(&self.file)?;
        if self.length + room > self.at_most {
            let (room, most) = (Bytes::of(room), Bytes::of(self.at_most));
            return Err(format!(
                "{room} are free there, and at most {most} may be filled (`at_most`); give the \
                 node a file system of its own there, of a limited size"
            ));
        }
        let mut piece = room.max(BLOCK);
        while piece >= BLOCK {
            if self.length + piece > self.at_most {
                piece /= 2;
                continue;
            }
            match fallocate(&self.file, none(), self.length, piece) {
                Ok(()) => self.length += piece,
                Err(Errno::NOSPC) => piece /= 2,
                Err(Errno::INTR) => {}
                Err(why) => return Err(why.to_string()),
            }
        }
        Ok(())
    }
}

/// What can be written, in bytes, without anybody's reserve.
fn available(file: &File) -> Result<u64, String> {
    let stat = fstatvfs(file).map_err(|why| why.to_string())?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A file without a name on the file system of a folder of the node's. Links on the way to it lead where they lead
/// for the node.
fn nameless(root: &Path, folder: &str) -> Result<File, String> {
    let said = |what: &str| {
        let what = what.to_string();
        move |why: Errno| format!("{what}: {why}")
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = open(root, flags, Mode::empty()).map_err(said("the node's files are not seen"))?;
    let within = ResolveFlags::IN_ROOT;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder =
        openat2(&top, folder, flags, Mode::empty(), within).map_err(said("no such folder"))?;
    let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    let made = rustix::fs::openat(&folder, ".", flags | OFlags::TMPFILE, mode);
    let made = match made {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let new = flags | OFlags::CREATE | OFlags::EXCL;
            let made = rustix::fs::openat(&folder, NAME, new, mode);
            let _ = unlinkat(&folder, NAME, AtFlags::empty());
            made
        }
        made => made,
    };
    made.map(File::from).map_err(said("no file can be made there"))
}
