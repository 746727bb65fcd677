//! The agent beside one container, in the same network namespace: when it ends, the kernel takes back what it held.

use bollard::Docker as Api;
use bollard::models::{DeviceMapping, HostConfig};

use super::attached::{Place, start as attach};
use crate::control::Agent;

/// What lets an agent shape traffic where the kernel has no netem.
const TUN: &str = "/dev/net/tun";

/// Starts one in a network, as the engine names it: `container:ID`, or `none` for one of its own. `place` says all
/// but what it joins.
pub(super) async fn start(api: &Api, place: Place, network: &str) -> Result<Agent, String> {
    let tun = DeviceMapping {
        path_on_host: Some(TUN.into()),
        path_in_container: Some(TUN.into()),
        cgroup_permissions: Some("rw".into()),
    };
    let host = |devices| HostConfig {
        network_mode: Some(network.to_string()),
        cap_add: Some(vec!["NET_ADMIN".into()]),
        devices,
        ..Place::bare()
    };
    let placed = |host| Place { command: vec!["agent".into()], host, ..place.clone() };
    match attach(api, &placed(host(Some(vec![tun])))).await {
        // A host without it can still cut links; the agent says what it cannot do.
        Err(why) if why.contains(TUN) => attach(api, &placed(host(None))).await,
        other => other,
    }
}
