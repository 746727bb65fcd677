//! What is written into the room behind a vDSO: code that asks the kernel's own functions, and adds an offset to the
//! wall clock while the monotonic clock is before a deadline. Its listing is `stub.lst`.
//!
//! So it reverts by itself: whoever holds the skew renews the deadline, and is not needed for its end. All else passes:
//! monotonic clocks, errors, missing arguments. The originals are called through a copy of the instructions before and
//! under the jump (a trampoline), so precision, clock sources and fallbacks stay the kernel's.
//!
//! The words (offset, deadline) stand in four slots, and one byte says which of them holds: a writer fills the next
//! slot and then steps the byte. A reader that finds the byte changed reads again, so it never mixes two writings,
//! however the kernel copies them: only a single byte is relied upon to be written whole.
//!
//! Invariant: the code is the same for each process of a machine; only the words differ. Pure.

use std::ops::Range;

use iced_x86::{FlowControl, Instruction};

use super::entry::{self, JUMP, Site, WORD};
use super::vdso::Vdso;
use crate::condition::ClockSkew;

const LISTING: &str = include_str!("stub.lst");

/// What a stub begins with once it is whole. Its last byte changes with the listing.
const MAGIC: &[u8; 8] = b"fdskew\0\x01";
/// The byte that says which slot holds.
const TURN: usize = 0x08;
const SLOTS: usize = 0x20;
const SLOT: usize = 0x20;
const COUNT: usize = 4;
const WORDS: Range<usize> = TURN..SLOTS + COUNT * SLOT;
/// Where the listing begins, and what of it a gate leads to.
const CODE: usize = 0xb0;
const CLOCK_GETTIME: usize = 0xb0;
const GETTIMEOFDAY: usize = 0x155;
const TIME: usize = 0x19f;
/// The trampolines, to which the listing leads.
const ORIGINAL_CLOCK_GETTIME: usize = 0x1d0;
const ORIGINAL_GETTIMEOFDAY: usize = 0x230;
const TRAMPOLINE: usize = 0x60;
/// The gates: each undoes what its function did before the jump.
const GATES: usize = 0x290;
const GATE: usize = 0x28;
const SIZE: usize = GATES + 3 * GATE;

/// A word of a function, as the kernel has it and with the jump in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Where, in the image.
    pub at: usize,
    /// As the kernel has it.
    pub original: [u8; WORD],
    /// With the jump.
    pub diverted: [u8; WORD],
}

/// The stub for one machine's vDSO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// Where it begins, in the image.
    pub base: usize,
    /// All of it, with words that add nothing.
    pub bytes: Vec<u8>,
    /// What leads to it.
    pub switches: Vec<Switch>,
}

/// What a process's image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The kernel's, byte for byte.
    Pristine,
    /// Nothing leads to the room, and what is in it is not whole: somebody was killed while he wrote.
    Unfinished,
    /// The stub is there, and of the functions so many lead to it.
    Ours {
        /// How many functions are diverted.
        diverted: usize,
        /// The byte that says which slot holds.
        turn: u8,
        /// What is added.
        offset: ClockSkew,
        /// Until when, in nanoseconds of the monotonic clock.
        deadline: u64,
    },
    /// Somebody else changed it, or it is another one.
    Foreign,
}

impl Stub {
    /// The stub for this image. Errors say which function was not understood.
    pub fn new(vdso: &Vdso) -> Result<Stub, String> {
        Stub::of_listing(vdso, LISTING)
    }

    /// The stub of another listing, so that tests can show what a broken one does.
    pub(super) fn of_listing(vdso: &Vdso, listing: &str) -> Result<Stub, String> {
        let room = [&vdso.room, &vdso.wider_room].into_iter().find(|room| room.len() >= SIZE);
        let base = room.ok_or_else(|| format!("its image has no {SIZE} bytes of room"))?.start;
        let mut stub = Stub { base, bytes: vec![0; SIZE], switches: vec![] };
        stub.put(0, SIZE, MAGIC)
            .and(stub.put(CODE, SIZE, &assembled(listing)?))
            .ok_or("no listing fits")?;
        let functions = [
            (
                "clock_gettime",
                Some(&vdso.clock_gettime),
                CLOCK_GETTIME,
                Some(ORIGINAL_CLOCK_GETTIME),
            ),
            ("gettimeofday", vdso.gettimeofday.as_ref(), GETTIMEOFDAY, Some(ORIGINAL_GETTIMEOFDAY)),
            ("time", vdso.time.as_ref(), TIME, None),
        ];
        for (n, (name, function, to, trampoline)) in functions.into_iter().enumerate() {
            let Some(function) = function else { continue };
            let not = || format!("its function {name} is not understood");
            let site = entry::site(&vdso.bytes, &vdso.text, function).ok_or_else(not)?;
            stub.divert(vdso, function, &site, (GATES + n * GATE, to, trampoline))
                .ok_or_else(not)?;
        }
        Ok(stub)
    }

    fn divert(
        &mut self,
        vdso: &Vdso,
        function: &Range<usize>,
        site: &Site,
        (gate, to, trampoline): (usize, usize, Option<usize>),
    ) -> Option<()> {
        if let Some(trampoline) = trampoline {
            let mut code = vec![];
            for instruction in entry::decoder(&vdso.bytes, &(function.start..site.end)).iter() {
                code.extend(moved(&vdso.bytes, &instruction, self.base + trampoline + code.len())?);
            }
            code.extend(jump(self.base + trampoline + code.len(), site.end)?);
            self.put(trampoline, TRAMPOLINE, &code)?;
        }
        let mut code = site.undo.clone();
        code.extend(jump(gate + code.len(), to)?);
        self.put(gate, GATE, &code)?;
        let original: [u8; WORD] = vdso.bytes.get(site.word..site.word + WORD)?.try_into().ok()?;
        let mut diverted = original;
        let within = site.at - site.word;
        diverted.get_mut(within..within + JUMP)?.copy_from_slice(&jump(site.at, self.base + gate)?);
        self.switches.push(Switch { at: site.word, original, diverted });
        Some(())
    }

    fn put(&mut self, at: usize, most: usize, code: &[u8]) -> Option<()> {
        let place = self.bytes.get_mut(at..at + code.len()).filter(|_| code.len() <= most)?;
        place.copy_from_slice(code);
        Some(())
    }

    /// The part of the image where it lies.
    pub fn place(&self) -> Range<usize> {
        self.base..self.base + self.bytes.len()
    }

    /// The part of it that says that it is whole.
    pub fn magic(&self) -> (usize, &'static [u8]) {
        (self.base, MAGIC)
    }

    /// What to write, and where in the image, so that these words hold: the slot first, then the byte.
    pub fn words(&self, turn: u8, offset: ClockSkew, deadline: u64) -> [(usize, Vec<u8>); 2] {
        let turn = turn.wrapping_add(1);
        let nanoseconds = offset.nanoseconds();
        let (seconds, rest) =
            (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
        let slot = [seconds.to_le_bytes(), rest.to_le_bytes(), deadline.to_le_bytes()].concat();
        [(self.base + slot_of(turn), slot), (self.base + TURN, vec![turn])]
    }

    /// What a process's image is, compared with the machine's.
    pub fn state(&self, vdso: &Vdso, image: &[u8]) -> State {
        if image == vdso.bytes {
            return State::Pristine;
        }
        let place = self.place();
        let mut bare = image.to_vec();
        let mut diverted = 0;
        for switch in &self.switches {
            let Some(word) = bare.get_mut(switch.at..switch.at + WORD) else {
                return State::Foreign;
            };
            diverted += usize::from(word == switch.diverted);
            if word == switch.diverted {
                word.copy_from_slice(&switch.original);
            }
        }
        let Some(stub) = image.get(place.clone()) else { return State::Foreign };
        let (Some(room), Some(kernels)) = (bare.get_mut(place.clone()), vdso.bytes.get(place))
        else {
            return State::Foreign;
        };
        room.copy_from_slice(kernels);
        if bare != vdso.bytes {
            return State::Foreign;
        }
        let same = |part: Range<usize>| stub.get(part.clone()) == self.bytes.get(part);
        match (same(0..MAGIC.len()), same(WORDS.end..SIZE)) {
            (true, true) => read_words(stub, diverted).unwrap_or(State::Foreign),
            (false, _) if diverted == 0 => State::Unfinished,
            _ => State::Foreign,
        }
    }
}

fn slot_of(turn: u8) -> usize {
    SLOTS + usize::from(turn) % COUNT * SLOT
}

fn read_words(stub: &[u8], diverted: usize) -> Option<State> {
    let turn = *stub.get(TURN)?;
    let word = |n: usize| {
        let at = slot_of(turn) + n * 8;
        Some(i64::from_le_bytes(stub.get(at..at + 8)?.try_into().ok()?))
    };
    let offset = word(0)?.checked_mul(1_000_000_000)?.checked_add(word(1)?)?;
    let by = std::time::Duration::from_nanos(offset.unsigned_abs());
    let offset = if offset < 0 { ClockSkew::behind(by) } else { ClockSkew::ahead(by) }?;
    Some(State::Ours { diverted, turn, offset, deadline: word(2)?.cast_unsigned() })
}

/// The bytes of a listing: of each line that begins with an address, what stands in the second column.
fn assembled(listing: &str) -> Result<Vec<u8>, String> {
    let mut code = vec![];
    for line in listing.lines() {
        let (bytes, _) = columns(line).unwrap_or_default();
        for byte in bytes.split(' ').filter(|byte| !byte.is_empty()) {
            code.push(u8::from_str_radix(byte, 16).map_err(|e| format!("`{line}`: {e}"))?);
        }
    }
    Ok(code)
}

/// The bytes and the words of a line of a listing: `  b2  74 0e    je short 00c2h    ; ...`.
pub(super) fn columns(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("  ")?;
    let (_, rest) = line.trim_start().split_once("  ")?;
    let (bytes, words) = rest.split_once("  ")?;
    Some((bytes, words.split(';').next().unwrap_or_default().trim()))
}

fn jump(from: usize, to: usize) -> Option<[u8; JUMP]> {
    let [a, b, c, d] = distance(from + JUMP, to)?;
    Some([0xe9, a, b, c, d])
}

fn distance(from: usize, to: usize) -> Option<[u8; 4]> {
    let distance = i64::try_from(to).ok()?.checked_sub(i64::try_from(from).ok()?)?;
    Some(i32::try_from(distance).ok()?.to_le_bytes())
}

/// The bytes of an instruction so that they do at `at` what they did where they were. `entry` offers none but these.
fn moved(image: &[u8], instruction: &Instruction, at: usize) -> Option<Vec<u8>> {
    let ip = usize::try_from(instruction.ip()).ok()?;
    let mut code = image.get(ip..ip + instruction.len())?.to_vec();
    let branch_to = || usize::try_from(instruction.near_branch_target()).ok();
    match instruction.flow_control() {
        FlowControl::ConditionalBranch => {
            // `7x rel8` and `0f 8x rel32`: the condition is the last four bits of the opcode.
            let opcode = code.iter().find(|byte| !matches!(byte, 0x0f | 0x2e | 0x3e))?;
            let mut long = vec![0x0f, 0x80 | opcode & 0x0f];
            long.extend(distance(at + 6, branch_to()?)?);
            Some(long)
        }
        FlowControl::UnconditionalBranch => Some(jump(at, branch_to()?)?.to_vec()),
        _ if instruction.is_ip_rel_memory_operand() => {
            // vDSO data lies before the image: addresses wrap.
            let target = instruction.ip_rel_memory_address();
            let by = target.wrapping_sub((at + code.len()) as u64).cast_signed();
            let by = i32::try_from(by).ok()?.to_le_bytes();
            let end = code.len();
            let part = entry::displacement(image, ip..ip + end)?;
            code.get_mut(part)?.copy_from_slice(&by);
            Some(code)
        }
        _ => Some(code),
    }
}
