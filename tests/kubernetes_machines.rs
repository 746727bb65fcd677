//! Faults of machines and controllers in a real cluster: closed, tainted, drained, lost with their zone, switched off;
//! evicted, scaled, rolled out. And what is left of them: nothing.

mod lab;
mod runner;

use std::sync::{Mutex, MutexGuard, PoisonError};

use lab::{Cluster, Members, cluster, so};
use runner::eventually;
use rustix::process::Signal;

/// A StatefulSet's pods: a controller has to be named where it is told something.
fn prepared(members: &Members, faults: &str) {
    members.scenario(faults);
    let text = members.home.read("s.yaml").replace("selector: app=etcd", "statefulset: etcd");
    members.home.write("s.yaml", &text);
}

/// One drill at a time: machines are the whole cluster's.
fn alone(cluster: &Cluster) -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.give_machines_back();
    alone
}

/// What firedrill changes on machines and on the controller, and what it writes there.
fn settings(members: &Members) -> String {
    let of_machines = "{range.items[*]}{.metadata.name}|{.spec.unschedulable}|{.spec.taints}|{.metadata.annotations.firedrill\\.held}|{.metadata.labels.firedrill\\.run}{'\\n'}{end}";
    let machines = members.cluster.kubectl(&format!("get nodes -o jsonpath={of_machines}"));
    let of_set = "{.spec.replicas}|{.metadata.annotations.firedrill\\.held}|{.metadata.labels.firedrill\\.run}";
    format!(
        "{machines}\n{}",
        members.kubectl(&format!("get statefulset etcd -o jsonpath={of_set}"))
    )
}

fn uid(members: &Members, pod: &str) -> String {
    members.kubectl(&format!("get pod {pod} -o jsonpath={{.metadata.uid}}"))
}

fn machine_of(members: &Members, pod: &str) -> String {
    members.kubectl(&format!("get pod {pod} -o jsonpath={{.spec.nodeName}}"))
}

fn is_closed(members: &Members, machine: &str) -> bool {
    let closed = "-o jsonpath={.spec.unschedulable}";
    members.cluster.kubectl(&format!("get node {machine} {closed}")) == "true"
}

#[test]
fn machines_are_closed_drained_tainted_and_given_back() {
    let Some(cluster) = cluster() else { return };
    let _alone = alone(cluster);
    let members = cluster.members();
    let before = settings(&members);
    prepared(
        &members,
        "  - {at: 1s, for: 3s, inject: {cordon: {nodes: etcd-0}}}\n  - {at: 1s, for: 3s, inject: {taint: {nodes: \
         etcd-0, key: maintenance, value: drill}}}\n  - {at: 6s, for: 5s, inject: {drain: {nodes: etcd-1}}}\n",
    );
    let before_it = uid(&members, "etcd-1");
    let first = machine_of(&members, "etcd-0");
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    drill.wait_for("fault 2: injected");
    assert!(is_closed(&members, &first) && settings(&members).contains("maintenance"));
    drill.wait_for("fault 3: injected");
    assert_ne!(uid(&members, "etcd-1"), before_it);
    let phase = members.kubectl("get pod etcd-1 -o jsonpath={.status.phase}");
    assert_eq!(phase, "Pending", "its machine is closed, and its data is there");
    let tainted = format!("machine {first} is cordoned");
    drill.end().expect(0, &[&tainted, "maintenance=drill:NoSchedule", "as it was", "PASS  pods"]);
    assert_eq!(settings(&members), before);

    // A taint that evicts: whoever does not tolerate it goes, and comes back.
    prepared(
        &members,
        "  - {at: 1s, for: 6s, inject: {taint: {nodes: etcd-2, key: broken, effect: NoExecute}}}\n",
    );
    let before_it = uid(&members, "etcd-2");
    let said = ["its pod is driven out", "broken:NoExecute", "fault 1 taint: healed"];
    members.home.at_work_by(|| members.command("run s.yaml -v")).expect(0, &said);
    assert_ne!(uid(&members, "etcd-2"), before_it);
    assert_eq!(settings(&members), before);

    a_zone_is_lost_with_its_machines(&members, &before);
    what_a_dead_runner_closed_is_given_back(&members, &before);
}

fn a_zone_is_lost_with_its_machines(members: &Members, before: &str) {
    let zone = "-o jsonpath={.metadata.labels.topology\\.kubernetes\\.io/zone}";
    let machine = machine_of(members, "etcd-0");
    let zone = members.cluster.kubectl(&format!("get node {machine} {zone}"));
    prepared(
        members,
        &format!(
            "  - {{at: 1s, for: 6s, inject: {{datacenter-loss: {{zone: {zone}, how: nodes}}}}}}\n"
        ),
    );
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    assert!(is_closed(members, &machine));
    // Its controller made it anew, and nobody takes it.
    assert_eq!(members.kubectl("get pod etcd-0 -o jsonpath={.status.phase}"), "Pending");
    drill.end().expect(0, &["is cordoned", "PASS  pods"]);
    assert_eq!(settings(members), before);
}

fn what_a_dead_runner_closed_is_given_back(members: &Members, before: &str) {
    // The watchdog does it; and if that is dead too, whoever heals, even without the run's folder.
    for (watchdog, heal) in [(true, ""), (false, "heal"), (false, "heal --cluster-of s.yaml")] {
        prepared(members, "  - {at: 1s, for: 60s, inject: {drain: {nodes: etcd-1}}}\n");
        let machine = machine_of(members, "etcd-1");
        let mut drill = members.home.start_command(members.command("run s.yaml"));
        drill.wait_for("fault 1: injected");
        assert!(is_closed(members, &machine));
        if !watchdog {
            let pid = members.home.process("watchdog");
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        }
        drill.signal(Signal::KILL);
        drill.end();
        if !watchdog {
            assert!(is_closed(members, &machine), "nobody gave it back yet");
            if heal.contains("cluster") {
                std::fs::remove_dir_all(members.home.path("reports")).unwrap();
            }
            let out = members.command(heal).output().unwrap();
            let said = String::from_utf8_lossy(&out.stdout).to_string();
            assert!(
                out.status.success() && said.contains(&format!("gave machine {machine} back")),
                "{out:?}"
            );
        }
        eventually("the machine is given back", || {
            let now = settings(members);
            so(now == before, || now.clone())
        });
        eventually("its pod is back", || {
            let phase =
                members.kubectl("get pod etcd-1 -o jsonpath={.status.containerStatuses[0].ready}");
            so(phase == "true", || phase.clone())
        });
    }
}

#[test]
fn an_eviction_that_a_budget_refuses_is_a_result_and_one_that_it_allows_is_made() {
    let Some(cluster) = cluster() else { return };
    let _alone = alone(cluster);
    let members = cluster.members();
    let budget = |least: u32| {
        let text = format!(
            "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: etcd}}\nspec: {{minAvailable: \
             {least}, selector: {{matchLabels: {{app: etcd}}}}}}\n"
        );
        let file = members.home.write("budget.yaml", &text);
        members.kubectl(&format!("apply -f {}", file.display()));
        eventually("the budget is known", || {
            let healthy = members.kubectl(
                "get pdb etcd -o jsonpath={.status.currentHealthy}/{.status.desiredHealthy}",
            );
            so(healthy == format!("3/{least}"), || healthy.clone())
        });
    };
    let before_it = uid(&members, "etcd-1");
    budget(3);
    prepared(&members, "  - {at: 1s, for: 7s, inject: {evict: {nodes: etcd-1}}}\n");
    let said = ["its eviction is refused", "disruption budget", "PASS  pods"];
    members.home.at_work_by(|| members.command("run s.yaml -v")).expect(0, &said);
    assert_eq!(uid(&members, "etcd-1"), before_it);
    // Asked again, it is granted once the budget allows it: a busy cluster takes a while to say so.
    prepared(&members, "  - {at: 1s, for: 15s, inject: {evict: {nodes: etcd-1}}}\n");
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    budget(2);
    eventually("it is evicted", || {
        // For a moment there is none.
        let now = members.kubectl("get pods -l app=etcd -o jsonpath={.items[*].metadata.uid}");
        so(!now.contains(&before_it), || now.clone())
    });
    drill.end().expect(0, &["PASS  pods"]);
}

#[test]
fn a_controller_is_scaled_and_scaled_back_and_rolled_out() {
    let Some(cluster) = cluster() else { return };
    let _alone = alone(cluster);
    let members = cluster.members();
    let before = settings(&members);
    prepared(&members, "  - {at: 1s, for: 4s, inject: {scale: {to: 2}}}\n");
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    let there = members.kubectl("get pods -l app=etcd -o jsonpath={.items[*].metadata.name}");
    assert_eq!(there, "etcd-0 etcd-1");
    drill.end().expect(0, &["scale to 2, without etcd-2", "etcd keeps 2 pods", "PASS  pods"]);
    assert_eq!(settings(&members), before);

    // What somebody else wants meanwhile, a dead runner's heir leaves.
    prepared(&members, "  - {at: 1s, for: 60s, inject: {scale: {to: 2}}}\n");
    let mut drill = members.home.start_command(members.command("run s.yaml"));
    drill.wait_for("fault 1: injected");
    drill.signal(Signal::KILL);
    drill.end();
    eventually("it is scaled back", || {
        let now = settings(&members);
        so(now == before, || now.clone())
    });

    let uids = ["etcd-0", "etcd-1", "etcd-2"].map(|pod| uid(&members, pod));
    members.kubectl("rollout status statefulset etcd --timeout 60s");
    prepared(&members, "  - {at: 1s, for: 1s, inject: {rollout-restart: {}}}\n");
    let said =
        ["etcd is told to make its pods anew", "fault 1 rollout-restart: healed", "PASS  pods"];
    members.home.at_work_by(|| members.command("run s.yaml -v")).expect(0, &said);
    let after = ["etcd-0", "etcd-1", "etcd-2"].map(|pod| uid(&members, pod));
    assert!(uids.iter().zip(&after).all(|(before, after)| before != after), "{uids:?} {after:?}");
}

#[test]
fn a_machine_is_switched_off_by_the_users_command_and_on_again() {
    let Some(cluster) = cluster().filter(|cluster| cluster.is_lab()) else {
        println!("skipped: machines can be switched off in the lab only");
        return;
    };
    let _alone = alone(cluster);
    let members = cluster.members();
    prepared(&members, "  - {at: 1s, for: 2s, inject: {machine-off: {nodes: etcd-2}}}\n");
    // Without a command it cannot be.
    let said = ["s.yaml:9:31: machine-off", "node_commands", "`kill` and `start`"];
    members.home.start_command(members.command("plan s.yaml")).end().expect(2, &said);
    // The lab's machines are called n1 to n3, and its script wants the number.
    let script = lab::scripts().join("node");
    // Whoever has the TMPDIR of the test's home ends with the test.
    let power = format!("unset TMPDIR; exec {} $1 $(echo $2 | tr -d n)", script.display());
    let argv = |verb: &str| format!("[sh, -c, '{power}', power, {verb}, '{{machine}}']");
    let [kill, start, cut, join] = ["kill", "start", "cut", "join"].map(argv);
    let commands = format!(
        "node_commands: {{kill: {kill}, start: {start}, cut: {cut}, join: {join}}}, statefulset: etcd"
    );
    // Another one's cable is pulled meanwhile: nobody is served, and both are back afterwards.
    prepared(
        &members,
        "  - {at: 1s, for: 2s, inject: {machine-off: {nodes: etcd-2}}}\n  - {at: 1s, for: 2s, inject: {machine-cut: \
         {nodes: etcd-1}}}\nblast_radius: {nodes: 2, zones: 2}\n",
    );
    let text = members.home.read("s.yaml").replace("statefulset: etcd", &commands);
    members.home.write("s.yaml", &text);
    let machines = ["etcd-2", "etcd-1"].map(|pod| machine_of(&members, pod));
    let lost = machines.each_ref().map(|machine| format!("machine {machine} is not ready"));
    let healed = ["fault 1 machine-off: healed", "fault 2 machine-cut: healed", "PASS  pods"];
    let said: Vec<&str> = lost.iter().map(String::as_str).chain(healed).collect();
    members.home.at_work_by(|| members.command("run s.yaml -v")).expect(0, &said);
    let ready = "-o jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    for machine in machines {
        assert_eq!(cluster.kubectl(&format!("get node {machine} {ready}")), "True", "{machine}");
    }
}
