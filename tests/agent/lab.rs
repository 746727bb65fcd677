//! Two namespaces, `near` with the agent and `far`, and what goes on between them.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use firedrill::agent::beside::protocol::{
    Answer, Done, HeldLink, Hello, Order, Request, Shaping, Way,
};
use firedrill::condition::{Delivery, Link};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long is waited for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long is listened for what must not come.
pub const SILENCE: Duration = Duration::from_millis(300);

pub const NEAR: [&str; 2] = ["10.9.0.1", "fd09::1"];
pub const FAR: [&str; 2] = ["10.9.0.2", "fd09::2"];
/// Another address of the far side's.
pub const OTHER: &str = "10.9.0.3";

/// Runs a program that must succeed; what it printed.
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs several commands of iproute2 at once, which a slow guest is thankful for.
fn batch(program: &str, commands: &str) {
    let mut words = program.split_whitespace();
    let mut ip = Command::new(words.next().unwrap());
    let mut ip = ip.args(words).args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{program}: {commands}");
}

pub struct Lab {
    pub near: String,
    pub far: String,
}

impl Lab {
    /// `None` where there can be no namespaces.
    pub fn new() -> Option<Lab> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let root = rustix::process::geteuid().is_root();
        let ip = Command::new("ip").arg("-V").output().is_ok();
        if !root || !ip {
            println!("skipped: {}", if root { "iproute2 is not installed" } else { "not root" });
            assert!(!root || std::env::var("CI").as_deref() != Ok("true"), "CI has iproute2");
            return None;
        }
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = |side: &str| format!("fd-{}-{number}-{side}", std::process::id());
        let lab = Lab { near: name("near"), far: name("far") };
        let Lab { near, far } = &lab;
        let all = [near, far].map(|side| format!("netns add {side}\n")).concat();
        batch(
            "ip",
            &format!("{all}link add wire netns {near} type veth peer name wire netns {far}\n"),
        );
        for (side, addresses) in [(near, &NEAR[..]), (far, &[FAR[0], FAR[1], OTHER][..])] {
            let mut all = "link set lo up\nlink set wire up\n".to_string();
            for address in addresses {
                let (bits, nodad) = if address.contains(':') { (64, "nodad") } else { (24, "") };
                all += &format!("addr add {address}/{bits} dev wire {nodad}\n");
            }
            batch(&format!("ip -n {side}"), &all);
        }
        Some(lab)
    }

    /// Does something on one side.
    pub fn on<T: Send>(&self, side: &str, what: impl FnOnce() -> T + Send) -> T {
        let there = || {
            let space = File::open(format!("/run/netns/{side}")).unwrap();
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            what()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }

    pub fn agent(&self) -> Agent {
        self.agent_with_lease("10m")
    }

    pub fn agent_with_lease(&self, lease: &str) -> Agent {
        Agent::start(&self.near, lease)
    }

    /// What programs on the near side find in their resolv.conf, those that run already too.
    pub fn resolv_conf(&self, text: &str) {
        std::fs::create_dir_all(self.etc()).unwrap();
        // Written in place: what is mounted over the file is this very one.
        std::fs::write(self.etc().join("resolv.conf"), text).unwrap();
    }

    /// What `ip netns exec` mounts over `/etc`, file by file.
    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.near)
    }

    /// Adds rules of others on the near side.
    pub fn nft(&self, rules: &str) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.near, "nft", "-f", "-"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{rules}");
    }

    /// All rules of the near side.
    pub fn rules(&self) -> String {
        run(&format!("ip netns exec {} nft list ruleset", self.near))
    }

    /// The agent's rules for questions to resolvers.
    pub fn rules_of_questions(&self) -> String {
        run(&format!("ip netns exec {} nft list chain inet firedrill resolving", self.near))
    }

    /// A UDP socket on one side.
    pub fn udp(&self, side: &str, address: &str) -> UdpSocket {
        let at = SocketAddr::new(address.parse().unwrap(), 0);
        let socket = self.on(side, || UdpSocket::bind(at).unwrap());
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket
    }

    /// A UDP socket on each side, of one family: near, far.
    pub fn udp_pair(&self, family: usize) -> (UdpSocket, UdpSocket) {
        let near = self.udp(&self.near, NEAR[family]);
        let far = self.udp(&self.far, FAR[family]);
        near.connect(far.local_addr().unwrap()).unwrap();
        far.connect(near.local_addr().unwrap()).unwrap();
        (near, far)
    }

    /// A listener on the far side.
    pub fn listener(&self, address: &str) -> TcpListener {
        let at = SocketAddr::new(address.parse().unwrap(), 0);
        self.on(&self.far, || TcpListener::bind(at).unwrap())
    }

    /// A connection from the near side: its two ends.
    pub fn connect(&self, listener: &TcpListener) -> std::io::Result<(TcpStream, TcpStream)> {
        let to = listener.local_addr().unwrap();
        let near = self.on(&self.near, || TcpStream::connect_timeout(&to, PATIENCE))?;
        let (far, _) = listener.accept()?;
        for end in [&near, &far] {
            end.set_nodelay(true).unwrap();
            end.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Ok((near, far))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for side in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", side]).status();
        }
        let _ = std::fs::remove_dir_all(self.etc());
    }
}

/// A read with a time limit may be interrupted by a machine that pauses what runs: that is neither an arrival nor
/// silence.
pub fn uninterrupted<T>(mut read: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match read() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

pub trait Hear {
    /// Waits for one datagram within the socket's time limit.
    fn hear(&self, buffer: &mut [u8]) -> std::io::Result<usize>;
}

impl Hear for UdpSocket {
    fn hear(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        uninterrupted(|| self.recv(buffer))
    }
}

/// Whether a datagram gets through; what came late from before is not taken for it.
pub fn passes(from: &UdpSocket, to: &UdpSocket) -> bool {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let sent = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    // A refusal of the datagram before may be told now.
    if from.send(&sent).or_else(|_| from.send(&sent)).is_err() {
        return false;
    }
    let mut came = [0; 64];
    while let Ok(count) = to.hear(&mut came) {
        if came[..count] == sent {
            return true;
        }
    }
    false
}

/// Tries until it passes.
pub fn passes_at_last(from: &UdpSocket, to: &UdpSocket) {
    let until = Instant::now() + PATIENCE;
    while !passes(from, to) {
        assert!(Instant::now() < until, "nothing passes");
    }
}

/// That nothing can be read for a while.
pub fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let error = uninterrupted(|| stream.read(&mut [0; 64])).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

/// That what is said arrives.
pub fn assert_says(from: &mut TcpStream, to: &mut TcpStream, what: &[u8]) {
    from.write_all(what).unwrap();
    let mut came = vec![0; what.len()];
    to.read_exact(&mut came).unwrap();
    assert_eq!(came, what);
}

pub struct Agent {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    pub hello: Hello,
    id: u64,
}

impl Agent {
    fn start(side: &str, lease: &str) -> Agent {
        let mut command = Agent::command(side, lease);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).all(|line| say.send(line).is_ok())
        });
        let hello = lines.recv_timeout(PATIENCE).expect("no hello");
        let hello = serde_json::from_str(&hello).unwrap();
        Agent { input: child.stdin.take(), child, lines, hello, id: 0 }
    }

    pub fn command(side: &str, lease: &str) -> Command {
        let mut command = Command::new("ip");
        let agent = [env!("CARGO_BIN_EXE_firedrill"), "agent", "--lease", lease];
        command.args(["netns", "exec", side]).args(agent);
        command
    }

    /// Says a line, and hears the next one.
    pub fn say(&mut self, line: &str) -> Answer {
        self.write(line);
        self.read()
    }

    pub fn write(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub fn read(&self) -> Answer {
        let answer = self.lines.recv_timeout(PATIENCE).expect("no answer");
        serde_json::from_str(&answer).unwrap()
    }

    pub fn order(&mut self, order: Order) -> Result<Done, String> {
        self.id += 1;
        let line = serde_json::to_string(&Request { id: self.id, order }).unwrap();
        let answer = self.say(&line);
        assert_eq!(answer.id, self.id);
        answer.result
    }

    pub fn hold(&mut self, links: &[HeldLink]) {
        assert_eq!(self.order(Order::Hold(links.to_vec())), Ok(Done::Held));
    }

    /// Packets caught, link by link.
    pub fn count(&mut self) -> Vec<u64> {
        match self.order(Order::Count) {
            Ok(Done::Counted(counted)) => counted.iter().map(|c| c.packets).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Says nothing more.
    pub fn close(&mut self) {
        self.input = None;
    }

    pub fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the agent does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn link(peers: &[&str], way: Way, link: Link) -> HeldLink {
    let peers = peers.iter().map(|peer| peer.parse::<IpAddr>().unwrap()).collect();
    HeldLink { peers, way, ports: Default::default(), link }
}

/// A lab whose agent can shape. In a guest it is said by what it must.
pub fn shaping() -> Option<(Lab, Agent)> {
    let lab = Lab::new()?;
    let agent = lab.agent();
    println!("shaped by {:?}", agent.hello.shaping);
    if std::env::var("FIREDRILL_TESTS_SHAPING").as_deref() == Ok("netem") {
        assert_eq!(agent.hello.shaping, Shaping::Netem);
    }
    match &agent.hello.shaping {
        Shaping::Nothing(why) => {
            println!("skipped: {why}");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has TAP devices");
            None
        }
        _ => Some((lab, agent)),
    }
}

/// What is sent to the far side suffers this.
pub fn shaped(what: Link) -> [HeldLink; 1] {
    [link(&FAR, Way::Out, what)]
}

/// The traffic with the far side, delivered so, one way.
pub fn delivered(way: Way, delivery: Delivery) -> HeldLink {
    link(&FAR, way, Link { delivery, ..Link::default() })
}

/// Nothing passes, either way.
pub fn cut() -> Vec<HeldLink> {
    [Way::In, Way::Out].map(|way| link(&FAR, way, Link::CUT)).to_vec()
}
