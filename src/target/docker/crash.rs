//! A crash as users know it: the process dies by a signal, and whatever restarts it may. `docker kill` is no
//! crash: after it the engine holds the restart policy back.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};

use super::beside::RUN_LABEL;
use super::engine::words;
use super::member::With;
use crate::inventory::NodeId;

/// Kills the process with this id on the engine's host: by a helper that sees all of the host's processes, and
/// may do nothing but signal them.
pub(super) async fn kill(with: With<'_>, node: &NodeId, pid: i64) -> Result<(), String> {
    let host = HostConfig {
        pid_mode: Some("host".into()),
        network_mode: Some("none".into()),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: Some(vec!["KILL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        readonly_rootfs: Some(true),
        auto_remove: Some(false),
        ..HostConfig::default()
    };
    let body = ContainerCreateBody {
        image: Some(with.image.to_string()),
        cmd: Some(vec!["agent-kill".into(), pid.to_string()]),
        labels: Some(HashMap::from([(RUN_LABEL.to_string(), with.options.run.clone())])),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    let name = format!("firedrill-{}-{node}-crash-{:04x}", with.options.run, rand::random::<u16>());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let failed = |e: bollard::errors::Error| format!("the helper that kills: {}", words(&e));
    let id = with.api.create_container(Some(options), body).await.map_err(failed)?.id;
    let ran = async {
        with.api.start_container(&id, None::<StartContainerOptions>).await.map_err(failed)?;
        let mut ended = std::pin::pin!(with.api.wait_container(&id, None::<WaitContainerOptions>));
        match ended.next().await {
            Some(Ok(_)) | None => Ok(()),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => {
                Err(format!("the helper that kills process {pid} ended with {code}"))
            }
            Some(Err(e)) => Err(failed(e)),
        }
    };
    let ran = ran.await;
    let _ = with.api.remove_container(&id, Some(super::restore::removal())).await;
    ran
}

/// The helper's own work: SIGKILL to one process.
pub fn kill_here(pid: i32) -> Result<(), String> {
    let process = Pid::from_raw(pid).filter(|_| pid > 1);
    let process = process.ok_or_else(|| format!("{pid} is no process to kill"))?;
    kill_process(process, Signal::KILL).map_err(|e| format!("process {pid}: {e}"))
}
