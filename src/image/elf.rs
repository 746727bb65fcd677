//! What an image has to know of a binary: for which machine it is, and whether it runs where nothing else is. Pure.

use super::ImageError;

/// What an ELF program header has for a dynamic loader (`PT_INTERP`, elf(5)).
const PT_INTERP: u64 = 3;
/// The machines of ELF files (`e_machine`, elf(5)), as images call them (GOARCH).
const MACHINES: &[(u64, &str)] = &[(62, "amd64"), (183, "arm64")];

/// A number in a little-endian file.
fn number(elf: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = elf.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
}

/// The kind of machine that a binary is for, as images call it.
pub(super) fn architecture(elf: &[u8]) -> Result<&'static str, ImageError> {
    let machine = number(elf, 18, 2).unwrap_or_default();
    let known = MACHINES.iter().find(|(number, _)| *number == machine);
    known.map(|(_, name)| *name).ok_or(ImageError::Machine(machine))
}

/// Whether a file is a 64-bit little-endian ELF file.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF\x02\x01")
}

/// Whether such a file needs no dynamic loader. One whose headers cannot be read is taken for one that does.
pub(super) fn is_static(elf: &[u8]) -> bool {
    let kinds = || {
        let (at, size, count) = (number(elf, 32, 8)?, number(elf, 54, 2)?, number(elf, 56, 2)?);
        (0..count)
            .map(|n| number(elf, usize::try_from(at.checked_add(n * size)?).ok()?, 4))
            .collect::<Option<Vec<_>>>()
    };
    kinds().is_some_and(|kinds| !kinds.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_needs_a_loader_is_told_from_one_that_does_not() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(is_elf(&own) && is_static(&own), "the test binary is built as the binary is");
        let shell = std::fs::read("/bin/sh").unwrap();
        assert!(is_elf(&shell) && !is_static(&shell), "/bin/sh is linked dynamically");
        assert!(!is_elf(b"#!/bin/sh\n") && !is_static(b"\x7fELF\x02\x01"));
        let mut broken = own[..64].to_vec();
        broken[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(!is_static(&broken), "its headers lie beyond any file");
    }
}
