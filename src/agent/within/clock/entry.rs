//! Where a function can be diverted while threads run in it: one instruction near its entry, over which a jump is
//! written.
//!
//! Why no thread need be stopped for it. The jump's five bytes lie *within one instruction*: no thread's next
//! instruction can be inside it, nor can one that a signal's handler, a coroutine or a return address on a stack will
//! come back to. Whoever is before it takes the old way or the new; whoever is past it stays in what nobody changes.
//! And they change *at once*: they lie within 16 aligned bytes, which is what a processor fetches of code together,
//! and are written by one store of eight bytes, which x86 makes whole for every reader (Intel's manual, volume 3,
//! "guaranteed atomic operations"; AMD's, volume 2, on asynchronous cross-modifying code, for an aligned word: it is
//! preferred). Java's HotSpot patches the entries of its methods so. That the kernel's copy is one store is its
//! `memcpy` of eight bytes; on processors where that is `rep movsb` no manual promises it: it was measured (4 billion
//! readings of 1.5 million writings on an AMD EPYC, none mixed), a test measures it (`a_word_is_written_whole`), and
//! `whole` tries it on each machine before anything is written to others. Not so for emulated processors: QEMU without
//! KVM fetches an instruction piece by piece, and a thread there was seen to execute half a jump. Clocks of such are
//! not for skewing.
//!
//! The entry itself will seldom do: it is `push rbp`, one byte. So the instructions before the jump have been executed
//! when the diversion begins, and it first undoes what they did (`Site::undo`). What cannot be undone is refused: the
//! arguments must be untouched, and each register that belongs to the caller saved.
//!
//! Invariant: pure; a site is only ever offered for code that was understood wholly up to it.

use std::ops::Range;

use iced_x86::{
    ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register,
};

/// What is fetched of code at once.
const BLOCK: usize = 16;
/// `jmp rel32`.
pub const JUMP: usize = 5;
/// What is written at once.
pub const WORD: usize = 8;

/// The place in a function where it is diverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where the jump begins.
    pub at: usize,
    /// The word that is written: eight bytes that hold the jump, within one block of code.
    pub word: usize,
    /// Where the instruction ends over which the jump is written.
    pub end: usize,
    /// What leads back to the state at the entry.
    pub undo: Vec<u8>,
}

/// Finds the site of `function` in `image`, of which `text` is code. `None`: it was not understood.
pub fn site(image: &[u8], text: &Range<usize>, function: &Range<usize>) -> Option<Site> {
    let mut before = Before::default();
    let mut second_best = None;
    for instruction in decoder(image, function).iter() {
        let at = usize::try_from(instruction.ip()).ok()?;
        let end = at + instruction.len();
        let word = word_of(at).filter(|_| movable(&instruction) && instruction.len() >= JUMP);
        if let (Some(word), Some(undo)) = (word, before.undo())
            && !is_entered(image, text, function.start, end)
        {
            let site = Site { at, word, end, undo };
            if word % WORD == 0 {
                return Some(site);
            }
            second_best = second_best.or(Some(site));
        }
        if !before.pass(&instruction) {
            break;
        }
    }
    second_best
}

/// Decodes one part of the image.
pub fn decoder<'a>(image: &'a [u8], part: &Range<usize>) -> Decoder<'a> {
    let code = image.get(part.clone()).unwrap_or_default();
    Decoder::with_ip(64, code, part.start as u64, DecoderOptions::NONE)
}

/// Where an instruction has its displacement of four bytes, counted from its start.
pub fn displacement(image: &[u8], instruction: Range<usize>) -> Option<Range<usize>> {
    let mut decoder = decoder(image, &instruction);
    let decoded = decoder.decode();
    let offsets = decoder.get_constant_offsets(&decoded);
    let start = offsets.displacement_offset();
    (offsets.displacement_size() == 4).then(|| start..start + 4)
}

/// The eight bytes to write so that the five at `at` change at once: aligned ones if possible. `None`: the five lie in
/// two blocks.
fn word_of(at: usize) -> Option<usize> {
    let (aligned, block) = (at / WORD * WORD, at / BLOCK * BLOCK);
    if at + JUMP <= aligned + WORD {
        return Some(aligned);
    }
    (at + JUMP <= block + BLOCK).then(|| at.min(block + BLOCK - WORD))
}

/// Whether it does the same elsewhere, after its displacement was corrected (`stub::moved`).
fn movable(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        FlowControl::Next => true,
        FlowControl::ConditionalBranch => instruction.is_jcc_short_or_near(),
        FlowControl::UnconditionalBranch => instruction.is_jmp_short_or_near(),
        _ => false,
    }
}

/// Whether any code jumps or calls to between `start` and `end`: then not every way to the site begins at the entry.
fn is_entered(image: &[u8], text: &Range<usize>, start: usize, end: usize) -> bool {
    decoder(image, text).iter().any(|i| {
        let branch = i.is_jcc_short_or_near() || i.is_jmp_short_or_near() || i.is_call_near();
        let to = i.near_branch_target();
        branch && to > start as u64 && to < end as u64
    })
}

/// What the instructions from the entry on have done so far.
#[derive(Debug, Default)]
struct Before {
    /// Registers on the stack, the first one pushed first.
    pushed: Vec<Register>,
    /// How many were pushed when `rbp` was made the frame pointer.
    frame: Option<usize>,
    /// How far the stack pointer was moved since the last push; only with a frame is it ever moved.
    moved: bool,
    /// The comparison that the next branch goes by.
    compared: Option<Instruction>,
}

impl Before {
    /// Takes note of an instruction. False: what it does cannot be undone, or what follows it is not on every call's
    /// way.
    fn pass(&mut self, instruction: &Instruction) -> bool {
        let i = instruction;
        let is = |n: u32, register: Register| {
            i.op_count() > n && i.op_kind(n) == OpKind::Register && i.op_register(n) == register
        };
        let compared = std::mem::take(&mut self.compared);
        match i.mnemonic() {
            Mnemonic::Endbr64 | Mnemonic::Nop => true,
            Mnemonic::Push if i.op0_kind() == OpKind::Register && !self.moved => {
                self.pushed.push(i.op0_register());
                i.op0_register().is_gpr64()
            }
            Mnemonic::Mov if is(0, Register::RBP) && is(1, Register::RSP) => {
                self.frame = Some(self.pushed.len());
                self.pushed.last() == Some(&Register::RBP)
            }
            Mnemonic::Sub | Mnemonic::And if is(0, Register::RSP) => {
                self.moved = true;
                self.frame.is_some()
            }
            _ if i.is_jcc_short_or_near() => compared.is_some_and(|c| spares_the_rest(&c, i)),
            _ if i.flow_control() != FlowControl::Next => false,
            mnemonic => {
                if matches!(mnemonic, Mnemonic::Cmp | Mnemonic::Test) {
                    self.compared = Some(*i);
                }
                self.changes_only_what_is_saved(i)
            }
        }
    }

    /// Whether it leaves memory, the stack and the arguments alone, and the caller's registers unless they are saved.
    fn changes_only_what_is_saved(&self, instruction: &Instruction) -> bool {
        use Register::{R12, R13, R14, R15, RBX, RDI, RSI};
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(instruction);
        let writes = |access: OpAccess| {
            !matches!(
                access,
                OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None
            )
        };
        let registers = info.used_registers().iter().filter(|used| writes(used.access()));
        let mut changed = registers.map(|used| used.register().full_register());
        let harmless = changed.all(|register| match register {
            RDI | RSI | Register::RSP | Register::RBP => false,
            RBX | R12 | R13 | R14 | R15 => self.pushed.contains(&register),
            register => register.is_gpr64(),
        });
        harmless && !info.used_memory().iter().any(|used| writes(used.access()))
    }

    /// Code that restores all registers that belong to the caller, and the stack. `None`: it cannot.
    fn undo(&self) -> Option<Vec<u8>> {
        let number = |register: Register| u8::try_from(register.number()).ok();
        let mut code = vec![];
        let Some(frame) = self.frame else {
            for register in self.pushed.iter().rev() {
                let n = number(*register)?;
                code.extend((n >= 8).then_some(0x41)); // pop r64
                code.push(0x58 + n % 8);
            }
            return Some(code);
        };
        for (i, register) in self.pushed.iter().enumerate().filter(|(i, _)| *i + 1 != frame) {
            // mov r64, [rbp + distance]
            let distance = i8::try_from((frame as i64 - 1 - i as i64) * 8).ok()?;
            let n = number(*register)?;
            code.extend([0x48 | (n / 8) << 2, 0x8b, 0x45 | (n % 8) << 3, distance.cast_unsigned()]);
        }
        code.push(0xc9); // leave
        let below = u8::try_from(frame - 1).ok().filter(|below| *below < 16)?;
        if below > 0 {
            code.extend([0x48, 0x8d, 0x64, 0x24, below * 8]); // lea rsp, [rsp + below]
        }
        Some(code)
    }
}

/// Whether a branch lets pass each call that concerns the wall clock. Two are known: of a clock's number that is out
/// of bounds (the highest wall clock is 11, CLOCK_TAI), and of a missing `struct timeval` (nothing to falsify).
fn spares_the_rest(compared: &Instruction, branch: &Instruction) -> bool {
    let first = |register: Register| {
        compared.op0_kind() == OpKind::Register && compared.op0_register() == register
    };
    match (compared.mnemonic(), branch.condition_code()) {
        (Mnemonic::Cmp, ConditionCode::a) => {
            let immediate =
                matches!(compared.op1_kind(), OpKind::Immediate8to32 | OpKind::Immediate8to64);
            immediate
                && compared.op0_kind() == OpKind::Register
                && (11..64).contains(&compared.immediate(1))
        }
        (Mnemonic::Test, ConditionCode::e) => {
            first(Register::RDI) && compared.op1_register() == Register::RDI
        }
        _ => false,
    }
}
