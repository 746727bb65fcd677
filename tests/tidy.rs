//! The house rules, held by a test: it walks the sources once, and names file, line and rule of each breach.
//! They are those of `ARCHITECTURE.md` and of the style that the project keeps; further tests show that
//! each rule catches what it should, and lets pass what it should.
//!
//! It reads lines, not syntax: a rule that needed a parser would be a lint, and lints are clippy's.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// The rooms and their floors. A file imports only from its own room and from lower floors.
const ROOMS: &[(&str, u8)] = &[
    ("quantity", 1),
    ("condition", 1),
    ("inventory", 1),
    ("history", 1),
    ("catalogue", 1),
    ("store", 1),
    ("image", 1),
    ("fault", 2),
    ("check", 2),
    ("workload", 2),
    ("registry", 2),
    ("scenario", 3),
    ("agent", 3),
    ("report", 3),
    ("plan", 4),
    ("control", 4),
    ("command", 4),
    ("target", 5),
    ("drill", 6),
    ("cli", 7),
];

/// What the rest of their floor may import too.
const NOUNS: &[&str] = &["quantity", "condition", "inventory", "history", "catalogue"];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// What stands nowhere but in tests.
const NOT_OUTSIDE_TESTS: &[&str] =
    &[".unwrap()", ".unwrap_err()", ".expect(", "panic!(", "unreachable!("];

/// What stands nowhere in the sources at all.
const NOWHERE: &[&str] = &["todo!(", "unimplemented!(", "dbg!("];

/// What stands only in `cli/`.
const PRINTS: &[&str] = &["println!(", "eprintln!(", "print!(", "eprint!("];

const LINES_MAX: usize = 500;
/// rustfmt keeps code to it; what it leaves alone (long strings, macros) is caught here.
const CODE_COLUMNS_MAX: usize = 100;
/// Tests quote input and output whole; rustfmt keeps the rest of their lines short.
const TEST_COLUMNS_MAX: usize = 240;
/// rustfmt leaves comments alone.
const COMMENT_COLUMNS_MAX: usize = 120;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// A source file: its path from the root, with `/`, and its text.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
    /// Whether all of it is compiled for tests only.
    only_tests: bool,
    /// The folders under `src/target/`.
    targets: &'a BTreeSet<String>,
}

/// A line of a source, without what stands in a comment behind it.
struct Code<'a> {
    number: usize,
    text: &'a str,
    in_test: bool,
}

impl<'a> Source<'a> {
    fn breach(&self, line: usize, rule: impl Into<String>) -> Breach {
        Breach { file: self.path.into(), line, rule: rule.into() }
    }

    /// The room that the file is in. `None`: the root (`lib.rs`) or another folder (`tests/`).
    fn room(&self) -> Option<(&'static str, u8)> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        let first = first.strip_suffix(".rs").unwrap_or(first);
        let first = if first == "main" { "cli" } else { first };
        ROOMS.iter().copied().find(|(room, _)| *room == first)
    }

    /// The lines that are code, with what is compiled for tests only marked.
    fn code(&self) -> Vec<Code<'a>> {
        let mut lines = vec![];
        let mut test_until: Option<usize> = None; // the indentation of the item that only tests see
        let mut begun = false;
        for (i, line) in self.text.lines().enumerate() {
            let code = line.split_once("// ").map_or(line, |(code, _)| code);
            let code = if line.trim_start().starts_with("//") { "" } else { code };
            let indent = line.len() - line.trim_start().len();
            if test_until.is_none() && code.trim_start().starts_with("#[cfg(test)]") {
                (test_until, begun) = (Some(indent), false);
            }
            let in_test = self.only_tests || test_until.is_some();
            lines.push(Code { number: i + 1, text: code, in_test });
            let Some(of) = test_until else { continue };
            let ends = code.trim_end();
            begun |= ends.ends_with('{');
            let closes = begun && indent == of && ends.trim_start().starts_with('}');
            let declares = !begun && ends.ends_with(';');
            if closes || declares {
                test_until = None;
            }
        }
        lines
    }
}

/// Every breach of a rule in one Rust file.
fn breaches(source: &Source) -> Vec<Breach> {
    let mut found = vec![];
    found.extend(shape(source));
    let in_src = source.path.starts_with("src/");
    let code = source.code();
    for line in code.iter().filter(|_| in_src) {
        found.extend(words(source, line));
        if !line.in_test {
            found.extend(floors(source, line));
        }
    }
    found
}

/// Length, width, the first line, the name.
fn shape(source: &Source) -> Vec<Breach> {
    let mut found = vec![];
    if !source.text.starts_with("//! ") {
        found.push(source.breach(1, "the file does not begin with `//!`: its purpose"));
    }
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        found.push(source.breach(lines, format!("{lines} lines, at most {LINES_MAX}: split it")));
    }
    for part in source.path.split('/') {
        let name = part.strip_suffix(".rs").unwrap_or(part);
        if EMPTY_NAMES.contains(&name) {
            found.push(source.breach(1, format!("`{name}` says nothing of what is inside")));
        }
    }
    let in_tests: Vec<bool> = source.code().iter().map(|line| line.in_test).collect();
    for (i, line) in source.text.lines().enumerate() {
        let comment = line.trim_start().starts_with("//");
        let limit = match (comment, in_tests[i] || !source.path.starts_with("src/")) {
            (true, _) => COMMENT_COLUMNS_MAX,
            (false, true) => TEST_COLUMNS_MAX,
            (false, false) => CODE_COLUMNS_MAX,
        };
        let columns = line.chars().count();
        if columns > limit {
            found.push(source.breach(i + 1, format!("{columns} columns, at most {limit}")));
        }
    }
    found
}

/// What must not be said here.
fn words(source: &Source, line: &Code) -> Vec<Breach> {
    let says = |what: &&&str| {
        let mut places = line.text.match_indices(**what);
        places.any(|(at, _)| {
            let before = line.text[..at].chars().next_back();
            what.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    };
    let mut found = vec![];
    for what in NOWHERE.iter().filter(says) {
        found.push(source.breach(line.number, format!("`{what}` is for unfinished work")));
    }
    if line.in_test {
        return found;
    }
    for what in NOT_OUTSIDE_TESTS.iter().filter(says) {
        let rule = format!("`{what}` outside tests: return an error");
        found.push(source.breach(line.number, rule));
    }
    if source.room().is_none_or(|(room, _)| room != "cli") {
        for what in PRINTS.iter().filter(says) {
            let rule = format!("`{what}` outside cli/: only cli prints");
            found.push(source.breach(line.number, rule));
        }
    }
    found
}

/// Imports from the same floor, from above, and of one target from another.
fn floors(source: &Source, line: &Code) -> Vec<Breach> {
    let Some((room, floor)) = source.room() else { return vec![] };
    let mut found = vec![];
    if line.text.trim_end().ends_with("crate::{") {
        found.push(
            source.breach(line.number, "a group at `crate::` over several lines: one `use` a room"),
        );
    }
    for path in imports(line.text) {
        let mut parts = path.split("::");
        let (first, second) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let Some((_, other)) = ROOMS.iter().find(|(name, _)| *name == first) else { continue };
        let below = *other < floor || (*other == floor && NOUNS.contains(&first));
        if first != room && !below {
            let rule = format!("`{room}` (floor {floor}) imports `{first}` (floor {other})");
            found.push(source.breach(line.number, rule));
        }
        let own = source.path.strip_prefix("src/target/").and_then(|rest| rest.split('/').next());
        if first == "target"
            && source.targets.contains(second)
            && let Some(own) = own.filter(|own| *own != second && *own != "mod.rs")
        {
            let rule = format!("target `{own}` knows target `{second}`");
            found.push(source.breach(line.number, rule));
        }
    }
    found
}

/// The paths behind each `crate::` of a line; of a group, each member.
fn imports(code: &str) -> Vec<String> {
    let mut paths = vec![];
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        match rest.strip_prefix('{') {
            None => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                paths.push(rest[..end.unwrap_or(rest.len())].to_string());
            }
            Some(group) => {
                let mut depth = 0;
                let mut member = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => paths.push(std::mem::take(&mut member)),
                        c if depth == 0 => member.push(c),
                        _ => {}
                    }
                    if depth < 0 {
                        break;
                    }
                }
                paths.push(member);
            }
        }
    }
    paths.iter().map(|p| p.trim().to_string()).filter(|p| !p.is_empty()).collect()
}

/// Paths of the machine that a text was written on; they mean nothing on another one.
fn foreign_paths(file: &str, text: &str) -> Vec<Breach> {
    // In two parts, so that this file does not breach its own rule.
    let roots = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")].map(|(a, b)| [a, b].concat());
    let mut found = vec![];
    for (i, line) in text.lines().enumerate() {
        for root in roots.iter().filter(|root| line.contains(root.as_str())) {
            let rule = format!("`{root}...` is a path of one machine");
            found.push(Breach { file: file.into(), line: i + 1, rule });
        }
    }
    found
}

/// The files that only tests are compiled with: `#[cfg(test)] mod name;`, and what is below them.
fn only_for_tests(files: &[(String, String)]) -> BTreeSet<String> {
    let mut only = BTreeSet::new();
    for (path, text) in files {
        let folder = match path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_string(),
            _ => path.trim_end_matches(".rs").to_string(),
        };
        let mut lines = text.lines().map(str::trim).peekable();
        while let Some(line) = lines.next() {
            let declared = lines.peek().and_then(|next| next.split("mod ").nth(1));
            if let Some(name) = declared.and_then(|d| d.strip_suffix(';'))
                && line == "#[cfg(test)]"
            {
                only.insert(format!("{folder}/{name}"));
            }
        }
    }
    only
}

fn is_within(path: &str, modules: &BTreeSet<String>) -> bool {
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    modules.iter().any(|m| module == m || module.starts_with(&format!("{m}/")))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["target", ".git", "reports", "Cargo.lock"].iter().any(|s| name == *s);
        // A folder's own `target` room is a room; only the root's is cargo's.
        let is_room = path.parent().is_some_and(|p| p.ends_with("src"));
        match path.is_dir() {
            _ if skipped && !is_room => {}
            true => walk(&path, found),
            false => found.push(path),
        }
    }
}

/// Every text file of the repository: its path from the root with `/`, and its text.
fn repository() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![];
    walk(root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?; // what is not UTF-8 is no text
        let path = path.strip_prefix(root).unwrap().to_str()?.replace('\\', "/");
        Some((path, text))
    };
    paths.into_iter().filter_map(read).collect()
}

#[test]
fn the_house_is_tidy() {
    let files = repository();
    let rust: Vec<_> = files.iter().filter(|(path, _)| path.ends_with(".rs")).cloned().collect();
    assert!(rust.len() > 30, "only {} Rust files found: the walk is broken", rust.len());
    let only_tests = only_for_tests(&rust);
    let folders = rust.iter().filter_map(|(path, _)| {
        let (target, _) = path.strip_prefix("src/target/")?.split_once('/')?;
        Some(target.to_string())
    });
    let targets: BTreeSet<String> = folders.collect();
    let mut found = vec![];
    for (path, text) in &rust {
        let only_tests = is_within(path, &only_tests);
        found.extend(breaches(&Source { path, text, only_tests, targets: &targets }));
    }
    for (path, text) in &files {
        found.extend(foreign_paths(path, text));
    }
    found.sort();
    let list: Vec<String> = found.iter().map(Breach::to_string).collect();
    assert!(found.is_empty(), "{} breaches of the house rules:\n{}", found.len(), list.join("\n"));
}

#[test]
fn every_room_of_the_house_has_a_floor() {
    let lib = include_str!("../src/lib.rs");
    let declared = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'));
    let without: Vec<&str> =
        declared.filter(|room| !ROOMS.iter().any(|(name, _)| name == room)).collect();
    assert!(without.is_empty(), "no floor for {without:?}: add it to ROOMS");
}

/// The rules that a file of this text breaches, with their lines.
fn caught(path: &str, text: &str) -> Vec<(usize, String)> {
    let targets = ["local", "docker"].map(String::from).into();
    let text = format!("//! A file.\n{text}");
    let source = Source { path, text: &text, only_tests: false, targets: &targets };
    breaches(&source).into_iter().map(|b| (b.line, b.rule)).collect()
}

#[track_caller]
fn assert_caught(path: &str, text: &str, line: usize, part: &str) {
    let found = caught(path, text);
    assert!(
        found.len() == 1 && found[0].0 == line && found[0].1.contains(part),
        "wanted `{part}` in line {line} of {path}, found {found:?}"
    );
}

#[track_caller]
fn assert_passes(path: &str, text: &str) {
    assert_eq!(caught(path, text), [], "{path}");
}

#[test]
fn an_import_from_above_or_beside_is_caught() {
    assert_caught("src/check/a.rs", "use crate::plan::Plan;", 2, "imports `plan` (floor 4)");
    assert_caught("src/report/mod.rs", "use crate::scenario::X;", 2, "imports `scenario`");
    assert_caught("src/condition.rs", "use crate::store::X;", 2, "imports `store`");
    assert_caught("src/check/a.rs", "\nlet x = crate::drill::go();", 3, "imports `drill`");
    assert_caught("src/plan/a.rs", "use crate::{\n    history::A,\n};", 2, "one `use` a room");
    assert_caught("src/plan/a.rs", "use crate::{history::{A, B}, cli::C};", 2, "imports `cli`");
}

#[test]
fn an_import_from_below_passes() {
    assert_passes("src/check/a.rs", "use crate::history::Record;\nuse crate::check::Finding;");
    assert_passes("src/condition.rs", "use crate::inventory::NodeId;");
    assert_passes("src/store/a.rs", "use crate::history::{Call, Reply};");
    assert_passes("src/main.rs", "fn main() { crate::cli::main() }");
    assert_passes("src/check/a.rs", "/// Unlike `crate::plan::Plan`.\nstruct A; // crate::plan::B");
}

#[test]
fn a_target_that_knows_another_is_caught() {
    let text = "use crate::target::local::Local;";
    assert_caught("src/target/docker/mod.rs", text, 2, "target `docker` knows target `local`");
    assert_passes("src/target/local/node.rs", text);
    assert_passes("src/target/docker/mod.rs", "use crate::target::Target;");
}

#[test]
fn an_unwrap_is_caught_outside_tests_only() {
    assert_caught("src/plan/a.rs", "fn f() { x.unwrap(); }", 2, "`.unwrap()` outside tests");
    assert_caught("src/plan/a.rs", "fn f() { x.expect(\"y\"); }", 2, "`.expect(` outside tests");
    assert_caught("src/plan/a.rs", "fn f() { panic!(\"y\"); }", 2, "`panic!(` outside tests");
    assert_passes("src/plan/a.rs", "fn f() { x.unwrap_or_default(); }");
    let tests = "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap(); }\n}\n";
    assert_passes("src/plan/a.rs", tests);
    let behind = format!("{tests}fn g() {{ x.unwrap(); }}");
    assert_caught("src/plan/a.rs", &behind, 6, "`.unwrap()` outside tests");
    let declared = "#[cfg(test)]\nmod specimen;\nfn g() { x.unwrap(); }";
    assert_caught("src/plan/a.rs", declared, 4, "`.unwrap()` outside tests");
}

#[test]
fn a_file_that_only_tests_see_may_unwrap() {
    let declares = ("src/report/mod.rs".to_string(), "#[cfg(test)]\nmod specimen;\n".to_string());
    let only = only_for_tests(&[declares]);
    assert!(is_within("src/report/specimen.rs", &only));
    assert!(is_within("src/report/specimen/mod.rs", &only));
    assert!(!is_within("src/report/specimens.rs", &only));
}

#[test]
fn printing_is_caught_outside_cli() {
    assert_caught("src/drill/a.rs", "fn f() { println!(\"x\"); }", 2, "only cli prints");
    assert_caught("src/drill/a.rs", "fn f() { eprint!(\"x\"); }", 2, "only cli prints");
    assert_passes("src/cli/a.rs", "fn f() { eprintln!(\"x\"); }");
}

#[test]
fn unfinished_work_is_caught_even_in_tests() {
    for word in NOWHERE {
        let text = format!("#[cfg(test)]\nmod tests {{\n    fn f() {{ {word}) }}\n}}");
        assert_caught("src/plan/a.rs", &text, 4, "unfinished");
    }
}

#[test]
fn shapes_are_held() {
    let bare =
        Source { path: "src/a.rs", text: "use x;\n", only_tests: false, targets: &[].into() };
    assert!(breaches(&bare)[0].rule.contains("does not begin with `//!`"));
    assert_caught("src/plan/a.rs", &"fn f() {}\n".repeat(LINES_MAX), 501, "501 lines");
    assert_caught("src/plan/a.rs", &format!("const A: {} = 1;", "x".repeat(90)), 2, "104 columns");
    assert_passes("tests/a.rs", &format!("const A: {} = 1;", "x".repeat(90)));
    assert_caught("tests/a.rs", &format!("const A: {} = 1;", "x".repeat(240)), 2, "254 columns");
    assert_caught("src/plan/a.rs", &format!("// {}", "x".repeat(120)), 2, "123 columns");
    assert_caught("src/plan/helpers.rs", "", 1, "`helpers` says nothing");
    assert_caught("tests/common/mod.rs", "", 1, "`common` says nothing");
}

#[test]
fn paths_of_one_machine_are_caught_in_any_text() {
    let text = format!("fine\nsee /ro{}/x", "ot");
    assert_eq!(foreign_paths("docs/a.md", &text)[0].line, 2);
    assert_eq!(foreign_paths("docs/a.md", "/etc/hosts, /tmp/x, ./work"), []);
}
