//! Random bytes in random chunks through a front whose links change at random arrive whole and in
//! order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use firedrill::agent::process::Roster;
use firedrill::agent::proxy::{Dialers, Front, Fronts, Switchboard};
use firedrill::condition::{Link, Links, Peer};
use firedrill::inventory::NodeId;
use firedrill::quantity::{Bandwidth, Span};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::cast::SOON;

/// A client front before a listener of our own.
pub async fn front() -> (Arc<Switchboard>, Fronts, SocketAddr, TcpListener) {
    let node = NodeId::new("n1");
    let board = Arc::new(Switchboard::new(std::slice::from_ref(&node)));
    let dialers = Arc::new(Dialers::new(Arc::new(Roster::new("streams"))));
    let fronts = Fronts::new(board.clone(), dialers);
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = backend.local_addr().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let front = Front { address: free, node, backend: own, for_clients: true };
    fronts.serve(fronts.listen(&front).unwrap());
    (board, fronts, free, backend)
}

fn set(board: &Switchboard, there: Link, back: Link) {
    let side = |link| [(Peer::Clients, link)].into();
    board.set(&"n1".into(), &Links { from: side(there), to: side(back), ..Links::default() });
}

fn link() -> impl Strategy<Value = Link> {
    prop_oneof![
        2 => Just(Link::default()),
        2 => Just(Link::CUT),
        2 => (0..20u64, 0..20u64).prop_map(|(latency, jitter)| Link {
            latency: Span::millis(latency),
            jitter: Span::millis(jitter),
            ..Link::default()
        }),
        1 => (200_000..80_000_000u64).prop_map(|bits| Link {
            bandwidth: Some(Bandwidth::bits(bits)),
            ..Link::default()
        }),
    ]
}

/// Writes `bytes` in chunks of these sizes, in turn, with pauses, then closes; reads what comes
/// meanwhile.
async fn exchange(stream: TcpStream, bytes: &[u8], chunks: &[usize]) -> Vec<u8> {
    let (mut from, mut to) = stream.into_split();
    let write = async {
        let (mut rest, mut sizes) = (bytes, chunks.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            to.write_all(now).await.unwrap();
            rest = later;
            sleep(Duration::from_micros(now.len() as u64 % 700)).await;
        }
        to.shutdown().await.unwrap();
    };
    let read = async {
        let mut all = Vec::new();
        from.read_to_end(&mut all).await.unwrap();
        all
    };
    tokio::join!(write, read).1
}

fn random(length: usize, seed: u64) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(seed | 1).wrapping_add(i >> 7) >> 3) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn streams_arrive_whole_and_in_order_whatever_the_links_do(
        changes in prop::collection::vec((link(), link(), 0..15u64), 1..12),
        sizes in (1..300_000usize, 1..300_000usize),
        chunks in prop::collection::vec(1..20_000usize, 1..6),
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (board, _fronts, address, backend) = front().await;
            let there = random(sizes.0, seed);
            let back = random(sizes.1, !seed);
            let dialer = TcpStream::connect(address).await.unwrap();
            let (node, _) = timeout(SOON, backend.accept()).await.unwrap().unwrap();
            let weather = async {
                for (there, back, ms) in &changes {
                    set(&board, *there, *back);
                    sleep(Duration::from_millis(*ms)).await;
                }
                board.heal();
            };
            let (_, at_dialer, at_node) = timeout(SOON, async {
                tokio::join!(
                    weather,
                    exchange(dialer, &there, &chunks),
                    exchange(node, &back, &chunks)
                )
            })
            .await
            .expect("all arrives after the heal");
            assert!(at_node == there, "{} of {} bytes", at_node.len(), there.len());
            assert!(at_dialer == back, "{} of {} bytes", at_dialer.len(), back.len());
        });
    }
}

#[tokio::test]
async fn no_end_of_stream_crosses_a_cut() {
    let (board, _fronts, address, backend) = front().await;
    let mut dialer = TcpStream::connect(address).await.unwrap();
    let (mut node, _) = backend.accept().await.unwrap();
    set(&board, Link::CUT, Link::default());
    dialer.write_all(b"last words").await.unwrap();
    dialer.shutdown().await.unwrap();
    let mut heard = Vec::new();
    assert!(timeout(Duration::from_millis(150), node.read_to_end(&mut heard)).await.is_err());
    assert_eq!(heard, b"");
    node.write_all(b"the other way").await.unwrap();
    let mut other = [0; 13];
    timeout(SOON, dialer.read_exact(&mut other)).await.unwrap().unwrap();
    board.heal();
    timeout(SOON, node.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, b"last words");
}

#[tokio::test]
async fn no_reset_crosses_a_cut_and_the_peer_learns_of_it_after_the_heal() {
    let (board, _fronts, address, backend) = front().await;
    let mut dialer = TcpStream::connect(address).await.unwrap();
    let (node, _) = backend.accept().await.unwrap();
    set(&board, Link::default(), Link::CUT);
    node.set_zero_linger().unwrap();
    drop(node); // as when its process is killed with unread bytes
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(150), dialer.read(&mut byte)).await.is_err());
    board.heal();
    let told = timeout(SOON, dialer.read(&mut byte)).await.unwrap();
    assert_eq!(told.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_sender_feels_back_pressure_when_a_cut_lasts() {
    let (board, _fronts, address, backend) = front().await;
    let mut dialer = TcpStream::connect(address).await.unwrap();
    let (_node, _) = backend.accept().await.unwrap();
    set(&board, Link::CUT, Link::default());
    let chunk = vec![0; 64 << 10];
    let (mut taken, began) = (0, Instant::now());
    // A pause of a busy machine is no back-pressure: the first MiB is taken, sooner or later.
    loop {
        match timeout(Duration::from_millis(300), dialer.write(&chunk)).await {
            Ok(written) => taken += written.unwrap(),
            Err(_) if taken >= 1 << 20 => break,
            Err(_) => assert!(began.elapsed() < SOON, "only {taken} bytes were taken"),
        }
        assert!(taken < 64 << 20, "64 MiB were taken: nothing bounds it");
    }
}

#[tokio::test]
async fn a_new_connection_over_a_late_link_waits_for_a_handshake_and_keeps_what_was_written() {
    let (board, _fronts, address, backend) = front().await;
    let late = Link { latency: Span::millis(40), ..Link::default() };
    set(&board, late, late);
    let began = Instant::now();
    let mut dialer = TcpStream::connect(address).await.unwrap();
    dialer.write_all(b"all at once").await.unwrap();
    dialer.shutdown().await.unwrap();
    let (mut node, _) = timeout(SOON, backend.accept()).await.unwrap().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(80), "{:?}", began.elapsed());
    let mut heard = Vec::new();
    timeout(SOON, node.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, b"all at once");
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
}
