//! A crash as users know it: the process dies by a signal, and whatever restarts it may. `docker kill` is no
//! crash: after it the engine holds the restart policy back.

use bollard::models::HostConfig;
use rustix::process::{Pid, Signal, kill_process};

use super::attached::Place;
use super::member::With;
use super::once;
use crate::inventory::NodeId;

/// Kills the process with this id on the engine's host: by a helper that sees all of the host's processes, and
/// may do nothing but signal them.
pub(super) async fn kill(with: With<'_>, node: &NodeId, pid: i64) -> Result<(), String> {
    let host = HostConfig {
        pid_mode: Some("host".into()),
        network_mode: Some("none".into()),
        cap_add: Some(vec!["KILL".into()]),
        ..Place::bare()
    };
    let command = vec!["agent-kill".into(), pid.to_string()];
    let (run, name) = (&with.options.run, format!("{node}-crash"));
    once::run(with.api, with.image, run, &name, command, host).await
}

/// The helper's own work: SIGKILL to one process.
pub fn kill_here(pid: i32) -> Result<(), String> {
    let process = Pid::from_raw(pid).filter(|_| pid > 1);
    let process = process.ok_or_else(|| format!("{pid} is no process to kill"))?;
    kill_process(process, Signal::KILL).map_err(|e| format!("process {pid}: {e}"))
}
