//! One node of the embedded store in a network of its own, where the engine gives it its address; and a stranger that
//! can take that address while the node is down.

use super::{IMAGE, docker, try_docker};
use crate::runner::Home;

#[derive(Debug)]
pub struct Lone {
    pub home: Home,
    /// Of the node's container, and of its network.
    pub name: String,
}

impl Lone {
    pub fn start() -> Lone {
        let lone = Lone { home: Home::new(), name: format!("lone-{:08x}", rand::random::<u32>()) };
        let name = &lone.name;
        let part = || rand::random_range(1..=250u8);
        docker(&format!("network create --subnet 10.{}.{}.0/24 {name}", part(), part()));
        docker(&format!(
            "run --detach --name {name} --network {name} {IMAGE} store --name n1 --listen-client \
             0.0.0.0:7000 --listen-peer 127.0.0.1:7001 --member n1=127.0.0.1:7001 --data /data"
        ));
        lone
    }

    /// Where the node is now.
    pub fn address(&self) -> String {
        let of = "{{range.NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&format!("inspect --format {of} {}", self.name))
    }

    /// A stranger stands at this address from now on, where it listens to nobody.
    pub fn stand_at(&self, address: &str) {
        let name = &self.name;
        docker(&format!(
            "run --detach --name {name}-stranger --network {name} --ip {address} {IMAGE} store --name n1 \
             --listen-client 127.0.0.1:7000 --listen-peer 127.0.0.1:7001 --member n1=127.0.0.1:7001 \
             --data /data"
        ));
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        try_docker(&format!("rm --force --volumes {0} {0}-stranger", self.name));
        try_docker(&format!("network rm {}", self.name));
    }
}
