//! Who plays: a node that does what it is told on its client port, and the target that runs some of
//! them.
//!
//! A node answers one line with one line:
//! `ping ADDRESS` dials it anew and answers what it says, or what went wrong; `open ADDRESS` dials
//! and keeps; `send TEXT` writes on what is kept; `heard` tells what its own peers sent it; `child`
//! starts a process in a session of its own; `keep TEXT` and `kept` use the data folder; `exit
//! CODE` ends it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firedrill::condition::{Condition, Life, Link, Links, Peer};
use firedrill::inventory::{Inventory, NodeId};
use firedrill::scenario::Template;
use firedrill::target::local::{Local, Options};
use firedrill::target::{Proof, Target};

/// Long enough for a loaded machine, short enough to fail in.
pub const SOON: Duration = Duration::from_secs(30);

/// The node: only when it is started as one.
#[test]
#[ignore = "started by the target, as a node"]
fn node() {
    let Ok(name) = std::env::var("ACT_AS") else { return };
    let var = |name: &str| std::env::var(name).unwrap();
    let heard = Arc::new(Mutex::new(String::new()));
    let peers = TcpListener::bind(var("LISTEN_PEER")).unwrap();
    let ear = heard.clone();
    std::thread::spawn(move || {
        for stream in peers.incoming().flatten() {
            let (ear, name) = (ear.clone(), name.clone());
            std::thread::spawn(move || listen(stream, &name, &ear));
        }
    });
    // As systems do that serve nobody before they know their group.
    while std::env::var("NEEDS_PEERS").is_ok()
        && !var("PEERS").split(',').all(|p| ping(p.split_once('=').unwrap().1).is_ok())
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    for stream in TcpListener::bind(var("LISTEN_CLIENT")).unwrap().incoming().flatten() {
        let heard = heard.clone();
        std::thread::spawn(move || obey(stream, &heard));
    }
}

fn listen(stream: TcpStream, name: &str, ear: &Mutex<String>) {
    let mut answer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        match line.as_str() {
            "ping" => drop(answer.write_all(format!("pong {name}\n").as_bytes())),
            text => ear.lock().unwrap().push_str(text),
        }
    }
}

fn obey(stream: TcpStream, heard: &Mutex<String>) {
    let mut answer = stream.try_clone().unwrap();
    let mut kept: Option<TcpStream> = None;
    let file = PathBuf::from(std::env::var("DATA").unwrap()).join("kept");
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let said = match verb {
            "ping" => ping(rest).unwrap_or_else(|e| format!("{:?}", e.kind())),
            "open" => {
                kept = TcpStream::connect(rest).ok();
                format!("opened {}", kept.is_some())
            }
            "send" => {
                let sent = kept.as_mut().map(|k| k.write_all(format!("{rest}\n").as_bytes()));
                format!("sent {}", sent.is_some_and(|s| s.is_ok()))
            }
            "read" => {
                let stream = kept.as_mut().unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                format!("{:?}", stream.read_exact(&mut [0; 1]).map_err(|e| e.kind()))
            }
            "heard" => heard.lock().unwrap().clone(),
            "child" => child().to_string(),
            "keep" => format!("{:?}", std::fs::write(&file, rest)),
            "kept" => std::fs::read_to_string(&file).unwrap_or_default(),
            "exit" => std::process::exit(rest.parse().unwrap()),
            _ => "what?".to_string(),
        };
        answer.write_all(format!("{said}\n").as_bytes()).unwrap();
    }
}

fn ping(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?; // what is cut costs it each time
    stream.write_all(b"ping\n")?; // in one piece, lest Nagle's delay be measured
    let mut line = String::new();
    match BufReader::new(stream).read_line(&mut line)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim().to_string()),
    }
}

/// A grandchild that flees into a session of its own, without a mark of its own making.
fn child() -> u32 {
    let mut sleep = std::process::Command::new("setsid");
    sleep.args(["sleep", "600"]).spawn().unwrap().id()
}

/// A run with its nodes up.
pub struct Run {
    pub local: Local,
    pub inventory: Inventory,
    /// Where the nodes reach each other, as they are told.
    pub addresses: BTreeMap<String, String>,
    pub options: Options,
    _folder: tempfile::TempDir,
}

/// Options for a run of acting nodes `n1`, `n2`, ...
pub fn options(count: usize) -> (Options, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap().to_string_lossy().into_owned();
    let act = ["--ignored", "--exact", "cast::node", "--nocapture"].map(String::from);
    let env = [
        ("ACT_AS", "{name}"),
        ("LISTEN_CLIENT", "{listen.client}"),
        ("LISTEN_PEER", "{listen.peer}"),
        ("DATA", "{data}"),
        ("PEERS", "{peers}"),
    ];
    let options = Options {
        run: format!("test-{:x}", rand::random::<u64>()),
        folder: folder.path().join("run"),
        data: folder.path().join("data"),
        nodes: (1..=count).map(|i| (NodeId::new(format!("n{i}")), "dc1".into())).collect(),
        command: [exe].into_iter().chain(act).map(Template::literal).collect(),
        env: env.map(|(k, v)| (k.to_string(), v.parse().unwrap())).into(),
        ports: vec!["client".into(), "peer".into()],
        peers: "{name}={address.peer}".parse().unwrap(),
        ready_port: "client".into(),
        ready_timeout: SOON,
        stop_timeout: Duration::from_secs(2),
        binary: env!("CARGO_BIN_EXE_firedrill").into(),
    };
    (options, folder)
}

/// Brings up a run.
pub async fn up(count: usize) -> Run {
    up_with(count, |_| ()).await
}

/// Brings up a run whose options are changed.
pub async fn up_with(count: usize, change: impl FnOnce(&mut Options)) -> Run {
    let (mut options, folder) = options(count);
    change(&mut options);
    let local = Local::new(options.clone()).unwrap();
    let inventory = local.start().await.unwrap();
    let peers = environment(&options.run, "PEERS");
    let mut run = Run::new(local, inventory, options, folder);
    let addresses = peers.split(',').filter_map(|p| p.split_once('='));
    run.addresses = addresses.map(|(n, a)| (n.to_string(), a.to_string())).collect();
    run
}

/// What a variable is in some node's environment.
fn environment(run: &str, name: &str) -> String {
    let pid = firedrill::agent::process::marked(run)[0].as_raw_nonzero();
    let text = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let found = text.split('\0').find_map(|v| v.strip_prefix(name)?.strip_prefix('='));
    found.unwrap().to_string()
}

impl Run {
    pub fn new(
        local: Local,
        inventory: Inventory,
        options: Options,
        folder: tempfile::TempDir,
    ) -> Run {
        Run { local, inventory, addresses: BTreeMap::new(), options, _folder: folder }
    }
    pub fn endpoint(&self, node: &str) -> SocketAddr {
        self.inventory.get(node).unwrap().endpoints["client"].parse().unwrap()
    }
    /// A conversation with a node, as a client of the workload has it.
    pub fn talk(&self, node: &str) -> Talk {
        Talk::to(self.endpoint(node)).unwrap()
    }
    /// What `from` says of dialing `to` anew.
    pub fn ping(&self, from: &str, to: &str) -> String {
        self.talk(from).say(&format!("ping {}", self.addresses[to]))
    }
    pub async fn apply(&self, node: &str, condition: &Condition) {
        self.local.apply(&node.into(), condition).await.unwrap();
    }
    pub async fn life(&self, node: &str, life: Life) {
        self.apply(node, &Condition { life, ..Condition::default() }).await;
    }
    pub async fn heal(&self, node: &str) {
        self.apply(node, &Condition::default()).await;
    }
    /// The proof of a node that must be proven.
    pub async fn proof(&self, node: &str) -> Vec<String> {
        let proof: Proof = self.local.prove(&node.into()).await;
        assert_eq!(proof.unproven, None, "{proof:?}");
        proof.measured
    }
    pub fn marked(&self) -> usize {
        firedrill::agent::process::marked(&self.options.run).len()
    }
}

/// A line-wise conversation.
pub struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    pub fn to(address: SocketAddr) -> std::io::Result<Talk> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Talk { stream: BufReader::new(stream) })
    }
    pub fn try_say(&mut self, line: &str) -> std::io::Result<String> {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        match self.stream.read_line(&mut answer)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer.trim().to_string()),
        }
    }
    pub fn say(&mut self, line: &str) -> String {
        self.try_say(line).unwrap()
    }
    /// Says it again until the answer is this.
    pub fn await_answer(&mut self, line: &str, wanted: &str) {
        let end = Instant::now() + SOON;
        loop {
            let answer = self.say(line);
            if answer == wanted {
                return;
            }
            assert!(Instant::now() < end, "`{line}` answers `{answer}`, not `{wanted}`");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A condition whose links are these.
pub fn links(from: &[(&str, Link)], to: &[(&str, Link)]) -> Condition {
    let side = |side: &[(&str, Link)]| {
        let peer = |name: &str| Peer::from(name.to_string());
        side.iter().map(|(name, link)| (peer(name), *link)).collect()
    };
    Condition {
        links: Links { from: side(from), to: side(to), ..Links::default() },
        ..Condition::default()
    }
}

/// Waits until it is true; the answer is whether it became so.
pub fn eventually(within: Duration, mut what: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    while Instant::now() < end {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    what()
}
