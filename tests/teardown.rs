//! The scenario's teardown is run, and run once, whatever ends the drill; and no command of set-up outlives a
//! runner that is killed.

mod runner;

use runner::{Home, SHORT, eventually, exists, with_faults};
use rustix::process::Signal;

/// Writes a line each time that it runs, and runs only where the fault is healed already.
const TEARDOWN: &str = "teardown: [{run: [sh, -c, 'test ! -e own-fault && echo torn >> torn-down && rm -f set-up']}]\n";

const OWN_FAULT: &str = r#"
  - at: 1s
    for: 60s
    inject:
      command:
        inject: [touch, own-fault]
        prove: [test, -e, own-fault]
        heal: [rm, -f, own-fault]
"#;

/// Run once, nothing is left, and nothing more is to be done.
fn assert_torn_down_once(home: &Home) {
    home.assert_nothing_left();
    assert!(!home.path("set-up").exists());
    assert_eq!(home.read("torn-down"), "torn\n");
    home.run("heal").expect(0, &["nothing to heal"]);
    assert_eq!(home.read("torn-down"), "torn\n");
}

#[test]
fn a_runner_killed_in_set_up_leaves_no_command_and_the_watchdog_tears_down() {
    let home = Home::new();
    let set_up = "setup: [{run: [touch, set-up]}, {run: [sleep, '600'], timeout: 1h}]\n";
    home.write("s.yaml", &format!("{SHORT}{set_up}{TEARDOWN}"));
    let mut drill = home.start("run s.yaml");
    drill.wait_for("setup: sleep 600");
    eventually("the command runs", || {
        let sleeps = home.processes().iter().any(|(_, command)| command.starts_with("sleep 600"));
        if sleeps { Ok(()) } else { Err("no sleep".into()) }
    });
    drill.signal(Signal::KILL);
    drill.end();
    assert_torn_down_once(&home);
}

#[test]
fn a_runner_killed_in_mid_drill_is_healed_first_and_then_torn_down_with_the_daemon_of_its_set_up() {
    let home = Home::new();
    let set_up = "setup: [{run: [sh, -c, 'touch set-up; sleep 600 & echo $! > daemon']}]\n";
    let teardown = TEARDOWN.replace("test !", "kill $(cat daemon) && test !");
    let scenario = with_faults(OWN_FAULT).replace("duration: 3s", "duration: 2m");
    home.write("s.yaml", &format!("{scenario}{set_up}{teardown}"));
    let mut drill = home.start("run s.yaml");
    drill.wait_for("fault 1: injected");
    assert!(home.path("own-fault").exists() && !home.path("torn-down").exists());
    home.process("sleep 600");
    drill.signal(Signal::KILL);
    drill.end();
    assert_torn_down_once(&home);
}

#[test]
fn heal_tears_down_where_the_watchdog_could_not() {
    let home = Home::new();
    let set_up = "setup: [{run: [touch, set-up]}, {run: [sleep, '600'], timeout: 1h}]\n";
    home.write("s.yaml", &format!("{SHORT}{set_up}{TEARDOWN}"));
    let mut drill = home.start("run s.yaml");
    drill.wait_for("setup: sleep 600");
    rustix::process::kill_process(home.process(" watchdog "), Signal::KILL).unwrap();
    drill.signal(Signal::KILL);
    drill.end();
    eventually("the command dies", || match &home.processes()[..] {
        [] => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert!(home.path("set-up").exists() && !home.path("torn-down").exists());
    home.run("heal").expect(0, &["ran sh -c ", "healed"]);
    assert_torn_down_once(&home);
}

#[test]
fn a_drill_that_ends_by_itself_tears_down_once_and_so_does_one_that_is_interrupted_in_set_up() {
    let home = Home::new();
    let set_up = "setup: [{run: [touch, set-up]}]\n";
    home.write("s.yaml", &format!("{SHORT}{set_up}{TEARDOWN}"));
    let ran = home.run("run s.yaml");
    // Whether a busy machine got enough work done is not asked here.
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    assert_torn_down_once(&home);

    let home = Home::new();
    let set_up = "setup: [{run: [touch, set-up]}, {run: [sleep, '600'], timeout: 1h}]\n";
    home.write("s.yaml", &format!("{SHORT}{set_up}{TEARDOWN}"));
    let mut drill = home.start("run s.yaml");
    drill.wait_for("setup: sleep 600").signal(Signal::INT);
    drill.end().expect(3, &["interrupted"]);
    assert_torn_down_once(&home);
}

#[test]
fn a_teardown_that_fails_is_left_for_heal_and_keeps_the_others_from_nothing() {
    let home = Home::new();
    let set_up = "setup: [{run: [no-such-setup]}]\n";
    let fails = "sh, -c, 'echo tried >> tried; test -e granted || { echo no right; exit 7; }'";
    let teardown = TEARDOWN.replace("[{run", &format!("[{{run: [{fails}]}}, {{run"));
    home.write("s.yaml", &format!("{SHORT}{set_up}{teardown}"));
    let words = ["NOT RESTORED", "`no-such-setup` could not be started", "exit code 7", "no right"];
    home.run("run s.yaml").expect(4, &words);
    assert_eq!((home.read("tried"), home.read("torn-down")), ("tried\n".into(), "torn\n".into()));
    home.assert_nothing_left();
    home.write("granted", "");
    let run = home.the_run();
    home.run(&format!("heal {}", run.display())).expect(0, &["ran sh -c 'echo tried", "healed"]);
    assert_eq!(home.read("tried"), "tried\ntried\n");
    assert_torn_down_once(&home);
}

#[test]
fn a_second_ctrl_c_leaves_the_teardown_to_the_watchdog() {
    let home = Home::new();
    let set_up = "setup: [{run: [sleep, '600'], timeout: 1h}]\n";
    let hangs =
        "sh, -c, 'if [ -e once ]; then echo torn >> torn-down; else touch once; sleep 600; fi'";
    home.write("s.yaml", &format!("{SHORT}{set_up}teardown: [{{run: [{hangs}]}}]\n"));
    let mut drill = home.start("run s.yaml");
    drill.wait_for("setup: sleep 600").signal(Signal::INT);
    eventually("the teardown runs", || exists(&home.path("once")));
    drill.signal(Signal::INT);
    drill.end().expect(4, &["NOT RESTORED", "(not waited for), which the watchdog tries again"]);
    eventually("the watchdog tears down", || exists(&home.path("torn-down")));
    assert_torn_down_once(&home);
}
