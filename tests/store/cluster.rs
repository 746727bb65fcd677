//! Real store processes on loopback addresses of their own, with links that can be cut between
//! them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use firedrill::history::{Call, Outcome, Reply};
use firedrill::inventory::NodeId;
use firedrill::store::protocol::{Request, Response, Status};
use firedrill::workload::client::store::StoreDriver;
use firedrill::workload::client::{Client, Driver};

use crate::net::Net;

pub struct Cluster {
    pub net: Net,
    pub folder: tempfile::TempDir,
    block: [u8; 2],
    bugs: Vec<&'static str>,
    nodes: Mutex<Vec<Option<Child>>>,
    size: usize,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.size).for_each(|node| self.kill(node));
    }
}

impl Cluster {
    /// Starts a cluster and waits until a leader serves.
    pub async fn start(size: usize, bugs: &[&'static str]) -> Cluster {
        let cluster = Cluster {
            net: Net::new(),
            folder: tempfile::tempdir().unwrap(),
            block: free_block(),
            bugs: bugs.to_vec(),
            nodes: Mutex::new((0..size).map(|_| None).collect()),
            size,
        };
        for from in 0..size {
            for to in (0..size).filter(|to| *to != from) {
                let (link, peer) = (cluster.link(from, to), cluster.peer(to));
                cluster.net.open(from, to, link, peer).await;
            }
        }
        (0..size).for_each(|node| cluster.spawn(node));
        cluster.ready().await;
        cluster
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Option<Child>>> {
        self.nodes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    pub fn size(&self) -> usize {
        self.size
    }

    fn at(&self, host: usize, port: u16) -> SocketAddr {
        ([127, self.block[0], self.block[1], u8::try_from(host).unwrap()], port).into()
    }
    fn peer(&self, node: usize) -> SocketAddr {
        self.at(node + 1, 7001)
    }
    fn link(&self, from: usize, to: usize) -> SocketAddr {
        self.at(100 + from * 10 + to, 7001)
    }
    pub fn client_address(&self, node: usize) -> SocketAddr {
        self.at(node + 1, 7000)
    }

    pub fn command(&self, node: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(["store", "--name", &format!("n{}", node + 1)]);
        command.args(["--listen-client", &self.client_address(node).to_string()]);
        command.args(["--listen-peer", &self.peer(node).to_string()]);
        for member in 0..self.size {
            let own = member == node;
            let address = if own { self.peer(node) } else { self.link(node, member) };
            command.args(["--member", &format!("n{}={address}", member + 1)]);
        }
        command.arg("--data").arg(self.folder.path().join(format!("n{}", node + 1)));
        for bug in &self.bugs {
            command.args(["--bug", bug]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub fn spawn(&self, node: usize) {
        let child = self.command(node).spawn().expect("the binary starts");
        assert!(self.nodes()[node].replace(child).is_none(), "n{} runs already", node + 1);
    }

    /// SIGKILL.
    pub fn kill(&self, node: usize) {
        let child = self.nodes()[node].take();
        if let Some(mut child) = child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The nodes that ended by themselves, and how.
    pub fn died(&self) -> Vec<(usize, ExitStatus)> {
        let mut nodes = self.nodes();
        let ended = |child: &mut Option<Child>| child.as_mut()?.try_wait().unwrap();
        (0..).zip(nodes.iter_mut()).filter_map(|(n, child)| Some((n, ended(child)?))).collect()
    }

    /// SIGKILL for all at once.
    pub fn kill_all(&self) {
        self.nodes().iter_mut().flatten().for_each(|child| drop(child.kill()));
        (0..self.size).for_each(|node| self.kill(node));
    }

    /// SIGSTOP, or SIGCONT.
    pub fn pause(&self, node: usize, pause: bool) {
        use rustix::process::{Pid, Signal, kill_process};
        if let Some(child) = &self.nodes()[node] {
            let signal = if pause { Signal::STOP } else { Signal::CONT };
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    /// SIGTERM, and how the process ended.
    pub fn terminate(&self, node: usize) -> ExitStatus {
        let mut child = self.nodes()[node].take().expect("it runs");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    fn run(&self) -> u32 {
        u32::try_from(self.folder.path().as_os_str().len()).unwrap()
    }

    pub fn driver(&self) -> StoreDriver {
        self.driver_of(self.run())
    }

    /// The driver of another drill of the same nodes.
    pub fn driver_of(&self, run: u32) -> StoreDriver {
        let endpoints = (0..self.size)
            .map(|n| (NodeId::new(format!("n{}", n + 1)), self.client_address(n).to_string()));
        StoreDriver::new(&endpoints.collect(), Duration::from_secs(5), run, Some((5, 100)))
    }

    pub fn client(&self, process: u32) -> Box<dyn Client> {
        self.driver().client(process).unwrap()
    }

    pub async fn ready(&self) {
        self.driver().prepare().await.expect("the cluster comes up");
    }

    /// Waits for a leader among the nodes that are named, as they say themselves.
    pub async fn leader_among(&self, nodes: &[usize]) -> usize {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            for node in nodes {
                if self.status(*node).is_some_and(|status| status.role == "leader") {
                    return *node;
                }
            }
            assert!(Instant::now() < deadline, "none of {nodes:?} came to lead");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn leader(&self) -> usize {
        self.leader_among(&self.all()).await
    }

    pub fn others(&self, node: usize) -> Vec<usize> {
        (0..self.size).filter(|other| *other != node).collect()
    }

    pub fn status(&self, node: usize) -> Option<Status> {
        self.raw(node, &serde_json::to_string(&Request::Status { status: true }).unwrap())
            .and_then(|line| serde_json::from_str(&line).ok())
    }

    /// Asks one node, without redirects or retries. `None`: it did not answer.
    pub fn ask(&self, node: usize, client: u64, seq: u64, call: Call) -> Option<Response> {
        let client = u64::from(self.run()) << 32 | client;
        let request = Request::Ask { client, seq, call, local: false };
        let line = self.raw(node, &serde_json::to_string(&request).unwrap())?;
        Some(serde_json::from_str(&line).expect("an answer"))
    }

    /// Asks whoever leads among these, with the same client and `seq`, until there is a definite answer: on a busy
    /// machine a leader may lose its place at any time. Also: who gave it.
    pub async fn surely(
        &self,
        nodes: &[usize],
        client: u64,
        seq: u64,
        call: Call,
    ) -> (usize, Response) {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let leader = self.leader_among(nodes).await;
            match self.ask(leader, client, seq, call.clone()) {
                Some(answer @ (Response::Ok(_) | Response::Fail(_))) => return (leader, answer),
                other => assert!(Instant::now() < deadline, "no definite answer: {other:?}"),
            }
        }
    }

    pub fn all(&self) -> Vec<usize> {
        (0..self.size).collect()
    }

    pub fn raw(&self, node: usize, line: &str) -> Option<String> {
        let limit = Duration::from_secs(10);
        let mut stream = TcpStream::connect_timeout(&self.client_address(node), limit).ok()?;
        stream.set_read_timeout(Some(limit)).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    }

    /// The elements of the set under `key`, read the consistent way.
    pub async fn elements(&self, key: u32) -> Vec<i64> {
        let mut client = self.client(900);
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            match client.invoke(&Call::Elements { key }).await {
                Outcome::Ok(Reply::Values(elements)) => return elements,
                other => assert!(Instant::now() < deadline, "no final read: {other:?}"),
            }
        }
    }
}

/// Asks until it took effect: only for what may be done twice.
pub async fn persist(client: &mut dyn Client, call: Call) -> Reply {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        match client.invoke(&call).await {
            Outcome::Ok(reply) => return reply,
            other => assert!(Instant::now() < deadline, "{call:?}: {other:?}"),
        }
    }
}

/// Waits for a fact, as long as a busy machine may take.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !holds() {
        assert!(Instant::now() < deadline, "not so: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A /24 of the loopback network that nobody uses.
fn free_block() -> [u8; 2] {
    use std::hash::{BuildHasher, Hasher, RandomState};
    loop {
        let [a, b, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
        let block = [64 + a % 64, b];
        let at = |port: u16| SocketAddr::from(([127, block[0], block[1], 1], port));
        let free = |port| TcpListener::bind(at(port)).is_ok();
        if free(7000) && free(7001) {
            return block;
        }
    }
}
