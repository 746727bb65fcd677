//! Netlink messages as they are read. Whatever the bytes are, reading ends and never goes beyond them.

use std::io;

const HEADER: usize = 16;
const KIND: u16 = 0x3fff;

/// One message of the kernel's.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent::beside) struct Reply<'a> {
    /// What it is.
    pub(in crate::agent::beside) kind: u16,
    /// The request's.
    pub(super) sequence: u32,
    /// All behind the header.
    pub(in crate::agent::beside) body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// What an error message says; `None` is an acknowledgement.
    pub(super) fn error(&self) -> Option<io::Error> {
        match number(self.body, 0).map(u32::cast_signed) {
            Some(0) => None,
            Some(code) => Some(io::Error::from_raw_os_error(code.saturating_neg())),
            None => Some(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The attributes behind a fixed part of the body.
    pub(in crate::agent::beside) fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.body.get(fixed..).unwrap_or_default())
    }
}

/// A row of attributes.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent::beside) struct Attributes<'a>(pub(in crate::agent::beside) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The first of this kind.
    pub(in crate::agent::beside) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }
    /// The first of this kind as text, without the zero behind it.
    pub(in crate::agent::beside) fn text(self, kind: u16) -> Option<&'a str> {
        let bytes = self.get(kind)?;
        std::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes)).ok()
    }
    /// The attributes that the first of this kind holds.
    pub(in crate::agent::beside) fn nested(self, kind: u16) -> Option<Attributes<'a>> {
        self.get(kind).map(Attributes)
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);
    type IntoIter = Walk<'a>;
    fn into_iter(self) -> Walk<'a> {
        Walk(self.0)
    }
}

/// Goes from attribute to attribute.
#[derive(Debug)]
pub(in crate::agent::beside) struct Walk<'a>(&'a [u8]);

impl<'a> Iterator for Walk<'a> {
    type Item = (u16, &'a [u8]);
    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(short(self.0, 0)?);
        let kind = short(self.0, 2)? & KIND;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The messages in what was received.
pub(super) fn replies(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || {
        let length = number(bytes, 0)? as usize;
        let kind = short(bytes, 4)?;
        let sequence = number(bytes, 8)?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Reply { kind, sequence, body })
    })
}

/// A number in the machine's order.
pub(in crate::agent::beside) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
