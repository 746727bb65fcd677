//! Shipped scenarios of systems other than etcd, as they are but for where the system and the images are.

mod lab;
mod runner;

use std::fs;
use std::path::Path;

use lab::{Cluster, Members, cluster, so};
use runner::eventually;

fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/kubernetes");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A shipped manifest's system, and its shipped scenario.
fn brought_up(cluster: &'static Cluster, manifest: &str, of: &str, scenario: &str) -> Members {
    let here = |text: String| text.replace("firedrill/agent:0.1.0", &cluster.image);
    let members = cluster.system(&here(shipped(manifest)), of);
    let namespace = &members.namespace;
    let text =
        here(shipped(scenario)).replace("namespace: default", &format!("namespace: {namespace}"));
    members.home.write("s.yaml", &text.replace(".default.svc", &format!(".{namespace}.svc")));
    members
}

#[test]
fn the_embedded_store_loses_three_leaders_in_a_cluster_and_no_write() {
    let Some(cluster) = cluster() else { return };
    let (manifest, scenario) = ("manifests/store.yaml", "store-leader-lost.yaml");
    let members = brought_up(cluster, manifest, "statefulset store", scenario);
    let said = ["PASS  store-leader-lost"];
    members.home.at_work_by(|| members.command("run s.yaml")).expect(0, &said);
    members.home.assert_nothing_left();
}

/// Clients go through the Service, from within the cluster, as the account that the printed role is for.
#[test]
fn a_service_that_keeps_nothing_is_upgraded_and_nobody_notices() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_lab()) else {
        println!("skipped: the lab's machines alone have the image");
        return;
    };
    cluster.bring(&busybox(), "lab.local/busybox:1");
    let members = brought_up(cluster, "manifests/web.yaml", "deployment web", "web-upgraded.yaml");
    let home = &members.home;
    members.allow_what_it_needs();
    let run = "run s.yaml --in-cluster -v";
    home.at_work_by(|| members.command(run)).expect(0, &["PASS  web-upgraded"]);
    // One pod of three hangs, and a client that is never let down is too much to ask.
    let text = home.read("s.yaml").replace("at_least: 95%", "at_least: 100%");
    let text: Vec<&str> =
        text.lines().filter(|l| !l.contains("rollout") && !l.contains("drain:")).collect();
    home.write("s.yaml", &(text.join("\n") + "\n").replace("at: 38s", "at: 3s"));
    fs::remove_dir_all(home.path("reports")).unwrap();
    members.allow_what_it_needs();
    home.at_work_by(|| members.command(run)).expect(1, &["FAIL  web-upgraded", "availability"]);
    eventually("nothing of it is left in the cluster", || {
        let left = members.kubectl("get jobs -o name");
        so(left.is_empty(), || left.clone())
    });
}

fn busybox() -> std::path::PathBuf {
    let found = ["/usr/bin/busybox", "/bin/busybox"].map(std::path::PathBuf::from);
    found.into_iter().find(|path| path.exists()).expect("busybox (Debian: busybox-static)")
}
