//! How fast the node's disks let it read: measured by a child of the agent's in the node's own control groups, past
//! the page cache. What it reads is the agent's own program, which takes no privilege and no file of the node's.
//!
//! Invariants: a rate is held against a limit only if the node's groups were charged for what was read, on a disk that
//! has the limit. What is measured is short, since the node can read less meanwhile.
//! Deliberately absent: writing. An agent's container has nowhere to write to, and the node's files are the node's.

use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use super::cgroup::Cgroup;
use crate::quantity::{Bytes, Throughput};

/// For how long it is read, if it is read at the limit, ...
const SAMPLE: Duration = Duration::from_millis(500);
/// ... and the longest that is waited: the node may have much to read itself.
const PATIENCE: Duration = Duration::from_secs(1);
/// The kernel lets pass at once what a slice of time allows, of up to 100 ms; and may have just begun one.
const SLICES: Duration = Duration::from_millis(200);
/// What the kernel's direct reads are multiples of, on any disk.
const BLOCK: usize = 4096;
/// The longest single read.
const PIECE_MAX: u64 = 64 << 10;
/// In the sample, at least so many reads: with fewer, the first one alone would be most of it.
const PIECES: u64 = 8;
/// More than this is not read for a proof.
const BYTES_MAX: u64 = 32 << 20;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// So many bytes, after the first answer, ...
    pub bytes: u64,
    /// ... from that to the last answer: whoever reads has to start first.
    pub took: Duration,
}

impl Reads {
    /// Whether that is no faster than this. The longest single read may have been let pass in advance.
    pub fn is_within(&self, limit: Throughput) -> bool {
        let time = (self.took + SLICES).as_secs_f64();
        let allowed = limit.bytes_per_second() as f64 * time + piece(limit) as f64;
        self.bytes as f64 <= allowed
    }

    /// In words.
    pub fn words(&self) -> String {
        let (bytes, ms) = (Bytes::of(self.bytes), self.took.as_millis());
        match self.bytes {
            0 => format!("no two reads past the cache are answered within {ms} ms"),
            _ => format!("{bytes} are read past the cache in {ms} ms"),
        }
    }
}

/// The longest single read under a limit.
fn piece(limit: Throughput) -> u64 {
    let part = sample(limit) / PIECES / BLOCK as u64 * BLOCK as u64;
    part.clamp(BLOCK as u64, PIECE_MAX)
}

/// How much is read under a limit.
fn sample(limit: Throughput) -> u64 {
    (limit.bytes_per_second() as f64 * SAMPLE.as_secs_f64()) as u64
}

/// Reads in these groups, whose disks are limited to this. `Err`: why that says nothing of the limit.
pub(super) async fn measure(group: &Cgroup, limit: Throughput) -> Result<Reads, String> {
    let bytes = sample(limit);
    if !(BLOCK as u64 * PIECES..=BYTES_MAX).contains(&bytes) {
        let few = if bytes > BYTES_MAX { "high" } else { "low" };
        return Err(format!("a limit of {limit} is too {few} to be measured in a moment"));
    }
    let before = charged(group)?;
    let reads = read(group, piece(limit), bytes).await?;
    let charged = charged(group)?.saturating_sub(before);
    match charged >= reads.bytes {
        true => Ok(reads),
        false => Err("what the agent can read is on no disk that has a limit".into()),
    }
}

async fn read(group: &Cgroup, piece: u64, bytes: u64) -> Result<Reads, String> {
    let lost = |e: std::io::Error| format!("who should read ended: {e}");
    let own = std::env::current_exe().map_err(|e| format!("no way to itself: {e}"))?;
    let mut command = Command::new(own);
    command.arg("agent-reads").arg(piece.to_string()).arg(bytes.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    // Dropped, it is killed, and not waited for: a read that the limit holds back cannot be broken off.
    let mut child: Child = command.spawn().map_err(|e| format!("nobody can read: {e}"))?;
    group.take_in(child.id().ok_or("who should read ended at once")?)?;
    let (Some(input), Some(output)) = (child.stdin.as_mut(), child.stdout.take()) else {
        return Err("who should read has no streams".into());
    };
    input.write_all(b"go\n").await.map_err(lost)?;
    let mut lines = BufReader::new(output).lines();
    let deadline = Instant::now() + PATIENCE;
    let (mut began, mut reads) = (None, Reads { bytes: 0, took: PATIENCE });
    loop {
        let line = match timeout_at(deadline, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            // All is read, or it takes longer than is waited.
            Ok(Ok(None)) if reads.bytes > 0 => break,
            Err(_) => break,
            Ok(ended) => return Err(ended.err().map_or("who should read ended".into(), lost)),
        };
        let count: u64 = line.parse().map_err(|_| line)?;
        match began {
            None => began = Some(Instant::now()),
            Some(began) => {
                reads = Reads { bytes: reads.bytes + count, took: Instant::now() - began };
            }
        }
    }
    Ok(reads)
}

/// How much these groups have read from the disks that can be limited.
fn charged(group: &Cgroup) -> Result<u64, String> {
    let files = [("blkio", "blkio.throttle.io_service_bytes"), ("io", "io.stat")];
    let mut texts = files.into_iter().filter_map(|(controller, file)| {
        std::fs::read_to_string(group.folder(controller)?.join(file)).ok()
    });
    let text = texts.next().ok_or("the kernel does not count what the node reads")?;
    Ok(counted(&text, group.disks()))
}

/// What either version's file says was read from these disks: `8:0 Read 4096`, or `8:0 rbytes=4096 wbytes=0`.
fn counted(text: &str, disks: &[String]) -> u64 {
    let of_line = |line: &str| {
        let (disk, rest) = line.split_once(' ')?;
        disks.iter().find(|known| *known == disk)?;
        let first = rest.strip_prefix("Read ").or_else(|| rest.strip_prefix("rbytes="))?;
        first.split(' ').next()?.parse::<u64>().ok()
    };
    text.lines().filter_map(of_line).sum()
}

/// The reader's own life: piece after piece of this very program, past the page cache, a line for each.
pub fn read_here(piece: usize, bytes: u64) -> Result<(), String> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string())?;
    // Its parent may have ended in between.
    if getppid() != parent {
        return Ok(());
    }
    std::io::stdin().lock().read_line(&mut String::new()).map_err(|e| e.to_string())?;
    // If the file system does not know how, the first read says so.
    let direct = OFlags::DIRECT.bits().cast_signed();
    let program = OpenOptions::new().read(true).custom_flags(direct).open("/proc/self/exe");
    let said = |e: std::io::Error| e.to_string();
    read_pieces(&program.map_err(said)?, piece, bytes, &mut std::io::stdout()).map_err(said)
}

fn read_pieces(
    program: &std::fs::File,
    piece: usize,
    bytes: u64,
    output: &mut impl Write,
) -> std::io::Result<()> {
    let mut room = vec![0u8; piece + BLOCK];
    let aligned = room.as_ptr().align_offset(BLOCK);
    let buffer = room.get_mut(aligned..aligned + piece).ok_or(std::io::ErrorKind::OutOfMemory)?;
    let (mut at, mut read) = (0, 0);
    while read < bytes {
        let count = program.read_at(buffer, at)? as u64;
        // Its end is no whole block: on from its beginning.
        at = if count < piece as u64 { 0 } else { at + count };
        read += count;
        writeln!(output, "{count}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Throughput {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_read_at_once_is_beyond_every_limit_that_is_measured() {
        for text in ["64KiB/s", "100kB/s", "1MiB/s", "64MiB/s"] {
            let limit = limit(text);
            let read = |took| Reads { bytes: sample(limit), took };
            assert!(!read(Duration::from_millis(20)).is_within(limit), "{text}");
            assert!(read(SAMPLE).is_within(limit), "{text}");
            // Up to two slices may have been let pass in advance.
            assert!(read(SAMPLE - SLICES).is_within(limit), "{text}");
        }
        let nothing = Reads { bytes: 0, took: PATIENCE };
        assert!(nothing.is_within(limit("1MiB/s")), "others of the node's were before it");
    }

    #[tokio::test]
    async fn what_cannot_be_measured_in_a_moment_is_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blkio/x")).unwrap();
        let group = Cgroup::of("1:blkio:/x\n", folder.path(), folder.path()).unwrap();
        for (text, said) in [
            ("10kB/s", "too low"),
            ("1GB/s", "too high"),
            ("1MB/s", "does not count what the node reads"),
        ] {
            let why = measure(&group, limit(text)).await.unwrap_err();
            assert!(why.contains(said), "{text}: {why}");
        }
    }

    #[test]
    fn both_versions_counts_are_of_the_disks_that_can_be_limited() {
        let disks = ["8:0".to_string(), "254:0".to_string()];
        let first = "8:0 Read 4096\n8:0 Write 9\n7:0 Read 5\n254:0 Read 1\nTotal 4111\n";
        assert_eq!(counted(first, &disks), 4097);
        let second = "254:0 rbytes=4096 wbytes=9 rios=1\n7:0 rbytes=5 wbytes=0\n8:0 rbytes=1\n";
        assert_eq!(counted(second, &disks), 4097);
    }

    #[test]
    fn a_program_that_is_shorter_than_what_is_read_is_read_again() {
        let mut program = tempfile::tempfile().unwrap();
        program.write_all(&[1; 3 * BLOCK + 5]).unwrap();
        let mut said = vec![];
        read_pieces(&program, BLOCK, 5 * BLOCK as u64, &mut said).unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "4096\n4096\n4096\n5\n4096\n4096\n");
    }
}
