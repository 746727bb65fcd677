//! The agent's image: static binaries, each from scratch, one for each kind of machine (OCI Image Specification v1.0).
//! Pure: same binaries, same bytes, and so the same digest everywhere. Hence no time stands in it.
//!
//! Deliberately absent: how it comes to an engine, a registry or a cluster's machines; and compression, which would
//! make the digest a matter of the compressor's version.

mod archive;
mod elf;
mod reference;

use std::collections::BTreeMap;
use std::io;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

pub use archive::archive;
pub use reference::{DOCKER_HUB, Reference, ReferenceError};

/// The binary's path in the image.
pub const BINARY: &str = "firedrill";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A binary that no image can be made of.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It is none.
    #[error("it is no 64-bit little-endian ELF file: an image is made of a binary for Linux")]
    NotElf,
    /// It needs a loader.
    #[error(
        "it is not a static binary, and a container from scratch has no loader: build it in \
         firedrill's own folder, whose .cargo/config.toml says how"
    )]
    NotStatic,
    /// It is for a machine of another kind.
    #[error(
        "it is for a machine of kind {0} (e_machine, elf(5)); images are made for amd64 (62) and \
         arm64 (183): build it for one of them"
    )]
    Machine(u64),
    /// Two of one kind.
    #[error("two binaries are for {0}: an image has one for each kind of machine")]
    Twice(&'static str),
    /// It cannot be packed.
    #[error("{0}")]
    Archive(#[from] io::Error),
}

/// Bytes that go by their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// What it is, to registries.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Blob {
        Blob { digest: format!("sha256:{}", sha256(&bytes)), media_type, bytes }
    }

    fn of(media_type: &'static str, json: &Value) -> Blob {
        Blob::new(media_type, json.to_string().into_bytes())
    }

    /// What a manifest has for it.
    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// The image for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The kind of machine, as images call it: amd64 or arm64.
    pub architecture: &'static str,
    layer: Blob,
    config: Blob,
    manifest: Blob,
}

impl Part {
    /// Of a static binary.
    pub fn new(binary: &[u8]) -> Result<Part, ImageError> {
        if !elf::is_elf(binary) {
            return Err(ImageError::NotElf);
        }
        let architecture = elf::architecture(binary)?;
        if !elf::is_static(binary) {
            return Err(ImageError::NotStatic);
        }
        let mut files = tar::Builder::new(Vec::with_capacity(binary.len() + 4096));
        append(&mut files, BINARY, binary, 0o755)?;
        let layer = Blob::new(LAYER, files.into_inner()?);
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": [format!("/{BINARY}")], "Env": ["PATH=/"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            "history": [{"created_by": "firedrill image"}],
        });
        let config = Blob::of(CONFIG, &config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        });
        Ok(Part { architecture, manifest: Blob::of(MANIFEST, &manifest), layer, config })
    }

    /// What an index has for it.
    fn descriptor(&self) -> Value {
        let mut descriptor = self.manifest.descriptor();
        descriptor["platform"] = json!({"architecture": self.architecture, "os": "linux"});
        descriptor
    }
}

/// An image: for one kind of machine, or for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// By kind of machine.
    parts: BTreeMap<&'static str, Part>,
    /// What names them all, where there are several.
    index: Option<Blob>,
}

impl Image {
    /// Of its parts, at least one.
    pub fn new(first: Part, more: Vec<Part>) -> Result<Image, ImageError> {
        let mut parts = BTreeMap::from([(first.architecture, first)]);
        for part in more {
            if let Some(twice) = parts.insert(part.architecture, part) {
                return Err(ImageError::Twice(twice.architecture));
            }
        }
        let several = parts.len() > 1;
        let index = several.then(|| {
            let manifests: Vec<Value> = parts.values().map(Part::descriptor).collect();
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
            Blob::of(INDEX, &index)
        });
        Ok(Image { parts, index })
    }

    /// The kinds of machines it is for.
    pub fn architectures(&self) -> Vec<&'static str> {
        self.parts.keys().copied().collect()
    }

    /// Layers and configs: what manifests speak of.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.parts.values().flat_map(|part| [&part.layer, &part.config])
    }

    /// The manifests. The last one is the image's: the index, where there are several others.
    pub fn manifests(&self) -> impl Iterator<Item = &Blob> {
        self.parts.values().map(|part| &part.manifest).chain(&self.index)
    }

    /// The digest that the image goes by.
    pub fn digest(&self) -> &str {
        self.manifests().last().map_or("", |manifest| &manifest.digest)
    }
}

/// The digest of some bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
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

#[cfg(test)]
mod tests;
