//! One transaction of nf_tables: the kernel takes all of it, or nothing.

use crate::agent::beside::netlink::{ACK, APPEND, CREATE, EXCLUSIVE, Messages, REQUEST};

use super::expression::Expressions;

const SUBSYSTEM: u16 = 10;
const BEGIN: u16 = 16;
const END: u16 = 17;
const NEW_TABLE: u16 = 0;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
pub(super) const GET_RULE: u16 = 7;
const DELETE_RULE: u16 = 8;

/// The table goes when the socket that made it closes, and nobody else may change it (`NFT_TABLE_F_OWNER`).
const OWNED: u32 = 0x2;
const ACCEPT: u32 = 1;
/// Before the rules of others, which then see what a real network would have left them.
const EARLY: i32 = -500;
/// Before connections are tracked, and so before addresses are translated.
const UNTRACKED: i32 = -300;

/// What packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Frames of one device, as they come and go.
    Device,
    /// IPv4 and IPv6, as the node itself receives and sends.
    Internet,
}

impl Table {
    pub(super) const ALL: [Table; 2] = [Table::Device, Table::Internet];
    pub(super) const NAME: &str = "firedrill";

    fn family(self) -> u8 {
        match self {
            Table::Device => 5,
            Table::Internet => 1,
        }
    }
}

/// Where a chain is hooked in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hook<'a> {
    /// What a device receives.
    Ingress(&'a str),
    /// What a device sends.
    Egress(&'a str),
    /// What is for the node itself.
    Input,
    /// What the node itself sends.
    Output,
    /// The same, behind all of `Output`: a packet that a rule has sent elsewhere is routed anew.
    Reroute,
}

/// The fixed part of a message: the family, and for whom it is.
pub(super) fn header(table: Option<Table>) -> [u8; 4] {
    match table {
        Some(table) => [table.family(), 0, 0, 0],
        None => [0, 0, 0, SUBSYSTEM as u8],
    }
}

/// The kind of a message to nf_tables.
pub(super) fn kind(of: u16) -> u16 {
    SUBSYSTEM << 8 | of
}

/// A transaction as it is written.
pub(super) struct Batch {
    messages: Messages,
}

impl Batch {
    pub(super) fn begin(mut messages: Messages) -> Batch {
        messages.message(BEGIN, REQUEST, &header(None));
        Batch { messages }
    }

    fn message(&mut self, of: u16, flags: u16, table: Table) -> &mut Messages {
        // Each is acknowledged: the last one's acknowledgement says that all was taken.
        self.messages.message(kind(of), REQUEST | ACK | flags, &header(Some(table)));
        &mut self.messages
    }

    /// Makes a table that nobody has yet.
    pub(super) fn table(&mut self, table: Table) {
        let m = self.message(NEW_TABLE, CREATE | EXCLUSIVE, table);
        m.text(1, Table::NAME);
        m.number(2, OWNED);
    }

    /// Makes a chain, or leaves it as it is, and takes all rules out of it.
    pub(super) fn empty_chain(&mut self, table: Table, name: &str, hook: Option<Hook>) {
        let m = self.message(NEW_CHAIN, CREATE, table);
        m.text(1, Table::NAME);
        m.text(3, name);
        if let Some(hook) = hook {
            let (number, device) = match hook {
                Hook::Ingress(device) => (0, Some(device)),
                Hook::Egress(device) => (1, Some(device)),
                Hook::Input => (1, None),
                Hook::Output | Hook::Reroute => (3, None),
            };
            let (priority, kind) = match hook {
                Hook::Reroute => (UNTRACKED, "route"),
                _ => (EARLY, "filter"),
            };
            m.nest(4, |m| {
                m.number(1, number);
                m.number(2, priority.cast_unsigned());
                if let Some(device) = device {
                    m.text(3, device);
                }
            });
            m.number(5, ACCEPT);
            m.text(7, kind);
        }
        let m = self.message(DELETE_RULE, 0, table);
        m.text(1, Table::NAME);
        m.text(2, name);
    }

    /// A rule behind the others of its chain; `note` comes back with it.
    pub(super) fn rule(
        &mut self,
        table: Table,
        chain: &str,
        note: &str,
        fill: impl FnOnce(&mut Expressions),
    ) {
        let m = self.message(NEW_RULE, CREATE | APPEND, table);
        m.text(1, Table::NAME);
        m.text(2, chain);
        m.nest(4, |m| fill(&mut Expressions(m)));
        if !note.is_empty() {
            m.attribute(7, &comment(note));
        }
    }

    pub(super) fn end(mut self) -> Messages {
        self.messages.message(END, REQUEST, &header(None));
        self.messages
    }
}

/// A comment as `nft` writes and lists it: a kind, a length, and text with a zero behind it.
fn comment(text: &str) -> Vec<u8> {
    let mut bytes = vec![0, text.len() as u8 + 1];
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// What [`comment`] wrote.
pub(super) fn comment_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.get(2..)?.strip_suffix(b"\0")?).ok()
}
