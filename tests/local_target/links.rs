//! Links between real processes: who dials is known, and what is cut is cut, in its direction only.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use firedrill::condition::{Delivery, Link};
use firedrill::quantity::{Bandwidth, Ratio, Span};
use firedrill::target::local;

use crate::cast::{self, SOON, links, up};

const RESET: Link = Link { delivery: Delivery::Reset, ..Link::CUT };

#[tokio::test(flavor = "multi_thread")]
async fn healthy_nodes_and_clients_reach_each_other_and_it_is_proven() {
    let run = up(3).await;
    for (from, to) in [("n1", "n2"), ("n2", "n3"), ("n3", "n1"), ("n2", "n2")] {
        assert_eq!(run.ping(from, to), format!("pong {to}"));
    }
    let measured = run.proof("n1").await.join("\n");
    assert!(measured.contains("is alive") && measured.contains("connect accepted"), "{measured}");
    assert!(measured.contains("passed in"), "one link is measured as a control: {measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_between_two_nodes_leaves_the_third_and_the_clients_alone() {
    let run = up(3).await;
    let cut = [("n2", Link::CUT)];
    run.apply("n1", &links(&cut, &cut)).await;
    for (from, to) in [("n1", "n2"), ("n2", "n1")] {
        assert_eq!(run.ping(from, to), "WouldBlock", "{from} -> {to}: held in silence");
    }
    for (from, to) in [("n1", "n3"), ("n3", "n1"), ("n2", "n3"), ("n3", "n2")] {
        assert_eq!(run.ping(from, to), format!("pong {to}"), "{from} -> {to}");
    }
    let measured = run.proof("n1").await.join("\n");
    assert!(measured.contains("n1 -> n2: nothing within "), "{measured}");
    assert!(measured.contains("n2 -> n1: nothing within "), "{measured}");
    run.heal("n1").await;
    assert_eq!(run.ping("n1", "n2"), "pong n2");
    assert!(run.proof("n1").await.join("\n").contains("n1 -> n2: passed in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_way_cut_holds_one_direction_and_its_bytes_arrive_in_order_after_the_heal() {
    let run = up(2).await;
    let (mut n1, mut n2) = (run.talk("n1"), run.talk("n2"));
    assert_eq!(n1.say(&format!("open {}", run.addresses["n2"])), "opened true");
    assert_eq!(n2.say(&format!("open {}", run.addresses["n1"])), "opened true");
    // Both stand, end to end: an answer to a handshake would not cross the cut either.
    n1.say("send a");
    n2.await_answer("heard", "a");
    n2.say("send be");
    n1.await_answer("heard", "be");
    run.apply("n2", &links(&[("n1", Link::CUT)], &[])).await;
    let measured = run.proof("n2").await.join("\n");
    assert!(measured.contains("n1 -> n2: nothing within"), "{measured}");
    assert!(measured.contains("n2 -> n1: passed in"), "{measured}");
    for text in ["b", "c", "d"] {
        n1.say(&format!("send {text}"));
    }
    n2.say("send fore");
    n1.await_answer("heard", "before");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(n2.say("heard"), "a", "nothing crosses the cut");
    run.heal("n2").await;
    n2.await_answer("heard", "abcd");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_can_be_cut_off_while_the_nodes_talk() {
    let run = up(2).await;
    let mut before = run.talk("n1");
    run.apply("n1", &links(&[("(clients)", Link::CUT)], &[])).await;
    let stalled = std::thread::spawn(move || before.say("ping nowhere"));
    assert_eq!(run.ping("n2", "n1"), "pong n1");
    assert!(!stalled.is_finished(), "the client waits");
    assert!(run.proof("n1").await.join("\n").contains("(clients) -> n1: nothing within"));
    run.heal("n1").await;
    assert!(stalled.join().unwrap().contains("InvalidInput"), "its line came through at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_is_added_each_way_and_ends_with_the_heal() {
    let run = up(2).await;
    let late = Link { latency: Span::millis(80), jitter: Span::millis(20), ..Link::default() };
    run.apply("n1", &links(&[("(clients)", late)], &[("(clients)", late)])).await;
    let mut client = run.talk("n1");
    client.say("heard"); // past the handshake
    let began = Instant::now();
    client.say("heard");
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
    let measured = run.proof("n1").await.join("\n");
    assert!(measured.contains("asked 80.0 ms +- 20.0 ms"), "{measured}");
    run.heal("n1").await;
    // Quicker than the latency allowed: 60 ms each way at the least.
    assert!(cast::eventually(SOON, || {
        let began = Instant::now();
        client.say("heard");
        began.elapsed() < Duration::from_millis(120)
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bandwidth_is_shared_by_all_connections_of_a_link() {
    let run = up(2).await;
    let slow = Link { bandwidth: Some(Bandwidth::bits(800_000)), ..Link::default() };
    run.apply("n1", &links(&[("(clients)", slow)], &[])).await;
    let measured = run.proof("n1").await.join("\n");
    assert!(measured.contains("asked at most 800kbit"), "{measured}");
    // Two times 30 kB at 100 kB/s, less the burst of 20 ms.
    let began = Instant::now();
    let send = |endpoint| {
        let mut talk = cast::Talk::to(endpoint).unwrap();
        std::thread::spawn(move || talk.say(&"x".repeat(30_000)))
    };
    let both = [send(run.endpoint("n1")), send(run.endpoint("n1"))];
    both.into_iter().for_each(|t| assert_eq!(t.join().unwrap(), "what?"));
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_strikes_standing_connections_and_each_new_one() {
    let run = up(2).await;
    let mut n1 = run.talk("n1");
    n1.say(&format!("open {}", run.addresses["n2"]));
    run.apply("n2", &links(&[("n1", RESET)], &[])).await;
    assert_eq!(n1.say("read"), "Err(ConnectionReset)");
    assert_eq!(run.ping("n1", "n2"), "ConnectionReset");
    assert!(run.proof("n2").await.join("\n").contains("n1 -> n2: connection reset after"));
    run.heal("n2").await;
    assert_eq!(run.ping("n1", "n2"), "pong n2");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dials_a_node_that_is_down_is_reset_and_does_not_hang() {
    let run = up(2).await;
    run.life("n2", firedrill::condition::Life::Killed).await;
    assert!(["ConnectionReset", "BrokenPipe"].contains(&run.ping("n1", "n2").as_str()));
    let mut client = TcpStream::connect(run.endpoint("n2")).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    let said = client.read_exact(&mut [0]).map_err(|e| e.kind());
    assert_eq!(said, Err(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dialer_wrote_that_gave_up_during_a_cut_is_not_delivered_after_it() {
    let run = up(2).await;
    let cut = [("(clients)", Link::CUT)];
    run.apply("n1", &links(&cut, &cut)).await;
    let mut gave_up = TcpStream::connect(run.endpoint("n1")).unwrap();
    gave_up.write_all(b"keep stale\n").unwrap();
    drop(gave_up);
    std::thread::sleep(Duration::from_millis(100));
    run.heal("n1").await;
    let mut client = run.talk("n1");
    assert_eq!(client.say("keep fresh"), "Ok(())");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(client.say("kept"), "fresh");
}

#[test]
fn what_befalls_single_packets_is_not_supported_and_why_is_said() {
    let shares: [fn(Ratio) -> Link; 4] = [
        |loss| Link { loss, ..Link::default() },
        |duplicate| Link { duplicate, ..Link::default() },
        |corrupt| Link { corrupt, ..Link::default() },
        |reorder| Link { reorder, ..Link::default() },
    ];
    let rejected = Link { delivery: Delivery::Reject, ..Link::default() };
    for link in shares.map(|of| of(Ratio::new(0.1))).into_iter().chain([rejected]) {
        let why = local::cannot(&links(&[("n2", link)], &[]));
        assert!(why.is_some_and(|why| why.contains("see no packets")), "{link:?}");
    }
    let reset = Link { delivery: Delivery::Reset, ..Link::default() };
    for link in [Link::CUT, reset, Link::default()] {
        assert_eq!(local::cannot(&links(&[("n2", link)], &[])), None, "{link:?}");
    }
}
