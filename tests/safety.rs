//! Whatever ends a drill: it heals, it says so, the reports are written, and nothing is left behind. The real
//! binary is struck by signals in the middle of short drills.

mod runner;

use std::fs;

use runner::{Home, SHORT, eventually, exists, with_faults};
use rustix::process::{Signal, kill_process};

/// A fault of the user's own beside a killed node: a file that is there while it lasts. Relative paths: the
/// commands run where firedrill was started.
const OWN_FAULT: &str = r#"
  - {at: 1s, for: 1500ms, inject: {kill: {nodes: one}}}
  - at: 1s
    for: 1500ms
    inject:
      command:
        inject: [touch, own-fault]
        prove: [test, -e, own-fault]
        heal: [rm, -f, own-fault]
"#;

/// A drill with its own fault in effect.
fn in_mid_fault(home: &Home, scenario: &str) -> runner::Going {
    home.write("s.yaml", scenario);
    let mut drill = home.start("run s.yaml --junit j.xml --json j.json");
    drill.wait_for("fault 1: injected").wait_for("fault 2: injected");
    drill
}

fn broken_off_by(signal: Signal, said: &str) {
    let home = Home::new();
    // Nothing ends by itself before the signal comes.
    let long = with_faults(&OWN_FAULT.replace("1500ms", "60s"));
    let mut drill = in_mid_fault(&home, &long.replace("duration: 3s", "duration: 2m"));
    drill.signal(signal);
    let said = [said, "healing, then reporting", "fault 1: healed", "aborted: interrupted"];
    drill.end().expect(3, &said).expect(3, &["INCONCLUSIVE  short"]);
    home.assert_nothing_left();
    assert!(!home.path("own-fault").exists());
    let junit = home.read("j.xml");
    assert!(junit.contains("<error") && junit.contains("interrupted"), "{junit}");
    let json: serde_json::Value = serde_json::from_str(&home.read("j.json")).unwrap();
    assert_eq!(json["runs"][0]["verdict"], "inconclusive", "{json:#}");
    assert_eq!(json["runs"][0]["aborted"], "interrupted", "{json:#}");
    home.run("heal").expect(0, &["nothing to heal"]);
}

#[test]
fn ctrl_c_in_mid_fault_heals_and_reports_as_inconclusive() {
    broken_off_by(Signal::INT, "Ctrl-C");
}

#[test]
fn sigterm_in_mid_fault_heals_and_reports_as_inconclusive() {
    broken_off_by(Signal::TERM, "SIGTERM");
}

/// The heal command hangs the first time that it runs.
#[test]
fn a_second_ctrl_c_waits_for_no_heal_command_and_the_watchdog_runs_it() {
    let home = Home::new();
    let hanging = "sh, -c, 'if [ -e once ]; then rm own-fault; else touch once; sleep 600; fi'";
    let scenario = with_faults(OWN_FAULT).replace("rm, -f, own-fault", hanging);
    let mut drill = in_mid_fault(&home, &scenario);
    drill.signal(Signal::INT);
    eventually("the heal command runs", || exists(&home.path("once")));
    drill.signal(Signal::INT);
    let words = [
        "Ctrl-C again: waiting for nothing more",
        "NOT RESTORED",
        "rm own-fault; else",
        "(not waited for), which the watchdog tries again", // and not: it took too long
    ];
    drill.end().expect(4, &words);
    eventually("the watchdog heals", || match home.path("own-fault").exists() {
        true => Err("own-fault is still there".into()),
        false => Ok(()),
    });
    home.assert_nothing_left();
    let run = home.the_run();
    home.run(&format!("heal {}", run.display())).expect(0, &["nothing to heal"]);
}

#[test]
fn ctrl_c_while_a_setup_command_runs_ends_the_command_too() {
    let home = Home::new();
    home.write("s.yaml", &format!("{SHORT}setup: [{{run: [sleep, '600'], timeout: 1h}}]\n"));
    let mut drill = home.start("run s.yaml --junit j.xml");
    drill.wait_for("setup: sleep 600").signal(Signal::INT);
    drill.end().expect(3, &["interrupted"]);
    home.assert_nothing_left();
    assert!(home.read("j.xml").contains("<error"));
}

#[test]
fn ctrl_c_before_the_nodes_are_ready_takes_them_down() {
    let home = Home::new();
    let never = "local: {command: [sleep, '600'], ready: {timeout: 10m}, zones";
    home.write("s.yaml", &SHORT.replace("local: {zones", never));
    let mut drill = home.start("run s.yaml --junit j.xml");
    drill.wait_for("n3 is started").signal(Signal::INT);
    drill.end().expect(3, &["interrupted"]);
    home.assert_nothing_left();
    assert!(home.read("j.xml").contains("<error"));
}

#[test]
fn ctrl_c_while_the_system_settles_for_the_final_reads_is_inconclusive() {
    let home = Home::new();
    home.write("s.yaml", SHORT);
    let mut drill = home.start("run s.yaml --junit j.xml");
    drill.wait_for("load ends").signal(Signal::INT);
    drill.end().expect(3, &["interrupted"]);
    home.assert_nothing_left();
    assert!(home.read("j.xml").contains("<error"));
}

#[test]
fn after_ctrl_c_the_scenarios_that_are_left_are_reported_as_not_begun() {
    let home = Home::new();
    home.write("a.yaml", SHORT);
    home.write("b.yaml", &SHORT.replace("name: short", "name: other"));
    let mut drill = home.start("run a.yaml b.yaml --junit j.xml");
    drill.wait_for("load begins").signal(Signal::INT);
    drill.end().expect(3, &["other", "interrupted before it began"]);
    assert_eq!(home.runs().len(), 1);
    let junit = home.read("j.xml");
    assert_eq!(junit.matches("<testsuite ").count(), 2, "{junit}");
    assert!(junit.contains("interrupted before it began"), "{junit}");
    home.assert_nothing_left();
}

#[test]
fn a_runner_that_hung_longer_than_its_lease_finds_all_healed_and_aborts() {
    let home = Home::new();
    let long = OWN_FAULT.replace("1500ms", "60s");
    let scenario = with_faults(&long).replace("duration: 3s", "duration: 2m\nlease: 3s");
    let mut drill = in_mid_fault(&home, &scenario);
    drill.signal(Signal::STOP);
    let runner = drill.child.id().to_string();
    eventually("the watchdog heals", || {
        let others: Vec<String> =
            home.left().into_iter().filter(|l| !l.starts_with(&runner)).collect();
        match others.is_empty() && !home.path("own-fault").exists() {
            true => Ok(()),
            false => Err(format!("{others:#?}")),
        }
    });
    drill.signal(Signal::CONT);
    drill.end().expect(3, &["aborted: the watchdog is gone"]);
    home.assert_nothing_left();
    home.run("heal").expect(0, &["nothing to heal"]);
}

#[test]
fn heal_does_what_neither_runner_nor_watchdog_could_and_only_once() {
    let home = Home::new();
    let mut drill = in_mid_fault(
        &home,
        &with_faults(OWN_FAULT).replace("1500ms", "30s").replace("duration: 3s", ""),
    );
    let run = home.the_run();
    let heal = format!("heal {}", run.display());
    home.run(&heal).expect(2, &["still goes"]);
    home.run("heal").expect(0, &["nothing to heal"]);
    kill_process(home.process(" watchdog "), Signal::KILL).unwrap();
    drill.signal(Signal::KILL);
    drill.end();
    eventually("the nodes die", || match &home.processes()[..] {
        [] => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert_eq!(home.left().len(), 1, "the data folder: {:?}", home.left());
    assert!(home.path("own-fault").exists());
    // As if the runner had died while it wrote.
    let journal = run.join("journal.jsonl");
    fs::write(&journal, fs::read_to_string(&journal).unwrap() + r#"{"undo":{"id":99,"#).unwrap();
    let mut from_elsewhere = home.command(&heal);
    from_elsewhere.current_dir("/");
    let healed = home.start_command(from_elsewhere).end();
    healed.expect(0, &["removed ", "ran rm -f own-fault", "healed"]);
    assert!(!home.path("own-fault").exists());
    home.assert_nothing_left();
    home.run(&heal).expect(0, &["nothing to heal"]);
    home.run(&format!("check {}", run.display())).expect(3, &["the runner died"]);
}

#[test]
fn a_heal_command_that_fails_has_an_exit_code_of_its_own_and_is_told_with_its_command() {
    let home = Home::new();
    let failing = "sh, -c, 'echo no such tenant; exit 7'";
    home.write("s.yaml", &with_faults(OWN_FAULT).replace("rm, -f, own-fault", failing));
    let words = ["NOT RESTORED", "sh -c 'echo no such tenant; exit 7'", "exit code 7"];
    home.run("run s.yaml --json j.json").expect(4, &words);
    let json: serde_json::Value = serde_json::from_str(&home.read("j.json")).unwrap();
    assert_eq!(json["exit_code"], 4, "{json:#}");
    home.assert_nothing_left();
    let run = home.the_run();
    home.run(&format!("heal {}", run.display())).expect(4, &["could not be restored"]);
}

#[test]
fn a_node_that_somebody_else_kills_makes_the_drill_inconclusive_by_name() {
    let home = Home::new();
    home.write("s.yaml", SHORT);
    let mut drill = home.start("run s.yaml --set faults.0.inject.kill.nodes=n1");
    drill.wait_for("load begins");
    let pid = home.process(" store --name n2 ");
    kill_process(pid, Signal::KILL).unwrap();
    drill.wait_for("n2 DIED, and not by firedrill");
    let ended = drill.end().expect(3, &["n2 died", "INCONCLUSIVE  short"]);
    assert!(ended.out.contains("node n2 died at"), "{}", ended.out);
    home.assert_nothing_left();
}

/// Mounts nothing but a small file system of its own, which only root may.
#[test]
fn a_full_disk_ends_the_drill_as_inconclusive_with_the_reason_and_healed() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let home = Home::new();
    let disk = home.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        let ended = std::process::Command::new(program).args(arguments).arg(&disk).status();
        ended.is_ok_and(|status| status.success())
    };
    if !mount("mount", &["-t", "tmpfs", "-o", "size=200k", "firedrill-test"]) {
        println!("skipped: no file system can be mounted here");
        return;
    }
    let long = with_faults(OWN_FAULT).replace("1500ms", "60s").replace("50/s", "300/s");
    home.write("s.yaml", &long.replace("duration: 3s", "duration: 2m"));
    let ran = home.run("run s.yaml --out disk --junit j.xml");
    let heal = home.run("heal --out disk");
    let unmounted = mount("umount", &[]);
    ran.expect(3, &["the history cannot be written", "no storage space"]);
    heal.expect(0, &[]);
    assert!(unmounted && !home.path("own-fault").exists());
    assert!(home.read("j.xml").contains("<error"));
    home.assert_nothing_left();
}

/// Answers every write at once, and writes down an answer as read by firedrill when the next question comes.
const NOTING_CLIENT: &str = r#"
import json, os, sys
process = json.loads(sys.stdin.readline())["hello"]["process"]
notes = os.open(f"notes/{os.getpid()}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
answered = None
for question in map(json.loads, sys.stdin):
    if answered is not None:
        os.write(notes, (json.dumps([process, answered]) + "\n").encode())
    call = question.get("call")
    answered = call["value"] if call and call["f"] == "write" else None
    if call is None:
        reply = {"unsupported": True}
    elif call["f"] == "read":
        reply = {"ok": {"value": None}}
    else:
        reply = {"ok": {"swapped": False} if call["f"] == "cas" else "done"}
    print(json.dumps({"id": question["id"], **reply}), flush=True)
"#;

/// The writes that were acknowledged for certain, each with its process.
fn acknowledged(home: &Home) -> Vec<(u64, i64)> {
    let notes = fs::read_dir(home.path("notes")).unwrap().flatten();
    let notes: String = notes.map(|n| fs::read_to_string(n.path()).unwrap()).collect();
    notes.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_was_acknowledged_to_a_client_is_in_the_history_of_a_runner_that_was_killed() {
    let home = Home::new();
    home.write("client.py", NOTING_CLIENT);
    fs::create_dir(home.path("notes")).unwrap();
    let scenario = with_faults(OWN_FAULT)
        .replace("client: store", "client: {exec: {command: [python3, client.py]}}")
        .replace("linearizable, ", "") // it is not: this system forgets at once
        .replace("rate: 50/s", "rate: 400/s")
        .replace("at: 1s", "at: 4s") // ten interpreters start on a busy machine
        .replace("duration: 3s", "duration: 8s")
        .replace("success: 20%, rate: 10%", "success: 1%, rate: 1%");
    let mut drill = in_mid_fault(&home, &scenario);
    eventually("there is enough to lose", || match acknowledged(&home).len() {
        n @ 0..=20 => Err(format!("only {n} writes were acknowledged")),
        _ => Ok(()),
    });
    drill.signal(Signal::KILL);
    drill.end();
    home.assert_nothing_left();
    assert!(!home.path("own-fault").exists(), "the watchdog runs the heal command");

    let history = fs::read_to_string(home.the_run().join("history.jsonl")).unwrap();
    let mut writes = std::collections::HashMap::new();
    let mut recorded = std::collections::HashSet::<(u64, i64)>::new();
    // What follows the last line break was cut by the kill.
    let whole = &history[..history.rfind('\n').unwrap()];
    for line in whole.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let (Some(i), "write") = (line.get("i"), line["i"]["c"]["f"].as_str().unwrap_or("")) {
            let write = (i["p"].as_u64().unwrap(), i["c"]["value"].as_i64().unwrap());
            writes.insert(i["id"].as_u64().unwrap(), write);
        } else if let Some(r) = line.get("r").filter(|r| r["o"]["ok"] == "done") {
            recorded.extend(writes.get(&r["id"].as_u64().unwrap()));
        }
    }
    let acknowledged = acknowledged(&home);
    let missing: Vec<_> = acknowledged.iter().filter(|w| !recorded.contains(w)).collect();
    assert!(missing.is_empty(), "{missing:?} of {}", acknowledged.len());

    let run = home.the_run();
    home.run(&format!("check {}", run.display())).expect(3, &["the runner died"]);
}

#[test]
fn what_the_target_cannot_do_is_said_before_anything_is_touched() {
    let home = Home::new();
    let loss = "  - {at: 1s, for: 1s, inject: {loss: {nodes: leader, loss: 10%}}}\n";
    home.write("s.yaml", &with_faults(loss));
    let drill = home.run("run s.yaml");
    let why =
        ["loss: the target local cannot do this: its proxies carry streams", "docker", "s.yaml:"];
    let drill = drill.expect(2, &why);
    assert!(!drill.err.contains("ready") && !drill.err.contains("fault 1"), "{}", drill.err);
    home.run("plan s.yaml").expect(2, &why);
    assert!(home.runs().is_empty(), "nothing was begun");
}
