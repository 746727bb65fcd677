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

/// The arguments by which a model of `expected.tsv` is judged; `None`: not yet.
fn arguments(model: &str) -> Option<&'static str> {
    Some(match model {
        "cas-register(init=nil)" | "cas-register" => "--model cas-register",
        "cas-register(init=0)" => "--model cas-register --initial 0",
        "mutex" => "--model lock",
        "queue" => "--model queue",
        _ => return None,
    })
}

#[test]
fn every_known_history_of_a_register_a_lock_or_a_queue_has_its_verdict() {
    let Some(folder) = folder() else { return };
    let home = Home::new();
    let expected = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let mut wrong = vec![];
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    for line in expected.lines().skip(1) {
        let [path, model, verdict, ..] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let Some(arguments) = arguments(model) else { continue };
        let file = folder.join(path);
        let ran = home.run(&format!("check {arguments} {}", file.display()));
        let code = match verdict {
            "valid" => 0,
            "invalid" => 1,
            other => panic!("{path}: {other}"),
        };
        *count.entry(model).or_default() += 1;
        // What is broken is explained.
        let told = code == 0 || ran.out.contains("k0");
        if ran.code != Some(code) || !told {
            wrong.push(format!("{path}: {verdict}, not {:?}\n{}{}", ran.code, ran.out, ran.err));
        }
    }
    println!("{count:?}");
    assert!(count.values().sum::<u32>() > 200, "{count:?}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
