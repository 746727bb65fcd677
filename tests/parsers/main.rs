//! No text makes a reader of histories panic, hang, or take memory that its length does not explain; what is refused
//! is refused in one line that says where. Valid histories of every format are cut, mutated, and made hostile, from a
//! seed.
//!
//! Each family of cases runs in a child process of this very test, whose memory is limited: so a hang is ended, and a
//! panic, a stack that overflows and memory that is refused name the case that led to them. `FIREDRILL_CASES=N` makes
//! more of the mutated ones.

mod contradictions;
mod mutate;
mod packed;
mod reading;
mod seeds;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use firedrill::check::Verdict;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use mutate::Chance;
use reading::{Came, Way};
use seeds::{Cut, SEEDS, Seed};

/// A case takes a few milliseconds. The machine may be busy.
const HANGS_AFTER: Duration = Duration::from_secs(30);

/// How much longer something may take because the machine does something else.
const HICCUP: Duration = Duration::from_secs(1);

/// What the child may take above what it has at first: what its readers keep for any history (buffers, tables), and
/// what a case of at most [`LONGEST`] bytes comes to.
const MEMORY: u64 = 128 << 20;

/// The same of what is packed: 256 MiB are read whatever the file's size, into a buffer that doubles.
const BOMB_MEMORY: u64 = 640 << 20;

/// The longest case, in bytes.
const LONGEST: usize = 300_000;

/// Address space is not memory: threads reserve more than they use.
const ADDRESSES: u64 = 4 << 30;

const FAMILY: &str = "FIREDRILL_PARSERS_FAMILY";
const FOLDER: &str = "FIREDRILL_PARSERS_FOLDER";

/// One text, how it is read, and what it was made from.
struct Case {
    name: &'static str,
    seed: Option<&'static Seed>,
    way: Way,
    text: Vec<u8>,
}

fn budget() -> u64 {
    std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(12_000)
}

/// All cases of a family.
fn cases(family: &str) -> Box<dyn Iterator<Item = Case>> {
    let of =
        |seed: &'static Seed, text| Case { name: seed.name, seed: Some(seed), way: seed.way, text };
    let alone = |(name, way, text)| Case { name, seed: None, way, text };
    match family {
        "cut" => Box::new(SEEDS.iter().flat_map(move |seed| {
            (0..=seed.text.len()).map(move |end| of(seed, seed.text.as_bytes()[..end].to_vec()))
        })),
        "shapes" => Box::new(SEEDS.iter().flat_map(move |seed| {
            mutate::shapes(seed.text.as_bytes()).map(move |text| of(seed, text))
        })),
        "numbers" => Box::new(SEEDS.iter().flat_map(move |seed| {
            mutate::numbers(seed.text.as_bytes()).map(move |text| of(seed, text))
        })),
        "mutated" => Box::new((0..budget()).map(move |n| {
            let mut chance = Chance(n);
            let seed = chance.of(SEEDS);
            // Now and then as something else than what it is.
            let way = match chance.below(8) {
                0 => chance.of(SEEDS).way,
                1 => seed.way.guessed(),
                _ => seed.way,
            };
            let other = chance.of(SEEDS).text.as_bytes();
            let mut text = mutate::mutated(&mut chance, seed.text.as_bytes(), other);
            text.truncate(LONGEST);
            Case { way, ..of(seed, text) }
        })),
        "bombs" => Box::new(packed::bombs().map(alone)),
        "long" => Box::new(mutate::long().map(alone)),
        other => panic!("{other}"),
    }
}

fn kib(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// Not a test by itself: it goes through the cases of a family, and says which one comes next.
#[test]
#[ignore = "the other tests start it"]
fn child() {
    let (Ok(family), Ok(folder)) = (std::env::var(FAMILY), std::env::var(FOLDER)) else { return };
    let limit = Rlimit { current: Some(ADDRESSES), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).unwrap();
    let path = Path::new(&folder).join("history");
    let (mut out, before, mut good) = (std::io::stdout(), kib("VmHWM"), Duration::ZERO);
    let most = if family == "bombs" { BOMB_MEMORY } else { MEMORY };
    for (n, Case { name, seed, way, text }) in cases(&family).enumerate() {
        std::fs::write(&path, &text).unwrap();
        writeln!(out, "case {n}, {name}, {way:?}").unwrap();
        out.flush().unwrap();
        let began = Instant::now();
        let came = reading::read(way, &path);
        let took = began.elapsed();
        match (family.as_str(), seed) {
            ("bombs", _) => bomb_is_refused(&came),
            ("cut", Some(seed)) => cut_is_seen(&came, seed, &text),
            ("long", _) if n % 2 == 0 => good = took,
            ("long", _) => {
                assert!(took < 5 * good + HICCUP, "{took:?}, in a good order {good:?}");
            }
            _ => {}
        }
        if family != "bombs" {
            refusal_is_clear(&came, &text, &path);
        }
        let grown = kib("VmHWM") - before;
        assert!(grown << 10 < most, "{grown} KiB for {} bytes", text.len());
    }
    writeln!(out, "went through").unwrap();
}

/// One line, not endless, with the place of what is wrong.
fn refusal_is_clear(came: &Came, text: &[u8], path: &Path) {
    let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
    match came {
        Came::Read(_) => {}
        Came::Wrong { line, told } => {
            assert!((1..=lines).contains(line), "line {line} of {lines}: {told}");
            let begin = format!("{}:{line}: ", path.display());
            assert!(told.starts_with(&begin) && told.len() > begin.len(), "{told}");
            assert!(!told.chars().any(char::is_control), "{told:?}");
            assert!(told.len() - begin.len() <= 500, "{} bytes: {told}", told.len());
        }
        // What is packed has no lines before it is unpacked.
        Came::Unreadable(told) => assert!(packed::is(text), "without a line: {told}"),
    }
}

/// Whichever is reached first: the bound of what is packed, or that of a line.
fn bomb_is_refused(came: &Came) {
    let told = match came {
        Came::Read(_) => panic!("it is read"),
        Came::Wrong { told, .. } | Came::Unreadable(told) => told,
    };
    let bounded = ["more than 200 times its size", "a line of more than"];
    assert!(bounded.iter().any(|words| told.contains(words)), "{told}");
}

/// What was cut is not taken for whole, where that can be told.
fn cut_is_seen(came: &Came, seed: &Seed, text: &[u8]) {
    let whole = seed.text.as_bytes();
    let rest = &whole[text.len()..];
    let line = text.iter().filter(|byte| **byte == b'\n').count() + 1;
    let within_line = !rest.trim_ascii_start().is_empty()
        && rest.first() != Some(&b'\n')
        && !matches!(text.last(), None | Some(b'\n'));
    let wrong = match came {
        Came::Wrong { line, .. } => Some(*line),
        _ => None,
    };
    match seed.cut {
        Cut::Bracket if !rest.trim_ascii().is_empty() && !text.is_empty() => {
            assert!(wrong.is_some(), "a bracket is missing, and it is read all the same");
        }
        Cut::Lines if within_line => assert_eq!(wrong, Some(line), "cut within a line"),
        _ => {}
    }
}

/// Runs a family to its end; says at which case it went wrong.
#[track_caller]
fn goes_through(family: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FAMILY, family)
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.path().join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let (tell, told) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)).ok()
    });
    let (mut last, mut went_through, mut count) = (String::new(), false, 0);
    let hangs = loop {
        match told.recv_timeout(HANGS_AFTER) {
            Ok(line) if line.starts_with("case ") => {
                last = line;
                count += 1;
            }
            Ok(line) => went_through |= line == "went through",
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    let _ = child.kill();
    let ended = child.wait().unwrap();
    let _ = reader.join();
    if hangs || !went_through {
        let read = |name| std::fs::read(folder.path().join(name)).unwrap_or_default();
        let (text, said) = (read("history"), read("stderr"));
        let (text, said) = (String::from_utf8_lossy(&text), String::from_utf8_lossy(&said));
        let begin: String = text.chars().take(1500).collect();
        let how = if hangs { "hangs".to_string() } else { ended.to_string() };
        panic!("{family}: {last}: {how}\n{said}\n{} bytes: {begin:?}", text.len());
    }
    println!("{family}: {count} cases");
}

#[test]
fn histories_cut_anywhere_are_refused_or_read() {
    goes_through("cut");
}

#[test]
fn hostile_shapes_are_refused_or_read() {
    goes_through("shapes");
}

#[test]
fn any_number_in_any_place_is_refused_or_read() {
    goes_through("numbers");
}

#[test]
fn mutated_histories_are_refused_or_read() {
    goes_through("mutated");
}

#[test]
fn the_order_of_a_long_history_costs_no_time_to_speak_of() {
    goes_through("long");
}

#[test]
fn what_unpacks_without_end_is_refused_in_bounded_memory() {
    goes_through("bombs");
}

#[test]
fn every_seed_is_a_valid_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    for seed in SEEDS {
        std::fs::write(&path, seed.text).unwrap();
        for way in [seed.way, seed.way.guessed()] {
            match reading::read(way, &path) {
                Came::Read(findings) => {
                    let has = |verdict| findings.iter().any(|f| f.verdict == verdict);
                    // What is no more than operations is judged as everything.
                    let fails = !matches!(way, Way::Operations(_)) && has(Verdict::Fail);
                    assert!(has(Verdict::Pass) && !fails, "{}, {way:?}: {findings:?}", seed.name);
                }
                Came::Wrong { told, .. } | Came::Unreadable(told) => {
                    panic!("{}: {told}", seed.name)
                }
            }
        }
    }
}
