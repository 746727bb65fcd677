//! Histories of other projects with their known verdicts, judged as a user would. They are not part of this project:
//! FIREDRILL_HISTORIES, or the folder `shared/histories` beside the checkout, has them and says in `expected.tsv` what
//! they are.

mod runner;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use runner::Home;

fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/histories");
    let folder = std::env::var_os("FIREDRILL_HISTORIES").map_or(beside, PathBuf::from);
    if folder.join("expected.tsv").exists() {
        return Some(folder);
    }
    println!("skipped: no histories in {} (FIREDRILL_HISTORIES)", folder.display());
    None
}

/// The arguments by which a model of `expected.tsv` is judged; `None`: not yet. `note` has Elle's options.
fn arguments(model: &str, note: &str) -> Option<String> {
    // What this says of the order of versions has no argument.
    if note.contains(":transaction-order") {
        return None;
    }
    let named = |keyword: &str, option: &str| -> String {
        let inside = note.split_once(keyword).and_then(|(_, rest)| {
            let inside = rest.trim_start().strip_prefix('[')?;
            Some(inside.split_once(']')?.0.replace(':', ""))
        });
        let all = inside.map(|all| all.split_whitespace().collect::<Vec<_>>().join(","));
        all.map_or(String::new(), |all| format!(" {option} {all}"))
    };
    let models = named(":consistency-models", "--consistency-model");
    let anomalies = named(":anomalies", "--anomaly");
    let of_keys = ["wfr-keys", "sequential-keys", "linearizable-keys"];
    let assumed = of_keys.into_iter().filter(|keys| note.contains(&format!(":{keys}? true")));
    let assumed: String = assumed.map(|keys| format!(" --assume {keys}")).collect();
    let serializable = match note.contains("--consistency-models serializable") {
        true => " --consistency-model serializable",
        false => "",
    };
    Some(format!("{}{models}{anomalies}{assumed}{serializable}", model_of(model)?))
}

fn model_of(model: &str) -> Option<&'static str> {
    Some(match model {
        "cas-register(init=nil)" | "cas-register" => "--model cas-register",
        "cas-register(init=0)" => "--model cas-register --initial 0",
        "mutex" => "--model lock",
        "queue" => "--model queue",
        "bank" => "--model bank",
        "stack" => "--model stack",
        "priorityqueue" => "--model priority-queue",
        "set" => "--model set",
        "semaphore" => "--model semaphore",
        "rmw" => "--model rmw",
        "kv get/put/append per key (init=\"\")" => "--model kv",
        "list-append" => "--model list-append",
        "rw-register" => "--model rw-register",
        "txn read-committed" => "--model txn --consistency-model read-committed",
        "txn read-atomic" => "--model txn --consistency-model read-atomic",
        "txn causal" => "--model txn --consistency-model causal",
        "txn snapshot-isolation" => "--model txn --consistency-model snapshot-isolation",
        _ => return None,
    })
}

#[test]
fn every_known_history_has_its_verdict() {
    let Some(folder) = folder() else { return };
    let home = Home::new();
    let expected = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let mut wrong = vec![];
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    for line in expected.lines().skip(1) {
        let [path, model, verdict, _, note] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let Some(arguments) = arguments(model, note) else { continue };
        let file = folder.join(path);
        let ran = home.run(&format!("check {arguments} {}", file.display()));
        let code = match verdict {
            "valid" => 0,
            "invalid" => 1,
            "unknown" => 3,
            other => panic!("{path}: {other}"),
        };
        *count.entry(model).or_default() += 1;
        // What is broken is explained.
        let transactions = ["--model list-append", "--model rw-register", "--model txn"];
        let by = match () {
            () if transactions.iter().any(|m| arguments.starts_with(m)) => "T",
            () if arguments.starts_with("--model bank") => "the first wrong reading",
            () if ran.out.contains("register k") || ran.out.contains("queue k") => "k0",
            () => "that no order explains",
        };
        let told = code != 1 || ran.out.contains(by);
        if ran.code != Some(code) || !told {
            wrong.push(format!("{path}: {verdict}, not {:?}\n{}{}", ran.code, ran.out, ran.err));
        }
    }
    println!("{count:?}");
    assert!(count.values().sum::<u32>() > 300, "{count:?}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
