//! The agent's image: this very binary, from scratch, loaded through the engine's API. No registry, no
//! Dockerfile. Its tag is the binary's digest, so that an engine has the right one or none.

use std::path::Path;

use bollard::Docker as Api;
use bollard::query_parameters::ImportImageOptions;
use futures::StreamExt;

use super::engine::{connect, is_absent, words};
use crate::image::{Image, Part, Reference, archive, sha256};
use crate::target::TargetError;

/// The repository of the agent's images.
const REPOSITORY: &str = "firedrill/agent";

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
    let tag: String = sha256(&bytes).chars().take(16).collect();
    let name = format!("{REPOSITORY}:{tag}");
    match api.inspect_image(&name).await {
        Ok(_) => return Ok(name),
        Err(e) if is_absent(&e) => {}
        Err(e) => return Err(TargetError::Other(format!("image {name}: {}", words(&e)))),
    }
    let reference: Reference = name.parse().map_err(|e| TargetError::Other(format!("{e}")))?;
    let make = || Image::new(Part::new(&bytes)?, vec![]);
    let image = make().map_err(|e| unreadable(e.to_string()))?;
    let archive = archive(&image, &reference, std::env::consts::ARCH);
    take(api, archive.map_err(|e| unreadable(e.to_string()))?, &name).await?;
    Ok(name)
}

/// Loads the archive of an image into the engine that the environment names. Blocks.
pub fn load(archive: Vec<u8>, name: &str) -> Result<(), TargetError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| TargetError::Other(format!("no runtime: {e}")))?;
    runtime.block_on(async { take(&connect(None).await?, archive, name).await })
}

async fn take(api: &Api, archive: Vec<u8>, name: &str) -> Result<(), TargetError> {
    let failed = |e| TargetError::Other(format!("image {name}: {}", words(&e)));
    let body = bollard::body_full(archive.into());
    let mut steps = std::pin::pin!(api.import_image(ImportImageOptions::default(), body, None));
    while let Some(step) = steps.next().await {
        step.map_err(failed)?;
    }
    // An engine may take an archive that it finds nothing in.
    api.inspect_image(name).await.map_err(failed)?;
    Ok(())
}
