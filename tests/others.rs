//! Histories that others recorded, judged as a user would: what bounds the judging, what is drawn of it, and models
//! that no known history is of.

mod runner;

use std::fs;

use runner::Home;

/// Additions of powers of two, all in flight, and a read that no sum of them explains: 2^40 states.
fn hard() -> String {
    let mut text = String::new();
    let mut add = |process: i64, kind: &str, f: &str, value: &str| {
        text += &format!("{{:process {process} :type {kind} :f {f} :value {value}}}\n");
    };
    (0..40).for_each(|i| add(i, ":invoke", ":add", &(1_i64 << i).to_string()));
    add(40, ":invoke", ":read", "nil");
    add(40, ":ok", ":read", "-1");
    (0..40).for_each(|i| add(i, ":ok", ":add", &(1_i64 << i).to_string()));
    text
}

#[test]
fn what_time_and_memory_do_not_suffice_for_is_inconclusive_and_says_how_far_it_came() {
    let home = Home::new();
    home.write("hard.edn", &hard());
    let far = "all that returned before the operation of line 41";
    let check = "check --model counter --timeout 300ms hard.edn";
    home.run(check).expect(3, &["gave up after 300ms", far]);
    home.run(&format!("{check} --memory 5MB")).expect(3, &["gave up after 300ms", far]);
    home.run("check --model counter --timeout soon hard.edn").expect(2, &["--timeout", "soon"]);
    home.run("check --model counter --memory much hard.edn").expect(2, &["--memory", "much"]);
}

#[test]
fn what_is_wrong_is_drawn() {
    let home = Home::new();
    home.write(
        "stale.jsonl",
        r#"{"c":1,"f":"w","v":1,"t0":0,"t1":10,"s":"ok"}
{"c":1,"f":"w","v":2,"t0":20,"t1":30,"s":"ok"}
{"c":2,"f":"r","v":1,"t0":40,"t1":50,"s":"ok"}
"#,
    );
    home.write(
        "skew.jsonl",
        r#"{"p":0,"t0":0,"t1":9,"s":"ok","txn":[["r","x",null],["w","y",1]]}
{"p":1,"t0":1,"t1":8,"s":"ok","txn":[["r","y",null],["w","x",1]]}
"#,
    );
    let json = "--json report.json --explain drawn";
    home.run(&format!("check --model register stale.jsonl {json}"))
        .expect(1, &["stale: process 2"]);
    let svg = fs::read_to_string(home.path("drawn/stale.jsonl.linearizable.1.svg")).unwrap();
    for words in ["write 1", "write 2", "read: 1", "impossible from here on"] {
        assert!(svg.contains(words), "{words}: {svg}");
    }
    let page = fs::read_to_string(home.path("drawn/stale.jsonl.linearizable.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("at most 2 of 3 operations"), "{page}");
    let report = fs::read_to_string(home.path("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let told = &report["runs"][0]["cases"][0]["explanations"][0]["timeline"];
    assert_eq!(told["stuck"], serde_json::json!([2]), "{told}");
    assert_eq!(told["interval"], serde_json::json!({"from": 40, "to": 50, "operation": 2}));
    home.run("check --model rw-register skew.jsonl --explain drawn").expect(1, &["G2-item"]);
    let svg = fs::read_to_string(home.path("drawn/skew.jsonl.isolation.1.svg")).unwrap();
    assert!(svg.contains("read &quot;x&quot;: nothing") && svg.contains("rw: "), "{svg}");
    // What is right is not drawn.
    home.run("check --model rw-register --consistency-model snapshot-isolation skew.jsonl --explain none")
        .expect(0, &["PASS"]);
    assert!(!home.path("none").exists());
}

#[test]
fn registers_are_judged_by_what_each_session_may_rely_on() {
    let home = Home::new();
    let lags = r#"{"c":1,"f":"w","v":1,"t0":0,"t1":1,"s":"ok"}
{"c":1,"f":"w","v":2,"t0":2,"t1":3,"s":"ok"}
{"c":2,"f":"r","v":1,"t0":4,"t1":5,"s":"ok"}
"#;
    home.write("lags.jsonl", lags);
    let own = lags.replace(r#""c":2"#, r#""c":1"#);
    home.write("own.jsonl", &own);
    let check = "check --model register --consistency-model";
    home.run("check --model register lags.jsonl").expect(1, &["stale"]);
    home.run(&format!("{check} causal,pram lags.jsonl")).expect(0, &["keep causal, pram"]);
    home.run(&format!("{check} monotonic-reads own.jsonl")).expect(0, &["PASS"]);
    home.run(&format!("{check} read-your-writes own.jsonl"))
        .expect(1, &["read-your-writes does not hold", "write k0 = 2"]);
    home.run(&format!("{check} serializable own.jsonl")).expect(2, &["session guarantees"]);
}

#[test]
fn logs_and_long_forks_are_judged() {
    let home = Home::new();
    let log = r#"{"c":1,"k":"x","f":"append","v":7,"off":0,"t0":1,"t1":2,"s":"ok"}
{"c":1,"k":"x","f":"append","v":8,"off":1,"t0":3,"t1":4,"s":"ok"}
{"c":2,"k":"x","f":"poll","vs":[[0,7],[1,8]],"t0":5,"t1":6,"s":"ok"}
"#;
    home.write("good.jsonl", log);
    home.write("lost.jsonl", &log.replace("[0,7],", ""));
    home.run("check --model log good.jsonl").expect(0, &["2 acknowledged messages"]);
    home.run("check --model log lost.jsonl").expect(1, &["lost-write", "line 1"]);
    let fork = "[{:type :ok :process 0 :value [[:r :x 1] [:r :y nil]]}
                 {:type :ok :process 1 :value [[:r :x nil] [:r :y 1]]}]";
    home.write("fork.edn", fork);
    home.run("check --model long-fork fork.edn").expect(1, &["long-fork", "process 1"]);
    home.write("order.edn", &fork.replace(":x nil", ":x 1"));
    home.run("check --model long-fork order.edn").expect(0, &["PASS"]);
}

#[test]
fn a_drills_own_record_is_judged_by_one_model_alone() {
    let home = Home::new();
    let stale = include_str!("histories/fail/linearizable--stale-read-after-ack.jsonl");
    home.write("own.jsonl", stale);
    home.run("check --model register own.jsonl").expect(1, &["linearizable", "stale"]);
    home.run("check --model register --format firedrill own.jsonl").expect(1, &["stale"]);
    home.run("check --model counter own.jsonl").expect(2, &["it judges counter"]);
    home.run("check --model stack own.jsonl").expect(2, &["of a drill's record, one of register"]);
}
