//! Clock skew on real processes: they see it, it goes by itself, it leaves nothing, and it hurts no thread.

mod clocks;
mod runner;

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clocks::{Subject, can, clocks as program, installed, skewer, truth, vdso};
use firedrill::agent::within::clock::{Released, Skewer, Witness};
use firedrill::condition::ClockSkew;
use rustix::process::{Pid, Signal, kill_process};

/// Set for a process that is this very file, and does what `role` says.
const ROLE: &str = "FIREDRILL_CLOCK_ROLE";
const LONG: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(40);

fn skew(text: &str) -> ClockSkew {
    text.parse().unwrap()
}

fn hold(skewer: &Skewer, text: &str, lease: Duration) {
    let held = skewer.hold(skew(text), lease).unwrap();
    assert!(held.skewed > 0 && held.refused.is_empty(), "{held:?}");
}

fn release(skewer: &Skewer) -> usize {
    let Released { exact, inert, failed } = skewer.release(PATIENCE).unwrap();
    assert!(inert.is_empty() && failed.is_empty(), "{inert:?} {failed:?}");
    exact
}

/// Not a test: what a process of its own does.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.split_once(' ').unwrap() {
        // Holds what carries this mark, until it is killed.
        ("hold", mark) => loop {
            hold(&skewer(mark), "+1h", LEASE);
            println!("held");
            std::thread::sleep(Duration::from_millis(100));
        },
        // Holds everything but itself once, and says what it reads back.
        ("once", text) => {
            let skewer = Skewer::new("/proc", |_| true).unwrap();
            hold(&skewer, text, LONG);
            println!("measured {:?}", skewer.measure().unwrap());
        }
        _ => unreachable!("{role}"),
    }
}

const LEASE: Duration = Duration::from_secs(2);

fn as_role(role: &str) -> Vec<String> {
    let own = std::env::current_exe().unwrap().display().to_string();
    [&own, "--exact", "role", "--nocapture", "--quiet"]
        .map(String::from)
        .into_iter()
        .chain([role.into()])
        .take(5)
        .collect()
}

#[test]
fn every_way_of_reading_the_wall_clock_is_skewed_and_nothing_else() {
    if !can() {
        return;
    }
    for (mark, linked) in [("dynamic", &[][..]), ("static", &["-static"][..])] {
        let Some(program) = program(linked) else { return };
        let (mut subject, skewer) = (Subject::start(mark, program, &["ask"]), skewer(mark));
        subject.clocks("\n").are_off_by(0).unwrap();
        for text in ["+1h", "-10m", "+999999999ns", "-1ns", "-1s 1ns", "+10years 3h", "-9years"] {
            // 10 years of 365.25 days are too many; what is meant is the most.
            let text = text.replace("+10years 3h", "+3650days");
            hold(&skewer, &text, LONG);
            let clocks = subject.clocks("\n");
            clocks.are_off_by(skew(&text).nanoseconds()).unwrap();
            clocks.assert_manners();
            assert!(
                clocks.are_off_by(0).is_err() || text == "-1ns",
                "this test sees no skew of {text}"
            );
        }
        let readings = skewer.measure().unwrap();
        assert_eq!(
            (readings.len(), readings[0].pid, readings[0].patched),
            (1, subject.pid(), true)
        );
        assert_eq!(readings[0].offset, skew("-9years"));
        assert_eq!(release(&skewer), 1);
        let clocks = subject.clocks("\n");
        clocks.are_off_by(0).unwrap();
        clocks.assert_manners();
        subject.end();
    }
}

#[test]
fn a_release_leaves_every_byte_as_it_was() {
    if !can() {
        return;
    }
    let Some(program) = program(&[]) else { return };
    let (mut subject, skewer) = (Subject::start("exact", program, &["ask"]), skewer("exact"));
    subject.ask("\n");
    let before = vdso(subject.pid());
    for _ in 0..3 {
        hold(&skewer, "-1h", LONG);
        hold(&skewer, "+2h", LONG);
        let changed = vdso(subject.pid());
        assert_ne!(before, changed, "this test sees no change");
        assert_eq!(release(&skewer), 1);
        assert!(vdso(subject.pid()) == before, "bytes are left");
        assert_eq!(release(&skewer), 0, "nothing to do twice");
        let readings = skewer.measure().unwrap();
        assert!(readings.iter().all(|r| !r.patched && r.offset.is_none()), "{readings:?}");
    }
    subject.clocks("\n").are_off_by(0).unwrap();
}

#[test]
fn it_reverts_by_itself_within_the_lease_when_its_holder_is_killed() {
    if !can() {
        return;
    }
    let Some(program) = program(&[]) else { return };
    let mut subject = Subject::start("killed", program, &["ask"]);
    subject.ask("\n");
    let hour = skew("+1h").nanoseconds();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(&as_role("")[1..]).env(ROLE, "hold killed").stdout(Stdio::null());
    let mut holder = command.spawn().unwrap();
    runner::eventually("it is skewed", || subject.clocks("\n").are_off_by(hour));
    // Longer than a lease: it is renewed.
    std::thread::sleep(LEASE + LEASE / 2);
    subject.clocks("\n").are_off_by(hour).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let killed = Instant::now();
    let at_once = subject.clocks("\n").are_off_by(hour);
    // What is fast enough to ask before the last renewal runs out sees it still skewed: no clean-up reverted it.
    assert!(at_once.is_ok() || killed.elapsed() > LEASE / 2, "{at_once:?}");
    std::thread::sleep((killed + LEASE).saturating_duration_since(Instant::now()));
    let clocks = subject.clocks("\n");
    clocks.are_off_by(0).unwrap();
    clocks.assert_manners();
    // What is left of it goes with the next release, whoever calls it.
    assert_eq!(release(&skewer("killed")), 1);
}

#[test]
fn a_forked_child_is_renewed_and_reverts_and_a_program_executed_anew_is_reached_again() {
    if !can() {
        return;
    }
    let Some(program) = program(&[]) else { return };
    let (mut parent, skewer) = (Subject::start("forks", program, &["ask"]), skewer("forks"));
    let first = parent.clocks("\n").number("pid");
    hold(&skewer, "+1h", Duration::from_secs(3));
    let child = parent.clocks("fork\n");
    assert_ne!(child.number("pid"), first);
    child.are_off_by(skew("+1h").nanoseconds()).unwrap();
    // Parent and child have words of their own, and both are renewed.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(skewer.hold(skew("+2h"), Duration::from_secs(3)).unwrap().skewed, 2);
    std::thread::sleep(Duration::from_millis(2000));
    parent.clocks("\n").are_off_by(skew("+2h").nanoseconds()).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    parent.clocks("\n").are_off_by(0).unwrap();

    hold(&skewer, "-1h", LONG);
    parent.clocks("\n").are_off_by(skew("-1h").nanoseconds()).unwrap();
    parent.say("exec\n");
    let anew = parent.clocks("\n");
    anew.are_off_by(0).unwrap();
    assert_eq!(skewer.hold(skew("-1h"), LONG).unwrap().fresh, 1, "the program is new");
    parent.clocks("\n").are_off_by(skew("-1h").nanoseconds()).unwrap();
    assert_eq!(release(&skewer), 2);
    parent.clocks("\n").are_off_by(0).unwrap();
}

#[test]
fn processes_that_come_and_go_meanwhile_are_no_refusals() {
    if !can() {
        return;
    }
    let script = "while :; do /bin/true; (exec /bin/true) & wait; done";
    let (shell, skewer) =
        (Subject::start("come and go", "sh", &["-c", script]), skewer("come and go"));
    let mut most = 0;
    for _ in 0..400 {
        let held = skewer.hold(skew("+1h"), LONG).unwrap();
        assert_eq!(held.refused, [], "the shell, or a child of its");
        most = most.max(held.skewed);
        skewer.measure().unwrap();
    }
    assert!(most > 1, "no child was ever met");
    kill_process(Pid::from_raw(shell.pid() as i32).unwrap(), Signal::STOP).unwrap();
    // Whoever is stopped is released, too; and so is a child that is gone by then.
    let released = skewer.release(PATIENCE).unwrap();
    assert!(released.exact >= 1 && released.inert.is_empty(), "{released:?}");
}

#[test]
fn what_somebody_else_changed_is_refused_by_name_and_left_as_it_is() {
    if !can() {
        return;
    }
    let Some(program) = program(&[]) else { return };
    let (mut subject, skewer) = (Subject::start("foreign", program, &["ask"]), skewer("foreign"));
    subject.ask("\n");
    // The last byte of the last page: nobody executes or reads it.
    let at = vdso(subject.pid()).len() - 1;
    clocks::write_vdso(subject.pid(), at, 1);
    let changed = vdso(subject.pid());
    let held = skewer.hold(skew("+1h"), LONG).unwrap();
    assert_eq!((held.skewed, held.refused.len(), held.refused[0].pid), (0, 1, subject.pid()));
    assert!(held.refused[0].why.contains("changed by somebody else"), "{held:?}");
    assert_eq!(release(&skewer), 0);
    assert!(vdso(subject.pid()) == changed);
    subject.clocks("\n").are_off_by(0).unwrap();
    clocks::write_vdso(subject.pid(), at, 0);
    hold(&skewer, "+1h", LONG);
}

/// What the hammer counted: for each way of reading, `name=number`.
fn counted(lines: &[String], name: &str) -> Vec<u64> {
    let of = |line: &String| {
        let word = line.split(' ').find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        word.unwrap().parse().unwrap()
    };
    lines.iter().map(of).collect()
}

#[test]
fn threads_that_read_clocks_all_the_while_see_the_true_time_or_the_skewed_one() {
    if !can() {
        return;
    }
    for (mark, linked) in [("hammer", &[][..]), ("static hammer", &["-static"][..])] {
        let Some(program) = program(linked) else { return };
        let (text, arguments) = ("+1h 123456789ns", ["hammer", "3600", "123456789"]);
        let (mut subject, skewer) = (Subject::start(mark, program, &arguments), skewer(mark));
        assert_eq!(subject.hear(), "hammering");
        let before = vdso(subject.pid());
        for round in 0..300_u32 {
            hold(&skewer, text, LONG);
            if round % 3 == 0 {
                hold(&skewer, text, LONG); // renewed under load
            }
            std::thread::sleep(Duration::from_micros(u64::from(round % 7) * 300));
            // Now and then it is waited for threads to be seen elsewhere; then the stub itself goes.
            let patience = Duration::from_millis(if round % 20 == 0 { 30 } else { 0 });
            let released = skewer.release(patience).unwrap();
            assert!(released.failed.is_empty(), "{released:?}");
            std::thread::sleep(Duration::from_micros(u64::from(round % 5) * 300));
        }
        // Stopped threads are seen where they are. One that stands in the vDSO goes on for a moment, and is seen
        // elsewhere at another stop; then its bytes are its own again.
        let (pid, over) = (Pid::from_raw(subject.pid() as i32).unwrap(), AtomicBool::new(false));
        let released = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for (signal, ms) in [(Signal::STOP, 10), (Signal::CONT, 5)] {
                        kill_process(pid, signal).unwrap();
                        std::thread::sleep(Duration::from_millis(ms));
                    }
                }
            });
            let released = skewer.release(runner::PATIENCE);
            over.store(true, Ordering::Relaxed);
            released.unwrap()
        });
        assert!(released.inert.is_empty() && released.failed.is_empty(), "{released:?}");
        assert_eq!(vdso(subject.pid()), before);
        let lines = subject.end();
        println!("{mark}: {}", lines.join("\n"));
        assert_eq!(counted(&lines, "wrong"), [0; 4], "{lines:?}");
        assert_eq!(counted(&lines, "monotonic_wrong"), [0; 4], "{lines:?}");
        assert!(counted(&lines, "skewed").iter().all(|n| *n > 100), "no skew was seen: {lines:?}");
        let (readings, skewed) = (counted(&lines, "readings"), counted(&lines, "skewed"));
        assert!(readings.iter().zip(skewed).all(|(all, skewed)| *all > skewed), "{lines:?}");
    }
}

#[test]
fn a_hammer_that_is_told_another_offset_calls_it_wrong() {
    if !can() {
        return;
    }
    let Some(program) = program(&[]) else { return };
    let (mut subject, skewer) =
        (Subject::start("mistold", program, &["hammer", "3600", "0"]), skewer("mistold"));
    subject.hear();
    hold(&skewer, "+1h 2s", LONG);
    std::thread::sleep(Duration::from_millis(300));
    skewer.release(Duration::ZERO).unwrap();
    let lines = subject.end();
    assert!(counted(&lines, "wrong").iter().all(|n| *n > 0), "{lines:?}");
}

/// What `entry` relies on: the kernel's copy of eight bytes is one store for whoever reads them, within a cache line.
#[test]
fn a_word_is_written_whole() {
    if !can() {
        return;
    }
    let Some(program) = program(&[]) else { return };
    let torn =
        |at, size| counted(&Subject::start("word", &program, &["word", at, size]).end(), "torn")[0];
    for at in ["16", "5", "28", "56"] {
        assert_eq!(torn(at, "8"), 0, "at {at} of a cache line");
    }
    assert!(torn("16", "4") > 0, "this test does not see what is written in two halves");
}

#[test]
fn programs_of_all_sorts_are_skewed() {
    if !can() {
        return;
    }
    let seconds = |answer: &str| (answer.parse::<f64>().unwrap() * 1e9) as i64;
    let python = "import sys, time\nfor line in sys.stdin: print('%.9f' % time.time(), flush=True)";
    let perl =
        "use Time::HiRes; $| = 1; while (<STDIN>) { printf \"%.9f\\n\", Time::HiRes::time() }";
    let asked = [
        ("date", "stdbuf", vec!["-oL", "date", "-f", "-", "+%s.%N"]),
        ("python", "python3", vec!["-c", python]),
        ("perl", "perl", vec!["-e", perl]),
    ];
    for (mark, program, arguments) in asked {
        if !installed(program) {
            continue;
        }
        let (mut subject, skewer) = (Subject::start(mark, program, &arguments), skewer(mark));
        subject.ask("now\n");
        hold(&skewer, "-2h", LONG);
        let low = truth() + skew("-2h").nanoseconds();
        let said = seconds(&subject.ask("now\n"));
        let high = truth() + skew("-2h").nanoseconds();
        // A float of this size is good for a microsecond.
        assert!(
            said >= low - 2_000 && said <= high + 2_000,
            "{mark}: {said} is not in {low}..{high}"
        );
        release(&skewer);
        assert!(seconds(&subject.ask("now\n")) >= high, "{mark}");
    }
}

#[test]
fn etcd_which_is_of_go_logs_the_skewed_time() {
    if !can() || !installed("etcd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let [client, peer] = [&listener, &std::net::TcpListener::bind("127.0.0.1:0").unwrap()]
        .map(|l| format!("http://{}", l.local_addr().unwrap()));
    drop(listener);
    let mut etcd = Command::new("etcd");
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.args(["--initial-cluster", &format!("default={peer}"), "--logger", "zap"]);
    etcd.args(["--data-dir", "data"])
        .current_dir(folder.path())
        .stderr(File::create(&log).unwrap());
    etcd.env("FIREDRILL_CLOCK_TEST", "etcd");
    let subject = Subject::of(etcd);
    let said = || fs::read_to_string(&log).unwrap();
    runner::eventually("etcd is ready", || match said().contains("serving client traffic") {
        true => Ok(()),
        false => Err(said()),
    });
    let skewer = skewer("etcd");
    hold(&skewer, "+3h", LONG);
    let before = said().len();
    kill_process(Pid::from_raw(subject.pid() as i32).unwrap(), Signal::TERM).unwrap();
    runner::eventually("etcd says that it ends", || match said()[before..].contains("\"ts\":\"") {
        true => Ok(()),
        false => Err(said()[before..].to_string()),
    });
    let after = said()[before..].to_string();
    let stamp = after.split("\"ts\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let stamp: jiff::Timestamp = stamp.parse().unwrap();
    let ahead = (stamp.as_nanosecond() as i64 - truth() - skew("+3h").nanoseconds()).abs();
    assert!(ahead < PATIENCE.as_nanos() as i64, "{stamp} is not 3 h ahead");
}

#[test]
fn the_first_process_of_a_namespace_is_skewed_from_inside() {
    if !can() || !installed("unshare") || !rustix::process::getuid().is_root() {
        return;
    }
    let Some(program) = program(&[]) else { return };
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(program).arg("ask");
    let mut first = Subject::of(command);
    let clocks = first.clocks("\n");
    if clocks.number("pid") != 1 {
        panic!("{clocks:?}");
    }
    let children = format!("/proc/{0}/task/{0}/children", first.pid());
    let outside = fs::read_to_string(children).unwrap();
    let mut once = Command::new("nsenter");
    once.args(["--target", outside.trim(), "--pid", "--mount"])
        .args(as_role(""))
        .env(ROLE, "once -1h");
    let out = once.output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let said = String::from_utf8(out.stdout).unwrap();
    // Whoever holds is in the namespace too, and has left itself alone.
    assert!(
        said.contains("pid: 1, name: \"clocks") && said.matches("pid: ").count() == 1,
        "{said}"
    );
    first.clocks("\n").are_off_by(skew("-1h").nanoseconds()).unwrap();
}

#[test]
fn a_witness_measures_it_and_figures_of_cost() {
    if !can() {
        return;
    }
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.arg("clock-witness").env("FIREDRILL_CLOCK_TEST", "witness");
        Witness::start(command).unwrap()
    };
    let skewer = skewer("witness");
    let mut witness = start();
    witness.measure().unwrap();
    let hour = skew("+1h").nanoseconds();
    let mut errors = vec![];
    for _ in 0..200 {
        hold(&skewer, "+1h", LONG);
        let measured = witness.measure().unwrap();
        let error = (measured.wall - hour).unsigned_abs();
        assert!(Duration::from_nanos(error) <= measured.width, "{measured:?}");
        assert!(
            Duration::from_nanos(measured.monotonic.unsigned_abs()) <= measured.width,
            "{measured:?}"
        );
        errors.push((error, measured.width));
    }
    errors.sort();
    release(&skewer);
    let (mut patched, mut renewed) = (vec![], vec![]);
    for _ in 0..100 {
        // Only this process is asked for: what is measured is not the length of the machine's process list.
        let pid = witness.pid();
        let skewer = Skewer::new("/proc", move |other| other == pid).unwrap();
        let began = Instant::now();
        hold(&skewer, "+1h", LONG);
        patched.push(began.elapsed());
        let began = Instant::now();
        hold(&skewer, "+1h", LONG);
        renewed.push(began.elapsed());
        release(&skewer);
    }
    patched.sort();
    renewed.sort();
    let program = program(&[]);
    let mut subject = program.map(|program| Subject::start("width", program, &["ask"]));
    let width = subject.as_mut().map(|subject| {
        let mut widths: Vec<i64> = (0..100).map(|_| subject.clocks("\n").width()).collect();
        widths.sort();
        widths[50]
    });
    println!("from one system call to the next around a reading: median {width:?} ns");
    println!("error: median {} ns, asked in {:?}", errors[100].0, errors[100].1);
    println!(
        "one process: reached in {:?}, renewed in {:?} (medians of 100)",
        patched[50], renewed[50]
    );
}
