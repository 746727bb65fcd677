//! Systems that serve every client and have lost a member for good: the real binary drills them, and the check
//! `redundancy` says who is missing, what it said and since when.

mod runner;

use std::process::Command;

use firedrill::check::{Spec, Verdict, judge};
use firedrill::history::file;
use runner::{Home, Ran};

/// A follower is killed for a second; what is judged is whether it comes back.
const WORKLOAD: &str = r#"
steady_state: {window: 900ms, success: 20%, rate: 10%}
faults:
  - {at: 2s, for: 1s, inject: {kill: {nodes: follower}}}
checks: [{redundancy: {within: 3s}}, {lost-writes: {max: 0}}]
recover: 2s
"#;

/// The embedded store by this command of a shell; `"$@"` is the store's own.
fn store(command: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_firedrill");
    format!(
        "name: lost-member
target:
  local:
    zones: {{dc1: 1, dc2: 1, dc3: 1}}
    command: [sh, -c, '{command}', '{{data}}', {binary}, store, '--name={{name}}', '--data={{data}}',
      '--listen-client={{listen.client}}', '--listen-peer={{listen.peer}}', '--member={{peers}}']
    peers: '{{name}}={{address.peer}}'
    ready: {{timeout: 4s}}
workload: {{client: store, model: register, workers: 10, rate: 50/s, keys: 5, timeout: 500ms}}
{WORKLOAD}"
    )
}

/// The check's finding in the report of the only run, and all that was printed.
fn redundancy(home: &Home, ran: &Ran) -> (String, String) {
    let report: serde_json::Value = serde_json::from_str(&home.read("j.json")).unwrap();
    let cases = report["runs"][0]["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == "redundancy");
    let case = case.unwrap_or_else(|| panic!("{}\n{}", ran.out, ran.err));
    let text = |field: &str| case[field].as_str().unwrap().to_string();
    (text("status"), text("summary"))
}

#[test]
fn a_store_whose_killed_node_is_started_again_is_whole_again() {
    let home = Home::new();
    home.write("s.yaml", &store("exec \"$@\""));
    let ran = home.at_work("run s.yaml --json j.json");
    let ran = ran.expect(0, &["stands full again"]);
    let (status, said) = redundancy(&home, &ran);
    assert_eq!(status, "pass");
    assert!(said.contains("after the heal, allowed 3s"), "{said}");
    // Whatever is judged anew from the record: with no time to come back, the same drill fails.
    let record = file::read(&home.the_run().join("history.jsonl.zst")).unwrap();
    let none: Spec = serde_json::from_str(r#"{"redundancy": {"within": "0s"}}"#).unwrap();
    let judged = judge(&record, &[(none, None)]);
    let (status, finding) = (judged.verdict, &judged.cases.last().unwrap().finding);
    assert_eq!(status, Verdict::Fail, "{finding:?}");
    assert!(finding.summary.contains("the last was n"), "{finding:?}");
}

/// The second start of a node waits for ever: it never listens, and the heal cannot be proven.
#[test]
fn a_node_that_hangs_when_it_is_started_again_is_missed_though_every_client_is_served() {
    let home = Home::new();
    let once = "if [ -e \"$0\"/was ]; then exec sleep 600; fi; mkdir -p \"$0\"; : >\"$0\"/was; exec \"$@\"";
    home.write("s.yaml", &store(once));
    let ran = home.at_work("run s.yaml --json j.json");
    let ran = ran.expect(1, &["not every member is back: waiting", "FAIL  lost-member"]);
    let (status, said) = redundancy(&home, &ran);
    assert_eq!(status, "fail", "{said}");
    for words in
        [" is not back ", "allowed 3s: absent (", "not full since ", "the heal is not proven"]
    {
        assert!(said.contains(words), "no `{words}`: {said}");
    }
}

/// As an etcd member on an emptyDir: its data goes with its process, and its peers do not let it in again.
#[test]
fn an_etcd_member_that_lost_its_data_never_joins_again_and_is_named() {
    if Command::new("etcd").arg("--version").output().is_err() {
        println!("skipped: etcd is not installed");
        assert!(std::env::var_os("CI").is_none(), "CI must have etcd");
        return;
    }
    let home = Home::new();
    let scenario = "name: lost-member
target:
  local:
    zones: {dc1: 1, dc2: 1, dc3: 1}
    command: [sh, -c, 'rm -rf \"$0\"/*; exec \"$@\"', '{data}', etcd, '--name={name}', '--data-dir={data}',
      '--listen-client-urls=http://{listen.client}', '--advertise-client-urls=http://{address.client}',
      '--listen-peer-urls=http://{listen.peer}', '--initial-advertise-peer-urls=http://{address.peer}',
      '--initial-cluster={peers}', '--initial-cluster-state=new']
    peers: '{name}=http://{address.peer}'
    ready: {timeout: 10s}
workload: {client: etcd, model: register, workers: 10, rate: 50/s, keys: 5, timeout: 500ms}
";
    home.write("s.yaml", &(scenario.to_string() + WORKLOAD));
    let ran = home.at_work("run s.yaml --json j.json");
    let ran = ran.expect(1, &["FAIL  lost-member"]);
    let (status, said) = redundancy(&home, &ran);
    assert_eq!(status, "fail", "{said}");
    for words in
        [" is not back ", "allowed 3s: absent (", "not full since ", "its process died at "]
    {
        assert!(said.contains(words), "no `{words}`: {said}");
    }
}

#[test]
fn where_the_client_cannot_ask_members_it_is_inconclusive_and_says_what_to_do() {
    let home = Home::new();
    // Answers each call by a constant, and knows no other question.
    let client = r#"read -r hello; i=0; while read -r line; do i=$((i+1)); case $line in
      *call*) echo "{\"id\":$i,\"ok\":{\"value\":null}}";; *) echo "{\"id\":$i,\"unsupported\":true}";; esac; done"#;
    home.write("client", client);
    let scenario = format!(
        "name: lost-member
target: {{local: {{zones: {{dc1: 1, dc2: 1, dc3: 1}}}}}}
workload: {{client: {{exec: {{command: [sh, client]}}}}, model: register, workers: 5, rate: 20/s, keys: 5}}
{}",
        WORKLOAD.replace("follower", "one").replace("{lost-writes: {max: 0}}", "{node-deaths: {max: 0}}")
    );
    home.write("s.yaml", &scenario);
    let ran = home.run("run s.yaml --json j.json");
    assert_eq!(ran.code, Some(3), "{}\n{}", ran.out, ran.err);
    let (status, said) = redundancy(&home, &ran);
    assert_eq!(status, "inconclusive", "{said}");
    for words in ["nobody can say how n", "let your client answer the question `standings`"] {
        assert!(said.contains(words), "no `{words}`: {said}");
    }
}
