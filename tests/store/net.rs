//! The network between the nodes of a test: a proxy for each directed link, which can be cut.
//!
//! A cut link keeps silent: what is sent into it stays there, and nobody is told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

type Cut = BTreeSet<(usize, usize)>;
/// A node, what each way to and from it takes longer, and how long a byte takes.
type Slow = Option<(usize, Duration, Duration)>;

pub struct Net {
    cut: watch::Sender<Cut>,
    slow: watch::Sender<Slow>,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Net {
    pub fn new() -> Net {
        Net {
            cut: watch::channel(Cut::new()).0,
            slow: watch::channel(None).0,
            tasks: Mutex::default(),
        }
    }

    /// Opens the link that `from` uses to call `to`, and the way back of its answers.
    pub async fn open(&self, from: usize, to: usize, listen: SocketAddr, upstream: SocketAddr) {
        let listener = TcpListener::bind(listen).await.expect("the link's port is free");
        let (cut, slow) = (self.cut.subscribe(), self.slow.subscribe());
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, upstream, (from, to), cut.clone(), slow.clone()));
            }
        });
        self.tasks.lock().unwrap().push(accepting);
    }

    /// Parts these nodes from all the others, in both directions.
    pub fn isolate(&self, nodes: &[usize]) {
        let other = (0..16).filter(|n| !nodes.contains(n));
        let pairs = other.flat_map(|o| nodes.iter().flat_map(move |n| [(o, *n), (*n, o)]));
        self.cut.send_replace(pairs.collect());
    }

    /// Cuts what the others send to a node; what it sends arrives.
    pub fn deafen(&self, node: usize) {
        self.cut.send_replace((0..16).filter(|o| *o != node).map(|o| (o, node)).collect());
    }

    /// Cuts what a node sends to the others; what they send arrives.
    pub fn gag(&self, node: usize) {
        self.cut.send_replace((0..16).filter(|o| *o != node).map(|o| (node, o)).collect());
    }

    /// Makes each way to and from a node take this much longer.
    pub fn slow(&self, node: usize, late: Duration) {
        self.slow.send_replace(Some((node, late, Duration::ZERO)));
    }

    /// Lets only this many bytes a second pass on each way to and from a node.
    pub fn narrow(&self, node: usize, bytes: u32) {
        let byte = Duration::from_secs(1) / bytes;
        self.slow.send_replace(Some((node, Duration::ZERO, byte)));
    }

    pub fn heal(&self) {
        self.slow.send_replace(None);
        self.cut.send_replace(Cut::new());
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
    }
}

async fn carry(
    near: TcpStream,
    upstream: SocketAddr,
    link: (usize, usize),
    cut: watch::Receiver<Cut>,
    slow: watch::Receiver<Slow>,
) {
    let mut cut_now = cut.clone();
    let _ = cut_now.wait_for(|c| !c.contains(&link)).await;
    let Ok(far) = TcpStream::connect(upstream).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let back = (link.1, link.0);
    tokio::select! {
        () = pump(near_in, far_out, link, cut.clone(), slow.clone()) => {}
        () = pump(far_in, near_out, back, cut, slow) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    link: (usize, usize),
    mut cut: watch::Receiver<Cut>,
    slow: watch::Receiver<Slow>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok(n) = from.read(&mut buffer).await else { return };
        let late = *slow.borrow();
        let late = late.filter(|(node, ..)| *node == link.0 || *node == link.1);
        if let Some((_, each, byte)) = late {
            tokio::time::sleep(each + byte * u32::try_from(n).unwrap()).await;
        }
        if cut.wait_for(|c| !c.contains(&link)).await.is_err() || n == 0 {
            return;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
