//! The kernel's time functions as every process of this machine has them: the vDSO, an ELF image that the kernel maps
//! into each (vdso(7)), where they lie in it, and the room behind it that nobody executes.
//!
//! Invariant: read once, from a process that nobody changed; whatever is done elsewhere is compared with it.
//! Deliberately absent: other processes.

use std::ops::Range;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, ObjectSymbol};

/// An image of the vDSO, and what matters in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vdso {
    /// All bytes that are mapped.
    pub bytes: Vec<u8>,
    /// All code.
    pub text: Range<usize>,
    /// `__vdso_clock_gettime`.
    pub clock_gettime: Range<usize>,
    /// `__vdso_gettimeofday`, where the kernel has it.
    pub gettimeofday: Option<Range<usize>>,
    /// `__vdso_time`, where the kernel has it.
    pub time: Option<Range<usize>>,
    /// What follows the last thing that the image holds.
    pub room: Range<usize>,
    /// What follows the last thing that is loaded: includes headers that debuggers read, and nobody executes.
    pub wider_room: Range<usize>,
}

impl Vdso {
    /// Reads an image. Errors say what is missing or odd.
    pub fn parse(bytes: Vec<u8>) -> Result<Vdso, String> {
        let odd =
            |e: object::read::Error| format!("its image is no ELF file that can be read: {e}");
        let file = ElfFile64::<object::Endianness>::parse(&*bytes).map_err(odd)?;
        let (endian, header) = (file.endian(), file.elf_header());
        if header.e_machine.get(endian) != elf::EM_X86_64 {
            return Err("its image is not one of x86-64".into());
        }
        let text = file.section_by_name(".text").ok_or("its image has no .text")?;
        let text = span(text.address(), text.size(), bytes.len())?;
        let function = |name: &str| {
            let symbol = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name));
            symbol.map(|s| span(s.address(), s.size(), bytes.len())).transpose()
        };
        let ends = header.program_headers(endian, &*bytes).map_err(odd)?.iter();
        let ends = ends.filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
        let loaded = ends.map(|s| s.p_offset(endian).saturating_add(s.p_filesz(endian))).max();
        let loaded = usize::try_from(loaded.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let headers = header.e_shoff.get(endian).saturating_add(
            u64::from(header.e_shentsize.get(endian)) * u64::from(header.e_shnum.get(endian)),
        );
        let contents = file.sections().filter_map(|s| s.file_range());
        let contents = contents.map(|(start, size)| start.saturating_add(size)).max().unwrap_or(0);
        let all = usize::try_from(headers.max(contents)).unwrap_or(usize::MAX).max(loaded);
        let behind =
            |end: usize| end.min(bytes.len()).next_multiple_of(64).min(bytes.len())..bytes.len();
        Ok(Vdso {
            clock_gettime: function("__vdso_clock_gettime")?
                .ok_or("its image has no __vdso_clock_gettime")?,
            gettimeofday: function("__vdso_gettimeofday")?,
            time: function("__vdso_time")?,
            room: behind(all),
            wider_room: behind(loaded),
            text,
            bytes,
        })
    }
}

/// A part of an image that is loaded where it lies in the file, as vDSOs are.
fn span(start: u64, size: u64, whole: usize) -> Result<Range<usize>, String> {
    let part = usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(size)).ok());
    match part {
        Some((start, end)) if start < end && end <= whole => Ok(start..end),
        _ => Err(format!("its image names {size} bytes at {start:#x}, of {whole:#x}")),
    }
}
