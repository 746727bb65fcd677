//! The command line from end to end: what goes wrong says so once and clearly, with its exit code, and starts
//! nothing that stays; what goes well can be repeated and judged again.

mod runner;

use std::fs;

use runner::{Home, Ran, SHORT, with_faults};

/// Refused before anything is started: exit code 2, this text, no run, nothing left.
fn refused(home: &Home, arguments: &str, words: &[&str]) -> Ran {
    let ran = home.run(arguments).expect(2, words);
    assert_eq!(home.runs(), Vec::<std::path::PathBuf>::new());
    home.assert_nothing_left();
    ran
}

fn home(scenario: &str) -> Home {
    let home = Home::new();
    home.write("s.yaml", scenario);
    home
}

#[test]
fn what_is_wrong_with_the_arguments_is_said_before_anything_runs() {
    let home = home(SHORT);
    fs::create_dir(home.path("empty")).unwrap();
    refused(&home, "run missing.yaml", &["missing.yaml: No such file"]);
    refused(&home, "run empty", &["empty: no scenario (*.yaml, *.yml) in this folder"]);
    refused(&home, "run s.yaml --set workload.rat=5/s", &["rat", "rate"]);
    refused(&home, "run s.yaml --set faults.7.for=5s", &["faults.7.for"]);
    refused(&home, "run s.yaml --junit s.yaml/j.xml", &["error: s.yaml/j.xml cannot be written: "]);
    refused(&home, "run s.yaml --json /proc/j.json", &["error: /proc/j.json cannot be written: "]);
    refused(
        &home,
        "run s.yaml --out s.yaml/reports",
        &["error: s.yaml/reports cannot be written: "],
    );
    refused(&home, "check s.yaml", &["s.yaml:1: not a line of a history"]);
    refused(&home, "check empty", &["no history.jsonl in this folder"]);
    refused(&home, "heal nowhere", &["no run `nowhere`"]);
}

#[test]
fn every_mistake_of_a_scenario_is_shown_at_its_place_and_nothing_is_started() {
    let home = home(&SHORT.replace("keys: 5", "kees: 5").replace("nodes: one", "nodes: n9"));
    let ran = refused(&home, "run s.yaml --junit j.xml", &["s.yaml:4:", "`kees`", "keys"]);
    let mistakes = ran.err.matches("s.yaml:").count();
    let home = self::home(&SHORT.replace("nodes: one", "nodes: n9"));
    refused(&home, "run s.yaml", &["s.yaml:7:", "n9", "n1, n2, n3"]);
    let home = self::home(
        &SHORT
            .replace("keys: 5", "kees: 5")
            .replace("rate: 50/s", "rate: fast")
            .replace("at:", "am:"),
    );
    let ran = refused(&home, "run s.yaml --junit j.xml", &["`kees`", "fast", "`am`"]);
    assert!(ran.err.matches("s.yaml:").count() > mistakes, "{}", ran.err);
    let junit = home.read("j.xml");
    assert!(junit.contains("<error") && junit.contains("kees"), "{junit}");
}

#[test]
fn over_the_blast_radius_nothing_is_started() {
    let home = home(&format!("{SHORT}blast_radius: {{nodes: 1}}\n"));
    let set = "--set faults.0.inject.kill.nodes=majority";
    refused(&home, &format!("run s.yaml {set}"), &["s.yaml:", "blast", "2 nodes"]);
    refused(&home, &format!("plan s.yaml {set}"), &["blast"]);
}

#[test]
fn targets_that_cannot_be_drilled_are_refused_at_their_place() {
    for (target, words) in [
        (
            "kubernetes: {selector: a=b, kubeconfig: missing.yaml}",
            ["no Kubernetes cluster", "missing.yaml"],
        ),
        ("docker: {compose: missing.yaml}", ["missing.yaml", "No such file"]),
        ("docker: {keep: true}", ["`compose`, `project`", "found none"]),
        ("docker: {project: p, containers: [a]}", ["found several", "`containers`"]),
        ("docker: {project: p, engine: 'unix:///no/such.sock'}", ["no Docker engine", "/no/such"]),
    ] {
        let text = SHORT.replace("local: {zones: {dc1: 1, dc2: 1, dc3: 1}}", target);
        let home = home(&text);
        refused(&home, "run s.yaml", &["s.yaml:3:", words[0], words[1]]);
    }
}

/// Broken off: exit code 3, this text, an `<error>` in JUnit, nothing left.
fn breaks_off(scenario: &str, words: &[&str]) {
    let home = home(scenario);
    home.run("run s.yaml --junit j.xml").expect(3, words);
    home.assert_nothing_left();
    let junit = home.read("j.xml");
    assert!(junit.contains("<error"), "{junit}");
}

#[test]
fn a_node_that_does_not_start_is_named_with_the_reason() {
    let node =
        |command: &str| SHORT.replace("local: {zones", &format!("local: {{{command}, zones"));
    breaks_off(&node("command: [/no/such/server]"), &["n1", "/no/such/server"]);
    breaks_off(
        &node("command: [sh, -c, 'echo no licence; exit 9']"),
        &["exit code 9", "no licence"],
    );
    breaks_off(&node("command: [sleep, '60'], ready: {timeout: 1s}"), &["1s", "client"]);
}

#[test]
fn a_client_that_cannot_work_is_named_with_the_reason() {
    let client = |command: &str| {
        SHORT.replace("client: store", &format!("client: {{exec: {{command: {command}}}}}"))
    };
    breaks_off(&client("[no-such-client]"), &["cannot start `no-such-client`", "is it installed"]);
    breaks_off(&client("[sh, -c, 'exit 5']"), &["exit code 5", "asked to prepare"]);
}

#[test]
fn set_up_and_teardown_that_fail_or_take_too_long_are_said_with_what_they_printed() {
    let with = |hook: &str| format!("{SHORT}{hook}\n");
    let fails = with("setup: [{run: [sh, -c, 'echo no quota; exit 4']}]");
    breaks_off(&fails, &["setup: ", "exit code 4", "no quota"]);
    let slow = with("setup: [{run: [sleep, '60'], timeout: 200ms}]");
    breaks_off(&slow, &["setup: `sleep 60` was killed: it took longer than 200ms"]);
    let teardown = with("setup: [{run: [no-such-setup]}]\nteardown: [{run: [touch, torn-down]}]");
    let home = home(&teardown);
    home.run("run s.yaml").expect(3, &["setup: `no-such-setup` could not be started"]);
    assert!(home.path("torn-down").exists(), "teardown is run all the same");
}

#[test]
fn what_needs_a_program_that_is_not_here_is_skipped_visibly() {
    let home = home(&format!("{SHORT}requires: [no-such-program]\n"));
    let ran = home.run("run s.yaml --junit j.xml --json j.json");
    ran.expect(3, &["SKIPPED", "`no-such-program` is not installed"]);
    assert!(home.read("j.xml").contains("<skipped"), "{}", home.read("j.xml"));
    let json: serde_json::Value = serde_json::from_str(&home.read("j.json")).unwrap();
    assert_eq!(json["runs"][0]["verdict"], "skipped", "{json:#}");
}

#[test]
fn several_scenarios_and_repeats_make_one_report_with_a_suite_each() {
    let home = home(SHORT);
    home.write("more/b.yaml", &format!("{SHORT}requires: [no-such-program]\n"));
    home.write("more/c.yaml", &SHORT.replace("name: short", "name: other"));
    let ran = home.at_work("run s.yaml more --repeat 2 --seed 7 --junit j.xml --json j.json -q");
    ran.expect(0, &["short", "other"]);
    let junit = home.read("j.xml");
    assert_eq!(junit.matches("<testsuite ").count(), 6, "{junit}");
    let json: serde_json::Value = serde_json::from_str(&home.read("j.json")).unwrap();
    let runs = json["runs"].as_array().unwrap();
    let seeds: Vec<_> = runs.iter().map(|r| r["seed"].as_u64()).collect();
    assert_eq!((seeds[0], seeds[1]), (Some(7), Some(8)), "{seeds:?}");
    assert_eq!((seeds[4], seeds[5]), (Some(7), Some(8)), "{seeds:?}");
    // The same plan whenever the seed is the same, byte for byte, and `plan` shows it.
    let of = |seed: u64| {
        let mut plans: Vec<String> = home
            .runs()
            .iter()
            .filter(|run| run.file_name().unwrap().to_string_lossy().starts_with("short-"))
            .map(|run| fs::read_to_string(run.join("plan.json")).unwrap())
            .collect();
        plans.retain(|plan| plan.contains(&format!("\"seed\": {seed},")));
        plans.pop().unwrap()
    };
    for seed in [7, 8] {
        let plan = home.run(&format!("plan s.yaml --json --seed {seed}")).expect(0, &[]);
        assert_eq!(plan.out.trim_end(), of(seed).trim_end());
    }
    home.assert_nothing_left();
}

/// Everything of a report but the instants at which it was made, and where things lay.
fn figures(report: &str) -> serde_json::Value {
    let json: serde_json::Value = serde_json::from_str(report).unwrap();
    let mut run = json["runs"][0].clone();
    for case in run["cases"].as_array_mut().unwrap() {
        case.as_object_mut().unwrap().remove("seconds"); // that it took to judge
    }
    serde_json::json!([
        run["verdict"],
        run["cases"],
        run["operations"],
        run["faults"],
        run["plan_digest"]
    ])
}

#[test]
fn a_run_is_judged_again_with_the_same_verdict_and_figures_and_by_other_checks() {
    let home = home(SHORT);
    let set = "--set workload.rate=40/s --seed 3";
    home.at_work(&format!("run s.yaml {set} --json run.json")).expect(0, &["PASS  short"]);
    let run = home.the_run();
    let shown = run.display();
    let repeat = "firedrill run s.yaml --seed 3 --set workload.rate=40/s";
    home.run(&format!("check {shown} --json again.json")).expect(0, &["PASS  short", repeat]);
    assert_eq!(figures(&home.read("run.json")), figures(&home.read("again.json")));

    // The history alone, by a scenario that wants more than there was.
    let history = run.join("history.jsonl.zst");
    fs::copy(&history, home.path("h.jsonl.zst")).unwrap();
    home.run("check h.jsonl.zst").expect(2, &["--scenario FILE"]);
    let strict = SHORT.replace("linearizable, ", "{latency: {p99: 1ns}}, ");
    home.write("strict.yaml", &strict);
    home.run("check h.jsonl.zst --scenario strict.yaml").expect(1, &["FAIL  short", "latency"]);
    let unwritable = "check h.jsonl.zst --scenario strict.yaml --junit strict.yaml/j.xml";
    home.run(unwritable).expect(1, &["FAIL  short", "strict.yaml/j.xml cannot be written"]);
    home.run("heal").expect(0, &["nothing to heal"]);
}

#[test]
fn the_figures_of_checks_are_told_on_demand_and_always_in_the_reports() {
    let home = home(SHORT);
    let ran = home.at_work("run s.yaml --junit j.xml").expect(0, &[]);
    assert!(!ran.out.contains("lost-writes.acknowledged_writes"), "{}", ran.out);
    assert!(home.read("j.xml").contains("lost-writes.acknowledged_writes"));
    let run = home.the_run();
    let check = format!("check {} -v", run.display());
    home.run(&check).expect(0, &["lost-writes.acknowledged_writes"]);
}

/// Drills while the folder of the JUnit report becomes a file. The other scenario is not begun any more.
fn with_a_report_that_becomes_unwritable(scenario: &str, code: i32, words: &[&str]) {
    let home = home(scenario);
    home.write("t.yaml", &SHORT.replace("name: short", "name: other"));
    let mut drill = home.start("run s.yaml t.yaml --junit out/j.xml --json j.json");
    drill.wait_for("load begins");
    fs::remove_dir_all(home.path("out")).unwrap();
    home.write("out", "");
    let told =
        ["error: out/j.xml cannot be written: ", "INCONCLUSIVE  other", "not begun: out/j.xml"];
    drill.end().expect(code, words).expect(code, &told);
    assert_eq!(home.runs().len(), 1);
    let json: serde_json::Value = serde_json::from_str(&home.read("j.json")).unwrap();
    assert_eq!(json["runs"].as_array().unwrap().len(), 2, "the other report is whole: {json:#}");
    assert_eq!(json["exit_code"], code, "{json:#}");
    home.assert_nothing_left();
}

#[test]
fn a_report_that_becomes_unwritable_is_told_and_hides_neither_failure_nor_what_is_left() {
    with_a_report_that_becomes_unwritable(SHORT, 3, &[]);
    let verdict = r#"{"verdict":"fail","summary":"two masters"}"#;
    let command = format!("[sh, -c, 'cat > /dev/null; echo \"$0\"', '{verdict}']");
    let fails = SHORT.replace("linearizable, ", &format!("{{exec: {{command: {command}}}}}, "));
    with_a_report_that_becomes_unwritable(&fails, 1, &["FAIL  short"]);
    let left = "teardown: [{run: [sh, -c, 'exit 7']}]\n";
    with_a_report_that_becomes_unwritable(&(fails + left), 4, &["NOT RESTORED"]);
}

#[test]
fn a_fault_of_the_users_own_that_is_not_proven_is_inconclusive() {
    let own = |prove: &str, heal: &str| {
        with_faults(&format!(
            "  - {{at: 1s, for: 1s, inject: {{command: {{inject: [touch, own], prove: {prove}, heal: {heal}}}}}}}\n"
        ))
    };
    let home = home(&own("[test, -e, other]", "[rm, own]"));
    let words = ["fault 1 command: injected", "NOT PROVEN", "INCONCLUSIVE  short"];
    home.at_work("run s.yaml").expect(3, &words);
    assert!(!home.path("own").exists());
    // Heals nothing: the proof still says that the fault is in effect.
    home.write("s.yaml", &own("[test, -e, own]", "['true']"));
    home.at_work("run s.yaml").expect(3, &["`test -e own` still says that it is in effect"]);
    fs::remove_file(home.path("own")).unwrap();
    home.write("s.yaml", &own("[test, -e, own]", "[rm, own]"));
    home.at_work("run s.yaml").expect(0, &["`test -e own` says that it is over"]);
}

#[test]
fn a_guard_that_trips_ends_the_drill_and_heals() {
    let dark = "  - {at: 1s, for: 60s, inject: {kill: {nodes: majority}}}\n";
    let scenario = with_faults(dark).replace("duration: 3s", "duration: 2m");
    let guards = "guards: [{abort_when: {availability: 10%, for: 1s}}]\n";
    let home = home(&(scenario + guards));
    let ran = home.at_work("run s.yaml").expect(3, &["guard: availability ", "fault 1: healed"]);
    assert!(ran.out.contains("allowed 10%"), "{}", ran.out);
    home.assert_nothing_left();
}

#[test]
fn without_a_steady_state_nothing_is_injected() {
    let home =
        home(&SHORT.replace("rate: 50/s", "rate: 20000/s").replace("rate: 10%", "rate: 100%"));
    let words = ["no steady state before the first fault", "planned, never injected"];
    // One worker would have to be answered every 50 us.
    let ran = home.run("run s.yaml --set workload.workers=1").expect(3, &words);
    assert!(!ran.err.contains("injecting"), "{}", ran.err);
    home.assert_nothing_left();
}

#[test]
fn a_client_and_a_check_in_python_drill_the_store() {
    let home = Home::new();
    let scenarios = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    std::os::unix::fs::symlink(&scenarios, home.path("scenarios")).unwrap();
    // How soon it recovers is the machine's mood.
    let set = ["steady_state.success=20%", "steady_state.rate=10%", "checks.2.recovery.within=1m"];
    let set: String = set.iter().map(|set| format!(" --set {set}")).collect();
    let ran = home.at_work(&format!("run scenarios/exec{set}"));
    ran.expect(0, &["PASS  client-in-python", "reads returned a value that nobody wrote"]);
    home.assert_nothing_left();
    // The same check finds an invented value.
    let history = home.the_run().join("history.jsonl.zst");
    let record = firedrill::history::file::read(&history).unwrap();
    let mut lines = vec![];
    firedrill::history::file::write_lines(&record, &mut lines).unwrap();
    let text = String::from_utf8(lines).unwrap();
    let at = text.rfind(r#"{"ok":{"value":"#).unwrap();
    let end = at + text[at..].find('}').unwrap();
    let forged = format!("{}{}{}", &text[..at], r#"{"ok":{"value":987654321"#, &text[end..]);
    home.write("forged.jsonl", &forged);
    let words = ["FAIL", "1 of ", "a value that nobody wrote", "read 987654321 of key"];
    home.run("check forged.jsonl --scenario scenarios/exec/client-in-python.yaml")
        .expect(1, &words);
}

#[test]
fn new_writes_a_scenario_that_can_be_planned_and_never_overwrites() {
    let home = Home::new();
    home.run("new first.yaml").expect(0, &[]);
    let plan = home.run("plan first.yaml --seed 5").expect(0, &["seed 5"]);
    let again = home.run("plan first.yaml --seed 5").expect(0, &[]);
    assert_eq!(plan.out, again.out);
    home.run("new first.yaml").expect(2, &["first.yaml"]);
}

#[test]
fn what_is_printed_for_shells_editors_and_readers_is_whole() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = home.run(&format!("completions {shell}")).expect(0, &["firedrill", "heal"]);
        assert!(ran.out.len() > 1_000, "{shell}: {}", ran.out);
    }
    let schema = home.run("schema").expect(0, &[]).out;
    let committed =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/scenario.schema.json");
    assert_eq!(schema, fs::read_to_string(committed).unwrap());
    home.run("list faults").expect(0, &["datacenter-loss", "partition", "command"]);
    home.run("list checks").expect(0, &["linearizable", "exec", "recovery"]);
    home.run("list clients").expect(0, &["store", "etcd", "exec"]);
    home.run("list models").expect(0, &["register", "list-append"]);
}
