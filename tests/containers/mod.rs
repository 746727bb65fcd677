//! Real containers of the embedded store at a real engine: three nodes in three zones, each with a network address of
//! its own. Where no engine answers, tests say so; in CI that is an error.
#![allow(dead_code)] // each test file uses its part of it

pub mod lone;
pub mod own;

use std::cell::RefCell;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::runner::{Home, eventually};

/// The image of the nodes: firedrill itself.
pub const IMAGE: &str = "firedrill/store-of-tests";

thread_local! {
    /// What tells Docker's client, and firedrill, which engine this thread's test works with.
    static ENGINE: RefCell<Vec<(String, String)>> = const { RefCell::new(vec![]) };
}

/// A command that speaks to the engine of this thread's test.
fn at_engine(program: &str) -> Command {
    let mut command = Command::new(program);
    command.envs(ENGINE.with_borrow(Clone::clone));
    command
}

/// Whether there is an engine to test with.
pub fn engine() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    let answers = *ANSWERS.get_or_init(|| {
        let mut version = Command::new("docker");
        version.args(["version", "--format", "{{.Server.Version}}"]);
        let answers = version.output().is_ok_and(|out| out.status.success());
        if answers {
            make_image();
        }
        answers
    });
    if !answers {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have a Docker engine");
        println!("skipped: no Docker engine answers");
    }
    answers
}

pub fn docker(arguments: &str) -> String {
    let out = try_docker(arguments);
    assert!(out.status.success(), "docker {arguments}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_string()
}

pub fn try_docker(arguments: &str) -> Output {
    at_engine("docker").args(arguments.split_whitespace()).output().unwrap()
}

fn make_image() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_firedrill")).unwrap();
    let mut archive = tar::Builder::new(vec![]);
    let mut header = tar::Header::new_gnu();
    header.set_size(binary.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, "firedrill", &binary[..]).unwrap();
    let mut import = at_engine("docker");
    import.args(["import", "--change", r#"ENTRYPOINT ["/firedrill"]"#, "-", IMAGE]);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&archive.into_inner().unwrap()).unwrap();
    assert!(import.wait().unwrap().success());
}

/// Whether a connect succeeds: of a process's network, or from here.
fn connects(from: Option<&str>, address: &str, port: u16) -> bool {
    connect(from, address, port).status.success()
}

fn connect(from: Option<&str>, address: &str, port: u16) -> Output {
    let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
    let mut argv: Vec<&str> = match from {
        Some(pid) => vec!["nsenter", "--target", pid, "--net"],
        None => vec![],
    };
    argv.extend(["timeout", "1", "bash", "-c", &connect]);
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).output().unwrap()
}

/// A Compose project of three nodes in a home, with a network that no other test has.
#[derive(Debug)]
pub struct Nodes {
    pub home: Home,
    /// The project's name, where the test brought it up itself.
    project: Option<String>,
}

impl Nodes {
    /// The Compose file, and nothing that runs. `more`: what each service has besides.
    pub fn planned(more: &str) -> Nodes {
        // By chance: several test binaries may be at one engine.
        let part = || rand::random_range(1..=250u8);
        let network = format!("10.{}.{}", part(), part());
        let address = |n: usize| format!("{network}.{}", 10 + n);
        let members =
            (1..=3).map(|n| format!("n{n}={}:7001", address(n))).collect::<Vec<_>>().join(",");
        let mut text = "version: '2.4'\nservices:\n".to_string();
        for n in 1..=3 {
            let own = address(n);
            text += &format!(
                "  n{n}:\n    image: {IMAGE}\n    labels: {{dc: dc{n}}}\n    networks: {{members: \
                 {{ipv4_address: {own}}}}}\n    command: [store, --name, n{n}, --listen-client, \
                 '{own}:7000', --listen-peer, '{own}:7001', --member, '{members}', --data, /data]\n{more}"
            );
        }
        text +=
            &format!("networks:\n  members:\n    ipam: {{config: [{{subnet: {network}.0/24}}]}}\n");
        let home = Home::new();
        home.write("compose.yaml", &text);
        Nodes { home, project: None }
    }

    /// As they run already, and speak among themselves over IPv6 alone.
    pub fn speaking_ipv6() -> Nodes {
        let nodes = Nodes::planned("");
        let part = || rand::random_range(0x1000..=0xffff_u16);
        let (net, text) =
            (format!("fd0f:{:x}:{:x}:1", part(), part()), nodes.home.read("compose.yaml"));
        let (v4, text) =
            (text.split("subnet: ").nth(1).unwrap().split(".0/24").next().unwrap(), &text);
        let mut text =
            text.replace("members:\n    ipam", "members:\n    enable_ipv6: true\n    ipam");
        text = text.replace(".0/24}", &format!(".0/24}}, {{subnet: '{net}::/64'}}"));
        for n in 1..=3 {
            let (own, new) = (format!("{v4}.{}", 10 + n), format!("[{net}::1{n}]"));
            text = text.replace(&format!("n{n}={own}:7001"), &format!("n{n}={new}:7001"));
            text = text.replace(&format!("'{own}:700"), "'[::]:700");
            let v6 = format!("ipv4_address: {own}, ipv6_address: '{net}::1{n}'}}");
            text = text.replace(&format!("ipv4_address: {own}}}"), &v6);
        }
        nodes.home.write("compose.yaml", &text);
        nodes.brought_up()
    }

    /// The nodes as they run already, not of the drill's making.
    pub fn running(more: &str) -> Nodes {
        Nodes::planned(more).brought_up()
    }

    fn brought_up(self) -> Nodes {
        let mut nodes = self;
        let project = format!("tested-{:08x}", rand::random::<u32>());
        nodes.compose(&project, "up --detach");
        nodes.project = Some(project);
        nodes
    }

    fn compose(&self, project: &str, arguments: &str) {
        let old = Command::new("docker-compose").arg("version").output().is_ok();
        let mut command = at_engine(if old { "docker-compose" } else { "docker" });
        command.args((!old).then_some("compose"));
        command.args(["--project-name", project]).args(arguments.split_whitespace());
        let out = command.current_dir(self.home.path(".")).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// What a scenario says of them.
    pub fn target(&self) -> String {
        match &self.project {
            None => "docker: {compose: compose.yaml, zone_label: dc, ports: {client: 7000}}".into(),
            Some(project) => {
                format!("docker: {{project: {project}, zone_label: dc, ports: {{client: 7000}}}}")
            }
        }
    }

    /// A scenario of these faults, each on one node, that injects early and asks little of the nodes before: for
    /// drills that are killed, and tell nothing of how the nodes fare.
    pub fn brief_scenario(&self, faults: &str) {
        let target = self.target();
        self.home.write(
            "s.yaml",
            &format!(
                "name: brief\ntarget: {{{target}}}\nlease: 2s\nworkload: {{client: store, model: register, \
                 workers: 20, rate: 50/s, keys: 5, timeout: 500ms}}\nsteady_state: {{window: 500ms, \
                 success: 1%, rate: 1%}}\nrecover: 1s\nfaults:\n{faults}checks: [{{availability: {{at_least: \
                 1%}}}}]\n"
            ),
        );
    }

    /// A scenario of these faults.
    pub fn scenario(&self, faults: &str) {
        let target = self.target();
        self.home.write(
            "s.yaml",
            &format!(
                "name: short\ntarget: {{{target}}}\nlease: 2s\nworkload: {{client: store, model: register, \
                 workers: 20, rate: 50/s, keys: 5, timeout: 500ms}}\nsteady_state: {{window: 900ms, \
                 success: 20%, rate: 10%}}\nfaults:\n{faults}checks: [linearizable, \
                 {{lost-writes: {{max: 0}}}}]\n"
            ),
        );
    }

    /// The name of their network.
    pub fn network(&self) -> String {
        format!("{}_members", self.project.as_deref().expect("brought up by the test"))
    }

    /// The id of a node's container.
    pub fn container(&self, service: &str) -> String {
        let project = self.project.as_deref().expect("brought up by the test");
        let ids = docker(&format!(
            "ps --all --quiet --no-trunc --filter label=com.docker.compose.project={project} --filter \
             label=com.docker.compose.service={service}"
        ));
        assert!(!ids.is_empty() && !ids.contains('\n'), "{service}: {ids}");
        ids
    }

    /// Whether a node's connect to this address, where nobody listens, is refused, and not lost on the way.
    pub fn refuses(&self, from: &str, address: &str, port: u16) -> bool {
        let pid = docker(&format!("inspect --format {{{{.State.Pid}}}} {}", self.container(from)));
        let out = connect(Some(&pid), address, port);
        String::from_utf8_lossy(&out.stderr).contains("refused")
    }

    /// Whether a node's connect to this address succeeds.
    pub fn arrives(&self, from: &str, address: &str, port: u16) -> bool {
        let pid = docker(&format!("inspect --format {{{{.State.Pid}}}} {}", self.container(from)));
        connects(Some(&pid), address, port)
    }

    /// What a connect to each node comes to, from where clients stand and from every other node.
    pub fn reached(&self) -> String {
        let nodes = ["n1", "n2", "n3"];
        let places = nodes.map(|n| {
            let of = "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
            let mut inspect = at_engine("docker");
            let out = inspect.args(["inspect", "--format", of, &self.container(n)]).output();
            let text = String::from_utf8(out.unwrap().stdout).unwrap();
            let (pid, address) = text.trim().split_once(' ').unwrap_or_default();
            (pid.to_string(), address.to_string())
        });
        let mut seen = vec![];
        for (to, (_, address)) in nodes.iter().zip(&places) {
            seen.push(format!("clients {to} {}", connects(None, address, 7000)));
            for (from, (pid, _)) in nodes.iter().zip(&places).filter(|(from, _)| *from != to) {
                let arrives = connects(Some(pid), address, 7001);
                seen.push(format!("{from} {to} {arrives}"));
            }
        }
        seen.join("\n")
    }

    /// All that can be seen of a node which a fault could have changed: its state, its limits, its network's rules
    /// and queues.
    pub fn look(&self, service: &str) -> String {
        let id = self.container(service);
        let state = docker(&format!(
            "inspect --format {{{{.State.Status}}}}:{{{{.HostConfig.Memory}}}}:{{{{.HostConfig.CpuQuota}}}} {id}"
        ));
        let pid = docker(&format!("inspect --format {{{{.State.Pid}}}} {id}"));
        let inside = |command: &str| {
            let argv = format!("--target {pid} --net {command}");
            let out = Command::new("nsenter").args(argv.split_whitespace()).output().unwrap();
            String::from_utf8(out.stdout).unwrap()
        };
        let (rules, queues, links) = (
            inside("nft --stateless list ruleset"),
            inside("tc qdisc show"),
            inside("ip -o link show"),
        );
        // Numbers of interfaces are given anew with each start.
        let names: Vec<&str> = links.lines().filter_map(|l| l.split(": ").nth(1)).collect();
        let names: Vec<&str> = names.iter().filter_map(|n| n.split('@').next()).collect();
        // So are the ports of the engine's own resolver.
        let word = |word: &str| match word.rsplit(':').next().and_then(|n| n.parse::<u16>().ok()) {
            Some(port) if port >= 10_000 => word.replace(&port.to_string(), "PORT"),
            _ => word.to_string(),
        };
        let rules: Vec<String> = rules.split([' ', '\n']).map(word).collect();
        // A file system of its own, where it has one.
        let room = Command::new("stat")
            .args(["--file-system", "--format", "%a"])
            .arg(std::path::Path::new("/proc").join(&pid).join("root").join("full"))
            .output()
            .unwrap();
        let room = String::from_utf8(room.stdout).unwrap();
        let limits = limits(&pid);
        assert!(pid == "0" || !limits.is_empty(), "no control group of process {pid} can be read");
        format!("{state}\n{limits}\n{room}{}\n{queues}\n{names:?}", rules.join(" "))
    }

    /// By how many seconds the clock is off that a program reads which is started in a node now, and has been there
    /// for longer than it takes whoever sets clocks wrong to find it.
    pub fn clock_off(&self, service: &str) -> u64 {
        let mut witness = at_engine("docker");
        witness.args([
            "exec",
            "--interactive",
            &self.container(service),
            "/firedrill",
            "clock-witness",
        ]);
        let mut witness = witness.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = witness.stdin.take().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        writeln!(input).unwrap();
        drop(input);
        let said = String::from_utf8(witness.wait_with_output().unwrap().stdout).unwrap();
        let wall = said.strip_prefix("wall=").and_then(|text| text.split('.').next());
        let wall: u64 =
            wall.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{said:?}"));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        wall.abs_diff(now.as_secs())
    }

    /// Every container that a run made beside the nodes, or a project that it brought up.
    pub fn helpers(&self) -> Vec<String> {
        let run = self.home.the_run().file_name().unwrap().to_string_lossy().into_owned();
        let mut found = vec![];
        for filter in [
            format!("label=firedrill.run={run}"),
            format!("label=com.docker.compose.project=firedrill-{}", run.to_lowercase()),
        ] {
            let names = docker(&format!("ps --all --format {{{{.Names}}}} --filter {filter}"));
            found.extend(names.lines().map(String::from));
        }
        found
    }

    pub fn assert_no_helpers(&self) {
        eventually("no container of the run is left", || match &self.helpers()[..] {
            [] => Ok(()),
            left => Err(format!("{left:?}")),
        });
    }
}

/// What the control groups of a process allow it, by either of the kernel's interfaces to them.
fn limits(pid: &str) -> String {
    const FILES: [(&str, &[&str]); 5] = [
        ("blkio", &["blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"]),
        ("cpu", &["cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares"]),
        ("memory", &["memory.limit_in_bytes"]),
        ("freezer", &["freezer.state"]),
        ("", &["cpu.max", "memory.max", "memory.high", "io.max", "cgroup.freeze"]),
    ];
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let mut found = vec![];
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        for (controller, files) in FILES {
            if !controllers.split(',').any(|c| c == controller) {
                continue;
            }
            for file in files {
                let path = format!("/sys/fs/cgroup/{controllers}/{group}/{file}");
                if let Ok(value) = std::fs::read_to_string(path) {
                    found.push(format!("{file} {}", value.trim()));
                }
            }
        }
    }
    found.sort();
    found.join(", ")
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // Of a test that failed in the middle: the home ends the watchdog, so nobody else takes these away.
        for run in self.home.runs() {
            let run = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for label in [
                format!("firedrill.run={run}"),
                format!("com.docker.compose.project=firedrill-{}", run.to_lowercase()),
            ] {
                for kind in ["ps --all", "network ls"] {
                    let ids = docker(&format!("{kind} --quiet --filter label={label}"));
                    for id in ids.lines() {
                        let remove = if kind == "network ls" {
                            "network rm"
                        } else {
                            "rm --force --volumes"
                        };
                        try_docker(&format!("{remove} {id}"));
                    }
                }
            }
        }
        if let Some(project) = self.project.take() {
            self.compose(&project, "down --volumes --timeout 0");
        }
    }
}
