//! The agent within a node, on a kernel with version 2 of control groups: a shell that is the first process of a
//! namespace and has a group of its own. What the kernel's files say while something is taken, that it is taken, and
//! that the files say the same as before afterwards.
//!
//! Only in the guest, which has `/cgroup` for itself, and a disk with the agent on it. Bounds are those that the
//! kernel promises: what is limited may be slower still.

use std::fs::{read_to_string, write};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use firedrill::agent::within::Limits;
use firedrill::agent::within::protocol::{Done, Measured, Order};
use firedrill::condition::{Disk, Load};
use firedrill::quantity::Ratio;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::lab::PATIENCE;

/// The agent, on the disk that is limited.
const AGENT: &str = "/disk/firedrill";
const FILES: [&str; 3] = ["cpu.max", "memory.max", "io.max"];
const BUSY: &str = "while :; do :; done";
const IDLE: &str = "while :; do sleep 1; done";

/// A node: a shell in a group and a process namespace of its own.
struct Node {
    group: PathBuf,
    /// Whoever made the namespace, and the node, as they are numbered outside.
    maker: Child,
    pid: u32,
}

impl Node {
    /// `None` elsewhere than in the guest.
    fn start(script: &str) -> Option<Node> {
        static NODES: AtomicU32 = AtomicU32::new(0);
        if std::env::var("FIREDRILL_TESTS_GROUPS").as_deref() != Ok("2") {
            println!("skipped: there is a `/cgroup` in the guest only");
            return None;
        }
        let group = PathBuf::from(format!("/cgroup/n{}", NODES.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&group).unwrap();
        let enter = format!(
            "echo $$ > {}/cgroup.procs; mkdir -p /full; exec unshare --pid --fork --mount-proc sh -c \
             'mount -t tmpfs -o size=8m full /full; {script}'",
            group.display()
        );
        let maker = Command::new("sh").args(["-c", &enter]).spawn().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", maker.id());
        let until = Instant::now() + PATIENCE;
        let pid = loop {
            let pid = read_to_string(&children).unwrap_or_default().trim().parse::<u32>();
            // It is the node once it has its file system.
            let full = |pid| read_to_string(format!("/proc/{pid}/mounts")).unwrap_or_default();
            match pid {
                Ok(pid) if full(pid).contains(" /full ") => break pid,
                _ => assert!(Instant::now() < until, "no node"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Some(Node { group, maker, pid })
    }

    fn says(&self, file: &str) -> String {
        read_to_string(self.group.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    /// A figure of a file that has one a line.
    fn figure(&self, file: &str, name: &str) -> u64 {
        let text = self.says(file);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// All that limits it, to the byte.
    fn limits(&self) -> [String; 3] {
        FILES.map(|file| self.says(file))
    }

    /// How many processors it computes on.
    fn computes(&self) -> f64 {
        let (began, before) = (Instant::now(), self.figure("cpu.stat", "usage_usec"));
        std::thread::sleep(Duration::from_secs(2));
        let used = self.figure("cpu.stat", "usage_usec") - before;
        used as f64 / began.elapsed().as_micros() as f64
    }

    /// A program of the node's own, that reads its disk past the cache; how long it took.
    fn reads(&self, bytes: u64) -> Duration {
        let groups = self.group.join("cgroup.procs");
        let line =
            format!("echo $$ > {}; exec {AGENT} agent-reads 65536 {bytes}", groups.display());
        let mut reader = Command::new("sh");
        let reader = reader.args(["-c", &line]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut reader = reader.spawn().unwrap();
        let mut input = reader.stdin.take().unwrap();
        let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
        // From its first answer on: before, it has to be there.
        input.write_all(b"go\n").unwrap();
        lines.next().unwrap().unwrap();
        let began = Instant::now();
        assert!(lines.count() > 1, "nothing is read");
        let took = began.elapsed();
        assert!(reader.wait().unwrap().success());
        took
    }

    fn agent(&self) -> Agent {
        let join =
            format!("--target {} --mount --pid -- {AGENT} agent-within --lease 10m", self.pid);
        let mut command = Command::new("nsenter");
        let command = command.args(join.split_whitespace()).stdin(Stdio::piped());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), process.stdout.take().unwrap());
        let mut agent = Agent { process, input, lines: BufReader::new(output).lines(), id: 0 };
        assert!(agent.line()["version"].is_string());
        agent
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_raw(self.pid as i32).unwrap(), Signal::KILL);
        let _ = self.maker.wait();
        let _ = std::fs::remove_dir(&self.group);
    }
}

struct Agent {
    process: Child,
    input: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    id: u64,
}

impl Agent {
    fn line(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("the agent ended").unwrap()).unwrap()
    }

    fn order(&mut self, order: Order) -> Result<Done, String> {
        self.id += 1;
        let line = json!({"id": self.id, "order": order});
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = self.line();
        assert_eq!(answer["id"], self.id);
        serde_json::from_value(answer["result"].take()).unwrap()
    }

    fn own_limits(&mut self) -> Limits {
        match self.order(Order::Limits) {
            Ok(Done::Limits(own)) => own,
            other => panic!("{other:?}"),
        }
    }

    fn load(&mut self, load: &Load, own: &Limits) -> Result<(), String> {
        let order = Order::Load { load: load.clone(), own: own.clone() };
        match self.order(order)? {
            Done::Held { lapses, .. } if lapses.is_empty() => Ok(()),
            other => panic!("{other:?}"),
        }
    }

    fn measure(&mut self) -> Measured {
        match self.order(Order::Measure { folders: Default::default() }) {
            Ok(Done::Measured(measured)) => measured,
            other => panic!("{other:?}"),
        }
    }

    /// Says nothing more; returns when it has ended.
    fn close(mut self) {
        self.input = None;
        assert!(self.process.wait().unwrap().success());
    }
}

fn load(limits: [&str; 4]) -> Load {
    let [cpus, memory, read, written] = limits;
    Load {
        cpu_limit: cpus.parse().ok(),
        memory_limit: memory.parse().ok(),
        read_limit: read.parse().ok(),
        write_limit: written.parse().ok(),
        ..Load::default()
    }
}

#[test]
fn limits_stand_in_the_kernels_files_and_are_given_back_to_the_byte() {
    let Some(node) = Node::start(IDLE) else { return };
    // One of its own, which is tighter in one part.
    write(node.group.join("cpu.max"), "40000 200000").unwrap();
    write(node.group.join("io.max"), "254:0 wbps=1000000").unwrap();
    let before = node.limits();
    let asked = load(["0.5", "64MiB", "1MiB/s", "2MiB/s"]);
    let expected =
        ["40000 200000\n", "67108864\n", "254:0 rbps=1048576 wbps=1000000 riops=max wiops=max\n"];
    for how in ["healed", "end of input", "killed, and given back by whoever is left"] {
        let mut agent = node.agent();
        let own = agent.own_limits();
        agent.load(&asked, &own).unwrap();
        assert_eq!(node.limits(), expected, "{how}");
        let measured = agent.measure();
        assert_eq!(measured.limits, measured.asked, "{how}");
        match how {
            "healed" => {
                agent.load(&Load::default(), &own).unwrap();
                assert_eq!(node.limits(), before, "{how}");
                agent.close();
            }
            "end of input" => agent.close(),
            _ => {
                // Its own process is a child of the one that joined the namespace.
                agent.process.kill().unwrap();
                let ended = agent.process.wait().unwrap();
                assert!(ended.signal().is_some(), "{ended}");
                node.give_back(&own);
            }
        }
        assert_eq!(node.limits(), before, "{how}");
    }
}

impl Node {
    /// What the watchdog has a helper do.
    fn give_back(&self, own: &Limits) {
        let mut helper = Command::new("nsenter");
        helper.args(["--target", &self.pid.to_string(), "--mount", "--pid", "--", AGENT]);
        helper.args(["agent-limits", &serde_json::to_string(own).unwrap(), "0"]);
        assert!(helper.status().unwrap().success());
    }
}

#[test]
fn a_quota_holds_a_busy_node_and_a_stress_beside_it() {
    let Some(node) = Node::start(BUSY) else { return };
    let free = node.computes();
    let mut agent = node.agent();
    let own = agent.own_limits();
    agent.load(&load(["0.2", "", "", ""]), &own).unwrap();
    let limited = node.computes();
    let stress = Load { cpu_workers: 2, cpu_share: Ratio::ALL, ..load(["0.2", "", "", ""]) };
    agent.load(&stress, &own).unwrap();
    let stressed = agent.measure().stress_cpus;
    let together = node.computes();
    println!(
        "computes on {free:.2}, limited {limited:.2}, with a stress {together:.2}, of it {stressed:?}"
    );
    // A quota is of each tenth of a second; there may be one more in the time than was measured.
    for computed in [limited, together] {
        assert!((0.02..0.25).contains(&computed), "{computed}");
    }
    assert!(stressed.is_some_and(|cpus| cpus < 0.3), "{stressed:?}");
    agent.load(&Load::default(), &own).unwrap();
    assert!(node.computes() > limited, "it computes again");
    agent.close();
}

#[test]
fn memory_is_held_within_the_nodes_group_and_a_limit_leaves_it_no_room() {
    let Some(node) = Node::start(IDLE) else { return };
    let mut agent = node.agent();
    let own = agent.own_limits();
    let held = |memory_limit: &str| Load {
        memory: "48MiB".parse().ok(),
        ..load(["", memory_limit, "", ""])
    };
    agent.load(&held(""), &own).unwrap();
    let current = node.says("memory.current").trim().parse::<u64>().unwrap();
    assert!(current >= 48 << 20, "{current} are charged to it");
    assert!(agent.measure().stress_memory >= Some(48 << 20));
    agent.load(&Load::default(), &own).unwrap();
    let killed = node.figure("memory.events", "oom_kill");
    let why = agent.load(&held("24MiB"), &own).unwrap_err();
    assert!(why.contains("leaves it no room"), "{why}");
    assert!(node.figure("memory.events", "oom_kill") > killed, "the kernel's own word");
    agent.load(&Load::default(), &own).unwrap();
    assert_eq!(node.says("memory.max"), "max\n");
    agent.close();
}

#[test]
fn a_disk_is_as_slow_as_asked_and_that_is_measured() {
    let Some(node) = Node::start(IDLE) else { return };
    let mut agent = node.agent();
    let own = agent.own_limits();
    let mebibyte = load(["", "", "1MiB/s", ""]);
    let free = node.reads(4 << 20);
    agent.load(&mebibyte, &own).unwrap();
    let limited = node.reads(2 << 20);
    let reads = agent.measure().reads.unwrap().unwrap();
    println!("4 MiB took {free:?}, 2 MiB limited {limited:?}; the agent: {}", reads.words());
    // The first read is not in it, and two slices of a tenth of a second may be let pass in advance.
    assert!(limited > Duration::from_millis(1500), "{limited:?}");
    assert!(reads.bytes > 0 && reads.is_within(mebibyte.read_limit.unwrap()), "{reads:?}");
    // What is measured is the node's own throughput: without its limit it is beyond it.
    write(node.group.join("io.max"), "254:0 rbps=max").unwrap();
    let seen: Vec<_> = (0..20)
        .map_while(|_| {
            let measured = agent.measure();
            assert_ne!(measured.limits, measured.asked);
            let reads = measured.reads.unwrap().unwrap();
            println!("without the limit: {}", reads.words());
            // A guest that has other things to do may be slow once.
            reads.is_within(mebibyte.read_limit.unwrap()).then_some(reads)
        })
        .collect();
    assert!(seen.len() < 20, "{seen:?}");
    agent.close();
}

#[test]
fn a_file_system_of_the_nodes_is_full_until_the_agent_ends() {
    let Some(node) = Node::start(IDLE) else { return };
    let file = PathBuf::from(format!("/proc/{}", node.pid)).join("root").join("full/one-more");
    let mut agent = node.agent();
    let full = [("/full".to_string(), "64MiB".parse().unwrap())].into();
    let Ok(Done::Held { rooms, .. }) = agent.order(Order::Disk(Disk { full })) else { panic!() };
    let room = rooms["/full"];
    assert!(room.refused && room.filled > 7 << 20, "{room:?}");
    assert!(write(&file, [1; 8192]).is_err(), "there is room");
    agent.close();
    write(&file, [1; 8192]).unwrap();
}
