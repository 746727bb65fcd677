//! The log file: one record a line, `CRC-32 in 8 hexadecimal digits, space, JSON, line feed`, only
//! ever appended to. A truncation is a record of its own.
//!
//! A last line without its line feed was cut by a crash before anybody was told that it is safe: it
//! is cut off. Any other line that does not check is corruption, and an error: guessing would lose
//! acknowledged data.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::raft::LogEntry;

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// A record in the middle does not check.
    #[error(
        "{path}: corrupt record at byte {offset}: {why}; \
         restore the folder, or start this node with an empty one",
        path = path.display()
    )]
    Corrupt { path: PathBuf, offset: u64, why: String },
    /// Another process has the folder.
    #[error(
        "{path}: in use by another process; give each node a folder of its own",
        path = path.display()
    )]
    Locked { path: PathBuf },
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Record {
    /// The next entry.
    Entry(LogEntry),
    /// Every entry from this index on is void.
    Truncate(u64),
}

impl Record {
    /// The record as a line of the file.
    pub(super) fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let json = serde_json::to_vec(self)?;
        let mut line = format!("{:08x} ", crc32(&json)).into_bytes();
        line.extend_from_slice(&json);
        line.push(b'\n');
        Ok(line)
    }

    fn parse(line: &[u8]) -> Result<Record, String> {
        let (sum, json) = match line.get(8) {
            Some(b' ') => (&line[..8], &line[9..]),
            _ => return Err("no checksum".into()),
        };
        let expected = std::str::from_utf8(sum).ok().and_then(|s| u32::from_str_radix(s, 16).ok());
        let found = crc32(json);
        if expected != Some(found) {
            let sum = String::from_utf8_lossy(sum).into_owned();
            return Err(format!("checksum {sum}, the bytes have {found:08x}"));
        }
        serde_json::from_slice(json).map_err(|e| e.to_string())
    }
}

/// Reads the file, cuts a torn end off, and hands back the entries that stand and the file, ready
/// to append to.
pub(super) fn open(path: &Path) -> Result<(Vec<LogEntry>, File), JournalError> {
    let io = |source| JournalError::Io { path: path.to_path_buf(), source };
    let file = File::options().read(true).append(true).create(true).open(path).map_err(io)?;
    let mut input = BufReader::new(&file);
    let (mut entries, mut line, mut offset) = (vec![], vec![], 0_u64);
    loop {
        line.clear();
        let length = input.read_until(b'\n', &mut line).map_err(io)? as u64;
        if line.last() != Some(&b'\n') {
            break; // the end, or a line that a crash cut
        }
        let corrupt = |why| JournalError::Corrupt { path: path.to_path_buf(), offset, why };
        let record = Record::parse(&line[..line.len() - 1]).map_err(corrupt)?;
        replay(&mut entries, record).map_err(corrupt)?;
        offset += length;
    }
    if !line.is_empty() {
        tracing::warn!(path = %path.display(), offset, bytes = line.len(), "cut a torn record off");
        file.set_len(offset).map_err(io)?;
        file.sync_data().map_err(io)?;
    }
    Ok((entries, file))
}

fn replay(entries: &mut Vec<LogEntry>, record: Record) -> Result<(), String> {
    match record {
        Record::Entry(entry) if entry.log_id.index == entries.len() as u64 => entries.push(entry),
        Record::Entry(entry) => {
            let (index, expected) = (entry.log_id.index, entries.len());
            return Err(format!("entry {index} where entry {expected} belongs"));
        }
        Record::Truncate(index) => entries.truncate(usize::try_from(index).unwrap_or(usize::MAX)),
    }
    Ok(())
}

/// CRC-32 as in ISO 3309 (the one of zlib).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let mut crc = u32::MAX;
    for byte in bytes {
        crc = TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    }
    !crc
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut value, mut bit) = (i as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload, LogId};

    use super::*;

    fn entry(index: u64) -> LogEntry {
        let log_id = LogId::new(CommittedLeaderId::new(1, 0), index);
        LogEntry { log_id, payload: EntryPayload::Blank }
    }

    fn written(records: &[Record]) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let bytes: Vec<u8> = records.iter().flat_map(|r| r.line().unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        (folder, path, bytes)
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn entries_and_truncations_are_replayed_in_order() {
        let records = [entry(0), entry(1), entry(2)].map(Record::Entry);
        let mut records = records.to_vec();
        records.extend([Record::Truncate(1), Record::Entry(entry(1))]);
        let (_folder, path, _) = written(&records);
        assert_eq!(open(&path).unwrap().0, [entry(0), entry(1)]);
    }

    #[test]
    fn a_torn_last_record_is_cut_off_at_every_byte_where_it_can_tear() {
        let records = [Record::Entry(entry(0)), Record::Entry(entry(1))];
        let (_folder, path, bytes) = written(&records);
        let first = records[0].line().unwrap().len();
        for torn in first..bytes.len() {
            std::fs::write(&path, &bytes[..torn]).unwrap();
            assert_eq!(open(&path).unwrap().0, [entry(0)], "torn at byte {torn}");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), first as u64);
        }
    }

    #[test]
    fn a_flipped_bit_before_the_end_is_an_error_that_names_file_and_offset() {
        let records = [0, 1, 2].map(|index| Record::Entry(entry(index)));
        let (_folder, path, mut bytes) = written(&records);
        let second = records[0].line().unwrap().len();
        bytes[second + 20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains(&format!("corrupt record at byte {second}")), "{error}");
    }

    #[test]
    fn a_hole_in_the_log_is_corruption() {
        let (_folder, path, _) = written(&[Record::Entry(entry(0)), Record::Entry(entry(2))]);
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains("entry 2 where entry 1 belongs"), "{error}");
    }
}
