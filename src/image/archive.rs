//! An image as one tar archive that everybody reads: an OCI layout for containerd, Podman and Skopeo, and in it the
//! list that `docker load` goes by (Docker Image Specification v1.2). The blobs are the same ones. Pure.

use std::collections::BTreeSet;
use std::io;

use serde_json::json;

use super::{Blob, Image, Part, Reference, append};

/// Which of several parts Docker is given: its list has no kinds of machines.
fn for_docker<'a>(image: &'a Image, architecture: &str) -> Option<&'a Part> {
    image.parts.get(architecture).or_else(|| image.parts.values().next())
}

/// Where a blob lies in the layout.
fn path(blob: &Blob) -> String {
    format!("blobs/{}", blob.digest.replacen(':', "/", 1))
}

/// The archive of an image by this name. `architecture`: for which kind of machine `docker load` takes it, where the
/// image is for several.
pub fn archive(image: &Image, name: &Reference, architecture: &str) -> io::Result<Vec<u8>> {
    let blobs: Vec<&Blob> = image.blobs().chain(image.manifests()).collect();
    let size: usize = blobs.iter().map(|blob| blob.bytes.len() + 1024).sum();
    let mut archive = tar::Builder::new(Vec::with_capacity(size + (1 << 14)));
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;

    let mut top = match (&image.index, image.parts.values().next()) {
        (None, Some(part)) => part.descriptor(),
        (Some(index), _) => index.descriptor(),
        (None, None) => json!({}),
    };
    // The specification's name is the tag alone; containerd keeps images by their whole names.
    top["annotations"] = json!({
        "io.containerd.image.name": name.canonical(),
        "org.opencontainers.image.ref.name": name.tag,
    });
    let index = json!({"schemaVersion": 2, "mediaType": super::INDEX, "manifests": [top]});
    append(&mut archive, "index.json", index.to_string().as_bytes(), 0o644)?;

    let docker: Vec<_> = for_docker(image, architecture)
        .map(|part| {
            let (config, layer) = (path(&part.config), path(&part.layer));
            json!({"Config": config, "RepoTags": [name.to_string()], "Layers": [layer]})
        })
        .into_iter()
        .collect();
    append(&mut archive, "manifest.json", json!(docker).to_string().as_bytes(), 0o644)?;

    let mut there = BTreeSet::new();
    for blob in blobs {
        if there.insert(&blob.digest) {
            append(&mut archive, &path(blob), &blob.bytes, 0o644)?;
        }
    }
    archive.into_inner()
}
