//! Recorded histories: the folder is the expectation (`pass`, `fail`), the name before `--` is the
//! check.
//!
//! A history may say more in its header's labels: `check`, the check with its parameters, and
//! `says`, words that the summary of a failure must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use firedrill::check::{Finding, Spec, Verdict, catalogue};
use firedrill::history::file;

fn recorded(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(folder);
    let mut files: Vec<_> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn check_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    stem.split_once("--").unwrap_or_else(|| panic!("{stem}: no `--` in the name")).0.to_string()
}

fn judged(path: &Path) -> (Finding, BTreeMap<String, String>) {
    let record = file::read(path).unwrap_or_else(|e| panic!("{e}"));
    let labels = record.header.labels.clone();
    let name = check_name(path);
    let spec: Spec = match labels.get("check") {
        Some(text) => serde_json::from_str(text).unwrap(),
        None => serde_json::from_value(name.as_str().into()).unwrap(),
    };
    assert_eq!(spec.name(), name, "{}", path.display());
    assert_eq!(spec.fits(&record.header.workload.model), Ok(()), "{}", path.display());
    (spec.build().check(&record), labels)
}

#[test]
fn what_should_pass_passes() {
    for path in recorded("pass") {
        let (finding, _) = judged(&path);
        assert_eq!(finding.verdict, Verdict::Pass, "{}: {finding:#?}", path.display());
    }
}

#[test]
fn what_should_fail_fails_and_says_why() {
    let mut wrong = vec![];
    for path in recorded("fail") {
        let (finding, labels) = judged(&path);
        let says =
            labels.get("says").unwrap_or_else(|| panic!("{}: no label `says`", path.display()));
        let told = finding.summary.contains(says) && !finding.evidence.is_empty();
        if finding.verdict != Verdict::Fail || !told {
            wrong.push(format!("{}: expected `{says}`: {finding:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_check_has_a_history_of_each_kind() {
    for folder in ["pass", "fail"] {
        let have: BTreeSet<_> = recorded(folder).iter().map(|p| check_name(p)).collect();
        for entry in catalogue() {
            assert!(have.contains(&entry.name), "no {folder}/{}--*.jsonl", entry.name);
        }
    }
}

#[test]
fn a_record_written_as_lines_reads_back_the_same() {
    let path = recorded("fail").into_iter().find(|p| check_name(p) == "recovery").unwrap();
    let record = file::read(&path).unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    file::write_lines(&record, &mut copy.as_file()).unwrap();
    assert_eq!(file::read(copy.path()).unwrap(), record);
}
