//! What befalls the engine, a target or its network in the middle of a drill; and an engine behind TLS. Each test
//! has an engine of its own.

mod containers;
mod runner;

use std::path::Path;
use std::process::Command;

use containers::own::Engine;
use containers::{Nodes, docker};
use runner::eventually;

/// n1 is killed and n3 cut off, for this long.
fn struck(nodes: &Nodes, length: &str) {
    nodes.brief_scenario(&format!(
        "  - {{at: 600ms, for: {length}, inject: {{kill: {{nodes: n1}}}}}}\n  - {{at: 600ms, for: {length}, \
         inject: {{partition: {{isolate: n3}}}}}}\n"
    ));
    let text = nodes.home.read("s.yaml") + "blast_radius: {nodes: 3, zones: 3}\n";
    nodes.home.write("s.yaml", &text);
}

fn status(nodes: &Nodes, node: &str) -> String {
    docker(&format!("inspect --format {{{{.State.Status}}}} {}", nodes.container(node)))
}

fn assert_runs(nodes: &Nodes, node: &str) {
    eventually(&format!("{node} runs"), || match status(nodes, node) {
        status if status == "running" => Ok(()),
        other => Err(other),
    });
}

#[test]
fn nodes_that_the_engine_ended_by_its_restart_are_named_and_what_was_killed_is_started() {
    let Some(mut engine) = Engine::start(&[]) else { return };
    let nodes = Nodes::running("");
    struck(&nodes, "15s");
    let mut drill = engine.drill(&nodes.home);
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    engine.restart();
    drill.wait_for("fault 1: healed");
    // As a person would: without it nobody leads, and the final reads wait for their limit.
    docker(&format!("start {}", nodes.container("n2")));
    drill.end().expect(3, &["n2 DIED, and not by firedrill", "n3 DIED, and not by firedrill"]);
    assert_runs(&nodes, "n1");
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
}

#[test]
fn an_engine_that_restarts_under_living_nodes_leaves_nothing_behind() {
    let Some(mut engine) = Engine::start(&["--live-restore"]) else { return };
    let nodes = Nodes::running("");
    let before = ["n2", "n3"].map(|n| nodes.look(n));
    struck(&nodes, "15s");
    let mut drill = engine.drill(&nodes.home);
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    engine.restart();
    let ran = drill.end();
    assert!(matches!(ran.code, Some(0 | 3)), "{:?}\n{}\n{}", ran.code, ran.out, ran.err);
    assert!(!ran.err.contains("DIED"), "{}", ran.err);
    assert_runs(&nodes, "n1");
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
    eventually("the nodes are as they were", || match ["n2", "n3"].map(|n| nodes.look(n)) {
        now if now == before => Ok(()),
        now => Err(now.join("\n")),
    });
}

#[test]
fn a_target_that_is_removed_in_mid_fault_is_named_and_the_others_are_restored() {
    let Some(engine) = Engine::start(&[]) else { return };
    let nodes = Nodes::running("");
    let before = nodes.look("n2");
    struck(&nodes, "4s");
    let mut drill = engine.drill(&nodes.home);
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    docker(&format!("rm --force {}", nodes.container("n3")));
    drill.end().expect(3, &["n3 DIED, and not by firedrill"]);
    assert_runs(&nodes, "n1");
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
    assert_eq!(before, nodes.look("n2"));
}

/// What somebody else took away cannot be given back, and is not firedrill's to give.
#[test]
fn a_killed_target_that_is_removed_is_named_and_is_nothing_to_restore() {
    let Some(engine) = Engine::start(&[]) else { return };
    let nodes = Nodes::running("");
    let before = ["n2", "n3"].map(|n| nodes.look(n));
    struck(&nodes, "4s");
    let mut drill = engine.drill(&nodes.home);
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    docker(&format!("rm --force {}", nodes.container("n1")));
    drill.end().expect(3, &["n1", "No such container"]);
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
    assert_eq!(before, ["n2", "n3"].map(|n| nodes.look(n)));
}

#[test]
fn a_network_that_is_taken_away_in_mid_fault_leaves_no_rule_and_no_queue() {
    let Some(engine) = Engine::start(&[]) else { return };
    let nodes = Nodes::running("");
    let before = ["n1", "n2"].map(|n| nodes.look(n));
    nodes.brief_scenario(
        "  - {at: 600ms, for: 4s, inject: {latency: {nodes: n3, latency: 100ms}}}\n",
    );
    let mut drill = engine.drill(&nodes.home);
    drill.wait_for("fault 1: injected");
    let (network, node) = (nodes.network(), nodes.container("n3"));
    docker(&format!("network disconnect --force {network} {node}"));
    drill.end().expect(3, &["n3"]);
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
    assert_eq!(before, ["n1", "n2"].map(|n| nodes.look(n)));
    eventually("n3 has neither rule nor device of the agent's", || match nodes.look("n3") {
        rest if !rest.contains("firedrill") && rest.ends_with(r#"["lo"]"#) => Ok(()),
        rest => Err(rest),
    });
}

/// A certificate authority, and what it signed: `ca.pem`, `server.pem`, `cert.pem`, and their keys.
fn certificates(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let openssl = |arguments: &str| {
        let mut openssl = Command::new("openssl");
        let out = openssl.args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
        assert!(out.status.success(), "{arguments}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let extensions = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca-key.pem -out ca.pem",
    );
    extensions("server.ext", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
    extensions("client.ext", "extendedKeyUsage=clientAuth\n");
    for (name, cert, key) in
        [("server", "server.pem", "server-key.pem"), ("client", "cert.pem", "key.pem")]
    {
        openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {key} -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile \
             {name}.ext -out {cert}"
        ));
    }
}

#[test]
fn an_engine_behind_tls_is_drilled_and_one_of_another_authority_is_refused() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have openssl");
        println!("skipped: `openssl` is not installed");
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let (right, wrong) = (made.path().join("right"), made.path().join("wrong"));
    certificates(&right);
    certificates(&wrong);
    let options = Engine::tls_options(&right);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let Some(engine) = Engine::start(&options) else { return };
    let nodes = Nodes::running("");
    let before = ["n1", "n2", "n3"].map(|n| nodes.look(n));
    nodes.brief_scenario(
        "  - {at: 600ms, for: 1s, inject: {kill: {nodes: n1}}}\n  - {at: 3s, for: 1s, inject: {partition: \
         {isolate: n3}}}\n",
    );
    let drill = |certificates: &Path| {
        let command = engine.firedrill(&nodes.home, "run s.yaml -v");
        nodes.home.start_command(engine.over_tls(command, certificates)).end()
    };
    drill(&right).expect(0, &["is down (exit code 137)", "none of 3 datagrams arrived"]);
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
    assert_eq!(before, ["n1", "n2", "n3"].map(|n| nodes.look(n)));
    let refused = drill(&wrong);
    let said = format!("{}{}", refused.out, refused.err);
    let place = "no Docker engine answers at tcp://127.0.0.1:2376";
    assert!(said.contains(place) && said.contains("certificate"), "{said}");
    assert_eq!(said.matches("no Docker engine").count(), 1, "said once: {said}");
    assert!(matches!(refused.code, Some(2 | 3)), "{:?}: {said}", refused.code);
}
