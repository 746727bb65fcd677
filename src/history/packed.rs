//! A history's text, whatever it is packed in: Zstandard (RFC 8878) and gzip (RFC 1952) are seen through.
//!
//! Bounds: of what is packed, no more is read than [`TIMES`] times its size, or [`FREE`] where that is more: a few
//! kilobytes could come to any size. What is not packed is as long as the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Histories are packed to a twentieth, those whose every answer is a long list to a few hundredths at the most.
const TIMES: u64 = 200;

/// So many bytes are read, however small the file is.
const FREE: u64 = 256 << 20;

const BUFFER: usize = 1 << 18;

/// Opens a file's text.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    let left = file.metadata()?.len().saturating_mul(TIMES).max(FREE);
    let mut file = BufReader::with_capacity(BUFFER, file);
    let magic = file.fill_buf()?;
    Ok(match magic {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => bounded(zstd::Decoder::with_buffer(file)?, left),
        [0x1f, 0x8b, ..] => bounded(flate2::bufread::MultiGzDecoder::new(file), left),
        _ => Box::new(file),
    })
}

fn bounded(text: impl Read + 'static, left: u64) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(BUFFER, Bounded { text, left }))
}

/// A text that fails where it becomes too long.
struct Bounded<R> {
    text: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(into)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => Err(io::Error::other(format!(
                "it unpacks to more than {TIMES} times its size: unpack it first if it should"
            ))),
        }
    }
}
