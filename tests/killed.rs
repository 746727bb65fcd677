//! Nothing is left behind, fault by fault and instant by instant: the runner, or an agent, is killed by SIGKILL before,
//! while and after something is injected or healed, on a Docker engine and in a cluster. Both wait more than they work:
//! so they are one program, and go on side by side.

mod containers;
#[path = "killed/docker.rs"]
mod docker;
mod lab;
#[path = "killed/pods.rs"]
mod pods;
mod runner;

use std::thread;
use std::time::{Duration, Instant};

use runner::{Going, Home, PATIENCE};

/// Starts drills until one has said this. A busy machine may keep the system from its steady state: then nothing was
/// injected, and it is tried again.
fn drill_until(home: &Home, said: &str, start: impl Fn() -> Going) -> Going {
    for _ in 0..10 {
        let mut drill = start();
        let began = Instant::now();
        while !drill.said().contains(said) {
            assert!(began.elapsed() < 2 * PATIENCE, "no `{said}`: {}", drill.said());
            if drill.child.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        if drill.said().contains(said) {
            return drill;
        }
        let why = drill.said();
        assert!(why.contains("steady state NOT reached"), "no `{said}`: {why}");
        std::fs::remove_dir_all(home.path("reports")).unwrap();
    }
    panic!("this machine is too busy: the steady state was never reached");
}
