//! Every JUnit report that firedrill can write is valid by `tests/schemas/junit.xsd`, and by the schema that
//! Jenkins' xUnit plugin publishes; and both refuse what they should.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firedrill::report::json::Document;
use firedrill::report::{CaseReport, RunReport, Status, junit};

/// What our reports have and the published schema does not know: element, attribute, and who reads it.
const EXTENSIONS: [(&str, &str, &str); 3] = [
    ("testcase", "file", "GitLab's list of test cases; mikepenz/action-junit-report on GitHub"),
    ("testcase", "line", "mikepenz/action-junit-report, which annotates that line"),
    ("testsuites", "skipped", "readers of the whole by the conventions of testmoapp/junitxml"),
];

/// What cannot be checked here is skipped visibly, but never in CI.
fn skipped(why: &str) {
    println!("skipped: {why}");
    assert!(std::env::var_os("CI").is_none(), "CI must not skip: {why}");
}

fn own_schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas/junit.xsd")
}

/// `None`: it was not fetched.
fn published_schema() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemas/junit-10.xsd");
    if !path.exists() {
        skipped("target/schemas/junit-10.xsd is not there (get it: tests/schemas/fetch)");
        return None;
    }
    Some(path)
}

/// What xmllint says of the file: `Ok`, or its complaint. `None`: there is no xmllint here.
fn validate(schema: &Path, xml: &str) -> Option<Result<(), String>> {
    let started = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            skipped("xmllint is not installed (get it: apt-get install libxml2-utils)");
            return None;
        }
        Err(e) => panic!("xmllint: {e}"),
    };
    child.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}

/// The document without an attribute of an element. In what firedrill writes no `<`, `>` or `"` stands for
/// itself but in markup.
fn without(xml: &str, element: &str, attribute: &str) -> String {
    let (open, name) = (format!("<{element} "), format!(" {attribute}=\""));
    let mut parts = xml.split(open.as_str());
    let mut out = parts.next().unwrap().to_string();
    for part in parts {
        let (tag, rest) = part.split_at(part.find('>').unwrap());
        let mut tag = format!("{open}{tag}");
        if let Some(at) = tag.find(&name) {
            let value = at + name.len();
            tag.replace_range(at..=value + tag[value..].find('"').unwrap(), "");
        }
        out += &(tag + rest);
    }
    out
}

fn without_extensions(xml: &str) -> String {
    EXTENSIONS
        .iter()
        .fold(xml.into(), |xml: String, (element, attribute, _)| without(&xml, element, attribute))
}

/// The run that `docs/report.md` shows: one case of every kind and status.
fn documented() -> RunReport {
    let page = include_str!("../docs/report.md");
    let json = page.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
    serde_json::from_str::<Document>(json).unwrap().runs.remove(0)
}

fn assert_valid(runs: &[RunReport]) {
    let xml = junit::render(runs).unwrap();
    if let Some(Err(complaint)) = validate(&own_schema(), &xml) {
        panic!("{complaint}\n{xml}");
    }
    let Some(published) = published_schema() else { return };
    let known = without_extensions(&xml);
    if let Some(Err(complaint)) = validate(&published, &known) {
        panic!("the published schema: {complaint}\n{known}");
    }
}

#[test]
fn a_report_with_every_kind_of_case_is_valid() {
    assert_valid(&[documented()]);
}

#[test]
fn repetitions_and_other_scenarios_in_one_file_are_valid() {
    let [mut dots, mut line, mut tab] = [documented(), documented(), documented()];
    dots.scenario = "v1.2 rolling.restart".into();
    line.scenario = "v1_2 rolling_restart".into();
    tab.scenario = "v1.2\trolling.restart".into();
    assert_valid(&[documented(), dots, line, tab, documented(), documented()]);
}

#[test]
fn runs_that_never_began_are_valid() {
    let broke_off = RunReport::broke_off("x", "x.yaml", "node n1: no such program `etcd`\nremedy");
    let skipped = RunReport::skipped("y", "y.yaml", "etcd is not installed").with_seed(7);
    assert_valid(&[broke_off, skipped]);
}

#[test]
fn no_runs_are_valid() {
    assert_valid(&[]);
}

#[test]
fn text_of_others_cannot_make_it_invalid() {
    let nasty =
        "]]></failure><x/> & \"q\" 'a' \u{1b}[31mred\0\u{b}\u{fffe}\u{ffff}\r\n\ttab \u{1f525}";
    let mut run = documented();
    for field in [&mut run.scenario, &mut run.file] {
        field.push_str(nasty);
    }
    for field in [&mut run.target, &mut run.aborted, &mut run.folder, &mut run.attachment] {
        *field = Some(nasty.into());
    }
    run.began = Some("yesterday".into());
    run.left_behind = vec![nasty.into(), String::new()];
    run.labels.insert(nasty.into(), nasty.into());
    run.figures.insert(nasty.into(), f64::MAX);
    for case in &mut run.cases {
        (case.name, case.summary) = (nasty.into(), nasty.into());
        case.evidence = vec![nasty.into()];
        case.seconds = -1.0;
    }
    assert_valid(&[run.clone(), run]);
}

#[test]
fn empty_text_cannot_make_it_invalid() {
    let mut run = documented();
    (run.scenario, run.file) = (String::new(), String::new());
    run.cases.push(CaseReport::new("", Status::Fail, ""));
    run.labels.insert(String::new(), String::new());
    assert_valid(&[run]);
}

#[test]
fn the_schema_refuses_what_a_reader_would_drop_or_misread() {
    let good = junit::render(&[documented()]).unwrap();
    let case = "name=\"recovery\"";
    let broken = [
        ("a case twice", good.replacen(case, "name=\"latency\"", 1)),
        ("a case without a name", good.replacen(case, "", 1)),
        ("a time that is none", good.replacen("time=\"", "time=\"-", 1)),
        ("an unknown element", good.replacen("<system-out>", "<stdout/><system-out>", 1)),
        ("a package from a dot", good.replacen("\"drills.", "\"drills.v1.", 1)),
        ("a raw control character", good.replacen("recovery", "rec\u{1}overy", 1)),
    ];
    for (what, xml) in broken {
        assert_ne!(xml, good, "{what}: nothing was broken");
        let Some(verdict) = validate(&own_schema(), &xml) else { return };
        assert!(verdict.is_err(), "the schema takes {what}");
    }
}

#[test]
fn the_published_schema_refuses_what_is_broken_and_each_of_our_extensions() {
    let Some(schema) = published_schema() else { return };
    let whole = junit::render(&[documented()]).unwrap();
    let good = without_extensions(&whole);
    let mut broken = vec![
        ("a case without a name", good.replacen("name=\"recovery\"", "", 1)),
        ("a suite without its counts", without(&good, "testsuite", "errors")),
        ("a time that is none", good.replacen("time=\"", "time=\"soon", 1)),
        ("an unknown element", good.replacen("<system-out>", "<stdout/><system-out>", 1)),
        ("an unknown attribute", good.replacen("<testcase ", "<testcase seed=\"42\" ", 1)),
    ];
    for (kept, (_, what, _)) in EXTENSIONS.iter().enumerate() {
        let others = EXTENSIONS.iter().enumerate().filter(|(at, _)| *at != kept);
        let xml = others.fold(whole.clone(), |xml, (_, (element, attribute, _))| {
            without(&xml, element, attribute)
        });
        broken.push((*what, xml));
    }
    for (what, xml) in broken {
        assert_ne!(xml, good, "{what}: nothing was broken");
        let Some(verdict) = validate(&schema, &xml) else { return };
        assert!(verdict.is_err(), "the published schema takes {what}");
    }
}

#[test]
fn an_attribute_is_taken_from_its_element_alone() {
    let xml = r#"<a file="x" b="1"><c b="2" file="y"/> file="z"</a>"#;
    assert_eq!(without(xml, "a", "file"), r#"<a b="1"><c b="2" file="y"/> file="z"</a>"#);
    assert_eq!(without(xml, "c", "file"), r#"<a file="x" b="1"><c b="2"/> file="z"</a>"#);
    assert_eq!(without(xml, "c", "a"), xml);
}
