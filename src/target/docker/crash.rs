//! A crash as users know it: the process dies by a signal, and whatever restarts it may. `docker kill` is no
//! crash: after it the engine holds the restart policy back.

use bollard::models::HostConfig;
use rustix::process::{Pid, Signal, kill_process};

use super::attached::Place;
use super::errand::Errand;
use super::member::With;
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
    let errand = Errand {
        run: &with.options.run,
        image: with.image,
        name: &format!("{node}-crash"),
        command: vec!["agent-kill".into(), pid.to_string()],
        host,
    };
    errand.go(with.api).await.map(drop).map_err(|why| format!("the helper that kills: {why}"))
}

/// The helper's own work: SIGKILL to one process.
pub fn kill_here(pid: i32) -> Result<(), String> {
    let process = Pid::from_raw(pid).filter(|_| pid > 1);
    let process = process.ok_or_else(|| format!("{pid} is no process to kill"))?;
    kill_process(process, Signal::KILL).map_err(|e| format!("process {pid}: {e}"))
}
