//! The agent's image: this very binary, from scratch, imported through the engine's API. No registry, no
//! Dockerfile. Its tag is the binary's digest, so that an engine has the right one or none.

use std::path::Path;

use bollard::Docker as Api;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;

use super::engine::{is_absent, words};
use crate::target::TargetError;

/// The repository of the agent's images.
const REPOSITORY: &str = "firedrill/agent";
/// The binary's path in the image.
const BINARY: &str = "firedrill";
/// What an ELF program header has for a dynamic loader (`PT_INTERP`, elf(5)).
const PT_INTERP: u32 = 3;

/// The image's name; it is made where the engine does not have it.
pub(super) async fn ensure(api: &Api, binary: &Path) -> Result<String, TargetError> {
    let path = binary.to_path_buf();
    let read = move || std::fs::read(&path);
    let unreadable = |why: String| {
        TargetError::Other(format!(
            "the agent's image cannot be made of {}: {why}",
            binary.display()
        ))
    };
    let bytes = tokio::task::spawn_blocking(read).await.map_err(|e| unreadable(e.to_string()))?;
    let bytes = bytes.map_err(|e| unreadable(e.to_string()))?;
    if !is_static(&bytes) {
        return Err(unreadable(
            "it is not a static binary, and a container from scratch has no loader: build it in \
             firedrill's own folder, whose .cargo/config.toml says how"
                .into(),
        ));
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let tag: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{REPOSITORY}:{tag}");
    match api.inspect_image(&name).await {
        Ok(_) => return Ok(name),
        Err(e) if is_absent(&e) => {}
        Err(e) => return Err(TargetError::Other(format!("image {name}: {}", words(&e)))),
    }
    let archive = archive(&bytes).map_err(|e| unreadable(e.to_string()))?;
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(REPOSITORY)
        .tag(&tag)
        .changes(vec![format!(r#"ENTRYPOINT ["/{BINARY}"]"#)])
        .build();
    let body = bollard::body_full(archive.into());
    let mut steps = std::pin::pin!(api.create_image(Some(options), Some(body), None));
    while let Some(step) = steps.next().await {
        step.map_err(|e| TargetError::Other(format!("image {name}: {}", words(&e))))?;
    }
    Ok(name)
}

fn archive(binary: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::with_capacity(binary.len() + 4096));
    let mut header = tar::Header::new_gnu();
    header.set_size(binary.len() as u64);
    header.set_mode(0o755);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, BINARY, binary)?;
    archive.into_inner()
}

/// Whether a 64-bit little-endian ELF file needs no dynamic loader. Anything else is taken for one that does.
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
    };
    let headers = || {
        let (at, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count)
            .map(|n| number(usize::try_from(at + n * size).ok()?, 4))
            .collect::<Option<Vec<_>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.contains(&u64::from(PT_INTERP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_needs_a_loader_is_told_from_one_that_does_not() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(is_static(&own), "the test binary is built as the binary is");
        let shell = std::fs::read("/bin/sh").unwrap();
        assert!(!is_static(&shell), "/bin/sh is linked dynamically");
        assert!(!is_static(b"#!/bin/sh\n") && !is_static(b"\x7fELF\x02\x01"));
    }

    #[test]
    fn the_archive_holds_the_binary_and_nothing_else() {
        let bytes = archive(b"bytes").unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].path().unwrap().to_string_lossy(), BINARY);
        assert_eq!(entries[0].header().mode().unwrap(), 0o755);
    }
}
