//! An agent in a container: joined to what it needs of a node, and spoken to over its attach stream.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker as Api;
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StartContainerOptions,
};
use futures::StreamExt;

use super::engine::words;
use crate::control::{Attached, Input, Lines, NODE_LABEL, RUN_LABEL, Speech, lines};

/// Which helper, and where it is to stand.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub run: String,
    pub image: String,
    pub lease: Duration,
    /// The node's name.
    pub node: String,
    /// The hidden subcommand that it is, and its arguments.
    pub command: Vec<String>,
    /// What of the node it joins, and what it may do there.
    pub host: HostConfig,
}

impl Place {
    /// What every agent is denied: each capability, new privileges, a file system of its own to write to.
    pub fn bare() -> HostConfig {
        HostConfig {
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into()]),
            readonly_rootfs: Some(true),
            auto_remove: Some(true),
            ..HostConfig::default()
        }
    }
}

/// Starts one. Fails with why, in words.
pub(super) async fn start<S: Speech>(api: &Api, place: &Place) -> Result<Attached<S>, String> {
    let id = create(api, place).await?;
    let met = async {
        let (lines, input) = begin(api, &id).await?;
        Attached::meet(lines, input, place.lease).await
    };
    let met = met.await;
    if met.is_err() {
        // It removes itself when it ends, if it ever ran.
        let _ = api.remove_container(&id, Some(super::restore::removal())).await;
    }
    met
}

async fn create(api: &Api, place: &Place) -> Result<String, String> {
    let labels = HashMap::from([
        (RUN_LABEL.to_string(), place.run.clone()),
        (NODE_LABEL.to_string(), place.node.clone()),
    ]);
    let lease = format!("{}ms", place.lease.as_millis());
    let mut command = place.command.clone();
    command.extend(["--lease".into(), lease]);
    let body = ContainerCreateBody {
        image: Some(place.image.clone()),
        cmd: Some(command),
        labels: Some(labels),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(place.host.clone()),
        ..ContainerCreateBody::default()
    };
    let name = format!("firedrill-{}-{}-{:04x}", place.run, place.node, rand::random::<u16>());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let made = api.create_container(Some(options), body).await;
    made.map(|made| made.id).map_err(|e| format!("the agent's container: {}", words(&e)))
}

async fn begin(api: &Api, id: &str) -> Result<(Lines, Input), String> {
    let options =
        AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true);
    let attached = api.attach_container(id, Some(options.build())).await;
    let attached = attached.map_err(|e| format!("the agent's stream: {}", words(&e)))?;
    let started = api.start_container(id, None::<StartContainerOptions>);
    started.await.map_err(|e| format!("the agent's start: {}", words(&e)))?;
    // What it says on stderr is a complaint.
    let said = attached.output.map(|part| match part {
        Ok(LogOutput::StdErr { message }) => {
            Err(String::from_utf8_lossy(&message).trim().to_string())
        }
        Ok(other) => Ok(other.into_bytes()),
        Err(e) => Err(words(&e)),
    });
    Ok((lines(said), attached.input))
}
