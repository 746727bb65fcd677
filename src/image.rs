//! The agent's image: a static binary, from scratch, as one tar archive that `docker load` and `ctr image import` read
//! (Docker Image Specification v1.2). Pure: same binary, same bytes.
//!
//! Deliberately absent: how it comes to an engine or to a cluster's machines.

use std::io;

use ring::digest::{SHA256, digest};
use serde_json::json;

/// The binary's path in the image.
pub const BINARY: &str = "firedrill";
/// What an ELF program header has for a dynamic loader (`PT_INTERP`, elf(5)).
const PT_INTERP: u64 = 3;
/// What the layer is called in the archive.
const LAYER: &str = "layer.tar";
/// The machines of ELF files (`e_machine`, elf(5)), as images call them (GOARCH).
const MACHINES: &[(u64, &str)] = &[(62, "amd64"), (183, "arm64")];

/// A binary that no image can be made of.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It needs a loader.
    #[error(
        "it is not a static binary, and a container from scratch has no loader: build it in \
         firedrill's own folder, whose .cargo/config.toml says how"
    )]
    NotStatic,
    /// It is for a machine of another kind.
    #[error(
        "it is for a machine of kind {0} (e_machine, elf(5)); images are made for amd64 (62) and \
         arm64 (183)"
    )]
    Machine(u64),
    /// It cannot be packed.
    #[error("{0}")]
    Archive(#[from] io::Error),
}

/// The digest of some bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The archive of an image by this name.
pub fn archive(binary: &[u8], name: &str) -> Result<Vec<u8>, ImageError> {
    if !is_static(binary) {
        return Err(ImageError::NotStatic);
    }
    let layer = layer(binary)?;
    let config = json!({
        "architecture": architecture(binary)?,
        "os": "linux",
        "config": {"Entrypoint": [format!("/{BINARY}")], "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
        "history": [{"created_by": "firedrill image"}],
    })
    .to_string();
    let config_name = format!("{}.json", sha256(config.as_bytes()));
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": [LAYER]}]);
    let mut archive = tar::Builder::new(Vec::with_capacity(layer.len() + (1 << 14)));
    append(&mut archive, "manifest.json", manifest.to_string().as_bytes(), 0o644)?;
    append(&mut archive, &config_name, config.as_bytes(), 0o644)?;
    append(&mut archive, LAYER, &layer, 0o644)?;
    Ok(archive.into_inner()?)
}

/// The archive of the files that the image has.
pub fn layer(binary: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::with_capacity(binary.len() + 4096));
    append(&mut archive, BINARY, binary, 0o755)?;
    archive.into_inner()
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    bytes: &[u8],
    mode: u32,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, path, bytes)
}

/// A number in a little-endian file.
fn number(elf: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = elf.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
}

fn architecture(elf: &[u8]) -> Result<&'static str, ImageError> {
    let machine = number(elf, 18, 2).unwrap_or_default();
    let known = MACHINES.iter().find(|(number, _)| *number == machine);
    known.map(|(_, name)| *name).ok_or(ImageError::Machine(machine))
}

/// Whether a 64-bit little-endian ELF file needs no dynamic loader. Anything else is taken for one that does.
pub fn is_static(elf: &[u8]) -> bool {
    let headers = || {
        let (at, size, count) = (number(elf, 32, 8)?, number(elf, 54, 2)?, number(elf, 56, 2)?);
        (0..count)
            .map(|n| number(elf, usize::try_from(at + n * size).ok()?, 4))
            .collect::<Option<Vec<_>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_binary_that_needs_a_loader_is_told_from_one_that_does_not() {
        assert!(is_static(&own()), "the test binary is built as the binary is");
        let shell = std::fs::read("/bin/sh").unwrap();
        assert!(!is_static(&shell), "/bin/sh is linked dynamically");
        assert!(!is_static(b"#!/bin/sh\n") && !is_static(b"\x7fELF\x02\x01"));
        assert!(matches!(archive(&shell, "x:1"), Err(ImageError::NotStatic)));
    }

    #[test]
    fn the_layer_holds_the_binary_and_nothing_else() {
        let bytes = layer(b"bytes").unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].path().unwrap().to_string_lossy(), BINARY);
        assert_eq!(entries[0].header().mode().unwrap(), 0o755);
    }

    /// The config of an image, from its archive.
    fn config(archive: &[u8]) -> serde_json::Value {
        let mut archive = tar::Archive::new(archive);
        let mut entries = archive.entries().unwrap().map(|e| e.unwrap());
        let named = |e: &tar::Entry<_>| {
            let path = e.path().unwrap().to_string_lossy().to_string();
            path.ends_with(".json") && path != "manifest.json"
        };
        let mut text = String::new();
        entries.find(named).unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_image_says_for_which_machine_it_is_and_is_the_same_each_time() {
        let mut binary = own();
        let first = archive(&binary, "agent:1").unwrap();
        assert_eq!(first, archive(&binary, "agent:1").unwrap());
        assert_eq!(config(&first)["config"]["Entrypoint"][0], "/firedrill");
        for (machine, name) in MACHINES {
            binary[18..20].copy_from_slice(&u16::try_from(*machine).unwrap().to_le_bytes());
            let image = archive(&binary, "agent:1").unwrap();
            assert_eq!(config(&image)["architecture"], *name);
        }
        binary[18..20].copy_from_slice(&243u16.to_le_bytes());
        let refused = archive(&binary, "agent:1").unwrap_err().to_string();
        assert!(refused.contains("243") && refused.contains("arm64"), "{refused}");
    }

    #[test]
    fn digests_are_sha256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), known);
    }
}
