//! A helper that does one thing and ends.

use std::collections::HashMap;

use bollard::Docker as Api;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures::StreamExt;

use super::attached::RUN_LABEL;
use super::engine::words;

/// Runs a hidden subcommand in a container of its own, to its end. `name` follows the run's. Fails with what it said.
pub(super) async fn run(
    api: &Api,
    image: &str,
    run: &str,
    name: &str,
    command: Vec<String>,
    host: HostConfig,
) -> Result<(), String> {
    let body = ContainerCreateBody {
        image: Some(image.to_string()),
        cmd: Some(command),
        labels: Some(HashMap::from([(RUN_LABEL.to_string(), run.to_string())])),
        // Its end has to be seen.
        host_config: Some(HostConfig { auto_remove: Some(false), ..host }),
        ..ContainerCreateBody::default()
    };
    let name = format!("firedrill-{run}-{name}-{:04x}", rand::random::<u16>());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let failed = |e: bollard::errors::Error| format!("the helper {name}: {}", words(&e));
    let id = api.create_container(Some(options), body).await.map_err(failed)?.id;
    let ran = async {
        api.start_container(&id, None::<StartContainerOptions>).await.map_err(failed)?;
        let mut ended = std::pin::pin!(api.wait_container(&id, None::<WaitContainerOptions>));
        match ended.next().await {
            Some(Ok(_)) | None => Ok(()),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => {
                Err(format!("the helper {name} ended with {code}: {}", said(api, &id).await))
            }
            Some(Err(e)) => Err(failed(e)),
        }
    };
    let ran = ran.await;
    let _ = api.remove_container(&id, Some(super::restore::removal())).await;
    ran
}

async fn said(api: &Api, id: &str) -> String {
    let options = LogsOptionsBuilder::default().stderr(true).build();
    let mut log = std::pin::pin!(api.logs(id, Some(options)));
    let mut said = String::new();
    while let Some(Ok(part)) = log.next().await {
        said.push_str(&String::from_utf8_lossy(&part.into_bytes()));
    }
    said.trim().to_string()
}
