//! The agent's image: this very binary, from scratch, imported through the engine's API. No registry, no
//! Dockerfile. Its tag is the binary's digest, so that an engine has the right one or none.

use std::path::Path;

use bollard::Docker as Api;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;

use super::engine::{is_absent, words};
use crate::image::{BINARY, ImageError, is_static, layer, sha256};
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
    if !is_static(&bytes) {
        return Err(unreadable(ImageError::NotStatic.to_string()));
    }
    let tag: String = sha256(&bytes).chars().take(16).collect();
    let name = format!("{REPOSITORY}:{tag}");
    match api.inspect_image(&name).await {
        Ok(_) => return Ok(name),
        Err(e) if is_absent(&e) => {}
        Err(e) => return Err(TargetError::Other(format!("image {name}: {}", words(&e)))),
    }
    let layer = layer(&bytes).map_err(|e| unreadable(e.to_string()))?;
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(REPOSITORY)
        .tag(&tag)
        .changes(vec![format!(r#"ENTRYPOINT ["/{BINARY}"]"#)])
        .build();
    let body = bollard::body_full(layer.into());
    let mut steps = std::pin::pin!(api.create_image(Some(options), Some(body), None));
    while let Some(step) = steps.next().await {
        step.map_err(|e| TargetError::Other(format!("image {name}: {}", words(&e))))?;
    }
    Ok(name)
}

/// Loads an archive of images into the engine that the environment names. Blocks.
pub fn load(archive: Vec<u8>) -> Result<(), TargetError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| TargetError::Other(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let api = super::engine::connect(None).await?;
        let body = bollard::body_full(archive.into());
        let options = bollard::query_parameters::ImportImageOptions::default();
        let mut steps = std::pin::pin!(api.import_image(options, body, None));
        while let Some(step) = steps.next().await {
            step.map_err(|e| TargetError::Other(format!("the image: {}", words(&e))))?;
        }
        Ok(())
    })
}
