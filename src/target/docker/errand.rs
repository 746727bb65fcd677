//! A container that does one thing and is removed: firedrill itself, from the agent's image.

use std::collections::HashMap;

use bollard::Docker as Api;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures::{StreamExt, TryStreamExt};

use super::engine::words;
use crate::control::RUN_LABEL;

/// What is to be done, and what it may touch.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    /// The run that it belongs to.
    pub run: &'a str,
    pub image: &'a str,
    /// The part of its name that says what it is for.
    pub name: &'a str,
    pub command: Vec<String>,
    pub host: HostConfig,
}

impl Errand<'_> {
    /// Does it, and waits until it is done. What it said; an error, if it failed.
    pub async fn go(self, api: &Api) -> Result<String, String> {
        let Errand { run, image, name, command, host } = self;
        let body = ContainerCreateBody {
            image: Some(image.to_string()),
            cmd: Some(command),
            labels: Some(HashMap::from([(RUN_LABEL.to_string(), run.to_string())])),
            host_config: Some(HostConfig { auto_remove: Some(false), ..host }),
            ..ContainerCreateBody::default()
        };
        let name = format!("firedrill-{run}-{name}-{:04x}", rand::random::<u16>());
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let failed = |e: Error| words(&e);
        let id = api.create_container(Some(options), body).await.map_err(failed)?.id;
        let ran = async {
            api.start_container(&id, None::<StartContainerOptions>).await.map_err(failed)?;
            let mut ended = std::pin::pin!(api.wait_container(&id, None::<WaitContainerOptions>));
            let code = match ended.next().await {
                Some(Ok(_)) | None => 0,
                Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
                Some(Err(e)) => return Err(failed(e)),
            };
            let log = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
            let log: Vec<_> = api.logs(&id, Some(log)).try_collect().await.map_err(failed)?;
            let said: String = log.iter().map(ToString::to_string).collect();
            let said = said.trim();
            match code {
                0 => Ok(said.to_string()),
                code => Err(format!("it ended with {code}: {said}")),
            }
        };
        let ran = ran.await;
        let _ = api.remove_container(&id, Some(super::restore::removal())).await;
        ran
    }
}
