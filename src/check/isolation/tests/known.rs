//! Histories that others recorded, with the verdicts that are known of them: in the folder that FIREDRILL_HISTORIES
//! names.

use std::path::{Path, PathBuf};

use super::super::weak::{self, Level};
use super::super::*;

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("FIREDRILL_HISTORIES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| "../shared/histories".into());
    if folder.join("expected.tsv").is_file() {
        return Some(folder);
    }
    println!("skipped: no expected.tsv in {}", folder.display());
    None
}

/// The words between the brackets that follow this keyword; `None`: it is not there, or `nil`.
fn words<'a>(options: &'a str, keyword: &str) -> Option<Vec<&'a str>> {
    let rest = options.split_once(keyword)?.1.trim_start();
    let inside = rest.strip_prefix(['[', '{', '(']).filter(|_| !rest.starts_with("nil"))?;
    let end = inside.find([']', '}', ')'])?;
    let split = inside[..end].split([' ', ',', '"']);
    Some(split.map(|word| word.trim_start_matches(':')).filter(|word| !word.is_empty()).collect())
}

fn options(text: &str) -> Options {
    let models = words(text, ":consistency-models").unwrap_or_default();
    let mut models: Models = models.iter().map(|name| Model::of(name).unwrap()).collect();
    let anomalies = words(text, ":anomalies").unwrap_or_default();
    let anomalies: Anomalies = anomalies.iter().map(|name| Anomaly::of(name).unwrap()).collect();
    if !text.contains(":consistency-models") && anomalies.is_empty() {
        models.add(Model::StrongSerializable);
    }
    let order = words(text, ":transaction-order").map(|words| {
        let pairs = words.chunks(2).map(|p| (p[0].parse().unwrap(), p[1].parse().unwrap()));
        pairs.collect()
    });
    let assumptions = Assumptions {
        wfr_keys: text.contains(":wfr-keys? true"),
        sequential_keys: text.contains(":sequential-keys? true"),
        linearizable_keys: text.contains(":linearizable-keys? true"),
        written_only: false,
        committed: vec![],
        transaction_order: order,
    };
    // Who says that writes do not follow reads does not want it concluded either.
    let conclude = !text.contains(":wfr-keys? false");
    Options { models, anomalies, assumptions, conclude, thin_air: false, budget: Budget::default() }
}

fn read(path: &Path) -> Transactions {
    let text = std::fs::read(path).unwrap();
    Transactions::read(&text, None).unwrap_or_else(|wrong| panic!("{}:{wrong}", path.display()))
}

fn workload(name: &str) -> Option<Workload> {
    match name {
        "list-append" => Some(Workload::ListAppend),
        "rw-register" => Some(Workload::RwRegister),
        _ => None,
    }
}

fn verdict(text: &str) -> Verdict {
    match text.trim_start_matches(':') {
        "valid" | "true" => Verdict::Valid,
        "invalid" | "false" => Verdict::Invalid,
        "unknown" => Verdict::Unknown,
        other => panic!("{other}"),
    }
}

fn sorted(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.join(" ")
}

fn told(report: &Report) -> [String; 3] {
    [
        sorted(report.anomalies.iter().map(Anomaly::name).collect()),
        sorted(report.not.iter().map(Model::name).collect()),
        sorted(report.also_not.iter().map(Model::name).collect()),
    ]
}

#[test]
fn histories_get_the_verdicts_that_are_known_of_them() {
    let Some(folder) = folder() else { return };
    let table = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let (mut count, mut wrong) = (0, vec![]);
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [path, model, expected, _, rest @ ..] = fields.as_slice() else { continue };
        let note = rest.first().copied().unwrap_or_default();
        if let Some(level) = model.strip_prefix("txn ") {
            let history = read(&folder.join(path));
            let level = Level::of(level).unwrap();
            let report = weak::check(&history, level, &Budget::default());
            count += 1;
            if report.verdict != verdict(expected) {
                wrong.push(format!("{path} {model}: {report:?}"));
            }
            continue;
        }
        let Some(workload) = workload(model) else { continue };
        let options = match note.split_once("opts=") {
            Some((_, text)) => options(text.split(" anomalies=").next().unwrap()),
            None if note.contains("--consistency-models serializable") => {
                options("{:consistency-models [:serializable]}")
            }
            None if note.contains("snapshot-isolation+repeatable-read") => {
                options("{:consistency-models [:snapshot-isolation :repeatable-read]}")
            }
            None => options("{}"),
        };
        let report = check(&read(&folder.join(path)), workload, &options);
        count += 1;
        let [anomalies, not, _] = told(&report);
        if report.verdict != verdict(expected) {
            wrong.push(format!("{path}: {report:#?}"));
            continue;
        }
        if let Some(list) = words(note, " anomalies=")
            && sorted(list.clone()) != anomalies
        {
            wrong.push(format!("{path}: {note}: {list:?}, not {anomalies}"));
        }
        if let Some(list) = words(note, " not=")
            && !note.contains("not=#")
            && sorted(list.clone()) != not
        {
            wrong.push(format!("{path}: {note}: not {list:?}, but {not}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 60, "{count}");
}

#[test]
fn anomalies_and_refuted_models_are_those_that_elle_tells() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("elle-tests");
    let table = std::fs::read_to_string(folder.join("index.tsv")).unwrap();
    let (mut count, mut wrong) = (0, vec![]);
    for line in table.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, model, text, expected, anomalies, not, also_not, ..] = fields.as_slice() else {
            continue;
        };
        let Some(workload) = workload(model) else { continue };
        let report = check(&read(&folder.join(file)), workload, &options(text));
        let expected_lists =
            [anomalies, not, also_not].map(|list| sorted(words(list, "").unwrap_or_default()));
        count += 1;
        if report.verdict != verdict(expected) || told(&report) != expected_lists {
            wrong.push(format!("{file} {text}\n  {expected_lists:?}\n  {report:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 30, "{count}");
}
