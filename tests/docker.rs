//! Drills of real containers at a real Docker engine: what is injected is proven, and what was injected is gone
//! whatever ends the drill.

mod containers;
mod runner;

use containers::lone::Lone;
use containers::{Nodes, docker, engine};
use runner::eventually;
use rustix::process::Signal;

#[test]
fn a_compose_project_is_brought_up_drilled_and_taken_down() {
    if !engine() {
        return;
    }
    let nodes = Nodes::planned("");
    nodes.scenario(
        "  - {at: 1s, for: 1s, inject: {kill: {nodes: n1}}}\n  - {at: 3s, for: 1s, inject: {pause: {nodes: \
         n2}}}\n  - {at: 5s, for: 1s, inject: {partition: {isolate: n3, clients: true}}}\n  - {at: 7s, for: \
         1s, inject: {stop: {nodes: n1}}}\n",
    );
    let said =
        ["kill n1 (dc1)", "is down (exit code 137)", "is frozen", "none of 3 datagrams arrived"];
    nodes.home.run("run s.yaml -v").expect(0, &said);
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
    nodes.home.run("heal").expect(0, &["nothing to heal"]);
    let logs = nodes.home.the_run().join("nodes/n1.log");
    assert!(logs.metadata().unwrap().len() > 0, "the node's log is in the run's folder");
}

/// In effect together: n1 is cut off by both. When the first is healed, the second still holds.
#[test]
fn of_two_overlapping_partitions_the_one_that_is_left_holds() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = ["n1", "n2", "n3"].map(|n| nodes.look(n));
    nodes.scenario(
        "  - {at: 1s, for: 1s, inject: {partition: {isolate: n1}}}\n  - {at: 1500ms, for: 3s, inject: \
         {partition: {halves: [n1, n2]}}}\n",
    );
    let mut drill = nodes.home.start("run s.yaml -v");
    drill.wait_for("fault 1: healed");
    // The heal of the first was measured: n1 and n3 see each other, n1 and n2 do not.
    drill.end().expect(0, &["n1 -> n2: none of 3", "n1 -> n3: 3 of 3"]);
    nodes.assert_no_helpers();
    assert_eq!(before, ["n1", "n2", "n3"].map(|n| nodes.look(n)));
}

#[test]
fn a_runner_that_is_killed_in_mid_fault_leaves_running_containers_as_they_were() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = ["n1", "n2", "n3"].map(|n| nodes.look(n));
    nodes.scenario(
        "  - {at: 1s, for: 60s, inject: {kill: {nodes: n1}}}\n  - {at: 1s, for: 60s, inject: {pause: {nodes: \
         n2}}}\n  - {at: 1s, for: 60s, inject: {partition: {isolate: n3, clients: true}}}\n",
    );
    nodes
        .home
        .write("s.yaml", &(nodes.home.read("s.yaml") + "blast_radius: {nodes: 3, zones: 3}\n"));
    let mut drill = nodes.home.start("run s.yaml");
    for fault in 1..=3 {
        drill.wait_for(&format!("fault {fault}: injected"));
    }
    assert_ne!(before[2], nodes.look("n3"), "the partition can be seen");
    drill.signal(Signal::KILL);
    drill.end();
    eventually("the nodes are as they were", || {
        match before == ["n1", "n2", "n3"].map(|n| nodes.look(n)) {
            true => Ok(()),
            false => Err(["n1", "n2", "n3"].map(|n| nodes.look(n)).join("\n---\n")),
        }
    });
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
}

#[test]
fn a_runner_that_is_killed_takes_its_own_project_down() {
    if !engine() {
        return;
    }
    let nodes = Nodes::planned("");
    nodes.scenario("  - {at: 1s, for: 60s, inject: {kill: {nodes: n1}}}\n");
    let mut drill = nodes.home.start("run s.yaml");
    drill.wait_for("fault 1: injected");
    eventually("three nodes, and agents beside those that live", || match nodes.helpers() {
        helpers if helpers.len() == 3 + 2 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    drill.signal(Signal::KILL);
    drill.end();
    nodes.assert_no_helpers();
    nodes.home.assert_nothing_left();
}

#[test]
fn an_agent_that_is_killed_lets_go_at_once_and_the_gap_is_told() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    nodes.scenario("  - {at: 1s, for: 3s, inject: {partition: {isolate: n3}}}\n");
    let mut drill = nodes.home.start("run s.yaml");
    drill.wait_for("fault 1: injected");
    let agent = nodes.helpers().into_iter().find(|name| name.contains("-n3-")).unwrap();
    docker(&format!("kill --signal KILL {agent}"));
    drill.end().expect(3, &["of its links were whole until a new agent held"]);
    nodes.assert_no_helpers();
}

/// A person joins two nodes to another network in the middle of a partition: they do not meet there either.
#[test]
fn nodes_that_are_joined_to_another_network_are_cut_off_there_too() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = ["n1", "n2"].map(|n| nodes.look(n));
    nodes.scenario("  - {at: 1s, for: 8s, inject: {partition: {isolate: n3}}}\n");
    let mut drill = nodes.home.start("run s.yaml -v");
    drill.wait_for("fault 1: injected");
    let other = format!("other-{:08x}", rand::random::<u32>());
    docker(&format!("network create {other}"));
    for node in ["n1", "n2", "n3"] {
        docker(&format!("network connect {other} {}", nodes.container(node)));
    }
    let at = |node| {
        let all = "{{range.NetworkSettings.Networks}}{{.IPAddress}}/{{end}}";
        let all = docker(&format!("inspect --format {all} {}", nodes.container(node)));
        all.split('/').find(|at| !at.starts_with("10.")).unwrap().to_string()
    };
    let (second, third) = (at("n2"), at("n3"));
    let refused = |to: &str| nodes.refuses("n1", to, 9999);
    eventually("n3 is cut off there", || match refused(&third) {
        false => Ok(()),
        true => Err(format!("{third} answers")),
    });
    assert!(refused(&second), "n2 is not");
    drill.wait_for("fault 1: healed");
    eventually("n3 answers there", || match refused(&third) {
        true => Ok(()),
        false => Err(format!("{third} does not answer")),
    });
    let ran = drill.end();
    for node in ["n1", "n2", "n3"] {
        docker(&format!("network disconnect {other} {}", nodes.container(node)));
    }
    docker(&format!("network rm {other}"));
    ran.expect(3, &["its networks changed"]);
    assert_eq!(before, ["n1", "n2"].map(|n| nodes.look(n)));
    nodes.assert_no_helpers();
}

#[test]
fn a_node_that_crashes_is_left_to_its_restart_policy() {
    if !engine() {
        return;
    }
    let nodes = Nodes::planned("    restart: always\n");
    nodes.scenario(
        "  - {at: 1s, for: 3s, inject: {crash: {nodes: n1}}}\n  - {at: 6s, for: 1s, inject: {kill: {nodes: \
         n2}}}\n",
    );
    nodes.home.run("run s.yaml -v").expect(0, &["is gone", "is down (exit code 137)"]);
    nodes.assert_no_helpers();
}

/// Restarted by a person in the middle of a partition: a new network namespace, and cut off all the same.
#[test]
fn a_node_that_is_restarted_under_a_partition_is_still_cut_off() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    nodes.scenario("  - {at: 1s, for: 6s, inject: {partition: {isolate: n3}}}\n");
    let mut drill = nodes.home.start("run s.yaml -v");
    drill.wait_for("fault 1: injected");
    let cut = nodes.look("n3");
    docker(&format!("restart --time 0 {}", nodes.container("n3")));
    eventually("the new namespace has the rules of the old", || match nodes.look("n3") == cut {
        true => Ok(()),
        false => Err(format!("{}\n---\n{cut}", nodes.look("n3"))),
    });
    drill.end().expect(3, &["n3 died"]);
    nodes.assert_no_helpers();
}

/// Another container takes the address while the node is down, so that it comes back with another one.
#[test]
fn clients_follow_a_node_that_comes_back_with_another_address() {
    if !engine() {
        return;
    }
    let lone = Lone::start();
    let before = lone.address();
    lone.home.write(
        "s.yaml",
        &format!(
            "name: moved\ntarget: {{docker: {{containers: [{}], ports: {{client: 7000}}}}}}\nworkload: \
             {{client: store, model: register, workers: 20, rate: 50/s, keys: 5, timeout: 500ms}}\n\
             steady_state: {{window: 900ms, success: 20%, rate: 10%}}\nfaults:\n  - {{at: 1s, for: 4s, \
             inject: {{stop: {{nodes: all}}}}}}\nrecover: 6s\nchecks: [linearizable, {{lost-writes: {{max: 0}}}}, \
             {{recovery: {{within: 5s, from: heal}}}}]\n",
            lone.name
        ),
    );
    let mut drill = lone.home.start("run s.yaml -v");
    drill.wait_for("fault 1: injected");
    lone.stand_at(&before);
    drill.wait_for("fault 1: healed");
    assert_ne!(lone.address(), before, "else this test tests nothing");
    drill.end().expect(0, &[]);
}
