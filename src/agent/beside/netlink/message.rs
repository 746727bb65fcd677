//! Netlink messages as they are written: a header, a body, and attributes that hold attributes.

use super::{ACK, DUMP};

/// The flag of an attribute that holds others.
const NESTED: u16 = 0x8000;
const HEADER: usize = 16;

/// One message or several, each with the next sequence number.
#[derive(Debug)]
pub(in crate::agent::beside) struct Messages {
    bytes: Vec<u8>,
    sequence: u32,
    /// The last one that is acknowledged, or answered.
    answered: u32,
    /// Where the message under way begins.
    message: Option<usize>,
}

impl Messages {
    pub(super) fn after(sequence: u32) -> Messages {
        Messages { bytes: vec![], sequence, answered: sequence, message: None }
    }

    /// Begins a message; `body` is what stands between the header and the attributes.
    pub(in crate::agent::beside) fn message(&mut self, kind: u16, flags: u16, body: &[u8]) {
        self.close();
        self.message = Some(self.bytes.len());
        self.sequence = self.sequence.wrapping_add(1);
        if flags & (ACK | DUMP) != 0 {
            self.answered = self.sequence;
        }
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend(body);
        self.pad();
    }

    /// An attribute of these bytes.
    pub(in crate::agent::beside) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let at = self.begin(kind);
        self.bytes.extend(value);
        self.end(at);
    }

    /// An attribute of text, with the zero behind it.
    pub(in crate::agent::beside) fn text(&mut self, kind: u16, value: &str) {
        let at = self.begin(kind);
        self.bytes.extend(value.as_bytes());
        self.bytes.push(0);
        self.end(at);
    }

    /// Bytes as they are: the fixed part of an attribute that others follow in.
    pub(in crate::agent::beside) fn raw(&mut self, value: &[u8]) {
        self.bytes.extend(value);
        self.pad();
    }

    /// A number in the network's order, as nf_tables has them.
    pub(in crate::agent::beside) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// An attribute that holds others.
    pub(in crate::agent::beside) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Messages)) {
        let at = self.begin(kind | NESTED);
        fill(self);
        self.end(at);
    }

    /// The bytes; the sequence number of the last message, and of the last that is answered.
    pub(super) fn finish(mut self) -> (Vec<u8>, u32, u32) {
        self.close();
        (self.bytes, self.sequence, self.answered)
    }

    fn begin(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.bytes.extend(0u16.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        at
    }

    /// Writes the length that is known now. The padding is not part of it.
    fn end(&mut self, at: usize) {
        let length = (self.bytes.len() - at) as u16;
        self.put(at, &length.to_ne_bytes());
        self.pad();
    }

    fn close(&mut self) {
        if let Some(at) = self.message.take() {
            let length = (self.bytes.len() - at).max(HEADER) as u32;
            self.put(at, &length.to_ne_bytes());
        }
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
