//! The listing says what its bytes do; functions of real kernels are diverted where it is safe; a broken stub is seen.

use std::process::Command;

use iced_x86::{Formatter, IntelFormatter};

use super::entry::{Site, site};
use super::stub::columns;
use super::*;
use crate::condition::ClockSkew;

const ROLE: &str = "FIREDRILL_CLOCK_ROLE";

/// Whether clocks can be skewed here. Says so if not; in CI that is an error.
fn can() -> bool {
    let can = cfg!(target_arch = "x86_64");
    assert!(can || std::env::var("CI").as_deref() != Ok("true"), "CI must be x86_64");
    if !can {
        println!("skipped: clocks can be skewed on x86_64 only");
    }
    can
}

/// Each line of the listing, with what its bytes say.
fn decoded() -> Vec<(String, String)> {
    let (mut formatter, mut at) = (IntelFormatter::new(), 0xb0);
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    options.set_space_after_operand_separator(true);
    let mut lines = vec![];
    for line in include_str!("stub.lst").lines() {
        let Some((bytes, _)) = columns(line) else { continue };
        let bytes: Vec<u8> = bytes
            .split(' ')
            .filter(|b| !b.is_empty())
            .map(|b| u8::from_str_radix(b, 16).unwrap())
            .collect();
        let range = 0..bytes.len();
        let mut decoder = iced_x86::Decoder::with_ip(64, &bytes[range], at, 0);
        let mut text = String::new();
        formatter.format(&decoder.decode(), &mut text);
        assert!(!decoder.can_decode(), "more than one instruction: {line}");
        at += bytes.len() as u64;
        lines.push((line.to_string(), text));
    }
    lines
}

#[test]
fn each_line_of_the_listing_says_what_its_bytes_do() {
    let mut at = 0xb0;
    for (line, text) in decoded() {
        assert!(line.trim_start().starts_with(&format!("{at:x}  ")), "not at {at:x}: {line}");
        let (bytes, words) = columns(&line).unwrap();
        assert_eq!(words, text, "{line}");
        at += bytes.split(' ').filter(|b| !b.is_empty()).count();
    }
    assert!(at <= 0x1d0, "the listing runs into what follows it");
}

/// An image in which a function begins at `start` with these bytes, and returns behind them.
fn image(start: usize, code: &[u8]) -> (Vec<u8>, std::ops::Range<usize>) {
    let mut image = vec![0xcc; start];
    image.extend(code);
    image.push(0xc3);
    let function = start..image.len();
    image.resize(start + 256, 0xcc);
    (image, function)
}

fn site_of(start: usize, hex: &str) -> Option<Site> {
    let code: Vec<u8> =
        hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    let (image, function) = image(start, &code);
    site(&image, &(0..image.len()), &function)
}

/// Entries of Linux 6.18 (gcc 14), Debian's 6.1 and 6.12 (gcc 12): as far as they are looked at.
const CLOCK_GETTIME_6_18: &str =
    "55 48 89 e5 41 56 53 48 83 e4 f0 48 83 ec 10 83 ff 17 0f 87 d2 00 00 00 b8 01 00 00 00";
const GETTIMEOFDAY_6_18: &str =
    "55 4c 8d 15 e8 97 ff ff 48 89 e5 48 83 e4 f0 48 83 ec 10 48 85 ff 0f 84 91 00 00 00";
const TIME_6_18: &str = "81 3d 3a 95 ff ff ff ff ff 7f 48 8d 05 2f a5 ff ff";
const CLOCK_GETTIME_6_12: &str = "f3 0f 1e fa 55 48 89 e5 41 57 41 56 41 55 41 54 53 48 63 df 48 83 e4 f0 48 83 ec 10 83 fb 0f 0f 87 cc 00 00 00 b8 01 00 00 00 89 d9 4c 8d 15 6d b4 ff ff d3 e0";
const TIME_6_12: &str =
    "f3 0f 1e fa 48 8d 05 c5 e4 ff ff 48 8d 15 be b4 ff ff 81 3d b8 b4 ff ff ff ff ff 7f";
const CLOCK_GETTIME_6_1: &str =
    "55 48 89 e5 41 55 41 54 49 89 f4 53 48 63 df 83 fb 0f 0f 87 a5 00 00 00 b8 01 00 00 00";
const GETTIMEOFDAY_6_1: &str =
    "55 49 89 fa 49 89 f3 48 89 e5 41 54 4c 8d 25 ed b8 ff ff 53 48 85 ff 0f 84 93 00 00 00";

#[test]
fn functions_of_real_kernels_are_diverted_within_one_instruction_and_one_block() {
    // Where, the word that is written, the instruction's end: read off objdump by hand.
    let found = |start, code| site_of(start, code).map(|s| (s.at, s.word, s.end));
    assert_eq!(found(0xaf0, CLOCK_GETTIME_6_18), Some((0xb02, 0xb00, 0xb08)));
    assert_eq!(found(0x810, GETTIMEOFDAY_6_18), Some((0x811, 0x810, 0x818)));
    assert_eq!(found(0xac0, TIME_6_18), Some((0xac0, 0xac0, 0xaca)));
    // The branch at 0xbff lies in two blocks; what follows it in one, though in no aligned word.
    assert_eq!(found(0xbe0, CLOCK_GETTIME_6_12), Some((0xc05, 0xc05, 0xc0a)));
    assert_eq!(found(0xbb0, TIME_6_12), Some((0xbbb, 0xbb8, 0xbc2)));
    assert_eq!(found(0x960, CLOCK_GETTIME_6_1), Some((0x972, 0x970, 0x978)));
    assert_eq!(found(0x780, GETTIMEOFDAY_6_1), Some((0x797, 0x797, 0x79d)));
}

#[test]
fn what_was_done_before_the_jump_is_undone() {
    let undo = |start, code| site_of(start, code).unwrap().undo;
    assert!(undo(0xac0, TIME_6_18).is_empty());
    assert_eq!(undo(0x810, GETTIMEOFDAY_6_18), [0x5d]); // pop rbp
    // mov r14, [rbp-8]; mov rbx, [rbp-16]; leave
    let frame = [0x4c, 0x8b, 0x75, 0xf8, 0x48, 0x8b, 0x5d, 0xf0, 0xc9];
    assert_eq!(undo(0xaf0, CLOCK_GETTIME_6_18), frame);
    // push r12; push rbp; mov rbp, rsp; push rbx; mov eax, 1: what was pushed before the frame lies above it
    let above = undo(0x100, "41 54 55 48 89 e5 53 90 b8 01 00 00 00");
    assert_eq!(
        above,
        [0x4c, 0x8b, 0x65, 8, 0x48, 0x8b, 0x5d, 0xf8, 0xc9, 0x48, 0x8d, 0x64, 0x24, 8]
    );
}

#[test]
fn what_cannot_be_undone_is_refused() {
    let mov = "b8 01 00 00 00"; // mov eax, 1: would do
    let refused = |before: &str| site_of(0x100, &format!("{before} {mov}")).is_none();
    assert!(!refused("90"));
    assert!(refused("89 f7"), "an argument is overwritten: mov edi, esi");
    assert!(refused("48 89 f3"), "a register of the caller's is lost: mov rbx, rsi");
    assert!(!refused("53 48 89 f3"), "it is saved");
    assert!(refused("48 83 ec 08"), "the stack is moved without a frame: sub rsp, 8");
    assert!(refused("48 89 06"), "memory is changed: mov [rsi], rax");
    assert!(refused("c3"), "behind a return");
    assert!(
        refused("83 ff 01 74 10"),
        "behind a branch that only some clocks take: cmp edi, 1; je"
    );
    assert!(refused("83 ff 05 77 10"), "so too: cmp edi, 5; ja");
    assert!(!refused("83 ff 17 77 10"), "behind one that no wall clock takes: cmp edi, 23; ja");
    assert!(refused("0f 05"), "behind a system call");
    assert!(site_of(0x100, "90 90 90 90 89 d0 90").is_none(), "no instruction is long enough");
    assert!(site_of(0x13e, mov).is_none(), "in two blocks");
    assert!(site_of(0x12e, mov).is_none(), "so too, though in one cache line");
    assert!(site_of(0x13b, mov).is_some());
}

#[test]
fn an_instruction_that_is_jumped_to_is_refused() {
    assert!(site_of(0x100, "90 b8 01 00 00 00 90 90").is_some());
    assert!(site_of(0x100, "90 b8 01 00 00 00 eb f9").is_none(), "a loop's head: jmp to the mov");
    assert!(
        site_of(0x100, "90 b8 01 00 00 00 eb f7").is_some(),
        "a jump to the entry itself is one more call"
    );
}

#[test]
fn a_changed_byte_anywhere_makes_an_image_somebody_elses() {
    if !can() {
        return;
    }
    let vdso = own_vdso().unwrap();
    let stub = Stub::new(&vdso).unwrap();
    let skew: ClockSkew = "-1h 1ns".parse().unwrap();
    let mut image = vdso.bytes.clone();
    assert_eq!(stub.state(&vdso, &image), State::Pristine);
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(stub.base, &stub.bytes);
    for (at, bytes) in stub.words(0, skew, 7) {
        put(at, &bytes);
    }
    for switch in &stub.switches {
        put(switch.at, &switch.diverted);
    }
    let ours = State::Ours { diverted: 3, turn: 1, offset: skew, deadline: 7 };
    assert_eq!(stub.state(&vdso, &image), ours);
    let words = stub.base + 8..stub.base + 0xa0;
    for at in (0..image.len()).filter(|at| !words.contains(at)) {
        let mut changed = image.clone();
        changed[at] ^= 1;
        assert_eq!(stub.state(&vdso, &changed), State::Foreign, "byte {at:#x}");
    }
    let mut unfinished = vdso.bytes.clone();
    unfinished[stub.base + 20] = 1;
    assert_eq!(stub.state(&vdso, &unfinished), State::Unfinished);
}

/// In a process of its own: a witness, as `firedrill clock-witness` is.
#[test]
fn role() {
    if std::env::var(ROLE).is_ok() {
        testify(std::io::stdin().lock(), std::io::stdout().lock()).unwrap();
    }
}

fn witness() -> Witness {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let arguments = ["--exact", "agent::within::clock::tests::role", "--nocapture", "--quiet"];
    Witness::start({
        command.args(arguments).env(ROLE, "witness");
        command
    })
    .unwrap()
}

/// The first oddity of a process under the stub of this listing: its offset must be right, and its answers normalised.
fn oddity(listing: &str) -> Option<String> {
    let mut witness = witness();
    witness.measure().unwrap(); // it runs, and has its clock
    let (pid, vdso) = (witness.pid(), own_vdso().unwrap());
    let stub = Stub::of_listing(&vdso, listing).unwrap();
    let skewer =
        Skewer { proc: "/proc".into(), whom: Box::new(move |other| other == pid), vdso, stub };
    // The nearer the rest is to a second, the more often the sum is above it.
    for text in ["+1h 999ms 999us 999ns", "-1h 1ns"] {
        let skew: ClockSkew = text.parse().unwrap();
        let held = skewer.hold(skew, Duration::from_secs(60)).unwrap();
        assert_eq!((held.skewed, held.refused), (1, vec![]));
        for _ in 0..20 {
            let measured = match witness.measure() {
                Ok(measured) => measured,
                Err(e) => return Some(e.to_string()),
            };
            let off = measured.wall - skew.nanoseconds();
            if Duration::from_nanos(off.unsigned_abs()) > measured.width {
                return Some(format!("off by {off} ns of {text}"));
            }
        }
    }
    None
}

#[test]
fn the_stub_is_right_and_one_that_is_broken_is_seen() {
    if !can() {
        return;
    }
    let listing = include_str!("stub.lst");
    assert_eq!(oddity(listing), None);
    let broken = [
        ("nanoseconds are not carried", "72 0b ", "eb 0b "),
        ("the seconds are not added", "48 03 13", "48 8b 13"),
        ("the deadline is turned round", "73 2b ", "72 2b "),
    ];
    for (what, right, wrong) in broken {
        assert_eq!(listing.matches(right).count(), 1, "{right}");
        let seen = oddity(&listing.replace(right, wrong));
        assert!(seen.is_some(), "a stub was let pass in which {what}");
        println!("{what}: {}", seen.unwrap());
    }
}

#[test]
fn where_processes_cannot_be_seen_it_says_so() {
    if !can() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let skewer = Skewer::new(folder.path().join("none"), |_| true).unwrap();
    let error = skewer.hold("1s".parse().unwrap(), Duration::from_secs(1)).unwrap_err().to_string();
    assert!(error.contains("none cannot be read") && error.contains("procfs"), "{error}");
}
